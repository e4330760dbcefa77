"""Names that are not UTF-8, which Linux allows, wherever a command takes a path: no traceback, readable records."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from cyclegan_hub.cli import main
from support.training import TINY, script

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse such names")
ODD = os.fsdecode(b"\xe9")
READABLE = r"\xe9"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a run, every name of both with a byte that is not UTF-8."""
    place = tmp_path_factory.mktemp("names")
    data, run = place / f"d-{ODD}", place / f"run-{ODD}"
    script("demo_data").make(data, images=6, size=40)
    for image in [path for path in data.rglob("*") if path.is_file()]:
        image.rename(image.with_name(f"{ODD}{image.name}"))
    labels = ["--labels", f"a{ODD},b", "--data-note", f"n{ODD}", "--data-licence", "mit"]
    train = ["train", *TINY, "--data", str(data), "--out", str(run), "--set", "epochs=1", *labels]
    assert main(train) == 0
    assert main(train) == 0  # nothing to do: the run is the same one
    return place


COMMANDS = {
    "inspect": ["inspect", "{}d-@", "--out", "{}i-@.png"],
    "convert npz": ["convert", "{}d-@/trainA", "{}c-@.npz"],
    "convert parquet": ["convert", "{}d-@/trainA", "{}c-@.parquet"],
    "read parquet": ["inspect", "--data-a", "{}c-@.parquet", "--out", "{}i-@.png"],
    "convert zip": ["convert", "{}d-@/trainA", "{}c-@.zip"],
    "translate zip": ["translate", "{}run-@", "{}c-@.zip", "{}t2-@"],
    "translate": ["translate", "{}run-@", "{}d-@/trainA", "{}t-@"],
    "evaluate": ["evaluate", "{}run-@", "--data", "{}d-@", "--extractor", "encoder", "--classifier", "none"],
    "publish": ["publish", "{}run-@", "user/name", "--dry-run", "--out", "{}pub-@"],
    "export": ["export", "{}run-@", "{}m-@.onnx", "--opset", "17"],
    "train from it": ["train", *TINY, "--data", "{}d-@", "--init", "{}run-@", "--out", "{}r2-@", "--max-steps", "1"],
}
WRONG = {
    "train": ["train", *TINY, "--data", "{}no-@", "--out", "{}r3-@"],
    "evaluate": ["evaluate", "{}no-@"],
    "translate": ["translate", "{}no-@", "{}d-@", "{}o-@"],
    "inspect": ["inspect", "{}no-@"],
    "export": ["export", "{}no-@", "{}m2-@.onnx"],
}


def filled(place: Path, words: list[str]) -> list[str]:
    return [word.replace("{}", f"{place}{os.sep}").replace("@", ODD) for word in words]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_them(place: Path, name: str) -> None:
    assert main(filled(place, COMMANDS[name])) == 0


@pytest.mark.parametrize("name", WRONG)
def test_a_missing_one_is_one_line(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(filled(place, WRONG[name])) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_records_hold_them_in_readable_form(place: Path) -> None:
    record = json.loads((place / f"run-{ODD}/recipe.json").read_bytes())
    assert record["data"]["a"] == rf"folder d-{READABLE}/trainA, held out: folder d-{READABLE}/testA"
    assert record["labels"] == [f"a{READABLE}", "b"]
    texts = [path for path in place.rglob("*") if path.suffix in (".json", ".jsonl", ".md", ".html")]
    assert len(texts) > 5
    for path in texts:
        assert "udce9" not in path.read_text("utf-8"), path
