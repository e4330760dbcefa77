"""Feature arrays checked once, and the Euclidean distances between their rows in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

Features = np.ndarray | Tensor
"""(N, D), a row for each image; any real dtype, any device."""

BLOCK = 2**23  # float64 values held at once for a block of an (N, M) matrix: 64 MiB, a few of which are alive together
TIE = 1e-9  # distances that differ by this factor at most count as equal: rounding does not decide whether a ball holds a point
_CLIP = 6.0  # deviations of the real images that a standardised feature may reach: a few outliers do not decide alone
_EPSILON = 1e-3  # added to each deviation: a feature that real images never show is not divided by 0
_NEAR = 1e-3  # squared distances below this share of the squared norms have lost digits to cancellation


def rows(x: Features, name: str, least: int, reason: str) -> Tensor:
    """`x` as a float64 tensor (N, D) on the CPU. `name` and `reason` (why there must be `least` rows) go into errors.

    Raises ValueError unless it is two-dimensional with D >= 1, has at least `least` rows, and holds finite real numbers.
    """
    if isinstance(x, Tensor):
        if x.is_complex():
            raise ValueError(f"{name} holds complex numbers: give real features")
        x = x.detach().cpu().double()
    else:
        array = np.asarray(x)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} holds values of type {array.dtype}: give real features")
        x = torch.from_numpy(np.array(array, dtype=np.float64))
    if x.ndim != 2 or not x.shape[1]:
        raise ValueError(f"{name} has shape {tuple(x.shape)}: give features (N, D), a row for each image")
    if len(x) < least:
        raise ValueError(f"{name} has {len(x)} row{'' if len(x) == 1 else 's'}: {reason} needs at least {least}")
    broken = (~x.isfinite()).any(1).nonzero().flatten().tolist()
    if broken:
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise ValueError(f"{name}: row {broken[0]}{more} holds NaN or infinity: the image or its features are broken")
    return x


def pair(generated: Features, other: Features, name: str, least: tuple[int, int], reason: str) -> tuple[Tensor, Tensor]:
    """`generated` and `other` (called `name` in errors) as `rows` returns them. Raises ValueError also if their D differ."""
    x, y = rows(generated, "generated", least[0], reason), rows(other, name, least[1], reason)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"generated has {x.shape[1]} features a row and {name} {y.shape[1]}: take both from one extractor")
    return x, y


def standardised(x: Features, real: Features) -> Tensor:
    """Features (N, D) by real ones (M, D), (f - mean) / (deviation + 0.001), clipped to +-6: float64 (N, D)."""
    a, b = pair(x, real, "real", (1, 2), "a deviation")
    return ((a - b.mean(0)) / (b.std(0) + _EPSILON)).clamp(-_CLIP, _CLIP)


def blocks(height: int, width: int) -> Iterator[slice]:
    """Cuts the rows of a (height, width) matrix into blocks of at most BLOCK values, but at least one row."""
    step = max(1, BLOCK // width)
    return (slice(start, min(height, start + step)) for start in range(0, height, step))


def distances(x: Tensor, y: Tensor, *, same: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """Euclidean distances between the rows of `x` (N, D) and of `y` (M, D), block by block: (rows of x, (rows, M)).

    With `same` (`y` is `x`) the distance of each row to itself is infinity, so that a minimum is over the others.
    Copies are at distance 0 exactly; everything else is right to within TIE, and so are ties.
    """
    centre = y.mean(0)  # norms no larger than need be: less to cancel
    y = y - centre
    norms = y.square().sum(1)
    for block in blocks(len(x), len(y)):
        part = x[block] - centre
        scale = part.square().sum(1, keepdim=True) + norms
        squared = torch.addmm(scale, part, y.T, alpha=-2)  # a matrix product: ten times as fast as the differences
        if same:
            squared.diagonal(block.start).fill_(torch.inf)
        near = (squared <= _NEAR * scale).any(1)
        result = squared.clamp_(min=0).sqrt_()
        if near.any():
            result[near] = torch.cdist(part[near], y, compute_mode="donot_use_mm_for_euclid_dist")
            if same:
                result.diagonal(block.start).fill_(torch.inf)
        yield block, result


def nearest(x: Tensor, k: int) -> Tensor:
    """(N,): the distance from each row of `x` to its k-th nearest among the others."""
    return torch.cat([d.kthvalue(k, dim=1).values for _, d in distances(x, x, same=True)])


def within(distance: Tensor, radius: Tensor | float) -> Tensor:
    """Whether points at `distance` lie in the closed ball of `radius`, to within TIE; bool, broadcast."""
    return distance <= radius * (1 + TIE)
