"""`make demo`: what its commands are, that they parse, and that a training of seconds moves held-out images both ways."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from support.training import ROOT, run_train, script

# The recipe of `make demo`, smaller: seconds instead of minutes.
SHORT = ("image_size=32", "load_size=36", "width=8", "blocks=1", "disc_channels=8,16", "epochs=2", "lr=0.002", "sample_every=2")


def commands() -> list[list[str]]:
    """The words of each command of the target, without the programs of the environment."""
    text = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    (recipe,) = re.findall(r"^demo: \$.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    lines = [shlex.split(line.strip().removeprefix("@")) for line in recipe.splitlines()]
    return [line[next(i for i, word in enumerate(line) if word.startswith("train/")) :] for line in lines]


def test_a_short_demo_moves_images_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_data, (program, *training), show = commands()
    assert make_data == ["train/demo_data.py", "runs/demo-data"] and program == "train/train.py"
    script("demo_data").make(Path(make_data[1]), images=40, size=32)
    assert run_train(*training, *(word for setting in SHORT for word in ("--set", setting))) == 0
    assert show == ["train/demo_result.py", "runs/demo", "runs/demo-data"]
    capsys.readouterr()
    found = script("demo_result").compare(*map(Path, show[1:]))
    assert found.keys() == {"a_to_b", "b_to_a"} and all(after < before for before, after in found.values())
    first, second, picture = capsys.readouterr().out.splitlines()
    assert first.startswith("red ball → striped ball: ") and second.startswith("striped ball → red ball: ")
    assert picture == "runs/demo/before-after.png" and Image.open(picture).height > 4 * 128
