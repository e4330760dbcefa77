"""files.py: after every failure and every kill there is the old version or the new one, whole, and no litter."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub import files
from cyclegan_hub.commands.translate import Results
from cyclegan_hub.files import UNSUPPORTED, json_bytes, readable, remove_temporary, temporary_folder, write_atomic, write_folder
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import open_zip
from cyclegan_hub.training.run_folder import RunFolder


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_write_atomic(tmp_path: Path) -> None:
    for content in (b"old and longer" * 100_000, b"", b"new", bytes(range(256)) * 5000):
        write_atomic(tmp_path / "x.bin", content)
        assert listing(tmp_path) == {"x.bin": content}
    with pytest.raises(FileNotFoundError):  # it makes no folders
        write_atomic(tmp_path / "no/x.bin", b"")


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

    def fails_at_the_second_file(target: Path, data: bytes) -> None:
        assert not path.exists()
        if target.name == "b":
            full_disk()
        write_atomic(target, data)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(files, "write_atomic", fails_at_the_second_file)
        write_folder(path, {"a": b"1", "b": b"2"})
    assert list(path.parent.iterdir()) == []
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


# ---------------------------------------------------------------------------- file systems without all of POSIX
ROOT = Path(files.__file__).parents[1]
LACKING = [*sorted(UNSUPPORTED), errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR, errno.EIO]


def refusing(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    """Makes one kind of call answer this error, as a file system that lacks it does."""
    fsync, open_ = os.fsync, os.open

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    def for_folders(real: Callable, is_folder: Callable[..., bool], wanted: bool = True) -> Callable:
        return lambda *given, **named: refuse() if is_folder(given[0]) == wanted else real(*given, **named)

    def folder_handle(handle: int) -> bool:
        return stat.S_ISDIR(os.fstat(handle).st_mode)

    owner, name, function = {
        "fsync of a folder": (os, "fsync", for_folders(fsync, folder_handle)),
        "fsync of a file": (os, "fsync", for_folders(fsync, folder_handle, False)),
        "open of a folder": (os, "open", for_folders(open_, os.path.isdir)),
        "chmod": (Path, "chmod", refuse),
        "replace": (Path, "replace", refuse),
        "rename": (Path, "rename", refuse),
        "write": (Path, "write_bytes", refuse),
        "mkdir": (os, "mkdir", refuse),
    }[call]
    monkeypatch.setattr(owner, name, function)


# Data that could not be written are an error; where the file system does not know the call, a note.
HARMLESS = [(call, code) for call in ("fsync of a folder", "open of a folder", "chmod") for code in LACKING]
HARMLESS += [("fsync of a file", code) for code in UNSUPPORTED]
LOSSES = [errno.ENOSPC, errno.EROFS, errno.EDQUOT]
HARMFUL = [(call, code) for call in ("replace", "rename", "write", "mkdir") for code in LACKING + LOSSES]
HARMFUL += [("fsync of a file", code) for code in LACKING + LOSSES if code not in UNSUPPORTED]


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be synced there")
@pytest.mark.parametrize(("call", "code"), HARMLESS)
def test_what_a_file_system_lacks_is_noted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], call: str, code: int
) -> None:
    monkeypatch.setattr(files, "_noted", set())
    refusing(monkeypatch, call, code)
    for name in ("one", "two"):
        write_folder(tmp_path / name, {"a": b"1"})
        write_atomic(tmp_path / name / "a", b"2")
    monkeypatch.undo()
    assert listing(tmp_path) == {f"one{os.sep}a": b"2", f"two{os.sep}a": b"2"}
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and str(tmp_path) in printed
    assert ("cannot be opened to other users" if call == "chmod" else "cannot be synced to disk") in printed


@pytest.mark.parametrize(("call", "code"), HARMFUL)
def test_what_loses_data_stays_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a").write_bytes(b"1")
    refusing(monkeypatch, call, code)
    with pytest.raises(OSError) as caught:
        write_folder(tmp_path / ("old" if call == "replace" else "new"), {"a": b"2"})
    monkeypatch.undo()
    assert caught.value.errno == code
    assert listing(tmp_path) == {f"old{os.sep}a": b"1"}


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder can be removed, as on NFS where one of its files is open: it stays under another name (`.nfs0001`)."""

    def rmdir(path: Any, *_: object, **__: object) -> None:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), os.fspath(path))

    monkeypatch.setattr(files, "_noted", set())
    monkeypatch.setattr(os, "rmdir", rmdir)


def test_a_folder_that_stays_does_not_end_a_run(tmp_path: Path, busy: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is it taken for an epoch or a state: a part of one would be worse than the whole."""
    folder = RunFolder(tmp_path)
    folder.open({"recipe": {}})
    for epoch in (1, 2, 3, 4):
        folder.write_epoch(epoch, {"config.json": b"{}"}, keep=2)
        for step in (epoch, epoch):  # stopped where it was resumed, before the next step: the same state
            folder.stage_state(step)
            folder.write_rank(step, 0, {"random": epoch})
            folder.commit_state(step, {"step": step})
    folder.close()
    assert folder.epochs() == [1, 4]
    assert [path.name for path in (tmp_path / "state").glob("[!.]*")] == ["step-000000004"]
    remove_temporary(tmp_path / "state")
    assert capsys.readouterr().err.count("cannot be removed: delete it when nothing uses it\n") == 1


def test_a_folder_that_stays_hides_no_result(tmp_path: Path, busy: None) -> None:
    with temporary_folder() as place:
        (place / "file").touch()
    results = Results(tmp_path / "out.zip", zipped=True)
    results.claim({"epoch": 1}, [])
    results.write("a.png", b"1", "digest")
    results.complete(["a.png"])
    assert results.out.is_file()
    with pytest.raises(ServingError, match="No space left"), open_zip(tmp_path, "x.zip"):
        raise OSError(errno.ENOSPC, "No space left on device")


# Every call that a file system or a thread may refuse, by the module that makes it; see the reasons there.
OWNERS = {
    "fsync": {"files"},
    "chmod": {"files"},
    "rmtree": {"files"},
    "rmdir": {"files"},
    "TemporaryDirectory": {"run_folder", "app"},  # which ignore what stays
    "FileLock": {"run_folder"},
    "flock": set[str](),
    "link": set[str](),
    "symlink_to": set[str](),
    "hardlink_to": set[str](),
    "utime": set[str](),
    "copy2": set[str](),
    "copystat": set[str](),
    "kill": set[str](),
    "signal": {"launch", "app", "run"},
    "safe_open": set[str](),  # wants names in UTF-8, and mmap
}


def test_calls_that_not_every_system_takes_are_made_where_that_is_handled() -> None:
    found: dict[str, set[str]] = {name: set() for name in OWNERS}
    for path in [*(ROOT / "cyclegan_hub").rglob("*.py"), *(ROOT / "train").rglob("*.py"), ROOT / "app.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in found:
                    found[name].add(path.stem)
    assert found == OWNERS


# ------------------------------------------------------------------------------------- names that are not UTF-8
def test_readable_spells_out_bytes_that_are_not_utf_8() -> None:
    assert readable(os.fsdecode(b"d-\xe9/\xff.png")) == r"d-\xe9/\xff.png" if os.name != "nt" else True
    assert readable("café 猫 \ud83d") == r"café 猫 \ud83d"
    for text in ("d-\udce9", '\\\udce9"', "\ud800"):
        assert json.loads(json_bytes({text: [text]})) == {readable(text): [readable(text)]}
