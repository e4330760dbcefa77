"""The page's building blocks: inputs that pass files on unchanged, small components, theme, and helpers of all handlers."""

from __future__ import annotations

import base64
import functools
import html
import math
import sys
import tempfile
import traceback
from abc import ABCMeta
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote_to_bytes

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.component_meta import ComponentMeta
from gradio.data_classes import GradioRootModel, ImageData
from gradio.processing_utils import save_bytes_to_cache
from gradio.themes.utils.fonts import LocalFont
from gradio_client.utils import is_file_obj_with_meta  # type: ignore[import-untyped]
from PIL import Image, ImageOps
from pydantic import ValidationInfo, model_validator

from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import MAX_BYTES
from cyclegan_hub.models.photograph import MAX_STRENGTH, Options
from cyclegan_hub.serving.catalog import ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import SAVE_FORMATS, jpeg_bytes, save_zip
from cyclegan_hub.serving.studio import Progress, Studio

HERE = Path(__file__).parent
THUMBNAIL = 112  # px of an example's picture on its button
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
HIDDEN: dict[str, Any] = {"show_progress": "hidden", **PRIVATE}
PROGRESS: dict[str, Any] = {"show_progress": "full", **PRIVATE}  # which page.css shows after a second
NOT_TRANSLATED, NOT_GENERATED = "Not translated", "Not generated"  # titles of messages
Props = dict[str, dict[str, Any]]  # properties of components, by a name of each
Updates = dict[Any, Any]  # what a handler returns: components and their updates
C = TypeVar("C")
R = TypeVar("R")


class Blocks(gr.Blocks):
    """A page whose named endpoints take fewer values than they have inputs, as older clients send: the rest is the default."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        if block_fn.api_visibility == "public":
            inputs.extend(getattr(component, "value", None) for component in block_fn.inputs[len(inputs) :])
        super().validate_inputs(block_fn, inputs)


# -------------------------------------------------------------------------------------------------------------- inputs
class Quiet(ComponentMeta):
    """A metaclass for components that leaves out a step of gradio, which would write a .pyi file beside this module."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Quiet:
        return ABCMeta.__new__(cls, name, bases, attributes)


class _Changed(metaclass=Quiet):
    """A component of gradio with another behaviour, which the browser shows as it shows the original."""

    def get_block_name(self) -> str:
        return next(one.__name__.lower() for one in type(self).__mro__ if one.__module__.startswith("gradio."))


class _Picture(ImageData):
    """A file as a client sends it. gradio's own class takes any path of this machine where `meta` does not call it an upload."""

    @model_validator(mode="before")
    @classmethod
    def _check_meta(cls, value: Any, info: ValidationInfo) -> Any:
        given = (info.context or {}).get("validate_meta") and isinstance(value, dict) and value.get("path")
        if given and not is_file_obj_with_meta(value):
            raise ValueError("a path needs 'meta': {'_type': 'gradio.FileData'}")
        return value


class _Pictures(GradioRootModel):
    root: list[_Picture]


class _UploadsOnly(_Changed):
    """A file input that takes uploads only. gradio would also download URLs, without a limit on their size."""

    GRADIO_CACHE: str
    temp_files: set[str]

    async def async_move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_url(path)
        moved: str | None = await super().async_move_resource_to_block_cache(path)  # type: ignore[misc]  # of gradio's Block
        return moved

    def move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_url(path)
        moved: str | None = super().move_resource_to_block_cache(path)  # type: ignore[misc]  # as above
        return moved

    def _path(self, picture: ImageData) -> str | None:
        """The path of an upload, or of the content of a data: URL; None without either."""
        if picture.path:
            return picture.path
        url = str(picture.url or "")
        _refuse_url(url)
        if not url.lower().startswith("data:"):
            return None
        path: str = save_bytes_to_cache(_data_in(url), "picture", self.GRADIO_CACHE)
        self.temp_files.add(path)
        return path


def _refuse_url(path: str | Path | None) -> None:
    if str(path).lower().startswith(("http:", "https:")):
        raise gr.Error("Upload the picture: this page fetches nothing from other places.", print_exception=False)


class PhotoInput(_UploadsOnly, gr.Image):
    """An image input that passes the file's path on, so that `images.decode` opens it, with its limits, instead of gradio."""

    data_model = _Picture

    def preprocess(self, payload: Any) -> str | None:
        return self._path(payload) if payload else None


def _data_in(url: str) -> bytes:
    """The content of a data: URL, which is the picture itself in base64."""
    head, _, text = url.partition(",")
    if len(text) > 4 * MAX_BYTES // 3 + 4:
        raise gr.Error(f"The picture has more than {MAX_BYTES:,} bytes: give a smaller one.", print_exception=False)
    try:
        return base64.b64decode(text, validate=True) if head.lower().endswith(";base64") else unquote_to_bytes(text)
    except ValueError:
        raise gr.Error("The data: URL is not in base64: encode the file again.", print_exception=False) from None


class Camera(_UploadsOnly, gr.Image):
    """A camera's frames as the browser sends them: texts that contain a JPEG file. They are never written to disk."""

    def preprocess(self, payload: Any) -> str | None:
        return payload.url if payload else None


class Files(_UploadsOnly, gr.File):
    """An input of several pictures, made with file_count="multiple".

    It has no `__init__` of its own: gradio makes a component again for each update, from the arguments that `__init__` names.
    """

    @property
    def data_model(self) -> type[_Pictures]:
        return _Pictures

    @data_model.setter
    def data_model(self, value: Any) -> None:
        """gradio's own class sets the model of a list of any files."""

    def preprocess(self, payload: Any) -> list[str]:
        return [path for picture in (payload.root if payload else ()) if (path := self._path(picture))]


class Number(_Changed, gr.Number):
    """A number that is passed on as it was typed, because the Studio checks it and has better messages."""

    def preprocess(self, payload: float | None) -> float | None:
        return payload


# ------------------------------------------------------------------------------------------------------- number slider
class NumberSlider(_Changed, gr.HTML):
    """A slider with a number box and marks. Its value is a whole number; other values, sent by a client, are corrected.

    With `values` (ascending) it is one of them; without, a number from 0 to `most`, and the slider ends at `track`.
    It is gradio's HTML component with a template and a script of ours: gradio's own slider takes no list of values, has no ticks,
    and shows an error of its own for a number out of range.
    """

    def __init__(
        self,
        value: int = 0,
        *,
        values: Sequence[int] = (),
        track: int = 0,
        most: int = 0,
        best: int = -1,
        note: str = "",
        **options: Any,
    ) -> None:
        # gradio builds the component again for each update from its arguments, so that options may contain these.
        template, script = ((HERE / f"number_slider.{suffix}").read_text("utf-8") for suffix in ("html", "js"))
        given: dict[str, Any] = {"html_template": template, "js_on_load": script, "apply_default_css": False} | options
        super().__init__(value, values=list(values), track=track, most=most, best=best, note=note, **given)
        self.most = most

    def preprocess(self, payload: Any) -> int:  # type: ignore[override]  # a number, unlike its base class
        try:
            number = float(payload)
        except (TypeError, ValueError, OverflowError):
            return 0
        return 0 if math.isnan(number) else int(min(max(number, 0), self.most or 2**31 - 1))

    def postprocess(self, value: Any) -> Any:
        return value

    def api_info(self) -> dict[str, Any]:
        return {"type": "integer"}


epoch_slider = functools.partial(NumberSlider, label="Epoch", elem_classes="epoch")  # empty until `epoch_props` sets it


def epoch_props(model: ModelEntry, epoch: int | None = None) -> dict[str, Any]:
    """The properties of the slider for a model: at the given epoch or the best, and hidden if there is only one."""
    best = model.best_epoch.number or 0
    value = best if epoch is None else model.nearest_epoch(epoch).number or 0
    return {"value": value, "visible": len(model.epochs) > 1, **epoch_marks(model)}


def epoch_marks(model: ModelEntry) -> dict[str, Any]:
    """The properties of the slider without its value.

    They belong to every update: gradio 6.31 drops them if a handler leaves out a slider that the browser has not shown yet.
    """
    best = model.best_epoch
    return {
        "values": [one.number for one in model.epochs if one.number is not None],
        "best": best.number if best.mark == "best" and best.number is not None else -1,
        "note": f"Its training started from another model: {model.started_from}." if model.started_from else "",
        "track": 0,
        "most": 0,
    }


# ---------------------------------------------------------------------------------------- other parts of several panels
face_or_whole = functools.partial(  # where a direction takes faces
    gr.Radio, [("Face", "face"), ("Whole photograph", "whole")], value="face", label="What is translated", show_label=False,
    container=False,
)  # fmt: skip
strength_slider = functools.partial(  # of a model that adds a change to its input: how much of it
    gr.Slider, 0, MAX_STRENGTH, value=1, step=0.05, label="Strength", min_width=160, buttons=[]
)
save_format = functools.partial(gr.Dropdown, [(one.label, name) for name, one in SAVE_FORMATS.items()], value="png")


def translation_options(model: ModelEntry, direction: str, part: str, strength: float, face: int | None = 0) -> Options:
    """The meaning of `part` and `strength` for a translation of face number `face`, None: as if it were any image.

    Values that a hidden component was left with mean nothing.
    """
    strength = strength if model.skip else 1.0
    if not model.eyes(direction):
        return Options(strength=strength)
    if face is None:
        return Options("none", strength=strength)
    return Options("all", True, strength) if part == "whole" else Options(face or "auto", False, strength)


def text(elem_id: str, file: str | None = None, **options: Any) -> gr.HTML:
    """Lines of text: the content of a file beside this module, or set later by `as_html`."""
    given = {"value": (HERE / file).read_text("utf-8") if file else None} | options
    return gr.HTML(padding=False, elem_id=elem_id, elem_classes="text", **given)


def as_html(sentences: Sequence[str]) -> str:
    """Sentences as HTML paragraphs; HTML inside a sentence is shown as text."""
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)


@functools.cache
def thumbnail(path: Path) -> dict[str, str]:
    """The middle of an image, small, as the icon of a button: in the page itself, so that it takes no request."""
    small = ImageOps.fit(images.decode(path), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return {"path": path.name, "url": f"data:image/jpeg;base64,{base64.b64encode(jpeg_bytes(small, 85)).decode()}"}


# ---------------------------------------------------------------------------------------------------------------- look
def theme() -> gr.themes.Base:
    """The page's colours and fonts."""
    # Only these two weights, from this machine: the default theme's semi-bold font shows capitals wrongly.
    fonts = (LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif")
    return gr.themes.Default(primary_hue="teal", neutral_hue="stone", font=fonts, font_mono=("ui-monospace", "monospace")).set(
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
        body_text_color_subdued="*neutral_500",  # neutral_400, the default, is too pale on white
        slider_color="*primary_600", checkbox_background_color_selected="*primary_700", color_accent="*primary_700",
    )  # fmt: skip


def head() -> str:
    """Style sheet and script for the page's head. gradio's own argument `css` is not used: it changes the selectors."""
    style, script = ((HERE / name).read_text("utf-8") for name in ("page.css", "browser.js"))
    return f"<style>{style}</style><script>{script}</script>"


# ------------------------------------------------------------------------------------------------------------ handlers
def explain_errors(function: Callable[..., R], title: str = "") -> Callable[..., R]:
    """Wraps a method: errors become one readable message. Of an unexpected error only the place in the code is logged."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> R:
        try:
            return function(*arguments, **options)
        except ServingError as error:
            message = html.escape(str(error), quote=False)  # gradio shows messages as HTML
        except Exception as error:  # its text could contain the name of a user's file
            print(*traceback.format_tb(error.__traceback__), type(error).__name__, sep="", file=sys.stderr)
            message = "Something went wrong here, which is no fault of yours. Try again, or ask for something else."
        shown = title or getattr(arguments[0], "error_title", NOT_TRANSLATED)
        raise gr.Error(message, duration=20, title=shown, print_exception=False)

    return call


def warn(sentences: Iterable[str], **options: Any) -> None:
    """Shows sentences beside an answer."""
    for sentence in sentences:
        gr.Warning(html.escape(sentence, quote=False), **options)


def private_folder() -> Path:
    """A new folder in gradio's cache; its files are deleted together with old uploads."""
    cache = Path(gr.utils.get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def saved_file(content: bytes, name: str) -> str:
    """Writes `content` into a new file `name`, in a folder of its own, and returns its path."""
    path = private_folder() / name
    path.write_bytes(content)
    return str(path)


def saved_set(name: str, whole: Image.Image, single: Iterable[tuple[str, Image.Image]]) -> tuple[str, str]:
    """The paths of two new files: `whole` as PNG, and a zip of the (name, image) of `single`."""
    return saved_file(images.png_bytes(whole), f"{name}.png"), str(save_zip(single, private_folder(), f"{name}.zip"))


def shown_file(image: Image.Image, exact: bool = False) -> str:
    """Writes an image into a new file for display and returns its path: a JPEG of high quality, or (`exact`) a PNG.

    gradio would write either a PNG, which takes a quarter of a second for 768 px, or a WebP of low quality.
    """
    return saved_file(images.png_bytes(image), "picture.png") if exact else saved_file(jpeg_bytes(image), "picture.jpg")


def progress_callback(progress: gr.Progress) -> Progress:
    """A function for the Studio that passes (done, total) on to gradio's `progress`."""
    return lambda done, total: progress((done, total), unit="pictures")


# -------------------------------------------------------------------------------------------------------------- panels
Strip = tuple[list[Any], str, Image.Image, list[tuple[str, Image.Image]]]  # (image, caption) of all, and as for `saved_set`


class Panel:
    """A panel of models that translate, or of those that sample.

    Its components get their properties by name, from the model and what was chosen: on the built page and from every handler.
    """

    samples: ClassVar[bool] = False  # which of the two
    error_title: ClassVar[str] = NOT_TRANSLATED
    record: type[Any]  # a NamedTuple: what handlers get after the model's name; its fields are components of the panel
    first: Props  # properties on the built page, from the first model
    progress: list[Any]  # the components that show that something is being worked on
    details: gr.Accordion
    opened: gr.State  # whether the details are open
    tabs: dict[str, gr.Tab]  # of the details
    watch: gr.Accordion
    watching: gr.State  # whether it is open
    epoch: NumberSlider
    strip: gr.Gallery  # what each epoch makes
    strip_png: gr.DownloadButton
    strip_zip: gr.DownloadButton
    save: gr.DownloadButton
    copy: gr.Button
    told: gr.HTML  # what Copy says

    def __init__(self, studio: Studio, model: gr.Radio) -> None:
        self.studio, self.model = studio, model
        self.named: dict[str, Any] = {}  # the components that `props` has names for

    def add(self, name: str, kind: Callable[..., C], *arguments: Any, **options: Any) -> C:
        """A new component with these options and the first model's properties."""
        self.named[name] = component = kind(*arguments, **options | self.first.get(name, {}))
        return component

    def updates(self, props: Props) -> Updates:
        return {self.named[name]: gr.update(**given) for name, given in props.items()}

    # -------------------------------------------------------------------------------------------------- events
    @property
    def inputs(self) -> list[Any]:
        return [self.model, *(getattr(self, name) for name in self.record._fields)]

    @property
    def outputs(self) -> list[Any]:
        """All components that a handler may update."""
        return list(self.named.values())

    @property
    def strip_event(self) -> dict[str, Any]:
        """The handler, inputs, outputs and options of an event that fills the strip."""
        outputs = [self.strip, self.strip_png, self.strip_zip]
        inputs = [self.watching, *self.inputs]
        return {"fn": self.show_strip, "inputs": inputs, "outputs": outputs, "show_progress_on": self.strip, **PROGRESS}

    def fold_events(self, look: dict[str, Any], showing: Iterable[Any]) -> None:
        """Connects Copy and what is folded, whose content is made when it is opened.

        `look`: options of the events of details; `showing`: the events after which the strip is another one.
        """
        for detail, tab in self.tabs.items():
            tab.select(functools.partial(self.look, detail=detail), **look)
        self.details.expand(functools.partial(self.look, opened=True), **look)
        self.details.collapse(lambda: False, None, self.opened, **HIDDEN)
        # The strip is made visible first, so that a sign of work has a place.
        unfolded = self.watch.expand(lambda: (True, gr.update(visible=True)), None, [self.watching, self.strip], **HIDDEN)
        for one in (unfolded, *showing):
            one.then(**self.strip_event)
        self.watch.collapse(lambda: False, None, self.watching, **HIDDEN)
        self.copy.click(None, self.save, self.told, js="(file) => copyPicture(file)", **HIDDEN)  # in browser.js

    # ------------------------------------------------------------------------------------------------ handlers
    @explain_errors
    def show(self, model: str, *values: Any) -> Updates:
        """Updates after another choice of a component."""
        return self._shown(model, self.record(*values))

    @explain_errors
    def look(self, model: str, *values: Any, **opened: Any) -> Updates:
        """Updates for what `opened` changes: a view, the details or a tab of them that was opened."""
        before, entry = self.record(*values), self._entry(model)
        after = before._replace(**opened)
        if after == before or entry is None:  # the browser selects the first tabs when the page opens
            return self.unchanged(entry)
        return self.updates(self.looked(entry, after))

    @explain_errors
    def show_strip(
        self, watching: bool, model: str, *values: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (gradio looks for it there)
    ) -> Updates:  # fmt: skip
        """Updates of what each epoch makes, shown and as files to save, if it is open."""
        entry = self._entry(model)
        if not watching or entry is None:
            return {self.strip: gr.skip()}
        made = self.strip_of(entry, self.record(*values), progress_callback(progress))
        if made is None:
            nothing = gr.update(value=None, interactive=False)
            return {self.strip: gr.update(value=None, visible=True), self.strip_png: nothing, self.strip_zip: nothing}
        png, archive = saved_set(*made[1:])
        return {
            self.strip: gr.update(value=made[0], visible=True),
            self.strip_png: gr.update(value=png, interactive=True),
            self.strip_zip: gr.update(value=archive, interactive=True),
        }

    def unchanged(self, model: ModelEntry | None) -> Updates:
        """Updates that change nothing that is seen."""
        return {self.epoch: gr.update(**epoch_marks(model)) if model else gr.skip()}

    def _shown(self, model: str, choices: Any, fresh: bool = False) -> Updates:
        entry = self._entry(model)
        return self.updates(self.props(entry, choices, fresh)) if entry else self.unchanged(None)

    def _entry(self, name: str | None) -> ModelEntry | None:
        """The model of this name if it is one of the panel's."""
        model = self.studio.model(name) if name else None
        return model if model and model.is_sampler == self.samples else None

    # ----------------------------------------------------------------------------- what each of the two makes
    def props(self, model: ModelEntry, choices: Any, fresh: bool = True) -> Props:
        """The properties of all components, by name; `fresh`: model, direction or photograph is new."""
        raise NotImplementedError

    def looked(self, model: ModelEntry, choices: Any) -> Props:
        """The properties of what was opened."""
        return self.props(model, choices, fresh=False)

    def strip_of(self, model: ModelEntry, choices: Any, progress: Progress) -> Strip | None:
        """What the strip shows; None without an input."""
        raise NotImplementedError
