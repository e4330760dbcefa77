"""generators.py: what holds for both kinds, the global skip and fresh weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cyclegan_hub.models.generators import InstanceNorm2d, ResNetGenerator, build_generator, init_weights
from support.small_generators import assert_all_close, batch, built

# --- what holds for both

SMALL = [("resnet", {}), ("resnet", {"upsample": "transpose", "padding": "zeros", "channels": 1}), ("unet", {"blocks": 3})]


@pytest.mark.parametrize("kind, changes", SMALL, ids=str)
@pytest.mark.parametrize("units", [(1, 1), (2, 3), (5, 1)])
def test_images_in_images_out(kind: str, changes: dict, units: tuple[int, int]) -> None:
    network = built(kind, **changes)
    side = max(8, network.multiple)
    x = batch(2, changes.get("channels", 3), *(side * unit for unit in units))
    y = network(x)
    assert y.shape == x.shape and y.dtype == x.dtype
    with torch.no_grad():  # an output layer 1,000 times as strong reaches the bounds and does not pass them
        for p in list(network.parameters())[-2:]:
            p.mul_(1000.0)
        y = network(x)
    assert y.abs().max() <= 1 and y.min() < -0.99 and y.max() > 0.99


@pytest.mark.parametrize("kind, changes", SMALL, ids=str)
def test_each_image_is_translated_by_itself(kind: str, changes: dict) -> None:
    network = built(kind, **changes)
    x = batch(2, changes.get("channels", 3), 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(x), torch.cat([network(x[:1]), network(x[1:])]), rtol=0, atol=1e-4)  # of [-1, 1]


@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_dropout_acts_in_training_only(kind: str) -> None:
    network, x = built(kind, blocks=3, dropout=0.5), batch(1, 3, 16, 16)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize("kind, changes", SMALL, ids=str)
@pytest.mark.parametrize("dtype, tolerance", [(torch.bfloat16, 0.15), (torch.float16, 0.02)])
def test_half_precision(kind: str, changes: dict, dtype: torch.dtype, tolerance: float) -> None:
    network, x = built(kind, **changes), batch(1, changes.get("channels", 3), 16, 16)
    with torch.no_grad():
        exact, y = network(x), network.to(dtype)(x.to(dtype))
    assert y.dtype == dtype
    assert (y.float() - exact).abs().mean() < tolerance


@pytest.mark.parametrize("kind, changes", [SMALL[0], SMALL[2]], ids=str)
def test_compiled_in_one_graph(kind: str, changes: dict) -> None:
    network, x = built(kind, **changes), batch(2, 3, 16, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    results = []
    for forward in (network, compiled):
        y = forward(x)
        results.append((y.detach(), *torch.autograd.grad(y.square().sum(), list(network.parameters()))))
    assert_all_close(*results)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"kind": "vit"}, "generator='vit': must be one of resnet, unet"),
        ({"upsample": "bicubic"}, "upsample='bicubic': must be one of transpose, resize"),
        ({"padding": "circular"}, "padding='circular': must be one of reflect, zeros"),
    ],
)
@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_unknown_values_are_named(kind: str, changes: dict[str, str], message: str) -> None:
    arguments = {"kind": kind, "channels": 3, "width": 4, "blocks": 2, "upsample": "resize", "padding": "zeros", "dropout": 0.0}
    with pytest.raises(ValueError) as error:
        build_generator(**arguments | changes)
    assert str(error.value) == message


def test_a_unet_takes_no_skip() -> None:
    with pytest.raises(ValueError, match="skip=True: only with generator='resnet'"):
        build_generator("unet", channels=3, width=4, blocks=2, upsample="resize", padding="zeros", dropout=0.0, skip=True)


# --- the global skip


def test_skip_adds_to_the_input_and_cuts_to_the_range() -> None:
    torch.manual_seed(0)
    plain, skipping = ResNetGenerator(width=4, blocks=1), ResNetGenerator(width=4, blocks=1, skip=True)
    init_weights(plain, std=0.5)
    skipping.load_state_dict(plain.state_dict(), strict=True)
    x = batch(2, 3, 16, 16)
    expected = (x + plain(x)).clamp(-1, 1)
    assert (expected.abs() == 1).any()
    torch.testing.assert_close(skipping.eval()(x), expected, rtol=0, atol=1e-6)
    assert skipping.eval()(x).abs().max() == 1
    torch.testing.assert_close(skipping.train()(x), expected, rtol=0, atol=1e-6)


def test_gradients_pass_straight_through_the_cut() -> None:
    network = ResNetGenerator(width=4, blocks=1, skip=True)
    x, decoded = torch.full((1, 3, 4, 4), 0.9), torch.full((1, 3, 4, 4), 0.8, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.output(x, decoded).sum(), decoded)
    assert torch.equal(gradient, torch.ones_like(decoded))


def test_with_a_skip_it_starts_near_a_copy() -> None:
    torch.manual_seed(0)
    network, x = ResNetGenerator(width=8, blocks=2, skip=True), batch(2, 3, 32, 32)
    init_weights(network, std=0.02)
    assert (network(x) - x).abs().mean() < 0.05


# --- fresh weights


@pytest.mark.parametrize("norm_mean", [0.0, 1.0])
@pytest.mark.parametrize("kind, block_std", [("resnet", None), ("unet", None), ("unet", 0.04), ("resnet", 0.04)])
def test_init_weights_draws_from_the_distributions_it_says(kind: str, block_std: float | None, norm_mean: float) -> None:
    torch.manual_seed(0)
    network = build_generator(kind, channels=3, width=16, blocks=4, upsample="transpose", padding="zeros", dropout=0.0)
    for p in network.parameters():
        nn.init.constant_(p, 9.0)
    init_weights(network, std=0.02, norm_mean=norm_mean, block_std=block_std)
    scales = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            in_block = kind == "unet" and name.split(".")[0] in ("down", "up")
            std = block_std if block_std and in_block else 0.02
            n = module.weight.numel()
            # The standard deviation of n draws scatters by std / sqrt(2 n), their mean by std / sqrt(n): five of each.
            assert abs(module.weight.std().item() - std) < 5 * std / (2 * n) ** 0.5, name
            assert abs(module.weight.mean().item()) < 5 * std / n**0.5, name
        if isinstance(module, InstanceNorm2d):
            scales.append(module.weight.detach())
        if getattr(module, "bias", None) is not None:
            assert torch.count_nonzero(module.bias) == 0, name
    scale = torch.cat(scales)
    assert abs(scale.mean().item() - norm_mean) < 5 * 0.02 / len(scale) ** 0.5
    assert abs(scale.std().item() - 0.02) < 5 * 0.02 / (2 * len(scale)) ** 0.5
