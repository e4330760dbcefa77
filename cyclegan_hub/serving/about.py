"""The page's text about a model, as Markdown: method, sample, known failures, metrics with their meaning, data and terms."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from cyclegan_hub.evaluation.record import ByDirection, Metrics
from cyclegan_hub.evaluation.registry import base_name, format_value
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.messages import one_line
from cyclegan_hub.serving.results import jpeg_bytes
from cyclegan_hub.templates import render_markdown

_METHODS = {
    "cyclegan": "A CycleGAN: translates both ways, learned from two sets of images that were never paired.",
    "dcgan": "A DCGAN: generates images of {size} x {size} pixels from random numbers; a seed stands for the numbers.",
    "pix2pix": "A pix2pix: translates one way, learned from pairs of images.",
}
SHOWN = 6  # metrics that are visible without a click, in the order of _MEANING
SAMPLE_SIZE = 720, 480  # largest width and height of the sample in px
_MEANING = {
    "success": "share of results that a classifier takes for the target domain; higher is better",
    "kid_relative": "distance from real images, 0 being as near as real ones, 1 as far as the inputs; lower is better",
    "kid": "distance from real images; lower is better, compare the floor under “All metrics”",
    "precision": "share of results that look like some real image; higher is better",
    "recall": "share of real images that some result looks like: the variety; higher is better",
    "coverage": "share of real images that have a result close by; higher is better",
    "authenticity": "share of results that are no near copies of training images; higher is better",
    "cycle_l1": "mean difference of a pixel between the input and its reconstruction, at most 2; lower is better",
}


class Metric(NamedTuple):
    """A metric with its meaning."""

    name: str
    values: list[str]  # by direction
    meaning: str


class Table(NamedTuple):
    """All metrics of a direction."""

    direction: str  # "photo → Monet"
    heads: list[str]
    rows: list[list[str]]


def render(model: ModelEntry, epoch: EpochEntry) -> str:
    """The text about one epoch: method, sample, known failures, metrics, limits, data and terms."""
    numbers = [str(e.number) for e in model.epochs if e.number is not None]
    own = _metrics_of(model, epoch)
    directions = [direction for direction in model.directions if direction in own]
    data = (model.run or {}).get("data") or {}
    # A single image set is that of the outputs.
    sides = zip("ab", model.labels, strict=False) if len(data) == 2 else [("a", model.labels[-1])]
    metrics = model.metrics
    conditions = {"extractor": metrics.extractor, "rule": metrics.rule} if metrics else {}
    return render_markdown(
        "about.md",
        title=model.between,
        method=_METHODS.get(model.kind, "").format(size=model.image_size),
        label=epoch.label,
        epochs=", ".join(numbers),
        page=(model.url if epoch.best else f"{model.url}/tree/{epoch.name}") if model.url else None,
        source=f"{one_line(model.source, 200)} ({model.origin})",
        picture=_sample(model.samples_file),
        failures=[one_line(line, 500) for line in model.failures],
        directions=[model.arrow(direction) for direction in directions],
        metrics=_first_metrics(own, directions),
        protocol=[f"{key}: {one_line(value, 300)}" for key, value in conditions.items() if value],
        tables=list(_tables(model, epoch, metrics, directions)) if metrics and own else [],
        limits=re.sub(r"^## ", "#### ", model.limits, flags=re.MULTILINE),
        data=[f"{label}: {one_line(data[side], 300)}" for side, label in sides if side in data],
        licence=one_line(model.licence, 300),
    )


def _metrics_of(model: ModelEntry, epoch: EpochEntry) -> ByDirection:
    """The metrics of an epoch by direction, or of the best epoch for a model without epochs; empty if not evaluated."""
    if not model.metrics:
        return {}
    return model.metrics.epochs.get(model.metrics.best if epoch.number is None else epoch.name, {})


def _first_metrics(own: ByDirection, directions: list[str]) -> list[Metric]:
    """Up to SHOWN metrics with an entry in _MEANING; "kid" is left out if "kid_relative" is there."""
    metrics: list[Metric] = []
    for base, meaning in _MEANING.items():
        if base == "kid" and any(metric.name.startswith("kid_relative") for metric in metrics):
            continue
        for name in dict.fromkeys(name for direction in directions for name in own[direction] if base_name(name) == base):
            values = [format_value(name, own[direction].get(name)) for direction in directions]
            if any(value != "-" for value in values):
                metrics.append(Metric(name, values, meaning))
    return metrics[:SHOWN]


def _tables(model: ModelEntry, epoch: EpochEntry, metrics: Metrics, directions: list[str]) -> Iterator[Table]:
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
            yield Table(model.arrow(direction), [epoch.label, *(one_line(baseline) for baseline, _ in baselines)], rows)


def _has_meaning(name: str) -> bool:
    """Not MIFID of another extractor: its memorization term has a threshold that was found for Inception's features."""
    return base_name(name) != "mifid" or name in ("mifid", "mifid[inception]")


def _sample(path: Path | None) -> str | None:
    """samples.png, made smaller, as base64 of a JPEG; None if there is no readable file."""
    if path is None:
        return None
    try:
        small = ImageOps.contain(images.decode(path), SAMPLE_SIZE, Image.Resampling.LANCZOS)
    except ValueError:  # ImageError, or a strip of which nothing would be left
        return None
    return base64.b64encode(jpeg_bytes(small)).decode()
