"""augment.py against closed forms: slices, mirrored images, linear ramps, and the published DiffAugment index formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cyclegan_hub.data import balance
from cyclegan_hub.imaging import images
from cyclegan_hub.training import augment
from cyclegan_hub.training.augment import BatchAugment, balance_augment, diff_augment

POLICIES = ("color", "translation", "cutout")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _pixels(count: int, size: int, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)


def _places(count: int, height: int, width: int | None = None) -> Tensor:
    """uint8 images whose two channels are the row and the column of each pixel; square without a `width`."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width or height), indexing="ij")
    return torch.stack([rows, columns]).to(torch.uint8).repeat(count, 1, 1, 1)


def test_crop_is_a_slice_at_every_place_equally_often() -> None:
    count, load, size = 5000, 12, 8
    out = images.to_uint8(BatchAugment(image_size=size, load_size=load)({"a": _places(count, load), "b": _places(1, load)})["a"])
    tops, lefts = out[:, 0, 0, 0].long(), out[:, 1, 0, 0].long()
    expected = _places(1, size) + torch.stack([tops, lefts], dim=1)[:, :, None, None].to(torch.uint8)
    assert torch.equal(out, expected)
    seen = torch.bincount(tops * 5 + lefts, minlength=25)
    assert len(seen) == 25
    assert seen.min() > 140  # 200 of each are expected, with a standard deviation of 14
    assert seen.max() < 260


def test_flip_mirrors_about_half_of_the_samples_and_leaves_the_rest() -> None:
    x = _pixels(1, 8).expand(2000, 3, 8, 8)
    out = images.to_uint8(BatchAugment(image_size=8, flip=True)({"a": x, "b": x[:1]})["a"])
    same, mirrored = (out == x).flatten(1).all(1), (out == x.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 0.45 < mirrored.float().mean() < 0.55  # the standard deviation is 0.011


def test_only_copies_are_balanced() -> None:
    x = _pixels(6, 16)
    mask = torch.tensor([False, True, False, True, True, False])
    out = BatchAugment(image_size=16)({"a": x, "b": x, "a_copy": mask, "b_copy": torch.zeros(6, dtype=torch.bool)})
    plain = images.from_uint8(x)
    assert set(out) == {"a", "b"} and out["a"].dtype == torch.float32
    torch.testing.assert_close(plain, x / 127.5 - 1)
    assert torch.equal((out["a"] == plain).flatten(1).all(1), ~mask)
    assert torch.equal(out["b"], plain)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="load_size=8: must be at least image_size=16"):
        BatchAugment(image_size=16, load_size=8)
    right, wrong = _pixels(1, 18), _pixels(1, 16)
    with pytest.raises(ValueError, match=r"batch\['b'\] is torch.uint8 \(1, 3, 16, 16\): give uint8 \(B, C, 18, 18\)"):
        BatchAugment(image_size=16, load_size=18)({"a": right, "b": wrong})
    with pytest.raises(ValueError, match=r"batch\['a'\] is torch.float32"):
        BatchAugment(image_size=16)({"a": images.from_uint8(wrong), "b": wrong})


def _fix_draws(monkeypatch: pytest.MonkeyPatch, **extremes: float) -> None:
    """Every draw at the middle of its range, but for those named, which are shares (0 to 1) of theirs."""
    names = ("shift_x", "shift_y", "zoom_x", "zoom_y", "angle", "shear")

    def rand(*shape: int) -> Tensor:
        if shape[1:] == (6,):
            return torch.tensor([[extremes.get(name, 0.5) for name in names]]).expand(shape)
        return torch.full(shape, extremes.get("brightness" if len(shape) == 4 else "flip", 0.5))

    monkeypatch.setattr(augment.torch, "rand", rand)


_C, _S = math.cos(math.radians(30)), math.sin(math.radians(30))


@pytest.mark.parametrize(
    ("extremes", "inverse"),
    [
        ({"angle": 1.0}, [[_C, _S], [-_S, _C]]),
        ({"angle": 0.0}, [[_C, -_S], [_S, _C]]),
        ({"zoom_x": 1.0}, [[1 / 1.25, 0], [0, 1]]),
        ({"zoom_y": 0.0}, [[1, 0], [0, 1 / 0.75]]),
        ({"shear": 1.0}, [[1, 0.25], [0, 1]]),
        ({"flip": 0.0}, [[-1, 0], [0, 1]]),
    ],
)
def test_each_map_on_a_linear_ramp(
    monkeypatch: pytest.MonkeyPatch, extremes: dict[str, float], inverse: list[list[float]]
) -> None:
    """Bilinear sampling keeps linear images, so away from the edges the value is that of the point a pixel came from."""
    size = 33
    axis = (torch.arange(size) - (size - 1) / 2) / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    _fix_draws(monkeypatch, **extremes)
    out = balance_augment((0.7 * x + 0.4 * y)[None, None])[0, 0]
    (a, b), (c, d) = inverse
    expected = 0.7 * (a * x + b * y) + 0.4 * (c * x + d * y)
    inside = (x.abs() < 0.3) & (y.abs() < 0.3)
    torch.testing.assert_close(out[inside], expected[inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("share", "factor"), [(0.0, 0.8), (1.0, 1.2)])
def test_brightness_multiplies_values_from_0_to_1(monkeypatch: pytest.MonkeyPatch, share: float, factor: float) -> None:
    x = images.from_uint8(_pixels(1, 8))
    _fix_draws(monkeypatch, brightness=share)
    expected = ((x + 1) / 2 * factor).clamp(0, 1) * 2 - 1
    torch.testing.assert_close(balance_augment(x), expected, atol=1e-5, rtol=0)


def assert_fills(values: Tensor, low: float, high: float) -> None:
    """Uniform between two bounds."""
    margin = 0.01 * (high - low)
    assert low - 1e-4 <= values.min() < low + margin
    assert high - margin < values.max() <= high + 1e-4
    assert abs(values.mean() - (low + high) / 2) < 0.03 * (high - low)


def test_drawn_maps_fill_their_ranges() -> None:
    """Each matrix taken apart again: rotation times zoom times shear about the centre, then the shift."""
    height, width = 40, 60
    matrix = balance.random_affine(4000, height, width).double()
    centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    shift = (matrix[:, :, :2] @ centre + matrix[:, :, 2] - centre) / torch.tensor([width, height])
    zoom_x = matrix[:, :, 0].norm(dim=1)
    determinant = matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
    for i in (0, 1):
        assert_fills(shift[:, i], -0.15, 0.15)
    assert_fills(torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg(), -30, 30)
    assert_fills(zoom_x, 0.75, 1.25)
    assert_fills(determinant / zoom_x, 0.75, 1.25)
    assert_fills((matrix[:, :, 0] * matrix[:, :, 1]).sum(1) / zoom_x**2, -0.25, 0.25)  # the shear


def test_balance_brings_in_no_black_and_stays_in_range() -> None:
    bright = torch.full((200, 3, 12, 12), 0.9)
    out = balance_augment(bright)
    assert out.max() <= 1
    assert out.min() > 1.9 * 0.8 - 1 - 1e-4  # only the brightness acts on a plain image: nothing is filled with black
    noise = balance_augment(images.from_uint8(_pixels(50, 12)))
    assert noise.abs().max() <= 1
    assert balance_augment(noise[:0]).shape == (0, 3, 12, 12)


@pytest.mark.parametrize("function", [balance_augment, lambda x: diff_augment(x, POLICIES)])
def test_precision_changes_no_draw(function: Callable[[Tensor], Tensor]) -> None:
    x = images.from_uint8(_pixels(3, 16))
    torch.manual_seed(5)
    exact, state = function(x), torch.get_rng_state()
    torch.manual_seed(5)
    rough = function(x.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(rough.float(), exact, atol=0.1, rtol=0)


def test_no_policy_and_an_unknown_one_draw_nothing() -> None:
    x, state = torch.rand(1, 3, 8, 8), torch.get_rng_state()
    assert diff_augment(x, ()) is x
    with pytest.raises(ValueError, match="no DiffAugment policy 'colour'; policies: color, translation, cutout"):
        diff_augment(x, ("translation", "colour"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("policy", [("color",), ("translation",), ("cutout",)])
def test_gradients_agree_with_finite_differences(policy: tuple[str, ...]) -> None:
    def repeatable(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return diff_augment(x, policy)

    x = torch.rand(2, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    assert torch.autograd.gradcheck(repeatable, x)


def test_translation_moves_every_sample_by_up_to_an_eighth_and_fills_zeros() -> None:
    height, width, count = 16, 24, 3000
    x = _places(count, height, width).float() + 1  # no zero of its own
    out = diff_augment(x, ("translation",))
    down = (x[:, 0, 8, 8] - out[:, 0, 8, 8]).long()
    right = (x[:, 1, 8, 8] - out[:, 1, 8, 8]).long()
    rows, columns = torch.arange(height) - down[:, None], torch.arange(width) - right[:, None]
    kept = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    expected = torch.stack([(rows + 1)[:, :, None].expand_as(kept), (columns + 1)[:, None, :].expand_as(kept)], dim=1)
    assert torch.equal(out, expected * kept[:, None])
    seen = torch.bincount((down + 2) * 7 + right + 3, minlength=35)
    assert len(seen) == 35  # 2 px up to 2 px down, 3 px left to 3 px right
    assert seen.min() > 50  # 86 of each are expected, with a standard deviation of 9
    assert seen.max() < 125


@pytest.mark.parametrize("size", [8, 9, 10])
def test_cutout_hides_what_the_papers_formula_hides(size: int) -> None:
    out = diff_augment(torch.ones(3000, 2, size, size), ("cutout",))
    assert torch.equal(out[:, 0], out[:, 1])
    hidden = out[:, 0] == 0
    rows, columns = hidden.any(2), hidden.any(1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None, :])
    length = size // 2
    # From DiffAugment_pytorch.py: clamp(arange(length) + offset - length // 2, 0, size - 1)
    allowed = {
        tuple(sorted({min(max(i + offset - length // 2, 0), size - 1) for i in range(length)}))
        for offset in range(size + 1 - length % 2)
    }
    for masks in (rows, columns):
        assert {tuple(mask.nonzero().flatten().tolist()) for mask in masks} == allowed


def test_color_is_brightness_then_saturation_then_contrast_within_their_ranges() -> None:
    x = torch.rand(2000, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    out = diff_augment(x, ("color",))
    brightness = out.mean((1, 2, 3)) - x.mean((1, 2, 3))
    grey, grey_out = x.mean(1), out.mean(1)
    contrast = _ratio(grey_out - grey_out.mean((1, 2), keepdim=True), grey - grey.mean((1, 2), keepdim=True))
    saturation = _ratio(out - grey_out[:, None], x - grey[:, None]) / contrast
    for values, low, high in ((brightness, -0.5, 0.5), (saturation, 0, 2), (contrast, 0.5, 1.5)):
        assert_fills(values, low, high)


def _ratio(y: Tensor, x: Tensor) -> Tensor:
    """The one factor of each sample that makes y out of x, checked to be one."""
    factor = (y * x).flatten(1).sum(1) / (x * x).flatten(1).sum(1)
    torch.testing.assert_close(factor.view(-1, *[1] * (x.ndim - 1)) * x, y)
    return factor


def _whole(x: Tensor, copies: Tensor | None = None) -> Tensor:
    """uint8 (B, C, 18, 18) through jitter, flip, balancing and every DiffAugment policy."""
    batch = {"a": x} | ({} if copies is None else {"a_copy": copies})
    return diff_augment(BatchAugment(image_size=16, load_size=18, flip=True)(batch)["a"], POLICIES)


def test_draws_come_from_the_cpu_whatever_the_device() -> None:
    """On the meta device, which computes nothing, a generator of the device's own would leave the CPU's untouched."""
    x = _pixels(3, 18, channels=1)
    _whole(x)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert _whole(x.to("meta")).shape == (3, 1, 16, 16)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree() -> None:
    x, mask = _pixels(4, 18), torch.tensor([True, False, True, True])
    expected = _whole(x, mask)
    torch.manual_seed(0)
    torch.testing.assert_close(_whole(x.cuda(), mask.cuda()).cpu(), expected, atol=1e-3, rtol=0)
