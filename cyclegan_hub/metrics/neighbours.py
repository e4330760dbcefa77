"""What balls around nearest neighbours say: improved precision and recall, density and coverage, and diversity."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cyclegan_hub.metrics.arrays import Features, distances, nearest, pair, rows, within


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares in [0, 1], larger is better; `density` may exceed 1 (its expectation is 1 where the distributions are equal)."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(generated: Features, real: Features, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkäänniemi et al. 2019, section 2), density and coverage (Naeem et al. 2020, section 3).

    Around each row lies a ball that reaches its k-th nearest neighbour in its own set, itself not counted. precision: the share
    of generated rows in some real ball; recall: of real rows in some generated ball; density: real balls that a generated
    row lies in, on average, over k; coverage: the share of real balls that hold a generated row. Balls are closed, as in
    the first paper (equation 1); the prdc package leaves the border out, which differs only where distances tie.
    Raises ValueError as `arrays.pair` says, and for `k` < 1 or fewer than k + 1 rows.
    """
    if k < 1:
        raise ValueError(f"k={k}: give at least 1 neighbour")
    x, y = pair(generated, real, "real", (k + 1, k + 1), f"the k={k} nearest of the others")
    x_radius, y_radius = nearest(x, k), nearest(y, k)
    inside, hits = 0, 0
    recalled, covered = (torch.zeros(len(y), dtype=torch.bool) for _ in range(2))
    for block, d in distances(x, y):
        in_real = within(d, y_radius)
        inside += int(in_real.any(1).sum())
        hits += int(in_real.sum())
        covered |= in_real.any(0)
        recalled |= within(d, x_radius[block].unsqueeze(1)).any(0)
    return PrecisionRecall(
        precision=inside / len(x),
        recall=int(recalled.sum()) / len(y),
        density=hits / (k * len(x)),
        coverage=int(covered.sum()) / len(y),
    )


def pairwise_diversity(features: Features) -> float:
    """Mean Euclidean distance over all pairs of rows of (N, D): 0 if the generator always makes the same image.

    Its unit is the extractor's, so it is read beside the same figure for real images: far below it, modes are missing. Raises
    ValueError as `arrays.rows` says, with 2 rows at least.
    """
    x = rows(features, "features", 2, "a pair")
    total = torch.stack([d.masked_fill_(d.isinf(), 0).sum() for _, d in distances(x, x, same=True)]).sum()
    return total.item() / (len(x) * (len(x) - 1))
