"""Losses against torch's and NumPy's own functions, closed forms, and the image pool's statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from cyclegan_hub.training.losses import ImagePool, auc, correlation, discriminator_loss, generator_loss, mean_score
from cyclegan_hub.training.run_folder import pack, unpack


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- adversarial losses


@pytest.mark.parametrize("real", [True, False])
def test_losses_are_torchs_own(real: bool) -> None:
    x = noise(3, 1, 5, 4)
    target = torch.full_like(x, float(real))
    torch.testing.assert_close(discriminator_loss("lsgan", (x,), real), F.mse_loss(x, target))
    torch.testing.assert_close(discriminator_loss("bce", (x,), real), F.binary_cross_entropy(torch.sigmoid(x), target))


def test_bce_of_a_certain_mistake_is_finite() -> None:
    logit = torch.tensor([[[[-200.0]]]], requires_grad=True)
    loss = discriminator_loss("bce", (logit,), True)
    loss.backward()
    assert (loss.item(), logit.grad.item()) == (200.0, -1.0)  # a sigmoid would have rounded to 0, and its logarithm be infinite


@pytest.mark.parametrize("kind", ["lsgan", "bce"])
@pytest.mark.parametrize("real", [True, False])
def test_scales_count_alike_whatever_their_sizes(kind: str, real: bool) -> None:
    maps = (noise(2, 1, 8, 8), noise(2, 1, 3, 3, seed=1) + 2)
    each = [discriminator_loss(kind, (x,), real) for x in maps]
    torch.testing.assert_close(discriminator_loss(kind, maps, real), (each[0] + each[1]) / 2)
    torch.testing.assert_close(mean_score(kind, maps), (mean_score(kind, maps[:1]) + mean_score(kind, maps[1:])) / 2)


@pytest.mark.parametrize("kind", ["lsgan", "bce", "hinge"])
def test_losses_of_half_precision_are_fp32(kind: str) -> None:
    x = noise(2, 1, 30, 30).bfloat16()
    loss = discriminator_loss(kind, (x,), True)
    assert loss.dtype == mean_score(kind, (x,)).dtype == torch.float32 and loss.shape == ()
    torch.testing.assert_close(loss, discriminator_loss(kind, (x.float(),), True))


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="adversarial='wgan': must be one of lsgan, bce, hinge"):
        discriminator_loss("wgan", (noise(1, 1, 2, 2),), True)


def test_hinge_by_hand() -> None:
    """Worked out: max(0, 1 - x) of 3, 0.5, -2 and max(0, 1 + x) of the same; a mean over the scales, not over all numbers."""
    x, y = torch.tensor([[[[3.0, 0.5, -2.0]]]]), torch.tensor([[[[4.0]]]])
    assert discriminator_loss("hinge", (x,), True).item() == pytest.approx((0 + 0.5 + 3) / 3)
    assert discriminator_loss("hinge", (x,), False).item() == pytest.approx((4 + 1.5 + 0) / 3)
    assert discriminator_loss("hinge", (x, y), False).item() == pytest.approx((5.5 / 3 + 5) / 2)
    assert generator_loss("hinge", (x, y)).item() == pytest.approx(-(1.5 / 3 + 4) / 2)
    assert mean_score("hinge", (x,)).item() == pytest.approx((0.5 + 1) / 2)


def test_generator_loss_and_mean_score() -> None:
    x = noise(2, 1, 4, 4)
    for kind, score in (("lsgan", x.mean()), ("bce", torch.sigmoid(x).mean())):
        torch.testing.assert_close(generator_loss(kind, (x,)), discriminator_loss(kind, (x,), True))
        torch.testing.assert_close(mean_score(kind, (x,)), score)


# --- correlation


@pytest.mark.parametrize("channels", [1, 3])
def test_correlation_is_numpys(channels: int) -> None:
    x = noise(3, channels, 6, 7)
    y = 0.6 * x + noise(3, channels, 6, 7, seed=1)
    expected = np.mean([np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(x.numpy(), y.numpy(), strict=True)])
    assert 0.2 < expected < 0.9
    assert correlation(x, y).item() == pytest.approx(expected, abs=1e-6)
    assert correlation(x.bfloat16(), y.bfloat16()).item() == pytest.approx(expected, abs=0.01)


def test_correlation_of_an_image_with_itself_and_its_negative() -> None:
    x = noise(2, 3, 8, 8).clamp(-1, 1)
    for y, expected in ((x, 1.0), (-x, -1.0), (0.1 * x + 0.5, 1.0), (0.3 - 2 * x, -1.0)):
        assert correlation(x, y).item() == pytest.approx(expected, abs=1e-5)
    assert correlation(x, torch.cat([x[:1], -x[1:]])).item() == pytest.approx(0.0, abs=1e-5)  # a mean over the batch


@pytest.mark.parametrize("value", [0.1, -0.7, 1.0])
def test_correlation_with_a_constant_image_is_0(value: float) -> None:
    """Also of two of them, of which rounding may leave something that points the same way everywhere."""
    constant = torch.full((1, 3, 100, 100), value)
    for other in (noise(1, 3, 100, 100), constant, 0.3 * constant):
        assert correlation(constant, other).item() == pytest.approx(0.0, abs=1e-3)


def test_correlation_of_the_faintest_picture_counts() -> None:
    """One pixel that is one of 255 levels brighter."""
    x = torch.zeros(1, 3, 64, 64)
    x[0, 0, 3, 5] = 2 / 255
    assert correlation(x, -x).item() == pytest.approx(-1.0, abs=1e-3)


# --- the image pool


def numbered(*numbers: int) -> Tensor:
    """A batch (N, 1, 2, 2) of images that say their number."""
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def numbers(images: Tensor) -> list[int]:
    assert (images == images[:, :, :1, :1]).all()
    return [int(n) for n in images[:, 0, 0, 0]]


def test_pool_of_size_0_passes_images_through() -> None:
    pool = ImagePool(0)
    for i in range(5):
        x = numbered(i).requires_grad_()
        y = pool.query(x)
        assert numbers(y) == [i] and not y.requires_grad
    assert pool.state_dict() == {}


def test_pool_swaps_half_of_the_images_for_any_it_holds() -> None:
    torch.manual_seed(0)
    pool, size, queries = ImagePool(8), 8, 1000
    assert numbers(pool.query(numbered(*range(size)))) == [*range(size)]  # first it fills
    seen, places = set(range(size)), [0] * size
    swaps = 0
    for i in range(size, size + queries):
        held = numbers(pool.state_dict()["images"])
        (shown,) = numbers(pool.query(numbered(i)))
        seen.add(i)
        assert shown in seen
        if shown != i:
            swaps += 1
            place = held.index(shown)  # what was held goes out, and the new image takes its place
            places[place] += 1
            assert numbers(pool.state_dict()["images"]) == [*held[:place], i, *held[place + 1 :]]
        else:
            assert numbers(pool.state_dict()["images"]) == held
    assert abs(swaps / queries - 0.5) < 5 * 0.5 / queries**0.5
    expected = swaps / size
    assert max(abs(count - expected) for count in places) < 5 * expected**0.5


def test_pool_is_untouched_by_what_happens_to_its_images() -> None:
    torch.manual_seed(0)
    pool, given = ImagePool(2), set()
    for i in range(1, 40, 2):  # first it fills, then it swaps
        x = numbered(i, i + 1).requires_grad_()
        given |= {i, i + 1}
        shown = pool.query(x)
        assert not shown.requires_grad and set(numbers(shown)) <= given
        shown.fill_(-9.0)  # what a caller does to a batch afterwards
        x.detach().fill_(-8.0)
        assert set(numbers(pool.state_dict()["images"])) <= given
    assert numbers(pool.state_dict()["images"]) != [1, 2]


def test_a_resumed_pool_continues_as_the_other_would(tmp_path: Path) -> None:
    torch.manual_seed(1)
    pool, other = ImagePool(4), ImagePool(4)
    for i in range(10):
        pool.query(numbered(i))
    for held in ({}, pool.state_dict()):  # an empty pool, too
        (tmp_path / "pool").write_bytes(pack(held))
        other.load_state_dict(unpack(tmp_path / "pool"))
        assert other.state_dict().keys() == held.keys()
    drawn = []
    for one in (pool, other):
        torch.manual_seed(2)
        drawn.append([numbers(one.query(numbered(i, i + 1))) for i in range(10, 40, 2)])
    assert drawn[0] == drawn[1] and drawn[0] != [[i, i + 1] for i in range(10, 40, 2)]
    assert torch.equal(pool.state_dict()["images"], other.state_dict()["images"])


# --- the discriminator's AUC
def test_auc_is_that_of_torchmetrics() -> None:
    real, fake = noise(40, 1, 3, 3) + 0.3, noise(30, 1, 3, 3)
    scores = torch.cat([real, fake]).mean((1, 2, 3))
    expected = binary_auroc(scores, torch.tensor([1] * 40 + [0] * 30))
    torch.testing.assert_close(auc((real,), (fake,)), expected)


def test_auc_of_one_image_a_step_averages_to_that_of_all() -> None:
    """At batch 1 a step says which of two images got the higher logit: 1, 0, or 1/2 for a tie."""
    one, two = torch.full((1, 1, 2, 2), 0.1), torch.full((1, 1, 2, 2), 0.2)
    assert [auc((x,), (y,)).item() for x, y in ((two, one), (one, two), (one, one))] == [1, 0, 0.5]
    assert auc((one, two), (two, one)).item() == 0.5  # the mean of both scales
