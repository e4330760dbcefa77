"""`--set evaluate_every=N`: figures on held-out images in the history, the best model kept, and the training left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclegan_hub import CycleGenerator
from cyclegan_hub.evaluation import features
from cyclegan_hub.training.run_folder import RunFolder
from support.train_runs import data as data
from support.training import history, train, weights

pytestmark = pytest.mark.slow

EVERY_2 = ["--set", "evaluate_every=2"]


@pytest.fixture(scope="module")
def evaluated(data, tmp_path_factory) -> Path:
    """4 epochs of 5 steps, evaluated after the second and the fourth."""
    out = tmp_path_factory.mktemp("evaluated") / "run"
    assert train("--data", data, "--out", out, *EVERY_2) == 0
    return out


def evaluations(run: Path) -> list[dict]:
    return [line for line in history(run) if line.get("event") == "evaluation"]


def test_figures_are_recorded_and_the_best_is_kept(evaluated: Path) -> None:
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


def test_an_evaluation_changes_nothing_of_the_training(evaluated: Path, data: Path, tmp_path: Path) -> None:
    assert train("--data", data, "--out", tmp_path / "run") == 0
    assert not (tmp_path / "run/best").exists()
    assert weights(tmp_path / "run") == weights(evaluated)
    assert history(tmp_path / "run") == [line for line in history(evaluated) if line.get("event") != "evaluation"]


def test_a_run_stopped_and_continued_records_the_same(evaluated: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for stop in (7, 10, 12, 20):
        assert train("--data", data, "--out", out, *EVERY_2, "--max-steps", stop) == 0
    assert history(out) == history(evaluated)
    assert (out / "best/model.safetensors").read_bytes() == (evaluated / "best/model.safetensors").read_bytes()


def test_own_labels_have_no_classifier(data: Path, tmp_path: Path) -> None:
    own = ["--labels", "disc,square", "--set", "evaluate_every=1", "--set", "epochs=1"]
    assert train("--data", data, "--out", tmp_path / "run", *own) == 0
    (line,) = evaluations(tmp_path / "run")
    assert "score" in line and not [name for name in line if name.startswith("success")]


def test_without_an_encoder_nothing_is_trained(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(features, "BUNDLED_ENCODER", tmp_path / "none")
    assert train("--data", data, "--out", tmp_path / "run", *EVERY_2) == 2
    assert "error: this installation has no bundled encoder" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
