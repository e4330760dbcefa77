"""Pixels of more than 8 bits: which files have them, and how they become 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image


def brought_to_8_bits(array: np.ndarray, value_range: tuple[int, int] | None) -> np.ndarray:
    """Integers (H, W) or (H, W, C) as uint8: `value_range` (None: 0 and 65,535) becomes 0 and 255, what lies outside is clipped.

    Of 2 and 4 channels the last is alpha, which the range leaves alone: 65,535 is opaque.
    """
    low, high = value_range or (0, 65535)
    found = np.rint((array.astype(np.int32).clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] in (2, 4) and value_range is not None:
        found[:, :, -1] = brought_to_8_bits(array[:, :, -1], None)
    return found


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image that has been opened and not yet loaded has 16 bits a channel in colour, or beside alpha.

    Of such files Pillow reads the high byte: their low bytes are gone before anybody can ask for them.
    """
    return image.mode in ("RGB", "RGBA", "LA", "CMYK") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
