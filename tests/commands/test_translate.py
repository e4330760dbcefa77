from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.commands import translate as translation
from cyclegan_hub.commands.translate import translate
from cyclegan_hub.imaging import decoding, images
from support.pictures import encoded, folder
from support.translated_folder import NAMES, content, found, made_calls, same
from support.translated_folder import image_folder as image_folder
from support.translated_folder import source as source


def test_a_folder_and_a_zip_of_it_give_what_the_model_gives(
    source: str, image_folder: Path, capsys: pytest.CaptureFixture
) -> None:
    out = image_folder.parent / "new/out"
    assert translate(source, image_folder, out) == 0
    assert found(out) == NAMES and f"6 images translated: in {out}" in capsys.readouterr().out
    model = CycleGenerator.from_pretrained(source)
    assert model.epoch == 2
    assert same(content(out), {name: np.asarray(model.translate(image_folder / name)).astype(int) for name in NAMES})
    with zipfile.ZipFile(image_folder.parent / "in.zip", "w") as archive:
        for name in [*NAMES, "notes.txt"]:
            archive.write(image_folder / name, name)
    assert translate(source, image_folder.parent / "in.zip", image_folder.parent / "out.zip", zipped=True) == 0
    assert found(image_folder.parent / "out.zip") == NAMES and same(content(out), content(image_folder.parent / "out.zip"))
    assert not list(image_folder.parent.glob(".*"))  # the folder where the zip's images waited is gone


def test_the_options_reach_the_model(source: str, image_folder: Path) -> None:
    out = image_folder.parent / "out"
    translate(source, image_folder, out, direction="b_to_a", epoch=1, resolution=24, square=True, format="jpg", batch_size=1)
    model = CycleGenerator.from_pretrained(source, revision="epoch-001")
    with Image.open(out / "0003.jpg") as picture, Image.open(image_folder / "0003.png") as before:
        assert picture.size == (24, 24) and picture.format == "JPEG"
        wanted = model.translate(images.square(before, 24), "b_to_a", resolution=24)
        assert np.abs(np.asarray(picture, int) - np.asarray(wanted, int)).mean() < 8  # JPEG


def test_one_image_is_called_as_among_those_beside_it(source: str, image_folder: Path) -> None:
    (image_folder / "0000.jpg").write_bytes(encoded(50, format="JPEG"))
    for name in ("0000.png", "0000.jpg", "0001.png"):
        assert translate(source, image_folder / name, image_folder.parent / "out") == 0
    assert found(image_folder.parent / "out") == ["0000.jpg.png", "0000.png.png", "0001.png"]
    translate(source, image_folder, image_folder.parent / "whole")
    whole = content(image_folder.parent / "whole")
    assert same(content(image_folder.parent / "out"), {name: whole[name] for name in found(image_folder.parent / "out")})


@pytest.mark.parametrize("zipped", [False, True])
def test_what_is_there_is_not_made_again(source: str, image_folder: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = image_folder.parent / ("out.zip" if zipped else "out")
    (image_folder / "0002.png").write_text("broken")
    made = made_calls(monkeypatch)
    assert [translate(source, image_folder, out, zipped=zipped) for _ in range(2)] == [1, 1]
    assert len(made) == 5 and found(out) == [name for name in NAMES if name != "0002.png"]
    (image_folder / "0002.png").write_bytes(encoded(2))
    assert [translate(source, image_folder, out, zipped=zipped) for _ in range(2)] == [0, 0]
    assert len(made) == 6 and found(out) == NAMES
    whole = image_folder.parent / ("whole.zip" if zipped else "whole")
    translate(source, image_folder, whole, zipped=zipped)
    assert same(content(out), content(whole))


@pytest.mark.parametrize("zipped", [False, True])
def test_an_input_that_was_replaced_is_made_again(source: str, image_folder: Path, zipped: bool, monkeypatch, capsys) -> None:
    """Under the same name, with the old time: what counts is the content."""
    out = image_folder.parent / ("out.zip" if zipped else "out")
    assert translate(source, image_folder, out, zipped=zipped) == 0
    before, stamp = content(out), (image_folder / "0001.png").stat()
    (image_folder / "0001.png").write_bytes(encoded(7))
    os.utime(image_folder / "0001.png", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    made = made_calls(monkeypatch)
    assert [translate(source, image_folder, out, zipped=zipped) for _ in range(2)] == [0, 0]
    assert len(made) == 1 and found(out) == NAMES
    assert capsys.readouterr().err.count("1 image has changed since the last translation and will be translated again") == 1
    after = content(out)
    assert [name for name in NAMES if not np.array_equal(before[name], after[name])] == ["0001.png"]
    (image_folder / "0001.png").write_text("broken")  # nothing stands for what cannot be read
    assert translate(source, image_folder, out, zipped=zipped) == 1
    assert found(out) == [name for name in NAMES if name != "0001.png"]


def test_results_of_an_older_version_are_kept(source: str, image_folder: Path, monkeypatch) -> None:
    """Which noted no inputs: what is there is not made again."""
    assert translate(source, image_folder, image_folder.parent / "out") == 0
    for noted in (image_folder.parent / "out" / ".translate").glob("inputs-*.jsonl"):
        noted.unlink()
    made = made_calls(monkeypatch)
    assert translate(source, image_folder, image_folder.parent / "out") == 0
    assert not made


def test_a_bad_image_is_named_and_skipped(source: str, image_folder: Path, capsys: pytest.CaptureFixture) -> None:
    (image_folder / "below/ev\x1bil.png").write_text("<html>")
    (image_folder / "cut.png").write_bytes(encoded(7)[:100])
    assert translate(source, image_folder, image_folder.parent / "out") == 1
    printed = capsys.readouterr()
    assert found(image_folder.parent / "out") == NAMES and "6 images translated, 2 skipped" in printed.out
    assert "skipped cut.png: this image is damaged" in printed.err and "\x1b" not in printed.err.replace("\x1b[A", "")
    assert "skipped 'below/ev\\x1bil.png': this image is not an image" in printed.err


def test_nothing_but_bad_images_makes_no_zip(source: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder(tmp_path / "in", [])
    (tmp_path / "in/a.png").write_text("x")
    assert translate(source, tmp_path / "in", tmp_path / "out.zip", zipped=True) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert "0 images translated, 1 skipped: nothing written" in capsys.readouterr().out


def test_a_hostile_zip_stays_in_out_and_costs_its_bad_members_only(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_folder = tmp_path / "in.zip"
    with zipfile.ZipFile(image_folder, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("good.png", "../../up.png", "/abs.png", "x/../../up.png", "..\\win.png", "locked.png", "C:\\win.png"):
            archive.writestr(name, encoded(1))
        archive.writestr("bomb.png", bytes(300_000))
        archive.writestr("liar.png", bytes(300_000))
        archive.writestr("pixels.png", encoded(1, (900, 900)))
        archive.writestr("n" * 300 + ".png", encoded(1))
        archive.getinfo("locked.png").flag_bits |= 1  # encrypted
        archive.getinfo("liar.png").file_size = 5  # which is found out when it is unpacked
    monkeypatch.setattr(decoding, "MAX_BYTES", 200_000)
    assert translate(source, image_folder, tmp_path / "deep/out") == 1
    said = capsys.readouterr().err
    for name in ("../../up.png", "/abs.png", "x/../../up.png"):
        assert f"skipped {name}: its path leads out" in said
    assert "skipped bomb.png: 'bomb.png' unpacks to 300,000 bytes" in said
    assert "skipped liar.png: " in said and "skipped pixels.png: " in said
    assert "skipped locked.png: 'locked.png' has a password" in said
    cut = next(name for name in found(tmp_path / "deep/out") if name.startswith("nnn"))
    assert found(tmp_path / "deep/out") == ["C_/win.png", "good.png", cut]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "in.zip"]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["out"]


def test_results_are_no_images_to_translate(source: str, image_folder: Path) -> None:
    for _ in range(2):
        assert translate(source, image_folder, image_folder / "out") == 0
    assert found(image_folder / "out") == NAMES
    work = image_folder / ".new.zip.translate/images"
    work.mkdir(parents=True)
    (work / "half.png").write_bytes(encoded(1))  # as an interrupted run with --zip leaves it
    with pytest.raises(ValueError, match="was not written by translate"):
        (image_folder / "bad.zip").write_bytes(b"PK")
        translate(source, image_folder, image_folder / "bad.zip", zipped=True)
    (image_folder / ".new.zip.translate/record.json").write_text("{}")
    with pytest.raises(ValueError, match="holds translations with images of None"):
        translate(source, image_folder, image_folder / "new.zip", zipped=True)
    (image_folder / ".new.zip.translate/record.json").unlink()
    (work / "half.png").unlink()
    assert translate(source, image_folder, image_folder / "new.zip", zipped=True) == 0
    assert found(image_folder / "new.zip") == sorted([*NAMES, *(f"out/{name}" for name in NAMES)])


OTHERS = [{"direction": "b_to_a"}, {"epoch": 1}, {"resolution": 20}, {"square": True}]


@pytest.mark.parametrize("zipped", [False, True])
def test_other_results_in_out_are_an_error_and_left_alone(source: str, image_folder: Path, zipped: bool) -> None:
    out = image_folder.parent / ("out.zip" if zipped else "out")
    translate(source, image_folder, out, zipped=zipped)
    before = content(out)
    for options in OTHERS:
        with pytest.raises(ValueError, match=f"holds translations with {next(iter(options))} .*, and now it is"):
            translate(source, image_folder, out, zipped=zipped, **options)
    other = folder(image_folder.parent / "other", range(3))
    with pytest.raises(ValueError, match=r"with images of 'folder .*/in', and now it is 'folder .*/other'"):
        translate(source, other, out, zipped=zipped)
    assert same(before, content(out)) and translate(source, image_folder, out, zipped=zipped, resolution=16) == 0  # as without


def test_a_file_of_somebody_else_is_never_taken_for_a_result(source: str, image_folder: Path) -> None:
    own = folder(image_folder.parent / "out", [1])
    (own / "keep.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds a 0001\.png that this command did not write"):
        translate(source, image_folder, own)
    assert sorted(path.name for path in own.iterdir()) == ["0001.png", "keep.txt"]
    (own / "0001.png").rename(own / "else.png")
    assert translate(source, image_folder, own) == 0 and (own / "keep.txt").read_text() == "mine"


def test_the_submission_is_a_zip_of_256_px_jpegs(
    source: str, image_folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = image_folder.parent / "images.zip"
    assert main(["translate", source, str(image_folder), str(out), "--submission"]) == 0
    printed = capsys.readouterr()
    assert "6 images translated" in printed.out
    assert "warning: the competition takes 7,000 to 10,000 images, these are 6\n" in printed.err
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == sorted(name.replace(".png", ".jpg") for name in NAMES)
        for member in archive.infolist():
            with Image.open(io.BytesIO(archive.read(member))) as picture:
                assert picture.format == "JPEG" and picture.size == (256, 256) and picture.mode == "RGB"
            assert member.external_attr >> 16 == 0o644  # readable where it is unpacked
    monkeypatch.setattr(translation, "SUBMISSION", (6, 6))
    assert main(["translate", source, str(image_folder), str(out), "--submission"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_the_record_names_no_directory(source: str, image_folder: Path) -> None:
    translate(source, image_folder, image_folder.parent / "out")
    record = json.loads((image_folder.parent / "out/.translate/record.json").read_text())
    assert record["images of"] == f"folder {image_folder.parent.name}/in" and record["epoch"] == 2 and record["resolution"] == 16
    assert str(image_folder.parent.parent) not in json.dumps(record)
