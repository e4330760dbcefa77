"""Any number of pictures through a model in one pass, with a bounded number of them in memory; and names for the results.

Used by `cyclegan-hub translate` (commands/translate.py) and by the page's batch.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.errors import UserError
from cyclegan_hub.file_names import Format
from cyclegan_hub.models.cycle_generator import Direction
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.protocols import Translator

Model = Translator | OnnxGenerator
Source = Path | bytes | np.ndarray | Image.Image
BATCH_PIXELS = 2**21  # of a batch: 8 pictures of 512 x 512; larger ones go through the network fewer at a time
AHEAD = 4  # pictures decoded, or results encoded, while the network works
_GROUPS = 4  # of sizes that wait for company at a time, each of one batch

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Done:
    """One translation: RGB, or L for a model of one channel."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class Skipped:
    """One picture that could not be translated, and why: a sentence that is safe to show, without any directory."""

    name: str
    reason: str


def translate_files(
    model: Model,
    sources: Iterable[tuple[str, Source | Callable[[], Source]]],
    direction: Direction = "a_to_b",
    *,
    resolution: int | Literal["original"] | None = None,
    square: bool = False,
    batch_size: int = 8,
) -> Iterator[Done | Skipped]:
    """One Done or Skipped for each of `sources`, as it is ready: pictures of one size go through the network together.

    `sources` yields names, handed through as they are, with what `images.decode` takes, or a function that returns it and is
    called (in a thread) when its turn comes. It is read a few pictures ahead, so it may be endless. `resolution` is that of
    `CycleGenerator.translate`; with `square` the centred square of each picture is translated, at `resolution` x `resolution`
    pixels. At most `batch_size` pictures and BATCH_PIXELS pixels make a batch (one picture may have more).
    Raises ValueError at once for a wrong option, and for a batch that does not fit the memory of its device.
    """
    model.translate([], direction, resolution, batch_size)  # checks the options
    side = resolution or model.image_size
    if isinstance(model, OnnxGenerator) and model.size is not None:  # exported for squares of this size alone
        square, side = True, model.size

    def prepare(item: tuple[str, Source | Callable[[], Source]]) -> tuple[str, Image.Image] | Skipped:
        name, source = item
        try:
            raw = source() if callable(source) else source
            picture = images.decode(raw, model.channels, name="", value_range=getattr(model, "value_range", None))
            if square:
                picture = images.square(picture, min(picture.size) if side == "original" else side)
            elif side != "original":
                picture = images.resize_short(picture, side)
        except images.ImageError as error:
            return Skipped(name, str(error))
        except OSError as error:
            return Skipped(name, f"this image cannot be read: {error.strerror or type(error).__name__}")
        return name, picture

    return _in_batches(model, ahead(prepare, sources), direction, batch_size)


def ahead(function: Callable[[T], R], items: Iterable[T], count: int = AHEAD) -> Iterator[R]:
    """`map` in threads, in the order of `items`, which are taken at most `count` ahead of what was yielded."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _in_batches(
    model: Model,
    prepared: Iterable[tuple[str, Image.Image] | Skipped],
    direction: Direction,
    batch_size: int,
) -> Iterator[Done | Skipped]:
    waiting: dict[tuple[int, int], list[tuple[str, Image.Image]]] = {}  # by size: only equal ones make a batch
    for item in prepared:
        if isinstance(item, Skipped):
            yield item
            continue
        width, height = size = item[1].size
        group = waiting.setdefault(size, [])
        group.append(item)
        if len(group) == batch_size or (len(group) + 1) * width * height > BATCH_PIXELS:
            yield from _batch(model, waiting.pop(size), direction)
        while (
            sum(map(len, waiting.values())) > _GROUPS * batch_size
            or sum(len(group) * width * height for (width, height), group in waiting.items()) > _GROUPS * BATCH_PIXELS
        ):
            yield from _batch(model, waiting.pop(max(waiting, key=lambda size: len(waiting[size]))), direction)
    for size in list(waiting):
        yield from _batch(model, waiting.pop(size), direction)


def _batch(model: Model, group: list[tuple[str, Image.Image]], direction: Direction) -> Iterator[Done | Skipped]:
    """Pictures of one size; if one translation cannot be shown, each alone, so that the others are not lost with it."""
    try:
        translated = model.translate([picture for _, picture in group], direction, "original", len(group))
    except torch.OutOfMemoryError:
        width, height = group[0][1].size
        what = f"{len(group)} of {width} x {height} pixels" if len(group) > 1 else f"a picture of {width} x {height} pixels"
        remedy = "give a smaller batch size" if len(group) > 1 else "give a lower resolution"
        device = "the device" if isinstance(model, OnnxGenerator) else next(model.network(direction).parameters()).device
        raise UserError(f"{what} at a time do not fit the memory of {device}: {remedy}") from None
    except images.ImageError as error:
        if len(group) == 1:
            yield Skipped(group[0][0], str(error))
            return
        for one in group:
            yield from _batch(model, [one], direction)
        return
    assert isinstance(translated, list)
    for (name, _), image in zip(group, translated, strict=True):
        yield Done(name, image)


def encode(image: Image.Image, format: Format) -> bytes:
    """The bytes of a translation as a file: PNG, or JPEG at quality 95 with full colour resolution, to add little of its own."""
    if format == "png":
        return images.png_bytes(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
