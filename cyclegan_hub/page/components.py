"""Inputs that hand over files as they are, and lines of text: what gradio needs to be told for this page."""

from __future__ import annotations

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.component_meta import ComponentMeta

HERE = Path(__file__).parent
HAS_CAMERA = """async () => {
    try {
        const devices = await navigator.mediaDevices.enumerateDevices();
        return [devices.some((device) => device.kind === 'videoinput')];
    } catch { return [false]; }  // no such API, as on a page without https, or not allowed
}"""


class Quiet(ComponentMeta):
    """Makes a component's class without gradio's own step, which writes a .pyi file beside this one."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Quiet:
        return ABCMeta.__new__(cls, name, bases, attributes)


class _Local:
    """A file input that takes what was uploaded, and fetches nothing: a download would know no limit, and tell of its users."""

    async def async_move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_address(path)
        moved: str | None = await super().async_move_resource_to_block_cache(path)  # type: ignore[misc]  # of gradio's Block
        return moved

    def move_resource_to_block_cache(self, path: str | Path | None) -> str | None:
        _refuse_address(path)
        moved: str | None = super().move_resource_to_block_cache(path)  # type: ignore[misc]  # as above
        return moved


def _refuse_address(path: str | Path | None) -> None:
    if str(path).lower().startswith(("http:", "https:")):
        raise gr.Error("Upload the picture: this page fetches nothing from other places.", print_exception=False)


class Photo(_Local, gr.Image, metaclass=Quiet):
    """An image input that hands over the file's path: `images.decode` opens it, under its limits, and not gradio."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


class Camera(_Local, gr.Image, metaclass=Quiet):
    """A camera's frames, handed over as the browser sends them: text with a JPEG file in it, that is never written to disk."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return payload.url if payload else None


class Files(_Local, gr.File, metaclass=Quiet):
    """An input of several files."""

    def get_block_name(self) -> str:
        return "file"


class Number(gr.Number, metaclass=Quiet):
    """A whole number that is handed over as it was typed: the Studio says in its own words which ones it takes."""

    def get_block_name(self) -> str:
        return "number"

    def preprocess(self, payload: float | None) -> float | None:
        return payload


def text(elem_id: str, file: str | None = None) -> gr.HTML:
    """A few quiet lines: those of a file beside this one, or what `as_html` makes later."""
    return gr.HTML((HERE / file).read_text("utf-8") if file else None, padding=False, elem_id=elem_id, elem_classes="text")
