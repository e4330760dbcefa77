"""What the tests of the page share: app.py as a module and as a server, both over small models."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cyclegan_hub.serving.studio import Studio
from support.page_load import App, running_app, tiny_models
from support.photos import TWO
from support.pictures import encoded
from support.tiny_models import paired
from support.training import ROOT


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """anime and faces with three epochs, cartoon and monet with one model, and colorize, which translates one way."""
    path = tiny_models(tmp_path_factory.mktemp("models"), {"anime": 3, "cartoon": 0, "monet": 0, "faces": 3})
    paired().save_pretrained(path / "colorize")
    return path


@pytest.fixture(scope="session")
def app(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The page in a process of its own, over the `models`."""
    with running_app(tmp_path_factory.mktemp("app"), models) as running:
        yield running


@pytest.fixture(scope="session")
def web(app: App) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return importlib.import_module("app")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which a page in this process keeps uploads and results."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("written")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def page(module: Any, models: Path, written: Path) -> Any:
    """The page over the `models`, in this process."""
    return module.Page(Studio(str(models)))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture without a face."""
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(1, (48, 40)))
    return path


@pytest.fixture
def two_faces(tmp_path: Path) -> Path:
    """A photograph of two."""
    TWO.save(tmp_path / "two.png")
    return tmp_path / "two.png"
