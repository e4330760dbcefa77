"""Any number of images through a model in one pass, with a bounded number of them in memory, for `cyclegan-hub translate`."""

from __future__ import annotations

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from cyclegan_hub.models.batches import Job, run_in_batches
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.photograph import DEFAULT, Options, Work
from cyclegan_hub.models.protocols import Translator

Model = Translator | OnnxGenerator
Source = Path | bytes | np.ndarray | Image.Image
Resolution = int | Literal["original"]
AHEAD = 4  # images decoded, or results encoded, while the network works

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Done:
    """One translation: RGB, or L for a model of one channel; a whole image keeps its alpha channel."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class Skipped:
    """One image that could not be translated, and why: a sentence that is safe to show, without any directory."""

    name: str
    reason: str


def translate_files(
    model: Model,
    sources: Iterable[tuple[str, Source | Callable[[], Source]]],
    direction: str = "a_to_b",
    *,
    options: Options = DEFAULT,
    resolution: Resolution | None = None,
    square: bool = False,
    batch_size: int = 8,
) -> Iterator[Done | Skipped]:
    """One Done or Skipped for each of `sources`, as it is ready: inputs of one size go through the network together.

    `sources` yields names, passed on as they are, with what `images.decode` takes, or a function that returns it and is
    called (in a thread) when its turn comes. It is read a few images ahead, so it may be endless. `resolution` and `options` are
    those of `CycleGenerator.translate`; with `square` an image that is translated as a whole, not an aligned face, is cut to its
    centred square first. Batches are bounded, see `run_in_batches`; an image without a face warns with FaceNotFoundWarning.
    Raises what `check_options` raises, at once, and ValueError for a batch that does not fit the memory of its device.
    """
    check_options(model, direction, options, resolution, square, batch_size)
    if isinstance(model, OnnxGenerator) and model.size is not None:  # exported for squares of this size alone
        resolution = None
    plan = model.plan(direction, resolution, options, square)

    def planned(item: tuple[str, Source | Callable[[], Source]]) -> Job[str]:
        name, source = item
        try:
            return Job(name, plan(replace(model.open(source() if callable(source) else source, name=""), name=name)))
        except images.ImageError as error:
            return Job(name, _NOTHING, error=error)
        except OSError as error:
            reason = f"this image cannot be read: {error.strerror or type(error).__name__}"
            return Job(name, _NOTHING, error=images.ImageError(reason))

    def finish(job: Job[str]) -> Done | Skipped:
        for warning in job.work.warnings:
            warnings.warn(warning, stacklevel=2)
        return Skipped(job.name, str(job.error)) if job.error else Done(job.name, job.result())

    jobs = run_in_batches(runner(model, direction, options.ensemble), ahead(planned, sources), batch_size, bounded=True)
    # Two at a time: a face put back at a photograph's own scale takes some hundred megabytes while it is computed.
    return ahead(finish, jobs, 2)


_NOTHING = Work([], lambda outputs: outputs[0])


def runner(model: Model, direction: str, ensemble: bool | None) -> Callable[[Sequence[Image.Image]], Sequence[Image.Image]]:
    """The function that runs a batch of prepared inputs. It raises UserError for one that does not fit the device's memory."""
    aligned: dict[str, Any] = {} if model.eyes[direction] is None else {"face": "none"}

    def run(inputs: Sequence[Image.Image]) -> Sequence[Image.Image]:
        try:
            return model.translate(list(inputs), direction, "original", len(inputs), ensemble=ensemble, **aligned)
        except torch.OutOfMemoryError:
            width, height = inputs[0].size
            several = len(inputs) > 1
            what = f"{len(inputs)} of {width} x {height} pixels" if several else f"an image of {width} x {height} pixels"
            remedy = "give a smaller batch size" if several else "give a lower resolution"
            device = "the device" if isinstance(model, OnnxGenerator) else next(model.network(direction).parameters()).device
            raise UserError(f"{what} at a time do not fit the memory of {device}: {remedy}") from None

    return run


def check_options(
    model: Model, direction: str, options: Options, resolution: Resolution | None, square: bool, batch_size: int
) -> tuple[Eyes | None, bool]:
    """(Eye positions that faces are aligned to, None: they are not aligned; whether the network has the skip).

    Raises ValueError for options that mean nothing, alone, together or for this model, FaceFinderError where faces are to be
    aligned and cannot be found.
    """
    model.translate([], direction, resolution, batch_size)
    eyes, skip = model.eyes[direction], model.has_skip(direction)
    options.check(eyes, skip)
    if eyes is None or options.face == "none":
        return None, skip
    if square and options.whole:
        raise UserError("square=True, whole=True: a whole photograph keeps its shape: leave one of the two out")
    find_faces(Image.new("RGB", (64, 64)))
    return eyes, skip


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


def encode(image: Image.Image, format: Format) -> bytes:
    """The bytes of a translation as a file: PNG, or JPEG at quality 95 with full colour resolution, to lose little.

    JPEG has no alpha channel: a transparent image is put on white.
    """
    if format == "png":
        return images.png_bytes(image)
    if image.mode in ("LA", "RGBA"):
        image = images.decode(image, channels=len(image.getbands()) - 1)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
