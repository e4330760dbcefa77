"""`cyclegan-hub bench` and `info`: what they print, and what bad input gets. Nothing here asserts a time."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from cyclegan_hub.cli import main
from cyclegan_hub.export import onnx_export
from support import tiny_models

pytestmark = pytest.mark.slow


def test_bench_prints_a_row_for_each_size(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyclegan_hub.commands.bench.SECONDS", 0.01)
    monkeypatch.setattr(onnx_export, "to_onnx", partial(onnx_export.to_onnx, opset=17))  # by torch's older exporter: faster
    tiny_models.folder(tmp_path / "m")
    assert main(["bench", str(tmp_path / "m"), "--sizes", "16", "32", "--direction", "b_to_a"]) == 0
    head, names, *rows, machine = capsys.readouterr().out.splitlines()
    assert "b_to_a" in head and "torch, plain" in names and [row.split()[0] for row in rows] == ["16", "32"]
    assert all(row.endswith("x") for row in rows) and machine.startswith("this machine: channels_last")


def test_info_says_what_was_decided(capsys: pytest.CaptureFixture) -> None:
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert f"torch {torch.__version__}" in said and "inference on the CPU: channels_last" in said and "times as fast" in said
