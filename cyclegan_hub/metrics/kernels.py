"""Kernel distances with their bootstrap intervals: the MMD with a Gaussian kernel on standardised features, and KID's kernel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan_hub.metrics.arrays import Features, distances, pair
from cyclegan_hub.metrics.neighbours import pairwise_diversity

_CLIP = 6.0  # deviations of the real images that a standardised feature may reach: a few odd values do not decide alone
_LEAST = 1e-3  # added to each deviation: a feature that real images never show is not divided by 0
_LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Kernels:
    """Kernel matrices of two sets: (N, N), (M, M) and between them (N, M)."""

    generated: Tensor
    real: Tensor
    between: Tensor

    def squared_mmd(self, a: Tensor, b: Tensor) -> Tensor:
        """(B,): the unbiased squared MMD (Gretton et al. 2012, equation 3) with images counted a (B, N) and b (B, M) times.

        Pairs of an image with itself do not count, neither on the diagonal nor where it was drawn twice.
        """
        between = ((a @ self.between) * b).sum(1) / (a.sum(1) * b.sum(1))
        return _mean_of_pairs(self.generated, a) + _mean_of_pairs(self.real, b) - 2 * between

    def estimate(self) -> float:
        """With every image counted once."""
        once = (torch.ones(1, len(own), dtype=torch.float64) for own in (self.generated, self.real))
        return self.squared_mmd(*once).item()

    def interval(self, resamples: int, seed: int) -> Interval:
        """The estimate and its bootstrap interval: images are drawn with replacement from each set, by a generator of that seed.

        Raises ValueError for fewer than 2 resamples.
        """
        if resamples < 2:
            raise ValueError(f"resamples={resamples}: give at least 2")
        random = torch.Generator().manual_seed(seed)
        counts = [_times_drawn(len(own), resamples, random) for own in (self.generated, self.real)]
        tail = (1 - _LEVEL) / 2
        low, high = torch.quantile(self.squared_mmd(*counts), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
        return Interval(self.estimate(), low, high)


def mmd(generated: Features, real: Features) -> float:
    """Unbiased squared MMD (Gretton et al. 2012, lemma 6) with a Gaussian kernel, (N, D) and (M, D); not multiplied by 100.

    Each feature is shifted and scaled to mean 0 and deviation 1 over the real rows and cut to [-6, 6] (see `standardised`); then
    k(x, y) = exp(-|x - y|² / w), w the median of |x - y|² over the pairs of real rows. Equal distributions give 0 on average
    whatever N and M are, hence values a little below 0; 2 is never exceeded by more than rounding. `real` decides scale and
    width, so swapping the two gives another figure. Raises ValueError as `arrays.pair` says (2 rows at least of each), and where
    most pairs of real rows are equal.
    """
    return _gaussian(generated, real).estimate()


def mmd_interval(generated: Features, real: Features, resamples: int = 1000, seed: int = 0) -> Interval:
    """`mmd` with a 95 % bootstrap interval; scale and width stay those of all real rows."""
    return _gaussian(generated, real).interval(resamples, seed)


def _gaussian(generated: Features, real: Features) -> _Kernels:
    pair(generated, real, "real", (2, 2), "an unbiased MMD")
    x, y = standardised(generated, real), standardised(real, real)
    apart = _squared_distances(y, y)
    upper = torch.triu_indices(len(y), len(y), offset=1)
    width = apart[upper[0], upper[1]].median()
    if not width:
        raise ValueError("real: more than half of the pairs of rows are equal, so the kernel has no width: give other images")
    return _Kernels(*(torch.exp(-d / width) for d in (_squared_distances(x, x), apart, _squared_distances(x, y))))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """(N, M)."""
    return torch.cat([d.square() for _, d in distances(x, y)])


def kid_interval(generated: Features, real: Features, resamples: int = 1000, seed: int = 0) -> Interval:
    """KID of all rows at once, k(x, y) = (x.y / D + 1)³ (Bińkowski et al. 2018, section 4), with a 95 % bootstrap interval.

    Raises ValueError as `arrays.pair` says, with at least 2 rows of each.
    """
    x, y = pair(generated, real, "real", (2, 2), "a distance between two images")
    kernels = _Kernels(*((a @ b.T / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))))
    return kernels.interval(resamples, seed)


def standardised(x: Features, real: Features) -> Tensor:
    """Features (N, D) by real ones (M, D), (f - mean) / (deviation + 0.001), clipped to +-6: float64 (N, D)."""
    a, b = pair(x, real, "real", (1, 2), "a deviation")
    return ((a - b.mean(0)) / (b.std(0) + _LEAST)).clamp(-_CLIP, _CLIP)


@dataclass(frozen=True)
class ContentKept:
    """How far pictures have moved from their inputs: `distance` in the extractor's units, and its `share` of the distance between
    two random pictures of the source side. A share of 0: nothing has changed; 1: as far as another picture."""

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


def _times_drawn(n: int, resamples: int, random: torch.Generator) -> Tensor:
    """(resamples, n): how often each of n images comes up in n draws with replacement."""
    drawn = torch.randint(n, (resamples, n), generator=random)
    return torch.zeros(resamples, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(resamples, n, dtype=torch.float64))


def _mean_of_pairs(kernel: Tensor, counts: Tensor) -> Tensor:
    """(B,): the mean of a set's own kernel (N, N) over pairs of different images, these counted (B, N) times."""
    off_diagonal = kernel - torch.diag(kernel.diagonal())
    return ((counts @ off_diagonal) * counts).sum(1) / (counts.sum(1).square() - counts.square().sum(1))
