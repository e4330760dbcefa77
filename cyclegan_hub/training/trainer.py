"""What a trainer is (networks, optimizers and one `step`), and the trainer of a recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from cyclegan_hub.models.protocols import Examples, Published
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe

if TYPE_CHECKING:  # slow to import, and not needed before something is trained
    from diffusers.training_utils import EMAModel

Backward = Callable[[Tensor], None]


class Trainer(ABC):
    """Networks, optimizers and one `step`. A trainer knows no loop, no logging and no disk."""

    alarms: tuple[Alarm, ...] = ()  # the warnings that the losses may trigger
    panels: dict[str, list[str]]  # title of a plot -> the losses that it shows
    networks: dict[str, nn.Module]  # bare: what is saved
    optimizers: dict[str, Optimizer]
    ema: EMAModel | None = None  # the moving average of what is published

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(next(iter(self.networks.values())).parameters()).device

    @abstractmethod
    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        """Wraps networks and optimizers for devices, processes and precision (accelerate's `prepare`)."""

    @abstractmethod
    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        """One update of every network from {"a", "b"}, or {"a"} for a method of one image set, (N, C, H, W) in [-1, 1].

        Returns losses and measures, scalars; a measure that is not taken at this step is left out.
        """

    @abstractmethod
    def published(self, epoch: int | None) -> Published:
        """The model as it would be published now, on the networks' device, in evaluation mode; valid until the next call."""

    @abstractmethod
    def start_from(self, source: str) -> None:
        """Loads the weights of a published model or folder. Raises ModelError where they do not fit."""

    @abstractmethod
    def samples(self, *held_out: Tensor) -> list[Examples]:
        """The networks' outputs for held-out images of each domain, (N, C, H, W) in [-1, 1], as image grids."""

    def state_dict(self) -> dict[str, Any]:
        """The part of the state that is the same in every process: weights, optimizers, schedules, EMA."""
        parts: dict[str, Mapping[str, Any]] = {"networks": self.networks, "optimizers": self.optimizers}
        return {kind: {name: part.state_dict() for name, part in some.items()} for kind, some in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name], strict=True)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.ema:
            self.ema.load_state_dict(state["ema"])
            self.ema.to(device=self.device)

    def own_state_dict(self) -> dict[str, Any]:
        """The part of the state that each process has of its own: the image pools."""
        return {}

    def load_own_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 (nothing to load)
        """Loads what `own_state_dict` returned."""


def moving_average(parameters: Iterable[nn.Parameter], decay: float) -> EMAModel | None:
    """The EMA of weights that have reached their device and are the same in every process; None for a decay of 0."""
    from diffusers.training_utils import EMAModel

    return EMAModel(parameters, decay=decay, use_ema_warmup=True, power=2 / 3, foreach=True) if decay else None


@dataclass(frozen=True)
class Alarm:
    """A warning: the moving average of the loss or measure `key` has stayed below `below` for `steps` values in a row.

    With `rising` only while another one rises: its average over about 20 values is above that over about 200.
    """

    key: str
    below: float
    steps: int
    message: str
    rising: str | None = None


class AlarmWatch:
    """Decides when an alarm is raised: the moving average over about 20 values is below its bound for `steps` values in a row.

    It is raised once, and again only after the average has recovered.
    """

    def __init__(self, alarm: Alarm) -> None:
        self.alarm, self.steps_below = alarm, 0
        self.average: float | None = None
        self.fast: float | None = None  # of the loss that has to rise
        self.slow: float | None = None

    def update(self, values: Mapping[str, float]) -> bool:
        """Takes the values of one more step, which need not hold the key; True at the step at which the alarm is raised."""
        alarm = self.alarm
        if alarm.key not in values:
            return False
        self.average = _average(self.average, values[alarm.key], 0.05)
        below = self.average < alarm.below
        if alarm.rising is not None:
            self.fast = _average(self.fast, values[alarm.rising], 0.05)
            self.slow = _average(self.slow, values[alarm.rising], 0.005)
            below = below and self.fast > self.slow
        self.steps_below = self.steps_below + 1 if below else 0
        return self.steps_below == alarm.steps

    def state_dict(self) -> dict[str, Any]:
        return {"course": self.average, "fast": self.fast, "slow": self.slow, "steps_below": self.steps_below}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average, self.steps_below = state["course"], state["steps_below"]
        self.fast, self.slow = state.get("fast"), state.get("slow")  # a state of 0.1.0's first runs has none


def _average(before: float | None, value: float, share: float) -> float:
    return value if before is None else (1 - share) * before + share * value


def adam(parameters: Iterable[nn.Parameter], lr: float) -> Adam:
    """The optimizer of every network here."""
    return Adam(parameters, lr=lr, betas=(0.5, 0.999), fused=True)  # betas as in all three papers


def learning_rate_factor(step: int, total_steps: int, decay: float) -> float:
    """The factor of the learning rate after `step` steps: 1, then over the last `decay` of the schedule linearly to 0."""
    length = decay * total_steps
    return min(1.0, max(0.0, total_steps - step) / length) if length else 1.0


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
