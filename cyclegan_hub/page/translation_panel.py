"""The panels of a model that translates: one picture in several views, and the strip of all its epochs."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from cyclegan_hub.page.components import (
    Photo,
    as_html,
    epoch_slider,
    epoch_update,
    explain_errors,
    face_or_whole,
    nearest_epoch,
    options_for,
    private_folder,
    progress_callback,
    saved_file,
    saved_png,
    shown_file,
    strength_slider,
    text,
)
from cyclegan_hub.serving.catalog import DomainChoice, EpochChoice
from cyclegan_hub.serving.photos import Example, examples_for, photograph
from cyclegan_hub.serving.results import SAVE_FORMATS, Result, epoch_strip, result_file, save_zip
from cyclegan_hub.serving.studio import Studio

HEIGHT = 372  # px of a view, so that the slider of the epochs is visible on a screen of 1280 x 800
BROWSERS_SHOW = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")  # of other files a copy is shown


class TranslationPanel:
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, domain: gr.Radio, direction: gr.Radio) -> None:
        self.studio, self.domain, self.direction = studio, domain, direction
        with gr.Tab("One picture", id="one") as self.tab, gr.Row(elem_id="one"):
            with gr.Column(scale=4, min_width=300):
                self._input()
            with gr.Column(scale=7, min_width=320):
                self._results()
        with gr.Tab("All epochs", id="epochs") as self.epochs_tab:
            self._strip()

    # -------------------------------------------------------------------------------------------------- layout
    def _input(self) -> None:
        """Left: the picture, the examples and the options."""
        self.view = gr.State("pair")  # the view that is filled; others are filled when they are opened
        self.face = gr.State(0)  # index of the face that is translated
        self.anyway = gr.State(False)  # whether to translate a picture without a face
        self.photo = Photo(
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

    def _results(self) -> None:
        """Right: the views of one result, a tab each, with the notes, the epoch and the button to save."""
        self.tabs = {}
        with gr.Tabs(elem_id="views") as self.views:
            with gr.Tab("Pair", id="pair") as self.tabs["pair"], gr.Row(elem_id="pair", elem_classes="pictures"):
                self.pair = [_picture("Before"), _picture("After")]
            with gr.Tab("Slider", id="slider") as self.tabs["slider"]:
                self.slider = gr.ImageSlider(
                    show_label=False, height=HEIGHT, max_height=HEIGHT, buttons=["fullscreen"], interactive=False,
                    elem_id="slider",
                )  # fmt: skip
            with gr.Tab("And back") as self.tabs["back"], gr.Row(elem_classes="pictures"):
                self.cycle = [_picture(name) for name in ("Before", "After", "Translated back")]
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
                self.way = gr.Dropdown(
                    [(way.label, name) for name, way in SAVE_FORMATS.items()], value="png", label="Save as", show_label=False,
                    container=False, elem_id="way",
                )  # fmt: skip
                self.save = gr.DownloadButton("Save", variant="primary", size="sm", elem_id="save")

    def _strip(self) -> None:
        """The picture and its translation by every epoch, side by side."""
        self.strip = gr.Gallery(
            show_label=False, columns=1, height="auto", object_fit="contain", interactive=False, buttons=["fullscreen"],
            elem_id="strip",
        )  # fmt: skip
        self.strip_notes = text("strip-notes")
        with gr.Row(elem_id="strip-save"):
            self.strip_png = gr.DownloadButton("Save this strip as PNG", size="sm", elem_id="strip-png")
            self.strip_zip = gr.DownloadButton("Save all as zip", size="sm", elem_id="strip-zip")

    # -------------------------------------------------------------------------------------------------- events
    def events(self, first: Dependency, other: Dependency, private: dict[str, Any]) -> None:
        """Connects the events with their handlers; `first` opens the page, `other` chooses a model."""
        options = [self.epoch, self.part, self.strength, self.original, self.pixels, self.way, self.anyway, self.face]
        asked = [self.view, self.photo, self.domain, self.direction, *options]
        pictures = [self.slider, *self.pair, *self.cycle, self.histogram, self.card]
        shown = [
            *pictures, self.view, self.notes, self.go_on, self.epoch, self.save, self.part, self.faces, self.examples,
            self.anyway, self.face,
        ]  # fmt: skip
        show: dict[str, Any] = {"outputs": shown, "show_progress": "minimal", "show_progress_on": pictures, **private}
        again, fresh = functools.partial(self.show, False), functools.partial(self.show, True)
        showing = [one.then(fresh, asked, **show) for one in (first, other)]
        showing += [gr.on([self.photo.change, self.direction.input], fresh, asked, trigger_mode="always_last", **show)]
        given = [one.input for one in (self.epoch, self.part, self.strength, self.original, self.pixels, self.way)]
        showing += [gr.on(given, again, asked, trigger_mode="always_last", **show)]
        hidden: dict[str, Any] = {"show_progress": "hidden", **private}
        for before in (
            self.go_on.click(lambda: True, None, self.anyway, **hidden),
            self.faces.select(_place, None, self.face, **hidden),
        ):
            showing += [before.then(again, asked, **show)]
        for name, tab in self.tabs.items():
            showing += [tab.select(functools.partial(self.show, False, name), asked[1:], **show)]
        for one in showing:  # an error removes the pictures of the request before
            one.failure(lambda: [None] * len(pictures) + [""], None, [*pictures, self.notes], **hidden)
        self.photo.upload(self.displayable, [self.photo, self.domain], self.photo, **hidden)
        self.examples.select(self.example, [self.domain, self.direction], self.photo, **hidden)
        strip = [self.strip, self.strip_notes, self.strip_png, self.strip_zip]
        to_strip = [self.photo, self.domain, self.direction, self.part, self.strength, self.anyway, self.face]
        filled = self.epochs_tab.select(
            self.show_strip, to_strip, strip, show_progress="minimal", show_progress_on=self.strip, **private
        )
        filled.failure(lambda: [None, ""], None, [self.strip, self.strip_notes], **hidden)

    def choose(self, choice: DomainChoice, epochs: list[EpochChoice]) -> dict[Any, Any]:
        """Updates for a newly chosen model: its views, epochs and options."""
        both = len(choice.directions) > 1
        update: dict[Any, Any] = {
            self.tabs["back"]: gr.update(interactive=both),  # `visible` of a tab takes no update in gradio 6.31
            self.epoch: epoch_update(epochs, choice.started_from),
            self.part: gr.update(visible=choice.takes_faces(choice.directions[0]), value="face"),
            self.strength: gr.update(visible=choice.skip, value=1),
            self.original: gr.update(visible=choice.original_size, value=False),
            self.pixels: gr.update(label=f"As the model sees it ({choice.image_size} pixels)"),
        }
        if not both:  # leaves the view of the way back, which this model does not have
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
    def show(
        self, fresh: bool, view: str, photo: str | None, domain: str, direction: str, epoch: int, part: str, strength: float,
        original: bool, pixels: bool, way: Any, anyway: bool, face: int,
    ) -> dict[Any, Any]:  # fmt: skip
        """Updates of the chosen view. `fresh`: picture, model or direction is new, so faces are searched again."""
        choice = self._choice(domain)
        if choice is None:  # there is nothing to translate
            return {self.view: view}
        example = None if photo else examples_for(choice, direction)[0]
        picture = Path(photo) if photo else examples_for(choice, direction)[0].path
        notes = _introduction(choice, direction, example)
        update: dict[Any, Any] = {self.view: view}
        if fresh:
            anyway, face = False, 0
            update |= {self.anyway: anyway, self.face: face, self.examples: _thumbnails(choice, direction)}
            update[self.part] = gr.update(visible=choice.takes_faces(direction))
        chosen = nearest_epoch(self.studio.epochs(domain), epoch)
        if view == "card":
            return update | {self.card: self.studio.card(domain, chosen.name), self.notes: ""}
        faces = self.studio.find_faces(picture, domain, direction)
        several = faces if faces and len(faces) > 1 and part == "face" else []
        update[self.faces] = gr.update(value=several or None, visible=bool(several), selected_index=face if several else None)
        if faces == [] and not anyway:
            nothing = "No face was found in this picture, and this model was trained on faces alone: expect a distorted picture."
            blank = dict.fromkeys([self.slider, *self.pair, *self.cycle, self.histogram])
            return update | blank | {self.notes: as_html([*notes, nothing]), self.go_on: gr.update(visible=True), self.save: None}
        options = options_for(choice, direction, part, strength, None if faces == [] else face)
        translate = self.studio.cycle if view == "back" else self.studio.translate
        result = translate(picture, domain, direction, chosen.name, "original" if original else None, **options)
        kept_as = SAVE_FORMATS[way]
        name = f"{domain}-{direction}-{result.epoch.name}{kept_as.mark}.{kept_as.ending}"
        update |= {
            self.notes: as_html([*notes, *result.notes]),
            self.go_on: gr.update(visible=False),
            self.epoch: gr.skip() if chosen.number in (None, epoch) else gr.update(value=chosen.number),
            self.save: saved_file(result_file(result, way, self.studio.caption(domain, direction, result.epoch)), name),
        }
        return update | self._pictures(view, result, pixels)

    def _pictures(self, view: str, result: Result, pixels: bool) -> dict[Any, Any]:
        """The components of a view, filled."""
        if view == "colours":
            return {self.histogram: result.histogram()}
        files = [shown_file(one, exact=pixels) for one in result.shown(as_model_sees=pixels) if one is not None]
        match view:
            case "slider":
                return {self.slider: tuple(files)}
            case "back":
                return dict(zip(self.cycle, files, strict=True))
        return dict(zip(self.pair, files, strict=True))

    @explain_errors
    def show_strip(
        self, photo: str | None, domain: str, direction: str, part: str, strength: float, anyway: bool, face: int,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> dict[Any, Any]:  # fmt: skip
        """Updates of the strip: the input, then the result of every epoch, shown and as files to save."""
        choice = self._choice(domain)
        if choice is None:
            return {self.strip: None}
        example = None if photo else examples_for(choice, direction)[0]
        picture = Path(photo) if photo else examples_for(choice, direction)[0].path
        faces = self.studio.find_faces(picture, domain, direction)
        if faces == [] and not anyway:
            return {
                self.strip: None,
                self.strip_notes: as_html(["No face was found in this picture: see the tab “One picture”."]),
            }
        options = options_for(choice, direction, part, strength, None if faces == [] else face)
        results = self.studio.every_epoch(picture, domain, direction, progress_callback(progress), **options)
        labelled = [("Input", results[0].shown().before), *((one.epoch.label, one.shown().after) for one in results)]
        own = [("input", results[0].before), *((one.epoch.name, one.after) for one in results)]
        strip, name = epoch_strip(labelled), f"{domain}-{direction}-epochs"
        return {
            self.strip: [(shown_file(one), label) for label, one in labelled],
            self.strip_notes: as_html(_introduction(choice, direction, example)),
            self.strip_png: saved_png(strip, f"{name}.png"),
            self.strip_zip: str(save_zip([("strip", strip), *own], private_folder(), f"{name}.zip")),
        }

    @explain_errors
    def displayable(self, photo: str | None, domain: str | None = None) -> Any:
        """A JPEG copy of a photograph that browsers cannot show, such as HEIC; no update for others."""
        if photo is None or Path(photo).suffix.lower() in BROWSERS_SHOW:
            return gr.skip()
        choice = self._choice(domain)  # the copy is what will be translated
        return shown_file(photograph(Path(photo), choice).image)

    @explain_errors
    def example(self, domain: str, direction: str, chosen: gr.SelectData) -> str | None:
        """The example that was clicked."""
        choice = self._choice(domain)
        offered: Iterable[Example] = examples_for(choice, direction) if choice else ()
        return next((str(one.path) for i, one in enumerate(offered) if i == chosen.index), None)

    def _choice(self, domain: str | None) -> DomainChoice | None:
        """The model of this name if it translates."""
        choice = self.studio.choice(domain) if domain else None
        return None if choice is None or choice.draws else choice


def _introduction(choice: DomainChoice, direction: str, example: Example | None) -> list[str]:
    """The notes above a result: whether it is an example, and whether there is no way back."""
    lines = [f"This is an example, {example.shows}: give your own picture, or choose another."] if example else []
    return lines if len(choice.directions) > 1 else [*lines, f"{choice.arrow(direction)}, one way only."]


def _thumbnails(choice: DomainChoice, direction: str) -> list[tuple[str, str]]:
    return [(str(one.path), one.shows) for one in examples_for(choice, direction)]


def _place(chosen: gr.SelectData) -> int:
    """The index of the clicked face."""
    return int(chosen.index)


def _picture(name: str) -> gr.Image:
    alternative = {"Before": "The picture before translation", "After": "The translation"}.get(name, "The way back")
    return gr.Image(label=name, height=HEIGHT, min_width=150, interactive=False, buttons=["fullscreen"], alt_text=alternative)
