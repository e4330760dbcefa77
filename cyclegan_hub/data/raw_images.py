"""Images that are not decoded yet, in a fixed order: files of a folder, members of a zip, rows of an array or a column,
records of TFRecord files."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cyclegan_hub import decoding
from cyclegan_hub.data.specs import DataError, is_image_name

if TYPE_CHECKING:
    import pyarrow as pa

Raw = bytes | Path | np.ndarray


class Items(Protocol):
    """A pile of images that are not decoded yet, in a fixed order."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call the image in a log line."""
        ...

    def read(self, index: int) -> Raw:
        """Something `images.decode` takes. Raises decoding.ImageError or OSError if it cannot be read."""
        ...


@dataclass
class FolderItems:
    """Image files at any depth of a folder, sorted by path; hidden files and other suffixes are not looked at."""

    folder: Path
    files: list[Path]

    @classmethod
    def open(cls, folder: Path) -> FolderItems:
        """List the folder."""
        return cls(folder, sorted(path for path in folder.rglob("*") if is_image_name(path.name) and path.is_file()))

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].relative_to(self.folder).as_posix()

    def read(self, index: int) -> Raw:
        return self.files[index]


@dataclass
class ZipItems:
    """Image members of a zip, sorted by name, read in memory one at a time and never extracted."""

    path: Path
    members: list[str]
    _open: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: Path) -> ZipItems:
        """List the members, without folders, hidden ones and macOS's own. Raises DataError if it is no zip."""
        try:
            with zipfile.ZipFile(path) as archive:
                names = {info.filename for info in archive.infolist() if not info.is_dir()}
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path.name} cannot be read as a zip: {error}") from error
        parts = {name: name.split("/") for name in names}
        hidden = {name for name in names if parts[name][0] == "__MACOSX" or any(part.startswith(".") for part in parts[name])}
        return cls(path, sorted(name for name in names - hidden if is_image_name(parts[name][-1])))

    def __len__(self) -> int:
        return len(self.members)

    def name(self, index: int) -> str:
        return self.members[index]

    def read(self, index: int) -> Raw:
        archive = self._archive()
        info = archive.getinfo(self.members[index])
        if info.file_size > decoding.MAX_BYTES:
            raise decoding.ImageError(
                f"{info.filename!r} unpacks to {info.file_size:,} bytes: at most {decoding.MAX_BYTES:,} are read"
            )
        try:
            with archive.open(info) as member:
                return member.read(decoding.MAX_BYTES + 1)  # the listed size may lie: never unpack more than this
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise decoding.ImageError(f"{info.filename!r} cannot be unpacked: {error}") from error

    def _archive(self) -> zipfile.ZipFile:
        # One handle per process: DataLoader workers that shared one would move each other's position in the file.
        pid = os.getpid()
        if pid not in self._open:
            self._open = {pid: zipfile.ZipFile(self.path)}
        return self._open[pid]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # an open zip cannot be sent to a worker


@dataclass
class ArrayItems:
    """Rows of a uint8 array (N, H, W, C) or (N, H, W)."""

    array: np.ndarray

    @classmethod
    def open(cls, path: Path) -> ArrayItems:
        """Read the array named `images`, or the only one, of a `.npz`. Raises DataError for anything but 8-bit images."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = list(arrays.files)
                name = "images" if "images" in names else names[0] if len(names) == 1 else None
                array = None if name is None else arrays[name]
        except (ValueError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            raise DataError(f"{path.name} cannot be read as plain arrays (pickled objects are refused): {error}") from error
        if array is None:
            raise DataError(f"{path.name} holds the arrays {', '.join(names) or '(none)'}: name the one to read 'images'")
        if array.dtype != np.uint8 or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3, 4))):
            raise DataError(
                f"{path.name} holds {array.dtype} of shape {array.shape}: give uint8 (0 to 255) as (N, H, W) or (N, H, W, 1|3|4)"
            )
        return cls(array)

    def __len__(self) -> int:
        return len(self.array)

    def name(self, index: int) -> str:
        return f"row {index}"

    def read(self, index: int) -> Raw:
        return self.array[index]


@dataclass
class ArrowItems:
    """Rows of an Arrow column: encoded images as binary, or as a struct of `bytes` and `path` (the Hub's Image feature)."""

    column: pa.ChunkedArray
    rows: np.ndarray  # which rows of the column, in order

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, index: int) -> str:
        row = int(self.rows[index])
        return cell_name(self.column[row].as_py(), f"row {row}")

    def read(self, index: int) -> Raw:
        return cell_bytes(self.column[int(self.rows[index])].as_py())


def cell_name(value: Any, position: str) -> str:
    """What to call the image in one cell: its position, and the file's name if the cell knows it."""
    path = value.get("path") if isinstance(value, dict) else None
    return f"{position} ({Path(path).name})" if path else position


def cell_bytes(value: Any) -> bytes:
    """The encoded image in one cell: binary, or a dict with `bytes`, or with a `path` only (local or remote).

    Raises decoding.ImageError if there is none, OSError if the path cannot be read.
    """
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            return _read_path(value["path"])
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise decoding.ImageError(
            "the cell is empty" if value is None else f"the cell holds {type(value).__name__}, not an image"
        )
    return value


def _read_path(path: str) -> bytes:
    """A local file, or a remote one as `datasets` writes it (`hf://`, `zip://x::hf://`); at most a byte above the limit."""
    if "://" not in path:
        with Path(path).open("rb") as file:
            return file.read(decoding.MAX_BYTES + 1)
    import fsspec

    with fsspec.open(path, "rb") as file:
        return file.read(decoding.MAX_BYTES + 1)
