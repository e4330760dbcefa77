"""Checks the arguments for a model that draws, and puts its pictures on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from cyclegan_hub import image_grid
from cyclegan_hub.serving.downloads import READABLE
from cyclegan_hub.serving.messages import ServingError, one_line

MAX_SAMPLES = 36
MAX_STEPS = 16
MAX_SEED = 2**31 - 1
SHEET = 9  # pictures of each epoch, at most, where all epochs are shown


def sample_arguments(n: Any, seed: Any, truncation: Any) -> dict[str, Any]:
    """The arguments of `FaceGenerator.sample`. Raises ServingError for a value outside its limits."""
    return {
        "n": _whole(n, "number of pictures", 1, MAX_SAMPLES),
        "seed": _whole(seed, "seed", 0, MAX_SEED),
        "truncation": _truncation(truncation),
    }


def interpolation_arguments(seed_a: Any, seed_b: Any, steps: Any, truncation: Any) -> dict[str, Any]:
    """The arguments of `FaceGenerator.interpolate`. Raises ServingError for a value outside its limits."""
    return {
        "seed_a": _whole(seed_a, "first seed", 0, MAX_SEED),
        "seed_b": _whole(seed_b, "second seed", 0, MAX_SEED),
        "steps": _whole(steps, "number of steps", 2, MAX_STEPS),
        "truncation": _truncation(truncation),
    }


def _truncation(value: Any) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 < value < math.inf:
        raise ServingError(f"The truncation cannot be '{one_line(value)}': give a number above 0, such as 1, or leave it out.")
    return float(value)


def _whole(value: Any, what: str, least: int, most: int) -> int:
    if not _is_number(value) or not least <= value <= most or value != int(value):
        wrong = f"There is no {what}" if value is None else f"The {what} cannot be '{one_line(value)}'"
        raise ServingError(f"{wrong}: give a whole number from {least} to {most}.")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures of one size in a grid, about as wide as high; small pictures are enlarged by a whole factor."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    width, height = pictures[0].size
    factor = max(1, READABLE // max(width, height))
    return image_grid.grid(rows, cell=(width * factor, height * factor))
