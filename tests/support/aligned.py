"""Training data of faces: photographs of any shape for A, noise for B, and the landmarks that a run of them keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub.data import reading
from cyclegan_hub.data.load import DomainImages
from cyclegan_hub.data.reading import Landmarks
from cyclegan_hub.data.resolve import resolve
from support.loading import load_domains
from support.photos import photo, portraits
from support.pictures import folder

PLACES = (0.35, 0.45, 0.65, 0.45)  # of the eyes, in shares of the side
A_IMAGES = 12  # faces to train on


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A: photographs with faces, 12 to train on and 3 held out, one without a face among either. B: noise."""
    path = tmp_path_factory.mktemp("data")
    portraits(path / "trainA", range(A_IMAGES))
    portraits(path / "testA", range(20, 23))
    photo("coffee").save(path / "trainA/05_coffee.png")
    photo("rocket").save(path / "testA/21_rocket.png")
    folder(path / "trainB", range(8), (50, 40))
    folder(path / "testB", range(100, 102), (50, 40))
    return path


@pytest.fixture
def no_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> list[Any]:
        raise AssertionError("faces are searched again")

    monkeypatch.setattr(reading, "find_faces", fails)


def load(path: Path, a: object = None, eyes: Any = (PLACES, None), **options: Any) -> tuple[DomainImages, ...]:
    sources = resolve(None, str(path), None if a is None else str(a), None)
    return load_domains(sources, **({"image_size": 32, "load_size": 36, "eyes": eyes} | options))


@pytest.fixture(scope="module")
def found(data: Path) -> Landmarks:
    """Of all images of A, as a run keeps them."""
    kept = Landmarks()
    load(data, landmarks=kept)
    return kept
