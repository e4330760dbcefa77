"""The report's pictures, as PNG files: curves over the epochs, grids of translations, colours of input, output and target."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from cyclegan_hub import image_grid, images
from cyclegan_hub.evaluation.metric_rows import METRICS, base_name, in_order
from cyclegan_hub.evaluation.results import Ranked, Shown, histogram
from cyclegan_hub.hub.model_folder import EPOCH, epoch_number
from cyclegan_hub.plots import COLOURS

if TYPE_CHECKING:  # slow to import, and not needed before a curve is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL = 128  # px: larger images are made smaller, smaller ones are enlarged by a whole factor up to it
_CHANNELS = {1: {"grey": "0.3"}, 3: {"red": "#D62728", "green": "#2CA02C", "blue": "#1F5FD0"}}


def curves(metrics: Mapping[str, Any], labels: Mapping[str, str]) -> bytes | None:
    """A PNG with a panel for each metric: its values over the epochs, and the baselines as horizontal lines. None for one epoch.

    `labels` names each direction. A figure that is None leaves a gap.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names = [name for name in metrics["epochs"] if EPOCH.fullmatch(name)]
    if len(names) < 2:
        return None
    there = (key for name in names for values in metrics["epochs"][name].values() for key in values)
    panels = {key: METRICS[base_name(key)] for key in in_order(there, lambda row: row.curve)}
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(12, 0.5 + 2.5 * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False).flatten()
    epochs = [epoch_number(name) for name in names]
    for ax, (key, row) in zip(axes, panels.items(), strict=False):
        ax.set_title(f"{key} ({row.better})" if row.better else key, loc="left", fontsize=9, parse_math=False)
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.tick_params(labelsize=8)
        for direction, colour in zip(labels, COLOURS, strict=False):
            values = [metrics["epochs"][name][direction].get(key) for name in names]
            ax.plot(epochs, [np.nan if v is None else v for v in values], color=colour, marker=".", linewidth=1.5)
        _baselines(ax, metrics["baselines"], key, labels)
        if row.limits:
            ax.set_ylim(row.limits[0] - 0.03, row.limits[1] + 0.03)
        ax.axvline(epoch_number(metrics["best"]), color="0.7", linewidth=0.8, zorder=0)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    _legend(figure, labels, bool(metrics["baselines"]["untranslated"]))
    return _png(figure)


def _baselines(ax: Axes, baselines: Mapping[str, Any], key: str, directions: Iterable[str]) -> None:
    """Draws the baselines as lines; an untranslated value far above the others is written as text, or curves would look flat."""
    pairs = list(zip(directions, COLOURS, strict=False))
    for direction, colour in pairs:
        value = baselines["floor"][direction].get(key)
        if value is not None:
            ax.axhline(value, color=colour, linestyle="--", linewidth=1)
    top, far = ax.get_ylim()[1], []
    for direction, colour in pairs:
        value = baselines["untranslated"].get(direction, {}).get(key)
        if value is not None and value > 2 * top > 0:
            far.append((value, colour))
        elif value is not None:
            ax.axhline(value, color=colour, linestyle=":", linewidth=1)
    for i, (value, colour) in enumerate(far):
        words, y = f"untranslated: {value:.4g}", 0.97 - 0.11 * i
        ax.text(0.98, y, words, transform=ax.transAxes, ha="right", va="top", fontsize=8, color=colour)


def _legend(figure: Figure, labels: Mapping[str, str], inputs: bool) -> None:
    """Draws one legend for all panels."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, marker=".", label=label) for label, colour in zip(labels.values(), COLOURS, strict=False)
    ]
    lines += [
        *([Line2D([], [], color="0.3", linestyle=":", label="untranslated")] if inputs else []),
        Line2D([], [], color="0.3", linestyle="--", label="floor (real against real)"),
        Line2D([], [], color="0.7", linewidth=0.8, label="chosen epoch"),
    ]
    legend = figure.legend(handles=lines, loc="outside upper left", ncols=len(lines), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a label is no formula


def colours(inputs: Tensor | None, shown: Shown, target: Tensor) -> bytes:
    """A PNG with colour histograms of the inputs (if any), the outputs and the real target images, uint8 (N, C, H, W)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6), dpi=110, layout="constrained")
    piles = {} if inputs is None else {"inputs": histogram(inputs)}
    piles |= {"outputs": shown.colours, "real images of the target side": histogram(target)}
    top = max(float(shares.max()) for shares in piles.values())
    for ax, (name, shares) in zip(figure.subplots(1, len(piles), sharey=True), piles.items(), strict=True):
        ax.set_title(f"{name}: % of pixels by value", loc="left", fontsize=9)
        ax.grid(color="0.9")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_xlim(0, 256)
        ax.set_ylim(0, 1.1 * top)
        ax.set_xticks([0, 64, 128, 192, 255])
        ax.tick_params(labelsize=8)
        for share, (label, colour) in zip(shares, _CHANNELS[len(shares)].items(), strict=True):
            ax.stairs(share, np.arange(0, 257, 4), color=colour, label=label, linewidth=1.2, baseline=None)
        ax.legend(frameon=False, fontsize=8)
    return _png(figure)


def epochs_grid(inputs: Tensor | None, shown: Mapping[str, Shown], best: str, truth: Tensor | None = None) -> bytes:
    """A PNG: the first inputs in a row, below them their outputs at every epoch, then the way back, or the real outputs."""
    count = len(next(iter(shown.values())).first)
    rows = {} if inputs is None else {"input": inputs[:count]}
    rows |= {name: epoch.first for name, epoch in shown.items()}
    back = shown[best].back if best in shown else None
    if back is not None:
        rows[f"{best}, back"] = back
    if truth is not None:
        rows["real"] = truth[:count]
    return _grid(list(rows.values()), list(rows))


def ranking(inputs: Tensor | None, ranked: Ranked, truth: Tensor | None = None) -> bytes:
    """A PNG: scores, inputs, their outputs and, for pairs, the real outputs, in columns; the most extreme comes first."""
    rows = {} if inputs is None else {"input": inputs[ranked.indices]}
    rows |= {"output": ranked.outputs} | ({} if truth is None else {"real": truth[ranked.indices]})
    return _grid(list(rows.values()), list(rows), [f"{score:.3g}" for score in ranked.scores])


def copies(ranked: Ranked, training: Tensor) -> bytes:
    """Samples above the training image that each is nearest to, under their distances."""
    return _grid([ranked.outputs, training], ["sample", "training"], [f"{score:.3g}" for score in ranked.scores])


def _grid(rows: Sequence[Tensor], row_labels: Sequence[str], column_labels: Sequence[str] = ()) -> bytes:
    """Rows of uint8 images (n, C, H, W) as one PNG."""
    pictures = [[images.to_pil(images.from_uint8(x)) for x in row] for row in rows]
    side = rows[0].shape[-1]
    cell = side * (_CELL // side) if side <= _CELL else _CELL
    return images.png_bytes(image_grid.grid(pictures, row_labels=row_labels, column_labels=column_labels, cell=cell))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
