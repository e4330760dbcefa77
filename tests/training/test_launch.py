"""What `accelerate launch` may ask for; two processes: equal replicas, exact resume, errors that end both; kills and signals."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cyclegan_hub.machine import peak_memory
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.training.launch import make_accelerator, processes_asked_for
from cyclegan_hub.training.run_folder import RunFolder
from support.replicas import compare
from support.training import TINY, TRAIN, demo_data, environment, history, train, weights
from support.warm import WarmProcess, two_processes

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaves the launcher's state and number of threads as they were: the module's fixtures train without this one."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    threads = torch.get_num_threads()
    _forget_the_launcher()
    yield
    _forget_the_launcher()
    torch.set_num_threads(threads)


def _forget_the_launcher() -> None:
    from accelerate.state import AcceleratorState, PartialState

    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ACCELERATE_MIXED_PRECISION", "fp16", "mixed_precision 'fp16' needs a GPU: launch with --mixed_precision bf16, or no"),
        ("ACCELERATE_MIXED_PRECISION", "fp8", "mixed_precision 'fp8': must be one of no, bf16, fp16"),
        ("ACCELERATE_MIXED_PRECISION", "half", "mixed_precision 'half': must be one of no, bf16, fp16"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "^gradient_accumulation_steps=4: a step here is one update"),
        ("ACCELERATE_DYNAMO_BACKEND", "fast", "'FAST' is not a valid DynamoBackend. Launch otherwise"),
        ("ACCELERATE_DYNAMO_BACKEND", "ONNXRT", "dynamo_backend 'onnxrt': torch .* has none of that name, only .*inductor"),
        ("ACCELERATE_DYNAMO_BACKEND", "TVM", "dynamo_backend 'tvm' does not work here .*--dynamo_backend no"),
    ],
)
def test_what_a_machine_cannot_do_is_one_line(monkeypatch, variable: str, value: str, message: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(RecipeError, match=message) as caught:
        make_accelerator()
    assert "\n" not in str(caught.value)


def test_what_it_can_do_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "EAGER")
    assert make_accelerator().mixed_precision == "bf16"


CONFIG = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nuse_cpu: true\nnum_processes: 2\nnum_machines: 1\n"


@pytest.mark.slow
def test_accelerate_launch_starts_it_and_fewer_processes_than_asked_for_are_noticed(data: Path, tmp_path: Path) -> None:
    """`accelerate launch --cpu --num_processes 2` runs one process and says nothing of it."""
    options = ["--quiet", "--cpu", "--num_processes=2", "--num_machines=1", "--dynamo_backend=no", "--mixed_precision=bf16"]
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", *options, TRAIN / "train.py"]
    command = [*launch, *TINY, "--data", data, "--out", tmp_path / "run", "--max-steps", "1"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and "note: 2 processes were asked for and one was started" in done.stderr, done.stderr
    assert RunFolder(tmp_path / "run").latest_step() == 1


def test_the_number_of_processes_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes_asked_for(["bash", "-c", "train.py --num_processes 3"]) == 1
    place = tmp_path / "default_config.yaml"
    place.write_text(CONFIG)
    monkeypatch.setattr("accelerate.commands.config.config_args.default_config_file", str(place))
    for options, count in (([], 2), (["--num-processes", "3"], 3), (["--cpu"], 1), ([f"--config_file={place}"], 2)):
        assert processes_asked_for(["accelerate", "launch", *options, "-m", "cyclegan_hub.training"]) == count
    for content in ("num_processes: two", "", "compute_environment: AMAZON_SAGEMAKER\n"):
        place.write_text(content)
        assert processes_asked_for(["accelerate", "launch", "train.py"]) == 1
    place.unlink()
    assert processes_asked_for(["accelerate", "launch", "train.py"]) == 1


def test_neither_the_thread_nor_defaults_of_the_program_change_a_training(data: Path, tmp_path: Path) -> None:
    """Signals are for the main thread, whose handlers stay as they are."""
    before, codes = signal.getsignal(signal.SIGINT), list[int]()
    run = threading.Thread(target=lambda: codes.append(train("--data", data, "--out", tmp_path / "plain", "--max-steps", 2)))
    run.start()
    run.join()
    assert codes == [0] and signal.getsignal(signal.SIGINT) is before
    try:
        torch.set_default_dtype(torch.float16)
        torch.set_default_device("meta")
        assert train("--data", data, "--out", tmp_path / "other", "--max-steps", 2) == 0
        assert torch.get_default_dtype() == torch.float16
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert history(tmp_path / "other") == history(tmp_path / "plain")
    assert weights(tmp_path / "other") == weights(tmp_path / "plain")


def test_peak_memory_is_none_where_the_system_does_not_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = peak_memory()
    assert memory is not None and 0.05 < memory < 500
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it raises ImportError
    assert peak_memory() is None


def test_no_device_is_named() -> None:
    """MPS and CUDA by accelerate alone: a `.cuda()` or `device="cuda"` in training would leave other machines out."""
    for path in [*(ROOT / "cyclegan_hub" / "training").glob("*.py"), *(ROOT / "cyclegan_hub" / "models").glob("*.py")]:
        assert not re.search(r"\.cuda\(\)|\.mps\(\)|device\(?=?[\"']cuda", path.read_text("utf-8")), path.name


# ------------------------------------------------------------------------------------------------- two processes
@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 16)


FIELDS = ("epochs=2", "steps_per_epoch=2", "save_every=3", "discriminator=both", "adversarial=hinge", "skip=true")
SHORT = [*TINY, *(part for field in FIELDS for part in ("--set", field))]


@pytest.mark.slow
def test_replicas_stay_identical_and_resume_is_exact(data: Path, tmp_path: Path) -> None:
    """Each process brings other images; of projected discriminators the levels' scales and spectral norm's vectors are alike."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = two_processes([*SHORT, "--data", data, "--out", whole], compare, COPY=str(parts))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("replicas equal: True, pools differ: True") == 2, done.stdout  # at the end of each epoch
    assert "step 4 of 4: 16 pairs" in done.stdout  # of 2 processes of batch 2
    assert len(list((whole / "state/step-000000004").glob("rank-*.safetensors"))) == 2
    assert RunFolder(parts).latest_step() == 3
    done = two_processes([*SHORT, "--data", data, "--out", parts])
    assert done.returncode == 0, done.stderr
    assert weights(parts) == weights(whole)
    assert history(parts) == history(whole)


@pytest.mark.slow
def test_a_run_resumes_with_another_number_of_processes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One process, then two, then one: the schedule stays, a step holds other numbers of pairs, and each change is printed."""
    run = ["--data", data, "--out", tmp_path / "run", "--set", "epochs=1"]
    assert train(*run, "--max-steps", 3) == 0
    done = two_processes([*TINY, *run, "--max-steps", 5, "--allow-process-change"])
    assert done.returncode == 0, done.stderr
    assert "resumed inexactly: 1 process then, 2 now; a step has 4 pairs" in done.stderr
    capsys.readouterr()
    assert train(*run, "--inexact-resume") == 0  # the option's former name
    printed = capsys.readouterr()
    assert "resumed inexactly: 2 processes then, 1 now; a step has 2 pairs" in printed.err
    assert "step 8 of 8" in printed.out  # 16 images of the larger domain, batch 2, as it began
    noted = json.loads((tmp_path / "run/recipe.json").read_text("utf-8"))["inexact_resumes"]
    assert [(one["step"], one["processes"]) for one in noted] == [(3, [1, 2]), (5, [2, 1])]


@pytest.mark.slow
def test_an_error_ends_both_and_is_printed_once_by_each(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    done = two_processes([*TINY, "--data", data, "--out", tmp_path])
    assert done.returncode == 2
    said = re.findall(r"^error(?: \(process 1\))?: .*holds 'thesis.tex' but no run", done.stderr, re.MULTILINE)
    assert len(said) == len(set(said)) == 2


# -------------------------------------------------------------------------------------------------- killed or stopped
KILLS = 2
RUN = ["--set", "epochs=2", "--set", "steps_per_epoch=12", "--set", "save_every=1"]  # 24 steps


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped, with a save after every step."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train("--data", data, "--out", out, *RUN) == 0
    return out


def wait_until(process: WarmProcess, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert process.poll() is None, f"ended by itself: {process.poll()}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.slow
def test_kill_9_at_random_moments_never_loses_the_last_save(whole: Path, data: Path, tmp_path: Path) -> None:
    out, draw, reached = tmp_path / "run", random.Random(), 0
    for i in range(KILLS):
        process = WarmProcess([*TINY, "--data", data, "--out", out, *RUN])
        try:
            wait_until(process, lambda: (RunFolder(out).latest_step() or 0) > reached)  # noqa: B023 (called at once)
            time.sleep(draw.uniform(0, 0.2))  # a step with its save takes less: any moment of either
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        survived = RunFolder(out).latest_step()
        assert survived is not None and survived > reached, f"kill {i}: step {reached + 1} was saved, {survived} is left"
        RunFolder(out).load_state(survived, rank=0, world_size=1)  # whole
        reached = survived
    assert train("--data", data, "--out", out, *RUN) == 0
    assert weights(out) == weights(whole) and history(out) == history(whole)
    assert not list(out.rglob("*.tmp"))  # the killed processes' temporary files are removed


@pytest.mark.slow
def test_polite_signals_save_and_stop(whole: Path, data: Path, tmp_path: Path) -> None:
    out, reached = tmp_path / "run", 0
    for number in (signal.SIGTERM, signal.SIGINT):
        process = WarmProcess([*TINY, "--data", data, "--out", out, *RUN, "--set", "save_every=1000", "--set", "log_every=1"])
        wait_until(process, lambda: (out / "history.jsonl").exists() and len(history(out)) > reached)  # noqa: B023 (called at once)
        process.send_signal(number)
        done = process.wait(timeout=120)
        assert done.returncode == 128 + number, done.stderr
        assert "everything saved" in done.stderr and "Traceback" not in done.stderr
        assert reached < (RunFolder(out).latest_step() or 0) < 24
        reached = len(history(out))
    assert train("--data", data, "--out", out, *RUN) == 0
    assert (out / "last/model.safetensors").read_bytes() == (whole / "last/model.safetensors").read_bytes()
