"""The whole page: the choice of a model, the panels, and the named endpoints."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cyclegan_hub.page.api import Endpoints
from cyclegan_hub.page.batch_panel import BatchPanel
from cyclegan_hub.page.components import HAS_CAMERA, HIDDEN, PRIVATE, Blocks, as_html, explain_errors, text
from cyclegan_hub.page.live_panel import LivePanel
from cyclegan_hub.page.sampling_panel import SamplingPanel
from cyclegan_hub.page.translation_panel import TranslationPanel
from cyclegan_hub.serving.studio import Studio

# Seconds: files of users that are older than the first number are deleted; the second is how often that is checked.
DELETE_AFTER = 40 * 60, 10 * 60


class Page:
    """The page of a Studio. Its panels are attributes; `demo` is the gradio Blocks."""

    def __init__(self, studio: Studio, delete_after: tuple[int, int] = DELETE_AFTER) -> None:
        self.studio = studio
        age, interval = delete_after
        with Blocks(title="CycleGAN Hub", delete_cache=(interval, age), analytics_enabled=False) as self.demo:
            text("head", "header.html")
            with gr.Column(visible=bool(studio.models()), elem_id="body") as self.body:
                with gr.Row(elem_id="choices"):
                    self.model = gr.Radio(label="Model", elem_id="model")
                    self.direction = gr.Radio(label="Direction", elem_id="direction")
                with gr.Column() as self.translating, gr.Tabs(elem_id="panels"):
                    self.one = TranslationPanel(studio, self.model, self.direction)
                    self.several = BatchPanel(studio, self.model, self.direction)
                    self.live = LivePanel(studio, self.model, self.direction)
                self.sampling = SamplingPanel(studio)
            self.status = text("status")
            text("foot", "footer.html")
            self._events()
            Endpoints(studio)

    def _events(self) -> None:
        """Connects the events with their handlers."""
        camera = gr.Checkbox(visible=False)  # set by HAS_CAMERA in the browser
        panels = (self.one, self.several, self.live, self.sampling)
        chosen = [self.translating, self.direction, *(one for panel in panels for one in panel.chosen)]
        opened = [self.one.photo, self.one.no_camera, self.live.hint, self.status, self.body, self.model, *chosen]
        first = self.demo.load(self.open, camera, opened, js=HAS_CAMERA, **PRIVATE)
        other = self.model.input(self.choose, self.model, chosen, **HIDDEN)
        self.one.events(first, other)
        self.several.events(self.demo)
        self.live.events(leaving=[self.one.tab, self.one.epochs_tab, self.several.tab])
        self.sampling.events(self.model, after=(first, other))

    @explain_errors
    def open(self, camera: bool) -> dict[Any, Any]:
        """Updates when the page opens: the camera, if there is one, and the models."""
        models = self.studio.models()
        sources = ["upload", "webcam", "clipboard"] if camera else ["upload", "clipboard"]
        update: dict[Any, Any] = {
            self.one.photo: gr.update(sources=sources),
            self.one.no_camera: as_html([] if camera else ["No camera was found: upload a picture, or paste one."]),
            self.live.hint: as_html(
                ["Allow the camera, then start it. Its pictures are translated here and never stored."]
                if camera
                else ["No camera was found: the live view needs one, and a page of https or of this machine."]
            ),
            self.status: as_html([self.studio.status()]),
            self.body: gr.update(visible=bool(models)),
        }
        if models:
            names = [(model.title, model.name) for model in models]
            update |= {self.model: gr.update(choices=names, value=models[0].name), **self.choose(models[0].name)}
        return update

    @explain_errors
    def choose(self, name: str) -> dict[Any, Any]:
        """Updates for a newly chosen model: its panels, directions, epochs and options."""
        model = self.studio.model(name)
        directions = [(model.arrow(direction), direction) for direction in model.directions]
        update: dict[Any, Any] = {
            self.translating: gr.update(visible=not model.is_sampler),
            self.direction: gr.update(choices=directions, value=directions[0][1], visible=len(directions) > 1),
        }
        for panel in (self.one, self.several, self.live, self.sampling):
            update |= panel.choose(model)
        return update
