"""serving.py: the Studio with many threads at once, and which models it keeps and loads again."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator, checkpoints
from cyclegan_hub.serving import studio as serving
from cyclegan_hub.serving.studio import Studio
from support.messages import refusal
from support.pictures import picture
from support.pixels import assert_same_pixels
from support.served_models import models as models
from support.tiny_models import folder, model

# --- many at once


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every model that is loaded, as it is loaded."""
    original, names = checkpoints.load, []

    def load(source: str, epoch: str | None = None, **options: Any) -> CycleGenerator:
        names.append(f"{Path(source).name} {epoch}")
        return original(source, epoch, **options)

    monkeypatch.setattr(checkpoints, "load", load)
    return names


def test_thirty_threads_load_once_and_translate_one_at_a_time(
    models: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, inside, most = CycleGenerator.translate, threading.Semaphore(1), []

    def translate(*arguments: Any) -> Any:
        most.append(inside.acquire(blocking=False))
        try:
            return original(*arguments)
        finally:
            inside.release()

    monkeypatch.setattr(CycleGenerator, "translate", translate)
    studio = Studio(str(models))
    start = threading.Barrier(30)

    def ask(i: int) -> Image.Image:
        start.wait()
        return studio.translate(picture(i % 3), "monet", epoch=(5, 10)[i % 2]).after

    with ThreadPoolExecutor(30) as pool:
        results = list(pool.map(ask, range(30)))
    assert sorted(loads) == ["monet None", "monet epoch-005"] and most == [True] * 30
    assert all(results[i] == results[i % 6] for i in range(30)) and len({x.tobytes() for x in results}) == 6


def test_the_last_used_models_are_kept(models: Path, loads: list[str]) -> None:
    studio = Studio(str(models), cache_models=2)
    for epoch in (5, 10, 5, 100, 5, 10):
        studio.translate(picture(0), "monet", epoch=epoch)
    assert loads == ["monet epoch-005", "monet None", "monet epoch-100", "monet None"] and len(studio._cache.loaded) == 2


def test_a_load_that_failed_is_tried_again(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "monet"
    shutil.copytree(models / "monet", path)
    studio = Studio(str(tmp_path))
    weights = path / "epochs" / "epoch-005" / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:100])
    message = refusal(studio.translate, picture(0), "monet", epoch=5)
    assert message.startswith("Epoch 5 of monet cannot be loaded (monet") and "model.safetensors cannot be read" in message
    weights.write_bytes(data)
    assert_same_pixels(studio.translate(picture(0), "monet", epoch=5).after, model(5).translate(picture(0)))


def test_new_epochs_appear(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio = Studio(str(folder(tmp_path / "smile", 5)))
    folder(tmp_path / "smile", 10)
    assert [epoch.number for epoch in studio.epochs("smile")] == [5] and studio._looking is None
    monkeypatch.setattr(serving, "LOOK_AGAIN", 0)
    studio.domains()
    assert studio._looking
    studio._looking.join()
    assert [epoch.number for epoch in studio.epochs("smile")] == [5, 10]
