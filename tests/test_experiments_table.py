"""Experiments: the order that a table claims, what its rows show, and the pictures beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.experiments.plan import plan_runs
from cyclegan_hub.experiments.registry import EXPERIMENTS
from cyclegan_hub.experiments.report import pictures_of
from cyclegan_hub.experiments.table import Row, Table, order
from cyclegan_hub.hub.records import epoch_name
from support import tiny_models
from support.pictures import folder
from support.pixels import assert_same_pixels
from support.tiny_experiment import TINY


def detail(picture: Image.Image) -> float:
    """How much neighbouring pixels of a row differ on average, of 255."""
    return float(np.abs(np.diff(np.asarray(picture.convert("L"), dtype=float))).mean())


# --------------------------------------------------------------------------------------------------------------- the table
def row(name: str, *values: float, figure: str = "kid[x]") -> Row:
    return Row(name, "smile", (), "epoch-001", 1, (0.1,), (1.0,), {"a_to_b": {figure: values}}, ())


@pytest.mark.parametrize(
    ("seeds", "values", "said"),
    [
        (2, {"a": (1.0, 2.0), "b": (2.5, 3.0)}, "best first (no order within brackets, where seeds overlap): a < b."),
        (2, {"a": (1.0, 2.6), "b": (2.5, 3.0), "c": (9.0, 9.5)}, "[a, b] < c."),
        (2, {"a": (1.0, 9.9), "b": (2.5, 3.0), "c": (9.0, 9.5)}, "the seeds overlap: no order is claimed."),
        (1, {"a": (2.0,), "b": (1.0,)}, "One seed each, so that no order is claimed. By kid[x] alone, best first: b, a."),
    ],
)
def test_an_order_is_claimed_only_where_seeds_do_not_overlap(seeds: int, values: dict[str, tuple[float, ...]], said: str) -> None:
    experiment = dataclasses.replace(TINY, seeds=seeds)
    table = Table(experiment, (), tuple(row(name, *v) for name, v in values.items()), {}, {("smile", "a_to_b"): "a to b"}, "x")
    assert order(table, "smile", "a_to_b").endswith(said)


def test_more_is_better_of_some_figures() -> None:
    experiment = dataclasses.replace(TINY, seeds=2, measures=("success",))
    rows = (row("low", 0.1, 0.2, figure="success"), row("high", 0.8, 0.9, figure="success"))
    assert "high < low" in order(Table(experiment, (), rows, {}, {("smile", "a_to_b"): "a to b"}, "x"), "smile", "a_to_b")


def test_rows_on_other_images_say_what_those_show(tmp_path: Path) -> None:
    data = {name: str(folder(tmp_path / name / "trainA", range(40)).parent) for name in ("faces", "monet")}
    planned = plan_runs(EXPERIMENTS["upscale"], data, tmp_path / "out", size="small")
    labels = {one.run.data: one.plan.labels for one in planned}
    assert labels == {"": ("small face", "face"), "monet": ("small photo", "photo")}


def test_the_picture_shows_the_input_of_a_model_that_makes_it_of_a_photograph(tmp_path: Path) -> None:
    for epoch in (1, 2):
        tiny_models.paired(pairs="upscale-4x", epoch=epoch).save_pretrained(tmp_path / "epochs" / epoch_name(epoch))
    original, small, *outputs = pictures_of(tmp_path, [epoch_name(1), epoch_name(2)], "astronaut_face.jpg", "a_to_b", 128)
    assert [picture.size for picture in (original, small, *outputs)] == [(32, 32)] * 4
    assert detail(small) < detail(original) / 2  # a quarter of the pixels, enlarged


def test_the_picture_shows_both_ways_of_a_model_that_has_two(tmp_path: Path) -> None:
    model = tiny_models.folder(tmp_path, 1)
    original, there, back = pictures_of(model, [epoch_name(1)], "astronaut_face.jpg", "b_to_a", 128)
    loaded = load(model, 1)
    assert_same_pixels(there, loaded.translate(original, "b_to_a"))
    assert_same_pixels(back, loaded.translate(there, "a_to_b"))
