"""generators.py: against the papers' layer lists, torch's own norm, and references written with torch.nn.functional."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.models.generators import InstanceNorm2d, ResNetGenerator, UNetGenerator, build_generator, init_weights
from support.small_generators import assert_all_close, batch, built

# --- instance norm


@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 3, 4, 4), (3, 2, 1, 6), (2, 4, 16, 16)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_norm_is_torchs_forward_and_backward(shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    own, torchs = InstanceNorm2d(shape[1]), nn.InstanceNorm2d(shape[1], affine=True)
    with torch.no_grad():
        own.weight.copy_(torch.linspace(-1.0, 2.0, shape[1]))
        own.bias.copy_(torch.linspace(0.5, -0.5, shape[1]))
    torchs.load_state_dict(own.state_dict(), strict=True)
    assert torchs.eps == pytest.approx(1e-5)
    x = (3 * batch(*shape) + 0.7).contiguous(memory_format=memory_format)
    target, results = batch(*shape, seed=1), []
    for norm in (own, torchs):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        assert norm is torchs or y.is_contiguous(memory_format=memory_format)
        (y * target).sum().backward()
        results.append((y.detach(), leaf.grad, norm.weight.grad, norm.bias.grad))
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("images", [1, 2])
def test_norm_of_one_pixel_is_the_bias(images: int) -> None:
    norm = InstanceNorm2d(2)
    nn.init.constant_(norm.bias, 0.25)
    y = norm(batch(images, 2, 1, 1))  # rounding of the mean, 1e-8, over the root of an epsilon of 1e-5, is 1e-5
    torch.testing.assert_close(y, torch.full((images, 2, 1, 1), 0.25), rtol=0, atol=1e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("path", ["parameters in bfloat16", "autocast", "given statistics"])
def test_norm_of_bfloat16_has_statistics_in_fp32(path: str, memory_format: torch.memory_format) -> None:
    # A mean of 8.03 with a spread of 0.06: bfloat16, which knows multiples of 1/16 there, could hold neither.
    x = (8 + batch(2, 3, 32, 32).abs() / 16).bfloat16().contiguous(memory_format=memory_format)
    norm = InstanceNorm2d(3)
    reference = F.instance_norm(x.double(), eps=1e-5)
    mean, variance = norm.statistics(x)
    assert mean.dtype == variance.dtype == torch.float32 and mean.shape == variance.shape == (2, 3, 1, 1)
    torch.testing.assert_close(mean.double(), x.double().mean((2, 3), keepdim=True))
    torch.testing.assert_close(variance.double(), x.double().var((2, 3), correction=0, keepdim=True), rtol=1e-4, atol=1e-9)
    match path:
        case "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                y = norm(x)
        case "given statistics":
            y = norm.apply_statistics(x, mean, variance)
        case _:
            y = norm.bfloat16()(x)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=memory_format)
    assert (y.double() - reference).abs().max() <= reference.abs().max() / 256  # half a unit in bfloat16's last place


# --- the ResNet generator

RESNETS = [{}, {"upsample": "transpose"}, {"padding": "zeros"}, {"upsample": "transpose", "padding": "zeros"}]


def resnet_reference(network: nn.Module, x: Tensor, *, blocks: int, upsample: str, padding: str) -> Tensor:
    """Zhu et al. 2017, appendix 7.2, from the parameters in the order of the layers."""
    weights: Iterator[Tensor] = iter(network.parameters())

    def padded(x: Tensor, by: int, mode: str) -> Tensor:
        return F.pad(x, (by,) * 4, mode="reflect" if mode == "reflect" else "constant")

    def norm(x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=next(weights), bias=next(weights))

    x = norm(F.conv2d(padded(x, 3, "reflect"), next(weights))).relu()
    for _ in range(2):
        x = norm(F.conv2d(x, next(weights), stride=2, padding=1)).relu()
    for _ in range(blocks):
        y = norm(F.conv2d(padded(x, 1, padding), next(weights))).relu()
        x = x + norm(F.conv2d(padded(y, 1, padding), next(weights)))
    for _ in range(2):
        if upsample == "transpose":
            x = F.conv_transpose2d(x, next(weights), stride=2, padding=1, output_padding=1)
        else:
            x = F.conv2d(padded(x.repeat_interleave(2, 2).repeat_interleave(2, 3), 1, padding), next(weights))
        x = norm(x).relu()
    return F.conv2d(padded(x, 3, "reflect"), next(weights), next(weights)).tanh()


@pytest.mark.parametrize("changes", RESNETS, ids=str)
def test_resnet_is_the_papers_forward_and_backward(changes: dict[str, str]) -> None:
    network, x = built("resnet", **changes), batch(2, 3, 16, 24)
    kwargs = {"blocks": 2, "upsample": "resize", "padding": "reflect"} | changes
    results = []
    for forward in (network, lambda x: resnet_reference(network, x, **kwargs)):
        leaf = x.clone().requires_grad_()
        y = forward(leaf)
        gradients = torch.autograd.grad((y * batch(*y.shape, seed=1)).sum(), (leaf, *network.parameters()))
        results.append((y.detach(), *gradients))
    assert results[0][0].std() > 0.1  # not a picture of one colour, on which anything would agree
    assert_all_close(*results)


@pytest.mark.parametrize("network", [ResNetGenerator, UNetGenerator])
def test_dropout_acts_in_training_only_and_moves_no_key_of_a_state(network: type) -> None:
    """So that `--init` goes from a model with dropout to one without, and back."""
    with_it, without = network(width=4, blocks=3, dropout=0.4), network(width=4, blocks=3, dropout=0.0)
    places = 3 if network is ResNetGenerator else 2  # every block; all but the outermost level
    assert [module.p for module in with_it.modules() if isinstance(module, nn.Dropout)] == [0.4] * places
    without.load_state_dict(with_it.state_dict(), strict=True)
    x = batch(1, 3, 16, 16)
    assert not torch.equal(with_it(x), with_it(x))
    assert torch.equal(with_it.eval()(x), without.eval()(x))


# --- the U-Net generator


def unet_reference(network: nn.Module, x: Tensor, blocks: int) -> Tensor:
    """The same by recursion, level in level, from the parameters in the order of the layers."""
    weights = list(network.parameters())
    down, rest = [weights[:2]], weights[2:]
    for _ in range(blocks - 2):
        down, rest = [*down, rest[:3]], rest[3:]
    down, rest = [*down, rest[:2]], rest[2:]
    up = [rest[3 * i : 3 * i + 3] for i in range(blocks - 1)]
    head = rest[-2:]

    def level(i: int, x: Tensor) -> Tensor:
        """Map of level i - 1 -> map of the same size, beside it."""
        inner = 0 < i < blocks - 1
        y = F.conv2d(x, down[i][0], None if inner else down[i][1], stride=2, padding=1)
        if inner:
            y = F.instance_norm(y, weight=down[i][1], bias=down[i][2])
        y = F.leaky_relu(y, 0.2)
        if i < blocks - 1:
            y = torch.cat([level(i + 1, y), y], 1)
        if i == 0:
            return F.conv_transpose2d(y, *head, stride=2, padding=1).tanh()
        w, scale, shift = up[blocks - 1 - i]
        return F.instance_norm(F.conv_transpose2d(y, w, stride=2, padding=1), weight=scale, bias=shift).relu()

    return level(0, x)


@pytest.mark.parametrize("blocks, size", [(2, (8, 12)), (3, (16, 24)), (8, (256, 256))])
def test_unet_is_the_papers(blocks: int, size: tuple[int, int]) -> None:
    network, x = built("unet", blocks=blocks, width=2), batch(2, 3, *size)
    y = network(x)
    assert y.std() > 0.05
    torch.testing.assert_close(y, unet_reference(network, x, blocks), rtol=1e-4, atol=1e-5)


# --- what holds for both

SMALL = [("resnet", {}), ("unet", {"blocks": 3}), ("unet", {"blocks": 1, "channels": 1})]


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


@pytest.mark.parametrize("kind, changes", [("resnet", {"noise": True, "blocks": 1}), ("unet", {"blocks": 2})], ids=str)
def test_compiled_in_one_graph(kind: str, changes: dict) -> None:
    network, x = built(kind, **changes), batch(2, 3, 16, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    results = []
    for forward in (network, compiled):
        y = forward(x)
        results.append((y.detach(), *torch.autograd.grad(y.square().sum(), list(network.parameters()))))
    assert_all_close(*results)


@pytest.mark.parametrize(
    "kind, changes, message",
    [
        ("vit", {}, "generator='vit': must be one of resnet, unet"),
        ("resnet", {"upsample": "bicubic"}, "upsample='bicubic': must be one of transpose, resize"),
        ("unet", {"padding": "circular"}, "padding='circular': must be one of reflect, zeros"),
        ("unet", {"skip": True}, "skip=True: only with generator='resnet'; a U-Net has skips of its own"),
        ("unet", {"noise": True}, "noise=True: only with generator='resnet'"),
    ],
)
def test_unknown_values_are_named(kind: str, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as error:
        built(kind, **changes)
    assert str(error.value) == message


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
    torch.testing.assert_close(skipping.train()(x), expected, rtol=0, atol=1e-6)


def test_gradients_pass_straight_through_the_cut() -> None:
    network = ResNetGenerator(width=4, blocks=1, skip=True)
    x, decoded = torch.full((1, 3, 4, 4), 0.9), torch.full((1, 3, 4, 4), 0.8, requires_grad=True)
    (gradient,) = torch.autograd.grad(network.output(x, decoded).sum(), decoded)
    assert torch.equal(gradient, torch.ones_like(decoded))
    init_weights(network, std=0.02)  # it starts near a copy of its input
    assert (network(batch(2, 3, 32, 32)) - batch(2, 3, 32, 32)).abs().mean() < 0.05


# --- fresh weights


@pytest.mark.parametrize("kind, block_std, norm_mean", [("resnet", 0.04, 1.0), ("unet", None, 1.0), ("unet", 0.04, 0.0)])
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
