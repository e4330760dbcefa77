"""faces.py: the free photographs hold one portrait, one full figure with a face, and three pictures without any."""

from __future__ import annotations

import sys
from importlib.resources import files
from types import SimpleNamespace

import pytest
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.data import faces
from cyclegan_hub.data.faces import Box, closer, crop, find_faces
from cyclegan_hub.domains import FACE_SHARE


def photo(name: str) -> Image.Image:
    return images.decode((files("cyclegan_hub") / "free_images" / f"{name}.jpg").read_bytes())


@pytest.fixture
def no_detector_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "_DETECTOR", [])


@pytest.mark.parametrize(("name", "count"), [("astronaut", 1), ("astronaut_face", 1), ("chelsea", 0), ("rocket", 0)])
def test_faces_of_the_free_photographs(name: str, count: int) -> None:
    pytest.importorskip("dlib")
    found = find_faces(photo(name))
    assert found is not None and len(found) == count


def test_a_face_is_found_where_it_is_at_every_size() -> None:
    pytest.importorskip("dlib")
    picture = photo("astronaut")
    (box,) = find_faces(picture) or []
    eyes = (141, 66)  # between them, in this photograph
    for scale in (0.5, 1, 8):  # 8: reduced for detection
        other = picture.resize([round(side * scale) for side in picture.size])
        (found,) = find_faces(other) or []
        assert found.left < eyes[0] * scale < found.right and found.top < eyes[1] * scale < found.bottom
        assert abs(found.side / scale - box.side) < 0.2 * box.side


def test_the_largest_comes_first() -> None:
    pytest.importorskip("dlib")
    face = photo("astronaut_face")
    both = Image.new("RGB", (500, 300), "grey")
    both.paste(face.resize((140, 140)), (20, 80))
    both.paste(face.resize((260, 260)), (220, 20))
    found = find_faces(both)
    assert found is not None and [box.left > 200 for box in found] == [True, False]


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 3000)])
def test_odd_pictures_have_no_face(size: tuple[int, int]) -> None:
    pytest.importorskip("dlib")
    assert find_faces(Image.new("RGB", size)) == [] == find_faces(Image.new("L", size))


def test_without_the_detector(no_detector_yet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert find_faces(photo("chelsea")) is None


@pytest.mark.parametrize("where", ["made", "asked"])
def test_a_detector_that_fails_is_none(where: str, no_detector_yet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Unsupported image type")

    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(get_frontal_face_detector=fail if where == "made" else lambda: fail))
    assert find_faces(photo("chelsea")) is None


def test_a_crop_is_a_square_that_shows_the_head() -> None:
    picture = Image.new("RGB", (1000, 800))
    picture.paste("red", (400, 300, 508, 408))  # the box
    square = crop(picture, Box(400, 300, 508, 408))
    assert square.size == (200, 200)  # 108 px are 0.54 of it
    box = square.getchannel("R").getbbox()
    assert box == (46, 60, 154, 168)  # in the middle, and lower than the middle


@pytest.mark.parametrize(
    ("box", "left", "top", "side"),
    [(Box(-40, -30, 60, 70), 0, 0, 185), (Box(260, 160, 330, 230), 170, 70, 130), (Box(0, 0, 900, 900), 100, 0, 200)],
)
def test_a_crop_stays_in_the_picture(box: Box, left: int, top: int, side: int) -> None:
    picture = Image.effect_noise((300, 200), 80).convert("RGB")
    assert crop(picture, box).tobytes() == picture.crop((left, top, left + side, top + side)).tobytes()


@pytest.mark.parametrize("share", [FACE_SHARE, 0.7])
def test_a_crop_comes_closer(share: float) -> None:
    picture = Image.effect_noise((1000, 800), 80).convert("RGB")
    box = Box(400, 300, 508, 408)
    near = crop(picture, box, share)
    assert abs(near.width - 108 / share) < 1
    again = closer(crop(picture, box), share)  # of the square that was cropped before
    assert abs(again.width - near.width) <= 1
    if share == FACE_SHARE:
        assert again == near == crop(picture, box)
    else:
        difference = images.to_tensor(again.resize((32, 32))) - images.to_tensor(near.resize((32, 32)))
        assert difference.abs().mean() < 0.05  # the same part, to a pixel
