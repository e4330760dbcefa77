"""Differences between the trainings of compared models: fields of the recipes, hours, and number of images seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclegan_hub.evaluation.inputs import Source
from cyclegan_hub.evaluation.tables import Rows
from cyclegan_hub.hub.history_file import training_time

_ALWAYS = ("name", "image_size", "channels")  # these have rows of their own, even if they are equal
_UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Cost:
    """The cost of a training: `hours` of computing, and `seen`, the number of pairs or images; None if not recorded."""

    hours: float | None
    seen: int | None


def training_cost(folder: Path, recipe: Mapping[str, Any]) -> Cost:
    """The cost from a run's `history.jsonl`. Each line holds the mean speed since the line before; damaged lines are ignored."""
    try:
        lines = [_line(text) for text in (folder / "history.jsonl").read_text("utf-8").splitlines()]
    except OSError:
        return Cost(None, None)
    ranks = [len(list(state.glob("rank-*.safetensors"))) for state in folder.glob("state/step-*")]
    batch = recipe.get("batch_size", 1) * max(ranks, default=1)
    seconds, steps = training_time(lines, batch)
    return Cost(seconds / 3600, steps * batch) if steps else Cost(None, None)


def _line(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else {}


def _seen(cost: Cost, source: Source) -> str:
    return _UNKNOWN if cost.seen is None else f"{cost.seen:,} {source.model.batch_unit}"


def differences(sources: Sequence[Source]) -> Rows:
    """A table with a column for each source: recipe, size, hours, images seen, and every field in which the recipes differ."""
    recipes = [source.recipe for source in sources]
    costs = [training_cost(Path(source.text), source.recipe) for source in sources]
    rows = [
        ["training", *(source.name for source in sources)],
        ["recipe", *(str(recipe.get("name", _UNKNOWN)) for recipe in recipes)],
        ["px", *(str(source.model.image_size) for source in sources)],
        ["channels", *(str(source.model.channels) for source in sources)],
        ["hours", *(_UNKNOWN if cost.hours is None else f"{cost.hours:.2f}" for cost in costs)],
        ["seen", *map(_seen, costs, sources)],
    ]
    for name in dict.fromkeys(name for recipe in recipes for name in recipe):
        values = [json.dumps(recipe[name]) if name in recipe else "" for recipe in recipes]
        if name not in _ALWAYS and len({value for value, recipe in zip(values, recipes, strict=True) if recipe}) > 1:
            rows.append([name, *values])
    return rows
