"""Results of the Studio: shown before and after at one size, and saved as files, zips and strips."""

from __future__ import annotations

import io
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image, ImageDraw, ImageOps

from cyclegan_hub.errors import shortened
from cyclegan_hub.files import Format, atomic_path, base_name, remove_leftover, result_names
from cyclegan_hub.imaging import decoding, grids, images
from cyclegan_hub.models.protocols import drawable_label
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.messages import ServingError

MIN_SHOWN = 512  # longer side of a shown image in px, at least: a small result is enlarged to it
SHOWN = 768  # the same, at most
SAVED = 512  # shorter side of a saved result in px, at least
CELL = 512  # longer side in px of an image in a row or strip
READABLE = 128  # px: smaller images in a row are enlarged by a whole factor up to it, so that pixels stay sharp
NAMED = 5  # files that are named in a note, at most

SaveFormatName = Literal["png", "jpeg", "own", "pair"]
AddFile = Callable[[str, bytes], None]  # name, content


class Shown(NamedTuple):
    """RGB images of one size, to be shown side by side."""

    before: Image.Image
    after: Image.Image
    back: Image.Image | None


@dataclass(frozen=True)
class Result:
    """A translation: RGB images; `after` has an alpha channel (RGBA) where it shows the whole of an image with one."""

    model: ModelEntry
    direction: str
    epoch: EpochEntry
    before: Image.Image  # what `after` shows, at its size, before it was translated: an aligned face, or the whole image
    after: Image.Image
    given: Image.Image  # the same as `before`, as sharp as the file is
    notes: tuple[str, ...] = ()  # sentences for the user
    inputs: tuple[Image.Image, ...] = ()  # of the network: one image, or a square for each face
    outputs: tuple[Image.Image, ...] = ()  # of the network
    back: Image.Image | None = None  # the reconstruction, as `after` shows it
    reconstructions: tuple[Image.Image, ...] = ()  # `outputs`, translated by the network of the other direction

    def shown(self, as_model_sees: bool = False) -> Shown:
        """Before and after at one size: the input from the file, the result enlarged by Lanczos.

        With `as_model_sees` the model's inputs and outputs, enlarged so that each pixel can be seen; several side by side.
        """
        if as_model_sees and self.inputs:
            rows = (self.inputs, self.outputs, self.reconstructions)
            before, after, back = (grids.grid([row], gap=0) if row else None for row in rows)  # side by side
            alike = len(self.inputs) == 1 and self.before.size == self.outputs[0].size
        else:
            before, after, back = (one and decoding.decode(one) for one in (self.given, self.after, self.back))
            alike = True
        assert before is not None and after is not None
        size = _shown_size(self.given.size if alike else before.size, after.size)
        resampling = Image.Resampling.NEAREST if as_model_sees else Image.Resampling.LANCZOS
        return Shown(before.resize(size, resampling), after.resize(size, resampling), back and back.resize(size, resampling))

    def histogram(self) -> Image.Image:
        """A plot of the colour histograms of `before` and `after`, one above the other."""
        from cyclegan_hub.imaging.plots import colour_histograms

        return colour_histograms(self.before, decoding.decode(self.after))

    @property
    def caption(self) -> str:
        """The line below a saved pair: what the model does, the direction in words, and the epoch unless it is the best."""
        arrow = drawable_label(self.model.arrow(self.direction), self.direction.replace("_", " ").title())
        name = self.model.action or self.model.name
        epoch = "" if self.epoch.best else f", {self.epoch.title.lower()}"
        return f"{name}: {arrow}{epoch}, made with CycleGAN Hub"

    def file_name(self, format: SaveFormatName) -> str:
        """The name under which it is saved: "smile-a_to_b-epoch-025-pair.jpg"."""
        own = SAVE_FORMATS[format]
        return f"{self.model.name}-{self.direction}-{self.epoch.name}{own.mark}.{own.extension}"


@dataclass
class Batch:
    """Several translations."""

    zip: Path | None = None  # all results; None if there is none
    done: int = 0  # number of results in the zip
    thumbnails: list[tuple[str, Image.Image]] = field(default_factory=list)  # (name in the zip, small image) of the first results
    errors: list[str] = field(default_factory=list)  # a line for each file that was left out, with the reason
    notes: dict[str, list[str]] = field(default_factory=dict)  # a note on results, and the names of the files that it is about

    @property
    def lines(self) -> list[str]:
        """The notes as lines."""
        return [f"{shortened(names, NAMED)}: {note}" for note, names in self.notes.items()]


def with_color(image: Image.Image) -> Image.Image:
    """An image in RGB, or RGBA if it has an alpha channel."""
    return image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")


def _shown_size(given: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in px at which an image of the size `given` and its result are shown: the shape of `given`."""
    scale = min(SHOWN, max(MIN_SHOWN, *given, *result)) / max(given)
    return max(1, round(given[0] * scale)), max(1, round(given[1] * scale))


# --------------------------------------------------------------------------------------------------------- saved files
@dataclass(frozen=True)
class SaveFormat:
    """A format in which a result can be saved."""

    label: str
    extension: Format
    encode: Callable[[Result], bytes]  # the content of a result's file
    mark: str = ""  # part of the file's name before the extension


SAVE_FORMATS: dict[SaveFormatName, SaveFormat] = {
    "png": SaveFormat(f"PNG, {SAVED} px or more", "png", lambda one: images.png_bytes(enlarged(one.after))),
    "jpeg": SaveFormat(f"JPEG, {SAVED} px or more", "jpg", lambda one: jpeg_bytes(enlarged(one.after))),
    "pair": SaveFormat(
        "Before and after in one JPEG, with a line below", "jpg", lambda one: jpeg_bytes(side_by_side(one)), "-pair"
    ),
    "own": SaveFormat("PNG at its own size", "png", lambda one: images.png_bytes(one.after), "-own-size"),
}


def enlarged(image: Image.Image) -> Image.Image:
    """A result enlarged (Lanczos) to a shorter side of SAVED px; a larger one is returned unchanged."""
    return image if min(image.size) >= SAVED else images.resize_short(image, SAVED)


def jpeg_bytes(image: Image.Image, quality: int = 92) -> bytes:
    """An image, on white, as a JPEG file of high quality, with full colour resolution and without metadata."""
    buffer = io.BytesIO()
    images.decode(image).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def side_by_side(result: Result) -> Image.Image:
    """The given image and the result side by side, each CELL px high, with the caption below, on white."""
    width = max(1, round(CELL * result.given.width / result.given.height))
    pair = [images.decode(image).resize((width, CELL), Image.Resampling.LANCZOS) for image in (result.given, result.after)]
    gap, line = 8, 44
    canvas = Image.new("RGB", (2 * width + 3 * gap, CELL + 2 * gap + line), "white")
    for i, image in enumerate(pair):
        canvas.paste(image, (gap + i * (width + gap), gap))
    font = grids.fitting_font(result.caption, canvas.width - 2 * gap, 22, 9)
    place = canvas.width / 2, canvas.height - line / 2 - 2
    ImageDraw.Draw(canvas).text(place, result.caption, "#333333", font, anchor="mm")
    return canvas


def sheet(row: Sequence[Image.Image]) -> Image.Image:
    """Images of one size in a grid, about as wide as high; small images are enlarged by a whole factor."""
    columns = math.ceil(math.sqrt(len(row)))
    rows = [row[i : i + columns] for i in range(0, len(row), columns)]
    width, height = row[0].size
    factor = max(1, READABLE // max(width, height))
    return grids.grid(rows, cell=(width * factor, height * factor))


def labelled_row(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Images side by side, each under its label, fitted into CELL px; small ones are enlarged to READABLE."""
    labels, row = zip(*labelled, strict=True)
    size = [max(image.size[axis] for image in row) for axis in (0, 1)]
    scale = CELL / max(size) if max(size) > CELL else max(1, READABLE // max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return grids.grid([row], column_labels=labels, cell=(width, height))


def epoch_strip(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Images side by side in cells of CELL px, resized by Lanczos, each under its label."""
    row = [ImageOps.contain(image, (CELL, CELL), Image.Resampling.LANCZOS) for _, image in labelled]
    return grids.grid([row], column_labels=[label for label, _ in labelled], gap=8)


@contextmanager
def open_zip(folder: Path, name: str) -> Iterator[tuple[Path, AddFile]]:
    """A new zip `name` in a new folder below `folder`: its path, and a function that adds a file.

    The zip appears under its name only when it is complete; after an error nothing is left. Raises ServingError for a full disk
    and for a folder that cannot be written.
    """
    try:
        path = Path(tempfile.mkdtemp(dir=folder)) / name
        try:
            with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
                # ZIP_STORED: PNG and JPEG are compressed. ZipInfo: the same date in every zip, and no rights of this machine's
                # user.
                yield path, lambda name, content: file.writestr(zipfile.ZipInfo(name), content)
        except BaseException:
            remove_leftover(path.parent)
            raise
    except OSError as error:
        raise ServingError(f"The results could not be stored here ({error.strerror or type(error).__name__}).") from None


def save_zip(named: Iterable[tuple[str, Image.Image]], folder: Path, name: str) -> Path:
    """Writes (name without extension, image) as PNG files into a new zip `name` below `folder`; errors as `open_zip`."""
    with open_zip(folder, name) as (path, add):
        for stem, image in named:
            add(f"{stem}.png", images.png_bytes(image))
    return path


def zip_names(files: Sequence[Path | str], extension: Format = "png") -> list[str]:
    """A name for each file's result: valid on every operating system, and all different."""
    seen: dict[str, int] = {}
    names = []
    for base in map(base_name, files):
        count = seen[base] = seen.get(base, 0) + 1
        names.append(base if count == 1 else f"{count} {base}")
    return [name or f"picture {i}.{extension}" for i, name in enumerate(result_names(names, extension), 1)]
