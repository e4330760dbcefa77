"""Landmarks are found once and read back exactly; images of faces are aligned from every source; each fit makes squares."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub.data import load as loading
from cyclegan_hub.data import reading
from cyclegan_hub.data.load import LazyImages
from cyclegan_hub.data.reading import EyePair, Landmarks, NoFaceError
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.faces import Face, FaceFinderError, align, find_faces
from cyclegan_hub.imaging import images
from support.aligned import A_IMAGES, PLACES, load
from support.aligned import data as data
from support.aligned import found as found
from support.aligned import no_finder as no_finder
from support.loading import load_domains, open_batches, open_streams
from support.photos import EYES, photo
from support.pictures import folder


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


SMILE = DOMAINS["smile"].a.eyes


@cache
def seen(file: Path) -> tuple[Image.Image, list[Face]]:
    image = images.decode(file.read_bytes())
    return image, find_faces(image)


def by_hand(path: Path, size: int, eyes: Any = PLACES) -> torch.Tensor:
    """The photographs of a folder with a face, aligned one by one, in file order."""
    found = [seen(file) for file in sorted(path.iterdir())]
    return torch.stack([images.to_uint8_tensor(align(image, faces[0], eyes, size)) for image, faces in found if faces])


def apart(one: torch.Tensor, other: torch.Tensor) -> int:
    assert one.shape == other.shape
    return int((one.int() - other.int()).abs().max())


# --- what is read


def test_a_domain_of_faces_is_read_aligned_and_the_other_is_not(data: Path) -> None:
    a, b = load(data)
    assert apart(a.train, by_hand(data / "trainA", 36)) <= 1 and apart(a.held_out, by_hand(data / "testA", 32)) <= 1
    plain = load(data, eyes=())
    assert torch.equal(b.train, plain[1].train) and torch.equal(b.held_out, plain[1].held_out) and b.counts == plain[1].counts
    assert a.train.shape == (A_IMAGES, 3, 36, 36) and len(plain[0].train) == A_IMAGES + 1
    assert a.counts == dict(
        found=13, unreadable=0, tiny=0, no_face=1, duplicates=0, also_held_out=0, not_chosen=0, kept=12, held_out=3
    )
    assert "no_face" not in b.counts and "no_face" not in plain[0].counts
    assert a.notes == [
        "A: left out 1 of 13 images in which no face is found: 05_coffee.png",
        "A held out: left out 1 of 4 images in which no face is found: 21_rocket.png",
    ]  # nothing on their shapes: of an aligned image no centred square is taken
    assert "not square" in " ".join(b.notes) and "not square" in " ".join(plain[0].notes)


def test_both_domains_may_be_of_faces(data: Path) -> None:
    sources = resolve(None, None, str(data / "trainA"), str(data / "testA"))
    a, b = load_domains(sources, image_size=32, eyes=(PLACES, SMILE))
    assert (a.counts["no_face"], b.counts["no_face"]) == (1, 1)
    assert all(min(apart(x, other) for other in by_hand(data / "testA", 32, SMILE)) <= 1 for x in b.train)
    with pytest.raises(DataError, match=r"^domain B: no face is found in any of its 8 images: .*--set eyes_b=none$"):
        load(data, eyes=(None, SMILE))


def test_grey_faces(data: Path) -> None:
    a, _ = load(data, channels=1)
    expected = by_hand(data / "trainA", 36).float().mean(1, keepdim=True)
    assert a.train.shape == (A_IMAGES, 1, 36, 36)
    assert (a.train.float() - expected).abs().mean() < 12  # the eyes of the grey photograph, and the weights of the colours


def test_images_that_do_not_fit_in_memory_are_the_same(data: Path, found: Landmarks, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = load(data, landmarks=found)
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    a, _ = load(data, landmarks=found)
    assert isinstance(a.train, LazyImages) and a.fingerprint == expected.fingerprint
    assert torch.equal(torch.stack([a.train[i] for i in range(A_IMAGES)]), expected.train)
    monkeypatch.undo()
    cropped, _ = load(data, landmarks=found, fit="random-crop")  # says nothing of an aligned image
    assert isinstance(cropped.train, LazyImages) and cropped.notes == expected.notes
    assert all(torch.equal(cropped.train.at_random(i, np.random.default_rng(i)), expected.train[i]) for i in range(A_IMAGES))


def test_processes_that_decode_find_no_face_again(
    data: Path, found: Landmarks, no_finder: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    options = {"image_size": 32, "batch_size": 4, "seed": 0, "eyes": (PLACES, None), "landmarks": found}
    alone, helped = (open_batches(resolve(None, str(data), None, None), **options, workers=workers) for workers in (0, 1))
    for one, other in zip(alone.epoch(0), helped.epoch(0), strict=True):
        assert torch.equal(one["a"], other["a"]) and torch.equal(one["b"], other["b"])


def test_a_choice_of_images_has_a_face_each(data: Path, found: Landmarks) -> None:
    a, b = load(data, landmarks=found, max_images=5)
    assert len(a.train) == 5 == a.counts["kept"] and len(b.train) == 5
    every = load(data, landmarks=found)[0].train
    assert all(any(torch.equal(one, other) for other in every) for one in a.train)


def test_arrays_are_aligned_too(data: Path, tmp_path: Path) -> None:
    decoded = [images.decode(file.read_bytes()).resize((380, 250)) for file in sorted((data / "trainA").iterdir())]
    np.savez(tmp_path / "faces.npz", images=np.stack([np.asarray(image) for image in decoded]))
    sources = resolve(None, None, str(tmp_path / "faces.npz"), str(data / "trainB"))
    a = load_domains(sources, image_size=36, eyes=(PLACES, None), max_held_out=1)[0]
    assert a.counts["no_face"] == 1 and a.counts["kept"] + a.counts["held_out"] == A_IMAGES
    every = by_hand(data / "trainA", 36)
    assert all(min(apart(one, other) for other in every) <= 1 for one in a.train)


def test_a_stream_is_aligned_too(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Landmarks()
    sources = resolve(None, str(data), None, None)
    options = {"image_size": 32, "load_size": 36, "batch_size": 4, "seed": 0, "steps_per_epoch": 3, "eyes": (PLACES, None)}
    batches = open_streams(sources, **options, landmarks=kept)
    assert apart(batches.held_out[0], by_hand(data / "testA", 32)) <= 1
    seen = torch.cat([batch["a"] for batch in batches.epoch(0)])
    every = by_hand(data / "trainA", 36)
    assert sorted(min(range(A_IMAGES), key=lambda i: apart(x, every[i])) for x in seen) == list(range(A_IMAGES))
    assert all(min(apart(x, other) for other in every) <= 1 for x in seen)
    next(batches.epoch(1))  # of the second pass: the image without a face was met at last
    assert batches.counts["a"]["no_face"] >= 1 and batches.counts["a"]["unreadable"] == 0
    for line in ("A: skipped: no face is found in image", "A: skipped a held-out image: no face is found in image"):
        assert line in caplog.text
    assert "(05_coffee.png)" in caplog.text and "(21_rocket.png)" in caplog.text
    assert "A: images that are not square" not in caplog.text
    assert batches.landmarks is kept and sum(pair is None for pair in kept.found.values()) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_a_domain_without_any_face_is_one_line(data: Path, streamed: bool, tmp_path: Path) -> None:
    folder(tmp_path / "faceless", range(6), (40, 30))
    sources = resolve(None, str(data), str(tmp_path / "faceless"), None)
    if streamed:
        message = "^domain A: the held-out part of the stream has no image that can be used"
    else:
        message = "^domain A: no face is found in any of its 6 images: .*--set eyes_a=none, or to a DCGAN --"
    more = {"streaming": True, "steps_per_epoch": 1} if streamed else {}
    with pytest.raises(DataError, match=message):
        open_batches(sources, image_size=32, batch_size=1, seed=0, eyes=(PLACES, None), **more)


# --- landmarks that are known


def test_known_landmarks_give_the_same_tensors_without_a_finder(data: Path, found: Landmarks, no_finder: None) -> None:
    first, _ = load(data, landmarks=found)
    again, _ = load(data, landmarks=Landmarks.loads(found.dumps()))
    assert torch.equal(first.train, again.train) and torch.equal(first.held_out, again.held_out)
    assert (first.counts, first.notes, first.fingerprint) == (again.counts, again.notes, again.fingerprint)
    with pytest.raises(AssertionError, match="searched again"):
        load(data)


def test_the_content_hash_of_each_image_is_taken_once(data: Path, found: Landmarks, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed, content_hash = [], images.content_hash

    def counted(image: Image.Image) -> str:
        hashed.append(1)
        return content_hash(image)

    monkeypatch.setattr(images, "content_hash", counted)
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    a, _ = load(data, landmarks=found)
    assert a.train[0].equal(a.train[0]) and len(hashed) == sum(1 for path in data.rglob("*.png"))
