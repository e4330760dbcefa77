"""Reads and checks the sides of a data set, two or one: every image is looked at once before the first step of training."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.data.paired_images import open_any
from cyclegan_hub.data.raw_images import Items
from cyclegan_hub.data.specs import DataError, SideSource

MIN_SIDE = 16  # px; a smaller picture shows nothing to learn from
CACHE_BYTES = 4 * 2**30  # decoded training images of both sides are kept in memory up to this
MAX_UNREADABLE = 0.05  # more broken files than this mean the wrong folder or a broken download


@dataclass
class LazyImages:
    """Training images that are decoded whenever they are asked for: `[i]` is a uint8 tensor (C, S, S)."""

    items: Items
    rows: np.ndarray  # positions in `items`
    size: int
    channels: int
    halves: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = int(self.rows[index])
        try:
            image = images.decode(self.items.read(row), self.channels, name=self.items.name(row))
        except (images.ImageError, OSError) as error:
            raise DataError(f"{self.items.name(row)} was readable at the start and is no more: {error}") from error
        return _pixels(image, self.size, self.halves)


def _pixels(image: Image.Image, size: int, halves: bool) -> Tensor:
    """A decoded image as uint8 (C, size, size); of a pair the left half's channels, then the right one's: (2 C, size, size)."""
    parts = images.halves(image) if halves else (image,)
    return torch.cat([images.to_uint8_tensor(images.square(part, size)) for part in parts])


@dataclass
class Side:
    """One side, read and checked.

    `train[i]` is a uint8 tensor (C, S, S) with S the load size, `held_out` a uint8 tensor (M, C, image size, image size), both
    in file order. `counts` holds found, unreadable, tiny, duplicates, also_held_out, not_chosen, kept (all of the training
    source; without a held-out split of its own also held_out, they add up to found) and held_out. `fingerprint` changes
    when the kept or the held-out images do; `notes` are lines for the log.
    """

    train: Tensor | LazyImages
    held_out: Tensor
    fingerprint: str
    counts: dict[str, int]
    notes: list[str]


@dataclass
class _Scan:
    """What one look at every image of a pile found."""

    items: Items
    hashes: list[str | None]  # None: unusable
    notes: list[str]
    unreadable: int
    tiny: int
    pixels: Tensor | None  # uint8 (N, C, S, S); rows of unusable images are undefined
    unique: list[int] = field(default_factory=list)  # the first of each content, in file order

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for row, digest in enumerate(self.hashes):
            if digest is not None and digest not in seen:
                seen.add(digest)
                self.unique.append(row)


def load_sides(
    *sources: SideSource,
    image_size: int,
    load_size: int | None = None,
    channels: int = 3,
    seed: int = 0,
    max_images: int | None = None,
    equal_sides: bool = False,
    max_held_out: int = 1000,
    halves: bool = False,
) -> tuple[Side, ...]:
    """Read two sides, or one: decode every image once, drop what cannot be used, set the held-out images apart.

    Images with equal pixels are one image: copies within a side and training images that are also held out are dropped.
    The held-out images are the first `max_held_out` of the source's own split; without one they are the images whose content
    hash says so (a tenth), so adding or renaming files moves no image between training and test. `max_images` cuts each side,
    `equal_sides` the larger one to the other's size, both by a seeded choice that the order of the files does not change.
    Training images are squared to `load_size` (default: `image_size`), held-out ones to `image_size`.
    `halves`: an image is a pair side by side, and becomes (2 C, S, S).
    Raises DataError if a side is empty, more than 5 % unreadable, or the same as the other.
    """
    if max_images is not None and max_images < 1:
        raise DataError(f"max_images is {max_images}: give at least 1, or leave it out for all")
    size = load_size or image_size
    bytes_each = channels * size * size * (2 if halves else 1)
    letters = "AB"[: len(sources)]
    opened = [_open(source, letter) for source, letter in zip(sources, letters, strict=True)]
    look = {"image_size": image_size, "channels": channels, "halves": halves}
    fits = sum(len(items) for items, _ in opened) * bytes_each <= CACHE_BYTES
    scans = [
        _scan(items, letter, keep_size=size if fits else None, **look) for (items, _), letter in zip(opened, letters, strict=True)
    ]
    if len(scans) == 2:
        _refuse_equal(*scans)
    held = [
        _held_out(scan, test, letter, limit=max_held_out, **look)
        for scan, (_, test), letter in zip(scans, opened, letters, strict=True)
    ]
    rows = [_choose(scan, h.hashes, max_images, seed) for scan, h in zip(scans, held, strict=True)]
    if equal_sides:
        smaller = min(len(r) for r in rows)
        rows = [_choose(scan, h.hashes, smaller, seed) for scan, h in zip(scans, held, strict=True)]
    fits = sum(len(r) for r in rows) * bytes_each <= CACHE_BYTES
    return tuple(
        _side(scan, h, r, size=size, channels=channels, halves=halves, cached=fits)
        for scan, h, r in zip(scans, held, rows, strict=True)
    )


def _open(source: SideSource, letter: str) -> tuple[Items, Items | None]:
    """The training items of a side and those of its held-out split, if it has one."""
    train = open_any(source.train)
    test = open_any(source.held_out) if source.held_out else None
    if not train or (test is not None and not len(test)):
        empty = source.held_out if train and source.held_out else source.train
        raise DataError(f"side {letter} is empty: no image in {empty.describe()}")
    return train, test


def _scan(
    items: Items, label: str, *, image_size: int, channels: int, halves: bool, keep_size: int | None, limit: int | None = None
) -> _Scan:
    """Decode the first `limit` items (None: all) in threads: hash each, and keep it squared to `keep_size` if that is given."""
    from tqdm import tqdm

    count = len(items) if limit is None else min(limit, len(items))
    shape = (count, channels * (2 if halves else 1), keep_size, keep_size)
    pixels = None if keep_size is None else torch.empty(*shape, dtype=torch.uint8)
    target = None if pixels is None else pixels.numpy()  # plain copies: torch would start its own threads in each of ours

    def look(row: int) -> tuple[str | None, int | str]:
        """(hash or None, shorter side in px or why it cannot be read)."""
        try:
            image = images.decode(items.read(row), channels, name=items.name(row))
            short = min(images.halves(image, items.name(row))[0].size if halves else image.size)
        except (images.ImageError, OSError) as error:
            return None, str(error) if isinstance(error, images.ImageError) else f"{items.name(row)}: {error.strerror}"
        if short < MIN_SIDE:
            return None, short
        if target is not None:
            np.copyto(target[row], _pixels(image, keep_size, halves).numpy())
        return images.content_hash(image), short

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        found = list(tqdm(pool.map(look, range(count)), total=count, desc=f"reading {label}", unit=" images", disable=None))
    unreadable = [why for _, why in found if isinstance(why, str)]
    tiny = [items.name(row) for row, (digest, short) in enumerate(found) if digest is None and isinstance(short, int)]
    upscaled = sum(digest is not None and short < image_size for digest, short in found)
    if len(unreadable) > MAX_UNREADABLE * count:
        raise DataError(f"side {label}: {len(unreadable)} of {count} images cannot be read, e.g. {_names(unreadable, 3)}")
    notes = []
    if unreadable:
        notes.append(f"{label}: skipped {len(unreadable)} unreadable images: {_names(unreadable)}")
    if tiny:
        notes.append(f"{label}: skipped {len(tiny)} images with a side below {MIN_SIDE} px: {_names(tiny)}")
    if upscaled and limit is None:  # said once for a side, not again for its held-out split
        notes.append(f"{label}: {upscaled} of {count} images are smaller than {image_size} px and will be upscaled")
    return _Scan(items, [digest for digest, _ in found], notes, len(unreadable), len(tiny), pixels)


def _names(names: list[str], shown: int = 10) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _refuse_equal(a: _Scan, b: _Scan) -> None:
    """Raise DataError if both sides hold the same pictures; note the ones they share."""
    ours, theirs = ({scan.hashes[row] for row in scan.unique} for scan in (a, b))
    if ours and ours == theirs:
        raise DataError(f"both sides hold the same {len(ours)} images: give two different piles")
    if shared := len(ours & theirs):
        a.notes.append(f"A and B: {shared} images are in both sides")


@dataclass
class _HeldOut:
    """Images set apart from training: every hash that must not be trained on, and the pixels that were read."""

    hashes: set[str]
    read: list[str]  # hashes of `pixels`, in order
    pixels: Tensor  # uint8 (M, C, image size, image size)
    own_split: bool


def _held_out(
    scan: _Scan, test: Items | None, label: str, *, image_size: int, channels: int, halves: bool, limit: int
) -> _HeldOut:
    """The images of the side's held-out split, else a tenth of the training pile chosen by content hash."""
    if test is not None:
        options = {"image_size": image_size, "channels": channels, "halves": halves}
        look = _scan(test, f"{label} held out", keep_size=image_size, limit=limit, **options)
        if not look.unique:
            raise DataError(f"side {label}: no image of the held-out split can be used")
        scan.notes += look.notes
        read = [look.hashes[row] for row in look.unique]
        assert look.pixels is not None
        return _HeldOut(set(read), read, look.pixels[look.unique], own_split=True)
    rows = {scan.hashes[row]: row for row in scan.unique}
    if len(rows) < 2:
        raise DataError(f"side {label} has {len(rows)} different usable images: at least 2 are needed, one of them is held out")
    chosen = {digest for digest in rows if int(digest[:8], 16) % 10 == 0} or {min(rows)}
    if len(chosen) == len(rows):
        chosen.remove(max(rows))
    read = [digest for digest in rows if digest in chosen][:limit]
    scan.notes.append(f"{label}: {len(chosen)} of {len(rows)} images are held out, chosen by their content hash")
    lazy = LazyImages(scan.items, np.array([rows[digest] for digest in read]), image_size, channels, halves)
    return _HeldOut(chosen, read, torch.stack([lazy[i] for i in range(len(lazy))]), own_split=False)


def _choose(scan: _Scan, held_out: set[str], limit: int | None, seed: int) -> list[int]:
    """Rows to train on, in file order: all usable ones that are not held out, or a seeded choice of `limit` of them."""
    rows = [row for row in scan.unique if scan.hashes[row] not in held_out]
    if limit is None or limit >= len(rows):
        return rows

    # Ranked by a hash of seed and content: the choice does not depend on the order or the number of the files.
    def rank(row: int) -> bytes:
        return hashlib.blake2b(f"{seed}:{scan.hashes[row]}".encode(), digest_size=16).digest()

    return sorted(sorted(rows, key=rank)[:limit])


def _decoded(lazy: LazyImages) -> Tensor:
    """All of its images, decoded in threads: uint8 (N, C, S, S)."""
    pixels = torch.empty(len(lazy), *lazy[0].shape, dtype=torch.uint8)
    target = pixels.numpy()
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        for i, image in enumerate(pool.map(lambda i: lazy[i].numpy(), range(len(lazy)))):
            np.copyto(target[i], image)
    return pixels


def _side(scan: _Scan, held: _HeldOut, rows: list[int], *, size: int, channels: int, halves: bool, cached: bool) -> Side:
    if not rows:
        raise DataError("no training image is left: all of them are unusable, or held out too")
    train: Tensor | LazyImages = LazyImages(scan.items, np.array(rows), size, channels, halves)
    if cached and scan.pixels is not None:
        train = scan.pixels
        for new, old in enumerate(rows):  # in place: rows ascend, and a second copy might not fit
            if new != old:
                train[new] = train[old]
        train = train[: len(rows)]
    elif cached:
        train = _decoded(train)
    usable = len(scan.hashes) - scan.unreadable - scan.tiny
    dropped = sum(scan.hashes[row] in held.hashes for row in scan.unique)
    counts = {
        "found": len(scan.hashes),
        "unreadable": scan.unreadable,
        "tiny": scan.tiny,
        "duplicates": usable - len(scan.unique),
        "also_held_out": dropped if held.own_split else 0,
        "not_chosen": len(scan.unique) - dropped - len(rows),
        "kept": len(rows),
        "held_out": len(held.read) if held.own_split else dropped,
    }
    digest = hashlib.blake2b("\n".join([*(scan.hashes[row] for row in rows), "held out", *held.read]).encode(), digest_size=16)
    return Side(train, held.pixels, digest.hexdigest(), counts, scan.notes)
