"""A ResNet generator on large images: in tiles that share the normalisation statistics of the whole, so that no seams show."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclegan_hub.imaging.images import ImageError
from cyclegan_hub.models.generators import InstanceNorm2d, ResNetGenerator
from cyclegan_hub.models.noise import Noise

Statistics = tuple[Tensor, Tensor]


def translate_in_tiles(generator: ResNetGenerator, x: Tensor, tile: int = 512) -> Tensor:
    """What `generator(x)` gives for images (N, C, H, W), sides multiples of 4, but for rounding, in less memory.

    The two ends, whose maps are the largest, run in tiles of at most `tile` pixels, the body in one piece at a quarter
    of the size. A normalisation needs the statistics of the whole map: each is found by a pass of its own over all
    tiles, so an end costs a few times what it would untiled.
    """
    # Halos: what the kernels of an end reach beyond a tile: 3 + 1 + 2 px of the encoder, under 2 positions of the decoder.
    features = _run_in_tiles(generator.encoder, x, tile, halo=8, multiple=4)
    decoded = _run_in_tiles(generator.decoder, generator.body(features), tile // 4, halo=4, multiple=1)
    return generator.output(x, decoded)


def _run_in_tiles(layers: nn.Sequential, x: Tensor, tile: int, halo: int, multiple: int) -> Tensor:
    """`layers(x)`, tile by tile."""
    down, across = (tiles(size, tile, halo, multiple) for size in x.shape[2:])
    fixed: list[Statistics] = []

    def core(rows: Span, columns: Span) -> Tensor:
        return _core(_run(layers, x, rows, columns, fixed), rows, columns)

    for _ in range(sum(isinstance(layer, InstanceNorm2d) for layer in layers)):
        fixed.append(_shared_statistics(core(rows, columns) for rows in down for columns in across))
    return torch.cat([torch.cat([core(rows, columns) for columns in across], 3) for rows in down], 2)


def _shared_statistics(cores: Iterable[Tensor]) -> Statistics:
    """Mean and variance over the whole map that these are the parts of, (N, C, 1, 1) in fp32."""
    sums = []
    for core in cores:
        device = core.device
        core = (core.cpu() if device.type == "mps" else core).double()  # which has no float64
        count = core.new_tensor(core.shape[2] * core.shape[3]).expand(*core.shape[:2], 1, 1)
        sums.append(torch.stack([core.sum((2, 3), keepdim=True), core.square().sum((2, 3), keepdim=True), count]))
    total, squares, count = torch.stack(sums).sum(0)
    mean = total / count
    return mean.float().to(device), (squares / count - mean.square()).clamp_min(0).float().to(device)


def _run(layers: nn.Sequential, x: Tensor, rows: Span, columns: Span, fixed: list[Statistics]) -> Tensor:
    """A tile of `x` through the layers with the statistics known so far, up to the first normalisation that has none yet."""
    x = x[:, :, rows.start : rows.stop, columns.start : columns.stop]
    height, width = x.shape[2:]
    statistics = iter(fixed)
    for layer in layers:
        if isinstance(layer, InstanceNorm2d):
            known = next(statistics, None)
            if known is None:
                return x
            x = layer.apply_statistics(x, *known)
        elif isinstance(layer, Noise):
            x = layer(x, rows.start * x.shape[2] // height, columns.start * x.shape[3] // width)
        else:
            x = layer(x)
    return x


def _core(part: Tensor, rows: Span, columns: Span) -> Tensor:
    """A tile's map without its halo."""
    (top, bottom), (left, right) = (
        ((s.core_start - s.start) * size // (s.stop - s.start), (s.core_stop - s.start) * size // (s.stop - s.start))
        for s, size in ((rows, part.shape[2]), (columns, part.shape[3]))
    )
    return part[:, :, top:bottom, left:right]


class Span(NamedTuple):
    """A tile along one axis, in pixels: [core_start, core_stop) is kept, [start, stop) is what is computed."""

    core_start: int
    core_stop: int
    start: int
    stop: int


def tiles(size: int, tile: int, halo: int, multiple: int) -> list[Span]:
    """Cuts an axis of `size` pixels into nearly equal cores of at most `tile`, each with at least `halo` around it.

    The cores partition [0, size), the outer ranges end at its borders, and all bounds are multiples of `multiple` (`halo` is
    rounded up to one). Raises ImageError if `size` is not a multiple, `tile` is below one or `halo` is negative.
    """
    if size < 1 or size % multiple or tile < multiple or halo < 0:
        needed = f"size must be a multiple of {multiple}, tile at least one, halo not negative"
        raise ImageError(f"size={size}, tile={tile}, halo={halo}: {needed}")
    halo += -halo % multiple
    units = size // multiple
    count = -(-units // (tile // multiple))
    bounds = [units * i // count * multiple for i in range(count + 1)]
    return [Span(a, b, max(0, a - halo), min(size, b + halo)) for a, b in pairwise(bounds)]
