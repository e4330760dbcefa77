"""Tables of an evaluation's figures, for the screen, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cyclegan_hub.evaluation.metric_rows import column_heading, in_order, written
from cyclegan_hub.templates import render_markdown

Rows = Sequence[Sequence[str]]


def arrows(labels: tuple[str, ...]) -> dict[str, str]:
    """Direction -> its words, such as "photo → Monet"; with one label "samples: face"."""
    if len(labels) == 1:
        return {"samples": f"samples: {labels[0]}"}
    a, b = labels
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}"}


def measured(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, str]:
    """The directions of an evaluation -> their words."""
    there = next(iter(metrics["epochs"].values()))
    named = arrows(labels[-1:] if "samples" in there else labels)
    return {direction: arrow for direction, arrow in named.items() if direction in there}


def table(metrics: Mapping[str, Any], direction: str, *, every: bool = False) -> Rows:
    """A table with headings and a row for each epoch and baseline. Only metrics with a column, or (`every`) all of them."""
    lines = {name: values[direction] for name, values in metrics["epochs"].items()}
    lines |= {name: values[direction] for name, values in metrics["baselines"].items() if direction in values}
    there = dict.fromkeys(key for values in lines.values() for key in values)
    shown = list(there) if every else in_order(there, lambda row: row.column)
    head = ["epoch", *(key if every else column_heading(key) for key in shown)]
    rows = [
        [marked(name, metrics["best"]), *(written(key, v[key]) if key in v else "" for key in shown)] for name, v in lines.items()
    ]
    return [head, *rows]


def as_text(rows: Rows) -> str:
    """The table as text for a screen: first column aligned left, numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def as_markdown(rows: Rows) -> str:
    """A Markdown table, every cell escaped: the first column to the left, numbers to the right."""
    return render_markdown("table.md", rows=rows).rstrip("\n")


def screen(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> str:
    """The printed text of an evaluation: a table for each direction, the classifier, the best epoch and the notes."""
    parts = []
    for direction, arrow in measured(metrics, labels).items():
        counts = ", ".join(f"n = {metrics['protocol'][key]}" for key in counts_of(metrics, direction))
        parts.append(f"{arrow} ({counts}; {metrics['extractor']})\n{as_text(table(metrics, direction))}")
    if judge := metrics["classifier"]:
        sides = ((f"accuracy_{side}", label) for side, label in (("a", labels[0]), ("b", labels[-1])))
        right = ", ".join(f"{written(key, judge[key])} of the {label}" for key, label in sides if key in judge)
        parts.append(f"classifier: {judge['name']}; right on {right} that are held out here")
    parts.append(f"best: {metrics['best']} ({metrics['rule']})")
    if metrics["notes"]:
        parts.append("\n".join(f"note: {line}" for line in metrics["notes"]))
    return "\n\n".join(parts)


def compare(results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...]) -> dict[str, Rows]:
    """A table for each direction (key: its words) with the best epoch of each source, and the baselines.

    A source that lacks a direction is not in its table; samples are in the table of the translations into the same label.
    """
    tables: dict[str, Rows] = {}
    for direction, arrow in arrows(labels).items():
        lines: dict[str, Mapping[str, Any]] = {}
        baselines: dict[str, Mapping[str, Any]] = {}
        for name, m in results.items():
            own = "samples" if direction == "a_to_b" and "samples" in m["epochs"][m["best"]] else direction
            if own in m["epochs"][m["best"]]:
                lines[f"{name}, {m['best']}"] = m["epochs"][m["best"]][own]
                for baseline, values in m["baselines"].items():
                    if own in values:
                        baselines.setdefault(baseline, values[own])
        if not lines:
            continue
        lines |= baselines
        there = dict.fromkeys(key for values in lines.values() for key in values)
        shown = in_order(there, lambda row: row.column)
        head = ["source", *map(column_heading, shown)]
        cells = {name: [written(key, v[key]) if key in v else "" for key in shown] for name, v in lines.items()}
        tables[arrow] = [head, *([name, *row] for name, row in cells.items())]
    return tables


def counts_of(metrics: Mapping[str, Any], direction: str) -> list[str]:
    """Keys of the protocol with the numbers of outputs and of real images of the target side."""
    names = {"a_to_b": ("n_a", "n_b"), "b_to_a": ("n_b", "n_a"), "samples": ("n_samples", "n_b", "n_a")}[direction]
    return [name for name in names if name in metrics["protocol"]][:2]


def marked(name: str, best: str) -> str:
    """The name of a row, with a star for the best epoch."""
    return f"{name} *" if name == best else name
