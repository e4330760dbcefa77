"""Experiments: the registry, scale and size, what bad input gets, and one made from its trainings to its table at a tiny size."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cyclegan_hub.experiments import command
from cyclegan_hub.experiments.plan import nearest_epochs, plan_runs, small_settings
from cyclegan_hub.experiments.registry import EXPERIMENTS, LAST, Experiment, ExperimentError, Run
from cyclegan_hub.experiments.report import epochs_shown
from cyclegan_hub.experiments.run import core_groups
from cyclegan_hub.hub.records import epoch_name
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, override
from cyclegan_hub.recipes.presets import find
from support import tiny_models
from support.pictures import folder
from support.tiny_experiment import SMALL, TINY
from support.train_runs import one_line
from support.training import ROOT, demo_data, environment


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 40)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPERIMENTS, "tiny", TINY)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# ------------------------------------------------------------------------------------------------------------ the registry
@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda e: e.name)
def test_every_row_is_a_recipe_that_exists(experiment: Experiment) -> None:
    assert len({run.name for run in experiment.runs}) == len(experiment.runs)
    for run in experiment.runs:
        assert re.fullmatch(r"[A-Za-z0-9.-]+", run.name)
        assert (run.data or experiment.data[0]) in experiment.data
        override(find(run.recipe), dict(setting.split("=", 1) for setting in run.set))
        small = dict(setting.split("=", 1) for setting in (*run.set, *small_settings(run)))
        recipe = override(find(run.recipe), small)
        assert recipe.image_size == 64
        assert getattr(recipe, "width", 24) == 24 and recipe.disc_channels[0] == 24
    assert not experiment.photograph or (ROOT / "cyclegan_hub/free_images" / experiment.photograph).is_file()


def test_every_experiment_is_in_the_documentation() -> None:
    text = (ROOT / "train/experiments/README.md").read_text("utf-8")
    for experiment in EXPERIMENTS.values():
        if experiment is not TINY:
            row = re.search(rf"^\| `{experiment.name}` \| (\d+) \|.*\| (\d) \|$", text, re.MULTILINE)
            assert row and (int(row[1]), int(row[2])) == (len(experiment.runs), experiment.seeds), experiment.name


def test_the_published_tables_say_what_the_registry_says() -> None:
    for experiment in EXPERIMENTS.values():
        if experiment is not TINY:
            table = (ROOT / f"train/experiments/{experiment.name}.md").read_text("utf-8")
            assert table.startswith(f"## {experiment.name}\n\n{experiment.question}\n"), experiment.name
            assert f"\nThe source: {experiment.source}\n" in table, experiment.name


def test_scale_shortens_epochs_and_keeps_their_number(data: Path, tmp_path: Path) -> None:
    whole, tenth = (plan_runs(TINY, {"smile": str(data)}, tmp_path, scale=scale) for scale in (1.0, 0.1))
    assert [one.plan.recipe.epochs for one in (*whole, *tenth)] == [2] * 4
    assert [one.steps_per_epoch for one in whole] == [20, 20]  # 40 images, two at a time
    assert [(one.steps_per_epoch, one.full_epoch, one.plan.recipe.steps_per_epoch) for one in tenth] == [(2, 20, 2)] * 2


def test_small_rows_that_are_compared_by_size_keep_their_ratio(data: Path, tmp_path: Path) -> None:
    of_size = dataclasses.replace(
        TINY,
        by_size=True,
        runs=(
            Run("64", "smile-lsgan-64", ("batch_size=8",)),
            Run("128", "smile-lsgan-128"),
            Run(
                "dcgan",
                "faces-dcgan-64",
                ("batch_size=8", "image_size=128", "gen_channels=64,32,16,8,4", "disc_channels=4,8,16,32,64"),
            ),
            Run("unet", "monet-unet", ("load_size=300",)),
        ),
    )
    recipes = [one.plan.recipe for one in plan_runs(of_size, {"smile": str(data)}, tmp_path, size="small")]
    assert [one.image_size for one in recipes] == [64, 128, 128, 256]
    dcgan, unet = recipes[2:]
    assert isinstance(dcgan, DCGANRecipe) and len(dcgan.gen_channels) == 5
    assert isinstance(unet, CycleGANRecipe) and (unet.blocks, unet.load_size) == (8, 300)


@pytest.mark.parametrize(
    ("shown", "found"),
    [((), [1, 4, 8]), (LAST, [8]), ((1, 3, 9), [1, 4, 8]), ((8, 20), [8]), ((5,), [4])],
)
def test_the_epochs_that_are_measured(data: Path, tmp_path: Path, shown: tuple[int, ...], found: list[int]) -> None:
    some = dataclasses.replace(TINY, shown=shown, runs=(Run("one", "smile-compact", (*SMALL, "epochs=8")),))
    (planned,) = plan_runs(some, {"smile": str(data)}, tmp_path)
    assert nearest_epochs(planned, [epoch_name(n) for n in (1, 4, 8)]) == [epoch_name(n) for n in found]


@pytest.mark.parametrize(("shown", "found"), [((), [1, 3, 5, 7]), (LAST, [1, 3, 5, 7]), ((1, 2, 6), [1, 2, 6])])
def test_the_picture_shows_the_epochs_of_the_table_or_some_from_the_first_to_the_last(
    data: Path, tmp_path: Path, shown: tuple[int, ...], found: list[int]
) -> None:
    some = dataclasses.replace(TINY, shown=shown, runs=(Run("one", "smile-compact", (*SMALL, "epochs=7")),))
    (planned,) = plan_runs(some, {"smile": str(data)}, tmp_path)
    tiny_models.folder(planned.plan.out, *range(1, 8))
    assert epochs_shown(planned) == [epoch_name(n) for n in found]


def test_rows_that_a_size_makes_equal_are_run_once(data: Path, tmp_path: Path) -> None:
    two = dataclasses.replace(
        TINY, runs=(Run("64", "smile-lsgan-64", ("batch_size=8",)), Run("again", "smile-lsgan-64", ("batch_size=8",)))
    )
    assert [one.run.name for one in plan_runs(two, {"smile": str(data)}, tmp_path, size="small")] == ["64"]


# ----------------------------------------------------------------------------------------------------------- what bad input gets
def test_an_unknown_experiment_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["smiles"]) == 2
    assert one_line(capsys).startswith("error: no experiment 'smiles'; experiments: smile-models, anime-table")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny", "--scale", "0"], "--scale 0: give more than 0"),
        (["tiny", "--training", "0"], "--training 0: must be at least 1"),
        (["tiny", "--jobs", "999"], "--jobs 999: there are"),
        (["upscale", "--data", "here"], "say which it is, e.g. --data faces=here"),
        (["tiny", "--data", "no/such/folder"], "--data no/such/folder: there is no such folder"),
        (["upscale", "--data", "faces=FEW"], "photos-cnn-64-to-256 trains on monet: give --data monet=FOLDER"),
        (["tiny", "--data", "FEW"], "side A has 3 images to train on, and low needs at least 16"),
    ],
)
def test_bad_arguments_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    few = tmp_path / "few"
    for side, seeds in (("trainA", range(3)), ("trainB", range(3, 30)), ("testA", range(30, 33)), ("testB", range(33, 36))):
        folder(few / side, seeds)
    if arguments[0] == "upscale" and "FEW" in arguments[-1]:
        folder(few / "trainA", range(40, 90))
    given = [word.replace("FEW", str(few)) for word in arguments]
    assert command.main([*given, "--out", str(tmp_path / "out")]) == 2
    assert words in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_jobs_share_the_cores() -> None:
    cores = [core for group in core_groups(1) for core in group]
    assert sorted(core for group in core_groups(len(cores)) for core in group) == sorted(cores)
    with pytest.raises(ExperimentError, match="--jobs 0"):
        core_groups(0)


# ------------------------------------------------------------------------------------------------------- from end to end, tiny
@pytest.mark.slow
def test_an_experiment_makes_its_table_and_goes_on_where_it_was(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["tiny", "--data", str(data), "--scale", "0.05", "--out", str(out)]
    assert command.main([*arguments, "--dry-run"]) == 0
    assert "2 of 2 trainings to do: about" in capfd.readouterr().out and not out.exists()
    assert command.main(arguments) == 0
    said = capfd.readouterr()
    assert "low-seed-0: smile-compact, 2 steps, 4 pairs" in said.out
    text = (out / "table.md").read_text("utf-8")
    assert text in said.out
    assert "0.05 of each schedule" in text and "not smiling → smiling" in text and "smiling → not smiling" in text
    assert re.search(r"^\| low \| 1\.0 \| epoch-00\d \| [24] \| 0\.\d\d \|", text, re.MULTILINE), text
    assert re.search(r"^\| untranslated \|.*\| real against real \|", text, re.MULTILINE | re.DOTALL)
    assert "One seed each, so that no order is claimed." in text and "Not run: a third row: too small." in text
    html = (out / "report.html").read_text("utf-8")
    assert "&lt;b&gt;" in html and html.count("data:image/png") == 3 and "default-src &#39;none&#39;" not in html
    assert {p.name for p in out.iterdir()} == {
        "experiment.json",
        "table.md",
        "report.html",
        "epochs.png",
        "figures.png",
        "losses.png",
        "runs",
    }
    assert (out / "runs/high-seed-0/report.html").is_file()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*/*/model.safetensors")}
    (out / "runs/high-seed-0/metrics.json").unlink()  # as if it had been stopped before this was measured
    assert command.main(arguments) == 0
    assert "low-seed-0: smile-compact, 2 steps, 4 pairs, done" in capfd.readouterr().out
    assert (out / "table.md").read_text("utf-8").splitlines()[-1] == text.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was trained again

    other = dataclasses.replace(TINY, runs=(TINY.runs[0], Run("high", "smile-compact", (*SMALL, "cycle=30"))))
    EXPERIMENTS["tiny"] = other
    assert command.main(arguments) == 2
    assert "high-seed-0 holds another run: recipe.cycle is 20.0 there and 30.0 now" in one_line(capfd)
    assert command.main([*arguments[:3], "--scale", "0.5", "--out", str(out)]) == 2
    assert "was begun with scale 0.05, not 0.5" in one_line(capfd)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_request_to_end_saves_and_the_same_command_goes_on(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys; from cyclegan_hub.experiments import command; from cyclegan_hub.experiments.registry import EXPERIMENTS;"
        "import test_experiments; EXPERIMENTS['tiny'] = test_experiments.TINY; sys.exit(command.main())"
    )
    shell = [sys.executable, "-c", code, "tiny", "--data", str(data), "--out", str(out)]
    talk = environment(PYTHONPATH=f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    process = subprocess.Popen(shell, env=talk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    history = out / "runs/low-seed-0/history.jsonl"
    deadline = time.monotonic() + 120
    while not (history.is_file() and history.stat().st_size) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # as Ctrl-C; that is ignored where the tests run in the background
    _, said = process.communicate(timeout=120)
    assert process.returncode == 143, said
    assert said.splitlines()[-1] == "stopped: what is done stays done; the same command goes on"
    (state,) = (out / "runs/low-seed-0/state").iterdir()
    assert 0 < int(state.name.removeprefix("step-")) < 40
    assert json.loads((out / "experiment.json").read_text())["scale"] == 1.0
