"""Training by the command: the run folder, exact resume, light evaluations, progress, and errors in the middle of a run."""

from __future__ import annotations

import json
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.evaluation import features
from cyclegan_hub.recipes.presets import RECIPES, compact_of
from cyclegan_hub.training import loop, run_folder
from cyclegan_hub.training.cyclegan import CycleGANTrainer
from cyclegan_hub.training.loop import Progress, duration
from cyclegan_hub.training.run_folder import RunFolder, pack, unpack
from cyclegan_hub.training.trainer import Alarm
from support.training import NO_FACES, history, one_line, run_train, train, weights
from support.training import data as data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped: 4 epochs of 5 steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train("--data", data, "--out", out, "--set", "save_every=2", plot=True) == 0
    return out


# ------------------------------------------------------------------------------------------------ the run folder
def test_a_run_folder_holds_what_the_docs_list(whole: Path) -> None:
    assert {p.name for p in whole.iterdir()} == {
        "recipe.json", "state", "epochs", "last", "samples", "history.jsonl", "losses.png", ".lock",
    }  # fmt: skip
    assert [p.name for p in (whole / "state").iterdir()] == ["step-000000020"]
    assert sorted(p.name for p in (whole / "epochs").iterdir()) == [f"epoch-00{i}" for i in (1, 2, 3, 4)]
    assert sorted(p.name for p in (whole / "samples").iterdir()) == [f"epoch-00{i}.png" for i in range(5)]
    recipe = json.loads((whole / "recipe.json").read_text())
    assert recipe["recipe"]["name"] == "smile-compact" and recipe["recipe"]["width"] == 4
    assert recipe["labels"] == ["not smiling", "smiling"]
    assert [line["step"] for line in history(whole)] == list(range(2, 21, 2))
    assert {"g_a_to_b", "cycle_a", "identity_b", "d_a_real", "corr_a_to_b"} <= history(whole)[0].keys()
    for folder, epoch in ((whole / "epochs" / "epoch-002", 2), (whole / "last", 4)):
        model = CycleGenerator.from_pretrained(folder)
        assert (model.epoch, model.domain, model.labels, model.image_size) == (epoch, "smile", ("not smiling", "smiling"), 32)
    assert (whole / "last" / "model.safetensors").read_bytes() == (whole / "epochs/epoch-004/model.safetensors").read_bytes()


def test_a_finished_run_is_left_alone(whole: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = weights(whole)
    assert train("--data", data, "--out", whole) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert weights(whole) == before


# ------------------------------------------------------------------------------------------------------- resume
def state_of(run: Path, step: int, name: str = "shared") -> Any:
    return unpack(run / f"state/step-{step:09d}/{name}.safetensors")


def test_a_resumed_run_equals_one_that_was_never_stopped(whole: Path, data: Path, tmp_path: Path) -> None:
    """Stopped inside an epoch, at its end, and with an incomplete last line in the history; the schedule stays."""
    out = tmp_path / "run"
    for stop in (3, 15):
        assert train("--data", data, "--out", out, "--max-steps", stop) == 0
        assert CycleGenerator.from_pretrained(out / "last").epoch == stop // 5
        rate = 2e-4 * min(1, (20 - stop) / 10)  # the decay begins at step 10 of 20
        assert state_of(out, stop)["trainer"]["schedulers"]["generators"]["_last_lr"] == [pytest.approx(rate)]
    with (out / "history.jsonl").open("a") as file:
        file.write('{"step": 16, "epo')
    assert train("--data", data, "--out", out) == 0
    assert weights(out) == weights(whole) and history(out) == history(whole)
    for name in ("shared", "rank-0"):  # every number and every tensor
        assert pack(state_of(out, 20, name)) == pack(state_of(whole, 20, name))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--set", "lr=0.001"], "recipe.lr is 0.0002 there and 0.001 now"),
        (["--seed", "5"], "seed is 0 there and 5 now"),
        (["--labels", "day,night"], "labels is"),
        (["--init", "user/x"], "init is None there and 'user/x' now"),
    ],
)
def test_another_run_in_the_folder_is_an_error_that_names_the_field(
    whole: Path, data: Path, changes: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = weights(whole), (whole / "recipe.json").read_bytes()
    assert train("--data", data, "--out", whole, *changes) == 2
    message = one_line(capsys)
    assert named in message and "another folder with --out" in message
    assert (weights(whole), (whole / "recipe.json").read_bytes()) == before


def test_the_images_of_a_run_may_move_but_not_change(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cats, dogs, birds, out = (tmp_path / name for name in ("cats", "dogs", "birds", "run"))
    assert train("--data", shutil.copytree(data, cats), "--out", out, "--max-steps", 1) == 0
    assert train("--data", cats.rename(dogs), "--out", out, "--max-steps", 2) == 0
    assert json.loads((out / "recipe.json").read_text())["data"]["a"].startswith("folder dogs/trainA")  # the path is recorded
    next((dogs / "trainB").iterdir()).unlink()
    capsys.readouterr()
    assert train("--data", dogs.rename(birds), "--out", out, "--max-steps", 3) == 2
    message = one_line(capsys)
    assert "the images of domain B have changed since this run began" in message and "they were folder dogs/trainB" in message


def test_what_is_saved_changes_nothing_of_the_training_and_the_seed_does(whole: Path, data: Path, tmp_path: Path) -> None:
    settings = ["--set", "save_every=99", "--set", "keep_epochs=3"]
    assert train("--data", data, "--out", tmp_path / "run", *settings) == 0
    assert (tmp_path / "run/last/model.safetensors").read_bytes() == (whole / "last/model.safetensors").read_bytes()
    assert RunFolder(tmp_path / "run").epochs() == [1, 3, 4]
    assert train("--data", data, "--out", tmp_path / "other", "--seed", 1, "--max-steps", 5) == 0
    first = "epochs/epoch-001/model.safetensors"
    assert (tmp_path / "other" / first).read_bytes() != (whole / first).read_bytes()


def test_losses_are_plotted_at_the_end_and_after_epochs_if_the_plot_is_old(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plotted: list[int] = []

    def plot(history: list[dict[str, Any]], path: Path, panels: object) -> None:
        plotted.append(history[-1]["step"])
        monkeypatch.setattr(loop, "PLOT_EVERY", 0.0 if len(plotted) < 2 else 1e9)

    monkeypatch.setattr(loop, "PLOT_EVERY", 0.0)
    monkeypatch.setattr(loop.plots, "losses", plot)
    short = ["--set", "steps_per_epoch=1", "--set", "log_every=1"]
    assert train("--data", data, "--out", tmp_path / "run", *short, plot=True) == 0
    assert plotted == [1, 2, 4]


def test_init_starts_from_published_weights(whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, start = tmp_path / "run", shutil.copytree(whole / "epochs/epoch-004", tmp_path / "epoch-004")
    run = ["--data", data, "--set", "lr=1e-12", "--set", "ema=0", "--init", start]
    assert train(*run, "--out", out, "--max-steps", 1) == 0
    recorded = f"epoch-004 (weights sha256 {sha256((start / 'model.safetensors').read_bytes()).hexdigest()[:12]})"
    assert json.loads((out / "recipe.json").read_text())["init"] == recorded
    ours, theirs = CycleGenerator.from_pretrained(out / "last"), CycleGenerator.from_pretrained(start)
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-8)
    start.rename(tmp_path / "moved")  # a resumed run has its weights and needs the source no more
    assert train(*run, "--out", out, "--max-steps", 2) == 0
    assert json.loads((out / "recipe.json").read_text())["init"] == recorded
    assert train(*run[:-1], whole / "epochs/epoch-001", "--out", out) == 2  # other weights make another run
    capsys.readouterr()
    assert train(*run[:-1], tmp_path / "moved", "--out", tmp_path / "other", "--set", "width=8") == 2
    assert "another architecture" in one_line(capsys)


class Killed(BaseException):
    """An exception that no handler of ours catches."""


def killed_after(calls: int, original: Callable[..., None]) -> Callable[..., None]:
    """`original`, whose process "dies" when it is called once more than `calls` times."""
    left = iter(range(calls))

    def call(*arguments: object) -> None:
        if next(left, None) is None:
            raise Killed
        original(*arguments)

    return call


def test_a_run_killed_before_the_first_step_can_be_resumed(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    for write, times in (("write_atomic", 0), ("remove_temporary", 0), ("remove_temporary", 3)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(run_folder, write, killed_after(times, getattr(run_folder, write)))
            train("--data", data, "--out", out)
    assert train("--data", data, "--out", out, "--max-steps", 5) == 0
    first = "epochs/epoch-001/model.safetensors"
    assert (out / first).read_bytes() == (whole / first).read_bytes()


def test_a_kill_between_the_state_and_what_follows_it_is_repaired(
    whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    # After a state in the middle, and after the very last one: on resuming and at the end of each epoch there is one before it.
    for stop, before in ((3, 0), (20, 4)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(RunFolder, "write_model", killed_after(before, RunFolder.write_model))
            train("--data", data, "--out", out, "--max-steps", stop, "--set", "save_every=99")
        assert RunFolder(out).latest_step() == stop
        assert train("--data", data, "--out", out, "--max-steps", stop) == 0
    assert weights(out) == weights(whole)


# -------------------------------------------------------------------------------------------- light evaluations
@pytest.fixture(scope="module")
def evaluated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `whole`, evaluated after the second and the fourth epoch, and stopped in between."""
    out = tmp_path_factory.mktemp("evaluated") / "run"
    for stop in (12, 20):
        assert train("--data", data, "--out", out, "--set", "evaluate_every=2", "--max-steps", stop) == 0
    return out


def evaluations(run: Path) -> list[dict[str, Any]]:
    return [line for line in history(run) if line.get("event") == "evaluation"]


def test_metrics_are_recorded_and_the_best_epoch_is_kept(evaluated: Path) -> None:
    lines = evaluations(evaluated)
    assert [(line["step"], line["epoch"]) for line in lines] == [(10, 2.0), (20, 4.0)]
    names = {f"{name}_{way}" for name in ("kid[encoder]", "success") for way in ("a_to_b", "b_to_a")} | {"score"}
    for line in lines:
        assert set(line) == names | {"step", "epoch", "event"}
        assert 0 <= line["success_a_to_b"] <= 1
    assert RunFolder(evaluated).measured() == [key for key in lines[0] if key in names]
    best = min(lines, key=lambda line: line["score"])
    assert CycleGenerator.from_pretrained(evaluated / "best").epoch == best["epoch"]
    epoch = evaluated / f"epochs/epoch-{int(best['epoch']):03d}/model.safetensors"
    assert (evaluated / "best/model.safetensors").read_bytes() == epoch.read_bytes()


def test_an_evaluation_changes_nothing_of_the_training(evaluated: Path, whole: Path) -> None:
    assert not (whole / "best").exists()
    assert weights(whole) == weights(evaluated)
    assert history(whole) == [line for line in history(evaluated) if line.get("event") != "evaluation"]


def test_without_an_encoder_nothing_is_trained(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "BUNDLED_ENCODER", tmp_path / "none")
    assert train("--data", data, "--out", tmp_path / "run", "--set", "evaluate_every=2") == 2
    assert "this installation has no bundled encoder" in one_line(capsys)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------------ options
def test_crops_are_trained_on_and_the_whole_is_published(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a TensorBoard log."""
    shapes: set[tuple[int, ...]] = set()
    step = CycleGANTrainer.step
    monkeypatch.setattr(
        CycleGANTrainer, "step", lambda self, batch, *rest: shapes.add(batch["a"].shape[1:]) or step(self, batch, *rest)
    )
    options = ["--set", "crop_size=16", "--set", "steps_per_epoch=2", "--max-steps", 2, "--log-with", "tensorboard"]
    assert train("--data", data, "--out", tmp_path / "run", *options) == 0
    assert shapes == {(3, 16, 16)}
    assert CycleGenerator.from_pretrained(tmp_path / "run" / "last").image_size == 32
    assert Image.open(tmp_path / "run" / "samples" / "epoch-001.png").width > 5 * 32
    assert list((tmp_path / "run" / "logs").rglob("events.out.tfevents*"))


def test_streaming_trains_and_resumes_at_its_position(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # else 5 s a pass over Parquet
    for split in ("trainA", "trainB", "testA", "testB"):
        pictures = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted((data / split).iterdir())]
        pq.write_table(pa.table({"image": pictures}), tmp_path / f"{split}.parquet")
    stream = ["--data", tmp_path, "--out", tmp_path / "run", "--set", "streaming=true", "--set", "steps_per_epoch=2"]
    assert train(*stream, "--max-steps", 3) == 0
    assert "domain A: streamed; 2 held out" in capfd.readouterr().out
    assert train(*stream, "--max-steps", 4) == 0
    assert "resumed after 6 images, with a refilled shuffle buffer" in caplog.text
    capfd.readouterr()
    assert RunFolder(tmp_path / "run").latest_step() == 4
    assert train("--data", tmp_path, "--out", tmp_path / "other", "--set", "streaming=true") == 2
    assert "steps_per_epoch" in one_line(capfd)


# ----------------------------------------------------------------------------------------------------- progress
class Clock:
    """Stands for `time`, so that a minute passes at once."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_a_line_at_least_every_30_seconds_and_at_every_epoch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    clock.now += 1000  # saving and samples
    shown.start_epoch()
    clock.now += 10
    shown.update(11, {"g": 1.0})
    shown.end_epoch()
    assert capsys.readouterr().out == "epoch 2 of 2, step 11 of 20: g=1, 0.2 pairs/s, 90 s left, epoch in 10 s\n"
    shown.end_epoch()  # right after a line: no losses since
    assert capsys.readouterr().out == "epoch 2 of 2, step 11 of 20, epoch in 10 s\n"
    other = Progress(first=0, end=20, per_epoch=10, epochs=2, pairs=2, shown=False, compact="smile-compact")
    other.update(1, {"g": 1.0})
    other.end_epoch()
    assert capsys.readouterr().out == ""
    assert [duration(seconds) for seconds in (4.4, 90, 600, 36000)] == ["4 s", "90 s", "10 min", "10.0 h"]


def test_progress_samples_and_alarms_do_not_depend_on_the_kept_epochs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line at every epoch; grids of the untrained networks, at every second epoch and at the end; an alarm that rings."""
    monkeypatch.setattr(CycleGANTrainer, "alarms", (Alarm("corr_a_to_b", below=2.0, steps=3, message="inverted"),))
    changes = ["--set", "snapshot_every=4", "--set", "sample_every=2", "--set", "epochs=3", "--set", "steps_per_epoch=1"]
    assert train("--data", data, "--out", tmp_path / "run", *changes) == 0
    out, err = capsys.readouterr()
    assert "warning: inverted" in err
    events = [line for line in history(tmp_path / "run") if "event" in line]
    assert events == [{"step": 3, "event": "alarm", "message": "inverted"}]
    lines = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert [line.split(", ")[0] for line in lines] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]
    assert all("pairs/s" in line and "left, epoch in " in line and "=" in line for line in lines)
    assert "on this CPU" not in out  # the recipe is made for a CPU
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == [f"epoch-00{i}.png" for i in (0, 2, 3)]
    assert [path.name for path in (tmp_path / "run" / "epochs").iterdir()] == ["epoch-003"]
    first, last = (Image.open(tmp_path / "run" / "samples" / f"epoch-00{i}.png") for i in (0, 3))
    assert first.size == last.size and first.tobytes() != last.tobytes()


def test_a_full_size_recipe_on_a_cpu_names_its_hours_and_the_compact_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["image_size=32", "load_size=36", "width=4", "blocks=1", "disc_channels=4,8", "epochs=4", *NO_FACES]
    settings = [part for setting in tiny for part in ("--set", setting)]
    arguments = ["smile", *settings, "--data", str(data), "--out", str(tmp_path / "run"), "--max-steps", "3"]
    assert run_train(*arguments) == 0
    out = capsys.readouterr().out
    assert out.count("on this CPU the") == 1 and "0.0 h" not in out
    named = {name: compact_of(recipe) for name, recipe in RECIPES.items()}
    assert named["smile"] == named["smile-lsgan-128"] == "smile-compact" and named["monet-unet"] == "monet-compact"
    assert {named[name] for name in ("smile-compact", "smile-compact-128", "monet-dcgan-64", "pix2pix", "colorize")} == {None}


# ---------------------------------------------------------------------------------------------- errors in a run
def test_another_precision_and_a_damaged_state_are_named_and_not_overwritten(
    whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(whole, tmp_path / "run")
    path = out / "state/step-000000020/shared.safetensors"
    for content, message in (
        (pack(state_of(whole, 20) | {"precision": "bf16"}), "mixed_precision is 'bf16' there and 'no' now"),
        (path.read_bytes()[:5000], "cannot resume from"),
    ):
        path.write_bytes(content)
        assert train("--data", data, "--out", out) == 2
        assert message in one_line(capsys) and path.read_bytes() == content


def test_non_finite_losses_and_weights_stop_a_run_and_are_never_kept(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--data", data, "--out", tmp_path / "loss", "--set", "lr=1e30") == 2
    message = one_line(capsys)
    assert re.search(r"step \d+: .*(d_a|g_a_to_b|cycle_a|weights).* (became|are) (nan|inf|not finite)", message)
    assert "state" in message
    out = tmp_path / "weights"
    assert train("--data", data, "--out", out, "--set", "lr=1e39", "--set", "steps_per_epoch=1") == 2
    message = one_line(capsys)
    assert "step 1" in message and "not finite" in message and "no state was saved yet" in message
    assert RunFolder(out).epochs() == [] and not (out / "last").exists()


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """No file of this process may be larger than `size` bytes: a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_loses_nothing(
    whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a state is saved, and while the history is written, which soon is larger than recipe.json."""
    out, often = tmp_path / "run", ["--set", "log_every=1", "--set", "save_every=99"]
    assert train("--data", data, "--out", out, "--max-steps", 3) == 0
    for run, size, saved in (
        ([out], 40_000, "the state of step 3 is safe"),
        ([tmp_path / "other", *often], 2_500, "no state was saved yet"),
    ):
        with files_up_to(size):
            assert train("--data", data, "--out", *run) == 2
        message = one_line(capsys)
        assert "cannot write to" in message and saved in message
    assert train("--data", data, "--out", out) == 0
    assert weights(out) == weights(whole)
