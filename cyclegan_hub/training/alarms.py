"""Warnings of a training: a loss or measure that has stayed too low for too long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Alarm:
    """Warns when the loss or measure `key` has stayed below `below` for `steps` values in a row (on a smoothed course).

    With `rising` only while another one rises: its course over about 20 values is above that over about 200.
    """

    key: str
    below: float
    steps: int
    message: str
    rising: str | None = None


class AlarmWatch:
    """Whether an alarm rings: the key's course, smoothed over about 20 values, below the bound for `steps` values on end.

    It rings once, and again only after the course has recovered.
    """

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.course: float | None = None
        self.fast: float | None = None  # of the one that has to rise
        self.slow: float | None = None
        self.steps_below = 0

    def update(self, values: Mapping[str, float]) -> bool:
        """Takes the values of one more step, which need not hold the key; True at the step on which the alarm rings."""
        alarm = self.alarm
        if alarm.key not in values:
            return False
        self.course = _average(self.course, values[alarm.key], 0.05)
        below = self.course < alarm.below
        if alarm.rising is not None:
            self.fast = _average(self.fast, values[alarm.rising], 0.05)
            self.slow = _average(self.slow, values[alarm.rising], 0.005)
            below = below and self.fast > self.slow
        self.steps_below = self.steps_below + 1 if below else 0
        return self.steps_below == alarm.steps

    def state_dict(self) -> dict[str, Any]:
        return {"course": self.course, "fast": self.fast, "slow": self.slow, "steps_below": self.steps_below}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.course, self.steps_below = state["course"], state["steps_below"]
        self.fast, self.slow = state.get("fast"), state.get("slow")  # a state of 0.1.0's first runs has none


def _average(before: float | None, value: float, share: float) -> float:
    return value if before is None else (1 - share) * before + share * value
