"""What every kind of source has in common: a pile of images that are not decoded yet, in a fixed order.

A kind is one class, `RawImages` below with `open` and what it reads, and one line in `open_source.SOURCES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy.typing as npt

from cyclegan_hub import decoding
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.decoding import ImageError

Raw = bytes | Path | npt.NDArray[Any]  # what `images.decode` takes: an encoded image, its file, or pixels (H, W) or (H, W, C)


class Stream(NamedTuple):
    """A source as a stream of rows (a `datasets.IterableDataset`), the column of the images, and lines for the log."""

    rows: Any
    column: str
    notes: list[str]


class RawImages(ABC):
    """A pile of images that are not decoded yet, in a fixed order, and how it is opened."""

    kind: ClassVar[str]  # the name in `Files.kind` and in descriptions
    endings: ClassVar[tuple[str, ...]] = ()  # of the files that it reads; () if it reads folders
    sharded: ClassVar[bool] = False  # whether several files may make one pile
    options: ClassVar[tuple[str, ...]] = ()  # fields of `Files` that may be given as FILE?name=value
    notes: Sequence[str] = ()  # lines for the log, such as on files that were passed over

    @classmethod
    @abstractmethod
    def open(cls, source: Any) -> Self | None:
        """List the images of a source without decoding one; None if it is an optional split that is not there.

        Raises DataError if the source cannot be read at all.
        """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """What to call the image in a log line."""

    @abstractmethod
    def read(self, index: int) -> Raw:
        """Something `images.decode` takes. Raises ImageError or OSError if it cannot be read."""

    def file_names(self) -> list[str] | None:
        """The images' own names, relative and with "/", in order; None where they have none."""
        return None

    @classmethod
    def matches(cls, path: Path) -> bool:
        """Whether a file on disk is of this kind, by its name."""
        return path.name.lower().endswith(cls.endings) if cls.endings else False

    @classmethod
    def stream(cls, source: Any) -> Stream | None:
        """The source as a stream of its images, not decoded; None as `open`. Raises DataError where it cannot be streamed."""
        items = cls.open(source)
        if items is None:
            return None
        import datasets

        features = datasets.Features(image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
        # `datasets` shares a list between processes, and shuffles it.
        options = {"items": items, "rows": list(range(len(items)))}
        return Stream(datasets.IterableDataset.from_generator(_cells, features, gen_kwargs=options), "image", list(items.notes))


def not_streamed(source: Files) -> DataError:
    """The error of a kind that cannot be streamed."""
    what = "Hub datasets, Parquet and folders of images, archives and TFRecord"
    return DataError(f"{source.describe()} cannot be streamed: leave streaming out (--set streaming=False); it reads {what}")


def _cells(items: RawImages, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Images as rows of a column `image`, one at a time; of one that cannot be read no bytes, so that decoding fails."""
    for row in rows:
        try:
            raw = items.read(row)
        except (ImageError, OSError):
            raw = b""
        if isinstance(raw, Path):  # read when it is needed: another process may be the one that needs it
            yield {"image": {"bytes": None, "path": str(raw)}}
        else:
            yield {"image": {"bytes": raw, "path": items.name(row)}}


def cell_name(value: Any, position: str) -> str:
    """What to call the image in one cell: its position, and the file's name if the cell knows it."""
    path = value.get("path") if isinstance(value, dict) else None
    return f"{position} ({Path(path).name})" if path else position


def cell_bytes(value: Any) -> bytes:
    """The encoded image in one cell: binary, or a dict with `bytes`, or with a `path` only (local or remote).

    Raises ImageError if there is none, OSError if the path cannot be read.
    """
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            return _read_path(value["path"])
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise ImageError("the cell is empty" if value is None else f"the cell holds {type(value).__name__}, not an image")
    return value


def _read_path(path: str) -> bytes:
    """A local file, or a remote one as `datasets` writes it (`hf://`, `zip://x::hf://`); at most a byte above the limit."""
    if "://" not in path:
        return read_file(Path(path))
    import fsspec

    with fsspec.open(path, "rb") as file:
        return bytes(file.read(decoding.MAX_BYTES + 1))


def read_file(path: Path) -> bytes:
    """The bytes of a file, at most one above the limit. Raises OSError, also for a pipe or device, which might never end."""
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file that can be read")
    with path.open("rb") as file:
        return file.read(decoding.MAX_BYTES + 1)
