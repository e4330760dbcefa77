"""Results of the Studio; a translation is shown as before and after at one size, as sharp as the given file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cyclegan_hub.serving.model_info import EpochChoice

SHOWN = 768  # longer side of a shown picture in px, at most
LEAST = 512  # longer side of a shown picture in px, at least: a small result is enlarged to it


class Shown(NamedTuple):
    """Pictures of one size, RGB, to be looked at side by side."""

    before: Image.Image
    after: Image.Image
    back: Image.Image | None


@dataclass(frozen=True)
class Result:
    """A translation: RGB pictures."""

    before: Image.Image  # the model's input, at the size of `after`
    after: Image.Image
    notes: tuple[str, ...]  # sentences for the reader
    epoch: EpochChoice
    given: Image.Image  # the picture at the file's own size; cropped to the face if that was asked for
    back: Image.Image | None = None  # `after` translated back, from `Studio.cycle`

    def shown(self, as_model_sees: bool = False) -> Shown:
        """Before and after at one size: the input from the file, the result enlarged by Lanczos.

        With `as_model_sees` they are the model's input and output, enlarged so that each pixel can be seen.
        """
        size = shown_size(self.given.size, self.after.size)
        how = Image.Resampling.NEAREST if as_model_sees else Image.Resampling.LANCZOS
        before = (self.before if as_model_sees else self.given).resize(size, how)
        return Shown(before, self.after.resize(size, how), None if self.back is None else self.back.resize(size, how))


@dataclass(frozen=True)
class Batch:
    """Several translations."""

    pictures: list[tuple[str, Image.Image]]  # (name in the zip, thumbnail) of the first results
    zip: Path | None  # all results; None if there is none
    errors: list[str]  # a line for each file that was left out, with the reason
    done: int  # number of results in the zip


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
