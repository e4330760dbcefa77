"""noise.py: a field of normal noise that is the same everywhere, and generators that have it."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cyclegan_hub.hub import mixin
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import ResNetGenerator, init_weights
from cyclegan_hub.models.inference import fold_upsampling, optimize_for_cpu, prepare_for_training
from cyclegan_hub.models.noise import ACROSS, DOWN, LAYER, PRIME, START, Noise, fixed_noise
from cyclegan_hub.models.tiling import translate_in_tiles
from cyclegan_hub.models.translate import translate_batch
from support.small_generators import batch


def noisy(*, weight: float = 0.5, **changes: object) -> ResNetGenerator:
    """A small generator whose noise shows."""
    torch.manual_seed(0)
    network = ResNetGenerator(**{"width": 4, "blocks": 2, "noise": True} | changes)
    init_weights(network, std=0.2)
    for module in network.modules():
        if isinstance(module, Noise):
            nn.init.normal_(module.weight, 0, weight)
    return network.eval()


def inputs(network: nn.Module) -> list[Noise]:
    return [module for module in network.modules() if isinstance(module, Noise)]


def test_the_field_is_normal_and_does_not_repeat() -> None:
    fields = [fixed_noise(layer, 0, 0, 256, 300)[0, 0] for layer in (0, 1, 13)]
    for field in fields:
        assert abs(field.mean()) < 0.02 and abs(field.std() - 1) < 0.02
        assert abs(field.pow(4).mean() - 3) < 0.15 and 3.5 < field.abs().max() < 5
        for lag in (1, 2, 3, 64, 127, 128):
            assert abs((field[:, lag:] * field[:, :-lag]).mean()) < 0.025
            assert abs((field[lag:] * field[:-lag]).mean()) < 0.025
    for one, other in itertools.combinations(fields, 2):
        assert abs((one * other).mean()) < 0.02


def test_the_field_is_the_hash_that_its_comment_describes() -> None:
    """In Python's own whole numbers; the first values are fixed: published models have learned weights for this field."""
    field = fixed_noise(3, 100_000, 7, 2, 3)
    for i, j in itertools.product(range(2), range(3)):
        number = pow((100_000 + i) * DOWN + (7 + j) * ACROSS + 3 * LAYER + START, 5, PRIME)
        u, v = (number // 65_536 + 0.5) / 32_768, number % 65_536 / 65_536
        assert field[0, 0, i, j].item() == pytest.approx(np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v), abs=1e-4)
    first = fixed_noise(0, 0, 0, 1, 4).flatten().tolist()
    assert first == pytest.approx([-0.796, 0.1691, -0.2748, 0.0354], abs=1e-3)


def test_no_two_places_of_an_image_share_a_number() -> None:
    """The shortest step that leaves the hash's linear part as it is."""
    inverse = pow(ACROSS, -1, PRIME)
    for down in range(1, 46_000):
        across = -down * DOWN * inverse % PRIME
        assert down**2 + min(across, PRIME - across) ** 2 > 46_000**2


def test_a_part_of_the_field_is_that_part() -> None:
    whole = fixed_noise(2, 0, 0, 40, 50)
    assert torch.equal(fixed_noise(2, 11, 30, 8, 9), whole[..., 11:19, 30:39])


def test_noise_inputs_stand_before_the_norms_of_blocks_and_decoder_and_start_at_zero() -> None:
    torch.manual_seed(0)
    plain, network = ResNetGenerator(3, 4, 2).eval(), ResNetGenerator(3, 4, 2, noise=True).eval()
    assert [one.layer for one in inputs(network)] == list(range(6)) and not inputs(network.encoder)
    assert [one.weight.numel() for one in inputs(network)] == [16] * 4 + [8, 4]
    init_weights(network, std=0.02)
    assert all((one.weight == 0).all() for one in inputs(network))
    for parts in (*(block.layers for block in network.body), network.decoder):
        kinds = [type(part).__name__ for part in parts]
        assert all(kinds[i - 1] == "Noise" for i, kind in enumerate(kinds) if kind == "InstanceNorm2d")
    own = [p for name, p in network.named_parameters() if not any(p is one.weight for one in inputs(network))]
    for p, given in zip(own, plain.parameters(), strict=True):
        p.data.copy_(given)
    x = batch(1, 3, 16, 20)
    torch.testing.assert_close(network(x), plain(x))
    assert list(plain.state_dict()) == list(ResNetGenerator(3, 4, 2).state_dict()) and "decoder.8.bias" in plain.state_dict()


@torch.no_grad()
def test_the_same_image_gives_the_same_output_in_any_batch_and_noise_shows() -> None:
    network = noisy()
    x = batch(3, 3, 32, 40)
    y = network(x)
    assert torch.equal(network(x), y)
    torch.testing.assert_close(torch.cat([network(one) for one in x.split(1)]), y, rtol=0, atol=1e-4)
    assert (y - noisy(weight=0.0)(x)).abs().mean() > 0.05
    flat = network(torch.zeros(1, 3, 64, 64))[..., 16:48, 16:48]
    assert flat.std() > 0.05 and noisy(weight=0.0)(torch.zeros(1, 3, 64, 64))[..., 16:48, 16:48].std() < flat.std() / 5


def test_training_has_new_noise_for_each_image_from_torchs_generator() -> None:
    network = noisy().train()
    x = batch(1, 3, 32, 32).expand(2, -1, -1, -1)
    torch.manual_seed(5)
    y = network(x)
    assert (y[0] - y[1]).abs().mean() > 0.05 and not torch.equal(network(x), y)
    torch.manual_seed(5)
    assert torch.equal(network(x), y)
    y.sum().backward()
    assert all(one.weight.grad.abs().max() > 0 for one in inputs(network))


def test_gradients_flow_after_an_image_was_translated_without_them() -> None:
    network, x = noisy(), batch(1, 3, 16, 16)
    expected, y = translate_batch(network, x), network(x)
    y.sum().backward()
    torch.testing.assert_close(y.detach(), expected)


@pytest.mark.parametrize("upsample, padding", list(itertools.product(["resize", "transpose"], ["reflect", "zeros"])))
@torch.no_grad()
def test_tiles_have_the_noise_of_the_whole(upsample: str, padding: str) -> None:
    network, x = noisy(upsample=upsample, padding=padding), batch(1, 3, 132, 260)
    whole = network(x)
    assert (translate_in_tiles(network, x, tile=64) - whole).abs().max() < 1e-4
    folded = fold_upsampling(copy.deepcopy(network))
    assert (folded(x) - whole).abs().max() < 1e-4
    assert (translate_in_tiles(folded, x, tile=32) - whole).abs().max() < 1e-4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [False, True])
def test_type_and_layout_stay(layout: torch.memory_format, training: bool) -> None:
    module = Noise(6, 0).train(training)
    nn.init.normal_(module.weight)
    x = torch.randn(2, 6, 5, 7).bfloat16().contiguous(memory_format=layout)
    y = module(x)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16 and module(x.float()).dtype == torch.float32


@torch.no_grad()
def test_prepared_for_training_and_on_a_cpu_it_is_the_same() -> None:
    network, x = noisy(), batch(1, 3, 32, 36)
    expected = network(x)
    assert (prepare_for_training(copy.deepcopy(network))(x) - expected).abs().max() < 1e-4
    model = CycleGenerator(width=4, blocks=1, image_size=32, noise=True).eval()
    for one in inputs(model):
        nn.init.normal_(one.weight, 0, 0.2)
    assert (optimize_for_cpu(model, exact=True).a_to_b(x) - model.a_to_b(x)).abs().max() < 1e-4


# --- config.json


def test_a_model_with_noise_has_a_format_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plain", "noise"):
        CycleGenerator(width=4, blocks=1, noise=name == "noise").save_pretrained(tmp_path / name)
    plain, config = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("plain", "noise"))
    assert plain["format"] == 3 and "noise" not in plain
    assert config["format"] == 4 and config["noise"] is True
    model = CycleGenerator.from_pretrained(tmp_path / "noise")
    assert len(inputs(model)) == 8 and model.config == config
    assert not inputs(CycleGenerator.from_pretrained(tmp_path / "plain"))
    monkeypatch.setattr(mixin, "FORMAT", 3)  # a package of before
    with pytest.raises(ModelError, match=r"config format 4 is not one that this package reads \(up to 3\): upgrade cyclegan_hub"):
        CycleGenerator.from_pretrained(tmp_path / "noise")
