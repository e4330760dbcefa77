"""PIL images <-> tensors in [-1, 1]; only this file and `decoding`, whose names it exports too, define the pixel range."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan_hub.imaging import decoding
from cyclegan_hub.imaging.decoding import (
    MAX_BYTES,
    MAX_PIXELS,
    ImageError,
    decode,
    decode_with_alpha,
    png_bytes,
    resize_short,
    square,
)

__all__ = ["MAX_BYTES", "MAX_PIXELS", "ImageError", "decode", "decode_with_alpha", "png_bytes", "resize_short", "square"]

ImageSource = decoding.Source


def to_uint8_tensor(image: Image.Image) -> Tensor:
    """A decoded image as uint8 (C, H, W), C 1 for "L" and 3 for "RGB". Raises ImageError for another mode."""
    if image.mode not in ("L", "RGB"):
        raise ImageError(f"an image of mode {image.mode} is not decoded: pass it through images.decode first")
    return torch.from_numpy(np.array(image)).view(image.height, image.width, -1).permute(2, 0, 1).contiguous()


def from_uint8(x: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [-1, 1] (0 -> -1, 255 -> 1). Raises ImageError for another dtype."""
    if x.dtype != torch.uint8:
        raise ImageError(f"a tensor of {x.dtype} does not hold 8-bit pixels: give uint8")
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Floats (any shape and precision) in [-1, 1] -> uint8, clamped: the inverse of `from_uint8`. NaN is not checked."""
    if not x.is_floating_point():
        raise ImageError(f"a tensor of {x.dtype} is not in [-1, 1]: give floats")
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_tensor(image: Image.Image) -> Tensor:
    """A decoded image as float32 (C, H, W) in [-1, 1]."""
    return from_uint8(to_uint8_tensor(image))


def to_pil(x: Tensor) -> Image.Image:
    """Floats (C, H, W) in [-1, 1] (clamped) -> "L" (C 1) or "RGB" (C 3). Raises ImageError for another shape or NaN."""
    if x.isnan().any():
        raise ImageError("the image holds NaN: its generator or its input is broken")
    return decoding.from_tensor(to_uint8(x), "the image")


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W) padded at the right and bottom up to multiples; crop back with `[..., :h, :w]`.

    By reflection while there are pixels left to reflect (side - 1 of them), then by repeating the last of these.
    """
    for axis in (-2, -1):
        side = x.shape[axis]
        index = torch.arange((side + multiple - 1) // multiple * multiple, device=x.device)
        mirrored = 2 * (side - 1) - index
        # Written so that both of torch's ONNX exporters can express it: no clamp of integers, no remainder of a negative size.
        x = x.index_select(axis, torch.where(index < side, index, torch.where(mirrored > 0, mirrored, 0)))
    return x


def content_hash(image: Image.Image) -> str:
    """BLAKE2b (32 hex digits) of a decoded image's mode, size and pixels: equal pixels, equal hash, whatever the file."""
    x = to_uint8_tensor(image)
    return hashlib.blake2b(str(tuple(x.shape)).encode() + x.numpy().tobytes(), digest_size=16).hexdigest()
