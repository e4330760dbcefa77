"""Training methods: each file holds networks, optimizers and one `step`; this one says what a trainer is and builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.training.alarms import Alarm

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
