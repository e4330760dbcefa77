"""What a reader of the page takes home: a row of pictures, and zips of PNG files with safe names."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from cyclegan_hub import image_grid, images
from cyclegan_hub.file_names import result_names
from cyclegan_hub.serving.messages import ServingError

CELL = 512  # px of the longer side of a picture in a row, at most
READABLE = 128  # px that small ones are enlarged towards, by whole factors: their pixels stay what they are

Add = Callable[[str, Image.Image], None]  # name, picture


def row(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Pictures side by side, each under its label (Latin letters), scaled into CELL, or up towards READABLE."""
    if not labelled:
        raise ServingError("There is nothing to put in a row: translate a picture first.")
    labels, pictures = [label for label, _ in labelled], [picture for _, picture in labelled]
    size = [max(picture.size[axis] for picture in pictures) for axis in (0, 1)]
    scale = CELL / max(size) if max(size) > CELL else max(1, READABLE // max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return image_grid.grid([pictures], column_labels=labels, cell=(width, height))


@contextmanager
def open_zip(folder: Path, name: str) -> Iterator[tuple[Path, Add]]:
    """A new zip `name` in a new folder below `folder`: its path, and a function that adds a picture as PNG.

    It appears under its name when it is whole; if anything goes wrong, nothing of it stays. A disk that is full, or a folder
    that cannot be written, is a ServingError.
    """
    try:
        path = Path(tempfile.mkdtemp(dir=folder)) / name
        temporary = path.with_name(f".{name}.tmp")
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:  # PNG is compressed already
                # ZipInfo: the same date in every zip, and no rights of this machine's user
                yield path, lambda name, picture: file.writestr(zipfile.ZipInfo(name), images.png_bytes(picture))
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            path.parent.rmdir()
            raise
    except OSError as error:
        raise ServingError(f"The results could not be stored here ({error.strerror or type(error).__name__}).") from None


def save_zip(named: Iterable[tuple[str, Image.Image]], folder: Path, name: str) -> Path:
    """A new zip `name` below `folder`, of the pictures as PNG under their names, as `open_zip`."""
    with open_zip(folder, name) as (path, add):
        for stem, picture in named:
            add(f"{stem}.png", picture)
    return path


def base_name(file: Path | str) -> str:
    """The last component of a name, of whatever system it comes from."""
    return os.fsdecode(file).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def zip_names(files: Sequence[Path | str]) -> list[str]:
    """The name of each file's result: safe on every system, each another one even where two files are called the same."""
    seen: dict[str, int] = {}
    own = []
    for base in map(base_name, files):
        count = seen[base] = seen.get(base, 0) + 1
        own.append(base if count == 1 else f"{count} {base}")
    return [name or f"picture {i}.png" for i, name in enumerate(result_names(own, "png"), 1)]
