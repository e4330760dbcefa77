"""The panel for a live camera: it translates the frames, and shows the last result large beside a small view of the camera."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan_hub.faces.track import Track
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.page import components as ui
from cyclegan_hub.page.components import Updates
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.photos import LiveFrame
from cyclegan_hub.serving.results import enlarged, jpeg_bytes
from cyclegan_hub.serving.studio import Studio

INTERVAL = 0.05  # seconds between two frames from the browser; a frame that must wait is replaced by the next one
MAX_MINUTES = 5  # of a stream
MAX_STREAMS = 8  # at the same time; the Studio translates one frame of each in turn
FRAME = {"video": {"width": {"ideal": 320}, "height": {"ideal": 240}, "frameRate": {"ideal": 30}}}


class LivePanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, model: gr.Radio, direction: gr.State, first: ModelEntry | None) -> None:
        self.studio, self.model, self.direction = studio, model, direction
        with gr.Tab("Live camera", id="live") as self.tab, gr.Row(elem_id="live"):
            with gr.Column(scale=4, min_width=300, elem_id="filmed"):
                # The state is inside a tab, because gradio counts components between tabs as tabs.
                self.pace = gr.State(None)  # (time of the last frame in s, frames a second so far)
                self.track = gr.State(None)  # the `Track` of the last frame
                ui.text("live-hint", "live.html")
                with gr.Row(elem_id="live-go"):  # browser.js lets them do what gradio's own button does, which is hidden
                    gr.Button("Start", variant="primary", min_width=120, elem_id="start")
                    gr.Button("Stop", variant="stop", min_width=120, elem_id="stop")
                self.camera = ui.Camera(
                    label="Your camera", show_label=False, sources=["webcam"], streaming=True, height=200, interactive=True,
                    buttons=[], webcam_options=gr.WebcamOptions(mirror=True, constraints=FRAME), elem_id="camera-live",
                )  # fmt: skip
                with gr.Accordion("Watch it learn", open=False, elem_id="live-watch"):
                    self.epoch = ui.epoch_slider(elem_id="live-epoch", **(ui.epoch_props(first) if first else {}))
            with gr.Column(scale=7, min_width=320, elem_id="shown"):
                self.result = gr.HTML(padding=False, elem_id="live-result")
                self.notes = ui.text("live-notes")
                with gr.Row(elem_id="live-keep"):
                    self.still = gr.Button("Take a still", min_width=120, elem_id="still")
                    self.save = gr.DownloadButton(
                        "Save the still", variant="primary", min_width=120, interactive=False, elem_id="still-save"
                    )

    def events(self, leaving: list[gr.Tab]) -> None:
        """Connects the events with their handlers; opening a tab of `leaving` ends the stream."""
        inputs = [self.camera, self.model, self.direction, self.epoch, self.track]
        self.camera.stream(
            self.show, [*inputs, self.pace], [self.result, self.notes, self.track, self.pace], stream_every=INTERVAL,
            time_limit=60 * MAX_MINUTES, concurrency_limit=MAX_STREAMS, concurrency_id="live", **ui.HIDDEN,
        )  # fmt: skip
        self.still.click(self.take, inputs, self.save, **ui.HIDDEN)
        for tab in leaving:
            tab.select(None, None, None, js="() => stopCamera()", **ui.HIDDEN)

    def chosen(self, model: ModelEntry) -> Updates:
        """Updates for a newly chosen model: its epochs."""
        return {self.epoch: gr.update(**ui.epoch_props(model))}

    @property
    def outputs(self) -> list[Any]:
        """The components that `chosen` updates."""
        return [self.epoch]

    @ui.explain_errors
    def show(
        self, frame: str | None, model: str, direction: str, epoch: int, track: Track | None, pace: tuple[float, float] | None
    ) -> tuple[Any, Any, Track | None, Any]:
        """Returns (the translated frame as HTML, a text with the frames a second, the new track, the new pace)."""
        if not frame:
            return gr.skip(), gr.skip(), None, None
        _, after, track = self._translated(frame, model, direction, epoch, track)
        now = time.monotonic()
        speed = 0.0
        if pace is not None:
            own = 1 / max(now - pace[0], 1e-3)
            speed = own if pace[1] == 0 or now - pace[0] > 2 else 0.9 * pace[1] + 0.1 * own
        progress = f"{speed:.0f} frames a second" if speed else "Starting"
        lines = [f"{progress}, at {after.width} x {after.height} pixels."]
        if track is None and self.studio.model(model).eyes(direction):
            lines.append("No face is found: the middle of the picture is translated.")
        return _as_html(after), ui.as_html(lines), track, (now, speed)

    @ui.explain_errors
    def take(self, frame: str | None, model: str, direction: str, epoch: int, track: Track | None) -> dict[str, Any]:
        """Saves the last frame and its translation as one PNG."""
        if not frame:
            raise ServingError("There is no frame yet: start the camera first.")
        before, after, _ = self._translated(frame, model, direction, epoch, track)
        pair = grids.grid([[enlarged(before), enlarged(after)]], gap=8)
        return gr.update(value=ui.saved_file(images.png_bytes(pair), f"{model}-{direction}-still.png"), interactive=True)

    def _translated(self, frame: str, model: str, direction: str, epoch: int, track: Track | None) -> LiveFrame:
        try:
            content = base64.b64decode(frame.partition(",")[2], validate=True)
            image = images.decode(content, name="frame")
        except (binascii.Error, images.ImageError):
            raise ServingError("The camera's picture cannot be read: stop it and start it again.") from None
        chosen = self.studio.model(model).nearest_epoch(epoch)
        return self.studio.live_frame(image, model, direction, chosen.name, track)


def _as_html(image: Image.Image) -> str:
    """An image as HTML with the file in it: nothing of a stream is ever written to disk."""
    source = f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(image)).decode()}"
    return f'<img alt="Your camera, translated" src="{source}">'
