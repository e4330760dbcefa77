"""The panels of a model that translates: one photograph in several views, and the strip of all its epochs."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import Dependency

from cyclegan_hub.imaging.images import png_bytes
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.page.components import (
    HIDDEN,
    PRIVATE,
    PhotoInput,
    as_html,
    epoch_slider,
    epoch_update,
    explain_errors,
    face_or_whole,
    private_folder,
    progress_callback,
    save_format,
    saved_file,
    shown_file,
    strength_slider,
    text,
    translation_options,
)
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.photos import Photo, decode, examples_for
from cyclegan_hub.serving.results import SAVE_FORMATS, Result, SaveFormatName, epoch_strip, save_zip
from cyclegan_hub.serving.studio import Studio

HEIGHT = 372  # px of a view, so that the slider of the epochs is visible on a screen of 1280 x 800
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")  # of other files a copy is shown
ALT_TEXTS = {"Before": "The picture before translation", "After": "The translation", "Translated back": "The reconstruction"}


class Choices(NamedTuple):
    """The values of the components, in the order in which the handlers get them."""

    upload: str | None  # path of the user's photograph; None: the first example
    model: str
    direction: str
    part: str  # "face" or "whole"
    strength: float
    anyway: bool  # whether to translate a photograph without a face
    face: int  # number of the face to translate
    epoch: int = 0
    original: bool = False
    pixels: bool = False
    format: SaveFormatName = "png"


class TranslationPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, model: gr.Radio, direction: gr.Radio) -> None:
        self.studio, self.model, self.direction = studio, model, direction
        with gr.Tab("One picture", id="one") as self.tab, gr.Row(elem_id="one"):
            with gr.Column(scale=4, min_width=300):
                self._add_inputs()
            with gr.Column(scale=7, min_width=320):
                self._add_results()
        with gr.Tab("All epochs", id="epochs") as self.epochs_tab:
            self._add_strip()

    # -------------------------------------------------------------------------------------------------- layout
    def _add_inputs(self) -> None:
        """Left: the photograph, the examples and the options."""
        self.view = gr.State("pair")  # the view that is filled; others are filled when they are opened
        self.face = gr.State(0)
        self.anyway = gr.State(False)
        self.photo = PhotoInput(
            label="Your picture", type="filepath", height=236, sources=["upload", "webcam", "clipboard"], interactive=True,
            buttons=[], elem_id="photo", alt_text="The picture that you gave",
        )  # fmt: skip
        self.no_camera = text("camera")
        self.examples = gr.Gallery(
            label="Or one of these", columns=5, height="auto", object_fit="cover", allow_preview=False, interactive=False,
            buttons=[], elem_id="examples",
        )  # fmt: skip
        self.faces = gr.Gallery(
            label="Several faces: choose one", columns=6, height="auto", allow_preview=False, interactive=False, buttons=[],
            visible=False, elem_id="faces",
        )  # fmt: skip
        self.part = face_or_whole("part")
        self.original = gr.Checkbox(label="Keep the original size", container=False, elem_id="original")
        self.pixels = gr.Checkbox(label="As the model sees it", container=False, elem_id="pixels")

    def _add_results(self) -> None:
        """Right: the views of one result, a tab each, with the notes, the epoch and the button to save."""
        self.tabs = {}
        with gr.Tabs(elem_id="views") as self.views:
            with gr.Tab("Pair", id="pair") as self.tabs["pair"], gr.Row(elem_id="pair", elem_classes="pictures"):
                self.pair = [_image(name) for name in ("Before", "After")]
            with gr.Tab("Slider", id="slider") as self.tabs["slider"]:
                self.slider = gr.ImageSlider(
                    show_label=False, height=HEIGHT, max_height=HEIGHT, buttons=["fullscreen"], interactive=False,
                    elem_id="slider",
                )  # fmt: skip
            with gr.Tab("Reconstruction") as self.tabs["back"], gr.Row(elem_classes="pictures"):
                self.cycle = [_image(name) for name in ("Before", "After", "Translated back")]
            with gr.Tab("Colours") as self.tabs["colours"]:
                self.histogram = gr.Image(
                    format="png", show_label=False, height=HEIGHT, interactive=False, buttons=[], elem_id="histogram",
                    alt_text="Colour histograms of the picture before and after",
                )  # fmt: skip
            with gr.Tab("About") as self.tabs["card"]:
                self.card = gr.Markdown(height=HEIGHT, elem_id="card", elem_classes="card")
        self.notes = text("notes")
        self.go_on = gr.Button("Translate anyway", size="sm", visible=False, elem_id="anyway")
        with gr.Row(elem_id="bottom"):
            self.epoch = epoch_slider("epoch")
            self.strength = strength_slider("strength")
            with gr.Column(scale=2, min_width=190, elem_id="keep"):
                self.format = save_format("Save as", "format", show_label=False, container=False)
                self.save = gr.DownloadButton("Save", variant="primary", size="sm", elem_id="save")

    def _add_strip(self) -> None:
        """The photograph and its translation by every epoch, side by side."""
        self.strip = gr.Gallery(
            show_label=False, columns=1, height="auto", object_fit="contain", interactive=False, buttons=["fullscreen"],
            elem_id="strip",
        )  # fmt: skip
        self.strip_notes = text("strip-notes")
        with gr.Row(elem_id="strip-save"):
            self.strip_png = gr.DownloadButton("Save this strip as PNG", size="sm", elem_id="strip-png")
            self.strip_zip = gr.DownloadButton("Save all as zip", size="sm", elem_id="strip-zip")

    # -------------------------------------------------------------------------------------------------- events
    def events(self, first: Dependency, other: Dependency) -> None:
        """Connects the events with their handlers; `first` opens the page, `other` chooses a model."""
        common = [self.photo, self.model, self.direction, self.part, self.strength, self.anyway, self.face]
        inputs = [*common, self.epoch, self.original, self.pixels, self.format]  # as in Choices
        images = [self.slider, *self.pair, *self.cycle, self.histogram, self.card]
        outputs = [
            *images, self.view, self.notes, self.go_on, self.epoch, self.save, self.part, self.faces, self.examples,
            self.anyway, self.face,
        ]  # fmt: skip
        show: dict[str, Any] = {"outputs": outputs, "show_progress": "minimal", "show_progress_on": images, **PRIVATE}
        latest: dict[str, Any] = {"inputs": [self.view, *inputs], "trigger_mode": "always_last", **show}
        again, fresh = functools.partial(self.show, False), functools.partial(self.show, True)
        changed = [one.input for one in (self.epoch, self.part, self.strength, self.original, self.pixels, self.format)]
        anyway = self.go_on.click(lambda: True, None, self.anyway, **HIDDEN)
        face = self.faces.select(_clicked, None, self.face, **HIDDEN)
        showing = [
            *(one.then(fresh, [self.view, *inputs], **show) for one in (first, other)),
            *(one.then(again, [self.view, *inputs], **show) for one in (anyway, face)),
            gr.on([self.photo.change, self.direction.input], fresh, **latest),
            gr.on(changed, again, **latest),
            *(tab.select(functools.partial(self.show, False, name), inputs, **show) for name, tab in self.tabs.items()),
        ]
        for one in showing:  # an error removes the images of the request before
            one.failure(lambda: [None] * len(images) + [""], None, [*images, self.notes], **HIDDEN)
        self.photo.upload(self.displayable, [self.photo, self.model], self.photo, **HIDDEN)
        self.examples.select(self.example, [self.model, self.direction], self.photo, **HIDDEN)
        filled = self.epochs_tab.select(
            self.show_strip, common, [self.strip, self.strip_notes, self.strip_png, self.strip_zip], show_progress="minimal",
            show_progress_on=self.strip, **PRIVATE,
        )  # fmt: skip
        filled.failure(lambda: [None, ""], None, [self.strip, self.strip_notes], **HIDDEN)

    def choose(self, model: ModelEntry) -> dict[Any, Any]:
        """Updates for a newly chosen model: its views, epochs and options."""
        both = len(model.directions) > 1
        update: dict[Any, Any] = {
            self.tabs["back"]: gr.update(interactive=both),  # `visible` of a tab takes no update in gradio 6.31
            self.epoch: epoch_update(model),
            self.part: gr.update(visible=bool(model.eyes(model.directions[0])), value="face"),
            self.strength: gr.update(visible=model.skip, value=1),
            self.original: gr.update(visible=model.original_size, value=False),
            self.pixels: gr.update(label=f"As the model sees it ({model.image_size} pixels)"),
        }
        if not both:  # leaves the view of the reconstruction, which this model does not have
            update |= {self.view: "pair", self.views: gr.update(selected="pair")}
        return update

    @property
    def chosen(self) -> list[Any]:
        """The components that `choose` updates."""
        return [
            self.tabs["back"], self.epoch, self.part, self.strength, self.original, self.pixels, self.view, self.views,
        ]  # fmt: skip

    # ------------------------------------------------------------------------------------------------ handlers
    @explain_errors
    def show(self, fresh: bool, view: str, *values: Any) -> dict[Any, Any]:
        """Updates for a view; `values` are those of Choices. `fresh`: photograph, model or direction is new."""
        choices = Choices(*values)
        update: dict[Any, Any] = {self.view: view}
        model = self._translator(choices.model)
        if model is None:  # there is nothing to translate
            return update
        if fresh:
            choices = choices._replace(anyway=False, face=0)
            examples = [(str(one.path), one.caption) for one in examples_for(model, choices.direction)]
            update |= {self.anyway: False, self.face: 0, self.examples: examples}
            update[self.part] = gr.update(visible=bool(model.eyes(choices.direction)))
        epoch = model.nearest_epoch(choices.epoch)
        if view == "card":
            return update | {self.card: self.studio.card(model.name, epoch.name), self.notes: ""}
        photo = self._open(choices)
        result = None
        if photo.faces != [] or choices.anyway:
            result = self.studio.translate(
                photo,
                epoch.name,
                _options(photo, choices),
                original_size=choices.original,
                reconstruct=view == "back",
            )
        return update | self._controls(view, choices, photo, result)

    def _controls(self, view: str, choices: Choices, photo: Photo, result: Result | None) -> dict[Any, Any]:
        """Updates of all components for a photograph and its result; without one, as no face was found, the user is asked."""
        several = len(photo.faces or ()) > 1 and choices.part == "face"
        faces = gr.update(
            value=photo.thumbnails() if several else None, visible=several, selected_index=choices.face if several else None
        )
        update: dict[Any, Any] = {self.faces: faces, self.go_on: gr.update(visible=result is None)}
        notes = _introduction(choices, photo)
        if result is None:
            notes += ["No face was found in this picture, and this model was trained on faces alone: expect a distorted picture."]
            empty = dict.fromkeys([self.slider, *self.pair, *self.cycle, self.histogram, self.save])
            return update | empty | {self.notes: as_html(notes)}
        number = result.epoch.number
        return update | {
            self.notes: as_html([*notes, *result.notes]),
            self.epoch: gr.skip() if number in (None, choices.epoch) else gr.update(value=number),
            self.save: saved_file(SAVE_FORMATS[choices.format].encode(result), result.file_name(choices.format)),
            **self._images(view, result, choices.pixels),
        }

    def _images(self, view: str, result: Result, pixels: bool) -> dict[Any, Any]:
        """The components of a view, filled."""
        if view == "colours":
            return {self.histogram: result.histogram()}
        files = [shown_file(image, exact=pixels) for image in result.shown(as_model_sees=pixels) if image is not None]
        match view:
            case "slider":
                return {self.slider: tuple(files)}
            case "back":
                return dict(zip(self.cycle, files, strict=True))
        return dict(zip(self.pair, files, strict=True))

    @explain_errors
    def show_strip(
        self, upload: str | None, model: str, direction: str, part: str, strength: float, anyway: bool, face: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> dict[Any, Any]:  # fmt: skip
        """Updates of the strip: the input, then the result of every epoch, shown and as files to save."""
        choices = Choices(upload, model, direction, part, strength, anyway, face)
        if self._translator(model) is None:
            return {self.strip: None}
        photo = self._open(choices)
        if photo.faces == [] and not anyway:
            note = "No face was found in this picture: see the tab “One picture”."
            return {self.strip: None, self.strip_notes: as_html([note])}
        results = self.studio.every_epoch(photo, _options(photo, choices), progress_callback(progress))
        labelled = [("Input", results[0].shown().before), *((one.epoch.label, one.shown().after) for one in results)]
        own = [("input", results[0].before), *((one.epoch.name, one.after) for one in results)]
        strip, name = epoch_strip(labelled), f"{model}-{direction}-epochs"
        return {
            self.strip: [(shown_file(image), label) for label, image in labelled],
            self.strip_notes: as_html(_introduction(choices, photo)),
            self.strip_png: saved_file(png_bytes(strip), f"{name}.png"),
            self.strip_zip: str(save_zip([("strip", strip), *own], private_folder(), f"{name}.zip")),
        }

    @explain_errors
    def displayable(self, upload: str | None, model: str | None = None) -> Any:
        """A JPEG copy of a photograph that browsers cannot show, such as HEIC; no update for others."""
        if upload is None or Path(upload).suffix.lower() in SHOWN_BY_BROWSERS:
            return gr.skip()
        return shown_file(decode(Path(upload), self._translator(model)).image)  # the copy is what will be translated

    @explain_errors
    def example(self, model: str, direction: str, clicked: gr.SelectData) -> str | None:
        """The example that was clicked."""
        entry = self._translator(model)
        return str(examples_for(entry, direction)[_clicked(clicked)].path) if entry else None

    def _translator(self, name: str | None) -> ModelEntry | None:
        """The model of this name if it translates."""
        model = self.studio.model(name) if name else None
        return None if model is None or model.is_sampler else model

    def _open(self, choices: Choices) -> Photo:
        """The user's photograph, or the first example."""
        model = self.studio.model(choices.model)
        path = choices.upload or examples_for(model, choices.direction)[0].path
        return self.studio.open(Path(path), model.name, choices.direction)


def _options(photo: Photo, choices: Choices) -> Options:
    face = None if photo.faces == [] else choices.face
    return translation_options(photo.model, photo.direction, choices.part, choices.strength, face)


def _introduction(choices: Choices, photo: Photo) -> list[str]:
    """The notes above a result: whether it is an example, and whether the model translates one way only."""
    model, direction = photo.model, photo.direction
    example = f"This is an example, {examples_for(model, direction)[0].caption}: give your own picture, or choose another."
    one_way = f"{model.arrow(direction)}, one way only."
    return [example] * (choices.upload is None) + [one_way] * (len(model.directions) == 1)


def _clicked(event: gr.SelectData) -> int:
    """The index of the clicked image."""
    return int(event.index)


def _image(name: str) -> gr.Image:
    return gr.Image(
        label=name, height=HEIGHT, min_width=150, interactive=False, buttons=["fullscreen"], alt_text=ALT_TEXTS[name]
    )  # fmt: skip
