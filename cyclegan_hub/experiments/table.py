"""The table of an experiment, from its run folders: what differs, pairs, hours, figures, and which order the seeds allow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cyclegan_hub.evaluation.record import Metrics, Rows, read_metrics
from cyclegan_hub.evaluation.registry import LARGER, METRICS, base_name, format_value
from cyclegan_hub.experiments.plan import Planned, nearest_epochs, shown_fields
from cyclegan_hub.experiments.registry import Experiment, ExperimentError
from cyclegan_hub.experiments.run import on_training_folder
from cyclegan_hub.hub.records import epoch_number, training_time
from cyclegan_hub.training.run_folder import RunFolder

UNTRAINED = ("untranslated", "floor")


@dataclass(frozen=True)
class Row:
    """One row: a run at one epoch, of one seed or several."""

    name: str
    data: str
    fields: tuple[str, ...]  # values of the fields that differ
    epoch: str
    pairs: int  # up to that epoch; of the first seed
    hours: tuple[float, ...]  # of each seed
    seconds_per_epoch: tuple[float, ...]  # of an epoch that is not shortened
    figures: dict[str, dict[str, tuple[float | None, ...]]]  # by direction and figure, of each seed
    alarms: tuple[str, ...]  # first words of the alarms that rang


@dataclass(frozen=True)
class Table:
    """The rows, with what they share."""

    experiment: Experiment
    fields: tuple[str, ...]
    rows: tuple[Row, ...]
    baselines: dict[str, dict[str, dict[str, dict[str, float | None]]]]  # by data, name, direction, figure
    arrows: dict[tuple[str, str], str]  # by data and direction, in words
    extractor: str


def collect(experiment: Experiment, planned: Sequence[Planned]) -> Table:
    """Reads what the runs left. Raises ExperimentError for a run that is not measured."""
    differing = shown_fields(experiment, planned)
    baselines: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    arrows: dict[tuple[str, str], str] = {}
    rows, extractor = list[Row](), ""
    for run in dict.fromkeys(one.run for one in planned):
        seeds = [one for one in planned if one.run == run]
        metrics = [metrics_of(one) for one in seeds]
        data = run.data or experiment.data[0]
        labels = seeds[0].plan.labels
        arrows |= {(data, d): arrow for d, arrow in metrics[0].arrows(labels).items() if (data, d) not in arrows}
        extractor = metrics[0].extractor
        for name in UNTRAINED:
            for direction, figures in metrics[0].baselines.get(name, {}).items():
                baselines.setdefault(data, {}).setdefault(name, {}).setdefault(direction, figures)
        rows += [_row(run.name, data, seeds, metrics, epochs, differing) for epochs in _shown(seeds, metrics)]
        if (on_training_folder(seeds[0]) / "metrics.json").is_file():
            known = [metrics_of(one, on_training=True) for one in seeds]
            chosen = tuple(m.best for m in known)
            rows.append(_row(f"{run.name}, on its training images", data, seeds, known, chosen, differing))
    return Table(experiment, tuple(differing), tuple(rows), baselines, arrows, extractor)


def rows_of(table: Table, data: str, direction: str) -> Rows:
    """Headings and cells of one direction of one set of images; of several seeds a cell holds each value."""
    rows = _rows(table, data, direction)
    names = figures_of(table, data, direction)
    head = ["run", *table.fields, "epoch", "pairs", "hours", "s per epoch", *names]
    head += ["alarm"] if any(row.alarms for row in rows) else []
    lines = [head]
    for row in rows:
        cells = [row.name, *row.fields, row.epoch, f"{row.pairs:,}", _each(row.hours, ".2f"), _each(row.seconds_per_epoch, ".0f")]
        cells += [" / ".join(format_value(name, value) for value in row.figures[direction].get(name, ())) for name in names]
        lines.append([*cells, *([", ".join(row.alarms)] if len(head) > len(cells) else [])])
    blank = [""] * (len(table.fields) + 4)
    for name, by_direction in table.baselines.get(data, {}).items():
        if direction in by_direction:
            words = {"untranslated": "untranslated", "floor": "real against real"}[name]
            values = [format_value(n, by_direction[direction][n]) if n in by_direction[direction] else "" for n in names]
            lines.append([words, *blank, *values, *([""] if "alarm" in head else [])])
    return lines


def order(table: Table, data: str, direction: str) -> str:
    """In one sentence which rows are better by the first measure, as far as the seeds do not overlap."""
    names = figures_of(table, data, direction)
    if not names:
        return "Nothing was measured here."
    name, rows = names[0], _rows(table, data, direction)
    sign = -1 if METRICS[base_name(name)].better == LARGER else 1
    ranges = {}
    for row in rows:
        values = [sign * v for v in row.figures[direction].get(name, ()) if v is not None and math.isfinite(v)]
        if values:
            label = row.name if len({r.name for r in rows}) == len(rows) else f"{row.name} {row.epoch}"
            ranges[label] = (min(values), max(values))
    if len(ranges) < 2:
        return "There is nothing to put in order."
    if table.experiment.seeds < 2:
        best_first = ", ".join(sorted(ranges, key=lambda label: ranges[label]))
        return f"One seed each, so that no order is claimed. By {name} alone, best first: {best_first}."
    groups: list[list[str]] = []
    reach = -math.inf
    for label in sorted(ranges, key=lambda n: ranges[n]):
        low, high = ranges[label]
        if groups and low <= reach:
            groups[-1].append(label)
        else:
            groups.append([label])
        reach = max(reach, high)
    if len(groups) == 1:
        return f"By {name} the seeds overlap: no order is claimed."
    return f"By {name}, best first (no order within brackets, where seeds overlap): {' < '.join(map(_group, groups))}."


def metrics_of(one: Planned, *, on_training: bool = False) -> Metrics:
    """What was measured of a run, on held-out images or on those it was trained on. Raises ExperimentError if nothing was."""
    path = (on_training_folder(one) if on_training else one.plan.out) / "metrics.json"
    found = read_metrics(path)
    if found is None:
        raise ExperimentError(f"{path} is missing: run the same command again, which measures what is not measured yet")
    return found


def figures_of(table: Table, data: str, direction: str) -> list[str]:
    """Names of the figures of a direction that the experiment asks for, as they are called with their extractor."""
    there = dict.fromkeys(name for row in _rows(table, data, direction) for name in row.figures[direction])
    return [name for wanted in table.experiment.measures for name in there if base_name(name) == wanted]


def hours_of(lines: Iterable[Mapping[str, Any]], pairs_per_step: int) -> float:
    """Hours of training, from the speeds that a history holds."""
    return training_time(lines, pairs_per_step)[0] / 3600


# ------------------------------------------------------------------------------------------------------------ the parts
def _rows(table: Table, data: str, direction: str) -> list[Row]:
    return [row for row in table.rows if row.data == data and direction in row.figures]


def _row(
    name: str,
    data: str,
    seeds: Sequence[Planned],
    metrics: Sequence[Metrics],
    epochs: tuple[str, ...],  # of each seed
    differing: Sequence[str],
) -> Row:
    recipe = seeds[0].plan.recipe
    values = [getattr(recipe, field, "") for field in differing]
    histories = [RunFolder(one.plan.out).history() for one in seeds]
    hours = tuple(hours_of(lines, recipe.batch_size) for lines in histories)
    spent = [3600 * h / max(1, one.steps) * one.full_epoch for h, one in zip(hours, seeds, strict=True)]
    at = [m.epochs[epoch] for m, epoch in zip(metrics, epochs, strict=True)]
    figures = {
        direction: {name: tuple(e.get(direction, {}).get(name) for e in at) for name in at[0][direction]} for direction in at[0]
    }
    alarms = dict.fromkeys(line["message"].split(":")[0] for lines in histories for line in lines if line.get("event") == "alarm")
    done = (epoch_number(epochs[0]) or recipe.epochs) * seeds[0].steps_per_epoch * recipe.batch_size
    fields = tuple(",".join(map(str, v)) if isinstance(v, tuple | list) else str(v) for v in values)
    return Row(name, data, fields, " / ".join(dict.fromkeys(epochs)), done, hours, tuple(spent), figures, tuple(alarms))


def _shown(seeds: Sequence[Planned], metrics: Sequence[Metrics]) -> list[tuple[str, ...]]:
    """The epochs that get a row, each as its name for every seed: those asked for, or each seed's best."""
    if not seeds[0].shown:
        return [tuple(m.best for m in metrics)]
    return list(zip(*(nearest_epochs(one, list(m.epochs)) for one, m in zip(seeds, metrics, strict=True)), strict=True))


def _each(values: Sequence[float], form: str) -> str:
    return " / ".join(format(value, form) for value in values)


def _group(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
