"""Which images of a pile are trained on and which are held out: by their content, whatever their names and order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.data.lazy_images import LazyImages
from cyclegan_hub.data.look import Look
from cyclegan_hub.data.paired_images import PairItems
from cyclegan_hub.data.raw_images import RawImages, read_file
from cyclegan_hub.data.scan import in_threads
from cyclegan_hub.data.specs import DataError


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
