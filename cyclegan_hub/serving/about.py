"""The page's text about a model, as Markdown: method, sample, known failures, figures with their meaning, data and terms."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from cyclegan_hub.evaluation.record import ByDirection, Metrics
from cyclegan_hub.evaluation.registry import base_name, format_value
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.catalog import DomainChoice, EpochChoice, Published
from cyclegan_hub.serving.messages import one_line
from cyclegan_hub.serving.results import jpeg_bytes
from cyclegan_hub.templates import render_markdown

_METHODS = {
    "cyclegan": "A CycleGAN: translates both ways, learnt from two piles of pictures that were never paired.",
    "dcgan": "A DCGAN: draws pictures of {size} x {size} pixels from random numbers; a seed stands for the numbers.",
    "pix2pix": "A pix2pix: translates one way, learnt from pairs of pictures.",
}
SHOWN = 6  # figures that are visible without a click, in the order of _MEANING
PICTURE = 720, 480  # largest width and height of the sample in px
_MEANING = {
    "success": "share of results that a classifier takes for the target side; higher is better",
    "kid_relative": "distance from real pictures, 0 being as near as real ones, 1 as far as the inputs; lower is better",
    "kid": "distance from real pictures; lower is better, see the same of real pictures under “All figures”",
    "precision": "share of results that look like some real picture; higher is better",
    "recall": "share of real pictures that some result looks like: how varied it is; higher is better",
    "coverage": "share of real pictures that have a result close by; higher is better",
    "authenticity": "share of results that are no near copies of training pictures; higher is better",
    "cycle_l1": "mean difference of a pixel after the way there and back, of 2 at most; lower is better",
}
_INCEPTION_ONLY = ("mifid",)  # its memorization term has a threshold that was found for Inception's features


@dataclass(frozen=True)
class Figure:
    """A measured figure with its meaning."""

    name: str
    values: list[str]  # by direction
    means: str


@dataclass(frozen=True)
class Table:
    """All figures of a direction."""

    direction: str  # in words
    heads: list[str]
    rows: list[list[str]]


def render(model: Published, epoch: EpochChoice) -> str:
    """The text about one epoch: method, sample, known failures, figures, statement, data and terms."""
    choice = model.choice
    numbers = [str(e.number) for e in model.epochs if e.number is not None]
    own = _own_metrics(model, epoch)
    directions = [direction for direction in choice.directions if direction in own]
    data = (model.run or {}).get("data") or {}
    # One pile is that of the outputs.
    sides = zip("ab", choice.labels, strict=False) if len(data) == 2 else [("a", choice.labels[-1])]
    metrics = model.metrics
    conditions = {"extractor": metrics.extractor, "rule": metrics.rule} if metrics else {}
    return render_markdown(
        "about.md",
        title=(" ↔ " if len(choice.directions) == 2 else " → ").join(choice.labels),
        method=_METHODS.get(choice.kind, "").format(size=choice.image_size),
        label=epoch.label,
        epochs=", ".join(numbers),
        page=(model.page if epoch.best else f"{model.page}/tree/{epoch.name}") if model.page else None,
        source=f"{one_line(choice.source, 200)} ({choice.origin})",
        picture=_sample(model.sample),
        failures=[one_line(line, 500) for line in model.failures],
        directions=[choice.arrow(direction) for direction in directions],
        figures=_first_figures(own, directions),
        protocol=[f"{key}: {one_line(value, 300)}" for key, value in conditions.items() if value],
        tables=list(_tables(metrics, choice, epoch, directions)) if metrics and own else [],
        statement=re.sub(r"^## ", "#### ", model.statement, flags=re.MULTILINE),
        data=[f"{label}: {one_line(data[side], 300)}" for side, label in sides if side in data],
        licence=one_line(choice.licence, 300),
    )


def _own_metrics(model: Published, epoch: EpochChoice) -> ByDirection:
    """The metrics of an epoch, by direction; for a model without epochs those of the best epoch. Empty if not measured."""
    if not model.metrics:
        return {}
    return model.metrics.epochs.get(model.metrics.best if epoch.number is None else epoch.name, {})


def _first_figures(own: ByDirection, directions: list[str]) -> list[Figure]:
    """Up to SHOWN metrics with an entry in _MEANING; "kid" is left out if "kid_relative" is there."""
    figures: list[Figure] = []
    for base, means in _MEANING.items():
        if base == "kid" and any(figure.name.startswith("kid_relative") for figure in figures):
            continue
        for name in dict.fromkeys(name for direction in directions for name in own[direction] if base_name(name) == base):
            values = [format_value(name, own[direction].get(name)) for direction in directions]
            if any(value != "-" for value in values):
                figures.append(Figure(name, values, means))
    return figures[:SHOWN]


def _tables(metrics: Metrics, choice: DomainChoice, epoch: EpochChoice, directions: list[str]) -> Iterator[Table]:
    """A table for each direction with the metrics of this epoch and of the baselines."""
    name = metrics.best if epoch.number is None else epoch.name
    for direction in directions:
        own, *baselines = metrics.table(direction, [name]).lines.items()
        rows = [
            [one_line(key), *(format_value(key, values.get(key), "") for _, values in (own, *baselines))]
            for key, value in own[1].items()
            if value is not None and _has_meaning(key)
        ]
        if rows:
            yield Table(choice.arrow(direction), [epoch.label, *(one_line(baseline) for baseline, _ in baselines)], rows)


def _has_meaning(name: str) -> bool:
    base, _, extractor = name.partition("[")
    return base not in _INCEPTION_ONLY or extractor in ("", "inception]")


def _sample(path: Path | None) -> str | None:
    """samples.png, made smaller, as base64 of a JPEG; None if there is no readable file."""
    if path is None:
        return None
    try:
        small = ImageOps.contain(images.decode(path), PICTURE, Image.Resampling.LANCZOS)
    except ValueError:  # ImageError, or a strip of which nothing would be left
        return None
    return base64.b64encode(jpeg_bytes(small)).decode()
