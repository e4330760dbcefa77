"""What the tests of the page share: app.py as a module and as a server, small models for it, a file name that is markup."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cyclegan_hub.checkpoints import load
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.serving.studio import Studio
from support.page_load import App, running_app, tiny_models
from support.tiny_models import paired
from support.training import ROOT

NAME = "<img src=x onerror=alert(1)>.png"


def served(where: Path, epoch: int) -> Any:
    """A model as the page runs it in fp32."""
    return optimize_for_cpu(load(where, epoch), exact=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """anime and faces with three epochs, monet with one model, and colorize, which translates one way."""
    path = tiny_models(tmp_path_factory.mktemp("models"), {"anime": 3, "monet": 0, "faces": 3})
    paired().save_pretrained(path / "colorize")
    return path


@pytest.fixture(scope="module")
def app(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The page in a process of its own, over the `models` of the file that asks for it."""
    with running_app(tmp_path_factory.mktemp("app"), models) as running:
        yield running


@pytest.fixture(scope="module")
def web(app: App) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def module() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("app")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture
def page(module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page over the `models`, in this process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return module.Page(Studio(str(models)))


def show(page: Any, upload: Path | None, model: str, epoch: int | None, fresh: bool = False, **changes: Any) -> Any:
    """The properties of the components of the first tab for a photograph, by name."""
    from cyclegan_hub.page.translation_panel import Choices

    choices = Choices(str(upload) if upload else None, epoch=epoch, **{"anyway": True} | changes)
    return page.one.props(page.studio.model(model), choices, fresh)


def saved(props: Any) -> Path:
    """The file that the save button has."""
    return Path(props["save"]["value"])
