"""Training methods: each file holds networks, optimizers and one `step`; this one says what a trainer is and builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from cyclegan_hub.models.hub import StrictHubMixin
from cyclegan_hub.recipes import CycleGANRecipe, Recipe

Backward = Callable[[Tensor], None]


@dataclass(frozen=True)
class Alarm:
    """Warns when the loss or measure `key` has stayed below `below` for `steps` steps in a row (on a smoothed course)."""

    key: str
    below: float
    steps: int
    message: str


class AlarmWatch:
    """Whether an alarm rings: the key's course, smoothed over about 20 steps, below the bound for `steps` steps on end.

    It rings once, and again only after the course has recovered.
    """

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        self.course: float | None = None
        self.steps_below = 0

    def update(self, value: float) -> bool:
        """Takes the value of one more step; True at the step on which the alarm rings."""
        self.course = value if self.course is None else 0.95 * self.course + 0.05 * value
        self.steps_below = self.steps_below + 1 if self.course < self.alarm.below else 0
        return self.steps_below == self.alarm.steps

    def state_dict(self) -> dict[str, Any]:
        return {"course": self.course, "steps_below": self.steps_below}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.course, self.steps_below = state["course"], state["steps_below"]


@dataclass(frozen=True)
class SampleGrid:
    """A picture for the run folder: a row for each input, labelled columns."""

    columns: tuple[str, ...]
    rows: list[list[Image.Image]]


class Trainer(Protocol):
    """Networks, optimizers and one `step`. A trainer knows no loop, no logging and no disk."""

    networks: dict[str, nn.Module]  # bare: what is saved
    optimizers: dict[str, Optimizer]
    alarms: tuple[Alarm, ...]
    panels: dict[str, list[str]]  # title -> the losses that belong in one plot

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        """Wraps networks and optimizers for devices, processes and precision (accelerate's `prepare`)."""

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        """One update of every network from {"a", "b"} (N, C, H, W) in [-1, 1]. Returns losses and measures, scalars."""

    def published(self, epoch: int | None) -> StrictHubMixin:
        """The model as it would be published now, on the CPU or the device, in evaluation mode; valid until the next call."""

    def start_from(self, source: str) -> None:
        """Takes the weights of a published model or folder instead of fresh ones. Raises ModelError where they do not fit."""

    def samples(self, a: Tensor, b: Tensor) -> list[SampleGrid]:
        """What the networks do to fixed inputs (N, C, H, W) in [-1, 1]."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs and that is the same in every process: weights, optimizers, schedules, EMA."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def own_state_dict(self) -> dict[str, Any]:
        """What each process has of its own, beside the random state and the position in the data: the image pools."""

    def load_own_state_dict(self, state: dict[str, Any]) -> None: ...


def build_trainer(recipe: Recipe, *, total_steps: int, labels: tuple[str, str]) -> Trainer:
    """The trainer of a recipe, with fresh weights from torch's global random state, for a schedule of `total_steps`."""
    match recipe:
        case CycleGANRecipe():
            from cyclegan_hub.trainers.cyclegan import CycleGANTrainer

            return CycleGANTrainer(recipe, total_steps=total_steps, labels=labels)
    raise TypeError(f"no trainer for a {type(recipe).__name__}")
