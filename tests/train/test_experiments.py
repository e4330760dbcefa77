"""The experiments' runner: the registry, scale and size, refusals, and one experiment from its trainings to its tables."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, override
from cyclegan_hub.recipes.presets import find
from support import tiny_models
from support.pictures import folder, sides
from support.training import NO_FACES, ROOT, demo_data, one_line, run_train, script
from support.training import no_plots as no_plots

runner, registry = script("experiments/run"), script("experiments/registry")
Run = registry.Run
SMALL = ("image_size=32", "load_size=36", "width=4", "blocks=1", "disc_channels=4,8", "pool_size=4", "epochs=2",
         "snapshot_every=1", "save_every=1", "log_every=1", "max_images=none", "batch_size=2", "discriminator=patch",
         "adversarial=lsgan", *NO_FACES)  # fmt: skip
ROWS = (Run("low", "smile-compact", (*SMALL, "cycle=1")), Run("high", "smile-compact", (*SMALL, "cycle=20"), on_training=True))
TINY = registry.Experiment("tiny", "Does a higher cycle weight help?", data=("smile",), runs=ROWS, shown=(1, 9))
PUBLISHED = dict(registry.EXPERIMENTS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 40)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.EXPERIMENTS, "tiny", TINY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def planned(data: Path, out: Path, scale: float = 1.0, *, small: bool = False, **changes: object) -> list:
    return runner.plan_trainings(replace(TINY, **changes), {"smile": str(data)}, out, scale, small=small)


# ------------------------------------------------------------------------------------------------------------ the registry
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_row_is_a_recipe_that_exists_and_has_its_page(name: str) -> None:
    experiment = PUBLISHED[name]
    assert len({row.name for row in experiment.runs}) == len(experiment.runs)
    for row in experiment.runs:
        assert re.fullmatch(r"[A-Za-z0-9.-]+", row.name)
        assert (row.data or experiment.data[0]) in experiment.data
        settings = (*row.set, *row.kept)
        override(find(row.recipe), dict(setting.split("=", 1) for setting in settings))
        small = dict(setting.split("=", 1) for setting in (*row.set, *runner.small_settings(row)))
        recipe = override(find(row.recipe), small)
        assert recipe.image_size == 64
        assert getattr(recipe, "width", 24) == 24 and recipe.disc_channels[0] == 24
    listed = re.search(rf"^\| `{name}` \| (\d+) \|.*\| (\d) \|$", page("README"), re.MULTILINE)
    assert listed and (int(listed[1]), int(listed[2])) == (len(experiment.runs), experiment.seeds)
    assert page(name).startswith(f"## {name}\n\n{experiment.question}\n") and "\nThe source: " in page(name)


def page(name: str) -> str:
    return (ROOT / f"train/experiments/{name}.md").read_text("utf-8")


# ------------------------------------------------------------------------------------------------------------ the plan
def test_scale_shortens_epochs_and_keeps_their_number(data: Path, tmp_path: Path) -> None:
    whole, tenth = planned(data, tmp_path), planned(data, tmp_path, 0.1)
    assert [one.plan.recipe.epochs for one in (*whole, *tenth)] == [2] * 4
    assert [one.steps for one in whole] == [40, 40]  # 40 images, two at a time
    assert [(one.steps, one.plan.recipe.steps_per_epoch) for one in tenth] == [(4, 2)] * 2


def test_small_rows_that_are_compared_by_size_keep_their_ratio(data: Path, tmp_path: Path) -> None:
    large = ("batch_size=8", "image_size=128", "gen_channels=64,32,16,8,4", "disc_channels=4,8,16,32,64")
    rows = (
        Run("64", "smile-lsgan-64", ("batch_size=8",)),
        Run("128", "smile-lsgan-128"),
        Run("dcgan", "faces-dcgan-64", large),
        Run("unet", "monet-unet", ("load_size=300",)),
    )
    recipes = [one.plan.recipe for one in planned(data, tmp_path, small=True, by_size=True, runs=rows)]
    assert [one.image_size for one in recipes] == [64, 128, 128, 256]
    dcgan, unet = recipes[2:]
    assert isinstance(dcgan, DCGANRecipe) and len(dcgan.gen_channels) == 5
    assert isinstance(unet, CycleGANRecipe) and (unet.blocks, unet.load_size) == (8, 300)


def test_rows_that_a_size_makes_equal_are_run_once(data: Path, tmp_path: Path) -> None:
    rows = tuple(Run(name, "smile-lsgan-64", ("batch_size=8",)) for name in ("64", "again"))
    assert [one.run.name for one in planned(data, tmp_path, small=True, runs=rows)] == ["64"]


@pytest.mark.parametrize(
    ("shown", "found"),
    [((), [1, 4, 8]), (registry.LAST, [8]), ((1, 3, 9), [1, 4, 8]), ((8, 20), [8]), ((5,), [4])],
)
def test_the_kept_epochs_nearest_to_the_wanted_ones(data: Path, tmp_path: Path, shown: tuple[int, ...], found: list[int]) -> None:
    one = planned(data, tmp_path)[0]
    tiny_models.folder(one.folder, 1, 4, 8)
    assert one.nearest_epochs(shown) == found


def test_rows_on_other_datasets_have_their_labels(tmp_path: Path) -> None:
    data = {name: str(folder(tmp_path / name / "trainA", range(40)).parent) for name in ("faces", "monet")}
    trainings = runner.plan_trainings(PUBLISHED["upscale"], data, tmp_path / "out", small=True)
    assert {one.run.data: one.plan.labels for one in trainings} == {"": ("small face", "face"), "monet": ("small photo", "photo")}


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["tiny", "--scale", "0"], "--scale 0: give more than 0"),
        (["tiny", "--max-train-images", "0"], "--max-train-images 0: must be at least 1"),
        (["tiny", "--training", "0"], "--max-train-images 0: must be at least 1"),  # its former name
        (["tiny", "--jobs", "999"], "--jobs 999: there are"),
        (["tiny", "--jobs", "0"], "--jobs 0: there are"),
        (["tiny", "--data", "x", "--data", "smile=y"], "smile is given twice"),
        (["upscale", "--data", "here"], "say which it is, e.g. --data faces=here"),
        (["tiny", "--data", "no/such/folder"], "--data no/such/folder: there is no such folder"),
        (["upscale", "--data", "faces=MANY"], "photos-cnn-64-to-256 trains on monet: give --data monet=FOLDER"),
        (["tiny", "--data", "FEW"], "domain A has 3 images to train on, and low needs at least 16"),
    ],
)
def test_bad_arguments_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str) -> None:
    places = {"MANY": tmp_path / "many", "FEW": tmp_path / "few"}
    sides(places["FEW"], trainA=range(3), trainB=range(3, 30), testA=range(30, 33), testB=range(33, 36))
    folder(places["MANY"] / "trainA", range(50))
    given = [re.sub("MANY|FEW", lambda found: str(places[found[0]]), word) for word in arguments]
    assert runner.main([*given, "--out", str(tmp_path / "out")]) == 2
    assert error in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_an_unknown_experiment_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        runner.main(["smiles"])
    assert exit_.value.code == 2
    assert re.search("invalid choice: 'smiles' .*smile-models.*anime-table", capsys.readouterr().err)


def test_jobs_share_the_cores() -> None:
    (cores,) = runner.core_groups(1)
    assert sorted(core for group in runner.core_groups(len(cores)) for core in group) == cores


# ------------------------------------------------------------------------------------------------------- from end to end, tiny
@pytest.mark.slow
def test_an_experiment_makes_its_tables_and_resumes(
    data: Path, tmp_path: Path, no_plots: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # In this process, which has imported everything.
    monkeypatch.setattr(runner, "train_all", lambda trainings, cores: [run_train(*one.arguments) for one in trainings])
    out, results = tmp_path / "out", tmp_path / "out/encoder-6"
    arguments = ["tiny", "--data", str(data), "--out", str(out), "--max-train-images", "6", "--scale", "0.05"]
    assert runner.main([*arguments, "--dry-run"]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[0].startswith("low-seed-0: 2 steps: cyclegan-hub train smile-compact --set")
    assert not out.exists()
    assert runner.main(arguments) == 0
    text = (results / "table.md").read_text("utf-8")
    assert text in capfd.readouterr().out
    parts = text.strip().split("\n\n")
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    for direction in ("not smiling → smiling", "smiling → not smiling"):
        for row in ("low-seed-0, epoch-00", "high-seed-0-on-training-images, epoch-00", "untranslated", "floor"):
            assert f"| {row}" in found[f"smile: {direction}"]
        assert {"epoch-001", "epoch-002"} <= set(re.findall(r"epoch-\d+", found[f"low-seed-0: {direction}"]))
    assert re.search(r"^\| cycle +\| +1\.0 +\| +20\.0 +\|$", text, re.MULTILINE), text
    assert re.search(r"^\| (hours|alarms) .*\|$", text, re.MULTILINE)

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*/*/model.safetensors")}
    (results / "high-seed-0/metrics.json").unlink()  # as if it had been stopped before this was evaluated
    assert before and runner.main(arguments) == 0
    assert "low-seed-0: 2 steps, done: cyclegan-hub train" in capfd.readouterr().out
    assert (results / "table.md").read_text("utf-8") == text
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was trained again
    assert runner.main([*arguments, "--scale", "0.5"]) == 2
    assert "low-seed-0 holds another run: recipe.steps_per_epoch is 1 there and 10 now" in one_line(capfd)


def test_trainings_run_in_turn_and_a_failed_one_is_one_line(data: Path, tmp_path: Path) -> None:
    one, other = planned(data, tmp_path / "out")
    with pytest.raises(runner.ExperimentError, match=r"high-seed-0: .*smiled.* The same command resumes") as error:
        runner.train_all([replace(one, arguments=("--help",)), replace(other, arguments=("smiled",))], runner.core_groups(1))
    assert len(str(error.value).splitlines()) == 1


def test_sigterm_asks_the_training_to_stop(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A signal to the runner alone, unlike Ctrl-C. For Python stands a program that waits for its own."""
    started, asked, program, sleep = tmp_path / "started", tmp_path / "asked", tmp_path / "python", time.sleep
    program.write_text(f"#!/bin/sh\ntrap 'touch {asked}; exit 143' TERM\ntouch {started}\nwhile true; do sleep 0.05; done\n")
    program.chmod(0o755)

    def wait(seconds: float) -> None:
        sleep(seconds)
        if started.exists():
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(runner.time, "sleep", wait)
    monkeypatch.setattr(runner.sys, "executable", str(program))
    before = signal.signal(signal.SIGTERM, runner.stop)
    try:
        with pytest.raises(SystemExit, match="143"):
            runner.main(["tiny", "--data", str(data), "--out", str(tmp_path / "out")])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().err.splitlines()[-1] == "stopped: the same command resumes"
    assert asked.exists()
