"""The panel of a model that translates: a photograph and its result, what each epoch makes of it, and the details."""

from __future__ import annotations

import functools
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr

from cyclegan_hub.free_images import MOST_EXAMPLES, Example, example_in
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.page import components as ui
from cyclegan_hub.page.components import Panel, Props, Updates
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.photos import Photo, decode
from cyclegan_hub.serving.results import SAVE_FORMATS, Result, SaveFormatName, epoch_strip
from cyclegan_hub.serving.studio import Progress, Studio

HEIGHT = 512  # px of the result
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif")  # of other files a copy is shown
NO_FACE = (
    "No face was found in this photo, and this model knows faces alone: choose another photo, or translate all of it anyway."
)
CYCLE = (  # labels and alternative texts
    ("Before", "The photo before translation"), ("After", "The translation"), ("Translated back", "The reconstruction"),
)  # fmt: skip


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
    view: Literal["result", "compare"] = "result"
    opened: bool = False  # whether the details are open
    detail: Literal["card", "back", "colours"] = "card"
    kept: Kept | None = None


class TranslationPanel(Panel):
    """Is created inside the page's Blocks. Its components are attributes, its event handlers methods."""

    record = Choices

    def __init__(self, studio: Studio, model: gr.Radio, direction: gr.State, first: ModelEntry | None) -> None:
        super().__init__(studio, model)
        self.direction = direction
        # The first example of the first model, translated now.
        self.first = self.props(first, self.with_example(first, Choices())) if first else {}
        with gr.Tab("One photo", id="one") as self.tab:
            with gr.Row(elem_id="one"):
                with gr.Column(scale=4, min_width=300, elem_id="given"):
                    self._add_photograph()
                with gr.Column(scale=7, min_width=320, elem_id="made"):
                    self._add_result()
            self.watch = self.add("watch", gr.Accordion, "Watch it learn", open=False, elem_id="watch")
            with self.watch:
                self._add_epochs()
            with gr.Accordion("Details", open=False, elem_id="details") as self.details:
                self._add_details()

    # -------------------------------------------------------------------------------------------------- layout
    def _add_photograph(self) -> None:
        """Left: the photograph, how to give another one, and what of it is translated."""
        self.kept, self.face = self.add("kept", gr.State), self.add("face", gr.State, value=0)
        self.anyway = self.add("anyway", gr.State, value=False)
        self.photo = self.add(
            "photo", ui.PhotoInput, label="Your photo", show_label=False, type="filepath", height=300, interactive=True,
            sources=["upload", "webcam", "clipboard"], buttons=[], elem_id="photo", placeholder="Drop a photo here",
        )  # fmt: skip
        with gr.Row(elem_id="give"):  # browser.js lets them do what gradio's own small buttons do
            gr.Button("Take a photo", size="sm", min_width=90, elem_id="take")
            gr.Button("Choose a photo", size="sm", min_width=90, elem_id="choose")
            gr.Button("Paste", size="sm", min_width=60, elem_id="paste")
        with gr.Row(elem_id="examples"):
            self.examples = [
                self.add(f"example {i}", gr.Button, value="", size="sm", min_width=60, visible=False)
                for i in range(MOST_EXAMPLES)
            ]
        self.faces = self.add(
            "faces", gr.Gallery, label="Several faces: choose one", columns=6, height="auto", allow_preview=False,
            interactive=False, buttons=[], elem_id="faces", visible=False,
        )  # fmt: skip
        self.part = self.add("part", ui.face_or_whole, elem_id="part")
        self.strength = self.add("strength", ui.strength_slider, elem_id="strength")

    def _add_result(self) -> None:
        """Right: the result, alone or under a slider over the photograph, and how to keep it."""
        self.view = self.add("view", gr.State, value="result")
        with gr.Tabs(elem_id="views"):
            with gr.Tab("Result", id="result") as self.result_tab:
                self.result = self.add(
                    "result", gr.Image, label="Result", height=HEIGHT, interactive=False, buttons=["fullscreen"],
                    elem_id="result", alt_text="The result",
                )  # fmt: skip
            with gr.Tab("Compare", id="compare") as self.compare_tab:
                self.slider = self.add(
                    "slider", gr.ImageSlider, show_label=False, height=HEIGHT, max_height=HEIGHT, buttons=["fullscreen"],
                    interactive=False, visible=False, elem_id="slider",
                )  # fmt: skip
        self.progress = [self.result, self.slider]
        self.notes = self.add("notes", ui.text, "notes")
        self.go_on = self.add("go_on", gr.Button, "Translate anyway", size="sm", elem_id="anyway", visible=False)
        with gr.Row(elem_id="keep"):
            self.save = self.add(
                "save", gr.DownloadButton, "Save", variant="primary", size="md", min_width=90, elem_id="save", interactive=False
            )
            self.copy = self.add("copy", gr.Button, "Copy", size="md", min_width=90, elem_id="copy", interactive=False)
            self.told = self.add("told", ui.text, "told")

    def _add_epochs(self) -> None:
        """The slider of the epochs, and the photograph translated by each, side by side."""
        self.watching = gr.State(False)
        ui.text("watch-note", "watch.html")
        self.epoch = self.add("epoch", ui.epoch_slider, elem_id="epoch")
        self.strip = gr.Gallery(
            show_label=False, columns=1, height="auto", object_fit="contain", interactive=False, buttons=["fullscreen"],
            visible=False, elem_id="strip",
        )  # fmt: skip
        with gr.Row(elem_id="strip-save"):
            self.strip_png = gr.DownloadButton("Save this strip as PNG", size="sm", interactive=False, elem_id="strip-png")
            self.strip_zip = gr.DownloadButton("Save all as zip", size="sm", interactive=False, elem_id="strip-zip")

    def _add_details(self) -> None:
        """What only some ask for; its components are sent to the browser when it is opened."""
        self.opened, self.detail = self.add("opened", gr.State, value=False), self.add("detail", gr.State, value="card")
        with gr.Row(elem_id="options"):
            self.format = self.add("format", ui.save_format, label="Save as", visible=False, elem_id="format")
            self.original, self.pixels = (
                self.add(name, gr.Checkbox, label=label, container=False, visible=False, elem_id=name)
                for name, label in (("original", "Keep the original size"), ("pixels", "As the model sees it"))
            )
        self.tabs = {}
        with gr.Tabs(elem_id="more"):
            with gr.Tab("About this model", id="card") as self.tabs["card"]:
                self.card = self.add("card", gr.Markdown, visible=False, elem_id="card", elem_classes="card")
            self.tabs["back"] = self.add("back", gr.Tab, "There and back", id="back")
            with self.tabs["back"], gr.Row(elem_classes="pictures"):
                for i, (label, alt) in enumerate(CYCLE):
                    self.add(
                        f"cycle {i}", gr.Image, label=label, height=300, min_width=150, interactive=False,
                        buttons=["fullscreen"], alt_text=alt,
                    )  # fmt: skip
            with gr.Tab("Colours", id="colours") as self.tabs["colours"]:
                self.add(
                    "histogram", gr.Image, format="png", show_label=False, interactive=False, buttons=[], elem_id="histogram",
                    alt_text="Colour histograms of the photo before and after",
                )  # fmt: skip

    # -------------------------------------------------------------------------------------------------- events
    def events(self) -> None:
        """Connects the events with their handlers."""
        into: dict[str, Any] = {"inputs": self.inputs, "outputs": self.outputs}
        show, quiet = into | {"show_progress_on": self.progress} | ui.PROGRESS, into | ui.HIDDEN
        latest = show | {"trigger_mode": "always_last"}
        changed = [one.input for one in (self.epoch, self.part, self.strength, self.original, self.pixels, self.format)]
        showing = [
            gr.on(changed, self.show, **latest),
            self.photo.change(self.give, **latest),
            self.photo.clear(self.clear, **quiet),
            self.go_on.click(functools.partial(self.look, anyway=True), **show),
            self.faces.select(_clicked, None, self.face, **ui.HIDDEN).then(self.show, **show),
            *(button.click(functools.partial(self.choose_example, i), **show) for i, button in enumerate(self.examples)),
        ]
        for view, tab in (("result", self.result_tab), ("compare", self.compare_tab)):
            tab.select(functools.partial(self.look, view=view), **show)
        self.fold_events(quiet, showing)

    @ui.explain_errors
    def give(self, model: str, *values: Any) -> Updates:
        """Updates for a photograph of the user. One that cannot be read is told, and the one before stays."""
        choices, entry = Choices(*values), self._entry(model)
        if entry is None or choices.photo is None or (choices.kept and Kept.of(choices.photo).digest == choices.kept.digest):
            return self.unchanged(entry)  # the photograph was set by the page, or is still on its way
        try:
            photo = decode(Path(choices.photo), entry)
        except ServingError as error:
            ui.warn([str(error)], duration=20, title=self.error_title)
            kept = choices.kept.path if choices.kept and Path(choices.kept.path).is_file() else None
            return {self.photo: kept, **self.unchanged(entry)}
        path = choices.photo if choices.photo.lower().endswith(SHOWN_BY_BROWSERS) else ui.shown_file(photo.image)
        update = self._shown(model, choices._replace(photo=path, kept=Kept.of(path)), fresh=True)
        if path == choices.photo:
            del update[self.photo]  # the browser has it
        return update

    @ui.explain_errors
    def clear(self, model: str, *values: Any) -> Updates:
        """Updates after the photograph was removed."""
        update = self._shown(model, Choices(*values)._replace(photo=None, kept=None), fresh=True)
        update.pop(self.photo, None)  # the browser has removed it
        return update

    @ui.explain_errors
    def choose_example(self, number: int, model: str, *values: Any) -> Updates:
        """Updates for an example that was clicked."""
        choices = Choices(*values)
        path = self.studio.model(model).examples(choices.direction)[number].path
        return self._shown(model, choices._replace(photo=str(path), kept=Kept.of(path)), fresh=True)

    def chosen(self, model: ModelEntry, direction: str, values: tuple[Any, ...] = ()) -> Updates:
        """Updates for a newly chosen model or direction: a photograph of the user stays, another example is chosen."""
        choices = Choices(*values)._replace(direction=direction, epoch=None, part="face", strength=1.0, original=False)
        return self.updates(self.props(model, self.with_example(model, choices)))

    def with_example(self, model: ModelEntry, choices: Choices) -> Choices:
        """The choices with the direction's first example, unless they have a photograph of the user."""
        if choices.photo and not example_in(choices.photo):
            return choices
        path = str(model.examples(choices.direction)[0].path)
        return choices._replace(photo=path, kept=Kept.of(path))

    # ------------------------------------------------------------------------------------------------ the state
    def props(self, model: ModelEntry, choices: Choices, fresh: bool = True) -> Props:
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
        own = model.examples(choices.direction)
        given = example_in(choices.photo, own)
        props: Props = {f"example {i}": {"visible": False} for i in range(len(own), MOST_EXAMPLES)}
        for i, one in enumerate(own):
            variant = "primary" if one is given else "secondary"
            props[f"example {i}"] = {"value": one.name, "icon": ui.thumbnail(one.path), "variant": variant, "visible": True}
        return props | {
            "photo": {"value": choices.photo, "alt_text": given.name if given else "Your photo"},
            "kept": {"value": choices.kept},
            "part": {"visible": bool(model.eyes(choices.direction)), "value": choices.part},
            "strength": {"visible": model.skip, "value": choices.strength},
            "epoch": ui.epoch_props(model, choices.epoch),
            "watch": {"visible": len(model.epochs) > 1},
            "back": {"interactive": len(model.directions) > 1},  # `visible` of a tab takes no update in gradio 6.31
        }

    def _result_props(
        self, model: ModelEntry, choices: Choices, photo: Photo | None, result: Result | None, problem: str
    ) -> Props:
        """What belongs to the photograph and its result; without one, the user is told why."""
        several = photo is not None and len(photo.faces or ()) > 1 and choices.part == "face"
        props: Props = {
            **{name: {"value": getattr(choices, name)} for name in ("face", "anyway", "view")},
            "faces": {
                "value": photo.thumbnails() if photo and several else None,
                "visible": several,
                "selected_index": choices.face if several else None,
            },
            "go_on": {"visible": photo is not None and photo.faces == [] and not (result or problem)},
            "copy": {"interactive": result is not None},
            "save": {"value": None, "interactive": False},
            "result": {"value": None, "label": model.heading(choices.direction)},
            "notes": {"value": ui.as_html([problem] if problem else _notes(model, choices, photo, result))},
            "told": {"value": ""},
            "epoch": ui.epoch_marks(model),
        }
        if choices.view == "compare":
            props["slider"] = {"value": None, "visible": True}
        if result is None:
            return props
        shown = result.shown(as_model_sees=choices.pixels)
        before, after = (ui.shown_file(image, exact=choices.pixels) for image in (shown.before, shown.after))
        props["result"]["value"] = after
        if choices.view == "compare":
            props["slider"]["value"] = (before, after)
        file = ui.saved_file(SAVE_FORMATS[choices.format].encode(result), result.file_name(choices.format))
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
                    props[f"cycle {i}"] = {"value": image and ui.shown_file(image, exact=choices.pixels)}
        return props

    def strip_of(self, model: ModelEntry, choices: Choices, progress: Progress) -> ui.Strip | None:
        """The photograph, then the result of every epoch."""
        photo = self.studio.open(Path(choices.photo), model.name, choices.direction) if choices.photo else None
        if photo is None or (photo.faces == [] and not choices.anyway):
            return None
        results = self.studio.every_epoch(photo, _options(photo, choices), progress)
        labelled = [("Input", results[0].shown().before), *((one.epoch.label, one.shown().after) for one in results)]
        own = [("input", results[0].before), *((one.epoch.name, one.after) for one in results)]
        shown, strip = [(ui.shown_file(image), label) for label, image in labelled], epoch_strip(labelled)
        return shown, f"{model.name}-{choices.direction}-epochs", strip, [("strip", strip), *own]


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
    return ui.translation_options(photo.model, photo.direction, choices.part, choices.strength, face)


def _notes(model: ModelEntry, choices: Choices, photo: Photo | None, result: Result | None) -> list[str]:
    """What is said below the result."""
    if photo is None:
        return ["Give a picture of yours."]
    if result is None:
        return [NO_FACE]
    one_way = f"{model.arrow(choices.direction)}, one way only."
    return [one_way] * (len(model.directions) == 1) + list(result.notes)


def _clicked(event: gr.SelectData) -> int:
    """The index of the clicked image."""
    return int(event.index)
