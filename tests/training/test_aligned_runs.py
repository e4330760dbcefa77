"""Runs of aligned faces: landmarks are kept from before the first step, a resumed run finds no face again, none is published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub import CycleGenerator
from cyclegan_hub.data.reading import Landmarks
from cyclegan_hub.imaging import images
from cyclegan_hub.publishing.build import build
from cyclegan_hub.training.cyclegan import CycleGANTrainer
from cyclegan_hub.training.run_folder import RunFolder
from support.aligned import PLACES
from support.aligned import data as data
from support.aligned import found as found
from support.aligned import no_finder as no_finder
from support.train_runs import one_line
from support.training import history, train, weights


def aligned(*arguments: object) -> int:
    return train("--set", f"eyes_a={','.join(map(str, PLACES))}", *arguments)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps that were not stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert aligned("--data", data, "--out", out, "--max-steps", 3) == 0
    return out


def test_a_run_keeps_its_landmarks_and_publishes_its_eyes(whole: Path, data: Path, found: Landmarks) -> None:
    kept = Landmarks.loads((whole / "landmarks.json").read_bytes())
    hashes = [
        images.content_hash(images.decode(file.read_bytes())) for part in ("trainA", "testA") for file in (data / part).iterdir()
    ]
    assert set(kept.found) == set(hashes) and sum(pair is None for pair in kept.found.values()) == 2
    assert kept == found
    model = CycleGenerator.from_pretrained(whole / "last")
    assert model.eyes == {"a_to_b": PLACES, "b_to_a": None}
    assert json.loads((whole / "recipe.json").read_text())["recipe"]["eyes_a"] == list(PLACES)


def test_a_resumed_run_needs_no_finder_and_ends_the_same(whole: Path, data: Path, tmp_path: Path, request: Any) -> None:
    out = tmp_path / "run"
    assert aligned("--data", data, "--out", out, "--max-steps", 1) == 0
    request.getfixturevalue("no_finder")
    assert aligned("--data", data, "--out", out, "--max-steps", 3) == 0
    assert weights(out) == weights(whole) and history(out) == history(whole)
    assert (out / "landmarks.json").read_bytes() == (whole / "landmarks.json").read_bytes()


def test_a_streaming_run_keeps_what_it_has_seen(data: Path, tmp_path: Path) -> None:
    options = ["--set", "streaming=true", "--set", "steps_per_epoch=3", "--data", data, "--out", tmp_path / "run"]
    counts = []
    for steps in (1, 3):
        assert aligned(*options, "--max-steps", steps) == 0
        counts.append(len(Landmarks.loads((tmp_path / "run/landmarks.json").read_bytes()).found))
    assert 4 + 2 <= counts[0] < counts[1] <= 17


def test_landmarks_are_written_before_the_first_step(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the first step")

    monkeypatch.setattr(CycleGANTrainer, "step", fails)
    with pytest.raises(RuntimeError, match="the first step"):
        aligned("--data", data, "--out", tmp_path / "run")
    assert len(Landmarks.loads((tmp_path / "run/landmarks.json").read_bytes()).found) == 17
    assert RunFolder(tmp_path / "run").latest_step() is None


def test_damaged_landmarks_of_a_run_are_one_line(whole: Path, data: Path, tmp_path: Path, capsys: Any) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "landmarks.json").write_bytes((whole / "landmarks.json").read_bytes()[:-9])
    assert aligned("--data", data, "--out", run) != 0
    assert "landmarks.json of the run is damaged: restore it, or delete it" in one_line(capsys)


def test_landmarks_are_not_published(whole: Path, tmp_path: Path) -> None:
    published = build(whole, tmp_path / "model", "user/faces")
    files = [path for path in published.rglob("*") if path.is_file()]
    hashes = Landmarks.loads((whole / "landmarks.json").read_bytes()).found
    assert len(files) > 5 and "landmarks.json" not in {path.name for path in files}
    assert not any(digest.encode() in path.read_bytes() for path in files for digest in hashes)
    assert not any(digest in (whole / "history.jsonl").read_text() for digest in hashes)
