"""Opens what a spec names: local files, Parquet, TFRecord, Hub datasets, as a pile of raw images or as a stream of them.

The only file that imports `datasets`, inside the functions that need it, because the import costs seconds.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from cyclegan_hub.data import tfrecord
from cyclegan_hub.data.raw_images import ArrayItems, ArrowItems, FolderItems, Items, ZipItems
from cyclegan_hub.data.specs import DataError, Files, HubSplit
from cyclegan_hub.data.tfrecord import TFRecordItems, tfrecord_cells

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

# Local Parquet up to this size is read as it is, the images compressed in memory; more goes through `datasets`, which
# memory-maps an Arrow copy in its cache folder.
PARQUET_IN_MEMORY_BYTES = 4 * 2**30


def open_items(source: Files | HubSplit) -> Items | None:
    """Open a source without decoding anything; None if it is an optional split that the dataset does not have.

    Raises DataError if it cannot be read at all: no such column, split or config, an unsuitable array, an unreachable Hub.
    """
    if isinstance(source, HubSplit):
        return _open_hub(source)
    match source.kind:
        case "folder":
            return FolderItems.open(source.paths[0])
        case "zip":
            return ZipItems.open(source.paths[0])
        case "npz":
            return ArrayItems.open(source.paths[0])
        case "TFRecord":
            return TFRecordItems.open(source.paths)
        case "Parquet":
            return _open_parquet(source)


def _open_parquet(source: Files) -> ArrowItems:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = source.describe()
    if sum(path.stat().st_size for path in source.paths) > PARQUET_IN_MEMORY_BYTES:
        import datasets

        with _explained(where, where):
            files = [str(path) for path in source.paths]
            return _arrow_items(datasets.load_dataset("parquet", data_files=files, split="train").data, source)
    try:
        column = pick_column(pq.read_schema(source.paths[0]), source.column, where)
        tables = [pq.ParquetFile(path).read(columns=[column]).select([column]) for path in source.paths]
        return _arrow_items(pa.concat_tables(tables), source)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{where} cannot be read as Parquet: {_first_line(error)}") from error


def _open_hub(source: HubSplit) -> ArrowItems | None:
    with _explained(source.dataset, source.describe()):
        builder = _builder(source)
        if builder is None:
            return None
        builder.download_and_prepare()
        return _arrow_items(builder.as_dataset(split=source.split).data, source)


def _arrow_items(table: Any, source: Files | HubSplit) -> ArrowItems:
    """The image column of a table (pyarrow's, or the one below a `datasets.Dataset`), its rows filtered."""
    where = source.describe()
    column = pick_column(table.schema, source.column, where)
    keep = np.ones(table.num_rows, dtype=bool)
    for name, value in source.filter if isinstance(source, HubSplit) else ():
        wanted = _typed(table.schema, name, value, where)
        keep &= np.array([cell == wanted for cell in table.column(name).to_pylist()], dtype=bool)
    return ArrowItems(table.column(column), np.flatnonzero(keep))


def pick_column(schema: pa.Schema, wanted: str | None, where: str) -> str:
    """The column that holds the images: the one asked for, else `image`, else the only one of binary or Image type.

    Raises DataError, which lists the columns, if there is no such column or no telling.
    """
    import pyarrow as pa

    listed = ", ".join(schema.names)
    if wanted is not None:
        if wanted not in schema.names:
            raise DataError(f"{where} has no column {wanted!r}: its columns are {listed}")
        return wanted

    def holds_images(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            return "bytes" in [kind.field(i).name for i in range(kind.num_fields)]
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    found = [name for name in schema.names if holds_images(schema.field(name).type)]
    if "image" in found:
        return "image"
    if len(found) != 1:
        hint = "name one with hf:ID?column=NAME" if found else "images are a column of type Image or binary"
        raise DataError(f"{where} has {len(found)} columns of images: {hint}; its columns are {listed}")
    return found[0]


def _typed(schema: pa.Schema, name: str, value: str, where: str) -> bool | int | str:
    """A filter's value in the type of its column."""
    import pyarrow as pa

    if name not in schema.names:
        raise DataError(f"{where} has no column {name!r} to filter by: its columns are {', '.join(schema.names)}")
    kind = schema.field(name).type
    if pa.types.is_boolean(kind) and value.lower() in ("0", "1", "false", "true"):
        return value.lower() in ("1", "true")
    if pa.types.is_integer(kind) and value.removeprefix("-").isdecimal():
        return int(value)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value
    raise DataError(f"{where}: the value of filter={name}={value} does not fit a column of type {kind}")


def _builder(source: HubSplit) -> datasets.DatasetBuilder | None:
    """The dataset's builder, once its config and split are known to exist; None for a missing optional split."""
    import datasets

    path = str(Path(source.dataset).expanduser().resolve()) if source.is_local else source.dataset
    if not source.is_local:
        _check_reachable(source.dataset)
    builder = datasets.load_dataset_builder(path, name=source.config, revision=source.revision)
    splits = [str(name) for name in builder.config.data_files or builder.info.splits or ()]
    if all(part.partition("[")[0].strip() in splits for part in source.split.split("+")):
        return builder
    if source.optional:
        return None
    raise DataError(f"{source.dataset} has no split {source.split!r}: its splits are {', '.join(splits)}")


def open_stream(source: Files | HubSplit) -> tuple[datasets.IterableDataset, str] | None:
    """The source as a stream of its rows, filtered, and the name of the image column; the images are not decoded.

    None if it is an optional split that the dataset does not have. Raises DataError for zip and npz, and as `open_items` does.
    """
    import datasets

    where = source.describe()
    if isinstance(source, Files) and source.kind in ("zip", "npz"):
        raise DataError(f"{where} cannot be streamed: streaming reads Hub datasets, Parquet and folders of images, and TFRecord")
    files = [str(path) for path in source.paths] if isinstance(source, Files) else []
    with _explained(source.dataset if isinstance(source, HubSplit) else where, where):
        if isinstance(source, HubSplit):
            builder = _builder(source)
            if builder is None:
                return None
            if hasattr(builder.config, "decode_num_threads"):
                builder.config.decode_num_threads = 0  # else remote folders come decoded by `datasets`, without our limits
            stream = builder.as_streaming_dataset(split=source.split)
        elif source.kind == "Parquet":
            stream = datasets.load_dataset("parquet", data_files=files, split="train", streaming=True)
        elif source.kind == "TFRecord":
            tfrecord.check(source.paths)
            columns = datasets.Features(image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
            stream = datasets.IterableDataset.from_generator(tfrecord_cells, columns, gen_kwargs={"paths": files})
        else:
            options = dict(split="train", streaming=True, drop_labels=True, drop_metadata=True)
            below = f"{glob.escape(files[0])}/**"  # every file, whatever characters the folder's name has
            stream = datasets.load_dataset("imagefolder", data_files=below, **options)
        if stream.features is None:
            raise DataError(f"{where} does not say what its columns are: give a dataset in Parquet or as a folder of images")
        return _image_column(stream, source)


def _image_column(stream: datasets.IterableDataset, source: Files | HubSplit) -> tuple[datasets.IterableDataset, str]:
    import datasets

    schema, where = stream.features.arrow_schema, source.describe()
    column = pick_column(schema, source.column, where)
    if isinstance(stream.features[column], datasets.Image):
        stream = stream.cast_column(column, datasets.Image(decode=False))
    for name, value in source.filter if isinstance(source, HubSplit) else ():
        wanted = _typed(schema, name, value, where)
        stream = stream.filter(lambda cell, wanted=wanted: cell == wanted, input_columns=[name])
    return stream.select_columns([column]), column


def shuffled_part(
    stream: datasets.IterableDataset, *, seed: int, buffer_size: int, rank: int, world_size: int
) -> datasets.IterableDataset:
    """The stream shuffled through a buffer of `buffer_size` rows, and of it the part of process `rank`."""
    from datasets.distributed import split_dataset_by_node

    return split_dataset_by_node(stream.shuffle(seed=seed, buffer_size=buffer_size), rank=rank, world_size=world_size)


@contextmanager
def _explained(dataset: str, where: str) -> Iterator[None]:
    """Turn what `datasets` and the Hub's client raise into a DataError with a remedy."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        yield
    except DataError:
        raise
    except DatasetNotFoundError as error:
        raise DataError(f"{_first_line(error)} Check the name, log in if it is private, or give a local --data FOLDER") from error
    except ConnectionError as error:
        raise DataError(_unreachable(dataset)) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        raise DataError(f"{where} cannot be loaded: {_first_line(error)}") from error


def _check_reachable(dataset: str) -> None:
    """Raise DataError at once if the Hub does not answer.

    The Hub's client retries every request for over 20 seconds, even if the dataset is in its cache.
    """
    import datasets

    if datasets.config.HF_HUB_OFFLINE:
        return
    try:
        urlopen(Request(datasets.config.HF_ENDPOINT, method="HEAD"), timeout=10).close()
    except HTTPError:
        return  # any answer will do
    except OSError as error:
        raise DataError(_unreachable(dataset)) from error


def _unreachable(dataset: str) -> str:
    import datasets

    what, remedy = f"dataset {dataset} (there is no folder of that name)", "connect, or give a local --data FOLDER"
    if datasets.config.HF_HUB_OFFLINE:
        return f"{what}: HF_HUB_OFFLINE is set; unset it and {remedy}"
    if Path(datasets.config.HF_DATASETS_CACHE, dataset.replace("/", "___")).is_dir():
        remedy = f"set HF_HUB_OFFLINE=1 to use the copy in the cache, {remedy}"
    return f"{what}: the Hub ({datasets.config.HF_ENDPOINT}) cannot be reached; {remedy}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."
