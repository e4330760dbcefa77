"""Writes the results of an evaluation: a report as one HTML page, and comparisons of several sources."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from cyclegan_hub.evaluation.results import Evaluation, EvaluationError, Ranked, Shown, histogram
from cyclegan_hub.evaluation.rows import (
    METRICS,
    Rows,
    as_markdown,
    base_name,
    compare,
    counts_of,
    in_order,
    marked,
    measured,
    table,
    written,
)
from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub.records import EPOCH, epoch_number
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.imaging.plots import COLOURS
from cyclegan_hub.templates import render_html, render_markdown

if TYPE_CHECKING:  # slow to import, and not needed before a curve is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    drawn = curves(m, named)
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
        pictures.append(_picture(epochs_grid(inputs, shown, m["best"], truth), caption))
    if best := shown.get(m["best"]):
        for words, ranked in (("Best", best.best), ("Worst", best.worst)):
            caption = f"{words} outputs of {m['best']}, by {evaluation.ranked_by}, which stands above each"
            pictures.append(_picture(ranking(inputs, ranked, truth), caption))
        if best.copies:
            caption = f"Memorised? The samples of {m['best']} whose features are nearest to a training image's, and that image"
            pictures.append(_picture(copies(*best.copies), caption))
        pictures.append(_picture(colours(inputs, best, target), f"Colours at {m['best']}"))
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


# The report's pictures, as PNG files: curves over the epochs, grids of translations, colours of input, output and target.


_CELL = 128  # px: larger images are made smaller, smaller ones are enlarged by a whole factor up to it
_CHANNELS = {1: {"grey": "0.3"}, 3: {"red": "#D62728", "green": "#2CA02C", "blue": "#1F5FD0"}}


def curves(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> bytes | None:
    """A PNG with a panel for each metric: its values over the epochs, and the baselines as horizontal lines. None for one epoch.

    `labels` names each direction. A figure that is None leaves a gap.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [name for name in metrics["epochs"] if EPOCH.fullmatch(name)]
    if len(names) < 2:
        return None
    there = (key for name in names for values in metrics["epochs"][name].values() for key in values)
    panels = {key: METRICS[base_name(key)] for key in in_order(there, lambda row: row.curve)}
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(12, 0.5 + 2.5 * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False).flatten()
    epochs = [epoch_number(name) for name in names]
    for ax, (key, row) in zip(axes, panels.items(), strict=False):
        ax.set_title(f"{key} ({row.better})" if row.better else key, loc="left", fontsize=9, parse_math=False)
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.tick_params(labelsize=8)
        for direction, colour in zip(labels, COLOURS, strict=False):
            values = [metrics["epochs"][name][direction].get(key) for name in names]
            ax.plot(epochs, [np.nan if v is None else v for v in values], color=colour, marker=".", linewidth=1.5)
        _baselines(ax, metrics["baselines"], key, labels)
        if row.limits:
            ax.set_ylim(row.limits[0] - 0.03, row.limits[1] + 0.03)
        ax.axvline(epoch_number(metrics["best"]), color="0.7", linewidth=0.8, zorder=0)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _legend(figure, labels, bool(metrics["baselines"]["untranslated"]))
    return _png(figure)


def _baselines(ax: Axes, baselines: Mapping[str, Any], key: str, directions: Iterable[str]) -> None:
    """Draws the baselines as lines; an untranslated value far above the others is written as text, or curves would look flat."""
    pairs = list(zip(directions, COLOURS, strict=False))
    for direction, colour in pairs:
        value = baselines["floor"][direction].get(key)
        if value is not None:
            ax.axhline(value, color=colour, linestyle="--", linewidth=1)
    top, far = ax.get_ylim()[1], []
    for direction, colour in pairs:
        value = baselines["untranslated"].get(direction, {}).get(key)
        if value is not None and value > 2 * top > 0:
            far.append((value, colour))
        elif value is not None:
            ax.axhline(value, color=colour, linestyle=":", linewidth=1)
    for i, (value, colour) in enumerate(far):
        words, y = f"untranslated: {value:.4g}", 0.97 - 0.11 * i
        ax.text(0.98, y, words, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=colour)


def _legend(figure: Figure, labels: Mapping[str, str], inputs: bool) -> None:
    """Draws one legend for all panels."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, marker=".", label=label) for label, colour in zip(labels.values(), COLOURS, strict=False)
    ]
    lines += [
        *([Line2D([], [], color="0.3", linestyle=":", label="untranslated")] if inputs else []),
        Line2D([], [], color="0.3", linestyle="--", label="floor (real against real)"),
        Line2D([], [], color="0.7", linewidth=0.8, label="chosen epoch"),
    ]
    legend = figure.legend(handles=lines, loc="outside upper left", ncols=len(lines), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a label is no formula


def colours(inputs: Tensor | None, shown: Shown, target: Tensor) -> bytes:
    """A PNG with colour histograms of the inputs (if any), the outputs and the real target images, uint8 (N, C, H, W)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6), dpi=110, layout="constrained")
    piles = {} if inputs is None else {"inputs": histogram(inputs)}
    piles |= {"outputs": shown.colours, "real images of the target side": histogram(target)}
    top = max(float(shares.max()) for shares in piles.values())
    for ax, (name, shares) in zip(figure.subplots(1, len(piles), sharey=True), piles.items(), strict=True):
        ax.set_title(f"{name}: % of pixels by value", loc="left", fontsize=9)
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlim(0, 256)
        ax.set_ylim(0, 1.1 * top)
        ax.set_xticks([0, 64, 128, 192, 255])
        ax.tick_params(labelsize=8)
        for share, (label, colour) in zip(shares, _CHANNELS[len(shares)].items(), strict=True):
            ax.stairs(share, np.arange(0, 257, 4), color=colour, label=label, linewidth=1.2, baseline=None)
        ax.legend(frameon=False, fontsize=8)
    return _png(figure)


def epochs_grid(inputs: Tensor | None, shown: Mapping[str, Shown], best: str, truth: Tensor | None = None) -> bytes:
    """A PNG: the first inputs in a row, below them their outputs at every epoch, then the way back, or the real outputs."""
    count = len(next(iter(shown.values())).first)
    rows = {} if inputs is None else {"input": inputs[:count]}
    rows |= {name: epoch.first for name, epoch in shown.items()}
    back = shown[best].back if best in shown else None
    if back is not None:
        rows[f"{best}, back"] = back
    if truth is not None:
        rows["real"] = truth[:count]
    return _grid(list(rows.values()), list(rows))


def ranking(inputs: Tensor | None, ranked: Ranked, truth: Tensor | None = None) -> bytes:
    """A PNG: scores, inputs, their outputs and, for pairs, the real outputs, in columns; the most extreme comes first."""
    rows = {} if inputs is None else {"input": inputs[ranked.indices]}
    rows |= {"output": ranked.outputs} | ({} if truth is None else {"real": truth[ranked.indices]})
    return _grid(list(rows.values()), list(rows), [f"{score:.3g}" for score in ranked.scores])


def copies(ranked: Ranked, training: Tensor) -> bytes:
    """Samples above the training image that each is nearest to, under their distances."""
    return _grid([ranked.outputs, training], ["sample", "training"], [f"{score:.3g}" for score in ranked.scores])


def _grid(rows: Sequence[Tensor], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> bytes:
    """Rows of uint8 images (n, C, H, W) as one PNG."""
    pictures = [[images.to_pil(images.from_uint8(x)) for x in row] for row in rows]
    side = rows[0].shape[-1]
    cell = side * (_CELL // side) if side <= _CELL else _CELL
    return images.png_bytes(grids.grid(pictures, row_labels=row_labels, column_labels=column_labels, cell=cell))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
