"""The panel of a model that samples: images of a seed, what each epoch makes of it, and images between two seeds."""

from __future__ import annotations

import functools
import random
from typing import Any, Literal, NamedTuple

import gradio as gr
from PIL import Image

from cyclegan_hub.imaging.images import png_bytes
from cyclegan_hub.page.components import (
    COPY,
    HIDDEN,
    PROGRESS,
    Number,
    NumberSlider,
    Panel,
    Props,
    Updates,
    epoch_marks,
    epoch_props,
    epoch_slider,
    explain_sampling_errors,
    private_folder,
    progress_callback,
    saved_file,
    text,
    unfolded,
    updates,
)
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.results import labelled_row, save_zip, sheet
from cyclegan_hub.serving.studio import MAX_SAMPLES, MAX_SEED, MAX_STEPS, Studio

FULL = 3.0  # end of the truncation's slider: no truncation (0.3 % of normal values are beyond it)
SLIDER_SEEDS = 999  # last seed on the slider; its number box takes seeds up to MAX_SEED
Detail = Literal["card", "between"]


class Settings(NamedTuple):
    """The values of the components, in the order in which the handlers get them."""

    epoch: int | None = None  # None: the best
    truncation: float = FULL
    seed: float | None = 0
    n: int = 16
    seed_a: float | None = 0
    seed_b: float | None = 1
    steps: int = 8
    opened: bool = False  # whether the details are open
    detail: Detail = "card"


class SamplingPanel(Panel):
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, model: gr.Radio, first: ModelEntry | None) -> None:
        self.studio, self.model = studio, model
        self.first: Props = self.props(first, Settings()) if first else {}  # what the page shows before anybody asks
        with gr.Column(visible=first is not None, elem_id="sampling") as self.panel:
            with gr.Row(elem_id="sampled"):
                with gr.Column(scale=4, min_width=300, elem_id="asked"):
                    text("sampling-note", "sampling.html")
                    self.another = gr.Button(variant="primary", elem_id="another", **self._first("another", value="New pictures"))
                    with gr.Row(elem_id="sampling-keep"):
                        self.png, self.zip = save_buttons("sampling", "Save", **self.first)
                        self.copy = gr.Button("Copy", size="md", min_width=90, elem_id="sampling-copy")
                    self.told = text("sampling-told")
                with gr.Column(scale=7, min_width=320, elem_id="samples-shown"):
                    self.samples = gallery("samples", columns=4, **self._first("samples", visible=False))
            with gr.Accordion("Watch it learn", open=False, elem_id="sampling-watch", **self._first("watch")) as self.watch:
                self._add_epochs()
            with gr.Accordion("Details", open=False, elem_id="sampling-details") as self.details:
                self._add_details()

    def _add_epochs(self) -> None:
        self.watching = gr.State(False)
        text("sampling-watch-note", "watch.html")
        self.epoch = epoch_slider("sampling-epoch", **self._first("epoch"))
        self.epochs = gallery("sheets", columns=5, visible=False)
        with gr.Row():
            self.epochs_saves = save_buttons("sheets")

    def _add_details(self) -> None:
        """`visible=False`: its components are sent to the browser when it is opened."""
        self.opened, self.detail = gr.State(False), gr.State("card")
        with gr.Row(elem_id="settings"):
            self.seed = NumberSlider(0, label="Seed", track=SLIDER_SEEDS, most=MAX_SEED, elem_id="seed")
            self.n = gr.Slider(1, MAX_SAMPLES, 16, step=1, precision=0, label="Pictures", buttons=[], elem_id="n")
            self.truncation = gr.Slider(
                0.1, FULL, FULL, step=0.1, label=truncation_label(FULL), buttons=[], elem_id="truncation"
            )  # fmt: skip
        self.tabs = {}
        with gr.Tabs():
            with gr.Tab("About this model", id="card") as self.tabs["card"]:
                self.card = gr.Markdown(visible=False, elem_id="sampling-card", elem_classes="card")
            with gr.Tab("Between two seeds", id="between") as self.tabs["between"]:
                with gr.Row():
                    self.ends = [seed_field("From seed", 0, "seed-a"), seed_field("To seed", 1, "seed-b")]
                    self.steps = gr.Slider(2, MAX_STEPS, 8, step=1, precision=0, label="Steps", buttons=[], elem_id="steps")
                self.between = gallery("between", visible=False)
                with gr.Row():
                    self.between_saves = save_buttons("between")

    # -------------------------------------------------------------------------------------------------- events
    @property
    def inputs(self) -> list[Any]:
        """The model and the components of Settings, in its order."""
        return [
            self.model, self.epoch, self.truncation, self.seed, self.n, *self.ends, self.steps, self.opened, self.detail
        ]  # fmt: skip

    @property
    def named(self) -> dict[str, Any]:
        """The components that `props` has names for."""
        names = "panel another samples png zip told watch epoch truncation opened detail card between"
        ends = {f"seed {i}": one for i, one in enumerate(self.ends)}
        saves = dict(zip(("between png", "between zip"), self.between_saves, strict=True))
        return {name: getattr(self, name) for name in names.split()} | ends | saves

    @property
    def progress(self) -> list[Any]:
        """The components that show that something is being worked on."""
        return [self.samples, self.between]

    @property
    def more_event(self) -> dict[str, Any]:
        """Inputs, outputs and options of an event that fills the images of all epochs."""
        outputs = [self.epochs, *self.epochs_saves]
        return {"inputs": [self.watching, *self.inputs], "outputs": outputs, "show_progress_on": self.epochs, **PROGRESS}

    def events(self) -> None:
        """Connects the events with their handlers."""
        show: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs, "show_progress_on": self.progress, **PROGRESS}
        changed = [one.input for one in self.inputs[1:-2]]
        another = self.another.click(lambda: random.randrange(SLIDER_SEEDS + 1), None, self.seed, **HIDDEN)
        for one in (another.then(self.show, **show), gr.on(changed, self.show, trigger_mode="always_last", **show)):
            one.then(self.show_more, **self.more_event)
        for detail, tab in self.tabs.items():
            tab.select(functools.partial(self.look, detail=detail), **show)
        self.details.expand(functools.partial(self.look, opened=True), **show)
        self.details.collapse(lambda: False, None, self.opened, **HIDDEN)
        self.watch.expand(unfolded, None, [self.watching, self.epochs], **HIDDEN).then(self.show_more, **self.more_event)
        self.watch.collapse(lambda: False, None, self.watching, **HIDDEN)
        self.copy.click(None, self.png, self.told, js=COPY, **HIDDEN)

    # ------------------------------------------------------------------------------------------------ handlers
    def chosen(self, model: ModelEntry) -> Updates:
        """Updates for a newly chosen model: its images of the first seed."""
        return updates(self.named, self.props(model, Settings()))

    def hidden(self) -> Updates:
        """Updates for a newly chosen model that translates."""
        return {self.panel: gr.update(visible=False)}

    @explain_sampling_errors
    def show(self, name: str, *values: Any) -> Updates:
        """Updates after another choice of a component."""
        return self._shown(name, Settings(*values))

    @explain_sampling_errors
    def look(self, name: str, *values: Any, **opened: Any) -> Updates:
        """Updates for the details, or a tab of them, that were opened."""
        before = Settings(*values)
        after = before._replace(**opened)
        return self._shown(name, after) if after != before else self.unchanged(self._sampler(name))

    def _shown(self, name: str, settings: Settings) -> Updates:
        model = self._sampler(name)
        return updates(self.named, self.props(model, settings, fresh=False)) if model else self.unchanged(None)

    def _sampler(self, name: str | None) -> ModelEntry | None:
        return next((one for one in self.studio.models() if one.name == name and one.is_sampler), None)

    def props(self, model: ModelEntry, settings: Settings, fresh: bool = True) -> Props:
        """The properties of all components, by name; `fresh`: the model is new."""
        epoch = model.best_epoch if settings.epoch is None else model.nearest_epoch(settings.epoch)
        limit = None if settings.truncation >= FULL else settings.truncation
        samples = self.studio.sample(model.name, settings.n, settings.seed, limit, epoch.name)
        seed, file = f"{settings.seed:.0f}", f"{model.name}-{epoch.name}"
        props: Props = {
            "samples": {
                "value": [(image, f"Picture {i} of seed {seed}") for i, image in enumerate(samples, 1)],
                "visible": True,
            },
            **_saved(f"{file}-seed-{seed}", sheet(samples), _numbered(samples)),
            "told": {"value": ""},
            "epoch": epoch_marks(model),
            "truncation": {"label": truncation_label(settings.truncation)},
        }
        if settings.opened:
            props |= {"opened": {"value": True}, "detail": {"value": settings.detail}}
            props |= {name: {"visible": True} for name in ("seed 0", "seed 1")}
            if settings.detail == "card":
                props["card"] = {"visible": True, "value": self.studio.card(model.name, epoch.name)}
            else:
                props |= self._between_props(model, settings, limit, epoch.name, file)
        if fresh:
            props |= {
                "panel": {"visible": True},
                "another": {"value": f"New {model.labels[0]}s"},
                "watch": {"visible": len(model.epochs) > 1},
                "epoch": epoch_props(model, settings.epoch),
            }
        return props

    def _between_props(self, model: ModelEntry, settings: Settings, limit: float | None, epoch: str, file: str) -> Props:
        a, b = settings.seed_a, settings.seed_b
        between = self.studio.interpolate(model.name, a, b, settings.steps, limit, epoch)
        captions = [f"Seed {a:.0f}", *(f"{i} of {len(between)}" for i in range(2, len(between))), f"Seed {b:.0f}"]
        whole = labelled_row(list(zip(captions, between, strict=True)))
        saved = _saved(f"{file}-seeds-{a:.0f}-{b:.0f}", whole, _numbered(between))
        shown = {"value": list(zip(between, captions, strict=True)), "visible": True}
        return {"between": shown, "between png": saved["png"], "between zip": saved["zip"]}

    @explain_sampling_errors
    def show_more(
        self, watching: bool, name: str, *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> Updates:  # fmt: skip
        """Updates of the images of all epochs, if they are open."""
        model, settings = self._sampler(name), Settings(*values)
        if not watching or model is None:
            return {self.epochs: gr.skip()}
        limit = None if settings.truncation >= FULL else settings.truncation
        sheets = self.studio.sample_every_epoch(name, settings.n, settings.seed, limit, progress=progress_callback(progress))
        whole = labelled_row([(f"{epoch.title}\n{epoch.mark}".rstrip(), image) for epoch, image in sheets])
        saved = _saved(f"{name}-seed-{settings.seed:.0f}-epochs", whole, [(epoch.name, image) for epoch, image in sheets])
        return {
            self.epochs: gr.update(value=[(image, epoch.label) for epoch, image in sheets], visible=True),
            **{button: gr.update(**one) for button, one in zip(self.epochs_saves, saved.values(), strict=True)},
        }


def _saved(name: str, whole: Image.Image, single: list[tuple[str, Image.Image]]) -> Props:
    """The values of the two buttons that save images: all of them as one PNG, and a zip of each."""
    return {
        "png": {"value": saved_file(png_bytes(whole), f"{name}.png")},
        "zip": {"value": str(save_zip(single, private_folder(), f"{name}.zip"))},
    }


def save_buttons(elem_id: str, label: str = "Save as PNG", **first: Any) -> tuple[gr.DownloadButton, gr.DownloadButton]:
    """The buttons that save images as one PNG, and as a zip of all; `first` has the properties "png" and "zip"."""
    png, archive = first.get("png", {}), first.get("zip", {})
    return (
        gr.DownloadButton(label, variant="primary", size="md", min_width=90, elem_id=f"{elem_id}-png", **png),
        gr.DownloadButton("Save all as zip", size="md", min_width=90, elem_id=f"{elem_id}-zip", **archive),
    )


def seed_field(label: str, value: int, elem_id: str) -> gr.Number:
    return Number(value, label=label, minimum=0, maximum=MAX_SEED, precision=0, min_width=120, visible=False, elem_id=elem_id)


def gallery(elem_id: str, columns: int = 8, **options: Any) -> gr.Gallery:
    return gr.Gallery(
        format="png", show_label=False, columns=columns, height="auto", object_fit="contain", interactive=False, buttons=[],
        elem_id=elem_id, elem_classes="generated", **options,
    )  # fmt: skip


def truncation_label(truncation: float) -> str:
    """The label of the truncation's slider, which explains its value."""
    if truncation >= FULL:
        return "Truncation: none, full variety"
    return f"Truncation {truncation:.1f}: " + ("much alike, rarely odd" if truncation < 1 else "less varied, less odd")


def _numbered(samples: list[Image.Image]) -> list[tuple[str, Image.Image]]:
    return [(f"{i:02d}", image) for i, image in enumerate(samples, 1)]
