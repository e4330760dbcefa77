"""Training methods: each file holds networks, optimizers and one `step`; this one says what a trainer is and builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe

Backward = Callable[[Tensor], None]


@dataclass(frozen=True)
class SampleGrid:
    """A picture for the run folder: a row for each input, labelled columns."""

    columns: tuple[str, ...]
    rows: list[list[Image.Image]]


class Trainer(Protocol):
    """Networks, optimizers and one `step`. A trainer knows no loop, no logging and no disk."""

    networks: dict[str, nn.Module]  # bare: what is saved
    optimizers: dict[str, Optimizer]

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """What is watched during the training."""

    @property
    def panels(self) -> dict[str, list[str]]:
        """Title of a plot -> the losses that belong in it."""

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        """Wraps networks and optimizers for devices, processes and precision (accelerate's `prepare`)."""

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        """One update of every network from {"a", "b"}, or {"a"} alone for a method of one pile, (N, C, H, W) in [-1, 1].

        Returns losses and measures, scalars; one that is not taken at every step is left out at the others.
        """

    def published(self, epoch: int | None) -> StrictHubMixin:
        """The model as it would be published now, on the CPU or the device, in evaluation mode; valid until the next call."""

    def start_from(self, source: str) -> None:
        """Takes the weights of a published model or folder instead of fresh ones. Raises ModelError where they do not fit."""

    def samples(self, *held_out: Tensor) -> list[SampleGrid]:
        """What the networks do to fixed inputs of each side, (N, C, H, W) in [-1, 1]."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs and that is the same in every process: weights, optimizers, schedules, EMA."""

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def own_state_dict(self) -> dict[str, Any]:
        """What each process has of its own, beside the random state and the position in the data: the image pools."""

    def load_own_state_dict(self, state: dict[str, Any]) -> None: ...


# Warnings of a training: a loss or measure that has stayed too low for too long.


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


# The trainer of a recipe.


def build_trainer(recipe: Recipe, *, total_steps: int, labels: tuple[str, ...]) -> Trainer:
    """The trainer of a recipe, with fresh weights from torch's global random state, for a schedule of `total_steps`."""
    match recipe:
        case CycleGANRecipe():
            from cyclegan_hub.training.cyclegan import CycleGANTrainer

            return CycleGANTrainer(recipe, total_steps=total_steps, labels=labels)
        case DCGANRecipe():
            from cyclegan_hub.training.dcgan import DCGANTrainer

            return DCGANTrainer(recipe, total_steps=total_steps, labels=labels)
        case Pix2PixRecipe():
            from cyclegan_hub.training.pix2pix import Pix2PixTrainer

            return Pix2PixTrainer(recipe, total_steps=total_steps, labels=labels)
