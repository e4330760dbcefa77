"""Image grids with labels."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cyclegan_hub.imaging.decoding import ImageError


def grid(
    rows: Sequence[Sequence[Image.Image]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    cell: int | tuple[int, int] | None = None,
    gap: int = 4,
) -> Image.Image:
    """Rows of decoded images as one "RGB" image on white, labels at the left and on top, `gap` pixels between all.

    Each is scaled into `cell` (a side or (width, height) in pixels; aspect kept, enlarged by repeating pixels) and pasted
    centred; if `cell` is None it is as large as the largest image and nothing is scaled. Cells make room for long labels.
    See `drawable` for the letters of labels. Raises ImageError if there is no image or not one label for each row or column.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns or len(row_labels) not in (0, len(rows)) or len(column_labels) not in (0, columns):
        counts = f"{len(row_labels)} row and {len(column_labels)} column labels for {len(rows)} rows of up to {columns} images"
        raise ImageError(f"{counts}: give at least one image, and a label for each row or column or for none")
    cell = (cell, cell) if isinstance(cell, int) else cell
    rows = [[_scaled(image, cell) for image in row] for row in rows] if cell else rows
    width, height = cell or (max(i.width for row in rows for i in row), max(i.height for row in rows for i in row))

    letters, measure = font(min(28, max(12, height // 8))), ImageDraw.Draw(Image.new("L", (1, 1)))
    row_boxes = [measure.textbbox((0, 0), text, letters, anchor="lm") for text in row_labels]
    column_boxes = [measure.textbbox((0, 0), text, letters, anchor="ld") for text in column_labels]
    left = gap + max([0, *(int(box[2]) + 2 + gap for box in row_boxes)])
    top = gap + max([0, *(int(-box[1]) + 2 + gap for box in column_boxes)])
    width = max([width, *(int(box[2]) + 2 for box in column_boxes)])
    height = max([height, *(2 * int(max(-box[1], box[3])) + 2 for box in row_boxes)])
    canvas = Image.new("RGB", (left + columns * (width + gap), top + len(rows) * (height + gap)), "white")
    draw = ImageDraw.Draw(canvas)
    for i, text in enumerate(column_labels):
        draw.text((left + i * (width + gap) + width / 2, top - gap), text, "black", letters, anchor="md", align="center")
    for j, row in enumerate(rows):
        y = top + j * (height + gap)
        if row_labels:
            draw.text((left - gap, y + height / 2), row_labels[j], "black", letters, anchor="rm", align="right")
        for i, image in enumerate(row):
            x = left + i * (width + gap)
            canvas.paste(image, (x + (width - image.width) // 2, y + (height - image.height) // 2))
    return canvas


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans (Latin, Greek and Cyrillic letters), which comes with matplotlib; without that Pillow's own font."""
    found = find_spec("matplotlib")  # not imported: what makes a grid does not wait for it
    file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if found and found.origin else None
    return ImageFont.truetype(file, size) if file and file.is_file() else ImageFont.load_default(size)


def fitting_font(text: str, width: int, size: int, least: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of `size` px, or smaller where the text would be wider than `width` px, but at least of `least` px."""
    while size > least and font(size).getlength(text) > width:
        size -= 1
    return font(size)


def drawable(text: str) -> bool:
    """Whether the font of grids and plots has every letter of a text."""
    letters = font(12)
    missing = bytes(letters.getmask("\uffff"))  # no letter: what a font shows in place of one that it does not have
    return all(character.isspace() or bytes(letters.getmask(character)) != missing for character in text)


def _scaled(image: Image.Image, cell: tuple[int, int]) -> Image.Image:
    # Not ImageOps.contain: it asks for a side of 0 px where an image is a long strip.
    scale = min(cell[0] / image.width, cell[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS)
