"""data/landmarks.py: eyes are found once for each image, and read back exactly."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub.data import reading
from cyclegan_hub.data.reading import EyePair, Landmarks, NoFaceError
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.faces import FaceFinderError, find_faces
from cyclegan_hub.imaging import images
from support.photos import EYES, photo


def fails(_: Image.Image) -> list[Any]:
    raise FaceFinderError("no finder")


def test_the_eyes_of_the_largest_face_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Image.new("RGB", (520, 320), "grey")
    both.paste(photo("astronaut_face"), (0, 0))
    both.paste(photo("examples/grace_hopper_face"), (200, 0))
    found = Landmarks()
    pair = found.of(both)
    assert pair == EyePair(find_faces(both)[0].eyes) and pair.eyes[0].real > 200
    with pytest.raises(NoFaceError, match=r"^no face is found in this image$"):
        found.of(photo("coffee"))
    assert found.found == {images.content_hash(both): pair, images.content_hash(photo("coffee")): None}
    monkeypatch.setattr(reading, "find_faces", fails)
    assert found.of(both) == pair == found.of(both, images.content_hash(both))
    with pytest.raises(NoFaceError, match=r"^no face is found in coffee\.jpg$"):
        found.of(photo("coffee"), name="coffee.jpg")
    with pytest.raises(FaceFinderError, match="no finder"):
        found.of(photo("chelsea"))
    assert len(found.found) == 2  # a failure is not an image without a face


def test_threads_share_it() -> None:
    found, names = Landmarks(), [*EYES] * 3
    with ThreadPoolExecutor(8) as threads:
        pairs = list(threads.map(lambda name: found.of(photo(name)), names))
    assert len(found.found) == len(EYES) and pairs[:4] == pairs[4:8] == pairs[8:]


def test_what_is_written_is_read_exactly() -> None:
    found = Landmarks({"b" * 8: EyePair((1 / 3 + 2j, 1e-17 - 7.1j)), "a" * 8: None})
    text = json.loads(found.dumps())
    assert list(text) == ["a" * 8, "b" * 8] and text["a" * 8] is None and len(text["b" * 8]) == 4
    assert Landmarks.loads(found.dumps()) == found and Landmarks.loads(Landmarks().dumps()) == Landmarks()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b'{"x": [1, 2]}', b'{"x": 5}', b'{"x": {}}', b'{"x": [1, 2, 3, "y"]}']
)
def test_a_damaged_file_is_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match=r"^landmarks\.json of the run is damaged: restore it, or delete it"):
        Landmarks.loads(data)
