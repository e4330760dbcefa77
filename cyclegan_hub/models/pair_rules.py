"""Pairs for pix2pix that are made from one pile of images: what is done to an image to get the input that it is the answer to.

The rules are deterministic functions of tensors, so that the same one serves in training, in a published model and in the
evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's mode "L"
SHRINK = 4  # of upscale-4x and repaint


@dataclass(frozen=True)
class Rule:
    """`make` turns targets (N, C, H, W) in [-1, 1] into inputs of the same shape."""

    words: str
    make: Callable[[Tensor], Tensor]


def grey(x: Tensor) -> Tensor:
    """Luma in every channel: (N, C, H, W) -> (N, C, H, W); an image of one channel stays."""
    if x.shape[1] == 1:
        return x
    weights = x.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).expand_as(x)


def enlarge(x: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 4h, 4w), bicubic, kept in [-1, 1]."""
    return F.interpolate(x, scale_factor=SHRINK, mode="bicubic", align_corners=False).clamp(-1, 1)


def shrink(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H/4, W/4): means of 4x4 pixels."""
    return F.avg_pool2d(x, SHRINK)


RULES: dict[str, Rule] = {
    "colorize": Rule("the image without its colours (BT.601 luma)", grey),
    "upscale-4x": Rule(
        "the image at a quarter of its size (means of 4x4 pixels), enlarged again (bicubic)",
        lambda x: enlarge(shrink(x)),
    ),
    # Neither colour nor brushwork is left: what remains of a painting is about what remains of a photo.
    "repaint": Rule(
        "the image without its colours, at a quarter of its size and enlarged again (bicubic)",
        lambda x: enlarge(shrink(grey(x))),
    ),
}  # fmt: skip
