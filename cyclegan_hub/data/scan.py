"""Reads every image of a pile once, in threads: decodes, hashes and measures it, and lists those that cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from tqdm.contrib.concurrent import thread_map

from cyclegan_hub.data.files import RawImages, read_file
from cyclegan_hub.data.pairs import PairItems
from cyclegan_hub.data.reading import Decodable, NoFaceError, Readable, Reading, random_square
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import probe_image

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
        mode, peak, deep_colour = probe_image(raw) or (image.mode, None, False)
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


# What is known of a pile once its images, or as many as are needed, have been looked at.


MAX_UNREADABLE = 0.05  # more broken files than this mean the wrong folder or a broken download


@dataclass
class Look:
    """The images of a pile that have been looked at so far; those that cannot be used are not in `seen`."""

    items: RawImages | PairItems
    label: str
    reading: Reading
    image_size: int  # px; a smaller image is upscaled
    keep_size: int | None  # px of the pixels that are kept; None: none are
    seen: dict[int, ImageFacts] = field(default_factory=dict)  # by row, usable ones
    unreadable: list[Unreadable] = field(default_factory=list)
    tiny: list[int] = field(default_factory=list)
    no_face: list[int] = field(default_factory=list)
    chunks: list[tuple[list[int], Tensor]] = field(default_factory=list)  # rows and their pixels, uint8 (N, C, S, S)
    notes: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # of a look at a part: all rows but for copies, as they are chosen
    copies: int = 0  # of a look at a part: files that are copies of another, byte by byte

    def at(self, rows: Sequence[int]) -> None:
        """Look at these rows, ascending."""
        pixels = None
        if self.keep_size is not None:
            pixels = torch.empty(len(rows), self.reading.planes, self.keep_size, self.keep_size, dtype=torch.uint8)
            self.chunks.append((list(rows), pixels))
        size, target = self.keep_size or 0, None if pixels is None else pixels.numpy()

        def keep(position: int, image: Image.Image) -> None:
            assert target is not None
            np.copyto(target[position], self.reading.tensor(image, size).numpy())  # torch would start threads in each of ours

        for found in scan(self.items, rows, self.label, self.reading, None if pixels is None else keep):
            if isinstance(found, Unreadable):
                self.unreadable.append(found)
            elif isinstance(found, NoFace):
                self.no_face.append(found.row)
            elif found.short < MIN_SIDE:
                self.tiny.append(found.row)
            else:
                self.seen[found.row] = found

    def looked_at(self) -> int:
        """How many images were looked at."""
        return len(self.seen) + len(self.unreadable) + len(self.tiny) + len(self.no_face)

    def not_looked_at(self) -> int:
        """How many images no one needed to look at."""
        return len(self.items) - self.looked_at() - self.copies

    def unique(self) -> list[int]:
        """The first row of each content among the usable images, in file order."""
        first: dict[str, int] = {}
        for row in sorted(self.seen):
            first.setdefault(self.seen[row].hash, row)
        return list(first.values())

    def check(self, held_out: bool = False) -> None:
        """Add the lines for the log. Raises DataError if more than 5 % of the images cannot be read."""
        count, label = self.looked_at(), self.label
        why = [one.why for one in self.unreadable]
        if len(why) > MAX_UNREADABLE * count:
            raise DataError(f"side {label}: {len(why)} of {count} images cannot be read, e.g. {listed(why, 3)}")
        notes = [f"{label}: {note}" for note in self.items.notes]
        if why:
            notes.append(f"{label}: skipped {len(why)} unreadable images: {listed(why)}")
        if self.tiny:
            names = [self.items.name(row) for row in self.tiny]
            notes.append(f"{label}: skipped {len(names)} images with a side below {MIN_SIDE} px: {listed(names)}")
        if self.no_face:
            names = [self.items.name(row) for row in self.no_face]
            notes.append(f"{label}: left out {len(names)} of {count} images in which no face is found: {listed(names)}")
        if self.no_face and not self.seen:
            raise DataError(
                f"side {label}: no face is found in any of its {count} images: to train on them as they are, give "
                f"--set eyes_{label[0].lower()}=none" + (", or to a DCGAN --set eyes=none" if label[0] == "A" else "")
            )
        if not held_out:  # said once for a side, not again for its held-out split
            seen = list(self.seen.values())
            upscaled = sum(image.short < self.image_size for image in seen)
            if upscaled:
                notes.append(f"{label}: {upscaled} of {count} images are smaller than {self.image_size} px and will be upscaled")
            if self.reading.eyes is None:
                notes += note_on_shapes(seen, label, self.reading.fit)
            notes += notes_on_values(seen, label, self.reading.value_range)
        self.notes += notes


# Which images of a pile are trained on and which are held out: by their content, whatever their names and order.


@dataclass
class HeldOut:
    """Images set apart from training."""

    hashes: set[str]  # of every image that must not be trained on
    read: list[str]  # hashes of `pixels`, in order
    pixels: Tensor  # uint8 (M, C, image size, image size)
    own_split: bool  # whether they come from a split of their own
    notes: list[str] = field(default_factory=list)


@dataclass
class Chosen:
    """A side before its images are put into memory: what is trained on, and what is held out."""

    look: Look
    held_out: HeldOut
    rows: list[int]


def look_at_all(look: Look, limit: int | None = None) -> Look:
    """Look at the first `limit` images of a pile (None: at all of them); returns the look."""
    look.at(range(len(look.items) if limit is None else min(limit, len(look.items))))
    return look


def look_until_enough(look: Look, wanted: int, seed: int, test: Look | None) -> None:
    """Look at images in a seeded order until `wanted` can be trained on, and one is held out where there is no `test` split.

    So no more are decoded than needed. The order is that of `ranked`, copies left out.
    """
    look.order = ranked(look.items, range(len(look.items)), seed, look.label)
    look.copies = len(look.items) - len(look.order)
    tested = set() if test is None else {image.hash for image in test.seen.values()}
    start = 0
    while start < len(look.order):
        hashes = {image.hash for image in look.seen.values()}
        apart = {digest for digest in hashes if digest in tested or (test is None and in_the_tenth(digest))}
        missing = wanted - len(hashes - apart)
        if missing <= 0 and (test is not None or apart):
            return
        rows = look.order[start : start + max(1, missing)]
        look.at(sorted(rows))
        start += len(rows)


def ranked(items: RawImages | PairItems, rows: Sequence[int], seed: int, label: str) -> list[int]:
    """The rows in the order in which a seed chooses them, copies of the same bytes left out but for the first.

    It is that of a hash of seed and file content: it does not depend on the order or the number of the files.
    """
    digests = in_threads(lambda position: _digest(items, rows[position]), range(len(rows)), f"choosing {label}")
    first: dict[bytes, int] = {}
    for row, digest in zip(rows, digests, strict=True):
        first.setdefault(hashlib.blake2b(f"{seed}:".encode() + digest, digest_size=16).digest(), row)
    return [first[key] for key in sorted(first)]


def _digest(items: RawImages | PairItems, row: int) -> bytes:
    """A hash of an image as it is stored, not decoded; of one that cannot be read, of its name."""
    if isinstance(items, PairItems):
        a, b = items.rows[row]
        return _digest(items.a, a) + _digest(items.b, b)
    try:
        raw = items.read(row)
        data = read_file(raw) if isinstance(raw, Path) else raw if isinstance(raw, bytes) else raw.tobytes()
    except (images.ImageError, OSError):
        data = items.name(row).encode(errors="surrogateescape")
    return hashlib.blake2b(data, digest_size=16).digest()


def in_the_tenth(digest: str) -> bool:
    """Whether the image of a content hash is held out where there is no split for it."""
    return int(digest[:8], 16) % 10 == 0


def held_out_of(look: Look, test: Look | None, limit: int) -> HeldOut:
    """The images of the side's held-out split, else a tenth of the training pile chosen by content hash, at most `limit`."""
    if test is not None:
        test.check(held_out=True)
        rows = test.unique()
        if not rows:
            raise DataError(f"side {look.label}: no image of the held-out split can be used")
        read = [test.seen[row].hash for row in rows]
        (_, pixels), *_ = test.chunks
        return HeldOut(set(read), read, pixels[rows], own_split=True, notes=test.notes)
    row_of = {look.seen[row].hash: row for row in look.unique()}
    if len(row_of) < 2:
        raise DataError(
            f"side {look.label} has {len(row_of)} different usable images: at least 2 are needed, one of them is held out"
        )
    chosen = {digest for digest in row_of if in_the_tenth(digest)} or {min(row_of)}
    if len(chosen) == len(row_of):
        chosen.remove(max(row_of))
    read = [digest for digest in row_of if digest in chosen][:limit]
    note = f"{look.label}: {len(chosen)} of {len(row_of)} images are held out, chosen by their content hash"
    held = LazyImages(look.items, np.array([row_of[digest] for digest in read]), look.image_size, look.reading.centred())
    return HeldOut(chosen, read, torch.stack([held[i] for i in range(len(held))]), own_split=False, notes=[note])


# Training images that are decoded when they are asked for, and how such images come into memory at once.


@dataclass
class LazyImages:
    """Some images of a pile: `[i]` is a uint8 tensor (C, size, size), the same each time."""

    items: Readable
    rows: npt.NDArray[np.int64]  # positions in `items`
    size: int
    reading: Reading
    _uncropped: list[Tensor] = field(default_factory=list, repr=False)  # all of them, after `fill`

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self._tensor(index, self.reading.centred())

    def at_random(self, index: int, random: np.random.Generator) -> Tensor:
        """An image to train on, uint8 (C, size, size): with the fit "random-crop" a square at a place drawn from `random`."""
        if self.reading.fit != "random-crop":
            return self[index]
        whole = self._uncropped[index] if self._uncropped else self._tensor(index, self.reading)
        return random_square(whole, self.size, random)

    def fill(self) -> None:
        """Decode all images for `at_random` now, and keep them in memory."""
        self._uncropped = in_threads(lambda i: self._tensor(i, self.reading), range(len(self)), "decoding")

    @property
    def in_memory(self) -> bool:
        """Whether they were filled."""
        return bool(self._uncropped)

    def _tensor(self, index: int, reading: Reading) -> Tensor:
        row = int(self.rows[index])
        try:
            return reading.tensor(reading.decode(self.items, row), self.size)
        except (images.ImageError, OSError) as error:
            raise DataError(f"{self.items.name(row)} was readable at the start and is no more: {error}") from error


def decoded(lazy: LazyImages) -> Tensor:
    """All of its images, decoded in threads: uint8 (N, C, S, S)."""
    pixels = torch.empty(len(lazy), *lazy[0].shape, dtype=torch.uint8)
    target = pixels.numpy()  # plain copies: torch would start its own threads in each of ours

    def decode(i: int) -> None:
        np.copyto(target[i], lazy[i].numpy())

    in_threads(decode, range(len(lazy)), "decoding")
    return pixels


def gathered(chunks: list[tuple[list[int], Tensor]], rows: Sequence[int]) -> Tensor:
    """The images of some rows, ascending, out of chunks (rows, uint8 (N, C, S, S)), which are emptied: uint8 (M, C, S, S)."""
    if len(chunks) == 1:
        have, pixels = chunks.pop()
        position = {row: i for i, row in enumerate(have)}
        for new, row in enumerate(rows):  # in place: rows ascend, and a second copy might not fit
            if new != position[row]:
                pixels[new] = pixels[position[row]]
        return pixels[: len(rows)]
    train = torch.empty(len(rows), *chunks[0][1].shape[1:], dtype=torch.uint8)
    new_of = {row: new for new, row in enumerate(rows)}
    while chunks:
        have, pixels = chunks.pop()
        for i, row in enumerate(have):
            if row in new_of:
                train[new_of[row]] = pixels[i]
    return train
