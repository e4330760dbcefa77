"""A kernel distance between two small sets of features whose scale and width come from the real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclegan_hub.metrics.arrays import Features, distances, pair

_FLOOR = 1e-3  # added to each feature's deviation: one that hardly ever varies says little, however far it strays
_LIMIT = 6.0  # deviations: what lies farther out counts as this far, or a single feature would decide


def mmd(generated: Features, real: Features) -> float:
    """Unbiased squared MMD (Gretton et al. 2012, lemma 6) with a Gaussian kernel, (N, D) and (M, D); not multiplied by 100.

    Each feature is shifted and scaled to mean 0 and deviation 1 over the real rows and cut to [-6, 6]; then k(x, y) =
    exp(-|x - y|² / w), w the median of |x - y|² over the pairs of real rows. Equal distributions give 0 on average whatever N
    and M are, hence values a little below 0; 2 is never exceeded by more than rounding. `real` decides scale and width, so
    swapping the two gives another figure. Raises ValueError as `arrays.pair` says (2 rows at least of each), and where most pairs
    of real rows are equal.
    """
    x, y = pair(generated, real, "real", (2, 2), "an unbiased MMD")
    centre, scale = y.mean(0), y.std(0) + _FLOOR
    x, y = (((v - centre) / scale).clamp(-_LIMIT, _LIMIT) for v in (x, y))
    between = torch.cat([d.square() for _, d in distances(y, y)])
    upper = torch.triu_indices(len(y), len(y), offset=1)
    width = between[upper[0], upper[1]].median()
    if not width:
        raise ValueError("real: more than half of the pairs of rows are equal, so the kernel has no width: give other images")
    return (_mean_off_diagonal(_kernel(x, x, width)) + _mean_off_diagonal(torch.exp(-between / width))
            - 2 * _kernel(x, y, width).mean()).item()  # fmt: skip


def _kernel(x: Tensor, y: Tensor, width: Tensor) -> Tensor:
    return torch.cat([torch.exp(-d.square() / width) for _, d in distances(x, y)])


def _mean_off_diagonal(k: Tensor) -> Tensor:
    """The mean over the pairs of two different rows."""
    n = len(k)
    return (k.sum() - k.diagonal().sum()) / (n * (n - 1))
