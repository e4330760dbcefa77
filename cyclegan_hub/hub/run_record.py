"""The one reader of a run's `recipe.json`: what was trained, on what, from which command line."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypedDict, cast

from cyclegan_hub.errors import UserError


class RunRecordError(UserError):
    """A `recipe.json` that is not of the form that training writes; the message names it, what is wrong and the remedy."""


class RunRecord(TypedDict, total=False):
    """What training writes before its first step. Other keys may be there, of an older or a newer version."""

    recipe: dict[str, Any]  # every field of the recipe, with its name
    labels: list[str]  # of A and B, of input and output, or the one of what is drawn
    data: dict[str, str]  # a line for each pile: {"a": ..., "b": ...}, or {"a": ...} for one pile or pairs
    seed: int
    init: str | None  # the weights that the run started from
    fingerprints: dict[str, str]  # of the images of each side, as `data.load_sides.Side` has them
