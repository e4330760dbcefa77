"""The whole page: the choice of a model, the panels, and the named endpoints."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cyclegan_hub.page.api import Endpoints
from cyclegan_hub.page.batch_panel import BatchPanel
from cyclegan_hub.page.components import HAS_CAMERA, Blocks, as_html, explain_errors, text
from cyclegan_hub.page.live_panel import LivePanel
from cyclegan_hub.page.sampling_panel import SamplingPanel
from cyclegan_hub.page.translation_panel import TranslationPanel
from cyclegan_hub.serving.studio import Studio

# Seconds: files of visitors that are older than the first number are deleted; the second is how often that is checked.
DELETE_AFTER = 40 * 60, 10 * 60
PRIVATE: dict[str, Any] = {"api_visibility": "private"}


class Page:
    """The page of a Studio. Its panels are attributes; `demo` is the gradio Blocks."""

    def __init__(self, studio: Studio, delete_after: tuple[int, int] = DELETE_AFTER) -> None:
        self.studio = studio
        age, often = delete_after
        with Blocks(title="CycleGAN Hub", delete_cache=(often, age), analytics_enabled=False) as self.demo:
            text("head", "header.html")
            with gr.Column(visible=bool(studio.domains()), elem_id="body") as self.body:
                with gr.Row(elem_id="choices"):
                    self.domain = gr.Radio(label="Model", elem_id="domain")
                    self.direction = gr.Radio(label="Direction", elem_id="direction")
                with gr.Column() as self.translating, gr.Tabs(elem_id="panels"):
                    self.one = TranslationPanel(studio, self.domain, self.direction)
                    self.several = BatchPanel(studio, self.domain, self.direction)
                    self.live = LivePanel(studio, self.domain, self.direction)
                self.sampling = SamplingPanel(studio)
            self.status = text("status")
            text("foot", "footer.html")
            self._events()
            Endpoints(studio)

    def _events(self) -> None:
        """Connects the events with their handlers."""
        camera = gr.Checkbox(visible=False)  # set by HAS_CAMERA in the browser
        panels = (self.one, self.several, self.live)
        chosen = [self.translating, self.direction, *(one for panel in panels for one in panel.chosen), *self.sampling.chosen]
        opened = [self.one.photo, self.one.no_camera, self.live.hint, self.status, self.body, self.domain, *chosen]
        first = self.demo.load(self.open, camera, opened, js=HAS_CAMERA, **PRIVATE)
        other = self.domain.input(self.choose, self.domain, chosen, show_progress="hidden", **PRIVATE)
        self.one.events(first, other, PRIVATE)
        self.several.events(self.demo, PRIVATE)
        self.live.events(PRIVATE, leaving=[self.one.tab, self.one.epochs_tab, self.several.tab])
        self.sampling.events(self.domain, after=(first, other))

    @explain_errors
    def open(self, camera: bool) -> dict[Any, Any]:
        """Updates when the page opens: the camera, if there is one, and the models."""
        choices = self.studio.domains()
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
            self.body: gr.update(visible=bool(choices)),
        }
        if choices:
            names = [(choice.title, choice.name) for choice in choices]
            update |= {self.domain: gr.update(choices=names, value=choices[0].name), **self.choose(choices[0].name)}
        return update

    @explain_errors
    def choose(self, domain: str) -> dict[Any, Any]:
        """Updates for a newly chosen domain: its panels, directions, epochs and options."""
        choice, epochs = self.studio.choice(domain), self.studio.epochs(domain)
        directions = [(choice.arrow(direction), direction) for direction in choice.directions]
        update: dict[Any, Any] = {
            self.translating: gr.update(visible=not choice.draws),
            self.direction: gr.update(choices=directions, value=directions[0][1], visible=len(directions) > 1),
        }
        for panel in (self.one, self.several, self.live, self.sampling):
            update |= panel.choose(choice, epochs)
        return update
