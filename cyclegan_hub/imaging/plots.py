"""Plots: loss curves, samples and colour histograms of a dataset, and the map of a patch discriminator.

Figures are made without pyplot: no display, no global state, and the same input gives the same PNG, byte for byte.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from cyclegan_hub.files import atomic_path
from cyclegan_hub.imaging.grids import drawable

if TYPE_CHECKING:  # both are slow to import, and neither is needed before something is plotted
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

# Okabe and Ito's palette: its colours stay apart for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CHANNELS = {1: {"grey": "0.3"}, 3: {"red": "#D62728", "green": "#2CA02C", "blue": "#1F5FD0"}}  # names and colours
SMOOTH_ABOVE = 200  # points of one curve
SAMPLES = 8  # images of one domain
WIDTH = 9  # inches, of a plot of losses


def losses(history: list[dict[str, Any]], path: Path, *, panels: dict[str, list[str]]) -> None:
    """Plots loss curves over the steps into a PNG at `path`, which is replaced in one go.

    `history` holds the lines of history.jsonl, {"step": int, "<key>": float, ...}; a line without a step or without a key
    adds nothing to that curve, and of two lines of one step the later counts (a resumed run). `panels` maps the title of
    each panel to the keys plotted in it. A curve of more than 200 points is faint under its moving average. Values
    that are not finite are left out and counted in the legend. Without any step the plot says "no steps yet".
    Raises ValueError for empty `panels`, FileNotFoundError where the folder of `path` does not exist.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    if not panels:
        raise ValueError("panels is empty: give at least one title with the keys to plot")
    figure = Figure(figsize=(WIDTH, 0.8 + 2.6 * len(panels)), dpi=110)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    started, beside = any("step" in line for line in history), 0.0  # width of the widest legend, in inches
    for ax, (title, keys) in zip(axes, panels.items(), strict=True):
        _title(ax, title)
        _clear(ax)
        ax.margins(x=0.01)
        curves = [_curve(ax, history, key, COLOURS[i % len(COLOURS)]) for i, key in enumerate(keys)]
        if any(curves):
            # Outside of the axes, where it covers no curve.
            legend = ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
            for text in legend.get_texts():
                text.set_parse_math(False)  # a $ in a key is no formula
            beside = max(beside, legend.get_window_extent().width / figure.dpi)
        else:
            ax.set_yticks([])
            _note(ax, "no values yet" if started else "no steps yet")
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left, right = axes[-1].get_xlim()
    if right - left < 2:  # no step or one: steps are whole numbers, so leave no room for parts of them
        middle = round((left + right) / 2)
        axes[-1].set_xlim(middle - 1 if middle else 0, middle + 1)
    # Margins in inches. The constrained layout takes two thirds of the time of a plot, which is made after every epoch.
    right, height = max(WIDTH - 0.2 - beside, WIDTH / 2), figure.get_figheight()
    figure.subplots_adjust(left=0.8 / WIDTH, right=right / WIDTH, bottom=0.6 / height, top=1 - 0.4 / height, hspace=0.25)
    _write(figure, path)


def _curve(ax: Axes, history: list[dict[str, Any]], key: str, colour: str) -> bool:
    points = {line["step"]: line[key] for line in history if "step" in line and line.get(key) is not None}
    if not points:
        return False
    steps = np.array(sorted(points))
    values = np.array([float(points[step]) for step in steps.tolist()])
    broken = int((~np.isfinite(values)).sum())
    values[~np.isfinite(values)] = np.nan
    label = f"{key} ({broken} not finite)" if broken else key
    marker = "." if len(values) - broken < 20 else None  # a curve of one point, or between gaps, is no line
    if len(values) > SMOOTH_ABOVE:
        ax.plot(steps, values, color=colour, alpha=0.2, linewidth=0.7)
        values = _smooth(values, len(values) // 40)
    ax.plot(steps, values, color=colour, linewidth=1.5, marker=marker, label=label)
    return True


def _smooth(values: np.ndarray, radius: int) -> np.ndarray:
    """The mean of the finite values within `radius` places of each place; NaN where there are none. (N,) -> (N,).

    Towards the ends the radius shrinks to a quarter, before the window loses a side: a wide one-sided mean would bend a
    steep start, and the bare last value would show as a spike.
    """
    finite = np.isfinite(values)
    known, window, place = np.where(finite, values, 0.0), np.ones(2 * radius + 1), np.arange(len(values))
    # Not through running sums: one enormous value would take the digits of all that follow it.
    total = np.convolve(known, window)[radius : radius + len(values)]
    count = np.convolve(finite.astype(float), window)[radius : radius + len(values)]
    reach = np.clip(np.minimum(place, place[::-1]), radius // 4, radius)
    for i in np.flatnonzero(reach < radius):
        near = slice(max(i - reach[i], 0), i + reach[i] + 1)
        total[i], count[i] = known[near].sum(), finite[near].sum()
    smooth: np.ndarray = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
    return smooth


def inspection(path: Path, domains: dict[str, list[Image.Image]], copies: Sequence[list[Image.Image]] = ()) -> None:
    """Plots the first 8 images and the colour histogram of each domain into a PNG at `path`, which is replaced in one go.

    `copies` may hold augmented copies of those images for each domain: they stand below their originals.
    `domains` maps the label of A and of B to its images, of any size and mode. A histogram is the mean over all images given of
    the share of pixels (in %, logarithmic) in each of 64 ranges of a channel; grey images (mode "L") have
    one curve. Both axes are shared. A domain without images says so. Raises ValueError for empty `domains`,
    FileNotFoundError where the folder of `path` does not exist.
    """
    from matplotlib.figure import Figure

    if not domains:
        raise ValueError("domains is empty: give at least one label with its images")
    below = list(copies) or [[] for _ in domains]
    strips = sum(2 if augmented else 1 for augmented in below)
    figure = Figure(figsize=(14, 0.4 + 1.8 * strips), dpi=110)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.12)  # inches
    axes = figure.subplots(len(domains), 2, width_ratios=(5, 1.7), squeeze=False)
    for letter, (strip, histogram), (given, images), augmented in zip("ABCD", axes, domains.items(), below, strict=False):
        label = given if drawable(given) else letter
        _title(strip, f"{label}; below, augmented copies as balance=true samples them" if augmented else label)
        rows = [_strip(images[:SAMPLES])] + ([_strip(augmented[:SAMPLES])] if augmented else [])
        strip.imshow(np.concatenate(rows), interpolation="antialiased")
        strip.set_anchor("NW")
        strip.set_axis_off()
        _title(histogram, "% of pixels by value")
        _histogram(histogram, images)
        if not images:
            _note(strip, "no images")
    _write(figure, path)


def _strip(images: list[Image.Image]) -> np.ndarray:
    """Up to 8 images side by side on white, each whole and centred in a cell of its own: uint8 (H, W, 3)."""
    side, gap = 160, 8
    strip = Image.new("RGB", (SAMPLES * (side + gap) - gap, side), "white")
    for i, image in enumerate(images):
        cell = ImageOps.pad(image.convert("RGB"), (side, side), Image.Resampling.LANCZOS, color="white")
        strip.paste(cell, (i * (side + gap), 0))
    return np.asarray(strip)


def _histogram(ax: Axes, images: list[Image.Image]) -> None:
    """One step curve for each channel, in % of the pixels of an image, mean over the images; axes shared by all domains."""
    _clear(ax)
    ax.set_yscale("log")
    ax.set_ylim(0.01, 100)
    ax.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"], fontsize=8)
    ax.set_xlim(0, 256)
    ax.set_xticks([0, 64, 128, 192, 255], ["0", "64", "128", "192", "255"], fontsize=8)
    if not images:
        return
    grey = all(image.mode == "L" for image in images)
    names = CHANNELS[1 if grey else 3]
    shares = np.zeros((len(names), 64))
    for image in images:
        counts = image.convert("L" if grey else "RGB").histogram()
        shares += np.reshape(counts, (len(names), 64, 4)).sum(-1) / (image.width * image.height)
    for (name, colour), share in zip(names.items(), shares / len(images), strict=True):
        ax.stairs(100 * share, np.arange(0, 257, 4), color=colour, label=name, linewidth=1.2, baseline=None)
    ax.legend(loc="upper center", ncols=len(names), frameon=False, fontsize=8)


def colour_histograms(before: Image.Image, after: Image.Image) -> Image.Image:
    """The colour histograms of an image and of its translation, one above the other (RGB), with axes as in `inspection`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4.6), dpi=110)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)  # inches
    for ax, (name, image) in zip(figure.subplots(2, 1), {"Before": before, "After": after}.items(), strict=True):
        _title(ax, f"{name}: % of pixels by value")
        _histogram(ax, [image])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def heat(x: Tensor) -> Image.Image:
    """The map of a patch discriminator, logits (H, W) of any range, as a small RGB image of square patches.

    Blue is negative, white is 0, red is positive; the strongest colour is the largest absolute value of this map. With
    the logistic loss blue means generated and red real; with least squares the border is 0.5, not 0.
    What is not finite is grey. A patch is as large as 128 px allow for the longer side.
    Raises ValueError for another number of dimensions or an empty map.
    """
    from matplotlib import colormaps

    if x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: give one map (H, W) of logits")
    values = x.detach().float().cpu().numpy().astype(np.float64)  # bfloat16 has no NumPy type
    finite = np.isfinite(values)
    limit = float(np.abs(values[finite]).max()) if finite.any() else 0.0
    share = values / limit if limit > 0 else np.where(finite, 0.0, np.nan)
    colours = colormaps["RdBu_r"](np.where(finite, share, 0.0) / 2 + 0.5, bytes=True)[..., :3].copy()
    colours[~finite] = 128
    scale = max(1, 128 // max(values.shape))
    return Image.fromarray(colours.repeat(scale, axis=0).repeat(scale, axis=1))


def _title(ax: Axes, text: str) -> None:
    """A title that starts at the left, shortened to one line, with a $ that is no formula."""
    line = " ".join(text.split())
    short = line if len(line) <= 90 else line[:89] + "…"
    ax.set_title(short, loc="left", y=1.0, fontsize=11, parse_math=False)  # without y matplotlib measures every tick


def _clear(ax: Axes) -> None:
    """A faint grid behind the curves, and no box."""
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _note(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=12, color="0.4")


def _write(figure: Figure, path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {str(path.parent)!r} for {path.name!r}: create it first")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with atomic_path(path) as temporary:
        # The same file as by savefig, which draws twice.
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})
