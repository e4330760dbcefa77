"""The one reader of a run's `history.jsonl`, and what its speeds say of the time that was spent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cyclegan_hub.errors import UserError


class HistoryError(UserError):
    """A `history.jsonl` with a line that cannot be read."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`, none if there is no file; a torn one at the end, which a kill can leave, is passed over.

    Raises HistoryError for a damaged line elsewhere.
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
    """(seconds of computing, steps) of a history, each line of which holds the speed since the one before.

    `batch`: pairs or images in a step of all processes. Stops between two runs of the command do not count; (0.0, 0) where no
    line holds a speed.
    """
    seconds, before = 0.0, 0
    for line in lines:
        if line.get("pairs_per_s"):
            seconds += (line["step"] - before) * batch / line["pairs_per_s"]
            before = line["step"]
    return seconds, before
