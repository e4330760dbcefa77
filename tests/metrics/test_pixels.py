"""Similarity of images, against NumPy and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from cyclegan_hub.metrics import colour_correlation, pixels, similarity
from cyclegan_hub.training.losses import correlation


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("shape", [(3, 3, 20, 24), (1, 1, 11, 11)])
def test_similarity_is_the_libraries_mean_over_images(shape: tuple[int, ...]) -> None:
    x = images(*shape)
    y = (x + 0.3 * images(*shape, seed=1)).clamp(-1, 1)
    result = similarity(x, y)
    a, b = (x.double() + 1) / 2, (y.double() + 1) / 2
    assert result.l1 == pytest.approx((x.double() - y.double()).abs().mean().item(), rel=1e-12)
    assert result.psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1.0, dim=(1, 2, 3)).item(), rel=1e-6)
    assert result.ssim == pytest.approx(structural_similarity_index_measure(a, b, data_range=1.0).item(), rel=1e-9)


def test_equal_images() -> None:
    x = images(2, 3, 16, 16)
    result = similarity(x, x)
    assert (result.l1, result.psnr, result.ssim) == (0, math.inf, pytest.approx(1, rel=1e-12))


def test_ssim_keeps_its_digits_where_float32_loses_them() -> None:
    """On smooth images, whose variances are tiny beside their squared means."""
    ramp = torch.linspace(0.8, 0.81, 32).expand(1, 3, 32, 32).double()
    y = ramp - 0.01
    exact, single = (structural_similarity_index_measure(a, b, data_range=1.0).item() for a, b in _unit_pairs(ramp, y))
    assert similarity(ramp, y).ssim == pytest.approx(exact, rel=1e-9)
    assert single != pytest.approx(exact, rel=1e-5)


def _unit_pairs(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    a, b = (x + 1) / 2, (y + 1) / 2
    return (a, b), (a.float(), b.float())


def test_correlation_is_pearson_s_and_that_of_the_training_loss() -> None:
    x, y = images(4, 3, 8, 9), images(4, 3, 8, 9, seed=1)
    y[2:] = -0.5 * x[2:]
    expected = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(x.double(), y.double(), strict=True)]
    result = colour_correlation(x, y)
    assert result.mean == pytest.approx(np.mean(expected), rel=1e-6)
    assert result.mean == pytest.approx(correlation(x, y).item(), abs=1e-6)
    assert result.inverted == np.mean(np.array(expected) < 0) >= 0.5


@pytest.mark.parametrize(("factor", "mean", "inverted"), [(0.5, 1, 0), (-1, -1, 1), (0, 0, 0)])
def test_correlation_of_an_image_and_its_negative(factor: float, mean: float, inverted: float) -> None:
    x = images(2, 3, 4, 4)
    result = colour_correlation(x, factor * x)
    assert (result.mean, result.inverted) == (pytest.approx(mean, abs=1e-9), inverted)


def test_a_flat_image_with_rounding_noise_still_counts_as_flat() -> None:
    x = (0.1 + 1e-6 * images(1, 3, 7, 5)).double()
    assert abs(colour_correlation(x, x).mean) < 1e-3


@pytest.mark.parametrize("measure", [similarity, colour_correlation])
def test_results_do_not_depend_on_blocks_nor_precision(monkeypatch: pytest.MonkeyPatch, measure: object) -> None:
    assert callable(measure)
    x, y = (images(5, 3, 12, 12, seed=s).bfloat16() for s in (0, 1))
    once = measure(x, y)
    monkeypatch.setattr(pixels, "_BLOCK", 900)  # two images
    again = measure(x.double().requires_grad_(), y.double())
    for name in vars(once):
        assert type(getattr(once, name)) is float
        assert getattr(again, name) == pytest.approx(getattr(once, name), abs=1e-6)
