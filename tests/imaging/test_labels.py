"""Labels in any script: those that the font has are written as they are, for others stands "A" or "B"."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub.imaging import plots
from cyclegan_hub.imaging.grids import drawable, grid
from cyclegan_hub.models.protocols import drawable_label


@pytest.mark.parametrize("label", ["smile", "кот", "γάτα", "żółć", "photo → Monet", "Epoch 5 · best"])
def test_a_label_that_the_font_has_is_written(label: str) -> None:
    assert drawable(label) and drawable_label(label, "A") == label
    image = Image.new("RGB", (64, 64), "red")
    other = grid([[image]], column_labels=["?" * len(label)])
    assert grid([[image]], column_labels=[label]).tobytes() != other.tobytes()


@pytest.mark.parametrize("label", ["猫", "ねこ", "고양이", "a 猫"])
def test_for_another_stands_the_domain_and_nothing_is_warned_of(label: str, tmp_path: Path) -> None:
    assert not drawable(label) and drawable_label(label, "A") == "A"
    images = [Image.new("RGB", (20, 20), "red")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.inspection(tmp_path / "label.png", {label: images, "B": images})
        plots.inspection(tmp_path / "letter.png", {"A": images, "B": images})
    assert (tmp_path / "label.png").read_bytes() == (tmp_path / "letter.png").read_bytes()
