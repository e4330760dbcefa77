"""Hashes and PNG files of images, grids of them, and labels in any script."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from cyclegan_hub.imaging import grids, images, plots
from cyclegan_hub.imaging.images import ImageError
from cyclegan_hub.models.protocols import drawable_label
from support.hostile_files import picture, saved


def test_content_hash() -> None:
    image = picture()
    hashes = {images.content_hash(images.decode(saved(image, fmt))) for fmt in ("PNG", "BMP", "TIFF")}
    assert hashes == {images.content_hash(image)} and len(hashes.pop()) == 32
    changed = image.copy()
    changed.putpixel((3, 3), (0, 0, 1))
    black = [Image.new("L", (4, 9)), Image.new("L", (9, 4)), Image.new("L", (6, 6)), Image.new("RGB", (4, 3))]  # 36 zeros each
    assert len({images.content_hash(i) for i in (image, changed, *black)}) == 6


def test_png_bytes() -> None:
    image = picture()
    data = images.png_bytes(image)
    described = image.copy()
    described.info |= {"icc_profile": b"profile", "dpi": (72, 72), "comment": "hello", "exif": b"Exif\0\0II*\0"}
    assert images.png_bytes(described) == data and "comment" in described.info
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "PNG" and opened.info == {} and opened.tobytes() == image.tobytes()


def ink(canvas: Image.Image) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not white."""
    return ImageOps.invert(canvas.convert("L")).getbbox()


def test_grid_without_labels() -> None:
    red, blue, grey = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (2, 2), "blue"), Image.new("L", (8, 6), 99)
    canvas = grids.grid([[red, blue], [grey]], gap=3)
    assert (canvas.mode, canvas.size) == ("RGB", (3 + 2 * 11, 3 + 2 * 9))
    expected = Image.new("RGB", canvas.size, "white")
    for image, corner in ((red, (3, 3)), (blue, (3 + 11 + 3, 3 + 2)), (grey, (3, 3 + 9))):
        expected.paste(image, corner)
    assert canvas.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("size", "shown"), [((2, 2), (32, 32)), ((64, 32), (32, 16)), ((32, 64), (16, 32)), ((2000, 1), (32, 1)), ((5, 4), (32, 26))]
)
def test_grid_scales_into_cells(size: tuple[int, int], shown: tuple[int, int]) -> None:
    canvas = grids.grid([[Image.new("RGB", size, "black")]], cell=32, gap=4)
    assert canvas.size == (40, 40)
    left, top, right, bottom = ink(canvas)
    assert (right - left, bottom - top) == shown
    assert abs(left + right - 40) <= 1 and abs(top + bottom - 40) <= 1


def test_grid_enlarges_by_repeating_pixels_and_takes_a_width_and_height() -> None:
    canvas = grids.grid([[Image.fromarray(np.array([[0, 200]], np.uint8))]], cell=(8, 4), gap=0)
    assert canvas.convert("L").getcolors() == [(16, 0), (16, 200)]


@pytest.mark.parametrize("cell", [16, 48, 300])
def test_grid_cuts_no_label(cell: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw_text = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *args: object, **kwargs: object) -> None:
        drawn.append((text, self.textbbox(xy, text, args[1], **kwargs)))
        draw_text(self, xy, text, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    rows = [[Image.new("RGB", (cell, cell), "white")] * 3] * 2
    row_labels = ["a label far wider than its cell", "two\nlines, gjpqy"]
    column_labels = ["Ågjpqy", "another label far wider than its cell", "three\nlines\nof it"]
    canvas = grids.grid(rows, row_labels=row_labels, column_labels=column_labels)
    assert [label for label, _ in drawn] == column_labels + row_labels
    boxes = [box for _, box in drawn]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert min(left, top) >= 0 and right <= canvas.width and bottom <= canvas.height
        for other in boxes[:i]:  # no two labels touch
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    left, top, right, bottom = ink(canvas)
    assert left > 0 and top > 0 and right < canvas.width and bottom < canvas.height
    rows = [[Image.new("RGB", (cell, cell), "red")] * 3] * 2
    filled = np.asarray(grids.grid(rows, row_labels=row_labels, column_labels=column_labels))
    assert np.sum(np.all(filled == (255, 0, 0), axis=-1)) == 6 * cell * cell  # and no label covers an image


@pytest.mark.parametrize("labels", [{"row_labels": ["one", "two"]}, {"column_labels": ["one"]}])
def test_grid_refuses_labels_that_do_not_match(labels: dict[str, list[str]]) -> None:
    with pytest.raises(ImageError, match="1 rows of up to 2 images"):
        grids.grid([[picture(), picture()]], **labels)
    with pytest.raises(ImageError, match="at least one image"):
        grids.grid([[]])


@pytest.mark.parametrize("label", ["smile", "кот", "γάτα", "żółć", "photo → Monet", "Epoch 5 · best"])
def test_a_label_that_the_font_has_is_written(label: str) -> None:
    assert grids.drawable(label) and drawable_label(label, "A") == label
    one, other = (grids.grid([[picture()]], column_labels=[text]).tobytes() for text in (label, "?" * len(label)))
    assert one != other


def test_for_another_stands_the_domain_and_nothing_is_warned_of(tmp_path: Path) -> None:
    for label in ("ねこ", "고양이", "a 猫", "猫"):
        assert not grids.drawable(label) and drawable_label(label, "A") == "A"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, shown in (("label", label), ("letter", "A")):
            plots.inspection(tmp_path / f"{name}.png", {shown: [picture()], "B": [picture()]})
    assert (tmp_path / "label.png").read_bytes() == (tmp_path / "letter.png").read_bytes()
