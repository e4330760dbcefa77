"""Loads and batches training images as `data/` does, from keywords of its three records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from torch import Tensor

from cyclegan_hub.data import batches, load, streaming
from cyclegan_hub.data.batches import UnpairedBatches
from cyclegan_hub.data.load import DomainImages
from cyclegan_hub.data.reading import Batching, Reading, Selection
from cyclegan_hub.data.specs import DataSource
from cyclegan_hub.data.streaming import StreamingBatches


def records(domains: int, options: dict[str, Any]) -> tuple[list[Reading], Selection, dict[str, Any]]:
    """The records of some options, and those that are left."""
    left = dict(options)
    eyes = left.pop("eyes", ())
    reading, selection = ({field.name: left.pop(field.name) for field in fields(kind) if field.name in left} for kind in KINDS)
    return Reading(**reading).for_domains(domains, eyes), Selection(**selection), left


KINDS = (Reading, Selection)


def load_domains(sources: Sequence[DataSource], **options: Any) -> tuple[DomainImages, ...]:
    """`data.load.load_domains`; `eyes` is a sequence."""
    readings, selection, left = records(len(sources), options)
    assert not left
    return load.load_domains(sources, readings, selection)


def open_batches(sources: Sequence[DataSource], **options: Any) -> UnpairedBatches | StreamingBatches:
    """`data.batches.open_batches`; `eyes` is a sequence."""
    readings, selection, left = records(len(sources), options)
    return batches.open_batches(sources, readings, selection, Batching(**left))


def open_streams(sources: Sequence[DataSource], **options: Any) -> StreamingBatches:
    """`StreamingBatches`; `eyes` is a sequence."""
    readings, selection, left = records(len(sources), options)
    return streaming.StreamingBatches(sources, readings, Batching(**left), selection.seed)


def contents(found: Iterable[Tensor]) -> set[bytes]:
    """The pixels of some images, in no order."""
    return {x.numpy().tobytes() for x in found}
