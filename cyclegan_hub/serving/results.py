"""What the Studio hands back, and how a translation is shown: before and after at one size, as sharp as the file was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cyclegan_hub.serving.model_info import EpochChoice

SHOWN = 768  # px of the longer side of a picture that is shown, at most
LEAST = 512  # px of it at least: a result of 64 px is enlarged to this, beside a photograph that is as small


class Shown(NamedTuple):
    """Pictures of one size, RGB, to be looked at side by side."""

    before: Image.Image
    after: Image.Image
    back: Image.Image | None


@dataclass(frozen=True)
class Result:
    """A translation: RGB pictures."""

    before: Image.Image  # as the model was given it; of the size of `after`
    after: Image.Image
    notes: tuple[str, ...]  # sentences for the reader
    epoch: EpochChoice
    given: Image.Image  # as the file has it, at its own size; cut to the face where that was asked for
    back: Image.Image | None = None  # `after` translated back, from `Studio.cycle`

    def shown(self, as_model_sees: bool = False) -> Shown:
        """Before and after at one size: the input from the file, the result enlarged by Lanczos.

        With `as_model_sees` both are what the model is given and makes, enlarged so that each pixel can be seen.
        """
        size = shown_size(self.given.size, self.after.size)
        how = Image.Resampling.NEAREST if as_model_sees else Image.Resampling.LANCZOS
        before = (self.before if as_model_sees else self.given).resize(size, how)
        return Shown(before, self.after.resize(size, how), None if self.back is None else self.back.resize(size, how))


@dataclass(frozen=True)
class Batch:
    """Several translations."""

    pictures: list[tuple[str, Image.Image]]  # name in the zip, thumbnail: of the first ones
    zip: Path | None  # all results; None if there is none
    errors: list[str]  # a line for each file that was left out: which, and why
    done: int  # results in the zip


@dataclass(frozen=True)
class Samples:
    """Pictures that a model drew by one epoch: RGB, of one size."""

    pictures: list[Image.Image]
    epoch: EpochChoice


def shown_size(given: tuple[int, int], result: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in px at which a picture of the size `given` and its result are shown: the shape of `given`."""
    wanted = min(SHOWN, max(LEAST, *given, *result))
    scale = wanted / max(given)
    return max(1, round(given[0] * scale)), max(1, round(given[1] * scale))
