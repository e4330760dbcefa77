"""Pictures that show neither side of a domain any more: what the domain encoder's third answer is learnt from.

Each kind has a slight form, after which a picture still shows what it showed, and a heavy form, after which it counts as
neither side. An encoder that sees both learns that a little noise is no reason for an answer, and that much of it is one.
Every function takes and gives images (N, 3, H, W) in [-1, 1]; random numbers come from torch's global generator on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

GREY_LEVEL = 1 / 127.5  # of 8 bits, in [-1, 1]


def slightly_degraded(x: Tensor) -> Tensor:
    """Each image with a little noise, blur, grid or filter artefact of its own."""
    return _each(x, (slight_noise, slight_noise, slight_blur, slight_grid, slight_filter))


def heavily_degraded(x: Tensor) -> Tensor:
    """Each image spoilt in a way of its own, until it shows neither side."""
    noise, others = (heavy_noise,) * 3, (heavy_blur, heavy_grid, heavy_filter, heavy_filter, recoloured, overlaid, shuffled)
    return _each(x, (*noise, *others, covered, mosaic, plain))


def _each(x: Tensor, kinds: tuple[Callable[[Tensor], Tensor], ...]) -> Tensor:
    """Each image through one of the kinds, all drawn about equally often; overlaying needs its neighbours, hence in groups."""
    y = x.clone()
    order, chosen = torch.randperm(len(x)), torch.randint(len(kinds), (len(x),))
    for i in chosen.unique().tolist():
        rows = order[chosen == i].to(x.device)
        y[rows] = kinds[i](x[rows]).clamp(-1, 1)
    return y


def _between(x: Tensor, low: float, high: float) -> Tensor:
    """A number for each image, (N, 1, 1, 1): small ones as often as large ones by their logarithm."""
    draw = torch.rand(len(x), 1, 1, 1) * (math.log(high) - math.log(low)) + math.log(low)
    return draw.exp().to(x)


def _noise(x: Tensor, deviation: Tensor) -> Tensor:
    """Gaussian noise of that deviation, in colours or grey, as fine as the pixels or in grains of 2 or 4."""
    grain, channels = int(torch.tensor([1, 1, 2, 4])[torch.randint(4, ())]), 1 if torch.rand(()) < 0.3 else x.shape[1]
    noise = torch.randn(len(x), channels, -(-x.shape[2] // grain), -(-x.shape[3] // grain)).to(x)
    if grain > 1:
        noise = F.interpolate(noise, scale_factor=grain, mode="nearest")[:, :, : x.shape[2], : x.shape[3]]
    return x + deviation * noise


def slight_noise(x: Tensor) -> Tensor:
    """Noise of 1 to 9 grey levels."""
    return _noise(x, _between(x, 1, 9) * GREY_LEVEL)


def heavy_noise(x: Tensor) -> Tensor:
    """Noise of 16 to 100 grey levels."""
    return _noise(x, _between(x, 16, 100) * GREY_LEVEL)


def gaussian_blur(x: Tensor, radius: float) -> Tensor:
    """Blurred by a Gaussian of that deviation in pixels, borders repeated."""
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


def _grid(x: Tensor, amplitude: Tensor) -> Tensor:
    """Stripes or a checkerboard of 2 to 8 px, in one colour, of that amplitude."""
    period = int(torch.randint(2, 9, ()))
    waves = [torch.cos(2 * math.pi * torch.arange(side) / period + 6.28 * torch.rand(())) for side in x.shape[2:]]
    if period == 2:  # the phase could hide it
        waves = [torch.arange(side) % 2 * 2.0 - 1 for side in x.shape[2:]]
    down, across = waves[0][:, None], waves[1][None, :]
    form = (down * across, down.expand(x.shape[2:]), across.expand(x.shape[2:]))[int(torch.randint(3, ()))]
    colour = torch.randn(len(x), x.shape[1], 1, 1) * 0.4 + 1
    return x + amplitude * (colour * form).to(x)


def slight_grid(x: Tensor) -> Tensor:
    """1 to 5 grey levels."""
    return _grid(x, _between(x, 1, 5) * GREY_LEVEL)


def heavy_grid(x: Tensor) -> Tensor:
    """18 to 80 grey levels."""
    return _grid(x, _between(x, 18, 80) * GREY_LEVEL)


def _filtered(x: Tensor) -> Tensor:
    """What a small convolutional network with random weights makes of the images: textures that follow their edges."""
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
    """The images with 1 to 6 % of a random network's output added."""
    return x + _between(x, 0.01, 0.06) * _filtered(x)


def heavy_filter(x: Tensor) -> Tensor:
    """At least 40 % a random network's output."""
    share = _between(x, 0.4, 1.0)
    return (1 - share) * x + share * _filtered(x)


def recoloured(x: Tensor) -> Tensor:
    """Inverted, nearly without contrast, or with the colours mixed so that dark and bright no longer agree."""
    kind = int(torch.randint(3, ()))
    if kind == 0:
        return -x
    if kind == 1:
        return _between(x, 0.02, 0.25) * x + (torch.rand(len(x), x.shape[1], 1, 1) * 1.6 - 0.8).to(x)
    mix = torch.randn(len(x), x.shape[1], x.shape[1])
    mix -= mix.sum(2, keepdim=True).clamp(min=0) / x.shape[1]  # no channel grows with the brightness
    return torch.einsum("nij,njhw->nihw", mix.to(x), x)


def overlaid(x: Tensor) -> Tensor:
    """Each a blend with the mirror image of another, or upside down with its own: two pictures in one."""
    share = 0.35 + 0.3 * torch.rand(len(x), 1, 1, 1).to(x)
    other = x.roll(1, 0).flip(-1) if len(x) > 1 else x.flip(-2)
    return share * x + (1 - share) * other


def shuffled(x: Tensor) -> Tensor:
    """Cut into 4 x 4 or 8 x 8 tiles that change places."""
    n, count, channels = int(torch.tensor([4, 8])[torch.randint(2, ())]), *x.shape[:2]
    height, width = x.shape[2] // n, x.shape[3] // n
    tiles = x[:, :, : n * height, : n * width].reshape(count, channels, n, height, n, width).permute(0, 2, 4, 1, 3, 5)
    tiles = tiles.reshape(count, n * n, channels, height, width)[:, torch.randperm(n * n).to(x.device)]
    tiles = tiles.reshape(count, n, n, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return F.interpolate(tiles.reshape(count, channels, n * height, n * width), x.shape[2:])


def covered(x: Tensor) -> Tensor:
    """All but a corner or a strip hidden by a plain colour or by noise."""
    y = x.clone()
    rows, columns = (int(side * (0.55 + 0.45 * float(torch.rand(())))) for side in x.shape[2:])
    top, left = (int(torch.randint(side - length + 1, ())) for side, length in zip(x.shape[2:], (rows, columns), strict=True))
    cover = (torch.rand(len(x), x.shape[1], 1, 1) * 2 - 1).to(x)
    grain = torch.randn(len(x), x.shape[1], rows, columns).to(x) * float(torch.rand(())) * (torch.rand(()) < 0.5)
    y[:, :, top : top + rows, left : left + columns] = cover + grain
    return y


def mosaic(x: Tensor) -> Tensor:
    """In squares: 4 to 10 of them a side."""
    n = int(torch.randint(4, 11, ()))
    return F.interpolate(F.adaptive_avg_pool2d(x, n), x.shape[2:], mode="nearest" if torch.rand(()) < 0.5 else "bicubic")


def plain(x: Tensor) -> Tensor:
    """Nothing of the image: one colour, a gradient, clouds or noise."""
    n = int(torch.tensor([1, 2, 4, 8, 64])[torch.randint(5, ())])
    spots = torch.rand(len(x), x.shape[1], n, n).to(x) * 2 - 1
    return F.interpolate(spots, x.shape[2:], mode="bilinear" if n < 64 else "nearest")


def patches_of_others(piles: list[Tensor], count: int, size: int) -> Tensor:
    """`count` pieces of 15 to 45 % of a side, cut from images (N, 3, H, W) in [-1, 1], enlarged to `size` px."""
    pieces = []
    for _ in range(count):
        pile = piles[int(torch.randint(len(piles), ()))]
        image = pile[int(torch.randint(len(pile), ()))]
        side = max(2, int(image.shape[-1] * (0.15 + 0.3 * float(torch.rand(())))))
        top, left = (int(torch.randint(length - side + 1, ())) for length in image.shape[-2:])
        piece = image[None, :, top : top + side, left : left + side]
        pieces.append(F.interpolate(piece, (size, size), mode="bilinear", align_corners=False))
    return torch.cat(pieces)
