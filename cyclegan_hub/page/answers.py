"""Functions for all handlers of the page: errors in one sentence, files in private folders, progress."""

from __future__ import annotations

import functools
import html
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.serving.downloads import jpeg_bytes
from cyclegan_hub.serving.messages import ServingError

R = TypeVar("R")


def explain_errors(function: Callable[..., R], title: str = "Not translated") -> Callable[..., R]:
    """Wraps `function`: errors become one readable message. Of an unexpected error only the place in the code is logged."""

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> R:
        try:
            return function(*arguments, **options)
        except ServingError as error:
            message = html.escape(str(error), quote=False)  # gradio shows messages as HTML
        except Exception as error:  # its text could contain the name of a visitor's file
            print(*traceback.format_tb(error.__traceback__), type(error).__name__, sep="", file=sys.stderr)
            message = "Something went wrong here, which is no fault of yours. Try again, or ask for something else."
        raise gr.Error(message, duration=20, title=title, print_exception=False)

    return call


def explain_drawing_errors(function: Callable[..., R]) -> Callable[..., R]:
    """As `explain_errors`, for functions that draw."""
    return explain_errors(function, title="Not drawn")


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


def saved_png(picture: Image.Image, name: str) -> str:
    """Writes a picture into a new PNG file `name`, in a folder of its own, and returns its path."""
    return saved_file(images.png_bytes(picture), name)


def shown_file(picture: Image.Image, exact: bool = False) -> str:
    """Writes a picture into a new file for display and returns its path: a JPEG of high quality, or (`exact`) a PNG.

    gradio would write either a PNG, which takes a quarter of a second for 768 px, or a WebP of low quality.
    """
    if exact:
        return saved_png(picture, "picture.png")
    return saved_file(jpeg_bytes(picture), "picture.jpg")


def as_html(sentences: Sequence[str]) -> str:
    """Sentences as HTML paragraphs; HTML inside a sentence is shown as text."""
    return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)


def progress_callback(progress: gr.Progress) -> Callable[[int, int], None]:
    """A function for the Studio that passes (done, total) on to gradio's `progress`."""

    def report(done: int, total: int) -> None:
        progress((done, total), unit="pictures")

    return report
