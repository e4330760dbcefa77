"""files.py: after every failure and every kill there is the old version or the new one, whole, and no litter."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cyclegan_hub import files
from cyclegan_hub.files import remove_temporary, write_atomic, write_folder


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("data", [b"", b"new", bytes(range(256)) * 5000])
def test_write_atomic(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.bin"
    for content in (b"old and longer" * 100_000, data):
        write_atomic(path, content)
        assert listing(tmp_path) == {"x.bin": content}


@pytest.mark.parametrize("where", ["fsync", "rename"])
@pytest.mark.parametrize("failure, kind", [(full_disk, OSError), (interrupted, KeyboardInterrupt)])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failure_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, failure: Callable, kind: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "x.bin"
    if old is not None:
        path.write_bytes(old)
    monkeypatch.setattr(*((os, "fsync") if where == "fsync" else (Path, "replace")), failure)
    with pytest.raises(kind):
        write_atomic(path, b"new")
    assert listing(tmp_path) == ({} if old is None else {"x.bin": old})


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be synced there")
def test_data_is_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        # A rename that reaches the disk before the data does would leave an empty file after a power cut.
        status = os.fstat(handle)
        events.append("sync folder" if stat.S_ISDIR(status.st_mode) else f"sync {status.st_size} bytes")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        events.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomic(tmp_path / "x.bin", b"12345")
    assert events == ["sync 5 bytes", "rename", "sync folder"]


def test_write_atomic_does_not_make_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "x.bin", b"")


CHILD = """
import os, signal, sys
from pathlib import Path
from cyclegan_hub import files

countdown = int(sys.argv[2])

def killed_in(function):
    def wrapper(*args, **kwargs):
        global countdown
        countdown -= 1
        if countdown < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper

for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "rename"), (Path, "open")):
    setattr(owner, name, killed_in(getattr(owner, name)))
files.write_folder(Path(sys.argv[1]) / "model", {"a": b"new a", "b": b"new b"})
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.parametrize("existing", [False, True])
def test_a_kill_at_any_instant_leaves_old_or_new(tmp_path: Path, existing: bool) -> None:
    """A real SIGKILL before each call that reaches the disk, one after the other, until one child ends by itself."""
    old = {"a": b"old a", "b": b"old b"} if existing else {}
    seen = []
    for countdown in range(30):
        root = tmp_path / str(countdown)
        root.mkdir()
        if existing:
            write_folder(root / "model", old)
        process = subprocess.run([sys.executable, "-c", CHILD, root, str(countdown)], cwd=Path(files.__file__).parents[1])
        assert process.returncode in (0, -signal.SIGKILL)
        remove_temporary(root)
        if (root / "model").exists():
            remove_temporary(root / "model")
        left = {name.removeprefix(f"model{os.sep}"): data for name, data in listing(root).items()}
        seen.append(left)
        if process.returncode == 0:
            break
    new = {"a": b"new a", "b": b"new b"}
    assert process.returncode == 0 and len(seen) > 8
    assert seen[0] == old and seen[-1] == new
    between = {"a": b"new a", "b": b"old b"} if existing else new  # an existing folder changes file by file, in order
    stages = [old, between, new]
    positions = [stages.index(left) for left in seen]
    assert positions == sorted(positions)


def test_write_folder_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "epoch-005"
    calls = []

    def fails_at_the_second_file(target: Path, data: bytes) -> None:
        calls.append(target.name)
        assert not path.exists()
        if len(calls) == 2:
            full_disk()
        write_atomic(target, data)

    monkeypatch.setattr(files, "write_atomic", fails_at_the_second_file)
    with pytest.raises(OSError, match="No space left"):
        write_folder(path, {"a": b"1", "b": b"2"})
    assert calls == ["a", "b"] and list(path.parent.iterdir()) == []
    monkeypatch.undo()
    write_folder(path, {"a": b"1", "b": b"2"})
    assert listing(tmp_path) == {str(Path("deep/epoch-005/a")): b"1", str(Path("deep/epoch-005/b")): b"2"}
    if os.name != "nt":
        assert path.stat().st_mode & 0o777 == 0o755  # others may read what is published


def test_write_folder_replaces_and_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    for content in ({"a": b"1", "b": b"2"}, {"b": b"3", "c": b"4"}):
        write_folder(tmp_path / "last", content)
    assert listing(tmp_path / "last") == {"a": b"1", "b": b"3", "c": b"4"}


def test_remove_temporary_takes_nothing_else(tmp_path: Path) -> None:
    kept = ["config.json", "x.tmp", ".lock", ".hidden/y", "sub/.z.tmp"]
    for name in [*kept, ".model.safetensors.123.tmp", ".epoch-005.abc.tmp/config.json"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    remove_temporary(tmp_path)
    assert sorted(listing(tmp_path)) == sorted(str(Path(name)) for name in kept)
    remove_temporary(tmp_path / "no such folder")  # nothing to remove is no error
