"""What `accelerate launch` may ask for that a machine cannot do: one line each; and no device is named but by accelerate."""

from __future__ import annotations

import builtins
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cyclegan_hub.machine import peak_memory
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.training.launch import make_accelerator, processes_asked_for

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.state import AcceleratorState, PartialState

    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState._reset_state()


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ACCELERATE_MIXED_PRECISION", "fp16", "mixed_precision 'fp16' needs a GPU: launch with --mixed_precision bf16, or no"),
        ("ACCELERATE_MIXED_PRECISION", "fp8", "mixed_precision 'fp8': must be one of no, bf16, fp16"),
        ("ACCELERATE_MIXED_PRECISION", "half", "mixed_precision 'half': must be one of no, bf16, fp16"),
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


@pytest.mark.slow
def test_a_launcher_that_starts_fewer_processes_than_asked_for_is_noticed(tmp_path: Path) -> None:
    """`accelerate launch --cpu --num_processes 2` runs one process and says nothing of it."""
    program = tmp_path / "start.py"
    program.write_text("from cyclegan_hub.training.launch import make_accelerator\nprint(make_accelerator().num_processes)\n")
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for count, said in ((2, True), (1, False)):
        command = [*launch, f"--num_processes={count}", str(program)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.stdout.strip() == "1"
        assert ("note: 2 processes were asked for and one was started" in done.stderr) == said, done.stderr
    assert processes_asked_for(["accelerate", "launch", "--num-processes", "3", "train.py"]) == 3
    assert processes_asked_for(["bash", "-c", "train.py --num_processes 3"]) == 1


def test_memory_is_said_where_the_system_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = peak_memory()
    assert memory is not None and 0.05 < memory < 500
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "resource":
            raise ImportError("no module named resource")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert peak_memory() is None


def test_no_device_is_named() -> None:
    """MPS and CUDA by accelerate alone: a `.cuda()` or `device="cuda"` in training would leave other machines out."""
    for path in [*(ROOT / "cyclegan_hub" / "training").glob("*.py"), *(ROOT / "cyclegan_hub" / "models").glob("*.py")]:
        assert not re.search(r"\.cuda\(\)|\.mps\(\)|device\(?=?[\"']cuda", path.read_text("utf-8")), path.name
