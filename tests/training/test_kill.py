"""Killed at random moments, or asked to stop, a run is resumed by the same command to the same end."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from cyclegan_hub.training.run_folder import RunFolder
from support.training import TINY, demo_data, history, train, weights
from support.warm import WarmProcess

pytestmark = pytest.mark.slow

KILLS = 3
LONGER, STEPS = ["--set", "epochs=3"], 36


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 24)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory) -> Path:
    """A run that was never stopped: 3 epochs of 12 steps, a save after every step."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert train("--data", data, "--out", out, *LONGER) == 0
    return out


def wait_for_step(process: WarmProcess, folder: Path, step: int) -> None:
    """Until a state of that step or a later one is there."""
    deadline = time.monotonic() + 120
    while (RunFolder(folder).latest_step() or 0) < step:
        assert process.poll() is None, f"ended by itself: {process.poll()}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_kill_9_at_random_moments_never_loses_the_last_save(whole: Path, data: Path, tmp_path: Path) -> None:
    out, draw = tmp_path / "run", random.Random()
    reached = 0
    for i in range(KILLS):
        process = WarmProcess([*TINY, "--data", data, "--out", out, *LONGER])
        try:
            wait_for_step(process, out, reached + 1)
            time.sleep(draw.uniform(0, 0.2))  # a step with its save takes less: any moment of either
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        survived = RunFolder(out).latest_step()
        assert survived is not None and survived >= reached + 1, f"kill {i}: step {reached + 1} was saved, {survived} is left"
        RunFolder(out).load_state(survived, rank=0, world_size=1)  # whole
        reached = survived
    assert train("--data", data, "--out", out, *LONGER) == 0
    assert weights(out) == weights(whole)
    assert history(out) == history(whole)
    assert not list(out.rglob("*.tmp"))  # the killed processes' temporary files are removed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_saves_and_stops(whole: Path, data: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    process = WarmProcess([*TINY, "--data", data, "--out", out, *LONGER, "--set", "save_every=1000", "--set", "log_every=1"])
    deadline = time.monotonic() + 120
    while not (out / "history.jsonl").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    done = process.wait(timeout=120)
    assert done.returncode == 128 + number, done.stderr
    assert "everything saved" in done.stderr and "Traceback" not in done.stderr
    stopped = RunFolder(out).latest_step()
    assert stopped is not None and stopped < STEPS
    assert train("--data", data, "--out", out, *LONGER) == 0
    assert (out / "last/model.safetensors").read_bytes() == (whole / "last/model.safetensors").read_bytes()
