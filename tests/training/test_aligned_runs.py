"""Runs of aligned faces keep the landmarks from before the first step; tests/test_kept_run.py resumes and publishes one."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from cyclegan_hub.data.reading import Landmarks
from cyclegan_hub.imaging import images
from cyclegan_hub.training.cyclegan import CycleGANTrainer
from cyclegan_hub.training.run_folder import RunFolder
from support.aligned import PLACES
from support.aligned import data as data
from support.training import one_line, train


def aligned(*arguments: object) -> int:
    return train("--set", f"eyes_a={','.join(map(str, PLACES))}", *arguments)


def test_landmarks_are_written_before_the_first_step(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--data", data, "--out", tmp_path / "run"]
    monkeypatch.setattr(CycleGANTrainer, "step", Mock(side_effect=RuntimeError("the first step")))
    with pytest.raises(RuntimeError, match="the first step"):
        aligned(*run)
    assert RunFolder(tmp_path / "run").latest_step() is None
    path = tmp_path / "run/landmarks.json"
    kept = Landmarks.loads(path.read_bytes()).found
    files = [file for part in ("trainA", "testA") for file in (data / part).iterdir()]
    assert set(kept) == {images.content_hash(images.decode(file.read_bytes())) for file in files} and len(kept) == 17
    assert sum(pair is None for pair in kept.values()) == 2
    path.write_bytes(path.read_bytes()[:-9])
    assert aligned(*run) == 2
    assert "landmarks.json of the run is damaged: restore it, or delete it" in one_line(capsys)


def test_a_streaming_run_keeps_what_it_has_seen(data: Path, tmp_path: Path) -> None:
    options = ["--set", "streaming=true", "--set", "steps_per_epoch=3", "--data", data, "--out", tmp_path / "run"]
    counts = []
    for steps in (1, 3):
        assert aligned(*options, "--max-steps", steps) == 0
        counts.append(len(RunFolder(tmp_path / "run").landmarks().found))
    assert 4 + 2 <= counts[0] < counts[1] <= 17
