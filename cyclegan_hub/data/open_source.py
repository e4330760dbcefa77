"""Opens what a spec names, as a pile of raw images or as a stream of them. Every kind of source is a line of SOURCES.

What a new kind needs is a class after the manner of those imported here (see `raw_images.RawImages`), and its line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclegan_hub.data.archive_sources import TarItems, ZipItems
from cyclegan_hub.data.array_source import ArrayItems
from cyclegan_hub.data.folder_source import FolderItems
from cyclegan_hub.data.hub_source import HubItems
from cyclegan_hub.data.raw_images import RawImages, Stream
from cyclegan_hub.data.specs import Files, HubSplit
from cyclegan_hub.data.table_sources import ParquetItems, SavedItems
from cyclegan_hub.data.tfrecord import TFRecordItems

SOURCES: tuple[type[RawImages], ...] = (
    FolderItems,
    ZipItems,
    ArrayItems,
    ParquetItems,
    TFRecordItems,
    TarItems,
    SavedItems,
    HubItems,
)


def open_items(source: Files | HubSplit) -> RawImages | None:
    """Open a source without decoding anything; None if it is an optional split that the dataset does not have.

    Raises DataError if it cannot be read at all: no such column, split or config, an unsuitable array, an unreachable Hub.
    """
    return _class_of(source).open(source)


def open_stream(source: Files | HubSplit) -> Stream | None:
    """The source as a stream of its rows, filtered, and the name of the image column; the images are not decoded.

    None if it is an optional split that the dataset does not have. Raises DataError for npz, and as `open_items` does.
    """
    return _class_of(source).stream(source)


def shuffled_part(stream: Any, *, seed: int, buffer_size: int, rank: int, world_size: int) -> Any:
    """A `datasets.IterableDataset` shuffled through a buffer of `buffer_size` rows, and of it the part of process `rank`."""
    from datasets.distributed import split_dataset_by_node

    return split_dataset_by_node(stream.shuffle(seed=seed, buffer_size=buffer_size), rank=rank, world_size=world_size)


def source_of_file(path: Path) -> type[RawImages] | None:
    """The class that reads a file on disk, by its name; None if there is none."""
    return next((source for source in SOURCES if source.matches(path)), None)


def file_endings(sharded: bool | None = None) -> list[str]:
    """The first ending of each kind of file, of those that come in shards or those that do not if `sharded` says so."""
    return [source.endings[0] for source in SOURCES if source.endings and sharded in (None, source.sharded)]


def _class_of(source: Files | HubSplit) -> type[RawImages]:
    return next(one for one in SOURCES if one.kind == source.kind)
