"""Bootstrap intervals and the content that is kept: against plain loops, and what they say of known cases."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cyclegan_hub.metrics import content_kept, kid, kid_interval, mmd, mmd_interval, standardised


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
    with pytest.raises(ValueError, match="resamples=1: give at least 2"):
        mmd_interval(x, y, resamples=1)


def test_content_kept_by_hand() -> None:
    """Inputs 0 and 2 in the one feature: a deviation of sqrt(2); outputs 1 and 2 have moved by 1 and 0, a pair is 2 apart."""
    found = content_kept(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]]))
    scale = 2**0.5 + 1e-3
    assert found.distance == pytest.approx(0.5 / scale) and found.share == pytest.approx(0.25)


def test_a_copy_keeps_everything_and_another_picture_nothing() -> None:
    x = noise(60, 5)
    assert content_kept(x, x).share == 0
    assert content_kept(x, x.roll(1, 0)).share == pytest.approx(1, abs=0.15)
    with pytest.raises(ValueError, match="60 inputs and 59 outputs"):
        content_kept(x, x[:59])
    with pytest.raises(ValueError, match="all inputs have the same features"):
        content_kept(torch.ones(3, 2), torch.ones(3, 2))


def test_standardised_by_the_real_ones_and_clipped() -> None:
    real = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    found = standardised(torch.tensor([[2.0, 5.0], [100.0, 4.0]]), real)
    assert found.tolist() == [[0.0, 0.0], [6.0, -6.0]]
