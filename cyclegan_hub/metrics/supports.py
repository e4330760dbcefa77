"""alpha-precision, beta-recall and authenticity: fidelity, diversity and novelty, apart (Alaa et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan_hub.metrics.arrays import TIE, Features, distances, nearest, pair, within


@dataclass(frozen=True)
class AlphaBetaAuthenticity:
    """All in [0, 1]. alpha-precision far above alpha: only the most typical images are made; the others: larger is better."""

    alpha_precision: float
    beta_recall: float
    authenticity: float
    integrated_alpha_precision: float
    integrated_beta_recall: float


def alpha_beta_authenticity(
    generated: Features,
    real: Features,
    alpha: float = 0.9,
    beta: float = 0.9,
    k: int = 1,
    *,
    within_supports: bool = False,
) -> AlphaBetaAuthenticity:
    """The three metrics of "How Faithful is your Synthetic Data?" (Alaa et al. 2021), from features (N, D) and (M, D).

    A set's support at a level is the smallest ball around its mean that holds at least that share of its rows.
    alpha-precision: the share of generated rows in the real support at `alpha`. beta-recall: the share of real rows whose ball,
    reaching their k-th nearest other real row, holds a generated row of the generated support at `beta`. authenticity: the
    share of generated rows that are farther from their nearest real row (the first of several) than that one is from the
    nearest other real row. Balls are closed. Integrated: 1 - 2 times the area between the curve over all
    levels in (0, 1] and the diagonal, exact for the curve's steps, not on a grid; identical sets have 1 - 1/N for alpha.

    All rows count, as in the paper's definitions. `within_supports` counts as its worked example does (8/9, 4/9 and 9/10 at
    0.9): precision over the generated rows in their own support at `beta`, recall over the real rows in theirs at `alpha`;
    authenticity over all. The integrated values are of all rows either way.
    The published code differs: its authenticity looks up the distance between real rows with an index of generated rows, and its
    recall takes the nearest of all generated rows, not the nearest in their support, and the levels from these nearest rows only.
    The paper trains an embedding in which real rows fill a ball; here the features are taken as they are, so the values depend
    on the extractor's distances. Two equally large samples of one distribution have about 1/2 in authenticity, and with k = 1 in
    beta-recall at beta = 1: the nearest row is then equally likely to be of either set. Read both beside real against real.

    Raises ValueError as `arrays.pair` does (at least 1 generated row and k + 1 real ones), for levels outside (0, 1] and `k` < 1.
    """
    for name, level in (("alpha", alpha), ("beta", beta)):
        if not 0 < level <= 1:
            raise ValueError(f"{name}={level}: give a level in (0, 1]")
    if k < 1:
        raise ValueError(f"k={k}: give at least 1 neighbour")
    x, y = pair(generated, real, "real", (1, k + 1), f"a distance between real images with k={k}")
    x_own, y_own = ((v - v.mean(0)).norm(dim=1) for v in (x, y))
    x_from_real = (x - y.mean(0)).norm(dim=1)
    reached, authentic = _match(x, y, x_own, k)
    precision, recall = _curve(x_from_real, y_own), _curve(reached, x_own)
    at_alpha, at_beta = _at(precision, alpha), _at(recall, beta)
    if within_supports:
        x_radius, y_radius = _at(x_own.sort().values, beta), _at(y_own.sort().values, alpha)
        at_alpha = within(x_from_real[within(x_own, x_radius)], y_radius).double().mean().item()
        at_beta = within(reached[within(y_own, y_radius)], x_radius).double().mean().item()
    return AlphaBetaAuthenticity(
        alpha_precision=at_alpha,
        beta_recall=at_beta,
        authenticity=authentic / len(x),
        integrated_alpha_precision=_integrated(precision),
        integrated_beta_recall=_integrated(recall),
    )


def _match(x: Tensor, y: Tensor, x_own: Tensor, k: int) -> tuple[Tensor, int]:
    """(M,) the least of `x_own` (distances to their mean) among the generated rows in each real row's ball, infinity if it holds
    none; and how many generated rows are authentic."""
    nearest_other = nearest(y, 1)
    radius = nearest_other if k == 1 else nearest(y, k)
    reached, authentic = torch.full_like(radius, torch.inf), 0
    for block, d in distances(x, y):
        own = x_own[block].unsqueeze(1)
        reached = torch.minimum(reached, torch.where(within(d, radius), own, torch.inf).amin(0))
        least = d.amin(1)
        first = within(d, least.unsqueeze(1)).int().argmax(1)
        authentic += int((~within(least, nearest_other[first])).sum())
    return reached, authentic


def _curve(values: Tensor, own: Tensor) -> Tensor:
    """The share of `values` in the support at levels 1/n, 2/n, ..., 1, where `own` (n,) are its rows' distances to their mean."""
    radii = own.sort().values * (1 + TIE)
    return torch.searchsorted(values.sort().values, radii, right=True) / torch.tensor(len(values), dtype=torch.float64)


def _at(values: Tensor, level: float) -> float:
    """Of n values, a curve's or sorted distances, that of the last row in the support at a level in (0, 1]."""
    return values[max(0, math.ceil(level * len(values) - 1e-9) - 1)].item()  # 0.07 * 100 is a little more than 7


def _integrated(curve: Tensor) -> float:
    """1 - 2 times the integral over t in [0, 1] of |curve(t) - t|."""
    edges = torch.arange(len(curve) + 1, dtype=torch.float64) / len(curve)
    left, right = curve - edges[:-1], curve - edges[1:]
    return 1 - (left * left.abs() - right * right.abs()).sum().item()  # the integral of |c - t| is -(c - t) |c - t| / 2
