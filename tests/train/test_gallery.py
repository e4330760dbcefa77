"""train/gallery.py: grid and tables from model folders alone, reproducible, and wrong folders named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.files import write_folder
from support.pixels import assert_same_pixels
from support.training import script

gallery = script("gallery")


def model_folder(path: Path, *, labels: tuple[str, str], epochs: tuple[int, ...], distance: str = "mmd[imagenet]") -> None:
    """As publish.build leaves one, with the metrics of an evaluation."""
    for epoch in epochs:
        model = CycleGenerator(width=4, blocks=1, image_size=16, domain=path.name, labels=labels, epoch=epoch)
        write_folder(path / f"epochs/epoch-{epoch:03d}", model.files())
    record = {"recipe": {"name": f"{path.name}-compact", "batch_size": 2}, "labels": list(labels)}
    (path / "recipe.json").write_text(json.dumps(record))
    (path / "history.jsonl").write_text('{"step": 10}\n{"step": 400}\n')
    names = [f"epoch-{epoch:03d}" for epoch in epochs]
    ends = {"mmd_low[imagenet]": 39.5, "mmd_high[imagenet]": 42.8}
    values = {name: {"a_to_b": {distance: 41.04, "success": 0.995, **ends}, "b_to_a": {distance: None}} for name in names}
    metrics = {
        "best": names[0], "rule": "by hand", "epochs": values,
        "baselines": {"untranslated": {"a_to_b": {distance: 80.0}}, "floor": {"a_to_b": {distance: 3.26}}},
    }  # fmt: skip
    (path / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    model_folder(tmp_path / "models/monet", labels=("photo", "Monet"), epochs=(1, 3))
    model_folder(tmp_path / "models/smile", labels=("not smiling", "smiling"), epochs=(1, 2, 9))
    return tmp_path / "models"


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# before\n{gallery.BEGIN}\nold\n{gallery.END}\nafter\n")
    return path


def run(models: Path, readme: Path | str) -> int:
    return gallery.main(["--models", str(models), "--page", str(readme)])


def test_tables_and_grid_come_from_the_files(models: Path, readme: Path) -> None:
    assert run(models, readme) == 0
    before, *table, end, after = readme.read_text().splitlines()[1:]
    assert (before, end, after) == (gallery.BEGIN, gallery.END, "after")
    assert [line for line in table if line.startswith("#")] == ["### smile", "### monet"]  # in the order of domains.py
    assert table[2] == "`smile-compact`, 800 pairs, epoch-001."
    assert table[4:10] == [
        "|  | `mmd[imagenet]` | `success` |",
        "|---|---|---|",
        "| not smiling → smiling: untranslated | 80.0 | - |",
        "| **not smiling → smiling** | 41.0 (39.5 to 42.8) | 99.5% |",
        "| real images | 3.3 | - |",
        "| **smiling → not smiling** | - | - |",
    ]
    with Image.open(models / "gallery.png") as grid:
        assert grid.height > 2 * gallery._CELL and grid.width > 4 * gallery._CELL

    first = readme.read_bytes(), (models / "gallery.png").read_bytes()
    assert run(models, readme) == 0
    assert (readme.read_bytes(), (models / "gallery.png").read_bytes()) == first


def test_a_row_is_the_photo_and_each_epoch(models: Path) -> None:
    folder = models / "smile"
    epochs = gallery.list_epochs(folder)
    row = gallery.image_row(folder, epochs)
    assert len(row) == 1 + len(epochs) and {image.size for image in row} == {(16, 16)}
    last = CycleGenerator.from_pretrained(folder, revision=epochs[-1].name)
    assert_same_pixels(row[-1], last.translate(row[0]))


def test_a_run_from_other_weights_is_marked_and_missing_metrics_have_no_column(models: Path) -> None:
    model_folder(models / "anime", labels=("human face", "anime face"), epochs=(1,), distance="fid[encoder]")
    path = models / "anime/recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"init": "runs/first"}))
    lines = gallery.section(models / "anime").splitlines()
    assert "|  | `success` |" in lines and "`anime-compact`, 800 pairs after `--init`, epoch-001." in lines


def test_missing_files_are_one_line(models: Path, readme: Path, tmp_path: Path, capsys) -> None:
    def error() -> str:
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    before = readme.read_bytes()
    assert run(tmp_path / "nowhere", readme) == 2 and "no model folder there" in error()
    model_folder(models / "anime", labels=("human face", "anime face"), epochs=(1,))
    (models / "anime/metrics.json").unlink()
    assert run(models, readme) == 2 and "run train/evaluate.py on it first" in error()
    assert readme.read_bytes() == before
    readme.write_text("no marks")
    model_folder(models / "anime", labels=("human face", "anime face"), epochs=(1,))
    assert run(models, readme) == 2 and "must stand there once each" in error()
    assert readme.read_text() == "no marks"
