"""What an evaluation says: tables as text, Markdown and HTML, and a report that is one file with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from cyclegan_hub.evaluation import report_plots
from cyclegan_hub.evaluation.metric_rows import written
from cyclegan_hub.evaluation.results import Evaluation, EvaluationError
from cyclegan_hub.evaluation.tables import Rows, _cell, _counted, _named, as_markdown, compare, measured, table
from cyclegan_hub.files import write_atomic

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


def write_comparison(
    results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...], folder: Path, trainings: Rows = ()
) -> list[Path]:
    """`comparison.md` and `comparison.html` in `folder`; `trainings` says what tells the sources' trainings apart.

    Raises EvaluationError if they cannot be written.
    """
    title, tables = f"{' ↔ '.join(labels)}: {', '.join(results)}", compare(results, labels)
    first = next(iter(results.values()))
    facts = _facts(first)
    rules = {name: f"{m['best']}: {m['rule']}" for name, m in results.items()}
    protocol = "\n".join(f"- {_cell(name)}: {_cell(value)}" for name, value in (facts | rules).items())
    tables |= {"Trainings": trainings} if trainings else {}
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
    everything = _html_table(_turned(table(m, direction, every=True)))
    return [*parts, f"<details><summary>All metrics</summary>{everything}</details>"]


def _facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Extractor, classifier and protocol."""
    judge = metrics["classifier"] or {"name": "none"}
    facts = {"extractor": metrics["extractor"]} | {f"classifier {key}": written(key, value) for key, value in judge.items()}
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


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path
