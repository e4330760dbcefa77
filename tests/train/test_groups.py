"""train/groups.py: from a model folder and photographs to a record that the card shows, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.data.reading import FILE, Landmarks
from cyclegan_hub.imaging import images
from support.aligned import PLACES, load
from support.encoders import encoder_folder
from support.photos import portraits
from support.pictures import folder
from support.training import script

groups = script("groups")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    portraits(path / "trainA", range(2))
    portraits(path / "testA", range(20, 41))
    folder(path / "trainB", range(3), (40, 40))
    folder(path / "testB", range(100, 112), (40, 40))
    return path


@pytest.fixture(scope="module")
def found(data: Path) -> bytes:
    """The landmarks of all photographs, which a run keeps beside its epochs."""
    kept = Landmarks()
    load(data, landmarks=kept)
    return kept.dumps()


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"encoder:{encoder_folder(tmp_path_factory.mktemp('encoders') / 'encoder')}"


def model(path: Path, **changes: object) -> Path:
    torch.manual_seed(0)
    arguments = {"width": 4, "blocks": 1, "image_size": 32, "labels": ("day", "night"), "epoch": 1, "eyes_a": PLACES} | changes
    CycleGenerator(**arguments).save_pretrained(path / "epochs" / "epoch-001")
    (path / "metrics.json").write_text(json.dumps({"best": "epoch-001", "epochs": {"epoch-001": {"a_to_b": {"mmd": 1.0}}}}))
    return path


def test_groups_are_measured_and_written(
    data: Path, found: bytes, extractor: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place, files = model(tmp_path / "model"), sorted((data / "testA").iterdir())
    (place / FILE).write_bytes(found)
    marked = [images.content_hash(images.decode(path)) for path in files[1::2]]
    (tmp_path / "glasses.txt").write_text("\n".join(marked))
    options = ["--data", str(data), "--extractor", extractor, "--size", "32", "--label", f"glasses={tmp_path / 'glasses.txt'}"]
    shown = ["--by-eye", "darker half=1 of 10", "--sheets", str(tmp_path / "sheets")]
    assert groups.main([str(place), *options, *shown]) == 0
    metrics = json.loads((place / "metrics.json").read_text())
    assert metrics["epochs"] == {"epoch-001": {"a_to_b": {"mmd": 1.0}}}
    table = metrics["groups"]
    assert (table["epoch"], table["direction"], table["metric"]) == ("epoch-001", "a_to_b", "mmd[encoder]")
    assert [(one["split"], one["name"], one["n"], one["by_eye"]) for one in table["groups"]] == [
        ("skin", "darker half", 10, "1 of 10"), ("skin", "lighter half", 11, ""),
        ("glasses", "glasses", 10, ""), ("glasses", "without glasses", 11, ""),
    ]  # fmt: skip
    assert all(one["low"] <= one["high"] and one["untranslated"] != one["distance"] for one in table["groups"])
    assert "darker half: 10 photographs, mmd[encoder]" in capsys.readouterr().out
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert [path.stem for path in sheets] == ["darker-half", "glasses", "lighter-half", "without-glasses"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > 4 * 128


@pytest.mark.parametrize(
    ("changes", "options", "said"),
    [
        ({"eyes_a": None}, [], "its photographs are not aligned faces"),
        ({}, ["--label", "hats=none.txt"], "--label: there is no file none.txt"),
        ({}, ["--label", "hats"], "--label hats: give NAME=VALUE"),
        ({}, ["--by-eye", "hats=3"], "--by-eye hats: the groups are darker half, lighter half"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    changes: dict, options: list[str], said: str, data: Path, extractor: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place = model(tmp_path / "model", **changes)
    assert groups.main([str(place), "--data", str(data), "--extractor", extractor, "--size", "32", *options]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert "groups" not in json.loads((place / "metrics.json").read_text())


def test_a_label_that_no_photograph_has_and_a_model_that_was_not_evaluated(
    data: Path, found: bytes, extractor: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place = model(tmp_path / "model")
    (place / FILE).write_bytes(found)
    (tmp_path / "hats.txt").write_text("0123\n")
    options = ["--data", str(data), "--extractor", extractor, "--size", "32", "--label", f"hats={tmp_path / 'hats.txt'}"]
    assert groups.main([str(place), *options]) == 2
    assert "hats: 0 of 21 held-out photographs, and 10 are needed" in capsys.readouterr().err
    (place / "metrics.json").unlink()
    assert groups.main([str(place), *options]) == 2
    assert "has no metrics.json: run `cyclegan-hub evaluate` first" in capsys.readouterr().err


@pytest.mark.parametrize("domain", ["cartoon", "smile"])
def test_labels_are_content_hashes(domain: str) -> None:
    lines = (Path(groups.__file__).parent / "groups" / f"{domain}-glasses.txt").read_text().split()
    assert len(lines) == len(set(lines)) > 10
    assert all(len(line) == len(images.content_hash(Image.new("RGB", (2, 2)))) and int(line, 16) >= 0 for line in lines)
