"""The small models that the tests of the Studio serve."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny_models import folder, measured


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """monet with epochs 5, 10 (the best) and 100; smile with one model; zebra, in grey."""
    path = tmp_path_factory.mktemp("models")
    folder(path / "monet", 5, 10, 100, metrics=measured(10, 5, 10, 100), domain="monet", labels=("photo", "Monet"))
    folder(path / "smile")
    folder(path / "zebra", domain="", labels=("horse", "zebra"), channels=1)
    return path
