"""Faces brought to one place and size by a similarity transform, and back into the photograph.

Coordinates are complex, x + iy, in px; 0 is the upper left corner of the first pixel, so that its centre is 0.5 + 0.5i.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Eyes = Sequence[float]  # (left x, left y, right x, right y) of the eyes as they lie in the image, in shares of the square's side
MAX_SIDE = 4096  # px of a square at the photograph's own scale
MASK_FROM, MASK_TO = 0.72, 0.98  # of an ellipse that fills the square: where a translated face begins to fade, and is gone


class HasEyes(Protocol):
    """A face, or whatever else knows where two eyes are."""

    @property
    def eyes(self) -> tuple[complex, complex]:
        """The left and the right eye as they lie in the image, in px."""
        ...


@dataclass(frozen=True)
class Similarity:
    """z -> turn * z + shift: a rotation, a scale and a translation."""

    turn: complex
    shift: complex

    def __call__(self, z: complex) -> complex:
        return self.turn * z + self.shift

    @property
    def scale(self) -> float:
        """By how much lengths grow."""
        return abs(self.turn)

    def inverse(self) -> Similarity:
        """What takes each point back."""
        return Similarity(1 / self.turn, -self.shift / self.turn)

    def after(self, first: Similarity) -> Similarity:
        """`first`, then this one."""
        return Similarity(self.turn * first.turn, self(first.shift))


def alignment(face: HasEyes, eyes: Eyes, size: int) -> Similarity:
    """From px of a square of `size` px, in which a face's eyes lie at `eyes`, to px of the photograph."""
    left, right = complex(eyes[0], eyes[1]) * size, complex(eyes[2], eyes[3]) * size
    here, there = face.eyes
    turn = (there - here) / (right - left)
    return Similarity(turn, here - turn * left)


def own_side(face: HasEyes, eyes: Eyes) -> int:
    """The side in px of an aligned square at the photograph's own scale, at most MAX_SIDE."""
    return max(1, min(round(alignment(face, eyes, 1).scale), MAX_SIDE))


def align(image: Image.Image, face: HasEyes, eyes: Eyes, size: int) -> Image.Image:
    """The square of `size` px of a decoded image in which a face's eyes lie at `eyes`; mirrored beyond the image's borders."""
    return warp(image, alignment(face, eyes, size), (size, size))


def warp(image: Image.Image, transform: Similarity, size: tuple[int, int]) -> Image.Image:
    """An image (mode L, RGB or F) of `size` whose point z shows the point `transform(z)` of `image`, mirrored at its borders.

    Anti-aliased: the image is reduced by a whole factor first; what is still made smaller after that is sampled twice each way.
    """
    factor, samples = max(1, int(transform.scale)), 2 if transform.scale > 1 else 1
    corners = [transform(complex(x, y)) for x in (0, size[0]) for y in (0, size[1])]
    margin = 3 * factor  # of the bicubic filter
    box = (
        math.floor(min(z.real for z in corners)) - margin, math.floor(min(z.imag for z in corners)) - margin,
        math.ceil(max(z.real for z in corners)) + margin, math.ceil(max(z.imag for z in corners)) + margin,
    )  # fmt: skip
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= image.width and box[3] <= image.height
    taken = box if inside else (0, 0, image.width, image.height)
    small = image.reduce(factor, taken) if factor > 1 else image.crop(taken)
    turn, shift = transform.turn / factor, (transform.shift - complex(taken[0], taken[1])) / factor
    if not inside:
        left, top, right, bottom = (
            (edge - margin) // factor if i < 2 else -(-(edge + margin) // factor) for i, edge in enumerate(box)
        )
        rows, columns = _mirrored(top, bottom, small.height), _mirrored(left, right, small.width)
        small = Image.fromarray(np.asarray(small)[rows[:, None], columns])
        shift -= complex(left, top)
    turn /= samples
    affine = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    larger = (size[0] * samples, size[1] * samples)
    result = small.transform(larger, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC)
    return result.reduce(samples) if samples > 1 else result


def _mirrored(start: int, stop: int, size: int) -> npt.NDArray[np.int64]:
    """Indices from `start` to `stop` of an axis of `size` entries that is mirrored at both ends, again and again."""
    index = np.arange(start, stop) % (2 * size)
    return np.minimum(index, 2 * size - 1 - index)


def put_back(photo: Image.Image, square: Image.Image, transform: Similarity) -> Image.Image:
    """A photograph with an aligned square in its place again, faded out by an ellipse; `transform` is that of `alignment`.

    Outside the ellipse the pixels are the photograph's own.
    """
    region = region_of(photo, transform, square.width)
    if region is None:
        return photo
    patch, mask = warp(square, region.to_square, region.size), region.mask()
    result = photo.copy()
    result.paste(patch, region.box, Image.fromarray(np.rint(mask * 255).astype(np.uint8)))
    return result


@dataclass(frozen=True)
class Region:
    """The part of a photograph that an aligned square of `side` px covers."""

    box: tuple[int, int, int, int]  # px of the photograph
    to_square: Similarity  # from px of the part to px of the square
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    def mask(self) -> npt.NDArray[np.float32]:
        """How much of the translated face shows (H, W): 1 inside an ellipse, falling smoothly to 0 before the square's border."""
        width, height = self.size
        x, y = np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32)[:, None] + 0.5
        turn, shift = self.to_square.turn, self.to_square.shift
        across = turn.real * x - turn.imag * y + shift.real
        down = turn.imag * x + turn.real * y + shift.imag
        radius = np.hypot(across - self.side / 2, down - self.side / 2) / (self.side / 2)
        inner = np.clip((MASK_TO - radius) / (MASK_TO - MASK_FROM), 0, 1).astype(np.float32)
        return inner * inner * (3 - 2 * inner)


def region_of(photo: Image.Image, transform: Similarity, side: int) -> Region | None:
    """Where a square of `side` px lies in a photograph; None where it lies outside."""
    corners = [transform(complex(x, y)) for x in (0, side) for y in (0, side)]
    box = (
        max(0, math.floor(min(z.real for z in corners))), max(0, math.floor(min(z.imag for z in corners))),
        min(photo.width, math.ceil(max(z.real for z in corners))), min(photo.height, math.ceil(max(z.imag for z in corners))),
    )  # fmt: skip
    if box[2] <= box[0] or box[3] <= box[1]:
        return None
    return Region(box, transform.inverse().after(Similarity(1, complex(box[0], box[1]))), side)
