"""Augmentation of a training batch on its device: random crop, flip, balancing copies, and DiffAugment.

All random numbers come from torch's global generator on the CPU, whatever the device of the images: a seed gives the same
ones on every device, and a resumed run needs no other state to repeat them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cyclegan_hub.data.balance import balance_augment, random_flip, uniform
from cyclegan_hub.imaging import images


class BatchAugment:
    """Turns a uint8 batch into the float batch of a trainer, with random numbers of its own for each sample.

    `load_size` larger than `image_size` crops a square of `image_size` px at random (the jitter of Isola et al. 2017,
    sec. 6.2, which CycleGAN keeps); `flip` mirrors left and right with probability 0.5.
    Raises ValueError where `load_size` is smaller than `image_size`.
    """

    def __init__(self, *, image_size: int, load_size: int | None = None, flip: bool = False) -> None:
        if load_size is not None and load_size < image_size:
            raise ValueError(f"load_size={load_size}: must be at least image_size={image_size}, or None for no jitter")
        self.image_size = image_size
        self.load_size = image_size if load_size is None else load_size
        self.flip = flip

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """{"a", "b"} or {"a"}: uint8 (B, C, load_size, load_size) -> float32 (B, C, image_size, image_size) in [-1, 1].

        Samples marked in the optional "a_copy" and "b_copy", bool (B,), also pass `balance_augment`. The masks are not
        returned. Raises ValueError for images of another size or type.
        """
        return {side: self._side(side, batch[side], batch.get(f"{side}_copy")) for side in ("a", "b") if side in batch}

    def _side(self, side: str, x: Tensor, copies: Tensor | None) -> Tensor:
        size = self.load_size
        if x.dtype != torch.uint8 or x.ndim != 4 or tuple(x.shape[-2:]) != (size, size):
            raise ValueError(f"batch[{side!r}] is {x.dtype} {tuple(x.shape)}: give uint8 (B, C, {size}, {size})")
        if size > self.image_size:
            x = _random_crop(x, self.image_size)
        if self.flip:
            x = random_flip(x)
        y = images.from_uint8(x)
        if copies is not None and bool(copies.any()):
            copies = copies.to(y.device)
            y[copies] = balance_augment(y[copies])
        return y


def diff_augment(x: Tensor, policy: tuple[str, ...]) -> Tensor:
    """DiffAugment (Zhao et al. 2020, sec. 3 and appendix): x (B, C, H, W) in [-1, 1] -> the same shape, differentiable in x.

    The discriminator sees real and generated images through it, with new random numbers for each call and sample:
    "color": brightness +- 0.5, saturation times 0 to 2, contrast times 0.5 to 1.5 (values may leave [-1, 1], as in the
    paper's code); "translation": by up to 1/8 of each side, filled with zeros; "cutout": a rectangle of half of each side
    about a random centre is set to zero. They are applied in the order given; () returns x itself.
    Raises ValueError for another name.
    """
    unknown = [name for name in policy if name not in _DIFF_AUGMENTS]
    if unknown:
        raise ValueError(f"no DiffAugment policy {unknown[0]!r}; policies: {', '.join(_DIFF_AUGMENTS)}")
    for name in policy:
        x = _DIFF_AUGMENTS[name](x)
    return x


def _color(x: Tensor) -> Tensor:
    x = x + uniform(x, -0.5, 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * uniform(x, 0, 2) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * uniform(x, 0.5, 1.5) + mean


def _translation(x: Tensor) -> Tensor:
    count, _, height, width = x.shape
    down = torch.randint(-(height // 8), height // 8 + 1, (count,)).tolist()
    right = torch.randint(-(width // 8), width // 8 + 1, (count,)).tolist()
    # Padding by a negative amount crops: one cheap call a sample, in the backward pass too, where gathering would scatter.
    shifted = [F.pad(s, (dx, -dx, dy, -dy)) for s, dx, dy in zip(x, right, down, strict=True)]
    return torch.stack(shifted)


def _cutout(x: Tensor) -> Tensor:
    count, _, height, width = x.shape
    rows, columns = (_hidden(count, side).to(x.device) for side in (height, width))
    return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


def _hidden(count: int, side: int) -> Tensor:
    """Which of `side` positions lie in a random interval of half that length, bool (count, side); it may stick out."""
    length = side // 2
    # With an even length the centre lies between two pixels, so there is one more place for it (as in the paper's code).
    start = torch.randint(0, side + 1 - length % 2, (count, 1)) - length // 2
    position = torch.arange(side)
    return (position >= start) & (position < start + length)


_DIFF_AUGMENTS = {"color": _color, "translation": _translation, "cutout": _cutout}


# Crop and flip are plain torch: kornia's cost 0.8 to 2.8 ms and 0.2 to 2.9 ms a call (batch 1 to 16, 64 and 128 px) for
# what slicing does in a fraction of it, on uint8.
def _random_crop(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size), at a place of its own for each sample, every place equally likely."""
    count, _, height, width = x.shape
    top = torch.randint(0, height - size + 1, (count,)).tolist()
    left = torch.randint(0, width - size + 1, (count,)).tolist()
    return torch.stack([s[:, t : t + size, c : c + size] for s, t, c in zip(x, top, left, strict=True)])
