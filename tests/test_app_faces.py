"""app.py: what its events return for photographs with one face, with several, and without any."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub.serving.photos import EXAMPLES
from cyclegan_hub.serving.studio import Studio
from support.page_load import same, tiny_models
from support.page_module import models as models
from support.page_module import module as module
from support.page_module import page as page
from support.page_module import served, show
from support.photos import TWO
from support.pictures import encoded

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


def test_a_picture_without_a_face_waits(page: Any, tmp_path: Path) -> None:
    one = page.one
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    for part in ("face", "whole"):
        update = show(page, "pair", tmp_path / "photo.png", "anime", 1, fresh=True, part=part)
        assert "No face was found" in update[one.notes] and update[one.go_on]["visible"] and update[one.pair[1]] is None
        assert one.show_strip(str(tmp_path / "photo.png"), "anime", "a_to_b", part, 1, False, 0)[one.strip] is None
        update = show(page, "pair", tmp_path / "photo.png", "anime", 1, anyway=True, part=part, way="own")
        assert update[one.pair[1]] and not update[one.go_on]["visible"] and "No face" not in update[one.notes]
        assert Image.open(update[one.save]).size == (38, 32)


def test_a_face_is_aligned_or_put_back(page: Any, models: Path) -> None:
    one, example = page.one, EXAMPLES["anime", "a_to_b"][0].path  # of Grace Hopper
    update = show(page, "pair", example, "anime", 2, fresh=True, anyway=False, way="own")
    assert update[one.part]["visible"] and not update[one.faces]["visible"]
    assert same(Image.open(update[one.save]), served(models / "anime", 2).translate(example))
    assert Image.open(update[one.pair[0]]).size == Image.open(update[one.pair[1]]).size == (512, 512)
    update = show(page, "pair", example, "anime", 2, anyway=False, part="whole", way="own")
    assert same(Image.open(update[one.save]), served(models / "anime", 2).translate(example, whole=True))
    update = one.show_strip(str(example), "anime", "a_to_b", "whole", 1, False, 0)
    assert all(Image.open(path).height == 600 for path, _ in update[one.strip])
    other = one.show(True, "pair", str(example), "anime", "b_to_a", 2, "whole", 1, False, False, "own", False, 0)
    assert not other[one.part]["visible"] and Image.open(other[one.save]).size == (32, 38)


def test_of_several_faces_one_is_chosen_or_all_are_put_back(page: Any, models: Path, tmp_path: Path) -> None:
    one, model = page.one, served(models / "anime", 3)
    TWO.save(tmp_path / "two.png")
    for face in (0, 1):
        update = show(page, "pair", tmp_path / "two.png", "anime", 3, anyway=False, face=face, way="own")
        assert update[one.faces]["visible"] and len(update[one.faces]["value"]) == 2
        assert same(Image.open(update[one.save]), model.translate(TWO, face=face))
    update = show(page, "pair", tmp_path / "two.png", "anime", 3, anyway=False, face=1, part="whole", way="own")
    assert not update[one.faces]["visible"] and same(Image.open(update[one.save]), model.translate(TWO, face="all", whole=True))


def test_the_strength_of_a_model_with_the_skip(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = module.Page(Studio(str(tiny_models(tmp_path / "models", {"cartoon": 0, "anime": 0}))))
    cartoon, anime = page.choose("cartoon"), page.choose("anime")
    for panel in (page.one, page.several):
        assert [one[panel.strength]["visible"] for one in (cartoon, anime)] == [True, False]
    example = EXAMPLES["anime", "a_to_b"][0].path
    none = show(page, "pair", example, "cartoon", 1, anyway=False, part="whole", strength=0, way="own")
    assert same(Image.open(none[page.one.save]), Image.open(example))
    half, full = (
        Image.open(show(page, "pair", example, "cartoon", 1, strength=strength, way="own")[page.one.save])
        for strength in (0.5, 1)
    )
    assert half.size == full.size and not same(half, full)
    assert show(page, "pair", example, "anime", 1, strength=0.5)[page.one.save]  # left over from the other model: means nothing


def test_a_batch_with_and_without_faces(page: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    example, panel = EXAMPLES["anime", "a_to_b"][0].path, page.several
    request, model = SimpleNamespace(session_hash="visitor"), served(models / "anime", 1)
    for part, whole in (("face", False), ("whole", True)):
        files = [str(example), str(tmp_path / "photo.png")]
        _, notes, zipped = panel.show(
            files, "anime", "a_to_b", "epoch-001", part, 1, "own", request, progress=lambda *_, **__: None
        )
        assert "2 of 2 translated." in notes and "photo.png: No face was found" in notes
        with zipfile.ZipFile(zipped["value"]) as archive:
            assert same(Image.open(io.BytesIO(archive.read("grace_hopper.png"))), model.translate(example, whole=whole))
    assert panel.offer("anime", "a_to_b")["visible"] and not panel.offer("anime", "b_to_a")["visible"]
