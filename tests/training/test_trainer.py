"""Every recipe trains, saves, resumes and is published; alarms."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from cyclegan_hub.models import auto as published
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.run_folder import pack, unpack
from cyclegan_hub.training.trainer import Alarm, AlarmWatch
from support.tiny_trainers import OTHER_KINDS, backward, batch, make, tiny

# Of recipes that differ in these alone one is trained: a trainer does not see them, they are weights, or KINDS differ in them.
OTHERS = {"name", "domain", "side", "epochs", "snapshot_every", "steps_per_epoch", "eyes", "eyes_a", "eyes_b", "flip", "balance",
          "equal_sides", "cycle", "source_negatives", "padding"}  # fmt: skip
DISTINCT = {
    str([(field, value) for field, value in dataclasses.asdict(tiny(name)).items() if field not in OTHERS]): name
    for name in reversed(RECIPES)
}
KINDS = {("anime-compact", kind): changes for kind, changes in OTHER_KINDS.items()} | {
    ("monet-compact", "noise"): {"noise": True},
    ("faces-dcgan-64", "averaged"): {"ema": 0.9},
}


@pytest.mark.parametrize(("name", "kind"), [*((name, None) for name in DISTINCT.values()), *KINDS])
def test_every_recipe_trains_saves_resumes_and_loads(name: str, kind: str | None, tmp_path) -> None:
    recipe = tiny(name, **KINDS.get((name, kind), {}))
    trainer = make(recipe)
    before = {n: [p.clone() for p in network.parameters()] for n, network in trainer.networks.items()}
    losses = trainer.step(batch(recipe), backward)
    assert all(value.ndim == 0 and math.isfinite(value) for value in losses.values())
    assert {key for keys in trainer.panels.values() for key in keys} == set(losses)
    assert {alarm.key for alarm in trainer.alarms} <= set(losses)
    for n, network in trainer.networks.items():
        # Of a hinge within its margins, real and fake images pull the bias of the logits by exactly as much: that one may rest.
        free = [not (getattr(recipe, "adversarial", "") == "hinge" and p.shape == (1,)) for p in network.parameters()]
        moved = [not torch.equal(old, new) for old, new in zip(before[n], network.parameters(), strict=True)]
        moved = [moves for moves, judged in zip(moved, free, strict=True) if judged]
        assert all(moved), f"{n}: {moved.count(False)} weights did not move"

    # A second trainer with other weights resumes from the state alike.
    (tmp_path / "state").write_bytes(pack([trainer.state_dict(), trainer.own_state_dict(), torch.get_rng_state()]))
    first = trainer.step(batch(recipe, 2), backward)
    other = make(recipe, seed=9)
    shared, own, random = unpack(tmp_path / "state")
    other.load_state_dict(shared)
    other.load_own_state_dict(own)
    torch.set_rng_state(random)
    second = other.step(batch(recipe, 2), backward)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}
    for n, network in trainer.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, other.networks[n].state_dict()[key])
    model = trainer.published(1)
    for one, two in zip(model.parameters(), other.published(1).parameters(), strict=True):
        assert torch.equal(one, two)

    # What is published loads strictly, as the class that it says it is, and equal.
    model.save_pretrained(tmp_path / "model")
    loaded = published.from_pretrained(tmp_path / "model")
    assert type(loaded) is type(model) and loaded.config == model.config and loaded.labels == tuple(trainer.labels)
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])


def test_losses_are_fp32_under_bf16() -> None:
    recipe = tiny("anime-compact")
    trainer = make(recipe)

    def autocast(network: torch.nn.Module) -> torch.nn.Module:
        network.forward = torch.autocast("cpu", dtype=torch.bfloat16)(network.forward)
        return network

    trainer.prepare(lambda x: autocast(x) if isinstance(x, torch.nn.Module) else x)
    assert trainer.a_to_b(batch(recipe)["a"]).dtype == torch.bfloat16
    losses = trainer.step(batch(recipe), backward)
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_alarm_rings_once_after_a_sustained_time_and_again_after_recovery() -> None:
    watch = AlarmWatch(Alarm("x", below=0.0, steps=10, message=""))
    assert not any(watch.update({"x": -1.0}) for _ in range(9))
    assert not watch.update({"y": 1.0})  # a step without it
    assert watch.update({"x": -1.0})
    assert not any(watch.update({"x": -1.0}) for _ in range(50))
    assert not any(watch.update({"x": 1.0}) for _ in range(50))
    assert sum(watch.update({"x": -1.0}) for _ in range(50)) == 1


@pytest.mark.parametrize(("d", "slope", "rings"), [(0.05, 0.01, 1), (0.05, 0.0, 0), (0.05, -0.01, 0), (0.5, 0.01, 0)])
def test_alarm_may_ask_that_another_value_rises(d: float, slope: float, rings: int) -> None:
    watch = AlarmWatch(Alarm("d", below=0.1, steps=50, message="", rising="g"))
    assert sum(watch.update({"d": d, "g": 5 + slope * i}) for i in range(500)) == rings


def test_alarm_state_round_trips() -> None:
    first, second = (AlarmWatch(Alarm("x", 0.0, 10, "")) for _ in range(2))
    for _ in range(6):
        first.update({"x": -1.0})
    second.load_state_dict(first.state_dict())
    assert [second.update({"x": -1.0}) for _ in range(5)] == [False, False, False, True, False]
