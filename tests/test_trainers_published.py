"""What a trainer publishes and shows: the moving average, samples of both directions, and a start from published weights."""

from __future__ import annotations

import copy

import pytest
import torch

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.training.trainer import build_trainer
from support.tiny_trainers import LABELS, OTHER_KINDS, backward, batch, make, tiny


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
    assert published.domain == "custom"  # other labels than the domain's own: tests/test_train.py has those
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
    assert there.columns == ("day", "to night", "and back", "identity", "patch map")
    assert back.columns[:2] == ("night", "to day")
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
