"""`cyclegan-hub translate` with faces: its options, what it says, and which results it resumes."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.commands.translate import translate
from cyclegan_hub.domains import HEAD
from cyclegan_hub.faces import find, mtcnn
from cyclegan_hub.models.photograph import Options
from support.photos import photo
from support.pixels import apart
from support.translated_folder import found, made_calls
from support.translated_folder import source as source
from support.translations import tiny, two_faces


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with the skip whose A are faces."""
    path = tmp_path_factory.mktemp("faces")
    tiny(image_size=32, eyes_a=HEAD, skip=True, epoch=1).save_pretrained(path)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A cat, a portrait and two faces."""
    (tmp_path / "in").mkdir()
    for name, image in (("cat", photo("chelsea")), ("one", photo("astronaut_face")), ("two", two_faces())):
        image.save(tmp_path / f"in/{name}.png")
    return tmp_path / "in"


def command(faces: str, photos: Path, *options: str) -> list[str]:
    return ["translate", faces, str(photos), str(photos.parent / "out"), *options]


CASES: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}),
    (["--face", "none", "--detail"], {"face": "none", "detail": True}),
    (["--face", "0", "--no-detail", "--resolution", "24"], {"face": 0, "detail": False, "resolution": 24}),
    (["--face", "all", "--whole", "--strength", "1.3"], {"face": "all", "whole": True, "strength": 1.3}),
    (["--no-ensemble"], {"ensemble": False}),
]


@pytest.mark.parametrize(("options", "keywords"), CASES)
def test_the_options_reach_the_model(faces: str, photos: Path, options: list[str], keywords: dict[str, Any]) -> None:
    (photos / "cat.png").unlink()
    assert main(command(faces, photos, *options)) == 0
    model = CycleGenerator.from_pretrained(faces)
    assert found(photos.parent / "out") == ["one.png", "two.png"]
    for name in ("one.png", "two.png"):
        with Image.open(photos.parent / "out" / name) as result:
            assert apart(result, model.translate(photos / name, **keywords)) <= 2  # as it runs fast


def test_images_without_a_face_are_noted_one_line_each(faces: str, photos: Path, capsys: pytest.CaptureFixture) -> None:
    photo("coffee").save(photos / "cof\x1bfee.png")
    assert main(command(faces, photos)) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    result = "all of it is translated, which this model was not trained for"
    assert sorted(said) == [
        f"note: 'no face is found in cof\\x1bfee.png: {result}'",
        f"note: no face is found in cat.png: {result}",
    ]


def test_a_number_skips_images_with_fewer_faces(faces: str, photos: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(command(faces, photos, "--face", "1")) == 1
    said = capsys.readouterr().err
    assert found(photos.parent / "out") == ["two.png"]
    assert "skipped one.png: face=1: " in said and "skipped cat.png: face=1: no face is found" in said


def test_transparency_is_kept_by_png_and_white_in_jpeg(source: str, photos: Path) -> None:
    (photos / "one.png").unlink()
    with Image.open(photos / "cat.png") as cat:
        cat.putalpha(Image.linear_gradient("L").resize(cat.size).point(lambda value: 255 * (value > 127)))
        cat.save(photos / "cat.png")
    for format in ("png", "jpg"):
        assert main(["translate", source, str(photos), str(photos.parent / format), "--format", format]) == 0
    with Image.open(photos.parent / "png/cat.png") as clear, Image.open(photos.parent / "png/two.png") as opaque:
        assert (clear.mode, opaque.mode) == ("RGBA", "RGB") and clear.getchannel("A").getextrema() == (0, 255)
    with Image.open(photos.parent / "jpg/cat.jpg") as white:
        assert white.mode == "RGB" and white.crop((0, 0, white.width, 4)).convert("L").getextrema()[0] > 240


OTHERS = [
    ({"face": 0}, "face 'auto', and now it is 0"),
    ({"face": "none"}, "face 'auto', and now it is 'none'"),
    ({"whole": True}, "whole False, and now it is True"),
    ({"strength": 0.5}, "strength 1.0, and now it is 0.5"),
    ({"detail": False}, "detail None, and now it is False"),
    ({"ensemble": False}, "ensemble True, and now it is False"),
]


def test_results_of_other_options_or_eyes_are_an_error_and_left_alone(faces: str, photos: Path) -> None:
    out, other = photos.parent / "out", photos.parent / "model"
    assert translate(faces, photos, out) == 0
    before = found(out)
    for options, words in OTHERS:
        with pytest.raises(ValueError, match=f"holds translations with {words}: ask for the same"):
            translate(faces, photos, out, options=Options(**options))
    shutil.copytree(faces, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"eyes_a": [0.3, 0.4, 0.7, 0.4]}))
    with pytest.raises(ValueError, match=r"holds translations with eyes \[.*\], and now it is \[0\.3, 0\.4, 0\.7, 0\.4\]"):
        translate(str(other), photos, out)
    assert found(out) == before


def forget(record: Path) -> None:
    """Makes a record what it was before there were faces."""
    old = json.loads(record.read_text())
    record.write_text(
        json.dumps({key: old[key] for key in old if key not in ("face", "whole", "strength", "detail", "eyes", "ensemble")})
    )


@pytest.mark.parametrize("options", [{}, {"detail": True}, {"face": "none"}])
def test_results_from_before_there_were_faces_are_resumed(
    source: str, photos: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a model without faces and without the skip, where the options change nothing."""
    out = photos.parent / "out"
    assert translate(source, photos, out) == 0
    forget(out / ".translate/record.json")
    (out / "one.png").unlink()
    made = made_calls(monkeypatch)
    assert translate(source, photos, out, options=Options(**options)) == 0
    assert len(made) == 1 and found(out) == ["cat.png", "one.png", "two.png"]


def test_results_from_before_a_model_had_eyes_are_resumed_as_they_were_made(faces: str, photos: Path) -> None:
    out = photos.parent / "out"
    assert translate(faces, photos, out, options=Options("none")) == 0
    forget(out / ".translate/record.json")
    for options in (Options(), Options("none", detail=True), Options("none", strength=0.5)):
        with pytest.raises(ValueError, match=r"holds translations with (face 'none'|detail False|strength 1\.0), and now it is"):
            translate(faces, photos, out, options=options)
    assert translate(faces, photos, out, options=Options("none", detail=False, ensemble=False)) == 0


def test_a_finder_that_is_not_installed_ends_it_before_anything_is_written(
    faces: str, photos: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_FINDER", [])
    monkeypatch.setattr(mtcnn, "PACKAGE", "no_such_package")
    assert main(command(faces, photos)) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: faces cannot be found") and printed.err.count("\n") == 1
    assert not (photos.parent / "out").exists()
    assert main(command(faces, photos, "--face", "none")) == 0  # where none is needed


def test_a_submission_has_one_size_whatever_the_model_takes(faces: str, photos: Path) -> None:
    out = photos.parent / "out.zip"
    assert main(["translate", faces, str(photos), str(out), "--submission"]) == 0
    with zipfile.ZipFile(out) as archive:
        sizes = []
        for name in archive.namelist():
            with archive.open(name) as file, Image.open(file) as image:
                sizes.append(image.size)
    assert sizes == [(256, 256)] * 3
