"""`cyclegan-hub inspect`: what the two piles of images hold, looked at before training on them."""

from __future__ import annotations

import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from tqdm import tqdm

from cyclegan_hub import images, plots
from cyclegan_hub.data.load_sides import MIN_SIDE
from cyclegan_hub.data.open_source import open_items
from cyclegan_hub.data.raw_images import Items
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError, Files, HubSplit, SideSource
from cyclegan_hub.files import write_atomic

_TITLE = "cyclegan-hub inspect"  # in the picture's metadata: only a picture with it is ever replaced
_HISTOGRAM_IMAGES = 200  # enough for a steady histogram, and quick
_GREY_MODES = {"1", "L", "LA", "F", "I", "I;16", "I;16B", "I;16L"}


def inspect(data: str | None, data_a: str | None, data_b: str | None, out: Path) -> None:
    """Prints what the two piles hold, decoding every image, and draws samples and colour histograms into the PNG `out`.

    Raises DataError or OSError for a mistake, and where `out` is another picture than one of ours.
    """
    _check_out(out)
    sides = resolve(None, data, data_a, data_b)
    pictures: dict[str, list[Image.Image]] = {}
    hashes: list[set[str]] = []
    for label, source in zip("AB", sides, strict=True):
        lines, samples, own = _side_report(label, source)
        print("\n".join(lines), end="\n\n")
        pictures[f"{label}: {source.train.describe()}"] = samples
        hashes.append(own)
    if shared := len(hashes[0] & hashes[1]):
        print(f"{shared:,} training images are on both sides\n")
    _draw(out, pictures)
    print(f"samples and histograms: {out}")


def _side_report(label: str, source: SideSource) -> tuple[list[str], list[Image.Image], set[str]]:
    """The lines printed for one side, its samples, and the content hashes of its training images."""
    opened = _look(source.train, label)
    if opened is None:
        raise DataError(f"side {label} is empty: no image in {source.train.describe()}")
    items, train = opened
    held_out = _look(source.held_out, f"{label} held out") if source.held_out else None
    lines = [f"{label}: {source.train.describe()}", *_lines(train)]
    own = {image.hash for image in train.readable}
    if source.held_out is None or held_out is None:
        lines.append("  held out    no split of its own: training would set a tenth aside, chosen by content hash")
    else:
        both = len(own & {image.hash for image in held_out[1].readable})
        lines += [f"  held out    {source.held_out.describe()}; {both:,} of its images are among the training images too"]
        lines += [f"  {line}" for line in _lines(held_out[1])]
    return lines, _samples(items, train), own


@dataclass(frozen=True)
class _Seen:
    """What one readable image is: `low`, `high` and `mean` over its 8-bit values."""

    row: int
    hash: str
    mode: str  # PIL's, before conversion
    size: tuple[int, int]  # (width, height) in px, upright
    low: int
    high: int
    mean: float


@dataclass(frozen=True)
class _Look:
    """Every image of one pile."""

    found: int
    readable: list[_Seen]
    unreadable: list[str]


def _look(source: Files | HubSplit, label: str) -> tuple[Items, _Look] | None:
    """Decode every image of a source; None if the source is an optional split that does not exist, or empty."""
    items = open_items(source)
    if not items:
        return None

    def look(row: int) -> _Seen | str:
        try:
            raw = items.read(row)
            image = images.decode(raw, name=items.name(row))
            if isinstance(raw, np.ndarray):
                mode = {1: "L", 3: "RGB", 4: "RGBA"}[raw.shape[2] if raw.ndim == 3 else 1]
            else:  # the header only, of a file that has just been decoded
                with Image.open(io.BytesIO(raw) if isinstance(raw, bytes) else raw) as header:
                    mode = header.mode
        except (images.ImageError, OSError) as error:
            return str(error) if isinstance(error, images.ImageError) else f"{items.name(row)}: {error.strerror}"
        pixels = np.asarray(image)
        values = int(pixels.min()), int(pixels.max()), float(pixels.mean())
        return _Seen(row, images.content_hash(image), mode, image.size, *values)

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        rows = range(len(items))
        seen = list(tqdm(pool.map(look, rows), total=len(rows), desc=f"reading {label}", unit=" images", disable=None))
    readable = [image for image in seen if isinstance(image, _Seen)]
    return items, _Look(len(items), readable, [why for why in seen if isinstance(why, str)])


def _lines(look: _Look) -> list[str]:
    """Counts, sizes, modes and values of one pile."""
    tiny = sum(min(image.size) < MIN_SIDE for image in look.readable)
    copies = len(look.readable) - len({image.hash for image in look.readable})
    counts = f"{look.found:,} found, {len(look.unreadable):,} unreadable, {copies:,} duplicates, {tiny:,} below {MIN_SIDE} px"
    lines = [f"  images      {counts}", *(f"    unreadable: {why}" for why in look.unreadable[:10])]
    if not look.readable:
        return lines
    ranges = []
    for axis, name in enumerate(("width", "height")):
        sides = [image.size[axis] for image in look.readable]
        ranges.append(f"{name} {min(sides)} / {median(sides):g} / {max(sides)} px")
    common = Counter(image.size for image in look.readable).most_common(3)
    modes = Counter(image.mode for image in look.readable).most_common()
    low, high = min(image.low for image in look.readable), max(image.high for image in look.readable)
    mean = sum(image.mean for image in look.readable) / len(look.readable)
    return [
        *lines,
        f"  sizes       {', '.join(ranges)} (min / median / max)",
        f"  commonest   {', '.join(f'{width} x {height} ({count:,})' for (width, height), count in common)}",
        f"  modes       {', '.join(f'{mode} ({count:,})' for mode, count in modes)}",
        f"  values      {low} to {high} (of 0 to 255), mean {mean:.1f}",
    ]


def _samples(items: Items, look: _Look) -> list[Image.Image]:
    """Up to 200 images, drawn at random in a fixed way; grey ones in mode "L" so that their histogram is one curve."""
    order = np.random.default_rng(0).permutation(len(look.readable))[:_HISTOGRAM_IMAGES]
    chosen = [look.readable[i] for i in order]
    channels = 1 if all(image.mode in _GREY_MODES for image in chosen) else 3
    return [images.decode(items.read(image.row), channels, name=items.name(image.row)) for image in chosen]


def _check_out(path: Path) -> None:
    """Raise unless `path` is free or holds a picture that `inspect` drew."""
    if not path.resolve().parent.is_dir():
        raise DataError(f"--out {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.info.get("Title") == _TITLE:
                return
    except (UnidentifiedImageError, OSError):
        pass  # not a picture of ours either
    raise DataError(f"--out {path} exists and was not drawn by inspect: give another name")


def _draw(path: Path, pictures: dict[str, list[Image.Image]]) -> None:
    """Write the picture of both sides with our title in its metadata, in one go."""
    title = PngImagePlugin.PngInfo()
    title.add_text("Title", _TITLE)
    buffer = io.BytesIO()
    with TemporaryDirectory() as folder:
        drawn = Path(folder, "inspect.png")
        plots.inspection(drawn, pictures)
        with Image.open(drawn) as picture:
            picture.save(buffer, "PNG", pnginfo=title)
    write_atomic(path.resolve(), buffer.getvalue())
