"""Pictures compared pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def assert_same_picture(one: Image.Image, other: Image.Image, levels: int = 1) -> None:
    """Equal within `levels` of 255."""
    assert (one.mode, one.size) == (other.mode, other.size)
    assert np.abs(pixels(one) - pixels(other)).max() <= levels


def apart(a: Any, b: Any) -> int:
    """The largest difference of two pictures of one size and mode."""
    assert (a.size, a.mode) == (b.size, b.mode)
    return int(np.abs(np.asarray(a, int) - np.asarray(b, int)).max())
