"""inputs.py: every odd or hostile file gives the right picture, or one sentence without a directory and without HTML."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub import decoding, images
from cyclegan_hub.data import faces
from cyclegan_hub.serving import photos as inputs
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.model_info import DomainChoice
from cyclegan_hub.serving.photos import MAX_RESULT, PhotoPreparer
from support.hostile_files import hostile, png, saved
from support.pictures import encoded, picture

MONET = DomainChoice("monet", "Monet", ("photo", "Monet"), False, True, 32, "monet", "bundled", "free", True)
SMILE = replace(MONET, name="smile", title="Smile", faces=True, faces_b=True, original_size=False)
ANIME = replace(SMILE, name="anime", title="Anime", faces_b=False)
NAME = "<img src=x onerror=alert(1)>.png"


def prepare(
    source: object, choice: DomainChoice = MONET, direction: str = "a_to_b", resolution: str | None = None, crop: bool = False
) -> tuple[Image.Image, list[str]]:
    prepared = PhotoPreparer().prepare(source, choice, direction, resolution, crop)  # type: ignore[arg-type]
    return prepared.model_input, prepared.notes


def refusal(*arguments: object) -> str:
    """What a reader is told: one sentence, without a directory, HTML or a look inside."""
    with pytest.raises(ServingError) as caught:
        prepare(*arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "<" not in message and "/" not in message and "0x" not in message
    return message


# --- hostile files


@pytest.mark.parametrize("name", hostile())
def test_files_that_are_no_pictures(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(hostile()[name])
    assert name in refusal(path) and refusal(path.read_bytes()).startswith("This image")


def test_html_as_png_with_html_for_a_name(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"<html><script>alert(1)</script></html>")
    assert "is not an image that can be read" in refusal(path) and "script" not in refusal(path)


@pytest.mark.parametrize("side", [9000, 60000])
def test_bombs(side: int) -> None:
    assert "pixels" in refusal(png(side, side))


def test_too_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(encoded(0, (64, 64)))
    assert "has more than 1,000 bytes" in refusal(tmp_path / "large.png")


@pytest.mark.parametrize("size", [(20000, 10), (10, 20000), (21, 1)])
def test_strips(size: tuple[int, int]) -> None:
    message = refusal(Image.new("RGB", size))
    assert f"{size[0]} x {size[1]} pixels" in message and "at most 20 times the shorter" in message


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "is not a file" in refusal(tmp_path) and "is not a file" in refusal(str(tmp_path / "none.png"))
    assert refusal(None) == "There is no picture yet: give one first."
    assert "of type int" in refusal(5)


# --- odd files


def odd() -> dict[str, tuple[bytes, Image.Image]]:
    """Files, and the picture in each as a person sees it."""
    rgb = picture(0, (40, 32))
    grey16 = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    clear = rgb.copy()
    clear.putalpha(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = rgb.transpose(Image.Transpose.ROTATE_90)
    palette = rgb.quantize(16)
    return {
        "cmyk": (saved(Image.new("CMYK", (40, 32), (0, 0, 0, 0)), "JPEG"), Image.new("RGB", (40, 32), "white")),
        "palette": (saved(palette, "PNG"), palette.convert("RGB")),
        "16-bit": (saved(grey16, "PNG"), rgb.convert("L").convert("RGB")),
        "alpha": (saved(clear, "PNG"), Image.new("RGB", (40, 32), "white")),
        "rotated": (saved(turned, "PNG", exif=exif), rgb),
        "animated": (saved(palette, "GIF", save_all=True, append_images=[Image.new("P", (40, 32))]), palette.convert("RGB")),
    }


@pytest.mark.parametrize("name", odd())
def test_odd_files(name: str, tmp_path: Path) -> None:
    data, expected = odd()[name]
    (tmp_path / "renamed.jpg").write_bytes(data)
    for source in (data, tmp_path / "renamed.jpg", str(tmp_path / "renamed.jpg")):
        found, notes = prepare(source)
        said = ["This file has several frames or pages: the first is translated."] if name == "animated" else []
        assert found.mode == "RGB" and found.size == (40, 32) and notes == said
        difference = np.abs(np.asarray(found).astype(int) - np.asarray(expected.convert("RGB")).astype(int))
        assert difference.max() <= 2


def test_one_pixel() -> None:
    found, notes = prepare(Image.new("RGB", (1, 1), "red"))
    assert found.size == (32, 32) and found.getcolors() == [(1024, (255, 0, 0))] and notes == []
    assert prepare(Image.new("RGB", (1, 1), "red"), MONET, "a_to_b", "original")[0].size == (1, 1)


# --- sizes


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [((64, 128), None, (32, 64)), ((16, 24), None, (32, 48)), ((33, 57), "original", (33, 57)), ((1000, 50), None, (640, 32))],
)
def test_sizes(size: tuple[int, int], resolution: str | None, expected: tuple[int, int]) -> None:
    source = picture(1, size)
    found, notes = prepare(source, MONET, "a_to_b", resolution)
    assert found.size == expected and notes == []
    assert resolution is None or found.tobytes() == source.tobytes()


@pytest.mark.parametrize("size", [(3000, 2000), (2001, 2000), (12000, 700), (7000, 7000)])
def test_a_large_result_is_reduced_and_says_so(size: tuple[int, int]) -> None:
    found, notes = prepare(Image.new("RGB", size), MONET, "a_to_b", "original")
    assert 0.95 * MAX_RESULT < found.width * found.height <= MAX_RESULT
    assert abs(found.width / found.height - size[0] / size[1]) < 0.02 * size[0] / size[1]
    assert notes == [f"Translated with its shorter side at {min(found.size)} pixels: results have at most {MAX_RESULT:,} pixels."]


def test_a_large_model_is_bounded_too() -> None:
    found, notes = prepare(Image.new("RGB", (2000, 100)), replace(MONET, image_size=1024))
    assert found.width * found.height <= MAX_RESULT and len(notes) == 1


def test_what_is_not_offered() -> None:
    assert refusal(picture(0), SMILE, "a_to_b", "original").startswith("Smile translates at its own size only")
    assert "The resolution '4096' is not offered" in refusal(picture(0), MONET, "a_to_b", "4096")


# --- faces


def photo(name: str) -> bytes:
    return (files("cyclegan_hub") / "free_images" / f"{name}.jpg").read_bytes()


def test_a_face_is_cropped() -> None:
    pytest.importorskip("dlib")
    whole, notes = prepare(photo("astronaut"), SMILE)
    square, more = prepare(photo("astronaut"), SMILE, "b_to_a", None, True)
    assert square.size == whole.size == (32, 32) and square != whole and notes == more == []


@pytest.mark.parametrize(
    ("choice", "direction", "crop", "said"),
    [
        (SMILE, "a_to_b", False, True),
        (SMILE, "a_to_b", True, True),
        (SMILE, "b_to_a", False, True),
        (ANIME, "b_to_a", True, True),
        (ANIME, "b_to_a", False, False),
    ],
)
def test_no_face(choice: DomainChoice, direction: str, crop: bool, said: bool) -> None:
    pytest.importorskip("dlib")
    found, notes = prepare(photo("rocket"), choice, direction, None, crop)
    assert notes == ["No face found: this model works best on a face. Translating anyway."] * said
    assert found == images.resize_short(images.decode(photo("rocket")), 32)
    assert prepare(photo("rocket"), MONET, direction, None, crop)[1] == []


def finder(monkeypatch: pytest.MonkeyPatch, answer: list[faces.Box] | None) -> list[Image.Image]:
    """Puts an answer in the detector's place; the pictures it was asked about."""
    asked: list[Image.Image] = []
    stand_in = ModuleType("faces")
    stand_in.find_faces = lambda image: (asked.append(image), answer)[1]  # type: ignore[attr-defined]
    stand_in.crop = faces.crop  # type: ignore[attr-defined]
    monkeypatch.setattr(inputs, "faces", stand_in)
    return asked


def test_several_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    finder(monkeypatch, [faces.Box(60, 60, 90, 90), faces.Box(10, 10, 30, 30)])
    found, notes = prepare(picture(0, (200, 200)), SMILE, "a_to_b", None, True)
    assert notes == ["2 faces found: the largest is taken."]
    assert found == images.resize_short(faces.crop(picture(0, (200, 200)), faces.Box(60, 60, 90, 90)), 32)
    assert prepare(picture(0), SMILE)[1] == []


def test_without_a_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    finder(monkeypatch, None)
    assert prepare(picture(0), SMILE)[1] == []
    assert prepare(picture(0), SMILE, "a_to_b", None, True)[1] == [
        "The face detector is not installed here: the whole picture is translated."
    ]


def test_faces_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = finder(monkeypatch, [])
    monkeypatch.setattr(inputs, "REMEMBERED", 2)
    own = PhotoPreparer()
    for seed in (0, 0, 1, 0, 2, 0, 1):  # by then, 1 is the one not asked for the longest
        own.prepare(picture(seed), SMILE, "a_to_b", None, False)
    assert [picture(0) == asked[0], len(asked)] == [True, 4]


def test_what_the_page_asks_about_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [faces.Box(60, 60, 110, 110), faces.Box(10, 10, 30, 30)]
    finder(monkeypatch, boxes)
    own, source = PhotoPreparer(), picture(0, (200, 200))
    found = own.find_faces(source, SMILE, "a_to_b")
    assert found is not None and found.small and not found.none and [one.size for one in found.thumbnails] == [(96, 96)] * 2
    assert own.find_faces(source, MONET, "a_to_b") is None and own.find_faces(source, ANIME, "b_to_a") is None
    prepared = own.prepare(source, SMILE, "a_to_b", None, True, 1)
    assert prepared.given == faces.crop(source, boxes[1]) and prepared.notes == ["2 faces found: number 2 is taken."]
    assert own.prepare(source, SMILE, "a_to_b", None, True, 7).given == faces.crop(source, boxes[0])
    near = own.prepare(source, replace(SMILE, face_share=0.7), "a_to_b", None, True).given
    assert near == faces.crop(source, boxes[0], 0.7) and near.width < own.prepare(source, SMILE, "a_to_b", None, True).given.width
    finder(monkeypatch, [faces.Box(20, 20, 120, 120)])
    large = PhotoPreparer().find_faces(source, SMILE, "b_to_a")
    assert large is not None and not large.small
    finder(monkeypatch, [])
    nothing = PhotoPreparer().find_faces(source, SMILE, "b_to_a")
    assert nothing is not None and nothing.none and not nothing.small
    finder(monkeypatch, None)
    assert PhotoPreparer().find_faces(source, SMILE, "b_to_a") is None
