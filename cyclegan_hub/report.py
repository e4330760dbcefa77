"""What an evaluation says: tables as text, Markdown and HTML, and a report that is one file with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from cyclegan_hub import report_plots
from cyclegan_hub.evaluation import Evaluation, EvaluationError
from cyclegan_hub.files import write_atomic

# Columns of the tables on the screen and of comparisons, by the metric's name without its extractor.
KEY = ("kid", "kid_std", "kid_relative", "fid", "mifid", "precision", "recall", "coverage", "authenticity", "success", "cycle_l1",
       "input_output_ssim", "colour_correlation", "identity_l1", "alpha_precision", "beta_recall", "diversity", "truth_l1",
       "truth_psnr", "truth_ssim")  # fmt: skip
_SHORT = {"kid_relative": "kid rel.", "precision": "prec.", "coverage": "cover.", "authenticity": "authent.",
          "input_output_ssim": "in/out ssim", "colour_correlation": "colour corr.", "alpha_precision": "alpha-prec.",
          "beta_recall": "beta-recall", "truth_l1": "L1", "truth_psnr": "PSNR", "truth_ssim": "SSIM"}  # fmt: skip
Rows = list[list[str]]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # not one request
_STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --line: #ccc; --soft: #f2f4f6; --mark: #e2efff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --back: #16181b; --line: #43474d; --soft: #22262b; --mark: #1d3a5c; }
}
body { color: var(--text); background: var(--back); font: 15px/1.5 system-ui, sans-serif; max-width: 1180px;
       margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .4rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { background: var(--soft); }
tr.chosen th, tr.chosen td { background: var(--mark); }
table.words td { text-align: left; white-space: normal; }
table { font-size: .87rem; }
img { background: #fff; border-radius: 4px; padding: 4px; max-width: 100%; height: auto; box-sizing: border-box; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
"""


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


def write_comparison(results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...], folder: Path) -> list[Path]:
    """`comparison.md` and `comparison.html` in `folder`. Raises EvaluationError if they cannot be written."""
    title, tables = f"{' ↔ '.join(labels)}: {', '.join(results)}", compare(results, labels)
    first = next(iter(results.values()))
    facts = _facts(first)
    rules = {name: f"{m['best']}: {m['rule']}" for name, m in results.items()}
    protocol = "\n".join(f"- {_cell(name)}: {_cell(value)}" for name, value in (facts | rules).items())
    chapters = {arrow: as_markdown(rows) for arrow, rows in tables.items()} | {"Protocol": protocol}
    text = "\n\n".join([f"# {_cell(title)}", *(f"## {_cell(head)}\n\n{body}" for head, body in chapters.items())])
    sections = [f"<h2>{escape(arrow)}</h2>{_html_table(rows)}" for arrow, rows in tables.items()]
    sections += ["<h2>Protocol</h2>", _words(facts), "<h2>Chosen epochs</h2>", _words(rules)]
    return [
        _write(folder / "comparison.md", text + "\n"),
        _write(folder / "comparison.html", page(title, [f"<h1>{escape(title)}</h1>", *sections])),
    ]


def write_report(evaluation: Evaluation, labels: tuple[str, ...], name: str, folder: Path) -> Path:
    """`report.html` in `folder`: one file that asks nothing of the network. Raises EvaluationError if it cannot be written."""
    m, named = evaluation.metrics, measured(evaluation.metrics, labels)
    title = f"{name}: {' ↔ '.join(labels) if 'b_to_a' in named else ', '.join(named.values())}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Best epoch: <strong>{escape(m['best'])}</strong> ({escape(m['rule'])}).</p>",
    ]
    if drawn := report_plots.curves(m, named):
        parts += ["<h2>Over the epochs</h2>", _figure(drawn, "Metrics over the epochs, against both baselines")]
    for direction in named:
        parts += _direction(evaluation, direction, named[direction])
    parts += ["<h2>Protocol</h2>", _words(_facts(m))]
    if m["notes"]:
        parts += ["<h2>Notes</h2>", "<ul>", *(f"<li>{escape(line)}</li>" for line in m["notes"]), "</ul>"]
    return _write(folder / "report.html", page(title, parts))


def page(title: str, parts: Iterable[str]) -> str:
    """A whole HTML page; its policy forbids every request."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            *parts,
            "</main></body></html>\n",
        ]
    )


def _direction(evaluation: Evaluation, direction: str, arrow: str) -> list[str]:
    """Everything of one direction."""
    m, piles = evaluation.metrics, evaluation.held_out
    inputs, target = reversed(piles) if direction == "b_to_a" else (None if direction == "samples" else piles[0], piles[-1])
    truth = target if evaluation.paired else None
    shown = {name: by_direction[direction] for name, by_direction in evaluation.shown.items()}
    counts = ", ".join(f"{key} = {m['protocol'][key]}" for key in _counted(m, direction))
    parts = [f"<h2>{escape(arrow)}</h2>", f"<p>{escape(counts)}. Extractor: {escape(m['extractor'])}.</p>"]
    parts += [_html_table(table(m, direction), chosen=m["best"])]
    if shown:
        what = "held-out images" if inputs is not None else "latents"
        caption = f"{arrow}: the first {len(next(iter(shown.values())).first)} {what}, at every epoch"
        parts.append(_figure(report_plots.epochs_grid(inputs, shown, m["best"], truth), caption))
    if best := shown.get(m["best"]):
        for words, ranked in (("Best", best.best), ("Worst", best.worst)):
            caption = f"{words} outputs of {m['best']}, by {evaluation.ranked_by}, which stands above each"
            parts.append(_figure(report_plots.ranking(inputs, ranked, truth), caption))
        if best.copies:
            caption = f"Memorised? The samples of {m['best']} whose features are nearest to a training image's, and that image"
            parts.append(_figure(report_plots.copies(*best.copies), caption))
        parts.append(_figure(report_plots.colours(inputs, best, target), f"Colours at {m['best']}"))
    everything = _html_table(_turned(table(m, direction, None)))
    return [*parts, f"<details><summary>All metrics</summary>{everything}</details>"]


def _facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Extractor, classifier and protocol."""
    judge = metrics["classifier"] or {"name": "none"}
    facts = {"extractor": metrics["extractor"]} | {f"classifier {key}": number(value) for key, value in judge.items()}
    return facts | {key: str(value) for key, value in metrics["protocol"].items()}


def _figure(png: bytes, caption: str) -> str:
    data, words = base64.b64encode(png).decode(), escape(caption)
    return f'<figure><img alt="{words}" src="data:image/png;base64,{data}"><figcaption>{words}</figcaption></figure>'


def _html_table(rows: Rows, chosen: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in rows[0])
    body = []
    for first, *cells in rows[1:]:
        mark = ' class="chosen"' if chosen and first == _named(chosen, chosen) else ""
        body.append(f'<tr{mark}><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(c)}</td>" for c in cells)}</tr>')
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _words(facts: Mapping[str, str]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in facts.items())
    return f'<div class="wide"><table class="words"><tbody>{rows}</tbody></table></div>'


def _turned(rows: Rows) -> Rows:
    """Metrics as rows: there are more of them than fit beside each other."""
    return [list(column) for column in zip(*rows, strict=True)]


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


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path
