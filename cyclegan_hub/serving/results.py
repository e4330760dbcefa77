"""Results of the Studio; a translation is shown as before and after at one size, as sharp as the given file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cyclegan_hub import decoding
from cyclegan_hub.serving.model_info import EpochChoice

SHOWN = 768  # longer side of a shown picture in px, at most
NAMED = 5  # files that are named in a note, at most
LEAST = 512  # longer side of a shown picture in px, at least: a small result is enlarged to it


class Shown(NamedTuple):
    """Pictures of one size, RGB, to be looked at side by side."""

    before: Image.Image
    after: Image.Image
    back: Image.Image | None


@dataclass(frozen=True)
class Result:
    """A translation: RGB pictures, `after` with an alpha channel (RGBA) where it has the frame of a picture with one."""

    before: Image.Image  # what `after` shows, at its size, before it was translated: an aligned face, or the whole picture
    after: Image.Image
    notes: tuple[str, ...]  # sentences for the reader
    epoch: EpochChoice
    given: Image.Image  # the same as `before`, as sharp as the file is
    inputs: tuple[Image.Image, ...] = ()  # what the network saw: one picture, or a square for each face
    outputs: tuple[Image.Image, ...] = ()  # what it made of them
    back: Image.Image | None = None  # the reconstruction in the frame of `after`, from `Studio.cycle`
    reconstructions: tuple[Image.Image, ...] = ()  # what the network of the other direction made of `outputs`

    def shown(self, as_model_sees: bool = False) -> Shown:
        """Before and after at one size: the input from the file, the result enlarged by Lanczos.

        With `as_model_sees` the model's inputs and outputs, enlarged so that each pixel can be seen; several side by side.
        """
        if as_model_sees and self.inputs:
            before, after, back = (_row(row) if row else None for row in (self.inputs, self.outputs, self.reconstructions))
            alike = len(self.inputs) == 1 and self.before.size == self.outputs[0].size
        else:
            before, after, back = (one and decoding.decode(one) for one in (self.given, self.after, self.back))
            alike = True
        assert before is not None and after is not None
        size = shown_size(self.given.size if alike else before.size, after.size)
        how = Image.Resampling.NEAREST if as_model_sees else Image.Resampling.LANCZOS
        return Shown(before.resize(size, how), after.resize(size, how), back and back.resize(size, how))

    def histogram(self) -> Image.Image:
        """A picture of the colour histograms of `before` and `after`, one above the other."""
        from cyclegan_hub.plots import colour_histograms

        return colour_histograms(self.before, decoding.decode(self.after))


def coloured(picture: Image.Image) -> Image.Image:
    """A picture in RGB, or RGBA if it has an alpha channel."""
    return picture.convert("RGBA" if picture.mode in ("LA", "RGBA") else "RGB")


def _row(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size side by side."""
    row = Image.new("RGB", (sum(one.width for one in pictures), pictures[0].height))
    for i, one in enumerate(pictures):
        row.paste(one, (i * one.width, 0))
    return row


@dataclass(frozen=True)
class Batch:
    """Several translations."""

    pictures: list[tuple[str, Image.Image]]  # (name in the zip, thumbnail) of the first results
    zip: Path | None  # all results; None if there is none
    errors: list[str]  # a line for each file that was left out, with the reason
    notes: dict[str, list[str]]  # what there is to say of results, and the names of the files of which it is said
    done: int  # number of results in the zip

    @property
    def lines(self) -> list[str]:
        """The notes as lines."""
        found = []
        for note, names in self.notes.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            found.append(f"{', '.join(names[:NAMED])}{more}: {note}")
        return found


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
