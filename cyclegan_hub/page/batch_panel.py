"""The panel for several pictures: files in, a gallery and a zip out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from cyclegan_hub.page.components import (
    Files,
    as_html,
    explain_errors,
    face_or_whole,
    options_for,
    private_folder,
    progress_callback,
    strength_slider,
    text,
)
from cyclegan_hub.serving.catalog import DomainChoice, EpochChoice
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import SAVE_FORMATS
from cyclegan_hub.serving.studio import Studio


class BatchPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, domain: gr.Radio, direction: gr.Radio) -> None:
        self.studio, self.domain, self.direction = studio, domain, direction
        self._left: set[str] = set()  # visitors who went away while their pictures were being translated
        self._working: set[str] = set()
        with gr.Tab("Several pictures", id="several") as self.tab, gr.Row(elem_id="several"):
            with gr.Column(scale=4, min_width=300):
                self.files = Files(label="Your pictures", file_count="multiple", type="filepath", height=220, elem_id="files")
                self.epoch = gr.Dropdown(label="Epoch", elem_id="batch-epoch")
                self.part = face_or_whole("batch-part")
                self.strength = strength_slider("batch-strength")
                self.way = gr.Dropdown(
                    [(way.label, name) for name, way in SAVE_FORMATS.items()],
                    value="png",
                    label="Save each as",
                    elem_id="batch-way",
                )
                self.go = gr.Button("Translate all", variant="primary", elem_id="go")
            with gr.Column(scale=7, min_width=320):
                self.gallery = gr.Gallery(
                    show_label=False, format="png", columns=5, height=356, object_fit="contain", interactive=False, buttons=[],
                    elem_id="batch",
                )  # fmt: skip
                self.notes = text("batch-notes")
                self.zip = gr.DownloadButton("Save all as zip", interactive=False, elem_id="zip")

    def events(self, demo: gr.Blocks, private: dict[str, Any]) -> None:
        """Connects the events with their handlers."""
        asked = [self.files, self.domain, self.direction, self.epoch, self.part, self.strength, self.way]
        self.go.click(self.show, asked, [self.gallery, self.notes, self.zip], show_progress_on=self.gallery, **private)
        given: dict[str, Any] = {"show_progress": "hidden", **private}
        self.direction.input(self.offer, [self.domain, self.direction], self.part, **given)
        demo.unload(self.gone)

    def choose(self, choice: DomainChoice, epochs: list[EpochChoice]) -> dict[Any, Any]:
        """Updates for a newly chosen model: its epochs and options."""
        best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
        choices = [(epoch.label, epoch.name) for epoch in epochs]
        return {
            self.epoch: gr.update(choices=choices, value=best.name, visible=len(epochs) > 1),
            self.part: gr.update(visible=choice.takes_faces(choice.directions[0]), value="face"),
            self.strength: gr.update(visible=choice.skip, value=1),
        }

    @property
    def chosen(self) -> list[Any]:
        """The components that `choose` updates."""
        return [self.epoch, self.part, self.strength]

    @explain_errors
    def offer(self, domain: str, direction: str) -> Any:
        """The update of the choice between face and photograph for a newly chosen direction."""
        return gr.update(visible=self.studio.choice(domain).takes_faces(direction))

    @explain_errors
    def show(
        self, files: list[str] | None, domain: str, direction: str, epoch: str | None, part: str, strength: float,
        way: Any, request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> tuple[list[Any], str, dict[str, Any]]:  # fmt: skip
        """Returns (gallery, notes, zip). Stops early, and leaves no files, if the visitor closes the page."""
        visitor, report = str(request.session_hash), progress_callback(progress)

        def progressed(done: int, total: int) -> None:
            if visitor in self._left:
                raise ServingError("The page was closed while the pictures were being translated.")
            report(done, total)

        self._working.add(visitor)
        try:
            batch = self.studio.translate_batch(
                [Path(file) for file in files or ()], domain, direction, epoch, folder=private_folder(), progress=progressed,
                way=way, **options_for(self.studio.choice(domain), direction, part, strength),
            )  # fmt: skip
        finally:
            self._working.discard(visitor)
            self._left.discard(visitor)
        count = f"{batch.done} of {len(files or ())} translated"
        hidden = batch.done - len(batch.pictures)
        lines = [f"{count}; the first {len(batch.pictures)} are shown, all are in the zip." if hidden > 0 else f"{count}."]
        zipped = str(batch.zip) if batch.zip else None
        pictures = [(picture, name) for name, picture in batch.pictures]
        return pictures, as_html([*lines, *batch.lines, *batch.errors]), gr.update(value=zipped, interactive=bool(zipped))

    def gone(self, request: gr.Request) -> None:
        """Called when a visitor closes the page."""
        if str(request.session_hash) in self._working:
            self._left.add(str(request.session_hash))
