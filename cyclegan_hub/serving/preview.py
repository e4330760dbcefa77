"""What a link to the page shows elsewhere: a title, a description, and a picture made of what is served."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from cyclegan_hub.imaging import grids
from cyclegan_hub.serving.catalog import ModelEntry, choices, promise
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import jpeg_bytes
from cyclegan_hub.serving.studio import Studio

NAME = "CycleGAN Hub"
SIZE = 1200, 630  # px: what Open Graph's readers show uncut
SHOWN = 4  # models at most
MARGIN, GAP, TOP = 40, 12, 148  # px; TOP: where the pictures begin


def title(models: Sequence[ModelEntry]) -> str:
    """ "Turn a photo into anime or a cartoon · CycleGAN Hub"."""
    return f"{promise(models).removesuffix('.')} · {NAME}"


def description(models: Sequence[ModelEntry]) -> str:
    """One sentence that says what each model does."""
    if not models:
        return "No models yet."
    own = any(not model.is_sampler for model in models)
    first = "Try it with a photograph of your own" if own else "New pictures from a seed"
    return f"{first}: {', '.join(model.arrow(model.directions[0]) for model in models)}."


class Preview:
    """The picture of a link: made when it is first asked for, and again when the models have changed. Thread-safe."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._lock = threading.Lock()
        self._made: tuple[list[tuple[str, str]], bytes] | None = None  # (name and revision of each model, JPEG)

    def jpeg(self) -> bytes:
        """A JPEG file of SIZE."""
        models = self.studio.models()
        served = [(model.name, model.best_epoch.revision) for model in models]
        with self._lock:
            if self._made is None or self._made[0] != served:
                self._made = served, jpeg_bytes(_canvas(_pictures(self.studio, models), models))
            return self._made[1]


def _pictures(studio: Studio, models: Sequence[ModelEntry]) -> list[list[Image.Image]]:
    """Rows of pictures: examples and their translations, or samples where nothing is translated.

    A model that cannot be loaded is left out: the picture is never an error.
    """
    pairs: list[tuple[Image.Image, Image.Image]] = []
    for model in models:
        if model.is_sampler or len(pairs) == SHOWN:
            continue
        direction = model.directions[0]
        try:
            result = studio.translate(studio.open(model.examples(direction)[0].path, model.name, direction))
        except ServingError:
            continue
        shown = result.shown()
        pairs.append((shown.before, shown.after))
    if len(pairs) > 2:
        return [list(row) for row in zip(*pairs, strict=True)]
    if pairs:
        return [[image for pair in pairs for image in pair]]
    for model in models:
        try:
            samples = studio.sample(model.name, 2 * SHOWN)
        except ServingError:
            continue
        return [samples[:SHOWN], samples[SHOWN:]]
    return []


def _canvas(rows: Sequence[Sequence[Image.Image]], models: Sequence[ModelEntry]) -> Image.Image:
    canvas = Image.new("RGB", SIZE, "#fafaf9")
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, SIZE[0], 10), "#0f766e")
    _line(draw, NAME, 62, 46, "#1c1917")
    _line(draw, " · ".join(does if grids.drawable(does) else name for does, name in choices(models)), 114, 27, "#57534e")
    if not rows:
        return canvas
    columns = len(rows[0])
    width = (SIZE[0] - 2 * MARGIN - (columns - 1) * GAP) // columns
    height = (SIZE[1] - TOP - 30 - (len(rows) - 1) * GAP) // len(rows)
    width, height = min(width, 5 * height // 4), min(height, 5 * width // 4)  # nearly square: faces are not cut
    left = (SIZE[0] - columns * width - (columns - 1) * GAP) // 2
    for j, row in enumerate(rows):
        for i, image in enumerate(row):
            place = left + i * (width + GAP), TOP + j * (height + GAP)
            canvas.paste(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS), place)
    return canvas


def _line(draw: ImageDraw.ImageDraw, text: str, y: int, size: int, colour: str) -> None:
    """A line of text, smaller where it would be too long."""
    draw.text((MARGIN, y), text, colour, grids.fitting_font(text, SIZE[0] - 2 * MARGIN, size, 10), anchor="lm")
