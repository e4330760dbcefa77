"""Any number of pictures through a model in one pass, with a bounded number of them in memory; and names for the results.

Used by `cyclegan-hub translate` (translation.py) and by the page's batch.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.models.cycle_generator import CycleGenerator, Direction

Format = Literal["png", "jpg"]
Source = Path | bytes | np.ndarray | Image.Image
BATCH_PIXELS = 2**21  # of a batch: 8 pictures of 512 x 512; larger ones go through the network fewer at a time
AHEAD = 4  # pictures decoded, or results encoded, while the network works
_GROUPS = 4  # of sizes that wait for company at a time, each of one batch
_NAME_BYTES = 180  # of a path's component: 255 is the limit of file systems, and a temporary name is longer
_PATH_BYTES = 1000

T, R = TypeVar("T"), TypeVar("R")


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
    model: CycleGenerator,
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

    def prepare(item: tuple[str, Source | Callable[[], Source]]) -> tuple[str, Image.Image] | Skipped:
        name, source = item
        try:
            picture = images.decode(source() if callable(source) else source, model.channels, name="")
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
    model: CycleGenerator, prepared: Iterable[tuple[str, Image.Image] | Skipped], direction: Direction, batch_size: int
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


def _batch(model: CycleGenerator, group: list[tuple[str, Image.Image]], direction: Direction) -> Iterator[Done | Skipped]:
    """Pictures of one size; if one translation cannot be shown, each alone, so that the others are not lost with it."""
    try:
        translated = model.translate([picture for _, picture in group], direction, "original", len(group))
    except torch.OutOfMemoryError:
        width, height = group[0][1].size
        what = f"{len(group)} of {width} x {height} pixels" if len(group) > 1 else f"a picture of {width} x {height} pixels"
        remedy = "give a smaller batch size" if len(group) > 1 else "give a lower resolution"
        raise ValueError(f"{what} at a time do not fit the memory of {next(model.parameters()).device}: {remedy}") from None
    except images.ImageError as error:
        if len(group) == 1:
            yield Skipped(group[0][0], str(error))
            return
        for one in group:
            yield from _batch(model, [one], direction)
        return
    for (name, _), image in zip(group, translated, strict=True):
        yield Done(name, image)


def encode(image: Image.Image, format: Format) -> bytes:
    """The bytes of a translation as a file: PNG, or JPEG at quality 95 with full colour resolution, to add little of its own."""
    if format == "png":
        return images.png_bytes(image)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def result_names(names: Sequence[str], format: Format) -> list[str | None]:
    """For the name of each picture (a path with `/`) that of its result: another one for each, on any system.

    The ending is replaced (`day/a.jpg` -> `day/a.png`). Where several pictures would so get one name, letter case aside, each
    of them keeps its own ending (`a.jpg.png`, `a.png.png`), and where that is not enough either, gets a hash of its name.
    Characters that some system refuses become `_`, and long components are cut. The order of `names` does not matter.
    None stands for a name that leads out of its folder (`../a.png`, `/a.png`) or is too long to be a path.
    Raises ValueError if two of `names` are equal.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"two pictures are called {Counter(names).most_common(1)[0][0]!r}: give each a name of its own")
    levels = [0] * len(names)
    while True:
        results = [_result_name(name, format, level) for name, level in zip(names, levels, strict=True)]
        keys = [result and _key(result) for result in results]
        count, folders = Counter(keys), {parent for key in keys if key for parent in _parents(key)}
        taken = [i for i, key in enumerate(keys) if key and (count[key] > 1 or key in folders) and levels[i] < 2]
        if not taken:
            return results
        for i in taken:
            levels[i] += 1


def _result_name(name: str, format: Format, level: int) -> str | None:
    """`level` 0: with the ending replaced; 1: with the ending kept; 2: and with a hash of the exact name."""
    *folders, last = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") for part in (*folders, last)) or len(_bytes(name)) > _PATH_BYTES:
        return None
    stem = _portable(last if level else last.rpartition(".")[0] or last)
    digest = f".{_digest(name)}" if level == 2 else ""
    return "/".join([*map(_portable, folders), f"{stem}{digest}.{format}"])


def _key(path: str) -> str:
    """Equal for paths that some system takes for the same."""
    return unicodedata.normalize("NFC", path).casefold()


def _parents(path: str) -> Iterator[str]:
    return (path[: slash.start()] for slash in re.finditer("/", path))


def _portable(part: str) -> str:
    """A component of a path as every common system takes it, and every terminal."""
    clean = re.sub(r'[<>:"|?*]', "_", "".join(c if c.isprintable() else "_" for c in part)).rstrip(" .") or "_"
    if re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", clean, re.IGNORECASE):  # devices of Windows
        clean = f"_{clean}"
    data = clean.encode()
    return clean if len(data) <= _NAME_BYTES else f"{data[: _NAME_BYTES - 17].decode(errors='ignore')}.{_digest(part)}"


def _digest(name: str) -> str:
    return hashlib.blake2b(_bytes(name), digest_size=8).hexdigest()


def _bytes(name: str) -> bytes:
    return name.encode(errors="surrogatepass")  # a file's name need not be valid Unicode
