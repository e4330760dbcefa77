"""Reads every image of a pile once, in threads: decodes, hashes and measures it, and lists those that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from cyclegan_hub import images
from cyclegan_hub.data.landmarks import NoFaceError
from cyclegan_hub.data.reading import Decodable, Readable, Reading
from cyclegan_hub.decoding.depth import as_it_is

MIN_SIDE = 16  # px; a smaller picture shows nothing to learn from
GREY_MODES = {"1", "L", "LA", "F", "I", "I;16", "I;16B", "I;16L"}  # of Pillow

Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageFacts:
    """The facts about one readable image."""

    row: int  # in its pile
    hash: str  # content hash of its decoded pixels
    mode: str  # Pillow's mode of the file, before conversion
    size: tuple[int, int]  # (width, height) in px, upright; of a pair that of one half
    low: int  # smallest, largest and mean value of its 8-bit pixels, 0 to 255
    high: int
    mean: float
    peak: int | None  # largest value in a file of 16 bits, 0 to 65,535; None for other files
    deep_colour: bool = False  # whether the file is in colour with 16 bits a channel; `peak` is then 257 x the largest high byte

    @classmethod
    def of(cls, row: int, image: Image.Image, raw: Decodable, size: tuple[int, int] | None = None) -> Self:
        """The facts about `image`, decoded from `raw`. `size`: (width, height) in px; None: that of the image."""
        pixels = np.asarray(image)
        values = int(pixels.min()), int(pixels.max()), float(pixels.mean())
        mode, peak, deep_colour = as_it_is(raw) or (image.mode, None, False)
        return cls(row, images.content_hash(image), mode, size or image.size, *values, peak, deep_colour)

    @property
    def short(self) -> int:
        """The shorter side in px."""
        return min(self.size)


@dataclass(frozen=True)
class Unreadable:
    """An image that cannot be read; `why` gives its name and the reason."""

    row: int
    why: str


@dataclass(frozen=True)
class NoFace:
    """An image without a face, of a domain whose faces are aligned."""

    row: int


def in_threads(do: Callable[[int], Result], rows: Sequence[int], what: str) -> list[Result]:
    """The results of `do(row)` in the order of `rows`; shows a progress bar called `what` if stderr is a terminal."""
    workers = min(16, os.cpu_count() or 1)
    return list(thread_map(do, rows, max_workers=workers, desc=what, unit=" images", disable=None))


def scan(
    items: Readable,
    rows: Sequence[int],
    label: str,
    reading: Reading,
    keep: Callable[[int, Image.Image], None] | None = None,
) -> list[ImageFacts | Unreadable | NoFace]:
    """Reads the images `rows` of a pile; returns their facts in the same order.

    `keep(position in rows, decoded image)` is called for each image of at least MIN_SIDE px, with a face where faces are aligned.
    """

    def look(position: int) -> ImageFacts | Unreadable | NoFace:
        row = rows[position]
        name = items.name(row)
        try:
            raw = items.read(row)
            image = images.decode(raw, reading.channels, name=name, value_range=reading.value_range)
            size = reading.parts(image, name)[0].size
            found = ImageFacts.of(row, image, raw, size)
            if reading.eyes is not None and min(size) >= MIN_SIDE:
                reading.landmarks.of(image, found.hash)
        except NoFaceError:
            return NoFace(row)
        except images.ImageError as error:
            return Unreadable(row, str(error))
        except OSError as error:
            return Unreadable(row, f"{name}: {error.strerror or error}")
        if keep is not None and min(size) >= MIN_SIDE:
            keep(position, image)
        return found

    return in_threads(look, range(len(rows)), f"reading {label}")


def notes_on_values(seen: Sequence[ImageFacts], label: str, value_range: tuple[int, int] | None = None) -> list[str]:
    """A line for the log if a side's 16-bit images use a small part of `value_range` (None: 0 to 65,535), and would be dark."""
    return notes_on_peaks([(one.peak, one.deep_colour) for one in seen], label, value_range)


def notes_on_peaks(
    found: Sequence[tuple[int | None, bool]],
    label: str,
    value_range: tuple[int, int] | None = None,
    option: str = "--set value_range=",
) -> list[str]:
    """As `notes_on_values`, of (`peak`, `deep_colour`) of `ImageFacts`; `option` is how a command takes the range."""
    notes = []
    low, high = value_range or (0, 65535)
    for deep_colour in (False, True):
        peaks = [peak for peak, deep in found if peak is not None and deep == deep_colour]
        if not peaks or max(peaks) > (low + high) // 2:
            continue
        white = 2 ** max(8, max(1, max(peaks)).bit_length()) - 1
        remedy = f"say what is white with {option}{min(0, low)},{white}"
        if deep_colour:
            remedy = f"save them with 8 bits, {white:,} as white: in colour only their high bytes are read, and no value_range"
        notes.append(
            f"{label}: the greatest value of its {len(peaks)} images of 16 bits{' in colour' * deep_colour} is {max(peaks):,} of "
            f"{high:,}, so they are almost black: {remedy}"
        )
    return notes


def note_on_shapes(seen: Sequence[ImageFacts], label: str, fit: str) -> list[str]:
    """A line for the log if images are not square: how `fit` makes them square."""
    count = sum(image.size[0] != image.size[1] for image in seen)
    if not count:
        return []
    done = {
        "crop": "their centred squares are taken",
        "random-crop": "squares at random places of them are taken",
        "stretch": "they are distorted to squares",
        "pad": "they are made square with black at two sides",
    }
    return [f"{label}: {count} of {len(seen)} images are not square: {done[fit]} (--set fit=crop|random-crop|stretch|pad)"]


def note_on_colours(sides: Sequence[Sequence[ImageFacts]], channels: int) -> list[str]:
    """A line for the log if one side is grey and the other is in colour."""
    grey = [all(image.mode in GREY_MODES for image in seen) for seen in sides]
    if channels == 3 and len(grey) == 2 and grey[0] != grey[1]:
        here, there = ("A", "B") if grey[0] else ("B", "A")
        return [f"{here} is grey and {there} in colour: both are read with 3 channels (--set channels=1 reads both as grey)"]
    return []


def listed(names: Sequence[str], shown: int = 10) -> str:
    """The first `shown` names in one line, and the number of the others."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
