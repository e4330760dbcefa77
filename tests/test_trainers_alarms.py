"""Alarms: when they ring, and that a trainer measures what they watch."""

from __future__ import annotations

import pytest
import torch

from cyclegan_hub.training.trainer import Alarm, AlarmWatch
from support.tiny_trainers import backward, batch, make, tiny


def test_alarm_rings_once_after_a_sustained_time_and_again_after_recovery() -> None:
    watch = AlarmWatch(Alarm("x", below=0.0, steps=10, message=""))
    assert not any(watch.update({"x": -1.0}) for _ in range(9))
    assert not watch.update({"y": 1.0})  # a step without it
    assert watch.update({"x": -1.0})
    assert not any(watch.update({"x": -1.0}) for _ in range(50))
    assert not any(watch.update({"x": 1.0}) for _ in range(50))
    assert sum(watch.update({"x": -1.0}) for _ in range(50)) == 1


def test_alarm_may_ask_that_another_value_rises() -> None:
    alarm = Alarm("d", below=0.1, steps=50, message="", rising="g")
    for slope, rings in ((0.01, 1), (0.0, 0), (-0.01, 0)):
        watch = AlarmWatch(alarm)
        assert sum(watch.update({"d": 0.05, "g": 5 + slope * i}) for i in range(500)) == rings
    watch = AlarmWatch(alarm)
    assert not any(watch.update({"d": 0.5, "g": 5 + 0.01 * i}) for i in range(500))


def test_alarm_state_round_trips() -> None:
    first, second = (AlarmWatch(Alarm("x", 0.0, 10, "")) for _ in range(2))
    for _ in range(6):
        first.update({"x": -1.0})
    second.load_state_dict(first.state_dict())
    assert [second.update({"x": -1.0}) for _ in range(5)] == [False, False, False, True, False]


def test_colour_inversion_is_measured() -> None:
    """A generator that negates its input has correlation -1; the trainer's alarms watch that very key."""
    recipe = tiny("smile-compact")
    trainer = make(recipe)
    trainer.a_to_b = _Negative(trainer.networks["a_to_b"])
    losses = trainer.step(batch(recipe), backward)
    assert losses["corr_a_to_b"].item() == pytest.approx(-1, abs=1e-5)
    assert {alarm.key for alarm in trainer.alarms} == {"corr_a_to_b", "corr_b_to_a"}


class _Negative(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x + 0 * self.network(x)  # keeps every weight in the graph
