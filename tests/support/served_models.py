"""The small models that the tests of the Studio serve, and a translation in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub.models.photograph import FaceChoice, Options
from cyclegan_hub.serving.results import Result
from cyclegan_hub.serving.studio import Studio
from support.tiny_models import folder, measured


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """monet with epochs 5, 10 (the best) and 100; smile with one model; zebra, in grey."""
    path = tmp_path_factory.mktemp("models")
    folder(path / "monet", 5, 10, 100, metrics=measured(10, 5, 10, 100), domain="monet", labels=("photo", "Monet"))
    folder(path / "smile")
    folder(path / "zebra", domain="", labels=("horse", "zebra"), channels=1)
    return path


def translate(
    studio: Studio,
    image: Any,
    model: str,
    direction: str = "a_to_b",
    epoch: Any = None,
    *,
    face: FaceChoice = "auto",
    whole: bool = False,
    strength: float = 1.0,
    **options: bool,
) -> Result:
    """Opens a photograph and translates it."""
    return studio.translate(studio.open(image, model, direction), epoch, Options(face, whole, strength), **options)
