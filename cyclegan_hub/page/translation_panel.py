"""The panel of a model that translates: a photograph and its result, what each epoch makes of it, and the details."""

from __future__ import annotations

import functools
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr

from cyclegan_hub.imaging.images import png_bytes
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.page.components import (
    COPY,
    HIDDEN,
    PROGRESS,
    Panel,
    PhotoInput,
    Props,
    Updates,
    as_html,
    epoch_marks,
    epoch_props,
    epoch_slider,
    explain_errors,
    face_or_whole,
    private_folder,
    progress_callback,
    save_format,
    saved_file,
    shown_file,
    strength_slider,
    tell,
    text,
    thumbnail,
    translation_options,
    unfolded,
    updates,
)
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.photos import MOST_EXAMPLES, Example, Photo, decode, example_in, examples_for
from cyclegan_hub.serving.results import SAVE_FORMATS, Result, SaveFormatName, epoch_strip, save_zip
from cyclegan_hub.serving.studio import Studio

HEIGHT = 512  # px of the result
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")  # of other files a copy is shown
NO_FACE = (
    "No face was found in this photo, and this model knows faces alone: choose another photo, or translate all of it anyway."
)
View = Literal["result", "compare"]
Detail = Literal["card", "back", "colours"]


class Kept(NamedTuple):
    """The photograph that is shown, so that a file that cannot be read does not replace it."""

    path: str
    digest: str

    @classmethod
    def of(cls, path: str | Path) -> Kept:
        return cls(str(path), sha256(Path(path).read_bytes()).hexdigest())


class Choices(NamedTuple):
    """The values of the components, in the order in which the handlers get them."""

    photo: str | None = None  # path of the photograph
    direction: str = "a_to_b"
    part: str = "face"  # or "whole"
    strength: float = 1.0
    anyway: bool = False  # whether to translate a photograph without a face
    face: int = 0  # number of the face to translate
    epoch: int | None = None  # None: the best
    original: bool = False
    pixels: bool = False
    format: SaveFormatName = "png"
    view: View = "result"
    opened: bool = False  # whether the details are open
    detail: Detail = "card"
    kept: Kept | None = None


class TranslationPanel(Panel):
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    def __init__(self, studio: Studio, model: gr.Radio, direction: gr.State, first: ModelEntry | None) -> None:
        self.studio, self.model, self.direction = studio, model, direction
        # What the page shows before anybody asks for anything: the first example of the first model, translated now.
        self.first: Props = self.props(first, self.with_example(first, Choices())) if first else {}
        with gr.Tab("One photo", id="one") as self.tab:
            with gr.Row(elem_id="one"):
                with gr.Column(scale=4, min_width=300, elem_id="given"):
                    self._add_photograph()
                with gr.Column(scale=7, min_width=320, elem_id="made"):
                    self._add_result()
            with gr.Accordion("Watch it learn", open=False, elem_id="watch", **self._first("watch")) as self.watch:
                self._add_epochs()
            with gr.Accordion("Details", open=False, elem_id="details") as self.details:
                self._add_details()

    def _state(self, name: str, value: Any) -> gr.State:
        return gr.State(self._first(name, value=value)["value"])

    # -------------------------------------------------------------------------------------------------- layout
    def _add_photograph(self) -> None:
        """Left: the photograph, how to give another one, and what of it is translated."""
        self.kept = self._state("kept", None)
        self.face, self.anyway = self._state("face", 0), self._state("anyway", False)
        self.photo = PhotoInput(
            label="Your photo", show_label=False, type="filepath", height=300, sources=["upload", "webcam", "clipboard"],
            interactive=True, buttons=[], elem_id="photo", placeholder="Drop a photo here", **self._first("photo"),
        )  # fmt: skip
        with gr.Row(elem_id="give"):  # browser.js lets them do what gradio's own small buttons do
            gr.Button("Take a photo", size="sm", min_width=90, elem_id="take")
            gr.Button("Choose a photo", size="sm", min_width=90, elem_id="choose")
            gr.Button("Paste", size="sm", min_width=60, elem_id="paste")
        with gr.Row(elem_id="examples"):
            self.examples = [
                gr.Button(size="sm", min_width=60, **self._first(f"example {i}", value="", visible=False))
                for i in range(MOST_EXAMPLES)
            ]
        self.faces = gr.Gallery(
            label="Several faces: choose one", columns=6, height="auto", allow_preview=False, interactive=False, buttons=[],
            elem_id="faces", **self._first("faces", visible=False),
        )  # fmt: skip
        self.part = face_or_whole("part", **self._first("part"))
        self.strength = strength_slider("strength", **self._first("strength"))

    def _add_result(self) -> None:
        """Right: the result, alone or under a slider over the photograph, and how to keep it."""
        self.view = gr.State("result")
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Result", id="result") as self.result_tab:
                self.result = gr.Image(
                    height=HEIGHT, interactive=False, buttons=["fullscreen"], elem_id="result", alt_text="The result",
                    **self._first("result", label="Result"),
                )  # fmt: skip
            with gr.Tab("Compare", id="compare") as self.compare_tab:
                self.slider = gr.ImageSlider(
                    show_label=False, height=HEIGHT, max_height=HEIGHT, buttons=["fullscreen"], interactive=False, visible=False,
                    elem_id="slider",
                )  # fmt: skip
        self.notes = text("notes", **self._first("notes"))
        self.go_on = gr.Button("Translate anyway", size="sm", elem_id="anyway", **self._first("go_on", visible=False))
        with gr.Row(elem_id="keep"):
            self.save = gr.DownloadButton(
                "Save", variant="primary", size="md", min_width=90, elem_id="save", **self._first("save", interactive=False)
            )  # fmt: skip
            self.copy = gr.Button("Copy", size="md", min_width=90, elem_id="copy", **self._first("copy", interactive=False))
            self.told = text("told")

    def _add_epochs(self) -> None:
        """The slider of the epochs, and the photograph translated by each, side by side."""
        self.watching = gr.State(False)
        text("watch-note", "watch.html")
        self.epoch = epoch_slider("epoch", **self._first("epoch"))
        self.strip = gr.Gallery(
            show_label=False, columns=1, height="auto", object_fit="contain", interactive=False, buttons=["fullscreen"],
            visible=False, elem_id="strip",
        )  # fmt: skip
        with gr.Row(elem_id="strip-save"):
            self.strip_png = gr.DownloadButton("Save this strip as PNG", size="sm", interactive=False, elem_id="strip-png")
            self.strip_zip = gr.DownloadButton("Save all as zip", size="sm", interactive=False, elem_id="strip-zip")

    def _add_details(self) -> None:
        """What only some ask for; its components are sent to the browser when it is opened."""
        self.opened, self.detail = gr.State(False), gr.State("card")
        with gr.Row(elem_id="options"):
            self.format = save_format("Save as", "format", visible=False)
            self.original = gr.Checkbox(label="Keep the original size", container=False, visible=False, elem_id="original")
            self.pixels = gr.Checkbox(label="As the model sees it", container=False, visible=False, elem_id="pixels")
        self.tabs = {}
        with gr.Tabs(elem_id="more"):
            with gr.Tab("About this model", id="card") as self.tabs["card"]:
                self.card = gr.Markdown(visible=False, elem_id="card", elem_classes="card")
            with gr.Tab("There and back", id="back") as self.tabs["back"], gr.Row(elem_classes="pictures"):
                self.cycle = [
                    gr.Image(label=name, height=300, min_width=150, interactive=False, buttons=["fullscreen"], alt_text=alt)
                    for name, alt in (
                        ("Before", "The photo before translation"),
                        ("After", "The translation"),
                        ("Translated back", "The reconstruction"),
                    )
                ]
            with gr.Tab("Colours", id="colours") as self.tabs["colours"]:
                self.histogram = gr.Image(
                    format="png", show_label=False, interactive=False, buttons=[], elem_id="histogram",
                    alt_text="Colour histograms of the photo before and after",
                )  # fmt: skip

    # -------------------------------------------------------------------------------------------------- events
    @property
    def inputs(self) -> list[Any]:
        """The model and the components of Choices, in its order."""
        return [
            self.model, self.photo, self.direction, self.part, self.strength, self.anyway, self.face, self.epoch, self.original,
            self.pixels, self.format, self.view, self.opened, self.detail, self.kept,
        ]  # fmt: skip

    @property
    def named(self) -> dict[str, Any]:
        """The components that `props` has names for."""
        names = (
            "kept face anyway photo faces part strength result slider notes go_on save copy told watch epoch original pixels "
            "format view opened detail card histogram"
        )
        examples = {f"example {i}": button for i, button in enumerate(self.examples)}
        cycle = {f"cycle {i}": image for i, image in enumerate(self.cycle)}
        return {name: getattr(self, name) for name in names.split()} | examples | cycle | {"back": self.tabs["back"]}

    @property
    def progress(self) -> list[Any]:
        """The components that show that something is being worked on."""
        return [self.result, self.slider]

    def events(self) -> None:
        """Connects the events with their handlers."""
        show: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs, "show_progress_on": self.progress, **PROGRESS}
        quiet: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs, **HIDDEN}
        latest: dict[str, Any] = {"trigger_mode": "always_last", **show}
        changed = [one.input for one in (self.epoch, self.part, self.strength, self.original, self.pixels, self.format)]
        showing = [
            gr.on(changed, self.show, **latest),
            self.photo.change(self.give, **latest),
            self.photo.clear(self.clear, **quiet),
            self.go_on.click(self.go_on_anyway, **show),
            self.faces.select(_clicked, None, self.face, **HIDDEN).then(self.show, **show),
            *(button.click(functools.partial(self.choose_example, i), **show) for i, button in enumerate(self.examples)),
        ]
        for view, tab in (("result", self.result_tab), ("compare", self.compare_tab)):
            tab.select(functools.partial(self.look, view=view), **show)
        for detail, tab in self.tabs.items():
            tab.select(functools.partial(self.look, detail=detail), **quiet)
        self.details.expand(functools.partial(self.look, opened=True), **quiet)
        self.details.collapse(lambda: False, None, self.opened, **HIDDEN)
        self.copy.click(None, self.save, self.told, js=COPY, **HIDDEN)
        self.watch.expand(unfolded, None, [self.watching, self.strip], **HIDDEN).then(self.show_strip, **self.strip_event)
        self.watch.collapse(lambda: False, None, self.watching, **HIDDEN)
        for one in showing:
            one.then(self.show_strip, **self.strip_event)

    @property
    def strip_event(self) -> dict[str, Any]:
        """Inputs, outputs and options of an event that fills the strip."""
        outputs = [self.strip, self.strip_png, self.strip_zip]
        return {"inputs": [self.watching, *self.inputs], "outputs": outputs, "show_progress_on": self.strip, **PROGRESS}

    # ------------------------------------------------------------------------------------------------ handlers
    @explain_errors
    def show(self, model: str, *values: Any) -> Updates:
        """Updates after another choice of a component."""
        return self._shown(model, Choices(*values), fresh=False)

    @explain_errors
    def look(self, model: str, *values: Any, **opened: Any) -> Updates:
        """Updates for a view, or for a tab of the details, that was opened."""
        before = Choices(*values)
        after = before._replace(**opened)
        if after == before:  # the browser selects the first tabs when the page opens
            return self.unchanged(self._translator(model))
        return self._shown(model, after, fresh=False)

    @explain_errors
    def go_on_anyway(self, model: str, *values: Any) -> Updates:
        """Updates with the translation of a photograph in which no face was found."""
        return self._shown(model, Choices(*values)._replace(anyway=True), fresh=False)

    @explain_errors
    def give(self, model: str, *values: Any) -> Updates:
        """Updates for a photograph of the user. One that cannot be read is told, and the one before stays."""
        choices, entry = Choices(*values), self._translator(model)
        if entry is None or choices.photo is None or (choices.kept and Kept.of(choices.photo).digest == choices.kept.digest):
            return self.unchanged(entry)  # the photograph was set by the page, or is still on its way
        try:
            photo = decode(Path(choices.photo), entry)
        except ServingError as error:
            tell(error)
            kept = choices.kept.path if choices.kept and Path(choices.kept.path).is_file() else None
            return {self.photo: kept, **self.unchanged(entry)}
        path = choices.photo if choices.photo.lower().endswith(SHOWN_BY_BROWSERS) else shown_file(photo.image)
        update = self._shown(model, choices._replace(photo=path, kept=Kept.of(path)), fresh=True)
        return update if path != choices.photo else self._without_photo(update)

    @explain_errors
    def clear(self, model: str, *values: Any) -> Updates:
        """Updates after the photograph was removed."""
        return self._without_photo(self._shown(model, Choices(*values)._replace(photo=None, kept=None), fresh=True))

    def _without_photo(self, update: Updates) -> Updates:
        """The updates without that of the photograph, which the browser has."""
        return {component: change for component, change in update.items() if component is not self.photo}

    @explain_errors
    def choose_example(self, number: int, model: str, *values: Any) -> Updates:
        """Updates for an example that was clicked."""
        entry, choices = self._translator(model), Choices(*values)
        if entry is None:
            return self.unchanged(None)
        path = str(examples_for(entry, choices.direction)[number].path)
        return self._shown(model, choices._replace(photo=path, kept=Kept.of(path)), fresh=True)

    def chosen(self, model: ModelEntry, direction: str, values: tuple[Any, ...] = ()) -> Updates:
        """Updates for a newly chosen model or direction: a photograph of the user stays, another example is chosen."""
        choices = Choices(*values)._replace(direction=direction, epoch=None, part="face", strength=1.0, original=False)
        return updates(self.named, self.props(model, self.with_example(model, choices)))

    def with_example(self, model: ModelEntry, choices: Choices) -> Choices:
        """The choices with the direction's first example, unless they have a photograph of the user."""
        if choices.photo and not example_in(choices.photo):
            return choices
        own = examples_for(model, choices.direction)
        path = str(own[0].path) if own else None
        return choices._replace(photo=path, kept=Kept.of(path) if path else None)

    def _shown(self, model: str, choices: Choices, fresh: bool) -> Updates:
        entry = self._translator(model)
        return updates(self.named, self.props(entry, choices, fresh)) if entry else self.unchanged(None)

    # ------------------------------------------------------------------------------------------------ the state
    def props(self, model: ModelEntry, choices: Choices, fresh: bool = True) -> Props:
        """The properties of all components, by name: they follow from the model, the photograph and its result.

        `fresh`: photograph, model or direction is new, so that the choices that belong to the old one are forgotten.
        """
        if fresh:
            choices = choices._replace(anyway=False, face=0)
        photo, result, problem = None, None, ""
        try:
            if choices.photo:
                photo = self.studio.open(Path(choices.photo), model.name, choices.direction)
                if photo.faces != [] or choices.anyway:
                    result = self._translate(photo, choices)
        except ServingError as error:
            problem = str(error)
        props = self._result_props(model, choices, photo, result, problem) | self._detail_props(model, choices, result)
        return props | self._model_props(model, choices) if fresh else props

    def _translate(self, photo: Photo, choices: Choices) -> Result:
        model, example = photo.model, example_in(choices.photo)
        epoch = model.best_epoch if choices.epoch is None else model.nearest_epoch(choices.epoch)
        options, original = _options(photo, choices), choices.original and model.original_size
        reconstruct = choices.opened and choices.detail == "back" and len(model.directions) > 1
        if example:
            return _of_example(
                self.studio, example, model.name, photo.direction, epoch.name, epoch.revision, options, original, reconstruct
            )
        return self.studio.translate(photo, epoch.name, options, original_size=original, reconstruct=reconstruct)

    def _model_props(self, model: ModelEntry, choices: Choices) -> Props:
        """What belongs to the model and the photograph: examples, parts, epochs."""
        own = examples_for(model, choices.direction)
        given = example_in(choices.photo, own)
        props: Props = {f"example {i}": {"visible": False} for i in range(len(own), MOST_EXAMPLES)}
        for i, one in enumerate(own):
            variant = "primary" if one is given else "secondary"
            props[f"example {i}"] = {"value": one.name, "icon": thumbnail(one.path), "variant": variant, "visible": True}
        return props | {
            "photo": {"value": choices.photo, "alt_text": given.name if given else "Your photo"},
            "kept": {"value": choices.kept},
            "part": {"visible": bool(model.eyes(choices.direction)), "value": choices.part},
            "strength": {"visible": model.skip, "value": choices.strength},
            "epoch": epoch_props(model, choices.epoch),
            "watch": {"visible": len(model.epochs) > 1},
            "back": {"interactive": len(model.directions) > 1},  # `visible` of a tab takes no update in gradio 6.31
        }

    def _result_props(
        self, model: ModelEntry, choices: Choices, photo: Photo | None, result: Result | None, problem: str
    ) -> Props:
        """What belongs to the photograph and its result; without one, the user is told why."""
        several = photo is not None and len(photo.faces or ()) > 1 and choices.part == "face"
        props: Props = {
            "face": {"value": choices.face},
            "anyway": {"value": choices.anyway},
            "view": {"value": choices.view},
            "faces": {
                "value": photo.thumbnails() if photo and several else None,
                "visible": several,
                "selected_index": choices.face if several else None,
            },
            "go_on": {"visible": photo is not None and photo.faces == [] and not (result or problem)},
            "copy": {"interactive": result is not None},
            "save": {"value": None, "interactive": False},
            "result": {"value": None, "label": model.heading(choices.direction)},
            "notes": {"value": as_html([problem] if problem else _notes(model, choices, photo, result))},
            "told": {"value": ""},
            "epoch": epoch_marks(model),
        }
        if choices.view == "compare":
            props["slider"] = {"value": None, "visible": True}
        if result is None:
            return props
        shown = result.shown(as_model_sees=choices.pixels)
        before, after = (shown_file(image, exact=choices.pixels) for image in (shown.before, shown.after))
        props["result"]["value"] = after
        if choices.view == "compare":
            props["slider"]["value"] = (before, after)
        file = saved_file(SAVE_FORMATS[choices.format].encode(result), result.file_name(choices.format))
        props["save"] = {"value": file, "interactive": True}
        if result.epoch.number not in (None, choices.epoch):
            props["epoch"]["value"] = result.epoch.number
        return props

    def _detail_props(self, model: ModelEntry, choices: Choices, result: Result | None) -> Props:
        """What the details show, while they are open."""
        if not choices.opened:
            return {}
        props: Props = {
            "opened": {"value": True},
            "detail": {"value": choices.detail},
            "format": {"visible": True},
            "original": {"visible": model.original_size, "value": choices.original},
            "pixels": {"visible": True, "label": f"As the model sees it ({model.image_size} pixels)"},
        }
        match choices.detail:
            case "card":
                epoch = result.epoch if result else model.best_epoch
                props["card"] = {"visible": True, "value": self.studio.card(model.name, epoch.name)}
            case "colours":
                props["histogram"] = {"value": result.histogram() if result else None}
            case "back":
                images = result.shown(as_model_sees=choices.pixels) if result else (None, None, None)
                for i, image in enumerate(images):
                    props[f"cycle {i}"] = {"value": image and shown_file(image, exact=choices.pixels)}
        return props

    @explain_errors
    def show_strip(
        self, watching: bool, model: str, *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> Updates:  # fmt: skip
        """Updates of the strip, if it is open: the photograph, then the result of every epoch, shown and as files to save."""
        choices, entry = Choices(*values), self._translator(model)
        if not watching or entry is None:
            return {self.strip: gr.skip()}
        photo = self.studio.open(Path(choices.photo), model, choices.direction) if choices.photo else None
        if photo is None or (photo.faces == [] and not choices.anyway):
            nothing = gr.update(value=None, interactive=False)
            return {self.strip: gr.update(value=None, visible=True), self.strip_png: nothing, self.strip_zip: nothing}
        results = self.studio.every_epoch(photo, _options(photo, choices), progress_callback(progress))
        labelled = [("Input", results[0].shown().before), *((one.epoch.label, one.shown().after) for one in results)]
        own = [("input", results[0].before), *((one.epoch.name, one.after) for one in results)]
        strip, name = epoch_strip(labelled), f"{model}-{choices.direction}-epochs"
        zipped = str(save_zip([("strip", strip), *own], private_folder(), f"{name}.zip"))
        return {
            self.strip: gr.update(value=[(shown_file(image), label) for label, image in labelled], visible=True),
            self.strip_png: gr.update(value=saved_file(png_bytes(strip), f"{name}.png"), interactive=True),
            self.strip_zip: gr.update(value=zipped, interactive=True),
        }

    def _translator(self, name: str | None) -> ModelEntry | None:
        """The model of this name if it translates."""
        model = self.studio.model(name) if name else None
        return None if model is None or model.is_sampler else model


@functools.lru_cache(maxsize=24)
def _of_example(
    studio: Studio, example: Example, model: str, direction: str, epoch: str, revision: str, options: Options, original: bool,
    reconstruct: bool,
) -> Result:  # fmt: skip
    """The result for an example, which every visitor asks for; `revision` changes when the weights are replaced."""
    photo = studio.open(example.path, model, direction)
    return studio.translate(photo, epoch, options, original_size=original, reconstruct=reconstruct)


def _options(photo: Photo, choices: Choices) -> Options:
    face = None if photo.faces == [] else choices.face
    return translation_options(photo.model, photo.direction, choices.part, choices.strength, face)


def _notes(model: ModelEntry, choices: Choices, photo: Photo | None, result: Result | None) -> list[str]:
    """What is said below the result."""
    if photo is None:
        without = "" if examples_for(model, choices.direction) else " There is no free picture of this kind to show here."
        return [f"Give a picture of yours.{without}"]
    if result is None:
        return [NO_FACE]
    one_way = f"{model.arrow(choices.direction)}, one way only."
    return [one_way] * (len(model.directions) == 1) + list(result.notes)


def _clicked(event: gr.SelectData) -> int:
    """The index of the clicked image."""
    return int(event.index)
