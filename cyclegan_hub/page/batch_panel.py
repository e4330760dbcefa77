"""The panel for several images: files in, a gallery and a zip out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from cyclegan_hub.page import components as ui
from cyclegan_hub.page.components import Updates
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio


class BatchPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, model: gr.Radio, direction: gr.State) -> None:
        self.studio, self.model, self.direction = studio, model, direction
        self._left: set[str] = set()  # users who went away while their images were being translated
        self._working: set[str] = set()
        # `visible=False`: what only this tab has is sent to the browser when it is opened.
        with gr.Tab("Several photos", id="several") as self.tab, gr.Row(elem_id="several"):
            with gr.Column(scale=4, min_width=300):
                self.files = ui.Files(label="Your photos", file_count="multiple", height=220, visible=False, elem_id="files")
                self.part = ui.face_or_whole(visible=False, elem_id="batch-part")
                self.strength = ui.strength_slider(visible=False, elem_id="batch-strength")
                self.go = gr.Button("Translate all", variant="primary", elem_id="go")
                with gr.Accordion("Details", open=False, elem_id="batch-details"):
                    self.epoch = gr.Dropdown(label="Epoch", visible=False, elem_id="batch-epoch")
                    self.format = ui.save_format(label="Save each as", visible=False, elem_id="batch-format")
            with gr.Column(scale=7, min_width=320):
                self.gallery = gr.Gallery(
                    show_label=False, format="png", columns=4, height=452, object_fit="contain", interactive=False, buttons=[],
                    visible=False, elem_id="batch",
                )  # fmt: skip
                self.notes = ui.text("batch-notes")
                self.zip = gr.DownloadButton("Save all as zip", interactive=False, elem_id="zip")

    def events(self, demo: gr.Blocks) -> None:
        """Connects the events with their handlers."""
        inputs = [self.files, self.model, self.direction, self.epoch, self.part, self.strength, self.format]
        self.go.click(self.show, inputs, [self.gallery, self.notes, self.zip], show_progress_on=self.gallery, **ui.PRIVATE)
        self.tab.select(
            self.open, [self.model, self.direction], [*self.outputs, self.files, self.format, self.gallery], **ui.HIDDEN
        )
        demo.unload(self.gone)

    @ui.explain_errors
    def open(self, model: str, direction: str) -> Updates:
        """Updates when the tab is opened."""
        shown = dict.fromkeys([self.files, self.format, self.gallery], gr.update(visible=True))
        return self.chosen(self.studio.model(model), direction) | shown

    def chosen(self, model: ModelEntry, direction: str) -> Updates:
        """Updates for a newly chosen model or direction: its epochs and options."""
        epochs = [(epoch.label, epoch.name) for epoch in model.epochs]
        return {
            self.epoch: gr.update(choices=epochs, value=model.best_epoch.name, visible=len(epochs) > 1),
            self.part: gr.update(visible=bool(model.eyes(direction)), value="face"),
            self.strength: gr.update(visible=model.skip, value=1),
        }

    @property
    def outputs(self) -> list[Any]:
        """The components that `chosen` updates."""
        return [self.epoch, self.part, self.strength]

    @ui.explain_errors
    def show(
        self, files: list[str] | None, model: str, direction: str, epoch: str | None, part: str, strength: float,
        format: Any, request: gr.Request, progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> tuple[list[Any], str, dict[str, Any]]:  # fmt: skip
        """Returns (gallery, notes, zip). Stops early, and leaves no files, if the user closes the page."""
        user, report = str(request.session_hash), ui.progress_callback(progress)

        def report_or_stop(done: int, total: int) -> None:
            if user in self._left:
                raise ServingError("The page was closed while the photos were being translated.")
            report(done, total)

        options = ui.translation_options(self.studio.model(model), direction, part, strength)
        paths = [Path(file) for file in files or ()]
        self._working.add(user)
        try:
            batch = self.studio.translate_batch(
                paths, model, direction, epoch, options, folder=ui.private_folder(), format=format, progress=report_or_stop
            )
        finally:
            self._working.discard(user)
            self._left.discard(user)
        count, shown = f"{batch.done} of {len(paths)} translated", len(batch.thumbnails)
        first = f"{count}; the first {shown} are shown, all are in the zip." if batch.done > shown else f"{count}."
        zipped = str(batch.zip) if batch.zip else None
        gallery = [(image, name) for name, image in batch.thumbnails]
        return gallery, ui.as_html([first, *batch.lines, *batch.errors]), gr.update(value=zipped, interactive=bool(zipped))

    def gone(self, request: gr.Request) -> None:
        """Called when a user closes the page."""
        if str(request.session_hash) in self._working:
            self._left.add(str(request.session_hash))
