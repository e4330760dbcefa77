"""metrics/kernels.py: the MMD worked out by hand, against a plain loop, and what it says of equal and of different sets."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from cyclegan_hub.metrics import mmd


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_rows_each_by_hand() -> None:
    """Real 0 and 2 have mean 1 and deviation sqrt(2). Scaled, these are 2 / s apart, and 1 / s from the generated 1 and 1."""
    s = math.sqrt(2) + 1e-3
    width = (2 / s) ** 2  # the only pair of real rows
    own, others, across = 1.0, math.exp(-1), math.exp(-((1 / s) ** 2) / width)
    found = mmd(torch.tensor([[1.0], [1.0]]), torch.tensor([[0.0], [2.0]]))
    assert found == pytest.approx(own + others - 2 * across, rel=1e-9)


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


def test_equal_distributions_give_nothing_on_average_and_different_ones_more() -> None:
    same = [mmd(noise(40, 8, seed=2 * i), noise(40, 8, seed=2 * i + 1)) for i in range(60)]
    assert abs(statistics.mean(same)) < 4 * statistics.stdev(same) / len(same) ** 0.5
    assert min(same) < 0 < max(same)
    near, far = (mmd(noise(40, 8, seed=1) + shift, noise(40, 8)) for shift in (0.5, 2.0))
    assert max(same) < near < far < 2


def test_a_feature_that_strays_far_cannot_decide_alone() -> None:
    real, generated = noise(50, 100), noise(50, 100, seed=1)
    generated[:, 0] = 1e9
    assert mmd(generated, real) < 0.3


def test_what_has_no_width_is_named() -> None:
    with pytest.raises(ValueError, match="more than half of the pairs of rows are equal"):
        mmd(noise(3, 2), torch.ones(4, 2))
    with pytest.raises(ValueError, match="real has 1 row: an unbiased MMD needs at least 2"):
        mmd(noise(3, 2), noise(1, 2))
