"""Pixels of more than 8 bits: which files have them, and how they become 8 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def brought_to_8_bits(array: np.ndarray, value_range: tuple[int, int] | None) -> np.ndarray:
    """Integers or finite floats (H, W) or (H, W, C) as uint8.

    `value_range` (None: 0 and 65,535) becomes 0 and 255, what lies outside is clipped.

    Of 2 and 4 channels the last is alpha, which the range leaves alone: 65,535 is opaque.
    """
    low, high = value_range or (0, 65535)
    numbers = array.astype(np.float64 if array.dtype.kind == "f" else np.int32)
    found = np.rint((numbers.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] in (2, 4) and value_range is not None:
        found[:, :, -1] = brought_to_8_bits(array[:, :, -1], None)
    return found


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image that has been opened and not yet loaded has 16 bits a channel in colour, or beside alpha.

    Of such files Pillow reads the high byte: their low bytes are gone before anybody can ask for them.
    """
    return image.mode in ("RGB", "RGBA", "LA", "CMYK") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def as_it_is(raw: bytes | Path | np.ndarray | Image.Image) -> tuple[str, int | None, bool] | None:
    """Returns (Pillow's mode of an image; its largest value if it has 16 bits, else None; whether it has 16 bits in colour).

    None for a file that Pillow alone cannot open, such as HEIC and those that `decode` repairs. A PIL image may hold its largest
    value as `info["peak"]`.
    """
    if isinstance(raw, np.ndarray):
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[raw.shape[2] if raw.ndim == 3 else 1]
        colours = raw[..., :-1] if mode in ("LA", "RGBA") else raw
        return mode, int(colours.max()) if raw.dtype == np.uint16 else None, False
    if isinstance(raw, Image.Image):
        return raw.mode, raw.info.get("peak"), False
    try:
        with Image.open(io.BytesIO(raw) if isinstance(raw, bytes) else raw) as file:
            if is_deep_colour(file):
                return file.mode, 257 * int(np.asarray(file.convert("RGB")).max()), True
            return file.mode, int(np.asarray(file).max()) if file.mode.startswith("I") else None, False
    except Exception:  # on foreign bytes Pillow raises OSError, SyntaxError, ValueError, struct.error, ...
        return None
