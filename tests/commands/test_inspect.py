"""`cyclegan-hub inspect`: what it prints and plots."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub.cli import main
from support.pictures import encoded, folder, parquet


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """4 and 3 training images, of B also one copy, one broken file and one tiny image; A has a held-out split."""
    folder(tmp_path / "trainA", range(4), (20, 30))
    folder(tmp_path / "trainB", [10, 11, 3], (24, 24))
    (tmp_path / "trainB/copy.bmp").write_bytes(encoded(10, (24, 24), "BMP"))
    (tmp_path / "trainB/tiny.png").write_bytes(encoded(12, (8, 9)))
    (tmp_path / "trainB/broken.png").write_text("<html>")
    parquet(tmp_path / "testA.parquet", [40, 41])
    return tmp_path


def test_inspect_prints_both_sides_and_draws_them(data: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["inspect", str(data), "--out", str(data / "out.png")]) == 0
    a, b, drawn = capsys.readouterr().out.split("\n\n")
    assert f"A: folder {data.name}/trainA" in a and "4 found, 0 unreadable, 0 duplicates, 0 below 16 px" in a
    assert "width 20 / 20 / 20 px, height 30 / 30 / 30 px" in a and "20 x 30 (4)" in a and "RGB (4)" in a
    assert "testA.parquet; 0 of its images" in a and "2 found" in a
    assert "6 found, 1 unreadable, 1 duplicate, 1 below 16 px" in b and "broken.png" in b
    assert "width 8 / 24 / 24 px, height 9 / 24 / 24 px" in b and "24 x 24 (4), 8 x 9 (1)" in b
    assert "no split of its own" in b and "out.png" in drawn
    with Image.open(data / "out.png") as picture:
        assert picture.width > 500
    assert main(["inspect", str(data), "--out", str(data / "out.png")]) == 0  # its own picture may be replaced


@pytest.mark.parametrize("arguments", [["{tmp}/trainA"], ["--data-a", "{tmp}/trainA"], ["{tmp}/testA.parquet?column=image"]])
def test_one_pile_is_inspected_alone(data: Path, capsys: pytest.CaptureFixture, arguments: list[str]) -> None:
    given = [word.replace("{tmp}", str(data)) for word in arguments]
    assert main(["inspect", *given, "--out", str(data / "out.png")]) == 0
    summary, drawn = capsys.readouterr().out.split("\n\n")
    assert ("4 found" in summary or "2 found" in summary) and "0 unreadable" in summary and "out.png" in drawn


def test_augmented_copies_are_drawn_below_their_originals(data: Path) -> None:
    pytest.importorskip("kornia")
    assert main(["inspect", str(data / "trainA"), "--out", str(data / "with.png")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kornia.geometry.transform", None)  # as where it is not installed
        assert main(["inspect", str(data / "trainA"), "--out", str(data / "without.png")]) == 0
    with Image.open(data / "with.png") as with_copies, Image.open(data / "without.png") as without:
        assert with_copies.height > 1.5 * without.height and with_copies.width == without.width


def test_values_and_modes_are_those_of_the_files(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, value in (("trainA/1.png", 10), ("trainA/2.png", 30), ("trainB/1.png", 200)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (20, 20), value).save(tmp_path / name)
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "trainB/2.png")  # transparent: white
    assert main(["inspect", str(tmp_path), "--out", str(tmp_path / "out.png")]) == 0
    a, b, _ = capsys.readouterr().out.split("\n\n")
    assert "modes       L (2)" in a and "10 to 30 (of 0 to 255), mean 20.0" in a
    assert "L (1)" in b and "RGBA (1)" in b and "200 to 255 (of 0 to 255), mean 227.5" in b


def test_images_in_training_and_held_out_or_on_both_sides_are_counted(data: Path, capsys: pytest.CaptureFixture) -> None:
    folder(data / "trainB", [0, 1], (20, 30))
    folder(data / "testB", [10, 11, 99], (24, 24))
    assert main(["inspect", str(data), "--out", str(data / "out.png")]) == 0
    printed = capsys.readouterr().out
    assert "2 of its images are among the training images too" in printed and "2 training images are in both domains" in printed
