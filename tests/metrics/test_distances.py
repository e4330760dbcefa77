"""FID and MiFID against closed forms, hand-computed cases and torchmetrics."""

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


def test_fid_agrees_with_torchmetrics() -> None:
    x, y = noise(60, 8) * 2 + 1, noise(80, 8, seed=1) @ noise(8, 8, seed=2)
    assert fid(x, y) == pytest.approx(torchmetrics_score(FrechetInceptionDistance, x, y), rel=1e-9)


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
