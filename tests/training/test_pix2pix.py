"""pix2pix: how pairs are made, one step against the paper's, and what is published of it, on pictures of any size."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cyclegan_hub import PairedGenerator
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import PlainCNN
from cyclegan_hub.recipes.methods import Pix2PixRecipe
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
from support import pictures
from support.pixels import assert_equal_pixels, assert_same_pixels
from support.tiny_trainers import backward, batch, make

SMALL = Pix2PixRecipe("x", "faces", image_size=16, pairs="colorize", width=4, blocks=3, disc_channels=(4, 4), batch_size=2)

RULES = {name: rule for name, rule in PAIR_RULES.items() if rule.derived}


TARGETS = batch(SMALL)["a"]


def picture(width: int, height: int) -> Image.Image:
    return pictures.picture(0, (width, height))


def test_rules_are_what_they_say() -> None:
    x = images.to_tensor(picture(16, 24))[None]
    luma = images.to_tensor(picture(16, 24).convert("L"))
    grey = RULES["colorize"].input_of(x)
    assert grey.shape == x.shape and (grey[0, 0] - luma[0]).abs().max() < 2 / 255 + 1e-6 and torch.equal(grey[:, 0], grey[:, 2])
    small = F.interpolate(F.avg_pool2d(x, 4), size=(24, 16), mode="bicubic").clamp(-1, 1)
    torch.testing.assert_close(RULES["upscale-4x"].input_of(x), small)
    flat = torch.full((1, 3, 8, 8), 0.25)
    for rule in RULES.values():
        torch.testing.assert_close(rule.input_of(flat), flat)  # what has neither colour nor detail stays
    assert [name for name, rule in RULES.items() if rule.input_label] == ["colorize", "upscale-4x"]


def test_pairs_of_two_halves_are_input_and_output() -> None:
    given = dataclasses.replace(SMALL, pairs="given", domain="")
    pair = batch(given)["a"]
    x, y = make(given).split(pair)
    assert torch.equal(x, pair[:, :3]) and torch.equal(y, pair[:, 3:])
    x, y = make(SMALL).split(TARGETS)
    assert torch.equal(y, TARGETS) and torch.equal(x, RULES["colorize"].input_of(TARGETS))


def test_the_step_is_the_papers() -> None:
    """Gradients of both halves, each term by a pass of its own."""
    recipe = dataclasses.replace(SMALL, dropout=0.0)
    trainer, reference = make(recipe), make(recipe)
    g, d = reference.networks.values()
    y = TARGETS
    x = RULES["colorize"].input_of(y)
    fake, bce = g(x), F.binary_cross_entropy_with_logits
    on_fake = d(torch.cat([x, fake], 1))[0]
    loss_g = bce(on_fake, torch.ones_like(on_fake)) + 100 * F.l1_loss(fake, y)
    wanted_g = torch.autograd.grad(loss_g, [*g.parameters()])
    on_real, on_fake = d(torch.cat([x, y], 1))[0], d(torch.cat([x, fake.detach()], 1))[0]
    loss_d = (bce(on_real, torch.ones_like(on_real)) + bce(on_fake, torch.zeros_like(on_fake))) / 2
    wanted_d = torch.autograd.grad(loss_d, [*d.parameters()])
    seen = []

    def record(loss: torch.Tensor) -> None:
        seen.append(loss.item())
        loss.backward()
        network, wanted = (("generator", wanted_g), ("discriminator", wanted_d))[len(seen) - 1]
        for p, expected in zip(trainer.networks[network].parameters(), wanted, strict=True):
            torch.testing.assert_close(p.grad, expected, rtol=1e-3, atol=1e-5)
        if network == "generator":
            assert all(p.grad is None for p in trainer.networks["discriminator"].parameters())

    losses = trainer.step({"a": y}, record)
    assert seen == pytest.approx([loss_g.item(), loss_d.item()], rel=1e-5)
    assert losses["l1"].item() == pytest.approx(F.l1_loss(fake, y).item(), rel=1e-5)


def test_the_plain_cnn_has_no_discriminator_and_starts_as_its_input() -> None:
    recipe = dataclasses.replace(SMALL, pairs="upscale-4x", generator="cnn", adversarial_weight=0.0, l1=1.0)
    trainer = make(recipe)
    assert list(trainer.networks) == ["generator"] and isinstance(trainer.networks["generator"], PlainCNN)
    assert trainer.panels == {"L1": ["l1"]}
    x = TARGETS
    with torch.no_grad():
        assert (trainer.networks["generator"](x) - x).abs().max() < 0.2
    before = trainer.step({"a": x}, backward)["l1"].item()
    assert set(trainer.step({"a": x}, backward)) == {"l1"}
    for _ in range(20):
        after = trainer.step({"a": x}, backward)["l1"].item()
    assert after < before


# ---------------------------------------------------------------------------------------------------- what is published
def model(**changes) -> PairedGenerator:
    torch.manual_seed(0)
    return PairedGenerator(**{"width": 4, "blocks": 3, "image_size": 16, "pairs": "colorize"} | changes).eval()


@pytest.mark.parametrize("pairs", ["given", *RULES])
@pytest.mark.parametrize("size", [(33, 20), (5, 40)])
def test_pictures_of_any_size(pairs: str, size: tuple[int, int]) -> None:
    network, source = model(pairs=pairs), picture(*size)
    scale = 4 if pairs == "upscale-4x" else 1
    result = network.translate(source, resolution="original")
    assert result.size == (size[0] * scale, size[1] * scale)
    assert_same_pixels(result, network.translate([source, picture(9, 9)], resolution="original")[0])
    assert min(network.translate(source).size) == 16


@pytest.mark.parametrize("pairs", list(RULES))
def test_a_translation_is_the_bare_network_on_what_the_rule_makes(pairs: str) -> None:
    network, source = model(pairs=pairs), picture(16, 16)
    if pairs == "upscale-4x":  # the small picture itself is given
        source = source.resize((4, 4), Image.Resampling.BOX)
    x = images.to_tensor(source)[None]
    enlarged = F.interpolate(x, scale_factor=4, mode="bicubic").clamp(-1, 1)
    with torch.no_grad():
        expected = network(enlarged if pairs == "upscale-4x" else RULES[pairs].input_of(x))[0]
    assert_same_pixels(network.translate(source, resolution="original"), images.to_pil(expected))


def test_dropout_is_off() -> None:
    network = model(dropout=0.5).train()
    assert_equal_pixels(network.translate(picture(16, 16)), network.translate(picture(16, 16)))
    assert network.training


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.translate(picture(16, 16), "b_to_a"), r"direction='b_to_a': this model has one, a_to_b \(input -> output\)"),
        (lambda m: m.translate(picture(16, 16), resolution=0), "resolution=0: give None"),
        (lambda m: m.translate(picture(16, 16), batch_size=0), "batch_size=0: give how many"),
        (lambda m: model(pairs="blur"), "pairs='blur': must be one of given, colorize"),
        (lambda m: model(generator="vit"), "generator='vit': must be one of unet, cnn"),
        (lambda m: model(labels=("one",)), r"labels=\('one',\): give two"),
        (
            lambda m: model(pairs="repaint").translate(picture(3, 9), resolution="original"),
            "this image is 3 x 9: give one of 4 px",
        ),
    ],
)
def test_wrong_values_are_one_clear_line(call, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(model())
    assert "\n" not in str(caught.value)
