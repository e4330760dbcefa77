"""The figures of one subject, row by row of `metric_rows`.

What cannot be computed is None, and a note says why: one figure that does not exist takes none of the others with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cyclegan_hub.evaluation.metric_functions import Found
from cyclegan_hub.evaluation.metric_rows import METRICS, Metric
from cyclegan_hub.evaluation.subject import Classifier, Subject

Figures = dict[str, float | None]


@dataclass
class Notes:
    """Why figures are missing, a line each."""

    lines: list[str] = field(default_factory=list)

    def attempt(self, where: str, names: Sequence[str], compute: Callable[[], Sequence[float | None]]) -> Figures:
        """The values of `compute` by name; None where it raises ValueError or a value is not finite, with a line that says so."""
        try:
            values = compute()
        except ValueError as error:
            self.lines.append(f"{where}: no {', '.join(names)}: {error}")
            return dict.fromkeys(names)
        figures: Figures = {}
        for name, value in zip(names, values, strict=True):
            figures[name] = float(value) if value is not None and math.isfinite(value) else None
            if value is not None and figures[name] is None:
                self.lines.append(f"{where}: no {name}: its value is {value}, which two equal images give")
        return figures


def measure(subject: Subject, where: str, notes: Notes, wanted: Callable[[Metric], bool] = lambda row: True) -> Figures:
    """The figures of all metrics that are wanted and whose needs the subject has; `where` says whose they are, for notes."""
    found: Figures = {}
    groups: dict[Callable[[Subject], Found], list[Metric]] = {}  # a function that gives several figures runs once
    for row in METRICS.values():
        if row.compute and wanted(row) and all(getattr(subject, name) is not None for name in row.needs):
            groups.setdefault(row.compute, []).append(row)
    for compute, rows in groups.items():
        keys = [subject.reference.extractor.metric(row.name) if row.of_features else row.name for row in rows]

        def values(compute: Callable[[Subject], Found] = compute, rows: list[Metric] = rows) -> list[float | None]:
            figures = compute(subject)
            return [figures[row.name] for row in rows]

        found |= notes.attempt(where, keys, values)
    return found


def answers_for(classifier: Classifier, outputs: Tensor, direction: str) -> Tensor:
    """(N, 3): how probable the target side, the source side and neither are for each uint8 image, 0 to 1."""
    sides = classifier(outputs)
    target, source = (sides[:, 0], sides[:, 1]) if direction == "b_to_a" else (sides[:, 1], sides[:, 0])
    return torch.stack([target, source, (1 - target - source).clamp(min=0)], 1)


def nearest_to(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """(N,), (N,): how far each row is from the nearest real one, and which that is."""
    found = torch.cdist(generated.double(), real.double()).min(1)
    return found.values, found.indices


def distance_to(generated: Tensor, real: Tensor) -> Tensor:
    """(N,): from each row to the nearest real one."""
    return nearest_to(generated, real)[0]
