"""train.py as a user runs it: crops, TensorBoard, a dry run and streamed images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.training.cyclegan import CycleGANTrainer
from cyclegan_hub.training.run_folder import RunFolder
from support.train_runs import data as data
from support.train_runs import one_line
from support.training import train

pytestmark = pytest.mark.slow


def test_crops_are_trained_on_and_the_whole_is_published(data: Path, tmp_path: Path, monkeypatch) -> None:
    shapes: set[tuple[int, ...]] = set()
    step = CycleGANTrainer.step
    monkeypatch.setattr(
        CycleGANTrainer, "step", lambda self, batch, *rest: shapes.add(batch["a"].shape[1:]) or step(self, batch, *rest)
    )
    assert train("--data", data, "--out", tmp_path / "run", "--set", "crop_size=16", "--max-steps", 5) == 0
    assert shapes == {(3, 16, 16)}
    assert CycleGenerator.from_pretrained(tmp_path / "run" / "last").image_size == 32
    assert Image.open(tmp_path / "run" / "samples" / "epoch-001.png").width > 5 * 32


def test_tensorboard_gets_the_losses(data: Path, tmp_path: Path) -> None:
    assert train("--data", data, "--out", tmp_path / "run", "--max-steps", 4, "--log-with", "tensorboard") == 0
    assert list((tmp_path / "run" / "logs").rglob("events.out.tfevents*"))


def test_dry_run_prints_and_writes_nothing(data: Path, tmp_path: Path, capsys) -> None:
    assert train("--data", data, "--out", tmp_path / "run", "--dry-run") == 0
    out = capsys.readouterr().out
    model = CycleGenerator(width=4, blocks=1, padding="zeros")
    weights_a = sum(p.numel() for p in model.a_to_b.parameters())
    assert f"trainable weights of a_to_b: {weights_a}\n" in out
    assert "steps per epoch: 5; steps in all: 20" in out
    assert re.search(r"side A: 10 of 10 images to train on; 2 held out \(folder .*\)\nside B: 8 of 8 images", out)
    assert "disk needed: about" in out and '"image_size": 32' in out
    assert not (tmp_path / "run").exists()


def test_streaming_trains_and_resumes_at_its_position(data: Path, tmp_path: Path, capfd, caplog) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split in ("trainA", "trainB", "testA", "testB"):
        pictures = [{"bytes": p.read_bytes(), "path": p.name} for p in sorted((data / split).iterdir())]
        pq.write_table(pa.table({"image": pictures}), tmp_path / f"{split}.parquet")
    stream = ["--data", tmp_path, "--out", tmp_path / "run", "--set", "streaming=true", "--set", "steps_per_epoch=2"]
    assert train(*stream, "--max-steps", 3) == 0
    assert "side A: streamed; 2 held out" in capfd.readouterr().out
    assert train(*stream, "--max-steps", 4) == 0
    assert "resumed after 6 images, with a refilled shuffle buffer" in caplog.text
    capfd.readouterr()
    assert RunFolder(tmp_path / "run").latest_step() == 4
    assert train("--data", tmp_path, "--out", tmp_path / "other", "--set", "streaming=true") == 2
    assert "steps_per_epoch" in one_line(capfd)
