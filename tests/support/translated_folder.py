"""A model and a folder of images for the tests of `translate`, and what it left in a folder or a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.commands import translate as translation
from cyclegan_hub.imaging import images
from cyclegan_hub.models import translate_many
from support.pictures import folder
from support.pixels import same_pixels


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder with epochs 1 and 2."""
    path = tmp_path_factory.mktemp("model")
    for epoch in (1, 2):
        torch.manual_seed(epoch)
        CycleGenerator(width=4, blocks=1, image_size=16, epoch=epoch).save_pretrained(path / f"epochs/epoch-{epoch:03d}")
    return str(path)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
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
    return a.keys() == b.keys() and all(same_pixels(a[name], b[name]) for name in a)


def made_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by an entry for each image that is translated from now on."""
    made: list[str] = []
    true = translate_many.encode
    monkeypatch.setattr(translation, "encode", lambda image, format: made.append(format) or true(image, format))
    return made
