"""What a person sees of a training without a terminal, and the hours that a full-size recipe will take on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub.recipes.presets import RECIPES, compact_of
from cyclegan_hub.training import loop
from cyclegan_hub.training.loop import Progress, duration
from support.training import NO_FACES, demo_data, script, train


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 6)


class Clock:
    """Stands for `time`, so that a minute passes at once."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_a_line_at_least_every_30_seconds_and_at_every_epoch(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    shown = Progress(first=0, end=20, per_epoch=10, epochs=2, pairs=2, shown=True)
    for step in range(1, 11):
        clock.now += 10
        shown.update(step, {"g": float(step), "d": 0.5})
    shown.end_epoch()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "epoch 1 of 2, step 3 of 20: g=2 d=0.5, 0.2 pairs/s, 3 min left"
    assert [line.split(":")[0] for line in lines[:3]] == [f"epoch 1 of 2, step {step} of 20" for step in (3, 6, 9)]
    assert lines[3].startswith("epoch 1 of 2, step 10 of 20: g=10 ") and lines[3].endswith("left, epoch in 100 s")
    clock.now += 1000  # saving and drawing
    shown.start_epoch()
    clock.now += 10
    shown.update(11, {"g": 1.0})
    shown.end_epoch()
    assert capsys.readouterr().out == "epoch 2 of 2, step 11 of 20: g=1, 0.2 pairs/s, 90 s left, epoch in 10 s\n"
    other = Progress(first=0, end=20, per_epoch=10, epochs=2, pairs=2, shown=False, compact="smile-compact")
    other.update(1, {"g": 1.0})
    other.end_epoch()
    assert capsys.readouterr().out == ""


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(seconds) for seconds in (4.4, 90, 600, 36000)] == ["4 s", "90 s", "10 min", "10.0 h"]


def test_a_run_says_what_it_does_and_draws_before_step_1(data: Path, tmp_path: Path, capsys) -> None:
    """Grids at every epoch, of the untrained networks too, whatever `snapshot_every` is; a line at every epoch."""
    changes = ["--set", "snapshot_every=4", "--set", "epochs=3"]
    assert train("--data", data, "--out", tmp_path / "run", *changes) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert [line.split(", ")[0] for line in lines] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]
    assert all("pairs/s" in line and "left, epoch in " in line and "=" in line for line in lines)
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == [f"epoch-00{i}.png" for i in range(4)]
    assert [path.name for path in (tmp_path / "run" / "epochs").iterdir()] == ["epoch-003"]
    first, last = (Image.open(tmp_path / "run" / "samples" / f"epoch-00{i}.png") for i in (0, 3))
    assert first.size == last.size and first.tobytes() != last.tobytes()


def test_how_often_grids_are_drawn_is_a_field(data: Path, tmp_path: Path) -> None:
    changes = ["--set", "snapshot_every=3", "--set", "sample_every=2", "--set", "epochs=3"]
    assert train("--data", data, "--out", tmp_path / "run", *changes) == 0
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == [f"epoch-00{i}.png" for i in (0, 2, 3)]


def test_a_full_size_recipe_on_a_cpu_names_its_hours_and_the_compact_one(data: Path, tmp_path: Path, capsys) -> None:
    tiny = ["image_size=32", "load_size=36", "width=4", "blocks=1", "disc_channels=4,8", "epochs=4", *NO_FACES]
    settings = [part for setting in tiny for part in ("--set", setting)]
    arguments = ["smile", *settings, "--data", str(data), "--out", str(tmp_path / "run"), "--max-steps", "4"]
    assert script("train").main(arguments) == 0
    assert capsys.readouterr().out.count("hours (") == 1
    assert train("--data", data, "--out", tmp_path / "compact", "--max-steps", 4) == 0
    assert "hours (" not in capsys.readouterr().out


def test_which_recipes_have_one_for_a_cpu() -> None:
    named = {name: compact_of(recipe) for name, recipe in RECIPES.items()}
    assert named["smile"] == named["smile-lsgan-128"] == "smile-compact" and named["monet-unet"] == "monet-compact"
    assert {named[name] for name in ("smile-compact", "smile-compact-128", "monet-dcgan-64", "pix2pix", "colorize")} == {None}
