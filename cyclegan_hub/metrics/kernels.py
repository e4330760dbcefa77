"""Kernel distances between two sets of features: KID, and the MMD with a Gaussian kernel, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan_hub.metrics.arrays import Features, distances, pair, standardised

_LEVEL = 0.95


@dataclass(frozen=True)
class KernelDistance:
    """KID over subsets: their mean and their population standard deviation. Neither is multiplied by 100 or 1,000."""

    mean: float
    spread: float


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 95 % bootstrap interval."""

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

        Pairs of an image with itself do not count, neither on the diagonal nor where it was sampled twice.
        """
        between = ((a @ self.between) * b).sum(1) / (a.sum(1) * b.sum(1))
        return _mean_of_pairs(self.generated, a) + _mean_of_pairs(self.real, b) - 2 * between

    def estimate(self) -> float:
        """With every image counted once."""
        once = (torch.ones(1, len(own), dtype=torch.float64) for own in (self.generated, self.real))
        return self.squared_mmd(*once).item()

    def interval(self, resamples: int, seed: int) -> Interval:
        """The estimate and its bootstrap interval: images are sampled with replacement from each set, seeded with `seed`.

        Raises ValueError for fewer than 2 resamples.
        """
        if resamples < 2:
            raise ValueError(f"resamples={resamples}: give at least 2")
        random = torch.Generator().manual_seed(seed)
        counts = [_bootstrap_counts(len(own), resamples, random) for own in (self.generated, self.real)]
        tail = (1 - _LEVEL) / 2
        low, high = torch.quantile(self.squared_mmd(*counts), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
        return Interval(self.estimate(), low, high)


def kid(generated: Features, real: Features, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> KernelDistance:
    """Kernel Inception distance: unbiased squared MMD with k(x, y) = (x.y / D + 1)³ (Bińkowski et al. 2018, section 4).

    It is taken over random subsets of `subset_size` rows of each set (N, D) and (M, D), without replacement, from a generator
    seeded with `seed` (generated first). Equal distributions give 0 on average whatever N is, hence values below 0. The spread
    shows how much a subset of this size varies, not how well the mean is known; it is 0 where a subset is everything.
    Raises ValueError as `arrays.pair` does, for fewer than `subset_size` rows, `subset_size` < 2 or `subsets` < 1.
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"subsets={subsets}, subset_size={subset_size}: give at least 1 subset of at least 2 rows")
    reason = f"KID with subset_size={subset_size} (pass a smaller one)"
    x, y = pair(generated, real, "real", (subset_size, subset_size), reason)
    random = torch.Generator().manual_seed(seed)
    values = []
    for _ in range(1 if subset_size == len(x) == len(y) else subsets):  # there is only one subset of everything
        a, b = (v[torch.randperm(len(v), generator=random)[:subset_size]] for v in (x, y))
        values.append(_polynomial(a, b).estimate())
    scores = torch.tensor(values, dtype=torch.float64)
    return KernelDistance(scores.mean().item(), scores.std(correction=0).item())


def kid_interval(generated: Features, real: Features, resamples: int = 1000, seed: int = 0) -> Interval:
    """`kid` of all rows at once, with a 95 % bootstrap interval.

    Raises ValueError as `arrays.pair` does, with at least 2 rows of each.
    """
    return _polynomial(*pair(generated, real, "real", (2, 2), "a distance between two images")).interval(resamples, seed)


def _polynomial(x: Tensor, y: Tensor) -> _Kernels:
    return _Kernels(*((a @ b.T / a.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))))


def mmd(generated: Features, real: Features) -> float:
    """Unbiased squared MMD (Gretton et al. 2012, lemma 6) with a Gaussian kernel, (N, D) and (M, D); not multiplied by 100.

    Each feature is shifted and scaled to mean 0 and deviation 1 over the real rows and cut to [-6, 6] (see `standardised`); then
    k(x, y) = exp(-|x - y|² / w), w the median of |x - y|² over the pairs of real rows. Equal distributions give 0 on average
    whatever N and M are, hence values slightly below 0; 2 is never exceeded by more than rounding. `real` decides scale and
    width, so the result is not symmetric. Raises ValueError as `arrays.pair` does (at least 2 rows of each), and where most
    pairs of real rows are equal.
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


def _bootstrap_counts(n: int, resamples: int, random: torch.Generator) -> Tensor:
    """(resamples, n): how often each of n images comes up in n samples with replacement."""
    chosen = torch.randint(n, (resamples, n), generator=random)
    return torch.zeros(resamples, n, dtype=torch.float64).scatter_add_(1, chosen, torch.ones(resamples, n, dtype=torch.float64))


def _mean_of_pairs(kernel: Tensor, counts: Tensor) -> Tensor:
    """(B,): the mean of a set's own kernel (N, N) over pairs of different images, these counted (B, N) times."""
    off_diagonal = kernel - torch.diag(kernel.diagonal())
    return ((counts @ off_diagonal) * counts).sum(1) / (counts.sum(1).square() - counts.square().sum(1))
