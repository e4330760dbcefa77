"""Writes the results of an evaluation: a report as one HTML page, and comparisons of several sources."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclegan_hub.evaluation import report_plots
from cyclegan_hub.evaluation.metric_rows import written
from cyclegan_hub.evaluation.results import Evaluation, EvaluationError
from cyclegan_hub.evaluation.tables import Rows, as_markdown, compare, counts_of, marked, measured, table
from cyclegan_hub.files import write_atomic
from cyclegan_hub.templates import render_html, render_markdown


@dataclass(frozen=True)
class Picture:
    """A PNG as a data: address, so that the page loads nothing from the network, and its caption."""

    address: str
    caption: str


@dataclass(frozen=True)
class Section:
    """The part of the report on one direction."""

    title: str
    words: str
    rows: Rows
    chosen: str  # first cell of the chosen epoch's row, to highlight it
    every_metric: Rows
    pictures: list[Picture] = field(default_factory=list)


def write_comparison(
    results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...], folder: Path, trainings: Rows = ()
) -> list[Path]:
    """Writes `comparison.md` and `comparison.html` into `folder`; `trainings` is a table of differences between the trainings.

    Raises EvaluationError if they cannot be written.
    """
    tables = compare(results, labels) | ({"Trainings": trainings} if trainings else {})
    values: dict[str, Any] = {
        "title": f"{' ↔ '.join(labels)}: {', '.join(results)}",
        "facts": _facts(next(iter(results.values()))),
        "rules": {name: f"{m['best']}: {m['rule']}" for name, m in results.items()},
    }
    chapters = {title: as_markdown(rows) for title, rows in tables.items()}
    return [
        _write(folder / "comparison.md", render_markdown("comparison.md", chapters=chapters, **values)),
        _write(folder / "comparison.html", render_html("comparison.html", tables=tables, **values)),
    ]


def write_report(evaluation: Evaluation, labels: tuple[str, ...], name: str, folder: Path) -> Path:
    """Writes `report.html`, a file that loads nothing from the network. Raises EvaluationError if it cannot be written."""
    m, named = evaluation.metrics, measured(evaluation.metrics, labels)
    drawn = report_plots.curves(m, named)
    text = render_html(
        "report.html",
        title=f"{name}: {' ↔ '.join(labels) if 'b_to_a' in named else ', '.join(named.values())}",
        best=m["best"],
        rule=m["rule"],
        curves=_picture(drawn, "Metrics over the epochs, against both baselines") if drawn else None,
        sections=[_section(evaluation, direction, named[direction]) for direction in named],
        facts=_facts(m),
        notes=m["notes"],
    )
    return _write(folder / "report.html", text)


def _section(evaluation: Evaluation, direction: str, arrow: str) -> Section:
    m, piles = evaluation.metrics, evaluation.held_out
    inputs, target = (piles[-1], piles[0]) if direction == "b_to_a" else (None if direction == "samples" else piles[0], piles[-1])
    truth = target if evaluation.paired else None
    shown = {name: by_direction[direction] for name, by_direction in evaluation.shown.items()}
    pictures = []
    if shown:
        what = "held-out images" if inputs is not None else "latents"
        caption = f"{arrow}: the first {len(next(iter(shown.values())).first)} {what}, at every epoch"
        pictures.append(_picture(report_plots.epochs_grid(inputs, shown, m["best"], truth), caption))
    if best := shown.get(m["best"]):
        for words, ranked in (("Best", best.best), ("Worst", best.worst)):
            caption = f"{words} outputs of {m['best']}, by {evaluation.ranked_by}, which stands above each"
            pictures.append(_picture(report_plots.ranking(inputs, ranked, truth), caption))
        if best.copies:
            caption = f"Memorised? The samples of {m['best']} whose features are nearest to a training image's, and that image"
            pictures.append(_picture(report_plots.copies(*best.copies), caption))
        pictures.append(_picture(report_plots.colours(inputs, best, target), f"Colours at {m['best']}"))
    counts = ", ".join(f"{key} = {m['protocol'][key]}" for key in counts_of(m, direction))
    return Section(
        arrow, f"{counts}. Extractor: {m['extractor']}.", table(m, direction), marked(m["best"], m["best"]),
        _turned(table(m, direction, every=True)), pictures,
    )  # fmt: skip


def _facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Extractor, classifier and protocol."""
    judge = metrics["classifier"] or {"name": "none"}
    facts = {"extractor": metrics["extractor"]} | {f"classifier {key}": written(key, value) for key, value in judge.items()}
    return facts | {key: str(value) for key, value in metrics["protocol"].items()}


def _picture(png: bytes, caption: str) -> Picture:
    return Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", caption)


def _turned(rows: Rows) -> Rows:
    """The table with metrics as rows, since there are too many for columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path
