"""The CycleGAN step against the paper's, written out without any batching; schedules; what is published."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.efficientnet_lite import FeatureNetworkError
from cyclegan_hub.models.generators import InstanceNorm2d
from cyclegan_hub.recipes.methods import CycleGANRecipe
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.cyclegan import Droplets
from cyclegan_hub.training.losses import correlation, discriminator_loss
from cyclegan_hub.training.trainer import build_trainer, learning_rate_factor
from support.tiny_trainers import LABELS, OTHER_KINDS, backward, batch, make, tiny


def assert_gradients(networks: list[nn.Module], wanted: Sequence[torch.Tensor]) -> None:
    for p, gradient in zip((p for network in networks for p in network.parameters()), wanted, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-3, atol=1e-5)


def gradients(loss: torch.Tensor, *networks: nn.Module) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(loss, [p for network in networks for p in network.parameters()], retain_graph=True)


CASES = [("smile-baseline", 0.0), ("smile-lsgan-64", 0.25), ("monet", 0.25), ("cartoon-64", 0.0), ("both-skip", 0.0)]


@pytest.mark.parametrize(("name", "negatives"), [*CASES, *((kind, 0.25) for kind in OTHER_KINDS)])
def test_batched_step_equals_the_papers_own(name: str, negatives: float) -> None:
    """Gradients of one step, each term by a pass of its own, against those of the batched step, without DiffAugment."""
    known = name in RECIPES
    changes = {} if known else OTHER_KINDS[name] | {"channels": 1}  # of which a projected discriminator makes three
    changes |= {"diffaugment": (), "source_negatives": negatives, "own_cycle": False, "cycle_a": 3.0 if negatives else None}
    recipe = tiny(name if known else "anime-compact", **changes)
    trainer, reference, data = make(recipe), make(recipe), batch(recipe)
    a, b = data["a"], data["b"]
    for key in ("d_a", "d_b"):  # in training mode, spectral norm takes a step with every pass
        trainer.networks[key].eval()
        reference.networks[key].eval()
        if recipe.discriminator != "patch":
            reference.networks[key].calibrate(torch.cat([a, b]))
    g, f, d_a, d_b = reference.networks.values()
    kind, (weight_a, weight_b) = recipe.adversarial, reference._identity_weights()

    def adversarial(logits: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return -sum(x.mean() for x in logits) / len(logits) if kind == "hinge" else discriminator_loss(kind, logits, True)

    fake_b, fake_a = g(a), f(b)
    loss_g = adversarial(d_b(fake_b)) + adversarial(d_a(fake_a))
    cycle_a = 3.0 if negatives else recipe.cycle
    loss_g = loss_g + cycle_a * F.l1_loss(f(fake_b), a) + recipe.cycle * F.l1_loss(g(fake_a), b)
    loss_g = loss_g + weight_a * F.l1_loss(f(a), a) + weight_b * F.l1_loss(g(b), b)
    loss_d = torch.zeros(())
    for d, real, fake, source in ((d_a, a, fake_a.detach(), b), (d_b, b, fake_b.detach(), a)):
        on_fake, on_source = (discriminator_loss(kind, d(x), False) for x in (fake, source))
        as_fake = (1 - negatives) * on_fake + negatives * on_source
        loss_d = loss_d + 0.5 * (discriminator_loss(kind, d(real), True) + as_fake)
    seen: list[torch.Tensor] = []

    def record(loss: torch.Tensor) -> None:
        seen.append(loss.detach())
        loss.backward()
        if len(seen) == 1:
            assert_gradients([trainer.networks["a_to_b"], trainer.networks["b_to_a"]], gradients(loss_g, g, f))
            assert all(p.grad is None for p in trainer.networks["d_a"].parameters())  # frozen in the generators' half

    losses = trainer.step(data, record)
    torch.testing.assert_close([losses["corr_a_to_b"], losses["corr_b_to_a"]], [correlation(a, fake_b), correlation(b, fake_a)])
    torch.testing.assert_close(seen, [loss_g.detach(), loss_d.detach()], rtol=1e-5, atol=1e-5)
    assert_gradients([trainer.networks["d_a"], trainer.networks["d_b"]], gradients(loss_d, d_a, d_b))


def test_totals_are_what_each_generator_is_trained_on() -> None:
    recipe = tiny("smile-compact", identity_a=2.0, identity_b=3.0, identity_start=None)
    for own in (False, True):
        losses = make(dataclasses.replace(recipe, own_cycle=own, cycle=8.0, cycle_a=2.0)).step(apart(recipe), backward)
        value = {name: loss.item() for name, loss in losses.items()}
        assert value["cycle_a"] != pytest.approx(value["cycle_b"], rel=1e-2)  # else an exchange would pass
        # cycle_a is |F(G(a)) - a|, which ends with F; cycle_b is |G(F(b)) - b|, which ends with G.
        a, b = 2 * value["cycle_a"], 8 * value["cycle_b"]
        of_g, of_f = (b, a) if own else (a + b, a + b)
        assert value["total_g"] == pytest.approx(value["g_a_to_b"] + of_g + 3 * value["identity_b"], rel=1e-5)
        assert value["total_f"] == pytest.approx(value["g_b_to_a"] + of_f + 2 * value["identity_a"], rel=1e-5)


def apart(recipe: CycleGANRecipe) -> dict[str, torch.Tensor]:
    """A batch whose two sides differ in their means."""
    return {side: 0.4 * x + shift for (side, x), shift in zip(batch(recipe).items(), (-0.5, 0.3), strict=True)}


def test_own_cycle_is_the_cycle_that_ends_with_the_generator() -> None:
    """Gradients of the listings' totals, each differentiated for its own generator alone:

    of G: adv(D_B(G(a))) + cycle |G(F(b)) - b| + identity |G(b) - b|,
    of F: adv(D_A(F(b))) + cycle |F(G(a)) - a| + identity |F(a) - a|.
    """
    assert all(RECIPES[name].own_cycle for name in ("smile-lsgan-64", "smile-lsgan-128", "anime-128", "anime-256"))
    recipe = tiny("smile-lsgan-64")
    trainer, reference, data = make(recipe), make(recipe), apart(recipe)
    with torch.no_grad():
        for networks in (trainer.networks, reference.networks):
            for p in networks["b_to_a"].parameters():
                p.mul_(1.5)  # another network than a_to_b in scale too
    g, f, d_a, d_b = reference.networks.values()
    a, b = data["a"], data["b"]
    fake_b, fake_a = g(a), f(b)
    ends_with_g, ends_with_f = F.l1_loss(g(f(b)), b), F.l1_loss(f(g(a)), a)

    def of_both(cycle_of_g: torch.Tensor, cycle_of_f: torch.Tensor) -> list[torch.Tensor]:
        kind, weight_a, weight_b = recipe.adversarial, recipe.identity_a, recipe.identity_b
        total_g = discriminator_loss(kind, d_b(fake_b), True) + recipe.cycle * cycle_of_g + weight_b * F.l1_loss(g(b), b)
        total_f = discriminator_loss(kind, d_a(fake_a), True) + recipe.cycle * cycle_of_f + weight_a * F.l1_loss(f(a), a)
        return [*gradients(total_g, g), *gradients(total_f, f)]

    generators, calls = [trainer.networks["a_to_b"], trainer.networks["b_to_a"]], []

    def record(loss: torch.Tensor) -> None:
        loss.backward()
        if not calls:
            assert_gradients(generators, of_both(ends_with_g, ends_with_f))
            with pytest.raises(AssertionError):
                assert_gradients(generators, of_both(ends_with_f, ends_with_g))
        calls.append(loss)

    losses = trainer.step(data, record)
    assert losses["cycle_b"].item() == pytest.approx(ends_with_g.item(), rel=1e-4)
    assert losses["cycle_a"].item() == pytest.approx(ends_with_f.item(), rel=1e-4)


def test_without_identity_no_pass_is_spent_on_it() -> None:
    recipe = tiny("smile-compact", identity_a=0.0, identity_b=0.0, identity_start=None)
    losses = make(recipe).step(batch(recipe), backward)
    assert "identity_a" not in losses and "identity_b" not in losses


def test_identity_weights_move_from_start_to_their_own() -> None:
    recipe = tiny("smile-compact", identity_a=1.0, identity_b=2.0, identity_start=5.0, identity_warmup=0.1)
    trainer = make(recipe, total_steps=100)
    for trainer.steps_done, weights in ((0, (5.0, 5.0)), (5, (3.0, 3.5)), (10, (1.0, 2.0)), (99, (1.0, 2.0))):
        assert trainer._identity_weights() == weights


@pytest.mark.parametrize(("decay", "expected"), [(0.0, [1, 1, 1, 1]), (0.5, [1, 1, 0.5, 0]), (1.0, [1, 0.5, 0.25, 0])])
def test_learning_rate_falls_linearly_at_the_end(decay: float, expected: list[float]) -> None:
    assert [learning_rate_factor(step, 100, decay) for step in (0, 50, 75, 100)] == pytest.approx(expected)


def test_learning_rates_of_both_optimizers_follow_the_schedule() -> None:
    recipe = tiny("smile-compact", decay=1.0, lr=1e-3, disc_lr_factor=0.5)
    trainer = make(recipe, total_steps=4)
    for i in range(4):
        rates = [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers.values()]
        assert rates == pytest.approx([1e-3 * (1 - i / 4), 5e-4 * (1 - i / 4)])
        trainer.step(batch(recipe, i), backward)
    assert trainer.optimizers["generators"].param_groups[0]["betas"] == (0.5, 0.999)


def test_without_the_wheel_projected_training_is_refused_and_plain_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    make(tiny("smile-lsgan-64"))
    with pytest.raises(FeatureNetworkError, match="pip install"):
        make(tiny("anime-compact"))


def test_norms_compute_in_fp32_under_bf16() -> None:
    """Gradients of a norm's weights, from a bf16 map, are as exact as fp32 is: in bf16 they would be off by 1e-3."""
    torch.manual_seed(0)
    norm, x = InstanceNorm2d(8), torch.randn(4, 8, 16, 16).bfloat16()
    upstream = torch.randn_like(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = norm(x)
    y.backward(upstream)
    assert y.dtype == torch.bfloat16
    reference = torch.nn.InstanceNorm2d(8, affine=True).double()
    reference(x.double()).backward(upstream.double())
    for own, exact in ((norm.weight.grad, reference.weight.grad), (norm.bias.grad, reference.bias.grad)):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own.double(), exact, rtol=1e-5, atol=1e-4)


def test_published_weights_are_the_moving_average() -> None:
    recipe = tiny("smile-compact", ema=0.999)
    trainer = make(recipe)
    own = [trainer.networks["a_to_b"].state_dict()["decoder.8.bias"].clone()]
    for i in range(3):
        trainer.step(batch(recipe, i), backward)
        own.append(trainer.networks["a_to_b"].state_dict()["decoder.8.bias"].clone())
    # Warm-up (diffusers, after k-diffusion): decay of step t is 1 - t ** (-2/3), and 0 in the first step.
    average = own[1]
    for t, value in ((2, own[2]), (3, own[3])):
        decay = 1 - t ** (-2 / 3)
        average = decay * average + (1 - decay) * value
    published = trainer.published(7)
    torch.testing.assert_close(published.a_to_b.state_dict()["decoder.8.bias"], average)
    assert (published.epoch, published.labels, published.training) == (7, LABELS, False)
    assert published.domain == "custom"  # other labels than the domain's own: tests/training/test_loop.py has those
    assert torch.equal(make(tiny("smile-compact", ema=0.0)).published(1).a_to_b.encoder[0].weight,
                       make(tiny("smile-compact", ema=0.0)).networks["a_to_b"].encoder[0].weight)  # fmt: skip


def test_publishing_and_sampling_draw_no_random_numbers() -> None:
    recipe = tiny("monet-unet")
    trainer, data = make(recipe), batch(recipe)
    before = torch.get_rng_state()
    trainer.published(1)
    trainer.samples(data["a"], data["b"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_a_snapshot_changes_no_weight(kind: str) -> None:
    """Spectral norm would move its vectors in training mode."""
    recipe = tiny("anime-compact", **OTHER_KINDS[kind])
    trainer, data = make(recipe), batch(recipe)
    before = copy.deepcopy(trainer.state_dict()["networks"])
    grids = trainer.samples(data["a"], data["b"])
    assert grids[0].rows[0][4].width > 1
    for name, state in trainer.state_dict()["networks"].items():
        assert all(torch.equal(value, before[name][key]) for key, value in state.items()), name


def test_samples_show_both_directions() -> None:
    recipe = tiny("smile-baseline")
    data = batch(recipe)
    there, back = make(recipe).samples(data["a"], data["b"])
    assert there.headings == ["day", "to night", "reconstruction", "identity", "patch map"]
    assert back.headings[:2] == ["night", "to day"]
    for grid in (there, back):
        assert [len(row) for row in grid.rows] == [5, 5]
        assert [picture.size for picture in grid.rows[0][:4]] == [(32, 32)] * 4


def test_start_from_takes_published_weights_and_refuses_others(tmp_path) -> None:
    recipe = tiny("smile-compact")
    trainer = make(recipe, seed=1)
    trainer.published(3).save_pretrained(tmp_path / "model")
    other = build_trainer(recipe, total_steps=10, labels=LABELS)
    other.start_from(str(tmp_path / "model"))
    assert torch.equal(other.networks["b_to_a"].encoder[0].weight, trainer.networks["b_to_a"].encoder[0].weight)
    for name, given in (("wide", {"width": 8, "padding": "zeros"}), ("reflect", {"width": 4, "padding": "reflect"})):
        CycleGenerator(blocks=1, **given).save_pretrained(tmp_path / name)  # the second's weights would fit
        with pytest.raises(ModelError, match=r"another architecture \(channels=3, generator=resnet, width=") as caught:
            other.start_from(str(tmp_path / name))
        assert "\n" not in str(caught.value)


# --- droplets


def excess(x: torch.Tensor) -> float:
    """What the largest value of each map (N, C, H, W) has beyond 12 deviations: summed over channels, the mean over images."""
    normal = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), correction=0, keepdim=True)
    return (normal.abs().amax((2, 3)) - 12).clamp(min=0).sum(1).mean().item()


def test_outliers_of_normalised_maps_are_summed_over_norms_and_passes_and_fall_with_the_gradient() -> None:
    first, second = norms = nn.Sequential(InstanceNorm2d(2), InstanceNorm2d(2))
    with torch.no_grad():
        first.weight[:], first.bias[:] = torch.tensor([0.5, -2.0]), torch.tensor([3.0, -1.0])
    x = torch.randn(3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    x[:2, 0, 5, 7] = torch.tensor([60.0, -40.0])
    x.requires_grad_()
    droplets = Droplets([norms])
    with torch.no_grad():
        between = first(x)
        second(between)  # samples are not counted
    norms(x), norms(x)
    found = droplets.taken()
    assert found.item() == pytest.approx(2 * (excess(x) + excess(between)), rel=1e-3) and excess(x) > 9
    found.backward()
    assert x.grad is not None and x.grad[0, 0, 5, 7] > 0 > x.grad[1, 0, 5, 7]
    norms(x)
    assert droplets.taken().item() == pytest.approx(found.item() / 2, rel=1e-3)  # each pass once


def test_a_step_with_droplets_has_their_loss_and_panel() -> None:
    recipe = dataclasses.replace(tiny("anime-compact"), droplets=0.1)
    trainer = make(recipe)
    losses = trainer.step(batch(recipe), backward)
    assert losses["droplets"].isfinite() and losses["droplets"] >= 0 and trainer.panels["droplets"] == ["droplets"]
    assert "droplets" not in make(tiny("anime-compact")).panels
