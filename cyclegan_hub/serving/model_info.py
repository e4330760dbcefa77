"""The models and epochs between which a visitor chooses, with their texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyclegan_hub.domains import Eyes
from cyclegan_hub.hub.run_record import RunRecord
from cyclegan_hub.models.protocols import arrow
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule
from cyclegan_hub.serving.messages import ServingError, one_line

Origin = Literal["bundled", "folder", "Hub", "cache"]


@dataclass(frozen=True)
class EpochChoice:
    """One published epoch of a domain."""

    name: str  # "epoch-025", or "main" where there are no epochs
    number: int | None  # None for "main"
    label: str  # "Epoch 25 · best"; "· last" where no epoch was measured
    best: bool  # whether it is used if no epoch is given


@dataclass(frozen=True)
class DomainChoice:
    """One model of the page."""

    name: str  # "smile"
    title: str  # "Smile"
    labels: tuple[str, ...]  # of A and of B, or the one label of a model that draws; without angle brackets
    original_size: bool  # whether a translation at the picture's own size is offered
    image_size: int  # side in px of its training images
    source: str  # a folder's name, or a repository
    origin: Origin
    licence: str  # terms of the training images, in words
    redistributable: bool  # whether all training images may be passed on
    kind: str = "cyclegan"  # the method: "cyclegan", "pix2pix" or "dcgan"
    directions: tuple[str, ...] = ("a_to_b", "b_to_a")  # or ("a_to_b",); ("samples",) for a model that draws
    eyes_a: Eyes | None = None  # where the eyes lie in the inputs of `a_to_b`, which are aligned faces; None: any pictures
    eyes_b: Eyes | None = None  # the same of `b_to_a`
    portraits: bool = False  # whether its domain is of faces, aligned or not: they are its examples
    skip: bool = False  # whether its output is its input plus a change, so that a strength is offered
    channels: int = 3  # 1: grey
    rule: PairRule = PAIR_RULES["given"]  # how the network's input is derived from a picture
    started_from: str = ""  # the model whose weights its training started from; "": random weights
    value_range: tuple[int, int] | None = None  # of 16-bit pictures: what is black and what is white

    @property
    def draws(self) -> bool:
        """Whether it draws pictures from seeds, instead of translating pictures."""
        return self.directions == ("samples",)

    @property
    def enlarges(self) -> int:
        """How many times as large as its input a translation is."""
        return self.rule.scale if self.rule.enlarges else 1

    @property
    def faces(self) -> bool:
        """Whether the inputs of `a_to_b` are aligned faces."""
        return self.takes_faces("a_to_b")

    def eyes(self, direction: str) -> Eyes | None:
        """Where the eyes lie in the inputs of a direction, in shares of the side; None where they are any pictures."""
        return {"a_to_b": self.eyes_a, "b_to_a": self.eyes_b}.get(direction)

    def takes_faces(self, direction: str) -> bool:
        """Whether the inputs of a direction are aligned faces."""
        return self.eyes(direction) is not None

    def arrow(self, direction: str) -> str:
        """ "not smiling → smiling" for a_to_b, the other way round for b_to_a; "noise → face" for samples."""
        return f"noise → {self.labels[0]}" if self.draws else arrow(direction, self.labels)


@dataclass(frozen=True)
class Published:
    """All that is known about a model of the page before it is loaded."""

    choice: DomainChoice
    epochs: tuple[EpochChoice, ...]  # ascending, never empty
    where: str  # argument of `checkpoints.load`
    revisions: dict[str, str]  # epoch -> a text that changes when its weights are replaced
    statement: str  # intended use, limits, data and licence, as Markdown
    metrics: dict[str, Any] | None  # metrics.json
    run: RunRecord | None  # recipe.json
    page: str | None  # its address on the Hub
    sample: Path | None = None  # samples.png: examples of its outputs
    failures: tuple[str, ...] = ()  # known failures of these weights, a sentence each

    def epoch(self, wanted: Any) -> EpochChoice:
        """The epoch for 25, 25.0, "25" or "epoch-025"; for "main", "" or None the best one. Raises ServingError for any other."""
        if wanted in (None, "", "main"):
            return next((epoch for epoch in self.epochs if epoch.best), self.epochs[-1])
        for epoch in self.epochs:
            if wanted == epoch.name or (not isinstance(wanted, bool) and epoch.number is not None and wanted == epoch.number):
                return epoch
            if isinstance(wanted, str) and wanted.isdecimal() and int(wanted[:9]) == epoch.number:
                return epoch
        numbers = [str(epoch.number) for epoch in self.epochs if epoch.number is not None]
        remedy = f"there are: {', '.join(numbers)}." if numbers else "it has only one: leave the epoch out."
        raise ServingError(f"{self.choice.title} has no epoch '{one_line(wanted)}'; {remedy}")
