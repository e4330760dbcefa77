"""How the tests start a training: real command lines at a tiny size, in this process or in one of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "train"
NO_FACES = ("eyes_a=none", "eyes_b=none")  # the images that the tests make show none
TINY = ["smile-compact", *(part for setting in (
    "image_size=32", "load_size=36", "width=4", "blocks=1", "disc_channels=4,8", "pool_size=4", "epochs=4",
    "snapshot_every=1", "save_every=4", "log_every=2", "max_images=none", "batch_size=2", "discriminator=patch",
    "adversarial=lsgan", "diffaugment=", "crop_size=none", "skip=false", "identity_a=1", "identity_b=1", "identity_start=5",
    *NO_FACES,
) for part in ("--set", setting))]  # fmt: skip


def script(name: str) -> ModuleType:
    """A script of train/, such as "gallery" or "encoder/classifiers", as a module that imports the files beside it."""
    path = TRAIN / f"{name}.py"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


def demo_data(tmp_path_factory: pytest.TempPathFactory, images: int) -> Path:
    """A new folder of two sides that train.py reads, `images` of each, 40 px."""
    folder = tmp_path_factory.mktemp("data")
    script("demo_data").make(folder, images=images, size=40)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 10)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """For evaluations in tests of something else: a report's plots take seconds. tests/evaluation has them."""
    monkeypatch.setattr("cyclegan_hub.evaluation.report.curves", lambda *_: None)
    monkeypatch.setattr("cyclegan_hub.evaluation.report.colours", lambda *_: b"")


def run_train(*arguments: object, plot: bool = False) -> int:
    """Runs train.py's main in this process and returns the exit code; losses.png, which takes a second, only with `plot`."""
    with pytest.MonkeyPatch.context() as patch:
        if not plot:
            patch.setattr("cyclegan_hub.imaging.plots.losses", lambda *_, **__: None)
        try:
            return script("train").main([*map(str, arguments)])
        except SystemExit as stop:  # argparse
            return int(stop.code or 0)


def train(*arguments: object, plot: bool = False) -> int:
    """A training of TINY."""
    return run_train(*TINY, *arguments, plot=plot)


def environment(**changes: str) -> dict[str, str]:
    # One thread, which is enough for networks of this size, and leaves the other cores to the other process of a test.
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | changes


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What the user reads of an error: one line, no traceback."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def history(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's history without what a clock says."""
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "pairs_per_s"} for line in lines]


def weights(folder: Path) -> dict[str, bytes]:
    """Every published file of a run, by its place."""
    found = sorted([*folder.glob("epochs/*/*"), *folder.glob("last/*"), *folder.glob("samples/*")])
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
