"""Reads and checks the sides of a data set, two or one, before the first step: every image is looked at once.

With `max_images` only as many are decoded as are needed for that number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from cyclegan_hub.data.files import RawImages
from cyclegan_hub.data.pairs import PairItems, open_any
from cyclegan_hub.data.reading import Fit, Landmarks, Reading
from cyclegan_hub.data.scan import (
    Chosen,
    HeldOut,
    LazyImages,
    Look,
    decoded,
    gathered,
    held_out_of,
    look_at_all,
    look_until_enough,
    note_on_colours,
    ranked,
)
from cyclegan_hub.data.specs import DataError, SideSource
from cyclegan_hub.domains import Eyes

CACHE_BYTES = 4 * 2**30  # decoded training images of both sides are kept in memory up to this
LEAST_HELD_OUT = 64  # held-out images that are read however small max_images is


@dataclass
class Side:
    """One side, read and checked.

    `train[i]` is a uint8 tensor (C, S, S) with S the load size, `held_out` a uint8 tensor (M, C, image size, image size), both
    in file order. `counts` holds found, unreadable, tiny, no_face (where faces are aligned), duplicates, also_held_out,
    not_chosen, kept (all of the training source; without a held-out split of its own also held_out, they add up to found) and
    held_out. `fingerprint` changes when the kept or the held-out images do; `notes` are lines for the log.
    """

    train: Tensor | LazyImages
    held_out: Tensor
    fingerprint: str
    counts: dict[str, int]
    notes: list[str]


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
    swapped: bool = False,
    fit: Fit = "crop",
    value_range: tuple[int, int] | None = None,
    eyes: Sequence[Eyes | None] = (),
    landmarks: Landmarks | None = None,
) -> tuple[Side, ...]:
    """Read two sides, or one: decode every image once, drop what cannot be used, set the held-out images apart.

    Images with equal pixels are one image: copies within a side and training images that are also held out are dropped.
    The held-out images are the first `max_held_out` of the source's own split; without one they are the images whose content
    hash says so (a tenth), so adding or renaming files moves no image between training and test. `max_images` cuts each side,
    `equal_sides` the larger one to the other's size, both by a seeded choice that the order of the files does not change; what
    `max_images` leaves out is not decoded. Training images are made square at `load_size` px (default: `image_size`), held-out
    ones at `image_size`. `halves`: an image is a pair side by side, and becomes (2 C, S, S), the right half first if `swapped`.
    `fit` and `value_range` are those of `Reading`, and so are `eyes`, for each side; `landmarks` is where they were found before.
    Raises DataError if a side is empty, more than 5 % unreadable, or the same as the other.
    """
    if max_images is not None and max_images < 1:
        raise DataError(f"max_images is {max_images}: give at least 1, or leave it out for all")
    common = Reading(channels, value_range, halves, swapped, fit, landmarks=landmarks or Landmarks())
    readings = [replace(common, eyes=of_side) for of_side in (*eyes, None, None)][:2]
    size = load_size or image_size
    opened = [_open(source, letter, value_range) for source, letter in zip(sources, "AB", strict=False)]
    total = sum(min(len(items), max_images or len(items)) for items, _ in opened)
    fits = total * common.planes * size**2 <= CACHE_BYTES
    keep_size = size if fits and fit != "random-crop" else None
    limit = max_held_out if max_images is None else min(max_held_out, max(LEAST_HELD_OUT, max_images))
    looks: list[Look] = []
    held: list[HeldOut] = []
    for (items, test), letter, reading in zip(opened, "AB", readings, strict=False):
        look = Look(items, letter, reading, image_size, keep_size)
        own = None if test is None else Look(test, f"{letter} held out", reading.centred(), image_size, image_size)
        if own is not None:
            look_at_all(own, limit)
        if max_images is None:
            look_at_all(look)
        else:
            look_until_enough(look, max_images, seed, own)
        look.check()
        looks.append(look)
        held.append(held_out_of(look, own, limit))
    if len(looks) == 2:
        _refuse_equal(*looks)
    chosen = [_choice(look, apart, max_images, seed) for look, apart in zip(looks, held, strict=True)]
    if equal_sides:
        smaller = min(len(one.rows) for one in chosen)
        chosen = [_choice(look, apart, smaller, seed) for look, apart in zip(looks, held, strict=True)]
    fits = sum(len(one.rows) for one in chosen) * common.planes * size**2 <= CACHE_BYTES
    looks[0].notes += note_on_colours([list(look.seen.values()) for look in looks], channels)
    return tuple(_side(one, size, cached=fits) for one in chosen)


def _open(
    source: SideSource, letter: str, value_range: tuple[int, int] | None
) -> tuple[RawImages | PairItems, RawImages | PairItems | None]:
    """The training items of a side and those of its held-out split, if it has one."""
    train = open_any(source.train, value_range)
    test = open_any(source.held_out, value_range) if source.held_out else None
    if train is None or not len(train) or (test is not None and not len(test)):
        empty = source.held_out if train and source.held_out else source.train
        passed = f" ({'; '.join(train.notes)})" if train is not None and not len(train) and train.notes else ""
        raise DataError(f"side {letter} is empty: no image in {empty.describe()}{passed}")
    return train, test


def _refuse_equal(a: Look, b: Look) -> None:
    """Raise DataError if both sides hold the same pictures; note the ones they share."""
    ours, theirs = ({look.seen[row].hash for row in look.unique()} for look in (a, b))
    if ours and ours == theirs:
        raise DataError(f"both sides hold the same {len(ours)} images: give two different piles")
    if shared := len(ours & theirs):
        a.notes.append(f"A and B: {shared} images are in both sides")


def _choice(look: Look, held: HeldOut, limit: int | None, seed: int) -> Chosen:
    """Rows to train on, in file order: all usable ones that are not held out, or a seeded choice of `limit` of them."""
    rows = [row for row in look.unique() if look.seen[row].hash not in held.hashes]
    if limit is not None and limit < len(rows):
        among = set(rows)
        order = look.order or ranked(look.items, rows, seed, look.label)
        rows = sorted([row for row in order if row in among][:limit])
    return Chosen(look, held, rows)


def _side(chosen: Chosen, size: int, *, cached: bool) -> Side:
    look, held, rows = chosen.look, chosen.held_out, chosen.rows
    if not rows:
        raise DataError("no training image is left: all of them are unusable, or held out too")
    lazy = LazyImages(look.items, np.array(rows), size, look.reading)
    train: Tensor | LazyImages = lazy
    if cached and look.reading.fit == "random-crop":
        lazy.fill()
    elif cached and look.chunks:
        train = gathered(look.chunks, rows)
    elif cached:
        train = decoded(lazy)
    unique = look.unique()
    dropped = sum(look.seen[row].hash in held.hashes for row in unique)
    counts = {
        "found": len(look.items),
        "unreadable": len(look.unreadable),
        "tiny": len(look.tiny),
        **({"no_face": len(look.no_face)} if look.reading.eyes else {}),
        "duplicates": len(look.seen) - len(unique) + look.copies,
        "also_held_out": dropped if held.own_split else 0,
        "not_chosen": len(unique) - dropped - len(rows) + look.not_looked_at(),
        "kept": len(rows),
        "held_out": len(held.read) if held.own_split else dropped,
    }
    hashes = [look.seen[row].hash for row in rows]
    notes = [*look.notes, *held.notes]
    return Side(train, held.pixels, fingerprint(hashes, held.read), counts, notes)


def fingerprint(train: Sequence[str], held_out: Sequence[str]) -> str:
    """32 hex digits of the content hashes of what is trained on and what is held out, in order."""
    return hashlib.blake2b("\n".join([*train, "held out", *held_out]).encode(), digest_size=16).hexdigest()
