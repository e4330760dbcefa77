"""The one reader of a run's `history.jsonl`."""

from __future__ import annotations

import json
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
