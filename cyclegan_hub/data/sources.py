"""Opens a source as raw images or as a stream of them. Every kind of source is a row of SOURCES.

A new kind needs a class like those imported here (see `files.ImageSource`) and its row.
"""

from __future__ import annotations

from pathlib import Path

from cyclegan_hub.data.files import ArrayItems, FolderItems, ImageSource, RawImages, Stream, TarItems, ZipItems
from cyclegan_hub.data.hub_datasets import HubItems
from cyclegan_hub.data.pairs import PairItems
from cyclegan_hub.data.specs import Files, Pair, Source
from cyclegan_hub.data.tables import ParquetItems, SavedItems
from cyclegan_hub.data.tfrecord import TFRecordItems
from cyclegan_hub.domains import HubSplit

SOURCES: tuple[type[ImageSource], ...] = (
    FolderItems,
    ZipItems,
    ArrayItems,
    ParquetItems,
    TFRecordItems,
    TarItems,
    SavedItems,
    HubItems,
)


def open_items(source: Source, value_range: tuple[int, int] | None = None) -> RawImages | None:
    """Open a source without decoding anything; None if it is an optional split that the dataset does not have.

    `value_range` is that of 16-bit pairs, which are decoded as they are read. Raises DataError if the source cannot be read at
    all: no such column, split or config, an unsuitable array, an unreachable Hub, two sources that are not pairs.
    """
    if not isinstance(source, Pair):
        return _class_of(source).open(source)
    a, b = open_items(source.a), open_items(source.b)
    return None if a is None or b is None else PairItems.match(source, a, b, value_range)


def open_stream(source: Files | HubSplit) -> Stream | None:
    """The source as a stream of its rows, filtered, and the name of the image column; the images are not decoded.

    None if it is an optional split that the dataset does not have. Raises DataError for npz, and as `open_items` does.
    """
    return _class_of(source).stream(source)


def source_of_file(path: Path) -> type[ImageSource] | None:
    """The class that reads a file, by its name; None if there is none."""
    return next((source for source in SOURCES if source.matches(path)), None)


def file_extensions(sharded: bool | None = None) -> list[str]:
    """The first extension of each kind of file; `sharded` selects the kinds that come in shards, or those that do not."""
    return [source.extensions[0] for source in SOURCES if source.extensions and sharded in (None, source.sharded)]


def _class_of(source: Files | HubSplit) -> type[ImageSource]:
    return next(one for one in SOURCES if one.kind == source.kind)
