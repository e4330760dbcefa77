"""Reports what one or two image sets contain, before a training."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from cyclegan_hub.data.files import RawImages
from cyclegan_hub.data.load import (
    GREY_MODES,
    MIN_SIDE,
    ImageFacts,
    Skipped,
    in_the_tenth,
    note_on_colours,
    note_on_shapes,
    notes_on_values,
    peaks_of,
    scan_images,
)
from cyclegan_hub.data.reading import Reading
from cyclegan_hub.data.resolve import holds_domains, parse_source, resolve
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError, DataSource, Files, Pair
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.errors import counted
from cyclegan_hub.files import temporary_folder, write_atomic
from cyclegan_hub.imaging import images, plots

_TITLE = "cyclegan-hub inspect"  # in the plot's metadata: only a plot with it is ever replaced
_HISTOGRAM_IMAGES = 200  # enough for a steady histogram, and quick
_COPY_SIDE = 160  # px of an augmented copy in the plot


def inspect(data: str | None, data_a: str | None, data_b: str | None, out: Path) -> None:
    """Decodes every image of one or two image sets, prints a report, and plots samples and colour histograms into the PNG `out`.

    It is one set if only `data_a` is given, or a `data` without the folders `trainA` and `trainB`. Below the samples of each
    domain the plot shows copies of them, augmented as `balance` does. Raises DataError or OSError for a mistake, and if `out`
    exists and was not written by this command.
    """
    _check_out(out)
    samples_of: dict[str, list[Image.Image]] = {}
    scans: list[_Scan] = []
    for label, source in _sources(data, data_a, data_b):
        scanned = _reported(label, source)
        samples_of[f"{label}: {source.train.describe()}"] = _samples(scanned)
        scans.append(scanned)
    if len(scans) == 2 and (shared := len(scans[0].hashes & scans[1].hashes)):
        print(f"{counted(shared, 'training image', 'are')} in both domains\n")
    for note in note_on_colours([scanned.readable for scanned in scans], 3):
        print(note)
    _plot(out, samples_of, [_augmented(samples[: plots.SAMPLES]) for samples in samples_of.values()])
    print(f"samples and histograms: {out}")


def _sources(data: str | None, data_a: str | None, data_b: str | None) -> list[tuple[str, DataSource]]:
    """Returns (label, source) of both domains or of the one image set. Raises DataError as `resolve` does."""
    given = [(label, spec) for label, spec in (("images", data), ("A", data_a), ("B", data_b)) if spec is not None]
    if len(given) == 1:
        ((label, spec),) = given
        alone = spec.startswith("hf:") or "?" in spec or (Path(spec).exists() and not holds_domains(spec))
        if label != "images" or alone:
            return [(label, parse_source(spec))]
    return list(zip("AB", resolve(None, data, data_a, data_b), strict=True))


@dataclass(frozen=True)
class _Scan:
    """The result of reading every image of one set."""

    items: RawImages
    readable: list[ImageFacts]
    unreadable: list[Skipped]
    empty: int  # cells of a table without an image

    @property
    def hashes(self) -> set[str]:
        """The content hashes of its images."""
        return {image.hash for image in self.readable}


def _reported(label: str, source: DataSource) -> _Scan:
    """Prints what one domain contains; returns the facts about its training images."""
    train = _scanned(source.train, label)
    if train is None:
        raise DataError(f"domain {label} is empty: no image in {source.train.describe()}")
    held_out = _scanned(source.held_out, f"{label} held out") if source.held_out else None
    lines = [f"{label}: {source.train.describe()}", *_lines(train), *(f"  {note}" for note in train.items.notes)]
    usable = [image for image in train.readable if image.short >= MIN_SIDE]
    lines += [f"  {note}" for note in (*note_on_shapes(usable, label, "crop"), *notes_on_values(peaks_of(usable), label))]
    if source.held_out is None or held_out is None:
        apart = sum(map(in_the_tenth, {image.hash for image in usable}))
        lines.append(f"  held out    no split of its own: training would hold out {max(apart, 1):,}, chosen by content hash")
    else:
        both = len(train.hashes & held_out.hashes)
        also = f"{both:,} of its images {'is' if both == 1 else 'are'} among the training images too"
        lines += [f"  held out    {source.held_out.describe()}; {also}", *(f"  {line}" for line in _lines(held_out))]
    print("\n".join(lines), end="\n\n")
    return train


def _scanned(source: Files | HubSplit | Pair, label: str) -> _Scan | None:
    """Decodes every image of a source. None if the source is empty, or an optional split that does not exist."""
    items = open_items(source)
    if items is None or not len(items):
        return None
    seen = scan_images(items, range(len(items)), label, Reading(_COPY_SIDE))
    skipped = [image for image in seen if isinstance(image, Skipped)]
    unreadable = [image for image in skipped if image.kind != "empty"]
    readable = [image for image in seen if isinstance(image, ImageFacts)]
    return _Scan(items, readable, unreadable, len(skipped) - len(unreadable))


def _lines(scanned: _Scan) -> list[str]:
    """The printed lines for one image set: counts, sizes, modes and values."""
    tiny = sum(image.short < MIN_SIDE for image in scanned.readable)
    copies = len(scanned.readable) - len(scanned.hashes)
    counts = f"{len(scanned.items):,} found, {len(scanned.unreadable):,} unreadable, {counted(copies, 'duplicate')}"
    counts += f", {tiny:,} below {MIN_SIDE} px"
    counts += f", {scanned.empty:,} empty" if scanned.empty else ""
    lines = [f"  images      {counts}", *(f"    unreadable: {image.message}" for image in scanned.unreadable[:10])]
    if not scanned.readable:
        return lines
    ranges = []
    for axis, name in enumerate(("width", "height")):
        sides = [image.size[axis] for image in scanned.readable]
        ranges.append(f"{name} {min(sides)} / {median(sides):g} / {max(sides)} px")
    common = Counter(image.size for image in scanned.readable).most_common(3)
    modes = Counter(image.mode for image in scanned.readable).most_common()
    low, high = min(image.low for image in scanned.readable), max(image.high for image in scanned.readable)
    mean = sum(image.mean for image in scanned.readable) / len(scanned.readable)
    return [
        *lines,
        f"  sizes       {', '.join(ranges)} (min / median / max)",
        f"  commonest   {', '.join(f'{width} x {height} ({count:,})' for (width, height), count in common)}",
        f"  modes       {', '.join(f'{mode} ({count:,})' for mode, count in modes)}",
        f"  values      {low} to {high} (of 0 to 255), mean {mean:.1f}",
    ]


def _samples(scanned: _Scan) -> list[Image.Image]:
    """Up to 200 images, always the same random choice; in mode "L" if all are grey, so that their histogram is one curve."""
    order = np.random.default_rng(0).permutation(len(scanned.readable))[:_HISTOGRAM_IMAGES]
    chosen = [scanned.readable[i] for i in order]
    channels = 1 if all(image.mode in GREY_MODES for image in chosen) else 3
    reading = Reading(_COPY_SIDE, channels=channels)
    return [reading.decode(scanned.items.read(image.row), scanned.items.name(image.row)) for image in chosen]


def _augmented(samples: Sequence[Image.Image]) -> list[Image.Image]:
    """One augmented square copy of each decoded image; empty if kornia, which does the augmentation, is not installed."""
    if not samples:
        return []
    try:
        from cyclegan_hub.data.balance import balance_augment

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            x = torch.stack([images.to_tensor(images.square(image.convert("RGB"), _COPY_SIDE)) for image in samples])
            return [images.to_pil(copy) for copy in balance_augment(x)]
    except ImportError:
        return []


def _check_out(path: Path) -> None:
    """Raises DataError if `path` exists and is not a plot by `inspect`."""
    if not path.resolve().parent.is_dir():
        raise DataError(f"--out {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.info.get("Title") == _TITLE:
                return
    except (UnidentifiedImageError, OSError):
        pass  # not a PNG that can be read, and so not ours
    raise DataError(f"--out {path} exists and was not written by inspect: give another name")


def _plot(path: Path, samples_of: dict[str, list[Image.Image]], copies: list[list[Image.Image]]) -> None:
    """Writes the plot of all domains atomically, with our title in its metadata."""
    title = PngImagePlugin.PngInfo()
    title.add_text("Title", _TITLE)
    buffer = io.BytesIO()
    with temporary_folder() as folder:
        plotted = folder / "inspect.png"
        plots.inspection(plotted, samples_of, copies)
        with Image.open(plotted) as picture:
            picture.save(buffer, "PNG", pnginfo=title)
    write_atomic(path.resolve(), buffer.getvalue())
