"""Components of gradio, changed for this page: inputs that pass files on unchanged, and lines of text."""

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
    """A metaclass for components that leaves out a step of gradio, which would write a .pyi file beside this module."""

    def __new__(cls, name: str, bases: tuple[type, ...], attributes: dict[str, Any]) -> Quiet:
        return ABCMeta.__new__(cls, name, bases, attributes)


class _Local:
    """A file input that takes uploads only. gradio would also download addresses, without a limit on their size."""

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
    """An image input that passes the file's path on, so that `images.decode` opens it, with its limits, instead of gradio."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return payload.path if payload else None


class Camera(_Local, gr.Image, metaclass=Quiet):
    """A camera's frames as the browser sends them: texts that contain a JPEG file. They are never written to disk."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return payload.url if payload else None


class Files(_Local, gr.File, metaclass=Quiet):
    """An input of several files."""

    def get_block_name(self) -> str:
        return "file"


class Number(gr.Number, metaclass=Quiet):
    """A number that is passed on as it was typed, because the Studio checks it and has better messages."""

    def get_block_name(self) -> str:
        return "number"

    def preprocess(self, payload: float | None) -> float | None:
        return payload


def text(elem_id: str, file: str | None = None) -> gr.HTML:
    """Lines of text: the content of a file beside this module, or set later by `as_html`."""
    return gr.HTML((HERE / file).read_text("utf-8") if file else None, padding=False, elem_id=elem_id, elem_classes="text")
