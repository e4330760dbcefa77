"""DCGAN: the networks of the source, its losses, its alarms, and what is published of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cyclegan_hub import DCGAN
from cyclegan_hub.imaging import images
from cyclegan_hub.models.discriminators import DCGANDiscriminator
from cyclegan_hub.models.generators import DCGANGenerator
from cyclegan_hub.recipes.methods import DCGANRecipe
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.dcgan import DCGANTrainer
from cyclegan_hub.training.trainer import AlarmWatch
from support.pixels import assert_same_pixels, same_pixels
from support.tiny_trainers import backward, make

WIDTHS = (1024, 512, 256, 128, 64, 32)
SMALL = DCGANRecipe("x", "faces", image_size=16, gen_channels=(8, 8), disc_channels=(8, 8), latent=8, batch_size=8)


def convolutions(network: nn.Module) -> list[tuple]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0], m.bias is None)
        for m in network.modules()
        if isinstance(m, kinds)
    ]


def test_the_256_pair_is_the_sources() -> None:
    recipe = RECIPES["faces-dcgan-256"]
    with torch.device("meta"):
        g, d = DCGANGenerator(3, recipe.latent, recipe.gen_channels), DCGANDiscriminator(3, recipe.disc_channels)
        assert g(torch.empty(2, 100, 1, 1)).shape == (2, 3, 256, 256)
        assert d(torch.empty(2, 3, 256, 256)).shape == (2,)
    sizes = [100, *WIDTHS, 3]
    assert convolutions(g) == [(*pair, 4, 1, 0, True) if i == 0 else (*pair, 4, 2, 1, True)
                               for i, pair in enumerate(pairwise(sizes))]  # fmt: skip
    sizes = [3, *WIDTHS[::-1], 1]
    assert convolutions(d) == [(*pair, 4, 1, 0, True) if i == 6 else (*pair, 4, 2, 1, True)
                               for i, pair in enumerate(pairwise(sizes))]  # fmt: skip
    assert [type(m) for m in g.layers] == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 6 + [nn.ConvTranspose2d, nn.Tanh]
    inner = [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 5
    assert [type(m) for m in d.layers] == [nn.Conv2d, nn.LeakyReLU, *inner, nn.Conv2d]
    assert {m.negative_slope for m in d.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    assert sum(p.numel() for p in DCGANGenerator(3, 100, RECIPES["faces-dcgan-64"].gen_channels).parameters()) == 1_100_224


def test_weights_start_as_in_the_paper() -> None:
    trainer = make(dataclasses.replace(SMALL, latent=100, gen_channels=(64, 32), disc_channels=(32, 64)))
    for network in trainer.networks.values():
        weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)])
        assert weights.std().item() == pytest.approx(0.02, rel=0.02) and abs(weights.mean().item()) < 1e-3
        scales = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
        assert scales.mean().item() == pytest.approx(1, abs=0.01) and scales.std().item() == pytest.approx(0.02, rel=0.3)
    for optimizer in trainer.optimizers.values():
        assert optimizer.param_groups[0]["lr"] == 2e-4 and optimizer.param_groups[0]["betas"] == (0.5, 0.999)


def real(n: int = 8) -> torch.Tensor:
    """Images that differ from each other: noise at a quarter of the size, enlarged."""
    return F.interpolate(torch.rand(n, 3, 4, 4) * 2 - 1, scale_factor=4)


def test_the_step_is_the_papers() -> None:
    """One step against Goodfellow's two halves, written out plainly."""
    trainer, reference = make(SMALL), make(SMALL)
    x = real()
    state = torch.get_rng_state()
    trainer.steps_done = 1
    losses = trainer.step({"a": x}, backward)
    torch.set_rng_state(state)
    g, d = reference.networks.values()
    fake = g(torch.randn(8, 8, 1, 1))
    bce, ones = F.binary_cross_entropy_with_logits, torch.ones(8)
    on_real, on_fake = d(x), d(fake.detach())
    loss_d = bce(on_real, ones) + bce(on_fake, 0 * ones)
    loss_d.backward()
    reference.optimizers["discriminator"].step()
    after = d(fake)  # the same fakes, as the method's log has the pair
    loss_g = bce(after, ones)
    loss_g.backward()
    reference.optimizers["generator"].step()
    means = {name: logits.sigmoid().mean() for name, logits in (("d_x", on_real), ("d_gz", on_fake), ("d_gz_after", after))}
    for name, value in {"loss_d": loss_d, "loss_g": loss_g, **means}.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-5), name
    for name, network in trainer.networks.items():
        for one, two in zip(network.parameters(), reference.networks[name].parameters(), strict=True):
            torch.testing.assert_close(one, two)


def test_measuring_the_diversity_changes_nothing() -> None:
    measured, other = make(SMALL), make(SMALL)
    other.steps_done = 1
    x, state = real(), torch.get_rng_state()
    losses = measured.step({"a": x}, backward)
    torch.set_rng_state(state)
    others = other.step({"a": x}, backward)
    assert set(losses) - set(others) == {"diversity"}
    for name, network in measured.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, other.networks[name].state_dict()[key]), key


def test_the_alarm_of_mode_collapse_rings_where_all_latents_give_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclegan_hub.training.dcgan.DIVERSITY_EVERY", 1)
    trainer = make(dataclasses.replace(SMALL, lr=1e-9))
    with torch.no_grad():
        trainer.networks["generator"].layers[0].weight.zero_()  # the latent is not listened to
    steps = (trainer.step({"a": real()}, backward) for _ in range(60))
    assert rung({name: value.item() for name, value in losses.items()} for losses in steps) == ["diversity"]


def rung(course: Iterable[dict[str, float]]) -> list[str]:
    """Keys of the alarms that ring at these values."""
    watches = [AlarmWatch(alarm) for alarm in DCGANTrainer.alarms]
    return [watch.alarm.key for values in course for watch in watches if watch.update(values)]


def test_the_bounds_of_the_alarms() -> None:
    """Of faces-dcgan-64: untrained, all images are alike; the discriminator leads early, and the generator catches up."""
    well = [
        {"loss_d": 0.09 if step < 150 else 0.4, "loss_g": 4 + 4 * math.exp(-(((step - 120) / 80) ** 2))}
        | ({"diversity": min(1.0, 0.1 + step / 700)} if step % 25 == 0 else {})
        for step in range(3000)
    ]
    assert rung(well) == []
    assert rung({"loss_d": 0.01, "loss_g": 4 + step / 100} for step in range(450)) == ["loss_d"]  # it has won


def test_sample_grids_show_the_fixed_latents() -> None:
    trainer = make(SMALL)
    (grid,) = trainer.samples(torch.zeros(1, 3, 16, 16))
    expected = trainer.published(None).sample(36, seed=0)
    assert [len(row) for row in grid.rows] == [6] * 6
    for shown, drawn in zip((picture for row in grid.rows for picture in row), expected, strict=True):
        assert_same_pixels(shown, drawn)


def test_what_is_published_is_the_average_with_statistics_of_its_own() -> None:
    trainer = make(dataclasses.replace(SMALL, ema=0.999, lr=0.01))
    own = [trainer.networks["generator"].layers[0].weight.detach().clone()]
    for _ in range(3):
        trainer.step({"a": real()}, backward)
        own.append(trainer.networks["generator"].layers[0].weight.detach().clone())
    average = own[1]
    for t, value in ((2, own[2]), (3, own[3])):
        decay = 1 - t ** (-2 / 3)  # the warm-up, as of a CycleGAN
        average = decay * average + (1 - decay) * value
    before = torch.get_rng_state()
    model = trainer.published(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(model.generator.layers[0].weight, average)
    assert (average - own[3]).abs().max() > 1e-3
    z = model.latents(1024, seed=0)[:, :, None, None]
    first = model.generator.layers[0](z)
    norm = model.generator.layers[1]
    torch.testing.assert_close(norm.running_mean, first.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(norm.running_var, first.var((0, 2, 3)), rtol=0.02, atol=1e-4)
    for one, two in zip(model.state_dict().values(), trainer.published(1).state_dict().values(), strict=True):
        assert torch.equal(one, two)


# ---------------------------------------------------------------------------------------------------- what is published
@pytest.fixture(scope="module")
def model() -> DCGAN:
    torch.manual_seed(3)
    network = DCGAN(widths=(8, 8), latent=8)
    network.generator.train()
    with torch.no_grad():
        for _ in range(20):  # running statistics of its own
            network(torch.randn(16, 8))
    return network.eval()


def test_samples_depend_on_the_seed_alone(model: DCGAN) -> None:
    four = model.sample(4, seed=5)
    assert [p.size for p in four] == [(16, 16)] * 4 and {p.mode for p in four} == {"RGB"}
    for one, other in zip(model.sample(2, seed=5), four[:2], strict=True):
        assert_same_pixels(one, other)  # a batch of another size may round otherwise
    assert not same_pixels(model.sample(1, seed=6)[0], four[0])
    model.train()
    assert [p.tobytes() for p in model.sample(4, seed=5)] == [p.tobytes() for p in four]  # batch norm compares no samples
    assert model.training
    model.eval()
    with torch.no_grad():
        assert_same_pixels(images.to_pil(model(model.latents(1, seed=5)[:, :, None, None])[0]), four[0])


def test_latents_are_normal_and_truncation_cuts_their_tails(model: DCGAN) -> None:
    z = model.latents(5000, seed=1)
    assert z.shape == (5000, 8) and z.mean().abs() < 0.02 and abs(z.std() - 1) < 0.02
    cut = model.latents(5000, seed=1, truncation=0.7)
    assert cut.abs().max() <= 0.7 and torch.equal(cut.sign(), z.sign())
    share = math.erf(0.35 / math.sqrt(2)) / math.erf(0.7 / math.sqrt(2))  # of a normal distribution cut at 0.7
    assert (cut.abs() < 0.35).double().mean().item() == pytest.approx(share, abs=0.01)


def test_interpolation_goes_from_one_sample_to_the_other(model: DCGAN) -> None:
    row = model.interpolate(1, 2, 5)
    assert_same_pixels(row[0], model.sample(1, seed=1)[0])
    assert_same_pixels(row[-1], model.sample(1, seed=2)[0])
    assert len(row) == 5 and not any(same_pixels(one, other) for one, other in pairwise(row))
    for one, other in pairwise(model.interpolate(4, 4, 3)):
        assert_same_pixels(one, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(torch.zeros(2, 100)), r"z has shape \(2, 100, 1, 1\): give latents \(N, 8\)"),
        (lambda m: m(torch.zeros(2, 8, 2, 1)), r"z has shape \(2, 8, 2, 1\): give latents \(N, 8\)"),
        (lambda m: m(torch.zeros(8)), r"z has shape \(8,\)"),
        (lambda m: m.sample(0), "n=0: give a whole number of at least 1"),
        (lambda m: m.sample(seed=-1), "seed=-1: give a whole number from 0 up"),
        (lambda m: m.sample(truncation=0), "truncation=0: give a number above 0"),
        (lambda m: m.interpolate(0, 1, 1), "steps=1: give at least 2"),
        (lambda m: DCGAN(labels=("a", "b")), r"labels=\('a', 'b'\): give one"),
        (lambda m: DCGAN(widths=()), r"widths=\(\): give channels"),
        (lambda m: DCGAN(latent=0), "latent=0: give a whole number"),
    ],
)
def test_wrong_values_are_one_clear_line(model: DCGAN, call, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(model)
    assert "\n" not in str(caught.value)
