"""What the page's handlers share: errors told in one sentence, private folders, progress."""

from __future__ import annotations

import functools
import html
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.serving.messages import ServingError


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


def steps(progress: gr.Progress) -> Callable[[int, int], None]:
    """`progress` as the Studio calls it."""
    return lambda done, total: progress((done, total), unit="pictures")
