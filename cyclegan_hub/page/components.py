"""Components of gradio, changed for this page: inputs that pass files on unchanged, and lines of text."""

from __future__ import annotations

from abc import ABCMeta
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.component_meta import ComponentMeta

from cyclegan_hub.models.photograph import MAX_STRENGTH
from cyclegan_hub.serving.model_info import DomainChoice

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


class Blocks(gr.Blocks):
    """A page whose named endpoints take fewer values than they have inputs, as older clients send: the rest is the default."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        if block_fn.api_visibility == "public":
            inputs.extend(getattr(component, "value", None) for component in block_fn.inputs[len(inputs) :])
        super().validate_inputs(block_fn, inputs)


def face_or_whole(elem_id: str) -> gr.Radio:
    """The choice between an aligned face and the whole photograph, where a direction takes faces."""
    parts = [("Face", "face"), ("Whole photograph", "whole")]
    return gr.Radio(parts, value="face", label="Translate", show_label=False, container=False, elem_id=elem_id)


def strength_slider(elem_id: str) -> gr.Slider:
    """How much is changed, of a model that adds a change to its input."""
    return gr.Slider(0, MAX_STRENGTH, value=1, step=0.05, label="Strength", min_width=230, elem_id=elem_id)


def options_for(choice: DomainChoice, direction: str, part: str, strength: float, face: int | None = 0) -> dict[str, Any]:
    """What both mean for `Studio.translate`, with face number `face`, None: as if it were any picture.

    Values that a hidden component was left with mean nothing.
    """
    options: dict[str, Any] = {"strength": strength if choice.skip else 1.0}
    if not choice.takes_faces(direction):
        return options
    if face is None:
        return options | {"face": "none"}
    return options | ({"face": "all", "whole": True} if part == "whole" else {"face": face or "auto"})


def text(elem_id: str, file: str | None = None) -> gr.HTML:
    """Lines of text: the content of a file beside this module, or set later by `as_html`."""
    return gr.HTML((HERE / file).read_text("utf-8") if file else None, padding=False, elem_id=elem_id, elem_classes="text")
