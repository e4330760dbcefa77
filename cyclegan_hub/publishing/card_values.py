"""Values for the card's template, computed from a run's history and from its evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cyclegan_hub.evaluation.metric_rows import written
from cyclegan_hub.hub.epoch_names import epoch_order
from cyclegan_hub.hub.history_file import training_time
from cyclegan_hub.models.protocols import arrow


@dataclass(frozen=True)
class Cost:
    """How long a training took; texts are ready to be shown."""

    steps: int
    batch: int  # pairs or images in a step of all processes
    seen: int  # pairs or images in all steps together
    epochs: str
    length: str  # "30.5 minutes" or "2.1 hours"
    speed: str  # pairs or images a second, median


@dataclass(frozen=True)
class EvaluationShown:
    """The tables of an evaluation: the last epoch, the published one and the baselines, in every direction."""

    protocol: list[tuple[str, str]]  # how the figures were taken, a line each
    columns: list[str]
    rows: list[tuple[str, str, list[str]]]  # (direction in words, metric, a figure for each column or "")
    baselines: list[str]
    success: list[str]  # the classifier's accuracy on real images, a text for each direction; empty without the figure success
    success_left_out: bool  # whether success was measured, but is not shown since that accuracy is unknown


def cost_of(history: Sequence[Mapping[str, Any]], batch: int, measured: float | None = None) -> Cost | None:
    """The cost from the lines of the history; None if no line holds a speed. `batch`: pairs or images in one step.

    `measured`: the seconds of training, where the run's record has them.
    """
    lines = [line for line in history if line.get("pairs_per_s")]
    if not lines:
        return None
    seconds, steps = training_time(lines, batch)
    seconds = measured or seconds
    length = f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.1f} minutes"
    speed = median(line["pairs_per_s"] for line in lines)
    return Cost(steps, batch, steps * batch, f"{lines[-1]['epoch']:g}", length, f"{speed:.1f}")


def changes_of(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Changes of a run after its start, as (heading, text): more epochs than planned, another number of processes."""
    rows = []
    for one in run.get("extended", []):
        text = f"at step {one['step']:,} from {one['from']['epochs']} to {one['to']['epochs']} epochs"
        if "decay" in one["to"] and "rate" in one:
            before, now = one["rate"]
            text += f"; the learning rate went from {before:g} to {now:g} of lr"
        rows.append(("extended", text))
    for one in run.get("inexact_resumes", []):
        before, now = one["processes"]
        rows.append(("resumed inexactly", f"at step {one['step']:,} with {now} processes instead of {before}"))
    return rows


def warnings_of(history: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """The warnings of a training, with the number of times that each was given."""
    return list(Counter(line["message"] for line in history if line.get("event") == "alarm").items())


def light_evaluation(history: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """The last values that were measured during the training (`evaluate_every`), as texts; None if there are none."""
    lines = [line for line in history if line.get("event") == "evaluation"]
    if not lines:
        return None
    values = {key: value for key, value in lines[-1].items() if key not in ("step", "epoch", "event") and is_figure(value)}
    return {"epoch": f"{lines[-1].get('epoch', 0):g}", "measured": ", ".join(f"{k} {v:.4g}" for k, v in values.items())}


def evaluation_of(metrics: Mapping[str, Any] | None, labels: Sequence[str], chosen: str) -> EvaluationShown | None:
    """The card's part of `metrics.json`; None without it. `success` is shown only with the accuracy of its classifier."""
    if not metrics:
        return None
    epochs = metrics["epochs"]
    names = list(dict.fromkeys([max(epochs, key=epoch_order), chosen]))
    columns = {f"{name}{' (main)' if name == chosen else ' (last)'}": epochs.get(name, {}) for name in names}
    baselines = {name: values for name, values in metrics.get("baselines", {}).items() if values}
    columns |= baselines
    rows: list[tuple[str, str, list[str]]] = []
    success: list[str] = []
    left_out = False
    for direction in dict.fromkeys(d for values in columns.values() for d in values):
        figures = [column.get(direction, {}) for column in columns.values()]
        for metric in dict.fromkeys(key for value in figures for key in value):
            if is_success(metric):
                accuracy = judged_accuracy(metrics, direction)
                left_out |= accuracy is None
                if accuracy is None:
                    continue
                success.append(f"{accuracy:.1%} of {labels[0] if direction == 'b_to_a' else labels[-1]}")
            rows.append((arrow(direction, labels), metric, [written(metric, value.get(metric), "") for value in figures]))
    protocol = [(key, written(key, value, "")) for key, value in _protocol(metrics).items()]
    return EvaluationShown(protocol, list(columns), rows, list(baselines), list(dict.fromkeys(success)), left_out)


def is_success(metric: str) -> bool:
    """Whether a metric is `success`: the share of outputs that a classifier takes for the target side."""
    return metric.partition("[")[0] == "success"


def judged_accuracy(metrics: Mapping[str, Any], direction: str) -> float | None:
    """The accuracy (0 to 1) of the classifier behind `success` on real images of the target side; None if not recorded."""
    judge = metrics.get("classifier")
    value = judge.get("accuracy_a" if direction == "b_to_a" else "accuracy_b") if isinstance(judge, Mapping) else None
    return value if isinstance(value, float | int) and is_figure(value) else None


def is_figure(value: Any) -> bool:
    """Whether a value of `metrics.json` is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _protocol(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """How the figures were measured, as one flat table: rule, extractor, the lines of the protocol, and the classifier."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, dict) and key not in ("epochs", "baselines"):
            flat |= {name if key == "protocol" else f"{key} {name}": one for name, one in value.items()}
        elif key not in ("best", "epochs", "baselines", "notes") and value is not None:
            flat[key] = value
    return flat
