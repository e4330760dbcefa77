"""The Space: translations side by side, drawn pictures, a slider over the epochs, batches, an API. Layout and events only.

What stands behind it is `cyclegan_hub/serving.py`, without gradio. CYCLEGAN_HUB_MODELS chooses the models (a folder, "user" or
"user/repository" of the Hub; without it those in `pretrained/`), GRADIO_SERVER_NAME and GRADIO_SERVER_PORT where it listens.
"""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads make each other wait on small machines

import functools
import signal
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr

from cyclegan_hub import images
from cyclegan_hub.page import components as parts
from cyclegan_hub.page import theme
from cyclegan_hub.page.answers import answered, private_folder, said, saved, steps
from cyclegan_hub.page.api import Endpoints
from cyclegan_hub.page.components import HAS_CAMERA, Files, Photo, text
from cyclegan_hub.page.sampling_panel import PRIVATE, Drawing
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.model_info import DomainChoice
from cyclegan_hub.serving.studio import Studio

FREE = Path(__file__).parent / "cyclegan_hub" / "free_images"
EXAMPLES = {  # what each shows; where it comes from is in free_images/ATTRIBUTION.md and on the page
    "astronaut_face.jpg": "the face of the astronaut Eileen Collins",
    "astronaut.jpg": "the astronaut Eileen Collins",
    "rocket.jpg": "the launch of a rocket",
    "coffee.jpg": "a cup of coffee",
    "chelsea.jpg": "a cat",
}
KEPT = 40 * 60, 10 * 60  # seconds: uploads and results older than the first are deleted, looked for as often as the second
WAITING = 64  # requests in the queue; the next one is told that it is full


class Page:
    """The page over a Studio: its components are attributes, its events methods. `demo` is the gradio Blocks."""

    def __init__(self, studio: Studio, kept: tuple[int, int] = KEPT) -> None:
        self.studio = studio
        age, often = kept
        with gr.Blocks(title="CycleGAN Hub", delete_cache=(often, age), analytics_enabled=False) as self.demo:
            text("head", "header.html")
            with gr.Column(visible=bool(studio.domains())) as self.body:
                with gr.Row(elem_id="choices"):
                    self.domain = gr.Radio(label="Model", elem_id="domain")
                    self.direction = gr.Radio(label="Direction", elem_id="direction")
                with gr.Column() as self.translating:
                    with gr.Tab("One picture"), gr.Row():
                        with gr.Column(scale=4, min_width=300):
                            self.give()
                        with gr.Column(scale=7, min_width=320):
                            self.results()
                    with gr.Tab("Several pictures"):
                        self.several()
                self.drawing = Drawing(studio)
            self.status = text("status")
            text("foot", "footer.html")
            self.events()
            Endpoints(studio)

    # -------------------------------------------------------------------------------------------------- layout
    def give(self) -> None:
        """Left: the picture, the examples and the options."""
        self.photo = Photo(
            label="Your picture", type="filepath", height=236, sources=["upload", "webcam", "clipboard"], interactive=True,
            buttons=[], elem_id="photo", alt_text="The picture that you gave",
        )  # fmt: skip
        self.no_camera = text("camera")
        gr.Examples(
            [[str(FREE / name)] for name in EXAMPLES], self.photo, label="Or one of these", elem_id="examples",
            cache_examples=False, api_name=None, **PRIVATE,
        )  # fmt: skip
        self.crop = gr.Checkbox(label="Crop to the face", container=False, elem_id="crop")
        self.original = gr.Checkbox(label="Keep the original size", container=False, elem_id="original")

    def results(self) -> None:
        """Right: the views of one result, a tab each, and what holds for all of them."""
        self.view = gr.State("slider")
        self.tabs = {}
        with gr.Tabs(elem_id="views") as self.views:
            with gr.Tab("Slider", id="slider") as self.tabs["slider"]:
                self.slider = gr.ImageSlider(
                    format="png", show_label=False, height=356, max_height=356, buttons=["fullscreen"], interactive=False,
                    elem_id="slider",
                )  # fmt: skip
            with gr.Tab("Pair") as self.tabs["pair"], gr.Row(elem_classes="pictures"):
                self.pair = [self.picture("Before"), self.picture("After")]
            with gr.Tab("And back") as self.tabs["back"], gr.Row(elem_classes="pictures"):
                self.cycle = [self.picture(name) for name in ("Before", "After", "Translated back")]
            with gr.Tab("All epochs") as self.tabs["epochs"]:
                self.gallery = gr.Gallery(
                    format="png", show_label=False, columns=5, height=306, object_fit="contain", interactive=False, buttons=[],
                    elem_id="row",
                )  # fmt: skip
                with gr.Row():
                    self.row_png = gr.DownloadButton("Save this row as PNG", size="sm")
                    self.row_zip = gr.DownloadButton("Save all as zip", size="sm")
            with gr.Tab("Colours") as self.tabs["colours"]:
                self.histogram = gr.Image(
                    format="png", show_label=False, height=356, interactive=False, buttons=[], elem_id="histogram",
                    alt_text="Colour histograms of the picture before and after",
                )  # fmt: skip
            with gr.Tab("About") as self.tabs["card"]:
                self.card = gr.Markdown(height=356, elem_id="card", elem_classes="card")
        self.notes = text("notes")
        with gr.Row(elem_id="bottom"):
            self.epoch = parts.epoch_field("epoch")
            self.save = gr.DownloadButton("Save as PNG", variant="primary", scale=1, min_width=140, elem_id="save")

    def picture(self, name: str) -> gr.Image:
        alternative = {"Before": "The picture before translation", "After": "The translation"}.get(name, "The way back")
        return gr.Image(
            label=name, format="png", height=356, min_width=150, interactive=False, buttons=["fullscreen"], alt_text=alternative
        )

    def several(self) -> None:
        """The second tab: files in, a gallery and a zip out."""
        with gr.Row():
            with gr.Column(scale=4, min_width=300):
                self.files = Files(label="Your pictures", file_count="multiple", type="filepath", height=250, elem_id="files")
                self.batch_epoch = gr.Dropdown(label="Epoch", elem_id="batch-epoch")
                self.go = gr.Button("Translate all", variant="primary", elem_id="go")
            with gr.Column(scale=7, min_width=320):
                self.batch = gr.Gallery(
                    label="Translations", format="png", columns=5, height=356, object_fit="contain", interactive=False,
                    buttons=[], elem_id="batch",
                )  # fmt: skip
                self.batch_notes = text("batch-notes")
                self.zip = gr.DownloadButton("Save all as zip", interactive=False, elem_id="zip")

    # -------------------------------------------------------------------------------------------------- events
    def events(self) -> None:
        """What leads to what."""
        asked = [self.photo, self.domain, self.direction, self.epoch, self.crop, self.original]
        shown = [
            self.view, self.slider, *self.pair, *self.cycle, self.gallery, self.row_png, self.row_zip, self.histogram, self.card,
            self.notes, self.epoch, self.save,
        ]  # fmt: skip
        chosen = [
            self.translating, self.direction, self.view, self.views, self.tabs["back"], self.epoch, self.crop, self.original,
            self.batch_epoch, self.drawing.panel, self.drawing.epoch,
        ]  # fmt: skip
        pictures = [self.slider, *self.pair, *self.cycle, self.gallery, self.histogram]
        show = {"outputs": shown, "show_progress": "minimal", "show_progress_on": [*pictures, self.card], **PRIVATE}
        camera = gr.Checkbox(visible=False)  # what HAS_CAMERA found
        opened = [self.photo, self.no_camera, self.status, self.body, self.domain, *chosen]
        given = [self.photo.change, self.direction.input, self.epoch.input, self.crop.input, self.original.input]
        first = self.demo.load(self.open, camera, opened, js=HAS_CAMERA, **PRIVATE)
        other = self.domain.input(self.choose, self.domain, chosen, show_progress="hidden", **PRIVATE)
        self.drawing.events(self.domain, after=(first, other))
        showing = [one.then(self.show, [self.view, *asked], **show) for one in (first, other)]
        showing += [gr.on(given, self.show, [self.view, *asked], trigger_mode="always_last", **show)]
        showing += [tab.select(functools.partial(self.show, name), asked, **show) for name, tab in self.tabs.items()]
        for one in showing:  # no picture of before beside a message about another
            one.failure(lambda: [None] * len(pictures) + [""], None, [*pictures, self.notes], show_progress="hidden", **PRIVATE)
        self.go.click(
            self.show_batch, [self.files, self.domain, self.direction, self.batch_epoch, self.crop],
            [self.batch, self.batch_notes, self.zip], show_progress_on=self.batch, **PRIVATE,
        )  # fmt: skip

    @answered
    def open(self, camera: bool) -> dict:
        """When the page opens: whether there is a camera, and which models there are now."""
        choices = self.studio.domains()
        sources = ["upload", "webcam", "clipboard"] if camera else ["upload", "clipboard"]
        update = {
            self.photo: gr.update(sources=sources),
            self.no_camera: said([] if camera else ["No camera was found: upload a picture, or paste one."]),
            self.status: said([self.studio.status()]),
            self.body: gr.update(visible=bool(choices)),
        }
        if choices:
            names = [(choice.title, choice.name) for choice in choices]
            update |= {self.domain: gr.update(choices=names, value=choices[0].name), **self.choose(choices[0].name)}
        return update

    @answered
    def choose(self, domain: str) -> dict:
        """What there is to choose for a domain: its panel, directions, epochs, options."""
        choice, epochs = self.choice(domain), self.studio.epochs(domain)
        directions = [(choice.arrow(direction), direction) for direction in choice.directions]
        best = next((epoch for epoch in epochs if epoch.best), epochs[-1])
        update = {
            self.translating: gr.update(visible=not choice.draws),
            self.direction: gr.update(choices=directions, value=directions[0][1], visible=len(directions) > 1),
            self.tabs["back"]: gr.update(interactive=len(directions) > 1),  # `visible` of a tab takes no update in gradio 6.31
            self.epoch: parts.epoch_slider(epochs),
            self.crop: gr.update(visible=choice.faces, value=False),
            self.original: gr.update(visible=choice.original_size, value=False),
            self.batch_epoch: gr.update(
                choices=[(epoch.label, epoch.name) for epoch in epochs], value=best.name, visible=len(epochs) > 1
            ),
            **self.drawing.choose(choice, epochs),
        }
        if len(directions) == 1:  # the way back, if it is what is shown, is not there any more
            update |= {self.view: "slider", self.views: gr.update(selected="slider")}
        return update

    @answered
    def show(
        self, view: str, photo: str | None, domain: str, direction: str, index: int, crop: bool, original: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> dict:  # fmt: skip
        """Everything that the chosen view shows; the others are filled when they are opened."""
        choice = self.choice(domain) if domain else None
        if choice is None or choice.draws:  # there is nothing to translate
            return {self.view: view}
        name = parts.at_place(self.studio.epochs(domain), index).name
        picture = Path(photo) if photo else FREE / ("astronaut_face.jpg" if choice.faces else "rocket.jpg")
        options = {"resolution": "original" if original else None, "crop_face": crop}
        translate = self.studio.cycle if view == "back" else self.studio.translate
        result = translate(picture, domain, direction, name, **options)
        notes = [*([f"{choice.arrow(direction)}, one way only."] if len(choice.directions) == 1 else []), *result.notes]
        if not photo:
            notes.insert(0, f"This is an example, {EXAMPLES[picture.name]}: give your own picture, or choose another.")
        update = {
            self.view: view,
            self.notes: said(notes),
            self.epoch: gr.update(label=result.epoch.label),
            self.save: saved(result.after, f"{domain}-{direction}-{result.epoch.name}.png"),
        }
        match view:
            case "slider":
                update[self.slider] = (result.before, result.after)
            case "pair":
                update |= dict(zip(self.pair, (result.before, result.after), strict=True))
            case "back":
                update |= dict(zip(self.cycle, (result.before, result.after, result.back), strict=True))
            case "epochs":
                pictures = self.studio.every_epoch(picture, domain, direction, crop, progress=steps(progress))
                update |= {
                    self.gallery: [(result, epoch.label) for epoch, result in pictures],
                    self.row_png: saved(self.studio.row(pictures, result.before), f"{domain}-{direction}-epochs.png"),
                    self.row_zip: str(self.studio.row_zip(pictures, private_folder(), result.before)),
                }
            case "colours":
                update[self.histogram] = self.studio.histogram(result.before, result.after)
            case "card":
                update[self.card] = self.studio.card(domain, name)
        return update

    @answered
    def show_batch(
        self, files: list[str] | None, domain: str, direction: str, epoch: str | None, crop: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (as above)
    ) -> tuple[list, str, dict]:  # fmt: skip
        """The gallery, what was left out and why, and the zip."""
        batch = self.studio.translate_batch(
            [Path(file) for file in files or ()], domain, direction, epoch, folder=private_folder(), progress=steps(progress),
            crop_face=crop,
        )  # fmt: skip
        count = f"{batch.done} of {len(files or ())} translated"
        hidden = batch.done - len(batch.pictures)
        lines = [f"{count}; the first {len(batch.pictures)} are shown, all are in the zip." if hidden > 0 else f"{count}."]
        zipped = str(batch.zip) if batch.zip else None
        pictures = [(picture, name) for name, picture in batch.pictures]
        return pictures, said([*lines, *batch.errors]), gr.update(value=zipped, interactive=bool(zipped))

    def choice(self, domain: str) -> DomainChoice:
        self.studio.epochs(domain)  # raises for an unknown one
        return next(choice for choice in self.studio.domains() if choice.name == domain)


def launch(page: Page, **options: Any) -> Any:
    """Serves the page; gradio reads GRADIO_SERVER_NAME and GRADIO_SERVER_PORT. Uploads are held to what `images.decode` takes."""
    page.demo.queue(max_size=WAITING, default_concurrency_limit=4)
    return page.demo.launch(
        theme=theme.theme(), head=theme.head(), max_file_size=images.MAX_BYTES, show_error=False, share=False, ssr_mode=False,
        quiet=True, footer_links=["api"], run_history=False, enable_monitoring=False, mcp_server=find_spec("mcp") is not None,
        **options,
    )  # fmt: skip


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that a stopped server deletes what it was given, too
    try:
        studio = Studio(os.environ.get("CYCLEGAN_HUB_MODELS") or None)
    except ServingError as error:
        sys.exit(f"CYCLEGAN_HUB_MODELS: {error}")
    with tempfile.TemporaryDirectory(prefix="cyclegan_hub-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        launch(Page(studio))


if __name__ == "__main__":
    main()
