"""The one reader of a run's `history.jsonl`, and the training time computed from its speeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclegan_hub.errors import UserError


class HistoryError(UserError):
    """A `history.jsonl` with a line that cannot be read."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`; empty without that file. An incomplete last line, left by a killed process, is ignored.

    Raises HistoryError for any other damaged line.
    """
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    parsed = []
    for i, line in enumerate(lines):
        try:
            parsed.append(json.loads(line))
        except ValueError:
            if i < len(lines) - 1:
                raise HistoryError(f"{path}: line {i + 1} is damaged: mend or move the file") from None
    return parsed


def training_time(lines: Iterable[Mapping[str, Any]], batch: int) -> tuple[float, int]:
    """Returns (seconds of computing, steps) of a history. Each line holds the mean speed since the line before it.

    `batch`: pairs or images in one step of all processes together. The time between two runs of the command does not count.
    (0.0, 0) if no line holds a speed.
    """
    seconds, before = 0.0, 0
    for line in lines:
        if line.get("pairs_per_s"):
            seconds += (line["step"] - before) * batch / line["pairs_per_s"]
            before = line["step"]
    return seconds, before
