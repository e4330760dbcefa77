"""projected.py: gradients reach the image and never the frozen network; one scale for all levels."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from cyclegan_hub.models.discriminators import PatchDiscriminator
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.generators import init_weights
from cyclegan_hub.models.projected import JointDiscriminator, ProjectedDiscriminator
from cyclegan_hub.models.translate import evaluating

NETWORK = EfficientNetLite()


def images(*shape: int, seed: int = 0) -> Tensor:
    """Smooth pictures (N, C, H, W) in [-1, 1]."""
    x = torch.randn(*shape[:2], 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(x, size=shape[2:], mode="bicubic").clamp(-1, 1)


def make(channels: int = 3, seed: int = 0) -> ProjectedDiscriminator:
    torch.manual_seed(seed)
    return ProjectedDiscriminator(NETWORK, channels, mixed=8, seed=seed)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 1, 64, 96), (1, 3, 130, 150)])
@torch.no_grad()
def test_four_maps_of_logits(shape: tuple[int, ...]) -> None:
    x, d = images(*shape), make(shape[1]).eval()
    logits = d(x)
    assert len(logits) == 4
    for one, two in zip(logits, d(x.expand(-1, 3, -1, -1)), strict=True):  # grey is shown in three channels
        torch.testing.assert_close(one, two)
    assert all(y.shape[:2] == (shape[0], 1) and torch.isfinite(y).all() for y in logits)
    sides = [y.shape[3] * pixels for y, pixels in zip(logits, (16, 16, 16, 32), strict=True)]  # px that a logit stands for
    assert all(abs(side - max(128 * shape[3] / min(shape[2:]), shape[3])) <= 32 for side in sides)


def test_gradients_reach_the_image_and_the_judges_but_not_the_frozen_network() -> None:
    d = make()
    x = images(1, 3, 64, 64).requires_grad_()
    sum(y.mean() for y in d(x)).backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for name, p in d.named_parameters() if "weight" in name)
    assert all(p.grad is None and not p.requires_grad for p in NETWORK.parameters())


def test_the_frozen_network_is_in_no_list_but_moves_along() -> None:
    network = copy.deepcopy(NETWORK)
    d = ProjectedDiscriminator(network, mixed=8)
    own = sum(p.numel() for p in d.parameters())
    assert own == sum(p.numel() for p in d.judges.parameters()) < sum(p.numel() for p in network.parameters())
    assert not any("stem" in name or "blocks" in name for name in d.state_dict())
    d.to(torch.float64)
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    assert d(images(1, 3, 32, 32).double())[0].dtype == torch.float64


def test_calibrated_levels_have_unit_deviation_and_the_state_keeps_them() -> None:
    d, x = make(), images(4, 3, 64, 64)
    before = [y.std().item() for y in d._across(x)]
    assert min(before) > 1.5 or max(before) < 0.7  # there is something to do
    d.calibrate(x)
    for scale, y in zip(d.scales, d._across(x), strict=True):
        assert (scale * y).std(correction=0).item() == pytest.approx(1, rel=1e-3)
    other = make(seed=1)
    assert torch.equal(make(seed=1).get_buffer("blend_3"), other.get_buffer("blend_3"))  # projections follow their seed
    with torch.no_grad(), evaluating(d), evaluating(other):
        assert not torch.equal(d(x)[0], other(x)[0])
        other.load_state_dict(d.state_dict(), strict=True)
        assert all(torch.equal(one, two) for one, two in zip(d(x), other(x), strict=True))  # and came along


def test_judging_in_evaluation_mode_changes_nothing() -> None:
    d, x = make(), images(1, 3, 64, 64)
    before = copy.deepcopy(d.state_dict())
    with torch.no_grad(), evaluating(d):
        d(x)
    assert all(torch.equal(value, before[name]) for name, value in d.state_dict().items())
    assert d.training
    with torch.no_grad():
        d(x)  # in training, spectral norm moves its vectors
    assert any(not torch.equal(value, before[name]) for name, value in d.state_dict().items())


def test_too_small_an_image_and_odd_channels_are_one_line() -> None:
    with pytest.raises(ValueError, match="an image of 64x16 px is too small for projected discriminators: 32 at least"):
        make()(torch.zeros(1, 3, 16, 64))
    with pytest.raises(ValueError, match="channels=2: must be 1 or 3"):
        make(2)


@torch.no_grad()
def test_both_kinds_judge_side_by_side_and_fresh_weights_leave_what_spectral_norm_computes() -> None:
    joint, x = JointDiscriminator(make(), PatchDiscriminator(3, (4, 8), scales=2)), images(1, 3, 64, 64)
    joint.calibrate(x)
    before = copy.deepcopy(joint.projected.state_dict())
    init_weights(joint.eval(), std=0.5)
    assert all(torch.equal(value, before[name]) for name, value in joint.projected.state_dict().items())
    assert joint.patch.scales[0][0].weight.std() > 0.3
    for one, two in zip(joint(x), (*joint.projected(x), *joint.patch(x)), strict=True):
        torch.testing.assert_close(one, two)
