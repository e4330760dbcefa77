"""Files that a visitor can save: a result, both pictures side by side, a strip of all epochs, and zips, with safe names."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cyclegan_hub import image_grid, images
from cyclegan_hub.file_names import Format, base_name, result_names
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import Result

SAVED = 512  # shorter side of a saved result in px, at least
CELL = 512  # longer side in px of a picture in a row or strip
READABLE = 128  # px: smaller pictures in a row are enlarged by a whole factor up to it, so that pixels stay sharp

SaveFormatName = Literal["png", "jpeg", "own", "pair"]
Add = Callable[[str, bytes], None]  # name, content


@dataclass(frozen=True)
class SaveFormat:
    """A format in which a result can be saved."""

    label: str
    ending: Format
    mark: str = ""  # part of the file's name before the ending


SAVE_FORMATS: dict[SaveFormatName, SaveFormat] = {
    "png": SaveFormat(f"PNG, {SAVED} px or more", "png"),
    "jpeg": SaveFormat(f"JPEG, {SAVED} px or more", "jpg"),
    "pair": SaveFormat("Before and after in one JPEG, with a line below", "jpg", "-pair"),
    "own": SaveFormat("PNG at its own size", "png", "-own-size"),
}


def result_file(result: Result, way: SaveFormatName, caption: str) -> bytes:
    """The content of a result's file in this format; `caption` is the line below a pair."""
    match way:
        case "own":
            return images.png_bytes(result.after)
        case "pair":
            return jpeg_bytes(side_by_side(result, caption))
        case "jpeg":
            return jpeg_bytes(enlarged(result.after))
        case "png":
            return images.png_bytes(enlarged(result.after))


def enlarged(picture: Image.Image) -> Image.Image:
    """A result enlarged (Lanczos) to a shorter side of SAVED px; a larger one is returned unchanged."""
    return picture if min(picture.size) >= SAVED else images.resize_short(picture, SAVED)


def side_by_side(result: Result, caption: str) -> Image.Image:
    """The given picture and the result side by side, each CELL px high, with a line of text below, on white."""
    width = max(1, round(CELL * result.given.width / result.given.height))
    pictures = [
        images.decode(picture).resize((width, CELL), Image.Resampling.LANCZOS) for picture in (result.given, result.after)
    ]
    gap, line = 8, 44
    canvas = Image.new("RGB", (2 * width + 3 * gap, CELL + 2 * gap + line), "white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (gap + i * (width + gap), gap))
    draw, text, size = ImageDraw.Draw(canvas), _latin(caption), 22
    while size > 9 and draw.textlength(text, ImageFont.load_default(size)) > canvas.width - 2 * gap:
        size -= 1
    draw.text((canvas.width / 2, canvas.height - line / 2 - 2), text, "#333333", ImageFont.load_default(size), anchor="mm")
    return canvas


def jpeg_bytes(picture: Image.Image) -> bytes:
    """A picture, on white, as a JPEG file of high quality, with full colour resolution and without metadata."""
    buffer = io.BytesIO()
    images.decode(picture).save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def picture_row(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures side by side, each under its label (Latin letters), fitted into CELL px; small ones are enlarged to READABLE."""
    if not labelled:
        raise ServingError("There is nothing to put in a row: translate a picture first.")
    labels, pictures = [label for label, _ in labelled], [picture for _, picture in labelled]
    size = [max(picture.size[axis] for picture in pictures) for axis in (0, 1)]
    scale = CELL / max(size) if max(size) > CELL else max(1, READABLE // max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return image_grid.grid([pictures], column_labels=labels, cell=(width, height))


def epoch_strip(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures side by side in cells of CELL px, resized by Lanczos, each under its label."""
    if not labelled:
        raise ServingError("There is nothing to put in a strip: translate a picture first.")
    pictures = [ImageOps.contain(picture, (CELL, CELL), Image.Resampling.LANCZOS) for _, picture in labelled]
    return image_grid.grid([pictures], column_labels=[_latin(label) for label, _ in labelled], gap=8)


def _latin(text: str) -> str:
    """The text with Latin letters only, which the font has."""
    return text.replace("→", "to").replace("·", "-").encode("latin-1", "replace").decode("latin-1")


@contextmanager
def open_zip(folder: Path, name: str) -> Iterator[tuple[Path, Add]]:
    """A new zip `name` in a new folder below `folder`: its path, and a function that adds a file.

    The zip appears under its name only when it is complete; after an error nothing is left. Raises ServingError for a full disk
    and for a folder that cannot be written.
    """
    try:
        path = Path(tempfile.mkdtemp(dir=folder)) / name
        temporary = path.with_name(f".{name}.tmp")
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:  # PNG and JPEG are compressed already
                # ZipInfo: the same date in every zip, and no rights of this machine's user
                yield path, lambda name, content: file.writestr(zipfile.ZipInfo(name), content)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            path.parent.rmdir()
            raise
    except OSError as error:
        raise ServingError(f"The results could not be stored here ({error.strerror or type(error).__name__}).") from None


def save_zip(named: Iterable[tuple[str, Image.Image]], folder: Path, name: str) -> Path:
    """Writes (name without ending, picture) as PNG files into a new zip `name` below `folder`; errors as `open_zip`."""
    with open_zip(folder, name) as (path, add):
        for stem, picture in named:
            add(f"{stem}.png", images.png_bytes(picture))
    return path


def zip_names(files: Sequence[Path | str], ending: Format = "png") -> list[str]:
    """A name for each file's result: valid on every operating system, and all different."""
    seen: dict[str, int] = {}
    own = []
    for base in map(base_name, files):
        count = seen[base] = seen.get(base, 0) + 1
        own.append(base if count == 1 else f"{count} {base}")
    return [name or f"picture {i}.{ending}" for i, name in enumerate(result_names(own, ending), 1)]
