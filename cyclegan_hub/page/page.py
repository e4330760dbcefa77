"""The whole page: the choice of a model, the panels, and the named endpoints."""

from __future__ import annotations

import html
from typing import Any

import gradio as gr

from cyclegan_hub.free_images import credits
from cyclegan_hub.page import components as ui
from cyclegan_hub.page.api import Endpoints
from cyclegan_hub.page.batch_panel import BatchPanel
from cyclegan_hub.page.components import Updates
from cyclegan_hub.page.live_panel import LivePanel
from cyclegan_hub.page.sampling_panel import SamplingPanel
from cyclegan_hub.page.translation_panel import TranslationPanel
from cyclegan_hub.serving.catalog import ModelEntry, choices, promise
from cyclegan_hub.serving.studio import Studio

# Seconds: files of users that are older than the first number are deleted; the second is how often that is checked.
DELETE_AFTER = 40 * 60, 10 * 60
_FOOT = "Your photos are deleted from this server within an hour, and nothing about them is logged. Example pictures: {credits}."


class Page:
    """The page of a Studio. Its panels are attributes; `demo` is the gradio Blocks."""

    def __init__(self, studio: Studio, delete_after: tuple[int, int] = DELETE_AFTER) -> None:
        self.studio = studio
        self.built = models = studio.models()  # those that the page shows before it asks
        first = models[0] if models else None
        age, interval = delete_after
        with ui.Blocks(title="CycleGAN Hub", delete_cache=(interval, age), analytics_enabled=False) as self.demo:
            self.head = ui.text("head", value=_head(models))
            with gr.Column(visible=bool(models), elem_id="body") as self.body:
                with gr.Row(elem_id="choices"):
                    self.model = gr.Radio(
                        choices(models), value=first.name if first else None, label="What to make", show_label=False,
                        container=False, elem_id="model",
                    )  # fmt: skip
                    self.swap = gr.Button(size="sm", scale=0, min_width=80, elem_id="swap", **_swap(first, "a_to_b"))
                    self.direction = gr.State("a_to_b")
                with gr.Column(visible=not (first and first.is_sampler)) as self.translating, gr.Tabs(elem_id="panels"):
                    translator = None if first and first.is_sampler else first
                    self.one = TranslationPanel(studio, self.model, self.direction, translator)
                    self.several = BatchPanel(studio, self.model, self.direction)
                    self.live = LivePanel(studio, self.model, self.direction, translator)
                self.sampling = SamplingPanel(studio, self.model, first if first and first.is_sampler else None)
            self.status = ui.text("status", value=ui.as_html([studio.status()]))
            ui.text("foot", value=ui.as_html([_FOOT.format(credits=credits())]))
            self._events()
            Endpoints(studio)

    def _events(self) -> None:
        """Connects the events with their handlers."""
        outputs = [
            self.direction, self.swap, self.translating, *self.one.outputs, *self.several.outputs, *self.live.outputs,
            *self.sampling.outputs,
        ]  # fmt: skip
        first = [self.head, self.status, self.body, self.model]
        show: dict[str, Any] = {
            "outputs": outputs, "show_progress_on": [*self.one.progress, *self.sampling.progress], **ui.PROGRESS
        }  # fmt: skip
        # What the page was built with is there already; the rest is changed without a sign of work.
        self.demo.load(self.open, None, [*first, *outputs], show_progress="hidden", **ui.PRIVATE)
        for event in (
            self.model.input(self.choose, self.one.inputs, **show),
            self.swap.click(self.turn, self.one.inputs, **show),
        ):
            event.then(**self.one.strip_event).then(**self.sampling.strip_event)
        self.one.events()
        self.several.events(self.demo)
        self.live.events(leaving=[self.one.tab, self.several.tab])
        self.sampling.events()

    @ui.explain_errors
    def open(self, request: gr.Request) -> Updates:
        """Updates when the page opens: the models, if others are served now, and the state that a link asks for.

        A link is `?model=anime&direction=b_to_a`. Names that are not known are left out, and a message says so.
        """
        models = self.studio.models()
        names = [model.name for model in models]
        name, direction = (request.query_params.get(key) for key in ("model", "direction"))
        if name and name not in names:
            gr.Info(f"This page has no model “{html.escape(name[:60])}”.")
            name = None
        if models == self.built and not (name or direction):
            first = models[0] if models else None
            sliders = [self.sampling.epoch] if first and first.is_sampler else [self.one.epoch, self.live.epoch]
            return dict.fromkeys(sliders, gr.update(**ui.epoch_marks(first)) if first else gr.skip())
        update: Updates = {self.head: _head(models), self.status: ui.as_html([self.studio.status()])}
        if bool(models) != bool(self.built):
            update[self.body] = gr.update(visible=bool(models))
        if not models:
            return update
        model = models[names.index(name) if name else 0]
        if direction and direction not in model.directions:
            gr.Info(f"This model has no direction “{html.escape(direction[:60])}”.")
            direction = None
        update[self.model] = gr.update(choices=choices(models), value=model.name)
        return update | self._chosen(model, direction or model.directions[0])

    @ui.explain_errors
    def choose(self, name: str, *values: Any) -> Updates:
        """Updates for a newly chosen model; `values` are those of `translation_panel.Choices`."""
        model = self.studio.model(name)
        return self._chosen(model, model.directions[0], values)

    @ui.explain_errors
    def turn(self, name: str, photo: str | None, direction: str, *values: Any) -> Updates:
        """Updates for the other direction of a model."""
        model = self.studio.model(name)
        other = next((one for one in model.directions if one != direction), direction)
        return self._chosen(model, other, (photo, direction, *values))

    def _chosen(self, model: ModelEntry, direction: str, values: tuple[Any, ...] = ()) -> Updates:
        """Updates of all panels for a model and a direction."""
        update: Updates = {
            self.translating: gr.update(visible=not model.is_sampler),
            self.direction: direction,
            self.swap: gr.update(**_swap(model, direction)),
        }
        if model.is_sampler:
            return update | self.sampling.chosen(model)
        panels = self.one.chosen(model, direction, values) | self.several.chosen(model, direction) | self.live.chosen(model)
        return update | panels | self.sampling.hidden()


def _head(models: list[ModelEntry]) -> str:
    return f"<h1>{html.escape(promise(models))}</h1>"


def _swap(model: ModelEntry | None, direction: str) -> dict[str, Any]:
    """The button for the other direction, which it names; hidden for a model that has none."""
    other = next((one for one in model.directions if one != direction), None) if model else None
    if model is None or other is None:
        return {"value": "Swap", "visible": False}
    return {"value": f"⇄ {model.heading(other).replace(' → ', ' to ')}", "visible": True}
