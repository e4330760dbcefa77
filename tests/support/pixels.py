"""Pictures compared pixel by pixel.

What one network makes in two ways (in another memory format, in tiles, in a batch of another size, by another runtime or on
another processor) is the same but for rounding: sums are taken in another order, so that fp32 outputs are some 1e-6 of their
range apart, up to 1e-5 after many layers. Of 255 levels that is 0.003 at most: no value moves by more than one level, and only
those move that lie as near to the middle between two, at most 3 in 1,000. A share of 1 in 100 has room for that, and none for a
mistake: another direction, epoch or picture changes most values, and by more than one level.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

SHARE = 0.01  # of the values, that may differ by one level


def pixels(image: Any) -> np.ndarray:
    """The values of a picture, or of an array of them, as numbers that can be subtracted."""
    return np.asarray(image).astype(int)


def same_pixels(one: Any, other: Any, share: float = SHARE) -> bool:
    """Whether two pictures or arrays of 8-bit values are the same but for rounding, as above; of a few values, one may differ."""
    if getattr(one, "mode", None) != getattr(other, "mode", None) or pixels(one).shape != pixels(other).shape:
        return False
    difference = np.abs(pixels(one) - pixels(other))
    return bool(difference.max() <= 1 and np.count_nonzero(difference) <= math.ceil(share * difference.size))


def assert_same_pixels(one: Any, other: Any, share: float = SHARE) -> None:
    """As `same_pixels`, saying how far apart they are."""
    assert (getattr(one, "mode", None), pixels(one).shape) == (getattr(other, "mode", None), pixels(other).shape)
    difference = np.abs(pixels(one) - pixels(other))
    said = f"by up to {difference.max()} of 255, {np.count_nonzero(difference)} of {difference.size} values differ"
    assert same_pixels(one, other, share), said


def assert_equal_pixels(one: Image.Image, other: Image.Image) -> None:
    """For pictures that no arithmetic lies between, or the same operations on the same numbers."""
    assert (one.mode, one.size, one.tobytes()) == (other.mode, other.size, other.tobytes())


def apart(a: Any, b: Any) -> int:
    """The largest difference of two pictures of one size and mode."""
    assert (a.size, a.mode) == (b.size, b.mode)
    return int(np.abs(pixels(a) - pixels(b)).max())
