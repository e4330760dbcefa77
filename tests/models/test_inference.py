"""Folded resizing is exact, channels_last too; bf16 stays within its bounds on the bundled models, or is not used."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cyclegan_hub import DCGAN
from cyclegan_hub.checkpoints import load
from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging import images
from cyclegan_hub.models import inference
from cyclegan_hub.models.discriminators import PatchDiscriminator
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.inference import (
    FoldedUpsample,
    UpsamplingConv2d,
    choose_precision,
    fold_upsampling,
    optimize_for_cpu,
    prepare_for_training,
)
from cyclegan_hub.models.translate import translate_batch
from support import tiny_models
from support.small_generators import assert_all_close
from support.training import ROOT

PICTURES = sorted((ROOT / "cyclegan_hub" / "free_images").glob("*.jpg"))
MODELS = sorted(path.parent for path in (ROOT / "pretrained").glob("*/epochs"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(inference.VARIABLE, raising=False)
    choose_precision.cache_clear()


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("bias", [False, True])
def test_folded_resizing_is_the_same_function(padding: str, bias: bool) -> None:
    torch.manual_seed(0)
    up, conv = nn.Upsample(scale_factor=2), nn.Conv2d(3, 5, 3, padding=1, padding_mode=padding, bias=bias)
    for size in ((7, 4), (2, 2), (1, 3)):
        x = torch.randn(2, 3, *size)
        assert torch.allclose(FoldedUpsample(conv)(x), conv(up(x)), atol=1e-5)
    network = fold_upsampling(ResNetGenerator(3, 4, 1, "transpose"))
    assert not any(isinstance(module, FoldedUpsample) for module in network.modules())  # there is no resizing


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_a_folded_generator_is_the_same_in_one_piece_and_in_tiles(padding: str) -> None:
    torch.manual_seed(0)
    network = ResNetGenerator(3, 4, 1, "resize", padding).eval()
    folded = fold_upsampling(copy.deepcopy(network))
    assert sum(isinstance(module, FoldedUpsample) for module in folded.modules()) == 2
    for size in ((36, 20), (1100, 16)):  # above 1,024 px it runs in tiles
        x = torch.rand(1, 3, *size) * 2 - 1
        assert (translate_batch(folded, x) - translate_batch(network, x)).abs().max() < 1e-4


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_prepared_for_training_is_the_same_forward_and_backward(padding: str, channels: int) -> None:
    torch.manual_seed(0)
    for network in (ResNetGenerator(channels, 4, 1, "resize", padding), PatchDiscriminator(channels, (4, 8, 8))):
        prepared = prepare_for_training(copy.deepcopy(network))
        assert list(prepared.state_dict()) == list(network.state_dict())
        x = torch.rand(2, channels, 36, 40) * 2 - 1
        found = []
        for one in (network, prepared):
            given = x.clone().requires_grad_()
            y = one(given)
            y = y[0] if isinstance(y, tuple) else y
            weights = torch.rand(y.shape, generator=torch.Generator().manual_seed(1))
            found.append((y, *torch.autograd.grad((y * weights).sum(), [given, *one.parameters()])))
        for a, b in zip(*found, strict=True):
            # Of a bias before a norm there is no gradient: only rounding, which may differ.
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * b.abs().max().item() + 1e-4)
    assert sum(isinstance(module, UpsamplingConv2d) for module in prepare_for_training(ResNetGenerator(3, 4, 1)).modules()) == 2


@pytest.mark.parametrize("where", MODELS, ids=lambda path: path.name)
def test_the_bundled_models_on_the_bundled_pictures(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """fp32 to 0.01/255; bf16 to 0.5/255 in the mean, and 99.9 % of the values to 6/255."""
    model = load(where)
    if isinstance(model, DCGAN):
        assert optimize_for_cpu(model) is model
        return
    monkeypatch.setenv(inference.VARIABLE, "bf16")
    choose_precision.cache_clear()
    exact, quick = optimize_for_cpu(model, exact=True), optimize_for_cpu(model)
    assert next(quick.parameters()).dtype == torch.bfloat16 and next(exact.parameters()).dtype == torch.float32
    x = torch.stack([images.to_tensor(images.square(images.decode(path), 64)) for path in PICTURES[::3]])
    for direction in model.directions:
        expected = translate_batch(model.network(direction), x)
        assert (translate_batch(exact.network(direction), x) - expected).abs().max() * 127.5 < 0.01
        apart = (translate_batch(quick.network(direction), x) - expected).abs().flatten() * 127.5
        assert apart.mean() <= inference.MEAN and apart.quantile(0.999) <= inference.MOST


def test_a_model_that_bf16_would_change_keeps_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inference.VARIABLE, "bf16")
    model = tiny_models.model(1)
    nn.init.normal_(model.a_to_b.decoder[-2].weight, 0, 50)  # every value at one of the two ends, and by chance at which
    assert next(optimize_for_cpu(model).parameters()).dtype == torch.float32
    calm = tiny_models.model(1)
    with torch.no_grad():  # at its full contrast bf16 is 0.5/255 off in the mean: which side of the bound, the processor decides
        for network in (calm.a_to_b, calm.b_to_a):
            network.decoder[-2].weight.mul_(0.3)
    assert next(optimize_for_cpu(calm).parameters()).dtype == torch.bfloat16


def test_the_model_itself_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(inference.VARIABLE, "bf16")
    model = tiny_models.model(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quick = optimize_for_cpu(model)
    assert quick is not model and not any(p.requires_grad for p in quick.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert (quick.image_size, quick.epoch, quick.labels) == (model.image_size, model.epoch, model.labels)
    picture = images.decode(PICTURES[0])
    assert quick.translate(picture).size == model.translate(picture).size


def test_the_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert choose_precision().precision == "bf16" and "AVX-512" in str(choose_precision())
    choose_precision.cache_clear()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision().precision == "fp32"
    choose_precision.cache_clear()
    monkeypatch.setenv(inference.VARIABLE, "fp8")
    with pytest.raises(UserError, match="CYCLEGAN_HUB_PRECISION='fp8': give fp32 or bf16"):
        choose_precision()


def test_compiled_reflected_upsampling_pads_without_replication() -> None:
    # Inductor itself takes half a minute here. With torch 2.13 it fails in the gradient of any replicating pad on a CPU.
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    network = prepare_for_training(nn.Sequential(nn.Upsample(scale_factor=2), conv))
    x, results, called = torch.randn(2, 3, 5, 4), [], []

    def backend(graph: torch.fx.GraphModule, _inputs: list[torch.Tensor]) -> Callable[..., Any]:
        called.extend(node for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    for forward in (network, torch.compile(network, backend=backend, fullgraph=True)):
        y = forward(x)
        results.append((y.detach(), *torch.autograd.grad(y.square().sum(), list(network.parameters()))))
    assert_all_close(*results)
    assert called and not [node for node in called if "replicate" in node.args or "replicate" in node.kwargs.values()]
