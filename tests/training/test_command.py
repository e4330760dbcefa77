"""The command that trains: one line for each wrong argument, and a dry run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cyclegan_hub import CycleGenerator
from support.pictures import parquet, picture
from support.training import TINY, one_line, script, train
from support.training import data as data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by the names in the table below."""
    root = tmp_path_factory.mktemp("places")
    for name in ("empty", "odd", "small", "large", "columns", "other"):
        (root / name).mkdir()
    for i in range(3):
        picture(i, (47, 24)).save(root / "odd" / f"{i}.png")
        for name, size in (("small", 20), ("large", 30)):
            picture(i, (size, size)).save(root / name / f"{i}.png")
            np.savez(root / name / "0.npz", images=np.zeros((3, size, size, 3), np.uint8))
    parquet(root / "columns/train.parquet", range(3))
    (root / "other/thesis.tex").write_text("precious")
    return {path.name: path for path in root.iterdir()} | {"data": data}


CYCLE, DATA = [*TINY, "--data", "{data}"], ["--data", "{data}"]
ERRORS = [
    (["smyle"], "no recipe 'smyle'; recipes: smile, anime, cartoon, monet"),
    (["smile"], "flwrlabs/celeba.* --data"),  # its own data sets, of a Hub that is out of reach
    ([*TINY, "--data", "no/such/folder"], "no/such/folder"),
    ([*CYCLE, "--set", "blocs=3"], "'blocs' is no field of a CycleGANRecipe; fields: image_size"),
    ([*CYCLE, "--set", "width"], "width='': must be a whole number"),
    ([*CYCLE, "--labels", "day"], "give two different names"),
    ([*CYCLE, "--labels", "day,day"], "give two different names"),
    (["faces-dcgan-64", *DATA, "--set", "side=b"], "side=b: faces has domain A only: .* leave side out; --data-a takes any"),
    (["colorize", *DATA, "--set", "side=b", "--labels", "in,out"], "side=b: faces has domain A only"),
    (["faces-dcgan-64", *DATA, "--labels", "a,b"], "--labels 'a,b': give one name"),
    ([*CYCLE, "--max-steps", "0"], "--max-steps 0: must be at least 1"),
    ([*CYCLE, "--seed", "-1"], "--seed -1"),
    ([*CYCLE, "--seed", "5000000000"], "--seed 5000000000: must be from 0"),
    ([*CYCLE, "--log-with", "punchcards"], "--log-with 'punchcards': must be one of"),
    ([*CYCLE, "--init", "no/such/model/folder"], "no/such/model/folder"),
    ([*CYCLE, "--push", "smile"], "'smile' has no owner: give 'user/name'"),
    ([*CYCLE, "--push", "user/smile"], "no token to publish with: log in with `hf auth login`"),
    ([*CYCLE, "--out", "{other}"], "holds 'thesis.tex' but no run"),
    ([*CYCLE, "--out", "{other}/thesis.tex"], "is a file"),
    ([*TINY, "--data-a", "hf:{columns}?split=train&column=picture", "--data-b", "{data}/trainB"], "picture.*image"),
    ([*TINY, "--data-a", "{empty}", "--data-b", "{data}/trainB"], "empty"),
    ([*TINY, "--data-a", "{data}/trainA", "--data-b", "{data}/trainA"], "both domains are"),
    (["faces-dcgan-64", "--data-b", "x"], "--data-b x: this method has one set of images: give it with --data-a"),
    (["pix2pix"], "there are no pairs: give --data, or --data-a and --data-b; pairs are one folder"),
    (["pix2pix", *DATA], "are not pairs: "),
    (["pix2pix", "--data-a", "{odd}"], "0.png is 47 x 24: a pair is one image of two halves of the same size"),
    (["pix2pix", "--data-a", "{small}", "--data-b", "{large}"], "the two halves of a pair must have one size"),
    (["pix2pix", "--data-a", "{small}/0.npz", "--data-b", "{large}/0.npz"], "the images have no names to pair them by"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[message[:40] for _, message in ERRORS])
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, places: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = [] if "--out" in arguments else ["--out", str(tmp_path / "run")]
    assert script("train").main([*(text.format(**places) for text in arguments), *out]) == 2
    assert re.search(message, one_line(capsys))
    assert not (tmp_path / "run").exists() and [p.name for p in places["other"].iterdir()] == ["thesis.tex"]


def test_dry_run_prints_and_writes_nothing(data: Path, tmp_path: Path, capsys) -> None:
    assert train("--data", data, "--out", tmp_path / "run", "--dry-run") == 0
    out = capsys.readouterr().out
    model = CycleGenerator(width=4, blocks=1, padding="zeros")
    weights_a = sum(p.numel() for p in model.a_to_b.parameters())
    assert f"trainable weights of a_to_b: {weights_a}\n" in out
    assert "steps per epoch: 5; steps in all: 20" in out
    assert re.search(r"domain A: 10 of 10 images to train on; 2 held out\ndomain B: 8 of 8 images", out)
    assert "disk needed: about" in out and '"image_size": 32' in out
    assert not (tmp_path / "run").exists()
