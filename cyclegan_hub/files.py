"""Writing files so that a kill at any instant leaves the old version or the new one, never half of one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def write_atomic(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by way of a temporary name in the same folder: written, synced to disk, renamed.

    Raises OSError (disk full, no permission); the old file is then still there, whole.
    """
    with appearing(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path` to write to: synced to disk and renamed if all goes well, else removed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
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
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp's 0700 would lock out a web server or another user
        for name, data in files.items():
            write_atomic(temporary / name, data)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes a rename in this folder survive a power cut."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporary(folder: Path) -> None:
    """Removes what a killed process left behind under temporary names."""
    for path in folder.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
