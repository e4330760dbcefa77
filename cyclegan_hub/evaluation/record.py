"""`metrics.json` as a typed record: what evaluation writes, and report, card, page and experiments read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.registry import Metric, Values, column_heading, format_value, in_order
from cyclegan_hub.files import json_bytes, readable, write_atomic
from cyclegan_hub.hub.provenance import without_paths
from cyclegan_hub.hub.records import MetricsFileError, epoch_order
from cyclegan_hub.models.protocols import arrow

ByDirection = dict[str, Values]
Rows = Sequence[Sequence[str]]  # of a table as text, headings first


class EvaluationError(UserError):
    """An evaluation that cannot be done as asked; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Table:
    """Values of one direction: a line for each epoch (or source) and for each baseline, a column for each metric."""

    lines: dict[str, Values]

    def names(self, wanted: Callable[[Metric], bool] | None = None) -> list[str]:
        """The metrics of all lines as they come, or (`wanted`) those that it selects, in the order of the registry."""
        there = dict.fromkeys(key for values in self.lines.values() for key in values)
        return list(there) if wanted is None else in_order(there, wanted)

    def cells(self, keys: Iterable[str]) -> list[list[str]]:
        """A row of text for each line: "-" for a value that could not be computed, "" for one that was not asked for."""
        return [[format_value(key, values[key]) if key in values else "" for key in keys] for values in self.lines.values()]

    def rows(self, heading: str, *, every: bool = False, best: str = "") -> Rows:
        """The table as text: the metrics that have a column, or (`every`) all under their full names. `best` gets a star."""
        keys = self.names() if every else self.names(lambda row: row.column)
        head = [heading, *(key if every else column_heading(key) for key in keys)]
        return [head, *([starred(name, best), *cells] for name, cells in zip(self.lines, self.cells(keys), strict=True))]


@dataclass(frozen=True)
class Metrics:
    """The metrics of a model's epochs and of the baselines, by direction, with the conditions of the measurement.

    The directions are those of the model's class: "a_to_b" and "b_to_a", or "samples". A single model without an epoch number
    is called "main". The baselines are "untranslated" (empty for a model that samples) and "floor". Older files may lack all
    but `best` and `epochs`; `other` are fields that this version does not know.
    """

    best: str
    epochs: dict[str, ByDirection]
    baselines: dict[str, ByDirection] = field(default_factory=dict)
    rule: str = ""  # how the best epoch was chosen
    extractor: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)
    classifier: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)  # why values are missing
    other: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any) -> Metrics:
        """Of the content of a file. Values that are not numbers are left out. Raises ValueError, KeyError, TypeError or
        AttributeError for another form."""
        best, epochs, baselines = content["best"], content["epochs"], content.get("baselines", {})
        if best not in epochs:
            raise ValueError(f"best={best!r} is not among its epochs")
        for name in epochs:
            epoch_order(name)
        typed = {name: content[name] for name, kind in _OPTIONAL.items() if isinstance(content.get(name), kind)}
        known = {one.name for one in fields(cls)}
        return cls(
            best,
            {name: _by_direction(values) for name, values in epochs.items()},
            {name: _by_direction(values) for name, values in baselines.items()},
            **typed,
            other={name: value for name, value in content.items() if name not in known},
        )

    def to_json(self) -> dict[str, Any]:
        """The content of the file."""
        names = ("best", "rule", "extractor", "protocol", "classifier", "baselines", "epochs", "notes")
        return {name: getattr(self, name) for name in names} | self.other

    @property
    def public(self) -> Metrics:
        """The same without absolute paths of this machine."""
        return Metrics.from_json(without_paths(self.to_json()))

    def arrows(self, labels: Sequence[str]) -> dict[str, str]:
        """The directions that were measured -> text, such as "photo → Monet" or "samples: face"."""
        there = next(iter(self.epochs.values()))
        return {direction: direction_text(direction, labels) for direction in DIRECTIONS if direction in there}

    def table(self, direction: str, epochs: Iterable[str] | None = None) -> Table:
        """The values of the epochs (None: of all), then those of the baselines that were measured in some direction."""
        lines = {name: self.epochs.get(name, {}).get(direction, {}) for name in (self.epochs if epochs is None else epochs)}
        return Table(lines | {name: values.get(direction, {}) for name, values in self.baselines.items() if any(values.values())})

    def counts(self, direction: str) -> dict[str, Any]:
        """The numbers of outputs and of real images of the target domain, by their names in the protocol."""
        names = {"a_to_b": ("n_a", "n_b"), "b_to_a": ("n_b", "n_a"), "samples": ("n_samples", "n_b", "n_a")}[direction]
        return {name: self.protocol[name] for name in [name for name in names if name in self.protocol][:2]}

    def accuracy(self, direction: str) -> float | None:
        """The accuracy (0 to 1) of the classifier on real images of the target domain; None if it was not recorded."""
        return number((self.classifier or {}).get("accuracy_a" if direction == "b_to_a" else "accuracy_b"))


DIRECTIONS = ("samples", "a_to_b", "b_to_a")
_OPTIONAL = {"rule": str, "extractor": str, "protocol": dict, "classifier": dict, "notes": list}


def _by_direction(content: Any) -> ByDirection:
    return {
        direction: {key: value for key, value in values.items() if value is None or number(value) is not None}
        for direction, values in content.items()
    }


def number(value: Any) -> float | None:
    """A number as it is (an int stays one); None for anything else."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def direction_text(direction: str, labels: Sequence[str]) -> str:
    """ "photo → Monet" for a_to_b, "samples: face" for samples."""
    return f"samples: {labels[-1]}" if direction == "samples" else arrow(direction, labels)


def starred(name: str, best: str) -> str:
    """The name of an epoch, with a star for the best one."""
    return f"{name} *" if name == best else name


def read_metrics(path: Path) -> Metrics | None:
    """The record in a `metrics.json`; None if there is no such file. Raises MetricsFileError for another form."""
    try:
        return Metrics.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise MetricsFileError(f"{path} is not of the form that evaluation writes ({reason}): evaluate again, or remove it")


def write_metrics(metrics: Metrics, folder: Path) -> Path:
    """Writes `metrics.json` into `folder` atomically and returns its path. Raises EvaluationError if it cannot be written."""
    return write_result(folder / "metrics.json", json_bytes(metrics.to_json(), allow_nan=False))


def write_result(path: Path, content: str | bytes) -> Path:
    """Writes a file of the results atomically and returns its path. Raises EvaluationError if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content if isinstance(content, bytes) else readable(content).encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path
