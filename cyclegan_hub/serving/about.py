"""The page's text about a model, as Markdown: method, sample, known failures, figures with their meaning, data and terms."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from cyclegan_hub.imaging import images
from cyclegan_hub.serving.catalog import EpochChoice, Published
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
    """The text about one epoch: method, sample, known failures, figures, limits, data and terms."""
    choice = model.choice
    numbers = [str(e.number) for e in model.epochs if e.number is not None]
    own = _own_figures(model, epoch)
    directions = [direction for direction in choice.directions if direction in (own or {})]
    data = (model.run or {}).get("data") or {}
    # One pile is that of the outputs.
    sides = zip("ab", choice.labels, strict=False) if len(data) == 2 else [("a", choice.labels[-1])]
    metrics = model.metrics or {}
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
        figures=_first_figures(own, directions) if own else [],
        protocol=[f"{key}: {one_line(metrics[key], 300)}" for key in ("extractor", "rule") if isinstance(metrics.get(key), str)],
        tables=list(_tables(model, epoch, own)) if own else [],
        limits=re.sub(r"^## ", "#### ", model.limits, flags=re.MULTILINE),
        data=[f"{label}: {one_line(data[side], 300)}" for side, label in sides if side in data],
        licence=one_line(choice.licence, 300),
    )


def _own_figures(model: Published, epoch: EpochChoice) -> dict[str, Any] | None:
    """The figures of an epoch, by direction; for a model without epochs those of the best epoch. None without figures."""
    if not model.metrics:
        return None
    name = model.metrics["best"] if epoch.number is None else epoch.name
    own: dict[str, Any] | None = model.metrics["epochs"].get(name)
    return own or None


def _first_figures(own: dict[str, Any], directions: list[str]) -> list[Figure]:
    """Up to SHOWN figures with an entry in _MEANING; "kid" is left out if "kid_relative" is there."""
    figures: list[Figure] = []
    for base, means in _MEANING.items():
        if base == "kid" and any(figure.name.startswith("kid_relative") for figure in figures):
            continue
        for name in dict.fromkeys(name for direction in directions for name in own[direction] if name.split("[")[0] == base):
            values = [_number(own[direction].get(name)) for direction in directions]
            if any(values):
                figures.append(Figure(name, [value or "-" for value in values], means))
    return figures[:SHOWN]


def _tables(model: Published, epoch: EpochChoice, own: dict[str, Any]) -> Iterator[Table]:
    """A table for each direction with the figures of this epoch and of the baselines."""
    given = (model.metrics or {}).get("baselines")
    baselines = {  # those that have numbers in some direction: of a model that draws, nothing is untranslated
        name: values
        for name, values in (given.items() if isinstance(given, dict) else ())
        if isinstance(values, dict) and any(values.get(direction) for direction in model.choice.directions)
    }
    for direction in (d for d in model.choice.directions if d in own):
        columns = [own[direction], *(values.get(direction) for values in baselines.values())]
        columns = [column if isinstance(column, dict) else {} for column in columns]
        rows = [
            [one_line(name), *(_number(column.get(name)) for column in columns)]
            for name, x in own[direction].items()
            if _number(x) and _has_meaning(name)
        ]
        if rows:
            yield Table(model.choice.arrow(direction), [epoch.label, *map(one_line, baselines)], rows)


def _has_meaning(name: str) -> bool:
    base, _, extractor = name.partition("[")
    return base not in _INCEPTION_ONLY or extractor in ("", "inception]")


def _number(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (f"{value:.4g}" if isinstance(value, float) else str(value)) if number else ""


def _sample(path: Path | None) -> str | None:
    """samples.png, made smaller, as base64 of a JPEG; None if there is no readable file."""
    if path is None:
        return None
    try:
        small = ImageOps.contain(images.decode(path), PICTURE, Image.Resampling.LANCZOS)
    except ValueError:  # ImageError, or a strip of which nothing would be left
        return None
    return base64.b64encode(jpeg_bytes(small)).decode()
