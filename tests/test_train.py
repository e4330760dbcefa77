"""train.py as a user runs it: a run folder, exact resume, and runs that were cut off."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.training.run_folder import RunFolder
from support.train_runs import data as data
from support.train_runs import one_line
from support.training import history, script, train, train_process, weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """A run that was never stopped: 4 epochs of 5 steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train("--data", data, "--out", out) == 0
    return out


# ------------------------------------------------------------------------------------------------ the run folder
def test_run_folder_holds_what_the_readme_says(whole: Path) -> None:
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


def test_epochs_and_last_load_as_published_models(whole: Path) -> None:
    for folder, epoch in ((whole / "epochs" / "epoch-002", 2), (whole / "last", 4)):
        model = CycleGenerator.from_pretrained(folder)
        assert (model.epoch, model.domain, model.labels, model.image_size) == (epoch, "smile", ("not smiling", "smiling"), 32)
    assert (whole / "last" / "model.safetensors").read_bytes() == (whole / "epochs/epoch-004/model.safetensors").read_bytes()


def test_run_stopped_and_continued_equals_one_that_was_not(whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for stop in (3, 5, 11):  # inside an epoch, at its end, inside another
        assert train("--data", data, "--out", out, "--max-steps", stop) == 0
        assert RunFolder(out).latest_step() == stop
        assert CycleGenerator.from_pretrained(out / "last").epoch == stop // 5
    assert train("--data", data, "--out", out) == 0
    assert weights(out) == weights(whole)
    assert history(out) == history(whole)
    for name in ("shared.safetensors", "rank-0.safetensors"):
        ours, theirs = (tree_tensors(folder / "state/step-000000020" / name) for folder in (out, whole))
        assert ours == theirs


def tree_tensors(path: Path) -> object:
    from cyclegan_hub.training.run_folder import unpack

    def plain(node: object) -> object:
        if isinstance(node, torch.Tensor):
            return node.tolist()
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items()}
        return [plain(value) for value in node] if isinstance(node, list | tuple) else node

    return plain(unpack(path))


def test_a_finished_run_is_left_alone(whole: Path, data: Path, capsys) -> None:
    before = weights(whole)
    assert train("--data", data, "--out", whole) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert weights(whole) == before


def test_max_steps_is_a_total_and_leaves_the_schedule(data: Path, tmp_path: Path) -> None:
    assert train("--data", data, "--out", tmp_path / "run", "--max-steps", 4) == 0
    assert train("--data", data, "--out", tmp_path / "run", "--max-steps", 4) == 0
    assert RunFolder(tmp_path / "run").latest_step() == 4
    schedulers = tree_tensors(tmp_path / "run/state/step-000000004/shared.safetensors")["trainer"]["schedulers"]
    assert schedulers["generators"]["_last_lr"] == [2e-4]  # the decay begins at step 10 of 20


@pytest.mark.parametrize(
    "change", ["snapshot_every=2", "keep_epochs=3", "save_every=3", "log_every=1", "evaluate_every=1", "workers=1"]
)
def test_some_fields_may_change_between_runs(data: Path, tmp_path: Path, change: str) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 1) == 0
    assert train("--data", data, "--out", out, "--max-steps", 2, "--set", change) == 0
    name, value = change.split("=")
    assert json.loads((out / "recipe.json").read_text())["recipe"][name] == int(value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (["--set", "lr=0.001"], "recipe.lr is 0.0002 there and 0.001 now"),
        (["--set", "width=8"], "recipe.width is 4 there and 8 now"),
        (["--seed", "5"], "seed is 0 there and 5 now"),
        (["--labels", "day,night"], "labels is"),
        (["--init", "user/x"], "init is None there and 'user/x' now"),
    ],
)
def test_another_recipe_in_the_folder_is_an_error_that_names_the_field(whole, data, changes, named, capsys) -> None:
    before = weights(whole), (whole / "recipe.json").read_bytes()
    assert train("--data", data, "--out", whole, *changes) == 2
    message = one_line(capsys)
    assert named in message and "another folder with --out" in message
    assert (weights(whole), (whole / "recipe.json").read_bytes()) == before


def test_changed_images_are_noticed_on_resume(data: Path, tmp_path: Path, capsys) -> None:
    copy = tmp_path / data.name
    script("demo_data").make(copy, images=10, size=40)
    assert train("--data", copy, "--out", tmp_path / "run", "--max-steps", 1) == 0
    next((copy / "trainA").iterdir()).unlink()
    assert train("--data", copy, "--out", tmp_path / "run", "--max-steps", 2) == 2
    assert "the images of side A have changed since this run began" in one_line(capsys)


def test_a_run_goes_on_where_the_same_images_lie_elsewhere(data: Path, tmp_path: Path, capsys) -> None:
    for name in ("first", "moved"):
        script("demo_data").make(tmp_path / name / "cats", images=10, size=40)
    (tmp_path / "moved/cats").rename(tmp_path / "moved/dogs")
    out = tmp_path / "run"
    assert train("--data", tmp_path / "first/cats", "--out", out, "--max-steps", 1) == 0
    assert train("--data", tmp_path / "moved/dogs", "--out", out, "--max-steps", 2) == 0
    assert json.loads((out / "recipe.json").read_text())["data"]["a"].startswith("folder dogs/trainA")  # the path is recorded
    next((tmp_path / "moved/dogs/trainB").iterdir()).unlink()
    capsys.readouterr()
    (tmp_path / "moved/dogs").rename(tmp_path / "moved/birds")
    assert train("--data", tmp_path / "moved/birds", "--out", out, "--max-steps", 3) == 2
    message = one_line(capsys)
    assert "the images of side B have changed" in message and "they were folder dogs/trainB" in message


def test_equal_runs_give_equal_files_and_another_seed_does_not(whole: Path, data: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        assert train("--data", data, "--out", tmp_path / name, "--seed", seed, "--max-steps", 5) == 0
    first = "epochs/epoch-001/model.safetensors"
    assert (tmp_path / "same" / first).read_bytes() == (whole / first).read_bytes()
    assert (tmp_path / "other" / first).read_bytes() != (whole / first).read_bytes()


def test_how_often_is_saved_changes_nothing(whole: Path, data: Path, tmp_path: Path) -> None:
    for n in (3, 99):
        out = tmp_path / str(n)
        assert train("--data", data, "--out", out, "--set", f"save_every={n}", "--set", "snapshot_every=3") == 0
        assert (out / "last/model.safetensors").read_bytes() == (whole / "last/model.safetensors").read_bytes()
        assert RunFolder(out).epochs() == [3, 4]  # every third, and the last


def test_keep_epochs_keeps_a_spread(data: Path, tmp_path: Path) -> None:
    assert (
        train("--data", data, "--out", tmp_path / "run", "--set", "keep_epochs=3", "--set", "epochs=5", "--set", "save_every=99")
        == 0
    )
    assert RunFolder(tmp_path / "run").epochs() == [1, 3, 5]


def test_init_starts_from_published_weights(whole: Path, data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    start = whole / "epochs" / "epoch-004"
    assert train("--data", data, "--out", out, "--init", start, "--max-steps", 1, "--set", "lr=1e-12", "--set", "ema=0") == 0
    recorded = json.loads((out / "recipe.json").read_text())["init"]
    assert recorded == f"epoch-004 (weights sha256 {sha256((start / 'model.safetensors').read_bytes()).hexdigest()[:12]})"
    ours, theirs = CycleGenerator.from_pretrained(out / "last"), CycleGenerator.from_pretrained(start)
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-8)
    assert train("--data", data, "--out", tmp_path / "other", "--init", start, "--set", "width=8") == 2
    moved = start.rename(tmp_path / "moved")  # a resumed run has its weights and needs the source no more
    resume = ["--data", data, "--out", out, "--init", start, "--set", "lr=1e-12", "--set", "ema=0"]
    assert train(*resume, "--max-steps", 2) == 0
    assert json.loads((out / "recipe.json").read_text())["init"] == recorded
    other = [*resume[:5], whole / "epochs" / "epoch-001", *resume[6:]]
    assert train(*other, "--max-steps", 3) == 2  # other weights make another run
    record = json.loads((out / "recipe.json").read_text())
    (out / "recipe.json").write_text(json.dumps(record | {"init": str(start)}))  # as older versions recorded it
    assert train(*resume, "--max-steps", 3) == 0
    assert json.loads((out / "recipe.json").read_text())["init"] == "epoch-004"
    moved.rename(start)
    capsys.readouterr()
    assert train("--data", data, "--out", tmp_path / "other", "--init", start, "--set", "width=8") == 2
    assert "another architecture" in one_line(capsys)


# ------------------------------------------------------------------------------------------------ what goes wrong
def test_torn_last_line_of_the_history_is_passed_over(whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 7) == 0
    with (out / "history.jsonl").open("a") as file:
        file.write('{"step": 8, "epo')
    assert train("--data", data, "--out", out) == 0
    assert history(out) == history(whole)


def test_a_kill_before_the_first_step_leaves_a_folder_that_goes_on(whole: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    import cyclegan_hub.training.run_folder as runs

    out = tmp_path / "run"
    for write, times in (("write_atomic", 0), ("remove_temporary", 0), ("remove_temporary", 3)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(runs, write, killed_after(times, getattr(runs, write)))
            train("--data", data, "--out", out)
    assert train("--data", data, "--out", out) == 0
    assert weights(out) == weights(whole)


def test_a_kill_between_the_state_and_what_follows_it_is_mended(whole: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "run"
    # After a state in the middle, and after the very last one: on resuming and at the end of each epoch there is one before it.
    for stop, before in ((3, 0), (20, 4)):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(RunFolder, "write_model", killed_after(before, RunFolder.write_model))
            train("--data", data, "--out", out, "--max-steps", stop, "--set", "save_every=99")
        assert RunFolder(out).latest_step() == stop
        assert train("--data", data, "--out", out, "--max-steps", stop) == 0
    assert weights(out) == weights(whole)
    assert (out / "losses.png").exists()


class Killed(BaseException):
    """What no handler of ours catches."""


def killed_after(calls: int, original: Callable[..., None] | None = None) -> Callable[..., None]:
    """`original`, whose process "dies" when it is called once more than `calls` times."""
    left = iter(range(calls))

    def call(*arguments: object) -> None:
        if next(left, None) is None:
            raise Killed
        assert original is not None
        original(*arguments)

    return call


def test_full_disk_while_saving_is_one_line_and_loses_nothing(whole: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 3) == 0

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))  # any file: the state is larger

    done = train_process("--data", data, "--out", out, preexec_fn=small_disk)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot write to" in line and "the state of step 3 is safe" in line
    assert train("--data", data, "--out", out) == 0
    assert weights(out) == weights(whole)
