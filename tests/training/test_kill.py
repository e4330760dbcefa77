"""Killed at random moments, or asked to stop, a run is resumed by the same command to the same end."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cyclegan_hub.training.run_folder import RunFolder
from support.training import TINY, demo_data, history, train, weights
from support.warm import WarmProcess

pytestmark = pytest.mark.slow

KILLS = 3
RUN = ["--set", "epochs=2", "--set", "steps_per_epoch=12", "--set", "save_every=1"]  # 24 steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 6)


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
