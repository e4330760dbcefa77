"""Opens what a spec names, as a pile of raw images or as a stream of them. Every kind of source is a line of SOURCES.

What a new kind needs is a class after the manner of those imported here (see `raw_images.RawImages`), and its line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cyclegan_hub.data.files import ArrayItems, FolderItems, RawImages, Stream, TarItems, ZipItems, has_image, is_hidden
from cyclegan_hub.data.hub_datasets import HubItems
from cyclegan_hub.data.specs import DataError, DataSource, Files
from cyclegan_hub.data.tables import ParquetItems, SavedItems
from cyclegan_hub.data.tfrecord import TFRecordItems
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.hub.errors import is_address, not_a_name
from cyclegan_hub.imaging.decoding import IMAGE_ENDINGS

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


def file_extensions(sharded: bool | None = None) -> list[str]:
    """The first ending of each kind of file, of those that come in shards or those that do not if `sharded` says so."""
    return [source.endings[0] for source in SOURCES if source.endings and sharded in (None, source.sharded)]


def _class_of(source: Files | HubSplit) -> type[RawImages]:
    return next(one for one in SOURCES if one.kind == source.kind)


# One side as it is written on a command line: a path, FILE?column=..&filter=.., or hf:ID?.. ; parsed and checked.


# What to do with files of kinds that are not read, by their endings.
_REMEDIES = dict.fromkeys((".rar", ".7z", ".gz", ".xz", ".bz2", ".zst"), ": unpack it first, and give the folder")
_REMEDIES |= dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), ": save its frames first (ffmpeg -i FILE frames/%06d.png)")
_REMEDIES |= {".npy": ": save it as a .npz first (numpy.savez), or its images as files"}
_REMEDIES |= dict.fromkeys(
    (".h5", ".hdf5", ".mat", ".arrow", ".csv", ".pt", ".pkl"), ": save its images as files, .npz or .parquet"
)
_REMEDIES |= dict.fromkeys(IMAGE_ENDINGS, ": give the folder that it lies in")
_HUB_KEYS = ("config", "split", "test_split", "column", "filter", "revision", "data_dir")


def parse_source(spec: str) -> DataSource:
    """One side given on its own: a path, for some kinds with options (FILE?column=NAME&filter=NAME=VALUE), or `hf:ID?...`.

    A path is a folder of images or of shards, or a file of a kind that `open_source` reads. The keys of `hf:` are config, split,
    test_split, column, filter, revision and data_dir; every one may be left out. Raises DataError, which names what is wrong.
    """
    if spec.startswith("hf:"):
        return _hub_side(spec)
    name, _, query = spec.partition("?")
    if Path(spec).expanduser().exists():  # a "?" may be part of a name
        name, query = spec, ""
    path = Path(name).expanduser()
    if not path.exists():
        if is_address(name):
            raise DataError(not_a_name(name, prefix="hf:"))
        hint = f" (a Hub dataset is written hf:{name})" if may_be_hub_id(name) else ""
        raise DataError(f"{name}: there is no such file or folder{hint}")
    files = files_of_folder(path) if path.is_dir() else files_of(path)
    return DataSource(_with_options(files, spec, query) if query else files)


def files_of(path: Path) -> Files:
    """A file on disk as a source. Raises DataError for one of another kind."""
    source = source_of_file(path)
    if source is None:
        ending = path.suffix.lower()
        kinds = f"a side is a folder, {', '.join(file_extensions())} or hf:ID"
        raise DataError(f"{path}: {kinds}, not a {ending or 'suffixless'} file{_REMEDIES.get(ending, '')}")
    return Files(source.kind, (path.resolve(),))


def files_of_folder(folder: Path) -> Files:
    """A folder of images, of a saved dataset, or of shards of one kind if that is all it holds. Raises DataError."""
    if SavedItems.is_saved(folder):
        return Files(SavedItems.kind, (folder.resolve(),))
    try:
        if has_image(folder):
            return Files(FolderItems.kind, (folder.resolve(),))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error
    found = {source.kind: shards for source in SOURCES if source.sharded and (shards := shards_of(source, folder, "*"))}
    if len(found) > 1:
        raise DataError(f"{folder} holds both {' and '.join(found)} shards: keep one kind there, or give one file")
    for kind, shards in found.items():
        return Files(kind, shards)
    endings = file_extensions(sharded=True)
    raise DataError(
        f"{folder} holds no image and no {', '.join(endings[:-1])} or {endings[-1]} file; "
        f"looked for {', '.join(IMAGE_ENDINGS)} at any depth"
    )


def shards_of(source: type[RawImages], folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files of one kind that a glob finds, by name, without hidden ones such as macOS's `._data.parquet`."""
    found = (path for path in sorted(folder.glob(pattern)) if source.matches(path) and not is_hidden(path.name))
    return tuple(path.resolve() for path in found if path.is_file())


def may_be_hub_id(name: str) -> bool:
    """Whether a name could be a dataset's on the Hub (`user/name` or `name`) rather than a path."""
    return re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name, re.ASCII) is not None


def _with_options(files: Files, spec: str, query: str) -> Files:
    keys = next(source.options for source in SOURCES if source.kind == files.kind)
    if not keys:
        raise DataError(f"{spec!r}: a {files.kind} takes no options: leave out ?{query}")
    values, rows = _parsed(spec, query, keys)
    return Files(files.kind, files.paths, values.get("column"), rows, values.get("inside"))


def _hub_side(spec: str) -> DataSource:
    """Parse `hf:ID?key=value&...`. A `+` stands for itself (CelebA's configs are named with it), `%26` for `&`."""
    dataset, _, query = spec.removeprefix("hf:").partition("?")
    if not dataset.strip("/"):
        raise DataError(f"{spec!r} names no dataset: write hf:user/name?split=train")
    if is_address(dataset):
        raise DataError(not_a_name(dataset, prefix="hf:"))
    if not may_be_hub_id(dataset) and not Path(dataset).expanduser().is_dir():
        raise DataError(f"{spec!r}: there is no such folder, and {dataset!r} cannot be a dataset on the Hub (user/name)")
    values, rows = _parsed(spec, query, _HUB_KEYS)
    split, test = values.get("split", "train"), values.get("test_split")
    if test == split:
        raise DataError(f"{spec!r}: split and test_split are the same, so nothing would be held out")
    same: dict[str, Any] = {key: values.get(key) for key in ("config", "column", "revision", "data_dir")}
    return DataSource(
        HubSplit(dataset, split, filter=rows, **same), HubSplit(dataset, test, filter=rows, **same) if test else None
    )


def _parsed(spec: str, query: str, keys: tuple[str, ...]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The values of a query by key, and its filters, sorted. Raises DataError for a key that is unknown, empty or given twice."""
    values: dict[str, str] = {}
    rows: list[tuple[str, str]] = []
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        value = unquote(value)
        if key not in keys:
            raise DataError(f"unknown key {key!r} in {spec!r}: the keys are {', '.join(keys)}")
        if not value or (key == "filter" and not all(value.partition("="))):
            raise DataError(f"{pair!r} in {spec!r} has no value: write {'filter=NAME=VALUE' if key == 'filter' else f'{key}=…'}")
        if key == "filter":
            name, _, wanted = value.partition("=")
            rows.append((name, wanted))
        elif key in values:
            raise DataError(f"{key!r} is given twice in {spec!r}")
        else:
            values[key] = value
    return values, tuple(sorted(rows))
