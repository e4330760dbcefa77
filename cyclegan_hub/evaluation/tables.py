"""Tables of an evaluation's figures, for the screen, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

# Columns of the tables on the screen and of comparisons, by the metric's name without its extractor.
KEY = ("kid", "kid_std", "kid_relative", "fid", "mifid", "precision", "recall", "coverage", "authenticity", "success", "cycle_l1",
       "input_output_ssim", "colour_correlation", "identity_l1", "alpha_precision", "beta_recall", "diversity", "truth_l1",
       "truth_psnr", "truth_ssim")  # fmt: skip


_SHORT = {"kid_relative": "kid rel.", "precision": "prec.", "coverage": "cover.", "authenticity": "authent.",
          "input_output_ssim": "in/out ssim", "colour_correlation": "colour corr.", "alpha_precision": "alpha-prec.",
          "beta_recall": "beta-recall", "truth_l1": "L1", "truth_psnr": "PSNR", "truth_ssim": "SSIM"}  # fmt: skip


Rows = list[list[str]]


def arrows(labels: tuple[str, ...]) -> dict[str, str]:
    """Each direction in words; of one label what is drawn."""
    if len(labels) == 1:
        return {"samples": f"samples: {labels[0]}"}
    a, b = labels
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}"}


def measured(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, str]:
    """The directions that an evaluation has, in words."""
    there = next(iter(metrics["epochs"].values()))
    named = arrows(labels[-1:] if "samples" in there else labels)
    return {direction: arrow for direction, arrow in named.items() if direction in there}


def number(value: Any) -> str:
    """Four digits of a number; a dash for what could not be computed."""
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def table(metrics: Mapping[str, Any], direction: str, keys: Sequence[str] | None = KEY) -> Rows:
    """A row for each epoch and each baseline, headings first. `keys` None: every metric there is."""
    lines = {name: values[direction] for name, values in metrics["epochs"].items()}
    lines |= {name: values[direction] for name, values in metrics["baselines"].items() if direction in values}
    there = dict.fromkeys(key for values in lines.values() for key in values)
    shown = list(there) if keys is None else [key for name in keys for key in there if _base(key) == name]
    head = ["epoch", *(key if keys is None else _short(key) for key in shown)]
    rows = [[_named(name, metrics["best"]), *(number(v[key]) if key in v else "" for key in shown)] for name, v in lines.items()]
    return [head, *rows]


def as_text(rows: Rows) -> str:
    """Aligned for a screen: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def as_markdown(rows: Rows) -> str:
    lines = [rows[0], ["---", *["--:"] * (len(rows[0]) - 1)], *rows[1:]]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def screen(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> str:
    """What an evaluation prints: a table for each direction, the choice, the classifier and how many notes there are."""
    parts = []
    for direction, arrow in measured(metrics, labels).items():
        counts = ", ".join(f"n = {metrics['protocol'][key]}" for key in _counted(metrics, direction))
        parts.append(f"{arrow} ({counts}; {metrics['extractor']})\n{as_text(table(metrics, direction))}")
    if judge := metrics["classifier"]:
        sides = ((f"accuracy_{side}", label) for side, label in (("a", labels[0]), ("b", labels[-1])))
        right = ", ".join(f"{number(judge[key])} of the {label}" for key, label in sides if key in judge)
        parts.append(f"classifier: {judge['name']}; right on {right} that are held out here")
    parts.append(f"best: {metrics['best']} ({metrics['rule']})")
    if metrics["notes"]:
        parts.append("\n".join(f"note: {line}" for line in metrics["notes"]))
    return "\n\n".join(parts)


def compare(results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...]) -> dict[str, Rows]:
    """Of each source its best epoch, and the baselines, which are the same for all: a table for each direction, by its arrow.

    A source without a direction is missing from its table; samples stand with the translations into what they show.
    """
    tables = {}
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
        shown = [key for name in KEY for key in there if _base(key) == name]
        head = ["source", *map(_short, shown)]
        tables[arrow] = [head, *([name, *(number(v[key]) if key in v else "" for key in shown)] for name, v in lines.items())]
    return tables


def _counted(metrics: Mapping[str, Any], direction: str) -> list[str]:
    """Names of the counts of outputs and of real images of the target side."""
    names = {"a_to_b": ("n_a", "n_b"), "b_to_a": ("n_b", "n_a"), "samples": ("n_samples", "n_b", "n_a")}[direction]
    return [name for name in names if name in metrics["protocol"]][:2]


def _named(name: str, best: str) -> str:
    return f"{name} *" if name == best else name


def _base(key: str) -> str:
    return key.split("[")[0]


def _short(key: str) -> str:
    base = _base(key)
    return _SHORT.get(base, base.replace("_", " "))


def _cell(text: str) -> str:
    """On one line of Markdown, with nothing that would be taken for its markup."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|").replace("[", "\\[")
