from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from cyclegan_hub.commands import translate as results
from cyclegan_hub.commands.translate import translate
from support.pictures import folder
from support.training import environment
from support.translated_folder import NAMES, content, found, made_calls, same
from support.translated_folder import image_folder as image_folder
from support.translated_folder import source as source


@pytest.mark.parametrize(("variables", "words"), [(("2", "2"), "RANK=2 and WORLD_SIZE=2"), (("x", "2"), "RANK='x'")])
def test_a_wrong_rank_is_an_error(
    source: str, image_folder: Path, monkeypatch: pytest.MonkeyPatch, variables: tuple[str, str], words: str
) -> None:
    monkeypatch.setenv("RANK", variables[0])
    monkeypatch.setenv("WORLD_SIZE", variables[1])
    with pytest.raises(ValueError, match=words):
        translate(source, image_folder, image_folder.parent / "out")


@pytest.mark.parametrize(("zipped", "order"), [(False, (0, 1, 2)), (True, (2, 0, 1))])
def test_ranks_share_the_images_and_the_last_speaks_for_all(
    source: str,
    image_folder: Path,
    zipped: bool,
    order: tuple[int, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    (image_folder / "bad.png").write_text("x")  # the sixth, so of rank 2
    out = image_folder.parent / ("out.zip" if zipped else "out")
    made = made_calls(monkeypatch)
    monkeypatch.setenv("WORLD_SIZE", "3")
    shares, status = [], []
    for rank in order:
        monkeypatch.setenv("RANK", str(rank))
        assert not (zipped and out.exists())  # a zip is there when it is complete
        status.append(translate(source, image_folder, out, zipped=zipped))
        shares.append(len(made) - sum(shares))
    assert status == [0, 0, 1] and sorted(shares) == [1, 2, 3] and found(out) == NAMES
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in printed[:2]] == ["one of 3 processes has done its images"] * 2
    assert printed[2].startswith("6 images translated, 1 skipped")
    monkeypatch.undo()
    whole = image_folder.parent / ("whole.zip" if zipped else "whole")
    translate(source, image_folder, whole, zipped=zipped)
    assert same(content(out), content(whole)) and not list(image_folder.parent.glob(".*"))


def test_two_ranks_that_finish_at_the_same_moment_make_one_zip(
    source: str, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = image_folder.parent / "out.zip"
    true = zipfile.ZipFile.writestr
    first = True

    def write(self: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
        nonlocal first
        true(self, member, data)
        if first:  # the other one finds everything there too, makes the zip and clears up, while we are at work
            first = False
            results.Results(out, True, record=self.comment.decode()).complete(NAMES)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", write)
    assert translate(source, image_folder, out, zipped=True) == 0
    assert found(out) == NAMES and [path.name for path in image_folder.parent.glob(".*")] == []


def test_a_zip_whose_writing_fails_is_not_there_and_its_images_are_kept(
    source: str, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = image_folder.parent / "out.zip"
    with monkeypatch.context() as patch:
        true = zipfile.ZipFile.writestr

        def full(self: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
            if member.filename == "0003.png":
                raise OSError(28, "No space left on device")
            true(self, member, data)

        patch.setattr(zipfile.ZipFile, "writestr", full)
        with pytest.raises(OSError, match="No space left"):
            translate(source, image_folder, out, zipped=True)
    assert [path.name for path in image_folder.parent.iterdir() if path != image_folder] == [".out.zip.translate"]
    (image_folder.parent / f".out.zip.{os.getpid():x}.tmp").write_bytes(b"half")  # as a kill at that moment leaves it
    made = made_calls(monkeypatch)
    assert translate(source, image_folder, out, zipped=True) == 0
    assert made == [] and found(out) == NAMES and not list(image_folder.parent.glob(".*"))


def test_a_kill_while_clearing_up_leaves_nothing_in_the_way(
    source: str, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = image_folder.parent / "out.zip"
    with monkeypatch.context() as patch:

        def half(path: Path, **_: object) -> None:
            min(path.rglob("*.*"), key=lambda file: file.name != "record.json").unlink()  # the record first, if it is in there
            raise KeyboardInterrupt

        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(KeyboardInterrupt):
            translate(source, image_folder, out, zipped=True)
    whole = out.read_bytes()
    made = made_calls(monkeypatch)
    assert translate(source, image_folder, out, zipped=True) == 0
    assert made == [] and out.read_bytes() == whole and not list(image_folder.parent.glob(".*"))


def test_only_the_remains_of_the_own_share_are_removed(source: str, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = image_folder.parent / "out"
    (out / "below").mkdir(parents=True)
    for name in (".0000.png.77.tmp", "below/.0005.png.78.tmp", ".else.png.79.tmp"):
        (out / name).write_bytes(b"half")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    translate(source, image_folder, out)
    assert sorted(path.name for path in out.rglob("*.tmp")) == [".0005.png.78.tmp", ".else.png.79.tmp"]


def test_kill_9_leaves_whole_results_only_and_the_rest_is_made_later(source: str, tmp_path: Path) -> None:
    image_folder, out, there = folder(tmp_path / "in", range(60)), tmp_path / "out.zip", tmp_path / ".out.zip.translate/images"
    words = [sys.executable, "-m", "cyclegan_hub.cli", "translate", source, str(image_folder), str(out), "--zip"]
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(there.glob("*.png"))) < 8:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = content(there)
    assert 8 <= len(left) < 60 and not out.exists()  # `content` decodes each: none is torn
    assert translate(source, image_folder, out, zipped=True) == translate(source, image_folder, tmp_path / "whole") == 0
    whole = content(tmp_path / "whole")
    assert len(whole) == 60 and same(content(out), whole) and same(left, {name: whole[name] for name in left})
    assert not list(tmp_path.rglob("*.tmp"))
