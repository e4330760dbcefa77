"""What the page chooses between, in words to show: models and their epochs; and text from files and errors, made safe to show."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    best: bool  # whether it is the one that is taken when none is named


@dataclass(frozen=True)
class DomainChoice:
    """One model of the page."""

    name: str  # "smile"
    title: str  # "Smile"
    labels: tuple[str, ...]  # of A and of B, or of the one thing that is drawn; no angle brackets in them
    faces: bool  # whether what `a_to_b` is given should be human faces
    original_size: bool  # whether translating at the picture's own size makes sense
    image_size: int  # shorter side in pixels that it was trained at
    source: str  # what is loaded: a folder's name, or a repository
    origin: Origin
    licence: str  # terms of the training images, in words
    redistributable: bool  # whether those of all its piles may be passed on
    kind: str = "cyclegan"  # the method it was trained by, as its recipes are called
    directions: tuple[str, ...] = ("a_to_b", "b_to_a")  # without a way back ("a_to_b",); of a model that draws ("samples",)
    faces_b: bool = False  # whether what `b_to_a` is given should be human faces, too
    rule: PairRule = PAIR_RULES["given"]  # how inputs are derived from what is given
    started_from: str = ""  # which model its training began with, if not with noise

    value_range: tuple[int, int] | None = None  # of 16-bit pictures: what is black and what is white

    @property
    def draws(self) -> bool:
        """Whether it draws pictures of its own, from seeds, instead of translating what it is given."""
        return self.directions == ("samples",)

    @property
    def enlarges(self) -> int:
        """How many times as large a translation is as the picture that it is made of."""
        return self.rule.scale if self.rule.enlarges else 1

    def takes_faces(self, direction: str) -> bool:
        """Whether what this direction is given should be a human face."""
        return {"a_to_b": self.faces, "b_to_a": self.faces_b}.get(direction, False)

    def arrow(self, direction: str) -> str:
        """ "not smiling → smiling" for a_to_b, the other way round for b_to_a; "noise → face" for samples."""
        return f"noise → {self.labels[0]}" if self.draws else arrow(direction, self.labels)


@dataclass(frozen=True)
class Published:
    """What is known of one model of the page before it is loaded."""

    choice: DomainChoice
    epochs: tuple[EpochChoice, ...]  # ascending, never empty
    where: str  # what `checkpoints.load` takes
    revisions: dict[str, str]  # of each epoch: another one when its weights are replaced
    statement: str  # which text of model_cards/ holds for it
    metrics: dict[str, Any] | None  # metrics.json
    run: RunRecord | None  # recipe.json
    page: str | None  # its address on the Hub
    sample: Path | None = None  # samples.png: what it makes of free pictures
    failures: tuple[str, ...] = ()  # what is known to go wrong with these very weights, a sentence each

    def epoch(self, wanted: Any) -> EpochChoice:
        """The epoch that is meant by 25, 25.0, "25", "epoch-025", "main" or nothing. ServingError lists those there are."""
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
