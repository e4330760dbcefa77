"""Computes the figures of one subject, by the rows of `metric_rows`.

A figure that cannot be computed is None, and a note gives the reason; the other figures are computed all the same.
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
        """The values of `compute` by name. None, and a note, if it raises ValueError or a value is not finite."""
        try:
            values = compute()
        except ValueError as error:
            self.lines.append(f"{where}: no {', '.join(names)}: {error}")
            return dict.fromkeys(names)
        figures: Figures = {}
        broken: dict[str, list[str]] = {}  # names by the cause
        for name, value in zip(names, values, strict=True):
            figures[name] = float(value) if value is not None and math.isfinite(value) else None
            if value is not None and figures[name] is None:
                broken.setdefault("too few images, or equal ones," if math.isnan(value) else "two equal images", []).append(name)
        self.lines += [f"{where}: no {', '.join(those)}: {cause} leave no finite value" for cause, those in broken.items()]
        return figures


def measure(subject: Subject, where: str, notes: Notes, wanted: Callable[[Metric], bool] = lambda row: True) -> Figures:
    """The figures of all `wanted` metrics whose needs the subject fulfils; notes name the subject `where`."""
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
    """uint8 images -> (N, 3): the probabilities, 0 to 1, of target side, source side and neither."""
    sides = classifier(outputs)
    target, source = (sides[:, 0], sides[:, 1]) if direction == "b_to_a" else (sides[:, 1], sides[:, 0])
    return torch.stack([target, source, (1 - target - source).clamp(min=0)], 1)


def nearest_to(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (distance (N,) of each row of `generated` (N, D) to the nearest row of `real` (M, D), index (N,) of that row)."""
    found = torch.cdist(generated.double(), real.double()).min(1)
    return found.values, found.indices


def distance_to(generated: Tensor, real: Tensor) -> Tensor:
    """The distance (N,) of each row of `generated` to the nearest row of `real`."""
    return nearest_to(generated, real)[0]
