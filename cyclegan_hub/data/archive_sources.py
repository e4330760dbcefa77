"""Images in archives, read in memory one at a time and never extracted: `.zip`, and `.tar` such as WebDataset's shards."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from cyclegan_hub import decoding
from cyclegan_hub.data.pile import Pile, is_hidden, order, pile_of, portable_name
from cyclegan_hub.data.raw_images import Raw, RawImages
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.decoding import ImageError


def _pile_inside(names: Iterable[str], source: Files, open_file: Callable[[str], BinaryIO]) -> Pile:
    """The images of an archive, or of the folder in it that `source` names. Raises DataError where there is no such folder."""
    inside = portable_name(source.inside or "").strip("/")
    if not inside:
        return pile_of(names, open_file)
    below = [name for name in names if name.startswith(f"{inside}/")]
    if not below:
        raise DataError(f"{source.paths[0].name} holds no folder {inside!r}: see what it holds with an archive program")
    return pile_of(below, open_file)


class ArchiveItems(RawImages):
    """What the kinds of archives have in common."""

    members: list[str]  # names of the images, with "/"

    def __len__(self) -> int:
        return len(self.members)

    def name(self, index: int) -> str:
        return self.members[index]

    def file_names(self) -> list[str]:
        return self.members

    @classmethod
    @abstractmethod
    def open(cls, source: Files) -> Self:
        """List the images. Raises DataError if the file cannot be read."""

    @staticmethod
    @abstractmethod
    def files_in(path: Path) -> Mapping[str, Any]:
        """The files of an archive by name, with "/". Raises DataError if it cannot be read."""

    @classmethod
    def folders_called(cls, path: Path, folder: str) -> list[str]:
        """The folders of an archive, as paths in it, that are called `folder`, at any depth."""
        found = set()
        for parts in (name.split("/")[:-1] for name in cls.files_in(path) if not is_hidden(name)):
            found |= {"/".join(parts[: i + 1]) for i, part in enumerate(parts) if part == folder}
        return sorted(found, key=order)


@dataclass
class ZipItems(ArchiveItems):
    """The images of a zip as `pile` defines them, by name."""

    kind: ClassVar[str] = "zip"
    endings: ClassVar[tuple[str, ...]] = (".zip",)
    options: ClassVar[tuple[str, ...]] = ("inside",)
    path: Path
    members: list[str]  # names with "/", whichever system wrote the zip
    originals: dict[str, str] = field(repr=False)  # by those names, the ones that the zip has
    notes: list[str] = field(default_factory=list)
    _handles: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the images. Raises DataError if the file is no zip."""
        path = source.paths[0]
        originals = cls.files_in(path)
        try:
            with zipfile.ZipFile(path) as archive:
                pile = _pile_inside(originals, source, lambda name: _seekable(archive.open(originals[name])))
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path.name} cannot be read as a zip: {error}") from error
        note = pile.note()
        return cls(path, pile.names, {name: originals[name] for name in pile.names}, [note] if note else [])

    @staticmethod
    def files_in(path: Path) -> dict[str, str]:
        """The names of a zip's files, with "/" -> as the zip has them. Raises DataError if it is no zip."""
        try:
            with zipfile.ZipFile(path) as archive:
                names = {portable_name(info.filename): info.filename for info in archive.infolist() if not info.is_dir()}
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{path.name} cannot be read as a zip: {error}") from error
        return {name: original for name, original in names.items() if not name.endswith("/")}

    def read(self, index: int) -> Raw:
        archive = self._archive()
        name = self.members[index]
        info = archive.getinfo(self.originals[name])
        if info.file_size > decoding.MAX_BYTES:
            raise ImageError(f"{name!r} unpacks to {info.file_size:,} bytes: at most {decoding.MAX_BYTES:,} are read")
        try:
            with archive.open(info) as member:
                return member.read(decoding.MAX_BYTES + 1)  # the listed size may lie: never unpack more than this
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise ImageError(f"{name!r} cannot be unpacked: {error}") from error

    def _archive(self) -> zipfile.ZipFile:
        # One handle per process: DataLoader workers that shared one would move each other's position in the file.
        pid = os.getpid()
        if pid not in self._handles:
            self._handles = {pid: zipfile.ZipFile(self.path)}
        return self._handles[pid]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}  # an open zip cannot be sent to a worker


def _seekable(member: Any, head: int = 2**16) -> BinaryIO:
    """The head of a zip's member in memory: seeking in the member itself would unpack it anew each time."""
    with member:
        return io.BytesIO(member.read(head))


@dataclass
class TarItems(ArchiveItems):
    """The images of one or more plain tar files, such as the shards of a WebDataset, by name."""

    kind: ClassVar[str] = "tar"
    endings: ClassVar[tuple[str, ...]] = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
    sharded: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inside",)
    members: list[str]  # names with "/"; of several shards the shard's name comes first
    places: list[tuple[Path, int, int]] = field(repr=False)  # the file, and where in it the image starts and ends, in bytes
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the images. Raises DataError for a file that is compressed, or no tar."""
        places: dict[str, tuple[Path, int, int]] = {}
        for path in source.paths:
            prefix = f"{path.name}/" if len(source.paths) > 1 else ""
            places |= {f"{prefix}{name}": (path, *where) for name, where in cls.files_in(path).items()}

        def head(name: str) -> BinaryIO:
            path, start, end = places[name]
            return io.BytesIO(_part(path, start, min(end, start + 2**16)))

        pile = _pile_inside(places, source, head)
        note = pile.note()
        return cls(pile.names, [places[name] for name in pile.names], [note] if note else [])

    @staticmethod
    def files_in(path: Path) -> dict[str, tuple[int, int]]:
        """The names of a tar's files -> where each starts and ends, in bytes. Raises DataError as `open` does."""
        try:
            with path.open("rb") as file:
                packed = file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
            if packed:
                raise DataError(f"{path.name} is compressed: unpack it first (tar xf {path.name}), and give the folder")
            with tarfile.open(path, "r:") as archive:
                return {
                    portable_name(info.name): (info.offset_data, info.offset_data + info.size)
                    for info in archive
                    if info.isreg() and not info.issparse()
                }
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(f"{path.name} cannot be read as a tar: {error}") from error

    def read(self, index: int) -> Raw:
        path, start, end = self.places[index]
        if end - start > decoding.MAX_BYTES:
            raise ImageError(f"{self.members[index]!r} has {end - start:,} bytes: at most {decoding.MAX_BYTES:,} are read")
        return _part(path, start, end)


def _part(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
