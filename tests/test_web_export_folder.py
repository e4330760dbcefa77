"""The folder for the browser, without a browser: the graph, the files, the runtime, and what cannot be done."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.export.browser import VERSION, export_web, find_runtime
from cyclegan_hub.export.onnx_export import ExportError
from cyclegan_hub.export.winograd import WinogradConv2d, use_winograd
from cyclegan_hub.faces.mtcnn import WEIGHTS
from cyclegan_hub.models.generators import ResNetGenerator
from support import tiny_models

pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")


# ------------------------------------------------------------------------------------------------- without a browser


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_winograd_is_the_same_convolution(padding: str) -> None:

    conv = nn.Conv2d(16, 20, 3, padding=1, padding_mode=padding, bias=False)
    x = torch.randn(1, 16, 12, 20)
    assert torch.allclose(WinogradConv2d(conv)(x), conv(x), atol=1e-4)
    network = use_winograd(ResNetGenerator(3, 8, 2, "resize", padding))
    assert sum(isinstance(module, WinogradConv2d) for module in network.modules()) == 4 + 2  # of the blocks, and of resizing


@pytest.fixture
def fake_runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / name).write_bytes(b"x")
    return folder


def test_the_folder(fake_runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny_models.folder(tmp_path / "m", 1, 2, 5)
    assert (
        main(
            ["export", str(tmp_path / "m"), str(tmp_path / "site"), "--web", "--epochs", "5", "1", "--runtime", str(fake_runtime)]
        )
        == 0
    )
    site = tmp_path / "site"
    files = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    models = [f"models/{direction}-epoch-00{n}.onnx" for direction in ("a_to_b", "b_to_a") for n in (1, 5)]
    runtime = [f"runtime/{path.name}" for path in fake_runtime.iterdir()]
    page = [
        "README.md", "_headers", "app.js", "faces.js", "index.html", "manifest.json", "pixels.js", "proof.json", "style.css",
        "worker.js",
    ]  # fmt: skip
    assert files == sorted([*models, *runtime, *page])
    manifest = json.loads((site / "manifest.json").read_text("utf-8"))
    assert [epoch["number"] for epoch in manifest["epochs"]] == [1, 5] and manifest["size"] == 32
    proved = json.loads((site / "proof.json").read_text())
    assert sorted(proved) == models
    assert all(one["largest"] <= 6 and one["mean"] <= 0.5 for entry in proved.values() for one in entry["found"])
    policy = (site / "index.html").read_text("utf-8").partition('Policy" content="')[2].partition('"')[0]
    assert "default-src &#x27;none&#x27;" in policy and "http" not in policy
    readme = (site / "README.md").read_text("utf-8")
    assert readme.startswith('---\ntitle: "Smile"\n') and "sdk: static" in readme and "cross-origin-embedder-policy" in readme
    assert f"{sum((site / name).stat().st_size for name in files):,} bytes" in capsys.readouterr().out


def test_the_finder_is_there_where_faces_are_aligned(fake_runtime: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    CycleGenerator(width=4, blocks=1, image_size=32, eyes_a=(0.3, 0.4, 0.7, 0.4)).save_pretrained(tmp_path / "m")
    export_web(str(tmp_path / "m"), tmp_path / "site", runtime=str(fake_runtime))
    manifest = json.loads((tmp_path / "site/manifest.json").read_text("utf-8"))
    assert manifest["eyes"] == {"a_to_b": [0.3, 0.4, 0.7, 0.4], "b_to_a": None}
    assert manifest["skip"] == {"a_to_b": False, "b_to_a": False}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "site/faces").iterdir()}
    assert {name: found[name] for name in WEIGHTS} == WEIGHTS
    assert "MIT" in (tmp_path / "site/faces/LICENSE").read_text("utf-8")


def test_a_runtime_by_address(tmp_path: Path) -> None:
    tiny_models.folder(tmp_path / "m")
    cdn = "https://cdn.example/npm/onnxruntime-web@1.30.0/dist"
    export_web(str(tmp_path / "m"), tmp_path / "site", runtime=cdn)
    assert not (tmp_path / "site/runtime").exists()
    text = (tmp_path / "site/index.html").read_text("utf-8")
    assert (
        "https://cdn.example blob:" in text and json.loads((tmp_path / "site/manifest.json").read_text())["runtime"] == f"{cdn}/"
    )


@pytest.mark.parametrize("pairs", ["colorize", "upscale-4x", "repaint"])
def test_a_rule_of_pix2pix_is_in_the_graph(pairs: str, fake_runtime: Path, tmp_path: Path) -> None:
    tiny_models.paired(pairs=pairs, labels=("in", "out")).save_pretrained(tmp_path / "m")
    export_web(str(tmp_path / "m"), tmp_path / "site", size=16, runtime=str(fake_runtime))
    assert list(json.loads((tmp_path / "site/manifest.json").read_text())["epochs"][0]["files"]) == ["a_to_b"]


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    fake_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tiny_models.folder(tmp_path / "m", 1)
    monkeypatch.chdir(tmp_path)
    there = ["--runtime", str(fake_runtime)]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for out, given, said in (
        ("site", [], f"npm install onnxruntime-web@{VERSION}"),
        ("site", ["--runtime", str(tmp_path / "m")], "does not hold onnxruntime-web"),
        ("site", ["--runtime", "http://x.example/"], "starts with https://"),
        ("site", [*there, "--webgpu"], "does not hold onnxruntime-web"),
        ("full", there, "is not empty"),
        ("site", [*there, "--epochs", "7"], "no epoch 7; epochs there: 1"),
        ("site", [*there, "--size", "30"], "multiples of 4"),
        ("site", [*there, "--opset", "18"], "--opset is not for --web"),
        ("no/site", there, "there is no folder"),
    ):
        assert main(["export", "m", out, "--web", *given]) == 2
        error = capsys.readouterr().err
        assert said in error and error.startswith("error: ") and error.count("\n") == 1
    assert main(["export", "m", "x.onnx", "--epochs", "1"]) == 2
    assert "--epochs is for --web" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_another_version_of_the_runtime_is_refused(tmp_path: Path) -> None:
    dist = tmp_path / "node_modules/onnxruntime-web/dist"
    dist.mkdir(parents=True)
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (dist / name).write_bytes(b"x")
    (dist.parent / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    with pytest.raises(ExportError, match=rf"is onnxruntime-web 1\.2\.3, and {VERSION} was tested"):
        find_runtime(str(tmp_path))
    (dist.parent / "package.json").write_text(json.dumps({"version": VERSION}))
    assert find_runtime(str(tmp_path)).words == f"onnxruntime-web {VERSION}"
