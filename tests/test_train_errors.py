"""train.py as a user runs it: what bad input gets, and a folder, a state or a loss that went wrong."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cyclegan_hub.training.run_folder import RunFolder
from support.train_runs import data as data
from support.train_runs import one_line
from support.training import TRAIN, environment, history, script, train, train_process

pytestmark = pytest.mark.slow


# ------------------------------------------------------------------------------------------------ what goes wrong
def test_no_network_says_what_to_do(tmp_path: Path, capsys) -> None:
    """`accelerate launch train/train.py` alone is the smile recipe on its Hub datasets; here the Hub is out of reach."""
    assert script("train").main(["--out", str(tmp_path / "run")]) == 2
    message = one_line(capsys)
    assert "flwrlabs/celeba" in message and "--data" in message
    assert not (tmp_path / "run").exists()


def test_wrong_column_lists_the_columns(data: Path, tmp_path: Path, capsys) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted((data / "trainA").iterdir())]
    pq.write_table(pa.table({"image": pictures}), tmp_path / "train.parquet")
    side = f"hf:{tmp_path}?split=train&column=picture"
    assert train("--data-a", side, "--data-b", data / "trainB", "--out", tmp_path / "run") == 2
    message = one_line(capsys)
    assert "picture" in message and "image" in message


def test_unknown_recipe_lists_the_recipes(capsys) -> None:
    assert script("train").main(["smyle"]) == 2
    assert "no recipe 'smyle'; recipes: smile, anime, cartoon, monet" in one_line(capsys)


def test_a_folder_of_something_else_is_not_touched(data: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    assert train("--data", data, "--out", tmp_path) == 2
    assert "holds 'thesis.tex' but no run" in one_line(capsys)
    assert train("--data", data, "--out", tmp_path / "thesis.tex") == 2
    assert "is a file" in one_line(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_two_processes_cannot_train_in_one_folder(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 1) == 0
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('ok', flush=True); sys.stdin.read()", str(out / ".lock")],  # noqa: E501
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "ok\n"
        assert train("--data", data, "--out", out, "--max-steps", 2) == 2
        assert "another process is training" in one_line(capsys)
    finally:
        holder.communicate("")
    assert train("--data", data, "--out", out, "--max-steps", 2) == 0


def test_damaged_state_is_named_and_not_overwritten(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 2) == 0
    path = out / "state" / "step-000000002" / "shared.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    assert train("--data", data, "--out", out) == 2
    assert "cannot resume from" in one_line(capsys)
    assert path.stat().st_size == 5000


def test_non_finite_loss_stops_and_names_step_losses_and_state(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--set", "lr=1e30") == 2
    message = one_line(capsys)
    assert re.search(r"step \d+: .*(d_a|g_a_to_b|cycle_a|weights).* (became|are) (nan|inf|not finite)", message)
    assert "state" in message


def test_non_finite_weights_are_never_kept_as_an_epoch(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--set", "lr=1e39", "--set", "steps_per_epoch=1") == 2
    message = one_line(capsys)
    assert "step 1" in message and "not finite" in message and "no state was saved yet" in message
    assert RunFolder(out).epochs() == [] and not (out / "last").exists()


def test_another_precision_is_named_on_resume(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    out = tmp_path / "run"
    done = train_process("--data", data, "--out", out, "--max-steps", 1, variables={"ACCELERATE_MIXED_PRECISION": "bf16"})
    assert done.returncode == 0, done.stderr
    assert train("--data", data, "--out", out, "--max-steps", 2) == 2
    assert "mixed_precision is 'bf16' there and 'no' now" in one_line(capsys)


def test_gradient_accumulation_is_refused(data: Path, tmp_path: Path) -> None:
    done = train_process("--data", data, "--out", tmp_path, variables={"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"})
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: gradient_accumulation_steps=4: ")


def test_full_disk_while_the_history_is_written_is_one_line(data: Path, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500, 2_500))  # recipe.json fits, the history soon does not

    often = ["--set", "log_every=1", "--set", "save_every=99"]
    done = train_process("--data", data, "--out", tmp_path / "run", *often, preexec_fn=small_disk)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr and "error: cannot write to" in done.stderr


def test_colour_inversion_warns_and_is_recorded(data: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """The loop rings the trainer's alarms: here one on a measure that is certainly below its bound."""
    from cyclegan_hub.training.cyclegan import CycleGANTrainer
    from cyclegan_hub.training.trainer import Alarm

    monkeypatch.setattr(CycleGANTrainer, "alarms", (Alarm("corr_a_to_b", below=2.0, steps=3, message="inverted"),))
    assert train("--data", data, "--out", tmp_path / "run", "--max-steps", 5) == 0
    assert "warning: inverted" in capsys.readouterr().err
    assert [line for line in history(tmp_path / "run") if "event" in line] == [
        {"step": 3, "event": "alarm", "message": "inverted"}
    ]


def test_python_train_py_exits_2_without_a_traceback(tmp_path: Path) -> None:
    done = train_process("--data", tmp_path / "missing", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_accelerate_launch_starts_it(data: Path, tmp_path: Path) -> None:
    from support.training import TINY

    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--cpu", "--num_processes", "1", "--num_machines", "1",
         "--dynamo_backend", "no", "--mixed_precision", "bf16", str(TRAIN / "train.py"), *TINY, "--data", str(data),
         "--out", str(tmp_path / "run"), "--max-steps", "2"],
        capture_output=True, text=True, env=environment(), timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "run").latest_step() == 2
