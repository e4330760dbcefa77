"""Atomic writes, which a kill at any instant leaves as the old file or the new one, and names of results."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

_PACKAGE = Path(__file__).parent


def _package_data(installed: str, in_clone: str) -> Path:
    """A folder inside the package where it is installed; beside it in a clone that is not, as on a Space."""
    return _PACKAGE / installed if (_PACKAGE / installed).is_dir() else _PACKAGE.parent / in_clone


MODEL_CARDS = _package_data("model_cards", "model_cards")
BUNDLED_ENCODER = _package_data("bundled_encoder", "pretrained/encoder")

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"  # what a clone without Git LFS holds instead of a large file


def is_lfs_pointer(data: bytes) -> bool:
    """Whether a file's content only points to the file: a clone was made without Git LFS."""
    return data.startswith(_LFS_POINTER)


# Error codes of file systems that lack a part of POSIX (SMB, exFAT, NFS, FUSE and cloud mounts).
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOLCK})
_SYNCED = "synced to disk: a power cut may lose what was written last"
_noted: set[str] = set()


@contextmanager
def best_effort(path: Path, action: str, codes: Collection[int | None] | None = None) -> Iterator[None]:
    """Turns an OSError, with `codes` one of these, into the note "PATH cannot be ACTION", once in a process for each action."""
    try:
        yield
    except OSError as error:
        if codes is not None and error.errno not in codes:
            raise
        if action not in _noted:
            _noted.add(action)
            print(f"note: {path} cannot be {action}", file=sys.stderr)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` to `path` under a temporary name in the same folder, which is synced to disk and renamed.

    Raises OSError (disk full, no permission); the old file is then still there, whole.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path` to write to: synced to disk and renamed if all goes well, else removed."""
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.tmp")  # random: a process on another machine may do the same
    try:
        yield temporary
        with temporary.open("rb+") as file, best_effort(path, _SYNCED, UNSUPPORTED):
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    """Writes a folder of files that appears whole: under a temporary name, synced, renamed.

    Where the folder exists, its files are replaced one by one, each atomically, in the order given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        for name, data in files.items():
            write_atomic(path / name, data)
        return
    with atomic_folder(path) as temporary:
        for name, data in files.items():
            write_atomic(temporary / name, data)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, which must not exist or be empty: renamed if all goes well, else removed."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        with best_effort(path, "opened to other users: a web server may not read it"):
            temporary.chmod(0o755)  # mkdtemp's 0700 would lock them out
        yield temporary
        if path.exists():
            path.rmdir()
        temporary.rename(path)
    except BaseException:
        remove_leftover(temporary)
        raise
    sync_folder(path.parent)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder among the system's temporary files, for as long as the block lasts."""
    path = Path(tempfile.mkdtemp(prefix="cyclegan_hub-"))
    try:
        yield path
    finally:
        remove_leftover(path)


def remove_folder(path: Path) -> None:
    """Removes a folder at once: it is renamed first, so that no other process finds a part of it, and no kill leaves one.

    Raises OSError where it cannot be renamed; `remove_temporary` tries again what then could not be removed.
    """
    removed = path.with_name(f".{path.name}.{token_hex(4)}.tmp")
    path.rename(removed)
    remove_leftover(removed)


def remove_leftover(path: Path) -> None:
    """Removes a file or folder that is no longer needed. One that stays, as a file in use on NFS or Windows, is noted once."""
    with best_effort(path, "removed: delete it when nothing uses it"), suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync_folder(path: Path) -> None:
    """Makes a rename in this folder survive a power cut, where the file system can."""
    if os.name == "nt":  # folders cannot be opened there
        return
    with best_effort(path, _SYNCED):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Removes what a killed process left behind under temporary names."""
    for path in folder.glob(".*.tmp"):
        remove_leftover(path)


def readable(text: str) -> str:
    """The text with each byte of a name that is not UTF-8 spelled out (`d-\\xe9`), as files and libraries want Unicode."""
    return _SURROGATE.sub(_spelled, text)


def json_bytes(content: Any, **options: Any) -> bytes:
    """The content of a JSON file, indented, with names as `readable` spells them; `options` of `json.dumps`."""
    text = json.dumps(content, indent=2, ensure_ascii=False, **options) + "\n"
    return _SURROGATE.sub(lambda found: "\\" + _spelled(found), text).encode()


_SURROGATE = re.compile("[\ud800-\udfff]")  # os.fsdecode makes one of each byte that is not UTF-8


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


Format = Literal["png", "jpg"]
_NAME_BYTES = 180  # of a path's component: 255 is the limit of file systems, and a temporary name is longer
_PATH_BYTES = 1000


def base_name(file: Path | str) -> str:
    """The last part of a path of any operating system."""
    return os.fsdecode(file).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def result_names(names: Sequence[str], format: Format) -> list[str | None]:
    """The name of the result for the name of each image (a path with `/`): all different, on any system.

    The suffix is replaced (`day/a.jpg` -> `day/a.png`). Where several images would so share a name, letter case aside, each
    keeps its own suffix (`a.jpg.png`, `a.png.png`), and where that is not enough either, gets a hash of its name.
    Characters that some system refuses become `_`, and long components are cut. The order of `names` does not matter.
    None stands for a name that leads out of its folder (`../a.png`, `/a.png`) or is too long to be a path.
    Raises ValueError if two of `names` are equal.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"two images are called {Counter(names).most_common(1)[0][0]!r}: give each a name of its own")
    levels = [0] * len(names)
    while True:
        results = [_result_name(name, format, level) for name, level in zip(names, levels, strict=True)]
        # Equal for paths that some system takes for the same.
        keys = [result and unicodedata.normalize("NFC", result).casefold() for result in results]
        count, folders = Counter(keys), {key[: slash.start()] for key in keys if key for slash in re.finditer("/", key)}
        taken = [i for i, key in enumerate(keys) if key and (count[key] > 1 or key in folders) and levels[i] < 2]
        if not taken:
            return results
        for i in taken:
            levels[i] += 1


def _result_name(name: str, format: Format, level: int) -> str | None:
    """`level` 0: with the suffix replaced; 1: with the suffix kept; 2: and with a hash of the exact name."""
    *folders, last = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") for part in (*folders, last)) or len(_bytes(name)) > _PATH_BYTES:
        return None
    stem = _portable(last if level else last.rpartition(".")[0] or last)
    digest = f".{_digest(name)}" if level == 2 else ""
    return "/".join([*map(_portable, folders), f"{stem}{digest}.{format}"])


def _portable(part: str) -> str:
    """A component of a path as every common system takes it, and every terminal."""
    clean = re.sub(r'[<>:"|?*]', "_", "".join(c if c.isprintable() else "_" for c in part)).rstrip(" .") or "_"
    if re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", clean, re.IGNORECASE):  # devices of Windows
        clean = f"_{clean}"
    data = clean.encode()
    return clean if len(data) <= _NAME_BYTES else f"{data[: _NAME_BYTES - 17].decode(errors='ignore')}.{_digest(part)}"


def _digest(name: str) -> str:
    return hashlib.blake2b(_bytes(name), digest_size=8).hexdigest()


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogatepass")  # a file's name need not be valid Unicode
