"""Any number of images through a model in one pass, with a bounded number of them in memory, for `cyclegan-hub translate`."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.faces import find_faces
from cyclegan_hub.files import Format
from cyclegan_hub.imaging import images
from cyclegan_hub.models.cycle_generator import Direction
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.photograph import DEFAULT, Options, Photograph, Work
from cyclegan_hub.models.protocols import Translator
from cyclegan_hub.models.translate import fit_to

Model = Translator | OnnxGenerator
Source = Path | bytes | np.ndarray | Image.Image
Resolution = int | Literal["original"]
BATCH_PIXELS = 2**21  # of a batch: 8 pictures of 512 x 512; larger ones go through the network fewer at a time
HELD_PIXELS = 2**26  # of photographs whose faces wait for company: 8 of 8 megapixels
AHEAD = 4  # pictures decoded, or results encoded, while the network works
_GROUPS = 4  # of sizes that wait for company at a time, each of one batch

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Done:
    """One translation: RGB, or L for a model of one channel, with the alpha channel of an image that is shown as a whole."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class Skipped:
    """One image that could not be translated, and why: a sentence that is safe to show, without any directory."""

    name: str
    reason: str


@dataclass(eq=False)
class _Job:
    """One image on its way: its outputs come in any order."""

    name: str
    work: Work
    pixels: int  # of the photograph, or of its alpha channel, that it holds
    outputs: dict[int, Image.Image] = field(default_factory=dict)
    failed: bool = False


_Part = tuple[_Job, int, Image.Image]  # one of its inputs


def translate_files(
    model: Model,
    sources: Iterable[tuple[str, Source | Callable[[], Source]]],
    direction: Direction = "a_to_b",
    *,
    options: Options = DEFAULT,
    resolution: Resolution | None = None,
    square: bool = False,
    batch_size: int = 8,
) -> Iterator[Done | Skipped]:
    """One Done or Skipped for each of `sources`, as it is ready: inputs of one size go through the network together.

    `sources` yields names, handed through as they are, with what `images.decode` takes, or a function that returns it and is
    called (in a thread) when its turn comes. It is read a few images ahead, so it may be endless. `resolution` and `options` are
    those of `CycleGenerator.translate`; with `square` an image that is translated as a whole, not an aligned face, is cut to its
    centred square first. At most `batch_size` inputs and BATCH_PIXELS pixels make a batch (one input may have more).
    Raises what `check_options` raises, at once, and ValueError for a batch that does not fit the memory of its device.
    """
    eyes, skip = check_options(model, direction, options, resolution, square, batch_size)
    side = resolution or model.image_size
    if isinstance(model, OnnxGenerator) and model.size is not None:  # exported for squares of this size alone
        square, side = True, model.size
    own_scale = skip and bool(options.detail)  # of an image as a whole
    value_range = getattr(model, "value_range", None)

    def plan(item: tuple[str, Source | Callable[[], Source]]) -> _Job | Skipped:
        name, source = item
        try:
            raw = source() if callable(source) else source
            photo = Photograph(*images.decode_with_alpha(raw, model.channels, name="", value_range=value_range), name)
            faces = find_faces(photo.image) if eyes else []
            if not faces and not options.whole:
                photo = _fitted(photo, side, square, own_scale)
            fit = fit_to(side, model.image_size)
            work = photo.plan(options, eyes=eyes, skip=skip, side=side, fit=fit, find=lambda _: faces).warned()
        except images.ImageError as error:
            return Skipped(name, str(error))
        except OSError as error:
            return Skipped(name, f"this image cannot be read: {error.strerror or type(error).__name__}")
        return _Job(name, work, max(one.width * one.height for one in (photo.image, photo.alpha) if one is not None))

    def finish(job: _Job | Skipped) -> Done | Skipped:
        if isinstance(job, Skipped):
            return job
        outputs = [job.outputs[part] for part in range(len(job.outputs))]
        if job.work.faces or own_scale or options.strength != 1:  # an OnnxGenerator makes what is very large smaller
            outputs = [_at(x.size, y) for x, y in zip(job.work.inputs, outputs, strict=True)]
        return Done(job.name, job.work.finish(outputs))

    # Two at a time: a face put back at a photograph's own scale takes some hundred megabytes while it is computed.
    return ahead(finish, _in_batches(model, ahead(plan, sources), direction, batch_size), 2)


def check_options(
    model: Model, direction: Direction, options: Options, resolution: Resolution | None, square: bool, batch_size: int
) -> tuple[Eyes | None, bool]:
    """Where the eyes of the inputs' faces are brought to (None: they are not aligned), and whether the network has the skip.

    Raises ValueError for options that mean nothing, alone, together or for this model, FaceFinderError where faces are to be
    aligned and cannot be found.
    """
    model.translate([], direction, resolution, batch_size)
    eyes = model.eyes[direction]
    skip = bool(getattr(model if isinstance(model, OnnxGenerator) else model.network(direction), "skip", False))
    options.check(eyes, skip)
    if eyes is None or options.face == "none":
        return None, skip
    if square and options.whole:
        raise UserError("square=True, whole=True: a whole photograph keeps its shape: leave one of the two out")
    find_faces(Image.new("RGB", (64, 64)))
    return eyes, skip


def _fitted(photo: Photograph, side: Resolution, square: bool, own_scale: bool) -> Photograph:
    """A photograph without what its translation as a whole does not need, so that little of it is held in memory."""
    own, image, alpha = min(photo.image.size), photo.image, photo.alpha
    size = own if own_scale or side == "original" else side
    if square:
        image, alpha = images.square(image, size), alpha and images.square(alpha, own)
    elif size != own:
        image = images.resize_short(image, size)
    return Photograph(image, alpha, photo.name)


def _at(size: tuple[int, int], image: Image.Image) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


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
    model: Model, planned: Iterable[_Job | Skipped], direction: Direction, batch_size: int
) -> Iterator[_Job | Skipped]:
    """Each job when all its outputs are there."""
    waiting: dict[tuple[int, int], list[_Part]] = {}  # by size: only equal ones make a batch

    def too_much() -> bool:
        parts = [part for group in waiting.values() for part in group]
        return (
            len(parts) > _GROUPS * batch_size
            or sum(image.width * image.height for _, _, image in parts) > _GROUPS * BATCH_PIXELS
            or sum(job.pixels for job in {job for job, _, _ in parts}) > HELD_PIXELS
        )

    for job in planned:
        if isinstance(job, Skipped) or not job.work.inputs:
            yield job
            continue
        for part, image in enumerate(job.work.inputs):
            group = waiting.setdefault(image.size, [])
            group.append((job, part, image))
            if len(group) == batch_size or (len(group) + 1) * image.width * image.height > BATCH_PIXELS:
                yield from _batch(model, waiting.pop(image.size), direction)
        while waiting and too_much():
            yield from _batch(model, waiting.pop(max(waiting, key=lambda size: len(waiting[size]))), direction)
    for size in list(waiting):
        yield from _batch(model, waiting.pop(size), direction)


def _batch(model: Model, group: list[_Part], direction: Direction) -> Iterator[_Job | Skipped]:
    """Inputs of one size; if one translation cannot be shown, each alone, so that the others are not lost with it."""
    group = [part for part in group if not part[0].failed]
    if not group:
        return
    aligned: dict[str, Any] = {} if model.eyes[direction] is None else {"face": "none"}  # what there was to align is
    try:
        translated = model.translate([image for _, _, image in group], direction, "original", len(group), **aligned)
    except torch.OutOfMemoryError:
        width, height = group[0][2].size
        what = f"{len(group)} of {width} x {height} pixels" if len(group) > 1 else f"a picture of {width} x {height} pixels"
        remedy = "give a smaller batch size" if len(group) > 1 else "give a lower resolution"
        device = "the device" if isinstance(model, OnnxGenerator) else next(model.network(direction).parameters()).device
        raise UserError(f"{what} at a time do not fit the memory of {device}: {remedy}") from None
    except images.ImageError as error:
        if len(group) == 1:
            group[0][0].failed = True
            yield Skipped(group[0][0].name, str(error))
            return
        for one in group:
            yield from _batch(model, [one], direction)
        return
    assert isinstance(translated, list)
    for (job, part, _), image in zip(group, translated, strict=True):
        job.outputs[part] = image
        if len(job.outputs) == len(job.work.inputs):
            yield job


def encode(image: Image.Image, format: Format) -> bytes:
    """The bytes of a translation as a file: PNG, or JPEG at quality 95 with full colour resolution, to add little of its own.

    JPEG has no alpha channel: a transparent image is put on white.
    """
    if format == "png":
        return images.png_bytes(image)
    if image.mode in ("LA", "RGBA"):
        image = images.decode(image, channels=len(image.getbands()) - 1)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
