"""FID and MiFID against closed forms, hand-computed cases and torchmetrics; features that every metric refuses."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

from cyclegan_hub.metrics import arrays, fid, memorisation_distance, mifid
from support.features import noise


def with_moments(n: int, mean: Tensor, covariance: Tensor, seed: int = 0) -> Tensor:
    """n rows whose sample mean and unbiased covariance are exactly these."""
    q = torch.linalg.qr(noise(n, len(mean), seed=seed) - noise(n, len(mean), seed=seed).mean(0)).Q
    return mean + math.sqrt(n - 1) * q @ torch.linalg.cholesky(covariance).T


class Flatten(torch.nn.Module):
    """Features that are the images themselves: torchmetrics' stand-in for Inception."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def torchmetrics_score(metric: type, generated: Tensor, real: Tensor) -> float:
    score = metric(feature=Flatten(generated.shape[1])).set_dtype(torch.float64)
    for x, is_real in ((real, True), (generated, False)):
        score.update(x.reshape(len(x), -1, 1, 1), real=is_real)
    return score.compute().item()


# --- FID


def test_fid_of_gaussians_that_do_not_commute() -> None:
    """In two dimensions trace (S T)^(1/2) is sqrt(trace(S T) + 2 sqrt(det(S T)))."""
    s, t = torch.tensor([[4.0, 1.5], [1.5, 1.0]]).double(), torch.tensor([[1.0, -0.6], [-0.6, 2.0]]).double()
    root = math.sqrt((s @ t).trace() + 2 * math.sqrt(torch.linalg.det(s @ t)))
    expected = 25 + s.trace().item() + t.trace().item() - 2 * root
    mean = torch.tensor([3.0, 4.0]).double()
    assert fid(with_moments(30, mean, s), with_moments(50, 0 * mean, t, seed=1)) == pytest.approx(expected, rel=1e-12)


def test_fid_agrees_with_torchmetrics() -> None:
    x, y = noise(60, 8) * 2 + 1, noise(80, 8, seed=1) @ noise(8, 8, seed=2)
    assert fid(x, y) == pytest.approx(torchmetrics_score(FrechetInceptionDistance, x, y), rel=1e-9)


def test_fid_with_more_features_than_rows() -> None:
    """Sets in two planes at right angles in 500 dimensions: singular covariances whose product is 0."""
    x, y = torch.zeros(12, 500), torch.zeros(9, 500)
    x[:, :2], y[:, 2:4] = noise(12, 2), noise(9, 2, seed=1)
    expected = sum((v.mean(0).square().sum() + v.var(0).sum()).item() for v in (x.double(), y.double()))
    assert fid(x, y) == pytest.approx(expected, rel=1e-12)


def test_fid_of_a_scaled_copy_in_more_dimensions_than_rows() -> None:
    """y = 3 x has T = 9 S, so the traces leave (1 - 3)² trace S; a matrix root of the singular product would lose digits."""
    x = noise(15, 400)
    expected = 4 * (x.var(0).sum() + x.mean(0).square().sum()).item()
    assert fid(x, 3 * x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(50, 5), (2, 5), (10, 200)])
def test_fid_of_identical_sets_is_0(shape: tuple[int, int]) -> None:
    x = noise(*shape)
    assert 0 <= fid(x, x.flip(0)) < 1e-11


@pytest.mark.parametrize(
    "convert", [np.asarray, lambda x: x.float(), lambda x: x.numpy().astype(np.float16), Tensor.requires_grad_]
)
def test_numpy_and_torch_of_any_precision_give_a_plain_float(convert: Callable[[Tensor], arrays.Features]) -> None:
    x, y = (noise(20, 3, seed=s).half().double() for s in (0, 1))  # values that every one of these types holds exactly
    value = fid(convert(x.clone()), convert(y.clone()))
    assert type(value) is float
    assert value == fid(x, y)


# --- MiFID


# Directions in the plane at these angles: cosine distances are 1 - |cos(difference)|.
def at_angles(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], 1) * (1 + torch.arange(len(degrees)).unsqueeze(1))  # lengths do not count


def test_mifid_below_the_threshold_divides_by_the_distance_over_generated_rows() -> None:
    """Generated at 10°, 80° and 200° lie 10°, 10° and 20° from training at 0° and 90° (200° is the direction of 20°)."""
    generated, training = at_angles(10, 80, 200), at_angles(0, 90)
    d = 1 - (2 * math.cos(math.radians(10)) + math.cos(math.radians(20))) / 3
    assert d < 0.1
    assert memorisation_distance(generated, training) == pytest.approx(d, rel=1e-12)
    assert mifid(generated, training) == pytest.approx(fid(generated, training) / d, rel=1e-12)


def test_mifid_above_the_threshold_is_fid() -> None:
    """Generated at 45° and 20°: (1 - cos 45° + 1 - cos 20°) / 2 = 0.177."""
    generated, training = at_angles(45, 20), at_angles(0, 90)
    d = 1 - (math.sqrt(0.5) + math.cos(math.radians(20))) / 2
    assert memorisation_distance(generated, training) == pytest.approx(d, rel=1e-12)
    assert mifid(generated, training) == fid(generated, training)
    assert mifid(generated, training, threshold=0.2) == pytest.approx(fid(generated, training) / d, rel=1e-12)


def test_mifid_agrees_with_torchmetrics_with_the_sets_exchanged() -> None:
    """Then its mean over "real" rows is ours over generated ones, and FID is symmetric."""
    generated, training = noise(30, 6).abs() + 2, noise(40, 6, seed=1).abs() + 2
    assert memorisation_distance(generated, training) < 0.1
    theirs = torchmetrics_score(MemorizationInformedFrechetInceptionDistance, training, generated)
    assert mifid(generated, training) == pytest.approx(theirs, rel=1e-8)


def test_mifid_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, training = noise(30, 6), noise(40, 6, seed=1)
    whole = memorisation_distance(generated, training)
    monkeypatch.setattr(arrays, "BLOCK", 100)
    assert memorisation_distance(generated, training) == pytest.approx(whole, rel=1e-12)


def test_the_distance_of_copies_is_0() -> None:
    training = noise(20, 6)
    assert memorisation_distance(training[:5] * 3, training) == pytest.approx(0, abs=1e-12)
