"""What the page says of a model, as Markdown: what it was measured at, trained on and made for. Nothing from a file is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from cyclegan_hub.publishing.card import TEMPLATES
from cyclegan_hub.serving.messages import escaped
from cyclegan_hub.serving.model_info import EpochChoice, Published

_METHODS = {
    "cyclegan": "A CycleGAN: translates both ways, learnt from two piles of pictures that were never paired.",
    "dcgan": "A DCGAN: draws pictures of {size} x {size} pixels from random numbers; a seed stands for the numbers.",
    "pix2pix": "A pix2pix: translates one way, learnt from pairs of pictures.",
}


def render(model: Published, epoch: EpochChoice) -> str:
    """The panel of one epoch: metrics in each direction beside their baselines, data, then the domain's statement."""
    choice = model.choice
    labels = [escaped(label) for label in choice.labels]
    epochs = ", ".join(str(e.number) for e in model.epochs if e.number is not None)
    parts = [
        f"### {(' ↔ ' if len(choice.directions) == 2 else ' → ').join(labels)}",
        _METHODS[choice.kind].format(size=choice.image_size),
        f"**{escaped(epoch.label)}**" + (f", of the published epochs {epochs}." if epochs else ".") + f" {_link(model, epoch)}",
        "#### Measured",
        *_measured(model, epoch),
    ]
    data = (model.run or {}).get("data")
    if isinstance(data, dict) and set(data) in ({"a"}, {"a", "b"}):
        sides = zip("ab", labels, strict=False) if len(data) == 2 else [("a", labels[-1])]  # one pile: of what is made
        parts += ["#### Trained on", "\n".join(f"- {label}: {escaped(data[side], 300)}" for side, label in sides)]
    statement = (TEMPLATES / f"{model.statement}.md").read_text("utf-8").strip()
    statement = statement.replace("{{ a }}", labels[0]).replace("{{ b }}", labels[-1])
    parts.append(re.sub(r"^## ", "#### ", statement, flags=re.MULTILINE))
    parts.append(f"Terms of the training images: {escaped(choice.licence, 300)}.")
    return "\n\n".join(parts)


def _link(model: Published, epoch: EpochChoice) -> str:
    if model.page is None:
        return f"Source: {escaped(model.choice.source, 200)} ({model.choice.origin})."
    return f"[The model's card on the Hub]({model.page if epoch.best else f'{model.page}/tree/{epoch.name}'})."


def _measured(model: Published, epoch: EpochChoice) -> Iterable[str]:
    """Rule and extractor, then a table for each direction: this epoch, inputs as they are, real images against real ones."""
    metrics = model.metrics
    own = metrics["epochs"].get(epoch.name) if metrics else None
    if epoch.number is None and metrics:  # a single model, of the epoch that was best
        own = metrics["epochs"].get(metrics["best"])
    if not metrics or not own:
        yield "This epoch was not evaluated: judge it by its pictures."
        return
    said = [f"- {key}: {escaped(metrics[key], 300)}" for key in ("extractor", "rule") if isinstance(metrics.get(key), str)]
    if said:
        yield "\n".join(said)
    given = metrics.get("baselines")
    baselines = {  # those that have numbers in some direction: of a model that draws, nothing is untranslated
        name: values
        for name, values in (given.items() if isinstance(given, dict) else ())
        if isinstance(values, dict) and any(values.get(direction) for direction in model.choice.directions)
    }
    for direction in (d for d in model.choice.directions if d in own):
        columns = [own[direction], *(values.get(direction) for values in baselines.values())]
        columns = [column if isinstance(column, dict) else {} for column in columns]
        rows = [[name, *(_number(column.get(name)) for column in columns)] for name, x in own[direction].items() if _number(x)]
        if rows:
            yield f"{escaped(model.choice.arrow(direction), 130)}:"
            yield _table(["metric", epoch.label, *baselines], rows)


def _number(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (f"{value:.4g}" if isinstance(value, float) else str(value)) if number else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [[escaped(cell) for cell in head], ["---", *["---:"] * (len(head) - 1)], *([escaped(c) for c in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
