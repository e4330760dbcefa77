"""Inputs that hand over files as they are, answers as HTML and files, messages, looks: what gradio needs told for this page."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.model_info import EpochChoice

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


def text(elem_id: str, file: str | None = None) -> gr.HTML:
    """A few quiet lines: those of a file beside this one, or what `said` makes later."""
    return gr.HTML((HERE / file).read_text("utf-8") if file else None, padding=False, elem_id=elem_id, elem_classes="text")
