"""Images as files: in folders, archives and arrays. One rule for every command decides which files are images.

Hidden files and files of operating systems are not images. Of the others, a file with an extension that the decoder knows is an
image; one without an extension is an image if its content is; all others are ignored and counted.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import unicodedata
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.errors import counted, shortened
from cyclegan_hub.imaging import decoding
from cyclegan_hub.imaging.decoding import IMAGE_ENDINGS, ImageError, looks_like_image

# Folders and files of operating systems and storage devices, in lower case; what begins with a dot is hidden anyway.
_SYSTEM = {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"}
_SYSTEM |= {"@recycle", "@recently-snapshot", "@sharebin", "@tmp", "recycler", "network trash folder", "temporary items"}
_SYSTEM |= {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
# `photo.jpg` has an extension; `IMG_0001`, `taken 12.05.2021` and `photo.jpg_large` have none that names a format.
_ENDING = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,12}$", re.IGNORECASE | re.ASCII)


@dataclass
class FoundFiles:
    """The images among the files of a folder or archive, and the number of other files."""

    names: list[str] = field(default_factory=list)  # relative, with "/", in the order in which they are read
    other: Counter[str] = field(default_factory=Counter)  # number of other files by their extension; "": without one

    def notes(self) -> list[str]:
        """A line about the other files, if there are any."""
        count = sum(self.other.values())
        if not count:
            return []
        extensions = sorted(self.other.items(), key=lambda pair: (-pair[1], pair[0]))
        files = "1 file with another extension was" if count == 1 else f"{count:,} files with other extensions were"
        numbers = [f"{extension or 'none'} {number:,}" for extension, number in extensions]
        return [f"{files} ignored: {shortened(numbers)}"]


def portable_name(name: str) -> str:
    """A name inside an archive with "/" between its parts, on whatever system it was written, and without a leading "./"."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part != ".")


def is_hidden(name: str) -> bool:
    """Whether any part of a relative name is hidden, or is a file or folder of an operating system."""
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _SYSTEM for part in name.split("/"))


def extension_of(name: str) -> str:
    """The extension of a file's name in lower case, such as ".jpg"; "" if it has none."""
    found = _ENDING.search(PurePosixPath(name).name)
    return found[0].lower() if found and found.start() else ""


def is_image_name(name: str) -> bool:
    """Whether a file's name has an image's extension and is not hidden (`._photo.jpg` of macOS is hidden)."""
    return not is_hidden(name) and extension_of(name) in IMAGE_ENDINGS


def order(name: str) -> list[str]:
    """The sort key of relative names: by folder, then by file, the same for folders and archives."""
    return name.split("/")


def share_of(part: int, whole: int) -> str:
    """A part of some images with its verb: "1 of 30 images is", "2 of 30 images are"."""
    return f"{part:,} of {counted(whole)} {'is' if part == 1 else 'are'}"


def find_images(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> FoundFiles:
    """The images among relative names (see `portable_name`); `open_file` opens one, to inspect its first bytes.

    A file that cannot be opened here counts as an image: the attempt to read it later reports its name and the reason.
    """
    found = FoundFiles()
    for name in names:
        if is_hidden(name):
            continue
        extension = extension_of(name)
        if extension in IMAGE_ENDINGS or (not extension and _holds_image(name, open_file)):
            found.names.append(name)
        else:
            found.other[extension] += 1
    found.names.sort(key=order)
    return found


def _holds_image(name: str, open_file: Callable[[str], BinaryIO]) -> bool:
    try:
        with open_file(name) as file:
            return looks_like_image(file)
    except Exception:  # any error of a file system or archive: reading the image later reports it
        return True


def images_in(root: Path) -> FoundFiles:
    """The images below a folder, at any depth. A subfolder that cannot be listed is among the names, and fails when read."""
    unlisted: list[str] = []
    found = find_images(files_below(root, unlisted), lambda name: _open_file(root / name))
    found.names = sorted([*found.names, *unlisted], key=order)
    return found


def has_image(root: Path) -> bool:
    """Whether there is an image below a folder; stops at the first one."""
    return any(find_images([name], lambda name: _open_file(root / name)).names for name in files_below(root, []))


def files_below(root: Path, unlisted: list[str]) -> Iterator[str]:
    """The relative names of all files below a folder, hidden parts left out, real folders before linked ones.

    Links to folders are followed, but each folder is listed once, and the parents of `root` never, so that circles of links
    end. The names of subfolders that cannot be listed are added to `unlisted`. Raises OSError if `root` itself cannot.
    """

    def failed(error: OSError) -> None:
        if error.filename == str(root):
            raise error
        unlisted.append(Path(error.filename).relative_to(root).as_posix())

    seen, links = {str(parent) for parent in root.resolve().parents}, [""]
    for link in links:  # grows on the way
        for path, folders, files in os.walk(root / link, onerror=failed):
            visible = sorted(name for name in folders if not is_hidden(name))
            if (own := os.path.realpath(path)) in seen:
                visible, files = [], []
            seen.add(own)
            prefix = "" if path == str(root) else f"{Path(path).relative_to(root).as_posix()}/"
            linked = {name for name in visible if _is_link(Path(path, name))}
            folders[:] = [name for name in visible if name not in linked]
            links += [prefix + name for name in sorted(linked)]
            yield from (prefix + name for name in files if not is_hidden(name))


def _is_link(folder: Path) -> bool:
    isjunction = getattr(os.path, "isjunction", None)  # a link of Windows, which Python 3.12 knows
    return folder.is_symlink() or bool(isjunction and isjunction(folder))


# ------------------------------------------------------------------------------------------ images that are not decoded yet


# What `images.decode` takes: an encoded image, its file, pixels (H, W) or (H, W, C), or an image.
Raw = bytes | Path | npt.NDArray[Any] | Image.Image


class Stream(NamedTuple):
    """A source as a stream of rows (a `datasets.IterableDataset`), the column of the images, and lines for the log."""

    rows: Any
    column: str
    notes: list[str]


class RawImages(ABC):
    """Images that are not decoded yet, in a fixed order."""

    notes: Sequence[str] = ()  # lines for the log, such as on files that were ignored
    names: list[str] | None = None  # the images' own names, relative and with "/", in order; None where they have none

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """The image's name in log lines."""

    @abstractmethod
    def read(self, index: int) -> Raw:
        """The image, not decoded: an argument of `images.decode`. Raises ImageError or OSError if it cannot be read."""

    def digest(self, index: int) -> bytes:
        """A hash of an image as it is stored, not decoded; of one that cannot be read, of its name."""
        try:
            data = self.stored(index)
        except (ImageError, OSError):
            data = self.name(index).encode(errors="surrogateescape")
        return hashlib.blake2b(data, digest_size=16).digest()

    def stored(self, index: int) -> bytes:
        """The bytes of an image's file, or its pixels where it has none. Raises as `read` does."""
        raw = self.read(index)
        return read_file(raw) if isinstance(raw, Path) else raw if isinstance(raw, bytes) else raw.tobytes()


class EmptyCellError(ImageError):
    """A row of a table without an image, which nothing is wrong with."""


class ImageSource(RawImages):
    """Images of one kind of source, and how it is opened."""

    kind: ClassVar[str]  # the name in `Files.kind` and in descriptions
    extensions: ClassVar[tuple[str, ...]] = ()  # of the files that it reads; () if it reads folders
    sharded: ClassVar[bool] = False  # whether several files may make one source
    options: ClassVar[tuple[str, ...]] = ()  # fields of `Files` that may be given as FILE?name=value

    @classmethod
    @abstractmethod
    def open(cls, source: Any) -> Self | None:
        """List the images of a source without decoding one; None if it is an optional split that is not there.

        Raises DataError if the source cannot be read at all.
        """

    @classmethod
    def matches(cls, path: Path) -> bool:
        """Whether a file on disk is of this kind, by its name."""
        return path.name.lower().endswith(cls.extensions) if cls.extensions else False

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

    Raises EmptyCellError for an empty cell, ImageError for one that holds no image, OSError if the path cannot be read.
    """
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path"):
            return _read_path(value["path"])
        value = value.get("bytes")
    if value is None:
        raise EmptyCellError("the cell is empty")
    if not isinstance(value, bytes):
        raise ImageError(f"the cell holds {type(value).__name__}, not an image")
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
    with _open_file(path) as file:
        return file.read(decoding.MAX_BYTES + 1)


def _open_file(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError(0, "not a file that can be read")
    return path.open("rb")


# ------------------------------------------------------------------------------------------ folders and archives


class NamedItems(ImageSource):
    """Images with file names of their own."""

    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]


@dataclass
class FolderItems(NamedItems):
    """The images of a folder, at any depth, by path."""

    kind: ClassVar[str] = "folder"
    folder: Path
    names: list[str] = field(repr=False)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the folder. Raises DataError if it may not be listed."""
        folder = source.paths[0]
        try:
            found = images_in(folder)
        except OSError as error:
            raise DataError(f"{folder.name} cannot be listed: {error.strerror}") from error
        return cls(folder, found.names, found.notes())

    def without(self, places: Iterable[Path]) -> FolderItems:
        """The images that do not lie below one of these (absolute) places."""
        kept = [name for name in self.names if not any((self.folder / name).is_relative_to(place) for place in places)]
        return FolderItems(self.folder, kept, self.notes)

    def read(self, index: int) -> Raw:
        path = self.folder / self.names[index]
        if path.is_dir():
            next(path.iterdir(), None)  # raises the error of the folder that could not be listed
        return path


def _images_inside(names: Iterable[str], source: Files, open_file: Callable[[str], BinaryIO]) -> FoundFiles:
    """The images of an archive, or of the folder in it that `source` names. Raises DataError where there is no such folder."""
    inside = portable_name(source.inside or "").strip("/")
    if not inside:
        return find_images(names, open_file)
    below = [name for name in names if name.startswith(f"{inside}/")]
    if not below:
        raise DataError(f"{source.paths[0].name} holds no folder {inside!r}: list its folders with an archive program")
    return find_images(below, open_file)


class ArchiveItems(NamedItems):
    """Images in an archive, read in memory one at a time and never extracted."""

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
    """The images of a zip, by name."""

    kind: ClassVar[str] = "zip"
    extensions: ClassVar[tuple[str, ...]] = (".zip",)
    options: ClassVar[tuple[str, ...]] = ("inside",)
    path: Path
    names: list[str] = field(repr=False)
    originals: dict[str, str] = field(repr=False)  # by `names`, which have "/": the names as the zip has them
    notes: list[str] = field(default_factory=list)
    _handles: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the images. Raises DataError if the file is not a zip."""
        path = source.paths[0]
        originals = cls.files_in(path)
        with _open_zip(path) as archive:

            def head(name: str) -> BinaryIO:  # in memory: seeking in the member itself would unpack it again each time
                with archive.open(originals[name]) as member:
                    return io.BytesIO(member.read(_HEAD))

            found = _images_inside(originals, source, head)
            members = [archive.getinfo(originals[name]) for name in found.names]
            # Said once where it holds for all; of a single member the image's own error says it.
            if members and all(member.flag_bits & _ENCRYPTED for member in members):
                raise DataError(f"{path.name} has a password: unpack it first, and give the folder")
            if members and not any(member.compress_type in _METHODS for member in members):
                raise DataError(
                    f"{path.name} is compressed in a way that is not read (method {members[0].compress_type}): unpack it "
                    "first, and give the folder"
                )
        return cls(path, found.names, {name: originals[name] for name in found.names}, found.notes())

    @staticmethod
    def files_in(path: Path) -> dict[str, str]:
        """The names of a zip's files, with "/" -> as the zip has them. Raises DataError if it is not a zip."""
        with _open_zip(path) as archive:
            files = [info for info in archive.infolist() if not info.is_dir()]
        names = {portable_name(name): info.filename for name, info in zip(_own_names(files), files, strict=True)}
        return {name: original for name, original in names.items() if not name.endswith("/")}

    def read(self, index: int) -> Raw:
        archive = self._archive()
        name = self.names[index]
        info = archive.getinfo(self.originals[name])
        if info.file_size > decoding.MAX_BYTES:
            raise ImageError(f"{name!r} unpacks to {info.file_size:,} bytes: at most {decoding.MAX_BYTES:,} are read")
        if info.flag_bits & _ENCRYPTED:
            raise ImageError(f"{name!r} has a password in the archive: unpack it first")
        try:
            with archive.open(info) as member:
                return member.read(decoding.MAX_BYTES + 1)  # the listed size may lie: never unpack more than this
        except NotImplementedError as error:
            raise ImageError(f"{name!r} is compressed in a way that is not read: unpack it first") from error
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise ImageError(f"{name!r} is damaged in the archive: download it again") from error

    def _archive(self) -> zipfile.ZipFile:
        # One handle per process: DataLoader workers that shared one would move each other's position in the file.
        pid = os.getpid()
        if pid not in self._handles:
            self._handles = {pid: zipfile.ZipFile(self.path)}
        return self._handles[pid]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}  # an open zip cannot be sent to a worker


_HEAD = 2**16  # bytes that tell whether a file without an extension is an image
_ENCRYPTED, _UTF_8 = 0x1, 0x800  # flags of a zip's member: APPNOTE.TXT, section 4.4.4
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# Encodings of names without the flag for UTF-8, and the scripts that they hold, as Unicode names their letters.
_ENCODINGS = {"cp932": ("CJK", "HIRAGANA", "KATAKANA"), "gb2312": ("CJK",), "cp866": ("CYRILLIC",)}


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Raises DataError for a file that cannot be listed as a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except zipfile.BadZipFile as error:
        with path.open("rb") as file:
            kind = "is damaged or cut short" if file.read(2) == b"PK" else "cannot be read as a zip (it is another kind of file)"
        raise DataError(f"{path.name} {kind}: download it again") from error


def _own_names(files: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of a zip's files in the encoding that they were written in, which old archives do not state.

    `zipfile` reads such names as cp437. They are taken for UTF-8 if all of them can be, else for the first encoding in which
    all of them are words of one script, else they stay.
    """
    old = [info.filename for info in files if not info.flag_bits & _UTF_8 and not info.filename.isascii()]
    raw = [name.encode("cp437", "replace") for name in old]
    for encoding, scripts in ({"utf-8": ()} | _ENCODINGS).items() if old else ():
        try:
            names = [name.decode(encoding) for name in raw]
        except UnicodeDecodeError:
            continue
        if not scripts or all(_in_one_script(name, scripts) for name in names):
            own = dict(zip(old, names, strict=True))
            return [own.get(info.filename, info.filename) for info in files]
    return [info.filename for info in files]


def _in_one_script(name: str, scripts: tuple[str, ...]) -> bool:
    """Whether all letters beyond ASCII are of these scripts, none beside an ASCII letter, as accents that were misread are."""
    inside = all(unicodedata.name(c, "").startswith(scripts) for c in name if not c.isascii())
    stem = name.rpartition(".")[0] or name
    return inside and not re.search(r"[A-Za-z][^\x00-\x7f]|[^\x00-\x7f][A-Za-z]", stem)


@dataclass
class TarItems(ArchiveItems):
    """The images of one or more plain tar files, such as the shards of a WebDataset, by name."""

    kind: ClassVar[str] = "tar"
    extensions: ClassVar[tuple[str, ...]] = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
    sharded: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inside",)
    names: list[str] = field(repr=False)  # of several shards the shard's name comes first
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
            return io.BytesIO(_part(path, start, min(end, start + _HEAD)))

        found = _images_inside(places, source, head)
        return cls(found.names, [places[name] for name in found.names], found.notes())

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
            raise DataError(f"{path.name} cannot be read as a tar ({error}): download it again") from error

    def read(self, index: int) -> Raw:
        path, start, end = self.places[index]
        if end - start > decoding.MAX_BYTES:
            raise ImageError(f"{self.names[index]!r} has {end - start:,} bytes: at most {decoding.MAX_BYTES:,} are read")
        return _part(path, start, end)


def _part(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


# ------------------------------------------------------------------------------------------ arrays


@dataclass
class ArrayItems(ImageSource):
    """Rows of a uint8 or uint16 array (N, H, W, C) or (N, H, W)."""

    kind: ClassVar[str] = "npz"
    extensions: ClassVar[tuple[str, ...]] = (".npz",)
    array: npt.NDArray[Any]

    @classmethod
    def open(cls, source: Files) -> Self:
        """Read the array named `images`, or the only one. Raises DataError for anything but images of 8 or 16 bits."""
        path: Path = source.paths[0]
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = list(arrays.files)
                name = "images" if "images" in names else names[0] if len(names) == 1 else None
                array = None if name is None else arrays[name]
        except (ValueError, OSError, zipfile.BadZipFile, AttributeError, TypeError, MemoryError) as error:
            raise DataError(f"{path.name} cannot be read as plain arrays (pickled objects are refused): {error}") from error
        if array is None:
            raise DataError(f"{path.name} holds the arrays {', '.join(names) or '(none)'}: name the one to read 'images'")
        if array.dtype not in (np.uint8, np.uint16) or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3, 4))):
            raise DataError(
                f"{path.name} holds {array.dtype} of shape {array.shape}: give uint8 (0 to 255) or uint16 as (N, H, W) "
                "or (N, H, W, 1|3|4)"
            )
        return cls(array)

    @classmethod
    def stream(cls, source: Files) -> Stream:
        """Refused: an array is in memory as a whole."""
        raise DataError(
            f"{source.describe()} cannot be streamed: leave streaming out (--set streaming=False); it reads Hub datasets, "
            "Parquet, folders of images, archives and TFRecord"
        )

    def __len__(self) -> int:
        return len(self.array)

    def name(self, index: int) -> str:
        return f"row {index}"

    def read(self, index: int) -> Raw:
        pixels: npt.NDArray[Any] = self.array[index]
        return pixels
