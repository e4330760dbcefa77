"""Inputs that hand over files as they are, answers as HTML and files, messages, looks: what gradio needs told for this page."""

from __future__ import annotations

import functools
import html
import sys
import tempfile
import traceback
from abc import ABCMeta
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta
from gradio.themes.utils.fonts import LocalFont
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.serving import EpochChoice, ServingError

HERE = Path(__file__).parent
HAS_CAMERA = """async () => {
    try {
        const devices = await navigator.mediaDevices.enumerateDevices();
        return [devices.some((device) => device.kind === 'videoinput')];
    } catch { return [false]; }  // no such API, as on a page without https, or not allowed
}"""


class _Quiet(ComponentMeta):
    """Makes a component's class without gradio's own step, which writes a .pyi file beside this one."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> _Quiet:
        return ABCMeta.__new__(cls, name, bases, attributes)


class _Local:
    """A file input that takes what was uploaded, and fetches nothing: a download would know no limit, and tell of its users."""

    async def async_move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_address(path)
        return await super().async_move_resource_to_block_cache(path)  # type: ignore[misc]

    def move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_address(path)
        return super().move_resource_to_block_cache(path)  # type: ignore[misc]


def _refuse_address(path: str | Path | None) -> None:
    if str(path).lower().startswith(("http:", "https:")):
        raise gr.Error("Upload the picture: this page fetches nothing from other places.", print_exception=False)


class Photo(_Local, gr.Image, metaclass=_Quiet):
    """An image input that hands over the file's path: `images.decode` opens it, under its limits, and not gradio."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


class Files(_Local, gr.File, metaclass=_Quiet):
    """An input of several files."""

    def get_block_name(self) -> str:
        return "file"


class Number(gr.Number, metaclass=_Quiet):
    """A whole number that is handed over as it was typed: the Studio says in its own words which ones it takes."""

    def get_block_name(self) -> str:
        return "number"

    def preprocess(self, payload: float | None) -> float | None:
        return payload


def answered(function: Callable, title: str = "Not translated") -> Callable:
    """`function` with what it raises as one readable message; of anything unexpected only its place in the code is logged."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except ServingError as error:
            message = html.escape(str(error), quote=False)  # gradio shows messages as HTML
        except Exception as error:  # its own text could name a file of the user's
            print(*traceback.format_tb(error.__traceback__), type(error).__name__, sep="", file=sys.stderr)
            message = "Something went wrong here, which is no fault of yours. Try again, or ask for something else."
        raise gr.Error(message, duration=20, title=title, print_exception=False)

    return call


drawn = functools.partial(answered, title="Not drawn")


def epoch_field(elem_id: str) -> gr.Slider:
    """The slider over the places in a list of epochs, before `epoch_slider` says which there are."""
    return gr.Slider(1, 2, 1, step=1, precision=0, label="Epoch", buttons=[], scale=3, elem_id=elem_id, elem_classes="epoch")


def epoch_slider(epochs: Sequence[EpochChoice]) -> dict[str, Any]:
    """What a slider over places in the list of epochs is updated with: it starts at the best, and is not there for only one."""
    best = next((i for i, epoch in enumerate(epochs, 1) if epoch.best), len(epochs))
    return gr.update(maximum=max(2, len(epochs)), value=best, label=epochs[best - 1].label, visible=len(epochs) > 1)


def at_place(epochs: Sequence[EpochChoice], index: int) -> EpochChoice:
    """The epoch at a place of that slider."""
    if not 1 <= index <= len(epochs):
        raise ServingError("There are other epochs of this model now: reload the page.")
    return epochs[index - 1]


def private_folder() -> Path:
    """A new folder in gradio's cache: a file in it that is handed out is deleted when the uploads are."""
    cache = Path(gr.utils.get_upload_folder())
    cache.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def saved(picture: Image.Image, name: str) -> str:
    """The path of a new PNG file called `name`, in a folder of its own."""
    path = private_folder() / name
    path.write_bytes(images.png_bytes(picture))
    return str(path)


def said(sentences: Sequence[str]) -> str:
    """Sentences of any origin as HTML that shows just them."""
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)


def text(elem_id: str, file: str | None = None) -> gr.HTML:
    """A few quiet lines: those of a file beside this one, or what `said` makes later."""
    return gr.HTML((HERE / file).read_text("utf-8") if file else None, padding=False, elem_id=elem_id, elem_classes="text")


def steps(progress: gr.Progress) -> Callable[[int, int], None]:
    """`progress` as the Studio calls it."""
    return lambda done, total: progress((done, total), unit="pictures")


def theme() -> gr.themes.Base:
    # The default theme's semi-bold cut renders capitals wrongly: only these two weights, from this machine.
    fonts = (LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif")
    return gr.themes.Default(primary_hue="teal", neutral_hue="stone", font=fonts, font_mono=("ui-monospace", "monospace")).set(
        button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700", button_primary_background_fill_hover_dark="*primary_600",
        slider_color="*primary_600", checkbox_background_color_selected="*primary_700", color_accent="*primary_700",
    )  # fmt: skip


def head() -> str:
    """The style sheet as part of the page's head: gradio rewrites the selectors of its own argument `css`."""
    return f"<style>{(HERE / 'page.css').read_text('utf-8')}</style>"
