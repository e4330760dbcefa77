"""app.py as a module and as a server, small models for it, and a file name that is markup: what the tests of the page share."""

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
from support.training import ROOT

NAME = "<img src=x onerror=alert(1)>.png"


def served(where: Path, epoch: int) -> Any:
    """A model as the page runs it in fp32."""
    return optimize_for_cpu(load(where, epoch), exact=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"), {"anime": 3, "monet": 0})


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


def show(page: Any, view: str, photo: Path | None, domain: str, epoch: int, fresh: bool = False, **options: Any) -> Any:
    """What a view of the first tab becomes."""
    given = {"part": "face", "strength": 1, "original": False, "pixels": False, "way": "png", "anyway": True, "face": 0} | options
    return page.one.show(fresh, view, str(photo) if photo else None, domain, "a_to_b", epoch, *given.values())
