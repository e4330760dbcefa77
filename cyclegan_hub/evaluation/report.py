"""The results of an evaluation for people: text for the screen, a report as one HTML page, comparisons of several sources."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from cyclegan_hub.evaluation.protocol import Evaluation, Examples, Ranked, histogram
from cyclegan_hub.evaluation.record import Metrics, Rows, Table, direction_text, starred, write_result
from cyclegan_hub.evaluation.registry import METRICS, Values, base_name, format_value, in_order
from cyclegan_hub.hub.records import EPOCH, epoch_number
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.imaging.plots import CHANNELS, COLOURS
from cyclegan_hub.models.protocols import drawable_label
from cyclegan_hub.templates import render_html, render_markdown

if TYPE_CHECKING:  # slow to import, and not needed before a curve is plotted
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A PNG as a data: URL, so that the page loads nothing from the network, and its caption."""

    url: str
    caption: str


@dataclass(frozen=True)
class Section:
    """The part of the report on one direction."""

    title: str
    conditions: str
    rows: Rows
    chosen: str  # first cell of the chosen epoch's row, to highlight it
    every_metric: Rows
    pictures: list[Picture] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------------------- text
def as_text(rows: Rows) -> str:
    """The table as text for a screen: first column aligned left, numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def as_markdown(rows: Rows) -> str:
    """A Markdown table, every cell escaped: the first column to the left, numbers to the right."""
    return render_markdown("table.md", rows=rows).rstrip("\n")


def summary(m: Metrics, labels: tuple[str, ...]) -> str:
    """The printed text of an evaluation: a table for each direction, the classifier, the best epoch and the notes."""
    parts = []
    for direction, arrow in m.arrows(labels).items():
        counts = ", ".join(f"n = {n}" for n in m.counts(direction).values())
        parts.append(f"{arrow} ({counts}; {m.extractor})\n{as_text(m.table(direction).rows('epoch', best=m.best))}")
    if m.classifier:
        domains = ((f"accuracy_{letter}", label) for letter, label in (("a", labels[0]), ("b", labels[-1])))
        right = ", ".join(f"{format_value(k, m.classifier[k])} of the {label}" for k, label in domains if k in m.classifier)
        parts.append(f"classifier: {m.classifier['name']}; right on {right} that are held out here")
    parts.append(f"best: {m.best} ({m.rule})")
    if m.notes:
        parts.append("\n".join(f"note: {line}" for line in m.notes))
    return "\n\n".join(parts)


def compare(results: Mapping[str, Metrics], labels: tuple[str, ...]) -> dict[str, Rows]:
    """A table for each direction (key: its arrow as text) with the best epoch of each source, and the baselines.

    A source that lacks a direction is not in its table; samples are in the table of the translations into the same label.
    """
    tables: dict[str, Rows] = {}
    for direction in ("samples",) if len(labels) == 1 else ("a_to_b", "b_to_a"):
        lines: dict[str, Values] = {}
        baselines: dict[str, Values] = {}
        for name, m in results.items():
            there = m.epochs[m.best]
            own = "samples" if direction == "a_to_b" and "samples" in there else direction
            if own in there:
                lines[f"{name}, {m.best}"] = there[own]
                baselines = {key: values for key, values in m.table(own, []).lines.items() if values} | baselines
        if lines:
            tables[direction_text(direction, labels)] = Table(lines | baselines).rows("source")
    return tables


def write_comparison(results: Mapping[str, Metrics], labels: tuple[str, ...], folder: Path, trainings: Rows = ()) -> list[Path]:
    """Writes `comparison.md` and `comparison.html` into `folder`; `trainings` is a table of differences between the trainings.

    Raises EvaluationError if they cannot be written.
    """
    tables = compare(results, labels) | ({"Trainings": trainings} if trainings else {})
    values: dict[str, Any] = {
        "title": f"{' ↔ '.join(labels)}: {', '.join(results)}",
        "facts": _facts(next(iter(results.values()))),
        "rules": {name: f"{m.best}: {m.rule}" for name, m in results.items()},
    }
    chapters = {title: as_markdown(rows) for title, rows in tables.items()}
    return [
        write_result(folder / "comparison.md", render_markdown("comparison.md", chapters=chapters, **values)),
        write_result(folder / "comparison.html", render_html("comparison.html", tables=tables, **values)),
    ]


# ------------------------------------------------------------------------------------------------------- the report
def write_report(evaluation: Evaluation, labels: tuple[str, ...], name: str, folder: Path) -> Path:
    """Writes `report.html`, a file that loads nothing from the network. Raises EvaluationError if it cannot be written."""
    m, arrows = evaluation.metrics, evaluation.metrics.arrows(labels)
    plotted = curves(m, arrows)
    text = render_html(
        "report.html",
        title=f"{name}: {' ↔ '.join(labels) if 'b_to_a' in arrows else ', '.join(arrows.values())}",
        best=m.best,
        rule=m.rule,
        curves=_picture(plotted, "Metrics over the epochs, against both baselines") if plotted else None,
        sections=[_section(evaluation, direction, arrow) for direction, arrow in arrows.items()],
        facts=_facts(m),
        notes=m.notes,
    )
    return write_result(folder / "report.html", text)


def _section(evaluation: Evaluation, direction: str, arrow: str) -> Section:
    m, first, last = evaluation.metrics, evaluation.held_out[0], evaluation.held_out[-1]
    inputs, target = (last, first) if direction == "b_to_a" else (None if direction == "samples" else first, last)
    truth = target if evaluation.paired else None
    shown = {name: by_direction[direction] for name, by_direction in evaluation.examples.items()}
    pictures = []
    if shown:
        kind = "held-out images" if inputs is not None else "latents"
        caption = f"{arrow}: the first {len(next(iter(shown.values())).first)} {kind}, at every epoch"
        pictures.append(_picture(epochs_grid(inputs, shown, m.best, truth), caption))
    if best := shown.get(m.best):
        for rank, ranked in (("Best", best.best), ("Worst", best.worst)):
            caption = f"{rank} outputs of {m.best}, by {evaluation.ranked_by}, which stands above each"
            pictures.append(_picture(ranking(inputs, ranked, truth), caption))
        if best.copies:
            caption = f"Memorised? The samples of {m.best} whose features are nearest to a training image's, and that image"
            pictures.append(_picture(copies(*best.copies), caption))
        pictures.append(_picture(colours(inputs, best, target), f"Colours at {m.best}"))
    counts, table = ", ".join(f"{key} = {n}" for key, n in m.counts(direction).items()), m.table(direction)
    metrics_as_rows = [list(column) for column in zip(*table.rows("epoch", every=True, best=m.best), strict=True)]
    return Section(
        arrow, f"{counts}. Extractor: {m.extractor}.", table.rows("epoch", best=m.best), starred(m.best, m.best),
        metrics_as_rows, pictures,
    )  # fmt: skip


def _facts(m: Metrics) -> dict[str, str]:
    """Extractor, classifier and protocol."""
    classifier = m.classifier or {"name": "none"}
    facts = {"extractor": m.extractor} | {f"classifier {key}": format_value(key, value) for key, value in classifier.items()}
    return facts | {key: str(value) for key, value in m.protocol.items()}


def _picture(png: bytes, caption: str) -> Picture:
    return Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", caption)


# ------------------------------------------------------------------------------------ its images, as PNG files
_CELL = 128  # px: larger images are reduced, smaller ones are enlarged by a whole factor up to it


def curves(m: Metrics, arrows: Mapping[str, str]) -> bytes | None:
    """A PNG with a panel for each metric: its values over the epochs, and the baselines as horizontal lines.

    `arrows` names each direction. A value that is None leaves a gap. Returns None for one epoch, and where none has a value.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [name for name in m.epochs if EPOCH.fullmatch(name)]
    there = (key for name in names for values in m.epochs[name].values() for key in values)
    panels = {key: METRICS[base_name(key)] for key in in_order(there, lambda row: row.curve)}
    if len(names) < 2 or not panels:
        return None
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(12, 0.5 + 2.5 * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False).flatten()
    epochs = [epoch_number(name) for name in names]
    for ax, (key, row) in zip(axes, panels.items(), strict=False):
        _start_panel(ax, f"{key} ({row.better})" if row.better else key)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.tick_params(labelsize=8)
        for direction, colour in zip(arrows, COLOURS, strict=False):
            values = [m.epochs[name][direction].get(key) for name in names]
            ax.plot(epochs, [np.nan if v is None else v for v in values], color=colour, marker=".", linewidth=1.5)
        _plot_baselines(ax, m.baselines, key, arrows)
        if row.limits:
            ax.set_ylim(row.limits[0] - 0.03, row.limits[1] + 0.03)
        ax.axvline(epoch_number(m.best), color="0.7", linewidth=0.8, zorder=0)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _add_legend(figure, arrows, bool(m.baselines["untranslated"]))
    return _png(figure)


def _start_panel(ax: Axes, title: str) -> None:
    ax.set_title(title, loc="left", fontsize=9, parse_math=False)
    ax.grid(color="0.9")
    ax.spines[["top", "right"]].set_visible(False)


def _plot_baselines(ax: Axes, baselines: Mapping[str, Any], key: str, directions: Iterable[str]) -> None:
    """Plots the baselines as lines; an untranslated value far above the others is written as text, or curves would look flat."""
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
        text, y = f"untranslated: {value:.4g}", 0.97 - 0.11 * i
        ax.text(0.98, y, text, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=colour)


def _add_legend(figure: Figure, labels: Mapping[str, str], inputs: bool) -> None:
    """One legend for all panels."""
    from matplotlib.lines import Line2D

    names = [drawable_label(label, direction.replace("_", " ").title()) for direction, label in labels.items()]
    lines = [Line2D([], [], color=colour, marker=".", label=name) for name, colour in zip(names, COLOURS, strict=False)]
    lines += [
        *([Line2D([], [], color="0.3", linestyle=":", label="untranslated")] if inputs else []),
        Line2D([], [], color="0.3", linestyle="--", label="floor (real against real)"),
        Line2D([], [], color="0.7", linewidth=0.8, label="chosen epoch"),
    ]
    legend = figure.legend(handles=lines, loc="outside upper left", ncols=len(lines), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a label is no formula


def colours(inputs: Tensor | None, shown: Examples, target: Tensor) -> bytes:
    """A PNG with colour histograms of the inputs (if any), the outputs and the real target images, uint8 (N, C, H, W)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6), dpi=110, layout="constrained")
    image_sets = {} if inputs is None else {"inputs": histogram(inputs)}
    image_sets |= {"outputs": shown.colours, "real images of the target domain": histogram(target)}
    top = max(float(shares.max()) for shares in image_sets.values())
    for ax, (name, shares) in zip(figure.subplots(1, len(image_sets), sharey=True), image_sets.items(), strict=True):
        _start_panel(ax, f"{name}: % of pixels by value")
        ax.set_xlim(0, 256)
        ax.set_ylim(0, 1.1 * top)
        ax.set_xticks([0, 64, 128, 192, 255])
        ax.tick_params(labelsize=8)
        for share, (label, colour) in zip(shares, CHANNELS[len(shares)].items(), strict=True):
            ax.stairs(share, np.arange(0, 257, 4), color=colour, label=label, linewidth=1.2, baseline=None)
        ax.legend(frameon=False, fontsize=8)
    return _png(figure)


def epochs_grid(inputs: Tensor | None, shown: Mapping[str, Examples], best: str, truth: Tensor | None = None) -> bytes:
    """A PNG: the first inputs in a row, below them their outputs at every epoch, then reconstructions, or the real outputs."""
    count = len(next(iter(shown.values())).first)
    rows = {} if inputs is None else {"input": inputs[:count]}
    rows |= {name: epoch.first for name, epoch in shown.items()}
    reconstructions = shown[best].reconstructions if best in shown else None
    if reconstructions is not None:
        rows[f"{best}, reconstruction"] = reconstructions
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
    cells = [[images.to_pil(images.from_uint8(x)) for x in row] for row in rows]
    size = rows[0].shape[-1]
    cell = size * (_CELL // size) if size <= _CELL else _CELL
    return images.png_bytes(grids.grid(cells, row_labels=row_labels, column_labels=column_labels, cell=cell))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
