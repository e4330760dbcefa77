"""MMD and KID by plain loops, on equal and different distributions; their bootstrap intervals."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan_hub.metrics import kid, kid_interval, mmd, mmd_interval
from support.features import noise

# --- MMD


def test_it_is_the_plain_loop() -> None:
    real, generated = noise(13, 5) * torch.tensor([1.0, 9.0, 0.1, 0.0, 1e-4]) + 3, noise(9, 5, seed=1) * 4
    mean, deviation = real.mean(0), real.std(0)
    a, b = (
        [[max(-6.0, min(6.0, v)) for v in row] for row in ((x - mean) / (deviation + 1e-3)).tolist()] for x in (generated, real)
    )

    def square(x: list[float], y: list[float]) -> float:
        return sum((p - q) ** 2 for p, q in zip(x, y, strict=True))

    width = statistics.median_low(
        square(x, y) for i, x in enumerate(b) for y in b[i + 1 :]
    )  # 78 pairs: of an even number torch takes the lower

    def k(x: list[float], y: list[float]) -> float:
        return math.exp(-square(x, y) / width)

    def own(rows: list[list[float]]) -> float:
        return statistics.mean(k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j)

    expected = own(a) + own(b) - 2 * statistics.mean(k(x, y) for x in a for y in b)
    assert mmd(generated, real) == pytest.approx(expected, rel=1e-9)
    assert mmd(generated.float().numpy(), real) == pytest.approx(expected, rel=1e-5)


def test_a_feature_that_strays_far_cannot_decide_alone() -> None:
    real, generated = noise(50, 100), noise(50, 100, seed=1)
    generated[:, 0] = 1e9
    assert mmd(generated, real) < 0.3


# --- KID


def direct_kid(x: Tensor, y: Tensor) -> float:
    def k(a: Tensor, b: Tensor) -> float:
        return (sum(float(s) * float(t) for s, t in zip(a, b, strict=True)) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    own = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    others = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + others - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_over_subsets_is_their_mean_and_spread() -> None:
    x, y = noise(9, 3), noise(14, 3, seed=1) + 1
    random, values = torch.Generator().manual_seed(5), []
    for _ in range(4):
        a = x[torch.randperm(9, generator=random)[:6]]
        values.append(direct_kid(a, y[torch.randperm(14, generator=random)[:6]]))
    result = kid(x, y, subsets=4, subset_size=6, seed=5)
    assert (result.mean, result.spread) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))
    assert result == kid(x, y, subsets=4, subset_size=6, seed=5)
    assert result != kid(x, y, subsets=4, subset_size=6, seed=6)


@pytest.mark.parametrize("shape", [(12, 4), (2, 3), (7, 30)])
def test_kid_of_everything_is_the_double_loop_and_has_no_spread(shape: tuple[int, int]) -> None:
    x, y = noise(*shape), noise(*shape, seed=1) + 0.5
    result = kid(x, y, subsets=50, subset_size=len(x))
    assert (result.mean, result.spread) == (pytest.approx(direct_kid(x, y), rel=1e-10), 0)


# --- intervals


def test_the_middle_is_the_estimate() -> None:
    x, y = noise(40, 6), noise(40, 6, seed=1) + 0.5
    found = mmd_interval(x, y)
    assert found.value == mmd(x, y) and found.low < found.value < found.high
    plain = kid_interval(x, y)
    assert plain.value == pytest.approx(kid(x, y, subset_size=40).mean, rel=1e-9) and plain.low < plain.value < plain.high


def test_images_drawn_twice_make_no_pairs_with_themselves() -> None:
    """Else equal distributions, whose estimate is 0 on average, would have intervals well above 0."""
    hits = [mmd_interval(noise(50, 8, seed=2 * i), noise(50, 8, seed=2 * i + 1), resamples=200) for i in range(20)]
    assert sum(found.low <= 0 <= found.high for found in hits) >= 16
    assert all(found.low < found.value < found.high for found in hits)


def test_more_images_say_it_more_exactly_and_a_seed_repeats() -> None:
    few, many = (mmd_interval(noise(n, 4), noise(n, 4, seed=1) + 1, resamples=300) for n in (20, 200))
    assert many.high - many.low < (few.high - few.low) / 2
    x, y = noise(20, 4), noise(20, 4, seed=1)
    assert mmd_interval(x, y, seed=3) == mmd_interval(x, y, seed=3) != mmd_interval(x, y, seed=4)
