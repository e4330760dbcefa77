"""Metrics of distances between rows: precision and recall, density and coverage, diversity, and how much content is kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cyclegan_hub.metrics.arrays import Features, distances, nearest, pair, rows, standardised, within


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
    Raises ValueError as `arrays.pair` does, and for `k` < 1 or fewer than k + 1 rows.
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

    Its unit is the extractor's, so read it beside the diversity of real images: far below that, modes are missing. Raises
    ValueError as `arrays.rows` does, with at least 2 rows.
    """
    x = rows(features, "features", 2, "a pair")
    total = torch.stack([d.masked_fill_(d.isinf(), 0).sum() for _, d in distances(x, x, same=True)]).sum()
    return total.item() / (len(x) * (len(x) - 1))


@dataclass(frozen=True)
class ContentKept:
    """How far images have moved from their inputs: `distance` in the extractor's units, and its `share` of the distance between
    two random inputs. A share of 0: nothing has changed; 1: as far as another image."""

    distance: float
    share: float


def content_kept(inputs: Features, outputs: Features) -> ContentKept:
    """Mean distance between input i and output i, features (N, D) each, standardised by the inputs.

    Raises ValueError for different counts, fewer than 2 rows, or inputs that are all equal.
    """
    x, y = (standardised(v, inputs) for v in (inputs, outputs))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} inputs and {len(y)} outputs: give one output for each input")
    apart, moved = pairwise_diversity(x), (x - y).norm(dim=1).mean().item()
    if not apart:
        raise ValueError("all inputs have the same features: there is no distance between two of them to compare with")
    return ContentKept(moved, moved / apart)
