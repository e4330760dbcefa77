"""Reads the images of each domain before the first step: scans all of them, holds some out, and chooses what is trained on.

With `max_images` no more are decoded than are needed for that number.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from tqdm.contrib.concurrent import thread_map

from cyclegan_hub.data.files import EmptyCellError, Raw, RawImages, share_of
from cyclegan_hub.data.reading import NoFaceError, Reading, Selection, random_square
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError, DataSource
from cyclegan_hub.errors import counted, shortened
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import label_of, probe_image

MIN_SIDE = 16  # px; a smaller image shows nothing to learn from
MAX_UNREADABLE = 0.05  # a larger share means the wrong folder or a broken download
CACHE_BYTES = 4 * 2**30  # decoded training images of all domains are kept in memory up to this
GREY_MODES = {"1", "L", "LA", "F", "I", "I;16", "I;16B", "I;16L"}  # of Pillow

Result = TypeVar("Result")


@dataclass
class DomainImages:
    """The images of one domain, read and checked.

    `train[i]` is a uint8 tensor (C, S, S) with S the load size, `held_out` a uint8 tensor (M, C, image size, image size), both
    in file order. `counts` holds found, unreadable, tiny, no_face (where faces are aligned), duplicates, also_held_out,
    not_chosen, kept (without a held-out split of its own also held_out, they add up to found) and held_out. `fingerprint`
    changes when the kept or the held-out images do; `notes` are lines for the log.
    """

    train: Tensor | LazyImages
    held_out: Tensor
    fingerprint: str
    counts: dict[str, int]
    notes: list[str]
    held_out_hashes: list[str] = field(default_factory=list)  # content hashes of `held_out`


def load_domains(sources: Sequence[DataSource], readings: Sequence[Reading], selection: Selection) -> tuple[DomainImages, ...]:
    """Read one or two domains: decode every image once, drop unusable ones and copies, set the held-out images apart.

    Those are the first of the source's own split, without one a tenth, by content hash: adding or renaming files moves no image
    between training and test. What either domain holds out is not trained on. Raises DataError if a domain is empty, more than
    5 % unreadable, or the same as the other.
    """
    if selection.max_images is not None and selection.max_images < 1:
        raise DataError(f"max_images is {selection.max_images}: give at least 1, or leave it out for all")
    named = list(zip("AB"[: len(sources)], sources, readings, strict=True))
    opened = [_open(name, source, reading) for name, source, reading in named]
    most = [min(len(items), selection.max_images or len(items)) for items, _ in opened]
    keep = _fit_in_memory(most, readings)
    domains = [
        _Domain.scan(name, *items, reading, selection, keep) for (name, _, reading), items in zip(named, opened, strict=True)
    ]
    if len(domains) == 2:
        _compare(*domains)
        for one, other in (domains, domains[::-1]):
            one.held_out_elsewhere = other.held_out_hashes - one.held_out_hashes
    rows = [domain.choose(selection.max_images, selection.seed) for domain in domains]
    if selection.equal_sides:
        smaller = min(map(len, rows))
        rows = [domain.choose(smaller, selection.seed) for domain in domains]
    cached = _fit_in_memory(map(len, rows), readings)
    return tuple(domain.images(chosen, cached) for domain, chosen in zip(domains, rows, strict=True))


def _open(name: str, source: DataSource, reading: Reading) -> tuple[RawImages, RawImages | None]:
    train = open_items(source.train, reading.value_range)
    test = open_items(source.held_out, reading.value_range) if source.held_out else None
    if train is None or not len(train) or (test is not None and not len(test)):
        empty = source.held_out if train and source.held_out else source.train
        ignored = f" ({'; '.join(train.notes)})" if train is not None and not len(train) and train.notes else ""
        raise DataError(f"domain {name} is empty: no image in {empty.describe()}{ignored}")
    return train, test


def _fit_in_memory(counts: Iterable[int], readings: Sequence[Reading]) -> bool:
    sizes = (count * reading.planes * reading.size**2 for count, reading in zip(counts, readings, strict=True))
    return sum(sizes) <= CACHE_BYTES


def _compare(a: _Domain, b: _Domain) -> None:
    ours, theirs = ({facts.hash for facts in domain.unique.values()} for domain in (a, b))
    if ours and ours == theirs:
        raise DataError(f"both domains hold the same {counted(len(ours))}: give two different sets of images")
    if shared := len(ours & theirs):
        a.notes.append(f"A and B: {counted(shared, verb='are')} in both domains")
    a.notes += note_on_colours([list(domain.train.usable.values()) for domain in (a, b)], a.train.reading.channels)


@dataclass
class _Domain:
    """One domain after its scan: the training source, and the images that are held out."""

    train: Scan
    unique: dict[int, ImageFacts]  # the first usable image of each content, by row
    held_out_hashes: set[str]  # of every image that must not be trained on
    held_out_read: list[str]  # hashes of `held_out`, in order
    held_out: Tensor  # uint8 (M, C, image size, image size)
    has_split: bool  # whether the held-out images come from a split of their own
    notes: list[str]
    held_out_elsewhere: set[str] = field(default_factory=set)  # of images that only the other domain holds out

    @classmethod
    def scan(
        cls,
        name: str,
        items: RawImages,
        test_items: RawImages | None,
        reading: Reading,
        selection: Selection,
        keep: bool,
    ) -> Self:
        """Scan a held-out split, if there is one, and as much of the training source as the selection needs."""
        limit = selection.held_out_limit
        train = Scan(items, name, reading, keep and not reading.crops_at_random)
        test = None
        if test_items is not None:
            test = Scan(test_items, f"{name} held out", reading.held_out(), keep=True)
            test.add(range(min(limit, len(test_items))))
        if selection.max_images is None:
            train.add(range(len(items)))
        else:
            train.add_until(selection.max_images, selection.seed, test)
        notes = [*train.check(), *train.notes_on_reading()]
        unique = train.unique()
        if test is None:
            return cls._split_by_hash(train, unique, limit, notes)
        notes += test.check()
        rows = test.unique()
        if not rows:
            raise DataError(f"domain {name}: no image of the held-out split can be used")
        read = [facts.hash for facts in rows.values()]
        (_, pixels), *_ = test.chunks
        return cls(train, unique, set(read), read, pixels[list(rows)], True, notes)

    @classmethod
    def _split_by_hash(cls, train: Scan, unique: dict[int, ImageFacts], limit: int, notes: list[str]) -> Self:
        """Hold a tenth of the images out, at most `limit` of which are read."""
        row_of = {facts.hash: row for row, facts in unique.items()}
        if len(row_of) < 2:
            raise DataError(
                f"domain {train.label} has {counted(len(row_of), 'different usable image')}: at least 2 are needed, one of them "
                "is held out"
            )
        chosen = {digest for digest in row_of if in_the_tenth(digest)} or {min(row_of)}
        if len(chosen) == len(row_of):
            chosen.remove(max(row_of))
        read = [digest for digest in row_of if digest in chosen][:limit]
        note = f"{train.label}: {share_of(len(chosen), len(row_of))} held out, chosen by their content hash"
        held_out = LazyImages(train.items, np.array([row_of[digest] for digest in read]), read, train.reading.held_out())
        return cls(train, unique, chosen, read, held_out.decoded(), False, [*notes, note])

    def choose(self, limit: int | None, seed: int) -> list[int]:
        """Rows to train on, in file order: all that neither domain holds out, or a seeded choice of `limit` of them."""
        apart = self.held_out_hashes | self.held_out_elsewhere
        rows = [row for row, facts in self.unique.items() if facts.hash not in apart]
        if limit is None or limit >= len(rows):
            return rows
        order = self.train.order or ranked(self.train.items, rows, seed, self.train.label)
        usable = set(rows)
        return sorted([row for row in order if row in usable][:limit])

    def images(self, rows: list[int], cached: bool) -> DomainImages:
        """The domain with `rows` as its training images, decoded now if `cached`, else when they are used."""
        if not rows:
            raise DataError("no training image is left: all of them are unusable, or held out too")
        scan, hashes = self.train, [self.unique[row].hash for row in rows]
        lazy = LazyImages(scan.items, np.array(rows), hashes, scan.reading)
        train: Tensor | LazyImages = lazy
        if cached and scan.reading.crops_at_random:
            lazy.fill()
        elif cached:
            train = _gathered(scan.chunks, rows) if scan.chunks else lazy.decoded()
        also_held_out = sum(facts.hash in self.held_out_hashes for facts in self.unique.values())
        elsewhere = sum(facts.hash in self.held_out_elsewhere for facts in self.unique.values())
        counts = {
            "found": len(scan.items),
            **scan.skipped_counts(),
            "duplicates": len(scan.usable) - len(self.unique) + scan.copies,
            "also_held_out": elsewhere + (also_held_out if self.has_split else 0),
            "not_chosen": len(self.unique) - also_held_out - elsewhere - len(rows) + len(scan.items) - len(scan) - scan.copies,
            "kept": len(rows),
            "held_out": len(self.held_out_read) if self.has_split else also_held_out,
        }
        # As many as a training holds out: an evaluation may read more of the same split.
        digest = fingerprint(hashes, self.held_out_read[: Selection.max_held_out])
        return DomainImages(train, self.held_out, digest, counts, self.notes, self.held_out_read)


def in_the_tenth(digest: str) -> bool:
    """Whether the image of a content hash is held out where there is no split for it."""
    return int(digest[:8], 16) % 10 == 0


def fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """32 hex digits of the content hashes of what is trained on and what is held out, in order."""
    return hashlib.blake2b("\n".join([*train, "held out", *held_out]).encode(), digest_size=16).hexdigest()


# ------------------------------------------------------------------------------------------ scanning a source


@dataclass(frozen=True)
class ImageFacts:
    """The facts about one readable image."""

    row: int  # in its source
    hash: str  # content hash of its decoded pixels
    mode: str  # Pillow's mode of the file, before conversion
    size: tuple[int, int]  # (width, height) in px, upright; of a pair that of one half
    low: int  # smallest, largest and mean value of its 8-bit pixels, 0 to 255
    high: int
    mean: float
    peak: int | None  # largest value in a file of 16 bits, 0 to 65,535; None for other files
    deep_colour: bool = False  # whether the file is in colour with 16 bits a channel; `peak` is then 257 x the largest high byte

    @classmethod
    def of(cls, row: int, image: Image.Image, raw: Raw, size: tuple[int, int] | None = None) -> Self:
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
class Skipped:
    """An image that cannot be used: it cannot be read, or has no face where faces are aligned."""

    row: int
    kind: Literal["unreadable", "empty", "no_face"]  # "empty": a cell of a table without an image
    name: str
    reason: str = ""  # why it is unreadable

    @property
    def message(self) -> str:
        """Its name, and why it is unreadable."""
        return f"{self.name} {self.reason}".strip()


def scan_images(
    items: RawImages,
    rows: Sequence[int],
    label: str,
    reading: Reading,
    keep: Callable[[int, Tensor], None] | None = None,
) -> list[ImageFacts | Skipped]:
    """Decode the images `rows` in threads; returns the facts about each in the same order.

    `keep(position in rows, tensor)` is called for each image of at least MIN_SIDE px, with a face where faces are aligned.
    """

    def scan(position: int) -> ImageFacts | Skipped:
        row = rows[position]
        name = items.name(row)
        try:
            raw = items.read(row)
            image = reading.decode(raw, name)
            size = reading.parts(image, name)[0].size
            facts = ImageFacts.of(row, image, raw, size)
            if min(size) >= MIN_SIDE:
                if reading.eyes is not None:
                    reading.landmarks.of(image, facts.hash, name)
                if keep is not None:
                    keep(position, reading.tensor(image, facts.hash))
        except NoFaceError:
            return Skipped(row, "no_face", name)
        except EmptyCellError:
            return Skipped(row, "empty", name)
        except images.ImageError as error:
            label = label_of("", name)
            reason = str(error).removeprefix(repr(name)).removeprefix(label)  # the decoder shortens names, an archive does not
            return Skipped(row, "unreadable", label, reason.strip())
        except OSError as error:
            return Skipped(row, "unreadable", label_of("", name), f"cannot be read: {error.strerror or error}")
        return facts

    return in_threads(scan, range(len(rows)), f"reading {label}")


def in_threads(do: Callable[[int], Result], rows: Sequence[int], description: str) -> list[Result]:
    """The results of `do(row)` in the order of `rows`, with a progress bar if stderr is a terminal."""
    workers = min(16, os.cpu_count() or 1)
    return list(thread_map(do, rows, max_workers=workers, desc=description, unit=" images", disable=None))


@dataclass
class Scan:
    """The images of a source that have been scanned so far, and what was found."""

    items: RawImages
    label: str
    reading: Reading
    keep: bool  # whether the tensors are kept in `chunks`
    usable: dict[int, ImageFacts] = field(default_factory=dict)  # by row
    tiny: list[ImageFacts] = field(default_factory=list)
    skipped: defaultdict[str, list[Skipped]] = field(default_factory=lambda: defaultdict(list))  # by kind
    chunks: list[tuple[list[int], Tensor]] = field(default_factory=list)  # rows and their pixels, uint8 (N, C, S, S)
    order: list[int] = field(default_factory=list)  # after `add_until`: all rows except copies, in the order of choice
    copies: int = 0  # after `add_until`: files that are byte-wise copies of another

    def __len__(self) -> int:
        return len(self.usable) + len(self.tiny) + sum(map(len, self.skipped.values()))

    def add(self, rows: Sequence[int]) -> None:
        """Scan these rows, ascending."""
        keep: Callable[[int, Tensor], None] | None = None
        if self.keep:
            pixels = torch.empty(len(rows), self.reading.planes, self.reading.size, self.reading.size, dtype=torch.uint8)
            self.chunks.append((list(rows), pixels))
            target = pixels.numpy()  # plain copies: torch would start its own threads in each of ours

            def store(position: int, x: Tensor) -> None:
                np.copyto(target[position], x.numpy())

            keep = store

        for found in scan_images(self.items, rows, self.label, self.reading, keep):
            if isinstance(found, Skipped):
                self.skipped[found.kind].append(found)
            elif found.short < MIN_SIDE:
                self.tiny.append(found)
            else:
                self.usable[found.row] = found

    def add_until(self, wanted: int, seed: int, test: Scan | None) -> None:
        """Scan images in a seeded order until `wanted` can be trained on, and one is held out if there is no `test` split."""
        self.order = ranked(self.items, range(len(self.items)), seed, self.label)
        self.copies = len(self.items) - len(self.order)
        tested = set() if test is None else {facts.hash for facts in test.usable.values()}
        start = 0
        while start < len(self.order):
            hashes = {facts.hash for facts in self.usable.values()}
            apart = {digest for digest in hashes if digest in tested or (test is None and in_the_tenth(digest))}
            missing = wanted - len(hashes - apart)
            if missing <= 0 and (test is not None or apart):
                return
            rows = self.order[start : start + max(1, missing)]
            self.add(sorted(rows))
            start += len(rows)

    def unique(self) -> dict[int, ImageFacts]:
        """The first usable image of each content, by row, in file order."""
        first: dict[str, int] = {}
        for row in sorted(self.usable):
            first.setdefault(self.usable[row].hash, row)
        return {row: self.usable[row] for row in first.values()}

    def skipped_counts(self) -> dict[str, int]:
        """The numbers of images that cannot be used, by reason."""
        counts = {"unreadable": len(self.skipped["unreadable"]), "tiny": len(self.tiny)}
        counts |= {"empty": len(self.skipped["empty"])} if self.skipped["empty"] else {}
        return counts | ({"no_face": len(self.skipped["no_face"])} if self.reading.eyes else {})

    def check(self) -> list[str]:
        """Lines for the log on what was left out. Raises DataError if that is too much."""
        empty, label = self.skipped["empty"], self.label
        count = len(self) - len(empty)
        if empty and not count:
            raise DataError(f"domain {label}: all of its {counted(len(empty), 'cell')} are empty: name another ?column=")
        notes = [f"{label}: {note}" for note in self.items.notes]
        if empty:
            notes.append(
                f"{label}: {counted(len(empty), 'empty cell')} without an image: {shortened([one.name for one in empty])}"
            )
        if broken := self.skipped["unreadable"]:
            if len(broken) > MAX_UNREADABLE * count:
                share = f"{len(broken):,} of {counted(count)} cannot be read"
                raise DataError(f"domain {label}: {share}: {_by_reason(broken, 3)}")
            notes.append(f"{label}: skipped {counted(len(broken), 'unreadable image')}: {_by_reason(broken)}")
        if self.tiny:
            names = [self.items.name(facts.row) for facts in self.tiny]
            notes.append(f"{label}: skipped {counted(len(names))} with a side below {MIN_SIDE} px: {shortened(names)}")
        if faceless := [one.name for one in self.skipped["no_face"]]:
            left_out = f"{len(faceless):,} of {counted(count)} in which no face is found"
            notes.append(f"{label}: left out {left_out}: {shortened(faceless)}")
            if not self.usable:
                raise DataError(
                    f"domain {label}: no face is found in any of its {counted(count)}: to train on them as they are, give "
                    f"--set eyes_{label[0].lower()}=none" + (", or to a DCGAN --set eyes=none" if label[0] == "A" else "")
                )
        return notes

    def notes_on_reading(self) -> list[str]:
        """Lines for the log on how the usable images are changed."""
        notes, facts, size = [], list(self.usable.values()), self.reading.image_size
        if upscaled := sum(image.short < size for image in facts):
            notes.append(f"{self.label}: {share_of(upscaled, len(self))} smaller than {size} px and will be upscaled")
        if self.reading.eyes is None:
            notes += note_on_shapes(facts, self.label, self.reading.fit)
        return notes + notes_on_values(peaks_of(facts), self.label, self.reading.value_range)


def _by_reason(skipped: Sequence[Skipped], shown: int = 10) -> str:
    """The skipped images, each reason once, with the names of those that it holds for."""
    names: dict[str, list[str]] = {}
    for one in skipped:
        names.setdefault(one.reason, []).append(one.name)
    texts = [
        f"{shortened(own, shown)} {reason if len(own) == 1 else re.sub('^is ', 'are ', reason)}" for reason, own in names.items()
    ]
    return "; ".join(texts[:shown]) + (f"; and {counted(len(texts) - shown, 'other reason')}" if len(texts) > shown else "")


def ranked(items: RawImages, rows: Sequence[int], seed: int, label: str) -> list[int]:
    """The rows in the order in which a seed chooses them, without files that are byte-wise copies of an earlier one.

    It is the order of a hash of seed and file content, so it does not depend on the order or the number of the files.
    """
    digests = in_threads(lambda position: items.digest(rows[position]), range(len(rows)), f"choosing {label}")
    first: dict[bytes, int] = {}
    for row, digest in zip(rows, digests, strict=True):
        first.setdefault(hashlib.blake2b(f"{seed}:".encode() + digest, digest_size=16).digest(), row)
    return [first[key] for key in sorted(first)]


# ------------------------------------------------------------------------------------------ lines for the log


def peaks_of(facts: Sequence[ImageFacts]) -> list[tuple[int | None, bool]]:
    """(`peak`, `deep_colour`) of each image."""
    return [(image.peak, image.deep_colour) for image in facts]


def notes_on_values(
    peaks: Sequence[tuple[int | None, bool]],
    label: str,
    value_range: tuple[int, int] | None = None,
    option: str = "--set value_range=",
) -> list[str]:
    """Warnings if 16-bit images use a small part of `value_range` (None: 0 to 65,535), and so would be dark.

    `peaks` are those of `peaks_of`; `option` is how a command takes the range.
    """
    notes = []
    low, high = value_range or (0, 65535)
    for deep_colour in (False, True):
        found = [peak for peak, deep in peaks if peak is not None and deep == deep_colour]
        if not found or max(found) > (low + high) // 2:
            continue
        white = 2 ** max(8, max(1, max(found)).bit_length()) - 1
        remedy = f"set the white value with {option}{min(0, low)},{white}"
        if deep_colour:
            remedy = f"save them with 8 bits, {white:,} as white: in colour only their high bytes are read, and no value_range"
        notes.append(
            f"{label}: the greatest value of its {counted(len(found))} of 16 bits{' in colour' * deep_colour} is {max(found):,} "
            f"of {high:,}, so they are almost black: {remedy}"
        )
    return notes


def note_on_shapes(facts: Sequence[ImageFacts], label: str, fit: str) -> list[str]:
    """A line if images are not square: how `fit` makes them square."""
    count = sum(image.size[0] != image.size[1] for image in facts)
    if not count:
        return []
    effect = {
        "crop": "their centred squares are taken",
        "random-crop": "squares at random places of them are taken",
        "stretch": "they are distorted to squares",
        "pad": "they are made square with black at two sides",
    }
    return [f"{label}: {share_of(count, len(facts))} not square: {effect[fit]} (--set fit=crop|random-crop|stretch|pad)"]


def note_on_colours(domains: Sequence[Sequence[ImageFacts]], channels: int) -> list[str]:
    """A line if one domain is grey and the other is in colour."""
    grey = [all(image.mode in GREY_MODES for image in facts) for facts in domains]
    if channels == 3 and len(grey) == 2 and grey[0] != grey[1]:
        here, there = ("A", "B") if grey[0] else ("B", "A")
        return [f"{here} is grey and {there} in colour: both are read with 3 channels (--set channels=1 reads both as grey)"]
    return []


# ------------------------------------------------------------------------------------------ training images


@dataclass
class LazyImages:
    """Images that are decoded when they are used: `[i]` is a uint8 tensor (C, S, S), the same each time."""

    items: RawImages
    rows: npt.NDArray[np.int64]  # positions in `items`
    hashes: list[str]  # content hashes of the images
    reading: Reading
    _uncropped: list[Tensor] = field(default_factory=list, repr=False)  # all of them, after `fill`

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self._tensor(index, self.reading.centred())

    def at_random(self, index: int, random: np.random.Generator) -> Tensor:
        """An image to train on, uint8 (C, S, S); with the fit "random-crop" a square at a place taken from `random`."""
        if not self.reading.crops_at_random:
            return self[index]
        whole = self._uncropped[index] if self._uncropped else self._tensor(index, self.reading)
        return random_square(whole, self.reading.size, random)

    def fill(self) -> None:
        """Decode all images for `at_random` now, and keep them in memory."""
        self._uncropped = in_threads(lambda i: self._tensor(i, self.reading), range(len(self)), "decoding")

    @property
    def in_memory(self) -> bool:
        """Whether they were filled."""
        return bool(self._uncropped)

    def decoded(self) -> Tensor:
        """All of the images, decoded in threads: uint8 (N, C, S, S)."""
        pixels = torch.empty(len(self), *self[0].shape, dtype=torch.uint8)
        target = pixels.numpy()  # as in `Scan.add`

        def decode(i: int) -> None:
            np.copyto(target[i], self[i].numpy())

        in_threads(decode, range(len(self)), "decoding")
        return pixels

    def _tensor(self, index: int, reading: Reading) -> Tensor:
        row = int(self.rows[index])
        try:
            return reading.tensor(reading.decode(self.items.read(row), self.items.name(row)), self.hashes[index])
        except (images.ImageError, OSError) as error:
            raise DataError(f"{self.items.name(row)} could be read at the start and cannot any more: {error}") from error


def _gathered(chunks: list[tuple[list[int], Tensor]], rows: Sequence[int]) -> Tensor:
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
