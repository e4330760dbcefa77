"""The augmented copies that fill the smaller domain up to the size of the larger one, and their random parts."""

from __future__ import annotations

import torch
from torch import Tensor


def balance_augment(x: Tensor) -> Tensor:
    """Augmented copies of the smaller domain's images: x (B, C, H, W) in [-1, 1] -> the same shape, type and range.

    The set that the smile source gave Keras' `ImageDataGenerator`, chosen for each sample: rotation within 30 degrees,
    shifts within 15 % of each side, horizontal shear factor within 0.25 (about 14 degrees), zoom of each axis within
    25 %, brightness factor 0.8 to 1.2 on values in [0, 1], mirrored with probability 0.5. What enters from outside
    repeats the nearest edge pixel (`fill_mode="nearest"`).
    """
    from kornia.geometry.transform import warp_affine  # half a second of import that only this function needs

    if len(x) == 0:
        return x
    matrix = random_affine(len(x), x.shape[-2], x.shape[-1]).to(x.device)
    brightness = uniform(x, 0.8, 1.2)
    # In float32: grid_sample takes no bfloat16 image with a float32 grid.
    y = warp_affine(x.float(), matrix, (x.shape[-2], x.shape[-1]), padding_mode="border", align_corners=False).to(x.dtype)
    y = ((y + 1) * brightness - 1).clamp(-1, 1)
    return random_flip(y)


def random_affine(count: int, height: int, width: int) -> Tensor:
    """`count` random source-to-target matrices in pixels, float32 (count, 2, 3) on the CPU, about the image's centre."""
    from kornia.geometry.transform import get_affine_matrix2d

    random = torch.rand(count, 6) * 2 - 1
    matrix = get_affine_matrix2d(
        translations=random[:, 0:2] * 0.15 * torch.tensor([width, height]),
        center=torch.tensor([[(width - 1) / 2, (height - 1) / 2]]).expand(count, 2),
        scale=1 + 0.25 * random[:, 2:4],
        angle=30 * random[:, 4],
        sx=torch.atan(0.25 * random[:, 5]),
    )
    return matrix[:, :2]


def random_flip(x: Tensor) -> Tensor:
    """(B, C, H, W), each sample mirrored left to right with probability 0.5."""
    mirrored = (torch.rand(len(x)) < 0.5).to(x.device)
    return torch.where(mirrored[:, None, None, None], x.flip(-1), x)


def uniform(x: Tensor, low: float, high: float) -> Tensor:
    """One number in [low, high) for each sample of x, (B, 1, 1, 1), in the type and on the device of x."""
    return (torch.rand(len(x), 1, 1, 1) * (high - low) + low).to(x)
