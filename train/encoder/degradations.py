"""Random degradations of images: the domain encoder learns its third class, "neither", from them.

Most have a slight form, after which an image keeps its class, and a heavy form, after which it counts as neither. An encoder
that sees both learns to ignore a little noise, and to reject much of it. Every function maps images (N, 3, H, W) in [-1, 1] to
images of the same shape; random numbers come from torch's global generator on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVEL = 1 / 127.5  # of 8 bits, in [-1, 1]


def slightly_degraded(x: Tensor) -> Tensor:
    """Each image with slight noise (1 to 9 grey levels), blur, a faint grid or a filter artefact, chosen at random."""
    noise, grid = partial(add_noise, low=1, high=9), partial(add_grid, low=1, high=5)
    return _each(x, (noise, noise, slight_blur, grid, slight_filter))


def heavily_degraded(x: Tensor) -> Tensor:
    """Each image with one heavy degradation, chosen at random, after which it shows neither domain."""
    noise, grid = partial(add_noise, low=16, high=100), partial(add_grid, low=18, high=80)
    others = (heavy_blur, grid, heavy_filter, heavy_filter, recoloured, overlaid, shuffled, covered, mosaic, plain)
    return _each(x, (noise, noise, noise, *others))


def _each(x: Tensor, kinds: tuple[Callable[[Tensor], Tensor], ...]) -> Tensor:
    """Applies one of `kinds` to each image, all equally likely; in groups, since overlaying needs other images."""
    y = x.clone()
    order, chosen = torch.randperm(len(x)), torch.randint(len(kinds), (len(x),))
    for i in chosen.unique().tolist():
        rows = order[chosen == i].to(x.device)
        y[rows] = kinds[i](x[rows]).clamp(-1, 1)
    return y


def _between(x: Tensor, low: float, high: float) -> Tensor:
    """A random number for each image, (N, 1, 1, 1), log-uniform between `low` and `high`."""
    logarithm = torch.rand(len(x), 1, 1, 1) * (math.log(high) - math.log(low)) + math.log(low)
    return logarithm.exp().to(x)


def add_noise(x: Tensor, low: float, high: float) -> Tensor:
    """Adds Gaussian noise of `low` to `high` grey levels, coloured or grey, in grains of 1, 2 or 4 px."""
    deviation = _between(x, low, high) * GREY_LEVEL
    grain, channels = int(torch.tensor([1, 1, 2, 4])[torch.randint(4, ())]), 1 if torch.rand(()) < 0.3 else x.shape[1]
    noise = torch.randn(len(x), channels, -(-x.shape[2] // grain), -(-x.shape[3] // grain)).to(x)
    if grain > 1:
        noise = F.interpolate(noise, scale_factor=grain, mode="nearest")[:, :, : x.shape[2], : x.shape[3]]
    return x + deviation * noise


def gaussian_blur(x: Tensor, radius: float) -> Tensor:
    """Blurs with a Gaussian whose standard deviation is `radius` px; borders are replicated."""
    reach = max(1, math.ceil(3 * radius))
    weights = torch.exp(-(torch.arange(-reach, reach + 1, dtype=torch.float32) ** 2) / (2 * radius**2))
    line = (weights / weights.sum()).to(x).expand(x.shape[1], 1, -1)
    for kernel, pad in ((line[:, :, None], (reach, reach, 0, 0)), (line[..., None], (0, 0, reach, reach))):
        x = F.conv2d(F.pad(x, pad, mode="replicate"), kernel, groups=x.shape[1])
    return x


def slight_blur(x: Tensor) -> Tensor:
    """A radius of 0.3 to 0.8 px."""
    return gaussian_blur(x, 0.3 + 0.5 * float(torch.rand(())))


def heavy_blur(x: Tensor) -> Tensor:
    """A radius of 2.5 to 8 px."""
    return gaussian_blur(x, 2.5 * 3.2 ** float(torch.rand(())))


def add_grid(x: Tensor, low: float, high: float) -> Tensor:
    """Adds stripes or a checkerboard of `low` to `high` grey levels, with a period of 2 to 8 px, in one colour."""
    amplitude = _between(x, low, high) * GREY_LEVEL
    period = int(torch.randint(2, 9, ()))
    waves = [torch.cos(2 * math.pi * torch.arange(side) / period + 6.28 * torch.rand(())) for side in x.shape[2:]]
    if period == 2:  # any phase could cancel it
        waves = [torch.arange(side) % 2 * 2.0 - 1 for side in x.shape[2:]]
    down, across = waves[0][:, None], waves[1][None, :]
    form = (down * across, down.expand(x.shape[2:]), across.expand(x.shape[2:]))[int(torch.randint(3, ()))]
    colour = torch.randn(len(x), x.shape[1], 1, 1) * 0.4 + 1
    return x + amplitude * (colour * form).to(x)


def _filtered(x: Tensor) -> Tensor:
    """Output of a small convolutional network with random weights: textures that follow the edges of the images."""
    width, depth = int(torch.randint(4, 13, ())), int(torch.randint(1, 4, ()))
    y = x
    for i in range(depth + 1):
        last = i == depth
        weight = torch.randn(x.shape[1] if last else width, y.shape[1], *[3 if i else 5] * 2)
        y = F.conv2d(y, weight.to(x), padding="same")
        y = F.instance_norm(y) if min(y.shape[2:]) > 1 else y
        y = y if last else F.relu(y)
    return torch.tanh(y * (0.3 + 1.2 * torch.rand(())).to(x))


def slight_filter(x: Tensor) -> Tensor:
    """Adds 1 to 6 % of a random network's output."""
    return x + _between(x, 0.01, 0.06) * _filtered(x)


def heavy_filter(x: Tensor) -> Tensor:
    """A blend with at least 40 % of a random network's output."""
    share = _between(x, 0.4, 1.0)
    return (1 - share) * x + share * _filtered(x)


def recoloured(x: Tensor) -> Tensor:
    """Inverted, almost without contrast, or with mixed channels that do not follow the brightness."""
    kind = int(torch.randint(3, ()))
    if kind == 0:
        return -x
    if kind == 1:
        return _between(x, 0.02, 0.25) * x + (torch.rand(len(x), x.shape[1], 1, 1) * 1.6 - 0.8).to(x)
    mix = torch.randn(len(x), x.shape[1], x.shape[1])
    mix -= mix.sum(2, keepdim=True).clamp(min=0) / x.shape[1]  # no channel grows with the brightness
    return torch.einsum("nij,njhw->nihw", mix.to(x), x)


def overlaid(x: Tensor) -> Tensor:
    """Each image blended with a mirrored other one; a single image with itself, upside down."""
    share = 0.35 + 0.3 * torch.rand(len(x), 1, 1, 1).to(x)
    other = x.roll(1, 0).flip(-1) if len(x) > 1 else x.flip(-2)
    return share * x + (1 - share) * other


def shuffled(x: Tensor) -> Tensor:
    """Cut into 4 x 4 or 8 x 8 tiles in random order."""
    n, count, channels = int(torch.tensor([4, 8])[torch.randint(2, ())]), *x.shape[:2]
    height, width = x.shape[2] // n, x.shape[3] // n
    tiles = x[:, :, : n * height, : n * width].reshape(count, channels, n, height, n, width).permute(0, 2, 4, 1, 3, 5)
    tiles = tiles.reshape(count, n * n, channels, height, width)[:, torch.randperm(n * n).to(x.device)]
    tiles = tiles.reshape(count, n, n, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return F.interpolate(tiles.reshape(count, channels, n * height, n * width), x.shape[2:])


def covered(x: Tensor) -> Tensor:
    """All but a border covered by a plain colour, or by one with noise."""
    y = x.clone()
    rows, columns = (int(side * (0.55 + 0.45 * float(torch.rand(())))) for side in x.shape[2:])
    top, left = (int(torch.randint(side - length + 1, ())) for side, length in zip(x.shape[2:], (rows, columns), strict=True))
    cover = (torch.rand(len(x), x.shape[1], 1, 1) * 2 - 1).to(x)
    grain = torch.randn(len(x), x.shape[1], rows, columns).to(x) * float(torch.rand(())) * (torch.rand(()) < 0.5)
    y[:, :, top : top + rows, left : left + columns] = cover + grain
    return y


def mosaic(x: Tensor) -> Tensor:
    """Reduced to between 4 x 4 and 10 x 10 pixels and enlarged again."""
    n = int(torch.randint(4, 11, ()))
    return F.interpolate(F.adaptive_avg_pool2d(x, n), x.shape[2:], mode="nearest" if torch.rand(()) < 0.5 else "bicubic")


def plain(x: Tensor) -> Tensor:
    """One colour, a gradient, clouds or noise in place of the image."""
    n = int(torch.tensor([1, 2, 4, 8, 64])[torch.randint(5, ())])
    spots = torch.rand(len(x), x.shape[1], n, n).to(x) * 2 - 1
    return F.interpolate(spots, x.shape[2:], mode="bilinear" if n < 64 else "nearest")


def patches_of_others(datasets: list[Tensor], count: int, size: int) -> Tensor:
    """`count` random crops of 15 to 45 % of the width, from images (N, 3, H, W) in [-1, 1], enlarged to `size` px."""
    pieces = []
    for _ in range(count):
        images = datasets[int(torch.randint(len(datasets), ()))]
        image = images[int(torch.randint(len(images), ()))]
        side = max(2, int(image.shape[-1] * (0.15 + 0.3 * float(torch.rand(())))))
        top, left = (int(torch.randint(length - side + 1, ())) for length in image.shape[-2:])
        piece = image[None, :, top : top + side, left : left + side]
        pieces.append(F.interpolate(piece, (size, size), mode="bilinear", align_corners=False))
    return torch.cat(pieces)
