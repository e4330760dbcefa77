"""Results of the Studio; a translation is shown as before and after at one size, as sharp as the given file."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cyclegan_hub.files import Format, base_name, result_names
from cyclegan_hub.imaging import decoding, grids, images
from cyclegan_hub.serving.catalog import EpochChoice
from cyclegan_hub.serving.messages import ServingError

SHOWN = 768  # longer side of a shown picture in px, at most
NAMED = 5  # files that are named in a note, at most
LEAST = 512  # longer side of a shown picture in px, at least: a small result is enlarged to it


class Shown(NamedTuple):
    """Pictures of one size, RGB, to be looked at side by side."""

    before: Image.Image
    after: Image.Image
    back: Image.Image | None


@dataclass(frozen=True)
class Result:
    """A translation: RGB pictures, `after` with an alpha channel (RGBA) where it has the frame of a picture with one."""

    before: Image.Image  # what `after` shows, at its size, before it was translated: an aligned face, or the whole picture
    after: Image.Image
    notes: tuple[str, ...]  # sentences for the reader
    epoch: EpochChoice
    given: Image.Image  # the same as `before`, as sharp as the file is
    inputs: tuple[Image.Image, ...] = ()  # what the network saw: one picture, or a square for each face
    outputs: tuple[Image.Image, ...] = ()  # what it made of them
    back: Image.Image | None = None  # the reconstruction in the frame of `after`, from `Studio.cycle`
    reconstructions: tuple[Image.Image, ...] = ()  # what the network of the other direction made of `outputs`

    def shown(self, as_model_sees: bool = False) -> Shown:
        """Before and after at one size: the input from the file, the result enlarged by Lanczos.

        With `as_model_sees` the model's inputs and outputs, enlarged so that each pixel can be seen; several side by side.
        """
        if as_model_sees and self.inputs:
            before, after, back = (_row(row) if row else None for row in (self.inputs, self.outputs, self.reconstructions))
            alike = len(self.inputs) == 1 and self.before.size == self.outputs[0].size
        else:
            before, after, back = (one and decoding.decode(one) for one in (self.given, self.after, self.back))
            alike = True
        assert before is not None and after is not None
        size = shown_size(self.given.size if alike else before.size, after.size)
        how = Image.Resampling.NEAREST if as_model_sees else Image.Resampling.LANCZOS
        return Shown(before.resize(size, how), after.resize(size, how), back and back.resize(size, how))

    def histogram(self) -> Image.Image:
        """A picture of the colour histograms of `before` and `after`, one above the other."""
        from cyclegan_hub.imaging.plots import colour_histograms

        return colour_histograms(self.before, decoding.decode(self.after))


def coloured(picture: Image.Image) -> Image.Image:
    """A picture in RGB, or RGBA if it has an alpha channel."""
    return picture.convert("RGBA" if picture.mode in ("LA", "RGBA") else "RGB")


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side."""
    row = Image.new("RGB", (sum(one.width for one in pictures), pictures[0].height))
    for i, one in enumerate(pictures):
        row.paste(one, (i * one.width, 0))
    return row


@dataclass(frozen=True)
class Batch:
    """Several translations."""

    pictures: list[tuple[str, Image.Image]]  # (name in the zip, thumbnail) of the first results
    zip: Path | None  # all results; None if there is none
    errors: list[str]  # a line for each file that was left out, with the reason
    notes: dict[str, list[str]]  # what there is to say of results, and the names of the files of which it is said
    done: int  # number of results in the zip

    @property
    def lines(self) -> list[str]:
        """The notes as lines."""
        found = []
        for note, names in self.notes.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            found.append(f"{', '.join(names[:NAMED])}{more}: {note}")
        return found


@dataclass(frozen=True)
class Samples:
    """Pictures that a model drew by one epoch: RGB, of one size."""

    pictures: list[Image.Image]
    epoch: EpochChoice


def shown_size(given: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in px at which a picture of the size `given` and its result are shown: the shape of `given`."""
    wanted = min(SHOWN, max(LEAST, *given, *result))
    scale = wanted / max(given)
    return max(1, round(given[0] * scale)), max(1, round(given[1] * scale))


# Files that a visitor can save: a result, both pictures side by side, a strip of all epochs, and zips, with safe names.


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
    return grids.grid([pictures], column_labels=labels, cell=(width, height))


def epoch_strip(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures side by side in cells of CELL px, resized by Lanczos, each under its label."""
    if not labelled:
        raise ServingError("There is nothing to put in a strip: translate a picture first.")
    pictures = [ImageOps.contain(picture, (CELL, CELL), Image.Resampling.LANCZOS) for _, picture in labelled]
    return grids.grid([pictures], column_labels=[_latin(label) for label, _ in labelled], gap=8)


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
