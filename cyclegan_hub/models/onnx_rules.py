"""What is done to pictures before and after an exported network, in numpy: as `recipes.pair_rules` and `images` do it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cyclegan_hub import decoding
from cyclegan_hub.recipes.pair_rules import PairRule

_LUMA = np.array((0.299, 0.587, 0.114), np.float32).reshape(1, 3, 1, 1)  # ITU-R BT.601, as in Pillow's mode "L"


def to_array(picture: Image.Image) -> np.ndarray:
    """A decoded picture ("L" or "RGB") as fp32 (C, H, W) in [-1, 1]."""
    array = np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1)
    return np.ascontiguousarray(array.transpose(2, 0, 1)) / np.float32(127.5) - 1


def to_picture(x: np.ndarray) -> Image.Image:
    """fp32 (C, H, W) in [-1, 1], clamped -> "L" (C 1) or "RGB" (C 3). Raises ImageError for NaN."""
    if np.isnan(x).any():
        raise decoding.ImageError("the image holds NaN: its generator or its input is broken")
    pixels = np.rint((x + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def pad_to_multiple(x: np.ndarray, multiple: int) -> np.ndarray:
    """(N, C, H, W) padded at the right and bottom up to multiples, as `images.pad_to_multiple` does."""
    for axis in (2, 3):
        side = x.shape[axis]
        index = np.arange(side + -side % multiple)
        x = x.take(np.where(index < side, index, (2 * (side - 1) - index).clip(min=0)), axis)
    return x


def grey(x: np.ndarray) -> np.ndarray:
    """Luma in every channel; an image of one channel stays."""
    return x if x.shape[1] == 1 else np.broadcast_to((x * _LUMA).sum(1, keepdims=True), x.shape)


def shrink(x: np.ndarray, scale: int) -> np.ndarray:
    """(N, C, H, W) -> (N, C, H/scale, W/scale): means of scale x scale pixels."""
    n, c, height, width = x.shape
    return np.asarray(x.reshape(n, c, height // scale, scale, width // scale, scale).mean((3, 5)))


def enlarge(x: np.ndarray, scale: int) -> np.ndarray:
    """(N, C, h, w) -> (N, C, scale h, scale w), bicubic (Keys 1981 with a = -0.75, as torch has it), kept in [-1, 1]."""
    for axis in (2, 3):
        place = (np.arange(x.shape[axis] * scale) + 0.5) / scale - 0.5
        start = np.floor(place).astype(int)
        shape = tuple(-1 if i == axis else 1 for i in range(4))
        taps = [
            x.take((start + k).clip(0, x.shape[axis] - 1), axis) * _cubic(place - start - k).astype(np.float32).reshape(shape)
            for k in range(-1, 3)
        ]
        x = taps[0] + taps[1] + taps[2] + taps[3]
    return x.clip(-1, 1)


def _cubic(distance: np.ndarray, a: float = -0.75) -> np.ndarray:
    t = np.abs(distance)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def input_of(rule: PairRule, x: np.ndarray) -> np.ndarray:
    """Pictures (N, C, H, W) in [-1, 1] -> what the network is given for them, as `PairedGenerator.input_of` makes it."""
    if rule.enlarges:
        return enlarge(x, rule.scale)
    height, width = x.shape[2:]
    x = grey(x) if rule.grey else x
    if rule.scale > 1:
        x = enlarge(shrink(pad_to_multiple(x, rule.scale), rule.scale), rule.scale)
    return x[:, :, :height, :width]
