"""Free photographs with one face, with two, and without any; where eyes lie in the models of the tests; differences."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.photos import FREE

EYES: Eyes = (0.35, 0.45, 0.65, 0.45)
ROCKET = (FREE / "rocket.jpg").read_bytes()  # without a face


def photo(name: str) -> Image.Image:
    """An example of the page, decoded."""
    return images.decode(FREE / "examples" / f"{name}.jpg")


def _two() -> Image.Image:
    one, other = photo("grace_hopper"), photo("astronaut")
    both = Image.new("RGB", (one.width + other.width, one.height))
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    return both


TWO = _two()  # Grace Hopper, whose face is the larger one, beside Eileen Collins


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    """Of two pictures' values, of 255."""
    return int(np.abs(np.asarray(one).astype(int) - np.asarray(other).astype(int)).max())
