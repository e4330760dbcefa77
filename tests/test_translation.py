from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator, decoding, images
from cyclegan_hub.cli import main
from cyclegan_hub.commands import resumable_results as results
from cyclegan_hub.commands import translate as translation
from cyclegan_hub.commands.translate import translate
from cyclegan_hub.models import translate_many
from support.pictures import encoded, folder
from support.training import environment


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder with epochs 1 and 2."""
    path = tmp_path_factory.mktemp("model")
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        CycleGenerator(width=4, blocks=1, image_size=16, epoch=epoch).save_pretrained(path / f"epochs/epoch-{epoch:03d}")
    return str(path)


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """6 images of two sizes, one of them in a folder below, and what is no image."""
    folder(tmp_path / "in", range(3))
    folder(tmp_path / "in", [3, 4], (30, 20))
    folder(tmp_path / "in/below", [5])
    (tmp_path / "in/notes.txt").write_text("no image")
    return tmp_path / "in"


NAMES = ["0000.png", "0001.png", "0002.png", "0003.png", "0004.png", "below/0005.png"]


def found(out: Path) -> list[str]:
    """The results in a folder or a zip; of a folder, everything that is there but for its hidden record."""
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as archive:
            assert archive.testzip() is None
            return sorted(archive.namelist())
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and p.parent.name != ".translate")


def content(out: Path) -> dict[str, np.ndarray]:
    if out.suffix == ".zip":
        with zipfile.ZipFile(out) as archive:
            return {name: np.asarray(images.decode(archive.read(name))).astype(int) for name in archive.namelist()}
    return {name: np.asarray(images.decode(out / name)).astype(int) for name in found(out) if not name.endswith(".tmp")}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Whether the images are the same, but for how batches of another size round."""
    return a.keys() == b.keys() and all(a[name].shape == b[name].shape and abs(a[name] - b[name]).max() <= 1 for name in a)


def made_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by an entry for each image that is translated from now on."""
    made: list[str] = []
    true = translate_many.encode
    monkeypatch.setattr(translation, "encode", lambda image, format: made.append(format) or true(image, format))
    return made


def test_a_folder_and_a_zip_of_it_give_what_the_model_gives(source: str, pile: Path, capsys: pytest.CaptureFixture) -> None:
    out = pile.parent / "new/out"
    assert translate(source, pile, out) == 0
    assert found(out) == NAMES and f"6 images translated: in {out}" in capsys.readouterr().out
    model = CycleGenerator.from_pretrained(source)
    assert model.epoch == 2
    assert same(content(out), {name: np.asarray(model.translate(pile / name)).astype(int) for name in NAMES})
    with zipfile.ZipFile(pile.parent / "in.zip", "w") as archive:
        for name in [*NAMES, "notes.txt"]:
            archive.write(pile / name, name)
    assert translate(source, pile.parent / "in.zip", pile.parent / "out.zip", zipped=True) == 0
    assert found(pile.parent / "out.zip") == NAMES and same(content(out), content(pile.parent / "out.zip"))
    assert not list(pile.parent.glob(".*"))  # the folder where the zip's images waited is gone


def test_the_options_reach_the_model(source: str, pile: Path) -> None:
    out = pile.parent / "out"
    translate(source, pile, out, direction="b_to_a", epoch=1, resolution=24, square=True, format="jpg", batch_size=1)
    model = CycleGenerator.from_pretrained(source, revision="epoch-001")
    with Image.open(out / "0003.jpg") as picture, Image.open(pile / "0003.png") as before:
        assert picture.size == (24, 24) and picture.format == "JPEG"
        wanted = model.translate(images.square(before, 24), "b_to_a", resolution=24)
        assert np.abs(np.asarray(picture, int) - np.asarray(wanted, int)).mean() < 8  # JPEG


def test_one_image_is_called_as_among_those_beside_it(source: str, pile: Path) -> None:
    (pile / "0000.jpg").write_bytes(encoded(50, format="JPEG"))
    for name in ("0000.png", "0000.jpg", "0001.png"):
        assert translate(source, pile / name, pile.parent / "out") == 0
    assert found(pile.parent / "out") == ["0000.jpg.png", "0000.png.png", "0001.png"]
    translate(source, pile, pile.parent / "whole")
    whole = content(pile.parent / "whole")
    assert same(content(pile.parent / "out"), {name: whole[name] for name in found(pile.parent / "out")})


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_there_is_not_made_again(source: str, pile: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = pile.parent / ("out.zip" if zipped else "out")
    (pile / "0002.png").write_text("broken")
    made = made_calls(monkeypatch)
    assert [translate(source, pile, out, zipped=zipped) for _ in range(2)] == [1, 1]
    assert len(made) == 5 and found(out) == [name for name in NAMES if name != "0002.png"]
    (pile / "0002.png").write_bytes(encoded(2))
    assert [translate(source, pile, out, zipped=zipped) for _ in range(2)] == [0, 0]
    assert len(made) == 6 and found(out) == NAMES
    whole = pile.parent / ("whole.zip" if zipped else "whole")
    translate(source, pile, whole, zipped=zipped)
    assert same(content(out), content(whole))


@pytest.mark.parametrize("zipped", [False, True])
def test_an_input_that_was_replaced_is_made_again(source: str, pile: Path, zipped: bool, monkeypatch, capsys) -> None:
    """Under the same name, with the old time: what counts is the content."""
    out = pile.parent / ("out.zip" if zipped else "out")
    assert translate(source, pile, out, zipped=zipped) == 0
    before, stamp = content(out), (pile / "0001.png").stat()
    (pile / "0001.png").write_bytes(encoded(7))
    os.utime(pile / "0001.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    made = made_calls(monkeypatch)
    assert [translate(source, pile, out, zipped=zipped) for _ in range(2)] == [0, 0]
    assert len(made) == 1 and found(out) == NAMES
    assert capsys.readouterr().err.count("1 images have changed since they were translated: they are made again") == 1
    after = content(out)
    assert [name for name in NAMES if not np.array_equal(before[name], after[name])] == ["0001.png"]
    (pile / "0001.png").write_text("broken")  # nothing stands for what cannot be read
    assert translate(source, pile, out, zipped=zipped) == 1
    assert found(out) == [name for name in NAMES if name != "0001.png"]


def test_results_of_an_older_version_are_kept(source: str, pile: Path, monkeypatch) -> None:
    """Which noted no inputs: what is there is not made again."""
    assert translate(source, pile, pile.parent / "out") == 0
    for noted in (pile.parent / "out" / ".translate").glob("inputs-*.jsonl"):
        noted.unlink()
    made = made_calls(monkeypatch)
    assert translate(source, pile, pile.parent / "out") == 0
    assert not made


def test_a_bad_image_is_named_and_skipped(source: str, pile: Path, capsys: pytest.CaptureFixture) -> None:
    (pile / "below/ev\x1bil.png").write_text("<html>")
    (pile / "cut.png").write_bytes(encoded(7)[:100])
    assert translate(source, pile, pile.parent / "out") == 1
    printed = capsys.readouterr()
    assert found(pile.parent / "out") == NAMES and "6 images translated, 2 skipped" in printed.out
    assert "skipped cut.png: this image is damaged" in printed.err and "\x1b" not in printed.err.replace("\x1b[A", "")
    assert "skipped 'below/ev\\x1bil.png': this image is not an image" in printed.err


def test_nothing_but_bad_images_makes_no_zip(source: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder(tmp_path / "in", [])
    (tmp_path / "in/a.png").write_text("x")
    assert translate(source, tmp_path / "in", tmp_path / "out.zip", zipped=True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert "0 images translated, 1 skipped: nothing written" in capsys.readouterr().out


def encrypt(path: Path, member: str) -> None:
    """Sets the flag of an encrypted member in both headers of a zip."""
    data = bytearray(path.read_bytes())
    for mark, flags, name in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        start = data.find(mark)
        while data[start + name : start + name + len(member)] != member.encode():
            start = data.find(mark, start + 1)
        data[start + flags] |= 1
    path.write_bytes(data)


def test_a_hostile_zip_stays_in_out_and_costs_its_bad_members_only(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pile = tmp_path / "in.zip"
    with zipfile.ZipFile(pile, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("good.png", "../../up.png", "/abs.png", "x/../../up.png", "..\\win.png", "locked.png", "C:\\win.png"):
            archive.writestr(name, encoded(1))
        archive.writestr("bomb.png", bytes(300_000))
        archive.writestr("liar.png", bytes(300_000))
        archive.writestr("pixels.png", encoded(1, (900, 900)))
        archive.writestr("n" * 300 + ".png", encoded(1))
    encrypt(pile, "locked.png")
    data = pile.read_bytes()  # the listed size of liar.png made small, to be found out when it is unpacked
    at = data.rindex(b"liar.png") - 46 + 24
    pile.write_bytes(data[:at] + (5).to_bytes(4, "little") + data[at + 4 :])
    monkeypatch.setattr(decoding, "MAX_BYTES", 200_000)
    assert translate(source, pile, tmp_path / "deep/out") == 1
    said = capsys.readouterr().err
    for name in ("../../up.png", "/abs.png", "x/../../up.png"):
        assert f"skipped {name}: its path leads out" in said
    assert "skipped bomb.png: 'bomb.png' unpacks to 300,000 bytes" in said
    assert "skipped liar.png: " in said and "skipped pixels.png: " in said and "encrypted" in said
    cut = next(name for name in found(tmp_path / "deep/out") if name.startswith("nnn"))
    assert found(tmp_path / "deep/out") == ["C_/win.png", "good.png", cut]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "in.zip"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["out"]


def test_results_are_no_images_to_translate(source: str, pile: Path) -> None:
    for _ in range(2):
        assert translate(source, pile, pile / "out") == 0
    assert found(pile / "out") == NAMES
    work = pile / ".new.zip.translate/images"
    work.mkdir(parents=True)
    (work / "half.png").write_bytes(encoded(1))  # as an interrupted run with --zip leaves it
    with pytest.raises(ValueError, match="was not written by translate"):
        (pile / "bad.zip").write_bytes(b"PK")
        translate(source, pile, pile / "bad.zip", zipped=True)
    (pile / ".new.zip.translate/record.json").write_text("{}")
    with pytest.raises(ValueError, match="holds translations with images of None"):
        translate(source, pile, pile / "new.zip", zipped=True)
    (pile / ".new.zip.translate/record.json").unlink()
    (work / "half.png").unlink()
    assert translate(source, pile, pile / "new.zip", zipped=True) == 0
    assert found(pile / "new.zip") == sorted([*NAMES, *(f"out/{name}" for name in NAMES)])


OTHERS = [{"direction": "b_to_a"}, {"epoch": 1}, {"resolution": 20}, {"square": True}]


@pytest.mark.parametrize("zipped", [False, True])
def test_other_results_in_out_are_an_error_and_left_alone(source: str, pile: Path, zipped: bool) -> None:
    out = pile.parent / ("out.zip" if zipped else "out")
    translate(source, pile, out, zipped=zipped)
    before = content(out)
    for options in OTHERS:
        with pytest.raises(ValueError, match=f"holds translations with {next(iter(options))} .*, and now it is"):
            translate(source, pile, out, zipped=zipped, **options)
    other = folder(pile.parent / "other", range(3))
    with pytest.raises(ValueError, match=r"with images of 'folder .*/in', and now it is 'folder .*/other'"):
        translate(source, other, out, zipped=zipped)
    assert same(before, content(out)) and translate(source, pile, out, zipped=zipped, resolution=16) == 0  # as without


def test_a_file_of_somebody_else_is_never_taken_for_a_result(source: str, pile: Path) -> None:
    own = folder(pile.parent / "out", [1])
    (own / "keep.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds a 0001\.png that this command did not write"):
        translate(source, pile, own)
    assert sorted(path.name for path in own.iterdir()) == ["0001.png", "keep.txt"]
    (own / "0001.png").rename(own / "else.png")
    assert translate(source, pile, own) == 0 and (own / "keep.txt").read_text() == "mine"


MISTAKES = [
    ("gone", "out", {}, "there is no such file or folder"),
    ("in", "in", {}, "give another name for the results"),
    ("in", "out", {"zipped": True}, r"ends in \.zip"),
    ("in", "out.zip", {}, "add --zip"),
    ("in", "in/notes.txt", {}, "give the folder"),
    ("in/0001.png", "smile.png", {}, "give the folder"),
    ("empty", "out", {}, "holds no image; looked for .jpg"),
    ("in/notes.zip", "out", {}, "cannot be read as a zip"),
    ("in", "out", {"epoch": 7}, "epoch-007"),
    ("in", "out", {"batch_size": 0}, "batch_size=0"),
]


@pytest.mark.parametrize(("pictures", "out", "options", "words"), MISTAKES)
def test_a_mistake_is_an_error_and_nothing_is_written(
    source: str, pile: Path, pictures: str, out: str, options: dict, words: str
) -> None:
    (pile.parent / "empty").mkdir()
    (pile / "notes.zip").write_text("no zip")
    before = sorted(pile.parent.rglob("*"))
    with pytest.raises(ValueError, match=words):
        translate(source, pile.parent / pictures, pile.parent / out, **options)
    assert sorted(pile.parent.rglob("*")) == before


@pytest.mark.parametrize(("variables", "words"), [(("2", "2"), "RANK=2 and WORLD_SIZE=2"), (("x", "2"), "RANK='x'")])
def test_a_wrong_rank_is_an_error(
    source: str, pile: Path, monkeypatch: pytest.MonkeyPatch, variables: tuple[str, str], words: str
) -> None:
    monkeypatch.setenv("RANK", variables[0])
    monkeypatch.setenv("WORLD_SIZE", variables[1])
    with pytest.raises(ValueError, match=words):
        translate(source, pile, pile.parent / "out")


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_ranks_share_the_images_and_the_last_speaks_for_all(
    source: str, pile: Path, zipped: bool, order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (pile / "bad.png").write_text("x")  # the sixth, so of rank 2
    out = pile.parent / ("out.zip" if zipped else "out")
    made = made_calls(monkeypatch)
    monkeypatch.setenv("WORLD_SIZE", "3")
    shares, status = [], []
    for rank in order:
        monkeypatch.setenv("RANK", str(rank))
        assert not (zipped and out.exists())  # a zip is there when it is complete
        status.append(translate(source, pile, out, zipped=zipped))
        shares.append(len(made) - sum(shares))
    assert status == [0, 0, 1] and sorted(shares) == [1, 2, 3] and found(out) == NAMES
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(";")[0] for line in printed[:2]] == ["one of 3 processes has done its images"] * 2
    assert printed[2].startswith("6 images translated, 1 skipped")
    monkeypatch.undo()
    whole = pile.parent / ("whole.zip" if zipped else "whole")
    translate(source, pile, whole, zipped=zipped)
    assert same(content(out), content(whole)) and not list(pile.parent.glob(".*"))


def test_two_ranks_that_finish_at_the_same_moment_make_one_zip(source: str, pile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = pile.parent / "out.zip"
    true = zipfile.ZipFile.writestr
    first = True

    def write(self: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
        nonlocal first
        true(self, member, data)
        if first:  # the other one finds everything there too, makes the zip and clears up, while we are at work
            first = False
            results.Results(out, True, self.comment.decode()).complete(NAMES)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", write)
    assert translate(source, pile, out, zipped=True) == 0
    assert found(out) == NAMES and [path.name for path in pile.parent.glob(".*")] == []


def test_a_zip_whose_writing_fails_is_not_there_and_its_images_are_kept(
    source: str, pile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = pile.parent / "out.zip"
    with monkeypatch.context() as patch:
        true = zipfile.ZipFile.writestr

        def full(self: zipfile.ZipFile, member: zipfile.ZipInfo, data: bytes) -> None:
            if member.filename == "0003.png":
                raise OSError(28, "No space left on device")
            true(self, member, data)

        patch.setattr(zipfile.ZipFile, "writestr", full)
        with pytest.raises(OSError, match="No space left"):
            translate(source, pile, out, zipped=True)
    assert [path.name for path in pile.parent.iterdir() if path != pile] == [".out.zip.translate"]
    (pile.parent / f".out.zip.{os.getpid():x}.tmp").write_bytes(b"half")  # as a kill at that moment leaves it
    made = made_calls(monkeypatch)
    assert translate(source, pile, out, zipped=True) == 0
    assert made == [] and found(out) == NAMES and not list(pile.parent.glob(".*"))


def test_a_kill_while_clearing_up_leaves_nothing_in_the_way(source: str, pile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = pile.parent / "out.zip"
    with monkeypatch.context() as patch:

        def half(path: Path, **_: object) -> None:
            min(path.rglob("*.*"), key=lambda file: file.name != "record.json").unlink()  # the record first, if it is in there
            raise KeyboardInterrupt

        patch.setattr(results.shutil, "rmtree", half)
        with pytest.raises(KeyboardInterrupt):
            translate(source, pile, out, zipped=True)
    whole = out.read_bytes()
    made = made_calls(monkeypatch)
    assert translate(source, pile, out, zipped=True) == 0
    assert made == [] and out.read_bytes() == whole and not list(pile.parent.glob(".*"))


def test_only_the_remains_of_the_own_share_are_removed(source: str, pile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = pile.parent / "out"
    (out / "below").mkdir(parents=True)
    for name in (".0000.png.77.tmp", "below/.0005.png.78.tmp", ".else.png.79.tmp"):
        (out / name).write_bytes(b"half")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    translate(source, pile, out)
    assert sorted(path.name for path in out.rglob("*.tmp")) == [".0005.png.78.tmp", ".else.png.79.tmp"]


@pytest.mark.parametrize("zipped", [False, True])
def test_kill_9_leaves_whole_results_only_and_the_rest_is_made_later(source: str, tmp_path: Path, zipped: bool) -> None:
    pile, out = folder(tmp_path / "in", range(120)), tmp_path / ("out.zip" if zipped else "out")
    words = [sys.executable, "-m", "cyclegan_hub.cli", "translate", source, str(pile), str(out), *(["--zip"] if zipped else [])]
    there = tmp_path / ".out.zip.translate/images" if zipped else out
    process = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(there.glob("*.png"))) < 8:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = content(there)
    assert 8 <= len(left) < 120 and not (zipped and out.exists())  # `content` decodes each: none is torn
    assert translate(source, pile, out, zipped=zipped) == 0
    assert translate(source, pile, tmp_path / "whole") == 0
    whole = content(tmp_path / "whole")
    assert len(whole) == 120 and same(content(out), whole) and same(left, {name: whole[name] for name in left})
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_torchrun_makes_one_zip_and_one_exit_status(source: str, pile: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "cyclegan_hub.cli"]
    words = [*launch, "translate", source, str(pile), str(pile.parent / "out.zip"), "--zip"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert found(pile.parent / "out.zip") == NAMES and "6 images translated: in" in done.stdout
    assert "error" not in done.stderr.lower()


def test_the_submission_is_a_zip_of_256_px_jpegs(source: str, pile: Path, capsys: pytest.CaptureFixture) -> None:
    out = pile.parent / "images.zip"
    assert main(["translate", source, str(pile), str(out), "--submission"]) == 0
    printed = capsys.readouterr()
    assert "6 images translated" in printed.out
    assert "warning: the competition takes 7,000 to 10,000 images, these are 6\n" in printed.err
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == sorted(name.replace(".png", ".jpg") for name in NAMES)
        for member in archive.infolist():
            with Image.open(io.BytesIO(archive.read(member))) as picture:
                assert picture.format == "JPEG" and picture.size == (256, 256) and picture.mode == "RGB"
            assert member.external_attr >> 16 == 0o644  # readable where it is unpacked


def test_a_submission_of_the_right_size_is_not_warned_about(
    source: str, pile: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "SUBMISSION", (6, 6))
    assert main(["translate", source, str(pile), str(pile.parent / "images.zip"), "--submission"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_record_names_no_directory(source: str, pile: Path) -> None:
    translate(source, pile, pile.parent / "out")
    record = json.loads((pile.parent / "out/.translate/record.json").read_text())
    assert record["images of"] == f"folder {pile.parent.name}/in" and record["epoch"] == 2 and record["resolution"] == 16
    assert str(pile.parent.parent) not in json.dumps(record)
