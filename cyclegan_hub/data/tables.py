"""Images in a column of a table: Parquet files, and folders that `datasets` wrote with `save_to_disk`.

`datasets` and pyarrow are imported by the functions that need them: their import costs seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cyclegan_hub.data.files import ImageSource, Raw, Stream, cell_bytes, cell_name
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.errors import first_line

if TYPE_CHECKING:
    import pyarrow as pa

# Local Parquet up to this size is read as it is, the images compressed in memory; more goes through `datasets`, which
# memory-maps an Arrow copy in its cache folder.
PARQUET_IN_MEMORY_BYTES = 4 * 2**30


@dataclass
class TableItems(ImageSource):
    """Rows of an Arrow column: encoded images as binary, or as a struct of `bytes` and `path` (the Hub's Image feature)."""

    column: pa.ChunkedArray
    rows: npt.NDArray[np.int64]  # which rows of the column, in order

    @classmethod
    def of(cls, table: Any, source: Files | HubSplit, classes: dict[str, list[str]] | None = None) -> Self:
        """The image column of a table (pyarrow's, or the one below a `datasets.Dataset`), its rows filtered.

        `classes` are the names of the classes of columns whose schema does not state them.
        """
        where = source.describe()
        column = pick_column(table.schema, source)
        keep = np.ones(table.num_rows, dtype=bool)
        for name, value in source.filter:
            wanted = typed_value(table.schema, name, value, where, classes)
            keep &= np.array([cell == wanted for cell in table.column(name).to_pylist()], dtype=bool)
        return cls(table.column(column), np.flatnonzero(keep))

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        row = int(self.rows[index])
        return cell_name(self.column[row].as_py(), f"row {row}")

    def read(self, index: int) -> Raw:
        return cell_bytes(self.column[int(self.rows[index])].as_py())


class ParquetItems(TableItems):
    """The images of one or more Parquet files."""

    kind: ClassVar[str] = "Parquet"
    extensions: ClassVar[tuple[str, ...]] = (".parquet",)
    sharded: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("column", "filter")

    @classmethod
    def open(cls, source: Files) -> Self:
        """Raises DataError for a file that is not Parquet, and if the image column is ambiguous."""
        return cls.of(read_parquet(source.paths, source), source)

    @classmethod
    def stream(cls, source: Files) -> Stream:
        import datasets

        with explained(source.describe()):
            files = [str(path) for path in source.paths]
            return image_stream(datasets.load_dataset("parquet", data_files=files, split="train", streaming=True), source)


def read_parquet(paths: Sequence[Path], source: Files | HubSplit) -> Any:
    """The columns of these Parquet files that `source` needs, as a table. Raises DataError as `ParquetItems.open` does."""
    import pyarrow as pa

    where = source.describe()
    if sum(path.stat().st_size for path in paths) > PARQUET_IN_MEMORY_BYTES:
        import datasets

        with explained(where):
            return datasets.load_dataset("parquet", data_files=[str(path) for path in paths], split="train").data
    try:
        schema = _parquet(paths[0]).schema_arrow
        columns = list(dict.fromkeys([pick_column(schema, source), *(name for name, _ in source.filter)]))
        if missing := [name for name in columns if name not in schema.names]:
            raise _no_filter(where, missing[0], schema.names)
        table = pa.concat_tables([_parquet(path).read(columns=columns).select(columns) for path in paths])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataError(f"{where} cannot be read as Parquet: {first_line(error)}") from error
    return table.replace_schema_metadata(schema.metadata)


def _parquet(path: Path) -> Any:
    """The file, opened by Python: Arrow takes no name that is not UTF-8."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path.open("rb"))


class SavedItems(TableItems):
    """A folder that `datasets` wrote with `save_to_disk`."""

    kind: ClassVar[str] = "saved dataset"
    options: ClassVar[tuple[str, ...]] = ("column", "filter")

    @classmethod
    def open(cls, source: Files) -> Self:
        """Raises DataError if the folder is damaged, or the image column is ambiguous."""
        return cls.of(cls._load(source).data, source)

    @classmethod
    def stream(cls, source: Files) -> Stream:
        return image_stream(cls._load(source).to_iterable_dataset(), source)

    @staticmethod
    def _load(source: Files) -> Any:
        import datasets

        with explained(source.describe()):
            return datasets.load_from_disk(str(source.paths[0]))

    @staticmethod
    def is_saved(folder: Path) -> bool:
        """Whether `save_to_disk` wrote this folder. Raises DataError for one with several splits, which lists them."""
        splits = folder / "dataset_dict.json"
        if splits.is_file():
            try:
                names = [str(name) for name in json.loads(splits.read_text("utf-8"))["splits"]]
            except (ValueError, KeyError, TypeError, OSError):
                names = sorted(path.name for path in folder.iterdir() if path.is_dir())
            raise DataError(
                f"{folder} is a saved dataset of several splits: give one, {', '.join(f'{folder / n}' for n in names)}"
            )
        return (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()


def image_stream(stream: Any, source: Files | HubSplit, classes: dict[str, list[str]] | None = None) -> Stream:
    """The image column of a `datasets.IterableDataset`, its rows filtered, its images left undecoded."""
    import datasets

    where = source.describe()
    if stream.features is None:
        raise DataError(f"{where} does not declare its columns: give a dataset in Parquet or as a folder of images")
    schema = stream.features.arrow_schema
    column = pick_column(schema, source)
    if isinstance(stream.features[column], datasets.Image):
        stream = stream.cast_column(column, datasets.Image(decode=False))
    for name, value in source.filter:
        wanted = typed_value(schema, name, value, where, classes)
        stream = stream.filter(lambda cell, wanted=wanted: cell == wanted, input_columns=[name])
    return Stream(stream.select_columns([column]), column, [])


def pick_column(schema: pa.Schema, source: Files | HubSplit) -> str:
    """The column that holds the images: `source.column`, else `image`, else the only one of binary or Image type.

    Raises DataError, which lists the columns, if there is no such column or several could be it.
    """
    import pyarrow as pa

    names: list[str] = list(schema.names)
    where, listed = source.describe(), ", ".join(names)
    if source.column is not None:
        if source.column not in names:
            raise DataError(f"{where} has no column {source.column!r}: its columns are {listed}")
        return source.column

    def holds_images(kind: pa.DataType) -> bool:
        if pa.types.is_struct(kind):
            return "bytes" in [kind.field(i).name for i in range(kind.num_fields)]
        return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    found = [name for name in names if holds_images(schema.field(name).type)]
    if "image" in found:
        return "image"
    if len(found) != 1:
        spec = f"hf:{source.dataset}" if isinstance(source, HubSplit) else source.paths[0].name
        which = " or ".join(f"{spec}?column={name}" for name in found)
        hint = f"name one with {which}" if found else "images are a column of type Image or binary"
        raise DataError(f"{where} has {len(found)} columns of images: {hint}; its columns are {listed}")
    return found[0]


def typed_value(schema: pa.Schema, name: str, value: str, where: str, classes: dict[str, list[str]] | None) -> Any:
    """A filter's value in the type of its column; of a column of classes, a name or a number."""
    import pyarrow as pa

    if name not in schema.names:
        raise _no_filter(where, name, schema.names)
    kind = schema.field(name).type
    names = (_class_names(schema) | (classes or {})).get(name)
    if names and value in names:
        return names.index(value)
    if pa.types.is_dictionary(kind):  # pandas' categories
        kind = kind.value_type
    if pa.types.is_boolean(kind) and value.lower() in ("0", "1", "false", "true"):
        return value.lower() in ("1", "true")
    if pa.types.is_integer(kind) and value.removeprefix("-").isdecimal():
        return int(value)
    if pa.types.is_floating(kind):
        try:
            return float(value)
        except ValueError:
            pass
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return value
    if names:
        more = ", …" if len(names) > 20 else ""
        raise DataError(f"{where}: filter={name}={value}: the classes of {name} are {', '.join(names[:20])}{more}")
    raise DataError(f"{where}: the value of filter={name}={value} does not fit a column of type {kind}")


def _no_filter(where: str, name: str, names: Sequence[str]) -> DataError:
    return DataError(f"{where} has no column {name!r} to filter by: its columns are {', '.join(names)}")


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the classes of each column of class labels, as `datasets` writes them beside a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: list(kind["names"]) for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what `datasets` raises about local files into a DataError."""
    from datasets.exceptions import DatasetsError

    try:
        yield
    except DataError:
        raise
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        raise DataError(f"{where} cannot be loaded: {first_line(error)}") from error
