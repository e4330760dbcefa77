"""plots.py: pictures are compared with each other byte for byte, and their parts with NumPy's own answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from cyclegan_hub.imaging import plots
from support.pictures import picture

PANELS = {"generators": ["cycle_a", "cycle_b"], "discriminators": ["d_a"]}


def _history(steps: int) -> list[dict]:
    wave = np.random.default_rng(0).random((steps, 3))
    return [
        {"step": 10 * i, "epoch": i / 7, "cycle_a": 1 + a, "cycle_b": 2 + b, "d_a": c}
        for i, (a, b, c) in enumerate(wave.tolist())
    ]


def _drawn(path: Path, history: list[dict], panels: dict[str, list[str]] = PANELS) -> bytes:
    plots.losses(history, path, panels=panels)
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.verify()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path.read_bytes()


def _has_colour(path: Path, colour: str) -> bool:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return bool((np.abs(pixels - ImageColor.getrgb(colour)).sum(-1) < 12).any())


# --- losses


@pytest.mark.parametrize("steps", [0, 1, 250])
def test_losses_are_a_picture_that_is_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it raises ImportError
    path = tmp_path / "losses.png"
    first = _drawn(path, _history(steps))
    assert _drawn(path, _history(steps)) == first
    assert b"Software" not in first
    assert _has_colour(path, plots.COLOURS[0]) == (steps > 0)
    assert _has_colour(path, plots.COLOURS[1]) == (steps > 0)
    assert not _has_colour(path, plots.COLOURS[2])


def test_what_the_history_lacks_or_repeats_does_not_show(tmp_path: Path) -> None:
    path, lines, only = tmp_path / "x.png", _history(30), {"d": ["d_a"]}
    empty = _drawn(path, [], only)
    assert empty == _drawn(path, [{"event": "started"}], only) != _drawn(path, lines[:1], {"d": ["other"]})
    messy = [{"event": "started"}, {**lines[4], "cycle_a": 99.0}, *reversed(lines), {"step": 40, "event": "saved", "d_a": None}]
    assert _drawn(path, messy) == _drawn(path, lines)
    thinned = [line if i % 3 == 1 else {"step": line["step"], "cycle_a": 1.0} for i, line in enumerate(lines)]
    assert _drawn(path, thinned, only) == _drawn(path, lines[1::3], only)


@pytest.mark.parametrize(("steps", "bad"), [(30, float("nan")), (250, float("inf"))])
def test_values_that_are_not_finite_leave_a_gap(tmp_path: Path, steps: int, bad: float) -> None:
    lines, panels = _history(steps), {"g": ["cycle_a"]}
    whole = _drawn(tmp_path / "x.png", lines, panels)
    for line in lines[10:20]:
        line["cycle_a"] = bad
    assert _drawn(tmp_path / "x.png", lines, panels) != whole
    assert _has_colour(tmp_path / "x.png", plots.COLOURS[0])
    for line in lines:
        line["cycle_a"] = bad
    _drawn(tmp_path / "x.png", lines, panels)  # a curve of nothing else is no crash either


def test_more_curves_than_colours_and_hostile_names(tmp_path: Path) -> None:
    keys = [f"loss_{i} $x_{{" for i in range(len(plots.COLOURS) + 2)] + ["$\\frac{1}$"]
    history = [{"step": step, **dict.fromkeys(keys, 0.5)} for step in range(3)]
    _drawn(tmp_path / "x.png", history, {"$\\bad{$ and " + "long " * 100: keys})


def test_nothing_to_draw_in_or_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="panels is empty"):
        plots.losses([], tmp_path / "x.png", panels={})
    with pytest.raises(ValueError, match="domains is empty"):
        plots.inspection(tmp_path / "x.png", {})
    with pytest.raises(FileNotFoundError, match=r"no folder .*gone' for 'x\.png': create it first"):
        plots.losses([], tmp_path / "gone" / "x.png", panels=PANELS)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = _drawn(tmp_path / "x.png", _history(3))

    def full(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        plots.losses(_history(9), tmp_path / "x.png", panels=PANELS)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == old


@pytest.mark.parametrize("count", [5, 50])
def test_smoothing_is_a_mean_of_finite_neighbours(count: int) -> None:
    radius = 8
    values = np.random.default_rng(1).random(count)
    values[0] = 1e30  # a spike that must not reach beyond its window
    values[3:5] = np.nan
    values[25:45] = np.nan
    expected = []
    for i in range(count):
        reach = min(radius, max(min(i, count - 1 - i), radius // 4))
        near = values[max(i - reach, 0) : i + reach + 1]
        near = near[np.isfinite(near)]
        expected.append(near.mean() if len(near) else np.nan)
    np.testing.assert_allclose(plots._smooth(values, radius), expected, rtol=1e-9)


# --- inspection


def test_inspection_shows_eight_and_counts_all(tmp_path: Path) -> None:
    path = tmp_path / "inspect.png"
    plain = Image.new("RGB", (20, 20), (250, 120, 20))

    def draw(*pictures: Image.Image) -> bytes:
        plots.inspection(path, {"a": list(pictures)})
        return path.read_bytes()

    eight = draw(*[plain] * 8)
    assert _has_colour(path, "#fa7814")
    assert draw(*[plain] * 12) == eight  # no ninth picture, and the same mean histogram
    assert draw(*[plain] * 8, picture(0, (20, 20))) != eight  # the ninth counts in the histogram


def test_inspection_takes_any_size_and_mode_and_any_label(tmp_path: Path) -> None:
    odd = [picture(0, size) for size in ((1, 1), (300, 2), (2, 300))]
    odd += [picture(0, (9, 9)).convert(mode) for mode in ("RGBA", "P")]
    sides = {"$": odd, "$\\bad{$": [picture(0, (8, 8), "L")], "nothing here": [], "label " * 100: odd[:1]}
    plots.inspection(tmp_path / "x.png", sides)
    first = (tmp_path / "x.png").read_bytes()
    plots.inspection(tmp_path / "x.png", sides)
    assert (tmp_path / "x.png").read_bytes() == first
    with Image.open(tmp_path / "x.png") as image:
        image.verify()


def test_histogram_is_the_mean_share_of_pixels() -> None:
    from matplotlib.figure import Figure

    pictures = [picture(1, (10, 10)), picture(2, (30, 20))]
    ax, grey = Figure().subplots(1, 2)
    plots._histogram(ax, pictures)
    assert len(ax.patches) == 3
    for channel, stairs in enumerate(ax.patches):
        shares = [np.histogram(np.asarray(p)[..., channel], bins=64, range=(0, 256))[0] / (p.width * p.height) for p in pictures]
        np.testing.assert_allclose(stairs.get_data().values, 100 * np.mean(shares, axis=0))
        np.testing.assert_array_equal(stairs.get_data().edges, np.linspace(0, 256, 65))
    plots._histogram(grey, [picture(0, (10, 10), "L")])
    assert [stairs.get_label() for stairs in grey.patches] == ["grey"]


# --- heat


def test_heat_is_blue_below_and_red_above_zero() -> None:
    heat = plots.heat(torch.tensor([[-2.0, 0.0, 2.0], [-1.0, 1.0, float("nan")]]))
    assert (heat.mode, heat.size) == ("RGB", (126, 84))  # 42 px a patch
    (low, zero, high), (lower, higher, unknown) = np.asarray(heat)[::42, ::42].astype(int)
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50
    assert zero.min() > 240
    assert lower[0] > low[0] + 30  # half as strong, so nearer to white
    assert higher[2] > high[2] + 30
    assert unknown.tolist() == [128, 128, 128]


def test_heat_depends_on_the_share_of_the_largest_value_only() -> None:
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    assert plots.heat(x).tobytes() == plots.heat(x * 1024).tobytes() == plots.heat(x.clone().requires_grad_()).tobytes()
    assert plots.heat(x).tobytes() != plots.heat(-x).tobytes()


@pytest.mark.parametrize("value", [0.0, 3.0, -1e30, float("nan"), float("inf")])
def test_heat_of_a_constant_map_is_one_colour(value: float) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        heat = plots.heat(torch.full((300, 10), value, dtype=dtype))
        assert len(heat.getcolors()) == 1 and heat.size == (10, 300)  # not cut


def test_heat_of_no_map_is_refused() -> None:
    for shape in ((1, 4, 4), (4,), (0, 4)):
        with pytest.raises(ValueError, match="give one map"):
            plots.heat(torch.zeros(shape))
