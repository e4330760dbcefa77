"""discriminators.py: sizes of the patch maps, the layers, and the 70 pixels that a patch is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cyclegan_hub.models.discriminators import MinibatchDeviation, PatchDiscriminator
from cyclegan_hub.models.generators import InstanceNorm2d
from support.small_generators import batch


@pytest.mark.parametrize("widths, last_stride, size, expected", [
    ((2, 4, 8, 16), 1, (256, 256), (30, 30)),  # Isola et al. 2017: 30 x 30 patches of 70 x 70 px
    ((2, 4, 8), 2, (64, 128), (7, 15)),
    ((2, 4, 8), 1, (64, 64), (14, 14)),
])  # fmt: skip
def test_size_of_the_patch_map(widths: tuple[int, ...], last_stride: int, size: tuple[int, ...], expected: tuple) -> None:
    (logits,) = PatchDiscriminator(1, widths, last_stride)(batch(2, 1, *size))
    assert logits.shape == (2, 1, *expected)


@pytest.mark.parametrize("widths, last_stride", [((64, 128, 256, 512), 1), ((64, 128, 256), 2)])
def test_layers_are_the_papers(widths: tuple[int, ...], last_stride: int) -> None:
    found: list[tuple] = []
    for layer in PatchDiscriminator(3, widths, last_stride).scales[0]:
        match layer:
            case nn.Conv2d():
                found.append((layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.bias is not None))
            case InstanceNorm2d():
                found.append(("norm", layer.weight.numel()))
            case nn.LeakyReLU():
                found.append(("leaky", layer.negative_slope))
            case _:
                found.append((type(layer).__name__,))
    expected: list[tuple] = []
    for i, width in enumerate(widths):
        stride = last_stride if i == len(widths) - 1 else 2
        expected += [((3, *widths)[i], width, (4, 4), (stride, stride), i == 0)]
        expected += [("norm", width)] if i else []  # "we do not use InstanceNorm for the first layer" (Zhu et al. 2017, 7.2)
        expected += [("leaky", 0.2)]
    assert found == [*expected, (widths[-1], 1, (4, 4), (1, 1), True)]


def test_each_logit_judges_70_pixels() -> None:
    """Zhu et al. 2017, section 4. Without the norms, whose statistics reach over the whole image."""
    layers = PatchDiscriminator(widths=(2, 2, 2, 2)).scales[0]
    patches = nn.Sequential(*(layer for layer in layers if not isinstance(layer, InstanceNorm2d)))
    x = batch(1, 3, 128, 128).requires_grad_()
    logits = patches(x)
    (gradient,) = torch.autograd.grad(logits[0, 0, 7, 7], x)
    rows, columns = gradient.abs().sum((0, 1)).nonzero().unbind(1)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (70, 70)


def test_a_further_scale_sees_the_image_at_half_the_size() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(widths=(4, 8), scales=2)
    x = batch(2, 3, 32, 48)
    one, two = network(x)
    assert one.shape == (2, 1, 14, 22) and two.shape == (2, 1, 6, 10)
    torch.testing.assert_close(one, network.scales[0](x))
    # A 3x3 mean, of which a pixel beyond the border is no part.
    window = torch.ones(3, 1, 3, 3)
    total, count = (F.conv2d(v, window, stride=2, padding=1, groups=3) for v in (x, torch.ones_like(x)))
    torch.testing.assert_close(two, network.scales[1](total / count), rtol=1e-4, atol=1e-5)
    assert not torch.equal(network.scales[0][0].weight, network.scales[1][0].weight)
    assert len(PatchDiscriminator(widths=(4, 8), scales=3)(x)) == 3


def test_the_deviation_of_a_batch_is_one_more_channel() -> None:
    """Karras et al. 2018, section 3: over the batch, for each feature and place; then the mean of all of them."""
    x = torch.stack([torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)])
    x[1, 0] = 2.0  # half of all features deviate by 1
    y = MinibatchDeviation()(x)
    assert y.shape == (2, 3, 3, 4) and torch.equal(y[:, :2], x)
    torch.testing.assert_close(y[:, 2], torch.full((2, 3, 4), 0.5), rtol=0, atol=1e-3)
    assert MinibatchDeviation()(x.bfloat16()).dtype == torch.bfloat16
    one = x[:1].clone().requires_grad_()
    alone = MinibatchDeviation()(one)
    assert alone[:, 2].abs().max() < 1e-3
    (gradient,) = torch.autograd.grad(alone.sum(), one)  # of a root at 0 it would not be finite
    assert gradient.isfinite().all()


def test_logits_see_how_much_a_batch_differs_with_deviation_alone() -> None:
    torch.manual_seed(0)
    network, plain = PatchDiscriminator(widths=(4, 8), scales=2, deviation=True), PatchDiscriminator(widths=(4, 8), scales=2)
    x = batch(4, 3, 32, 32)
    same = x[:1].expand(4, -1, -1, -1)
    for one, other in zip(network(x), network(same), strict=True):
        assert not torch.allclose(one[0], other[0], rtol=1e-3, atol=1e-3)
    for one, other in zip(plain(x), plain(same), strict=True):  # of each image alone
        torch.testing.assert_close(one[0], other[0], rtol=1e-4, atol=1e-4)
    assert network.scales[0][-1].in_channels == plain.scales[0][-1].in_channels + 1
