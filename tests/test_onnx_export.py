"""`cyclegan-hub export` and OnnxGenerator: the file, the proof, and what bad input gets."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.export import onnx_export
from cyclegan_hub.export import onnx_export as command
from cyclegan_hub.export.onnx_export import ExportError
from cyclegan_hub.hub import records
from cyclegan_hub.imaging import images
from support import tiny_models
from support.card_facts import facts
from support.pictures import picture
from support.pixels import apart, assert_same_pixels

onnx = pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")

from cyclegan_hub.models.onnx import OnnxError, OnnxGenerator, OnnxSizeWarning  # noqa: E402


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny_models.folder(tmp_path_factory.mktemp("models") / "smile", 1, 2)
    (path / "README.md").write_text("---\nlicense: mit\n---\n")  # what the record says counts
    (path / "recipe.json").write_text(json.dumps(facts("smile").run))
    return path


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "smile.onnx"
    command.export(str(source), out, epoch=1)
    return out


def test_the_file_says_what_it_is_and_the_proof_lies_beside_it(exported: Path) -> None:
    generator = OnnxGenerator(exported)
    assert generator.labels == ("not smiling", "smiling") and generator.direction == "a_to_b"
    assert (generator.epoch, generator.domain, generator.channels, generator.image_size) == (1, "smile", 3, 32)
    assert (generator.license, generator.source, generator.size) == ("research-only", "smile", None)
    assert "CelebA" in generator.metadata["terms"] and "127.5" in generator.metadata["range"]
    report = json.loads(exported.with_name("smile.proof.json").read_text())
    assert [re.search(r"\d+ x \d+", one["of"])[0] for one in report["found"]] == ["32 x 32", "72 x 48", "96 x 64"]
    assert all(0 <= one["mean"] <= one["largest"] < 0.01 for one in report["found"])
    assert sorted(path.name for path in exported.parent.iterdir()) == ["smile.onnx", "smile.proof.json"]


def test_it_translates_as_the_model_does(source: Path, exported: Path, tmp_path: Path) -> None:
    model, generator = CycleGenerator.from_pretrained(source, revision="epoch-001"), OnnxGenerator(exported)
    pictures = [picture(0, (40, 50)), picture(1, (33, 21)), picture(2, (50, 40), "L"), picture(3, (33, 21)), picture(4, (5, 90))]
    picture(5, (47, 31)).save(tmp_path / "a.png")
    for resolution in (None, 48, "original"):
        for one, other in zip(
            generator.translate([*pictures, tmp_path / "a.png"], resolution=resolution),
            model.translate([*pictures, tmp_path / "a.png"], resolution=resolution),
            strict=True,
        ):
            assert_same_pixels(one, other)
    assert_same_pixels(generator.translate(pictures[0]), model.translate(pictures[0]))


def test_a_fixed_size_takes_the_centred_square(source: Path, tmp_path: Path) -> None:
    command.export(str(source), tmp_path / "x.onnx", direction="b_to_a", size=40, dtype="fp16", opset=17)
    generator, model = OnnxGenerator(tmp_path / "x.onnx"), CycleGenerator.from_pretrained(source)
    one = picture(0, (70, 50))
    assert apart(generator.translate(one), model.translate(images.square(one, 40), "b_to_a", "original")) <= 1
    assert generator.labels == ("smiling", "not smiling")
    assert len(generator.translate([one] * 3)) == 3  # the batch stays free
    with pytest.raises(OnnxError, match="exported for 40 px alone"):
        generator.translate(one, resolution=64)
    with pytest.raises(OnnxError, match="holds b_to_a alone"):
        generator.translate(one, "a_to_b")


def test_torchscript(source: Path, tmp_path: Path) -> None:
    command.export(str(source), tmp_path / "x.pt", format="torchscript")
    network = torch.jit.load(tmp_path / "x.pt")
    model = CycleGenerator.from_pretrained(source)
    x = torch.rand(3, 3, 36, 44) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(network(x), model(x), atol=1e-4)
    assert json.loads((tmp_path / "x.proof.json").read_text())["run_by"].startswith("libtorch")


@pytest.mark.parametrize("exact", ["fp32", "fp16"])
def test_a_file_that_differs_too_much_is_not_left(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: str
) -> None:
    true = OnnxGenerator.run
    wrong = {"fp32": 0.3, "fp16": 0.6}[exact] / 127.5  # a whole picture that is 0.3/255 brighter, or 0.6/255
    monkeypatch.setattr(OnnxGenerator, "run", lambda self, x: true(self, x) + np.float32(wrong))
    with pytest.raises(ExportError, match=r"differs from the model by 0\.\d+/255.*nothing was written"):
        command.export(str(source), tmp_path / "x.onnx", dtype=exact, opset=17)
    monkeypatch.setattr(OnnxGenerator, "run", lambda self, x: true(self, x) * np.float32(np.nan))
    with pytest.raises(ExportError, match="nothing was written"):
        command.export(str(source), tmp_path / "x.onnx", dtype=exact, opset=17)
    assert list(tmp_path.iterdir()) == []


def test_the_proof_would_see_a_wrong_norm(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an export that leaves something out, not only against one that adds something."""
    true = command.to_onnx

    def without_norms(network: nn.Module, *arguments: Any, **options: Any) -> bytes:
        model = onnx.load_from_string(true(network, *arguments, **options))
        for node in model.graph.node:
            if node.op_type == "InstanceNormalization":
                node.attribute[0].f = 0.1  # another epsilon
        digest = next(one for one in model.metadata_props if one.key.endswith("sha256"))  # it would see the change first
        model.metadata_props.remove(digest)
        return model.SerializeToString()

    monkeypatch.setattr(command, "to_onnx", without_norms)
    with pytest.raises(ExportError, match="differs from the model"):
        command.export(str(source), tmp_path / "x.onnx", opset=17)
    assert onnx_export.LIMITS == {"fp32": (0.2, 0.2), "fp16": (6.0, 0.5)}


def test_an_existing_file_stays_without_force(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(ExportError, match="--force"):
        command.export(str(source), out)
    assert out.read_bytes() == b"mine"
    command.export(str(source), out, force=True, opset=17)
    assert OnnxGenerator(out).epoch == 2
    with pytest.raises(ExportError, match="there is no folder"):
        command.export(str(source), tmp_path / "no/x.onnx")


def test_files_that_are_none_of_ours(exported: Path, tmp_path: Path) -> None:
    data = exported.read_bytes()
    foreign = onnx.load_from_string(data)
    newer = onnx.load_from_string(data)
    del foreign.metadata_props[:]
    next(one for one in newer.metadata_props if one.key == "cyclegan_hub.format").value = "2"
    middle = len(data) // 2
    for name, content, said in (
        ("zeroed", data[:middle] + bytes(64) + data[middle + 64 :], "is damaged, or was changed after its export"),
        ("cut", data[:-100], "no ONNX file that onnxruntime can load"),
        ("text", b"hello", "no ONNX file that onnxruntime can load"),
        ("empty", b"", "no ONNX file that onnxruntime can load"),
        ("foreign", foreign.SerializeToString(), "was not written by `cyclegan-hub export` .its metadata has no"),
        ("newer", newer.SerializeToString(), "upgrade cyclegan_hub"),
    ):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(OnnxError, match=said) as error:
            OnnxGenerator(tmp_path / f"{name}.onnx")
        assert "\n" not in str(error.value) and name in str(error.value)
    with pytest.raises(OnnxError, match="cannot be read"):
        OnnxGenerator(tmp_path / "none.onnx")


def test_a_folder_without_a_card_asks_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records.ModelCard, "load", lambda *_, **__: pytest.fail("asked"))
    assert records.licence_of(tiny_models.folder(tmp_path / "m", 1)) is None


def test_wrong_arguments_of_translate(exported: Path) -> None:
    generator = OnnxGenerator(exported)
    with pytest.raises(ValueError, match="resolution=0"):
        generator.translate(picture(0), resolution=0)
    with pytest.raises(ValueError, match="batch_size=0"):
        generator.translate(picture(0), batch_size=0)
    with pytest.raises(images.ImageError, match="not an image"):
        generator.translate(b"x")
    with pytest.raises(OnnxError, match="translates pictures and draws none"):
        generator.sample()


def test_large_pictures_are_made_in_one_piece_or_smaller_and_it_is_said(exported: Path) -> None:
    generator = OnnxGenerator(exported)
    with pytest.warns(OnnxSizeWarning, match="1100 x 40 px is made in one piece"):
        assert generator.translate(picture(0, (1100, 40)), resolution="original").size == (1100, 40)
    with pytest.warns(OnnxSizeWarning, match="2500 x 40 px is made smaller, at 2000 x 32 px"):
        assert generator.translate(picture(0, (2500, 40)), resolution="original").size == (2000, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generator.translate(picture(0, (1024, 40)), resolution="original")


def test_translate_takes_the_file(source: Path, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    for i, size in enumerate(((40, 50), (1200, 40), (40, 50))):
        picture(i, size).save(tmp_path / "in" / f"{i}.png")
    arguments = [str(tmp_path / "in"), "--resolution", "original"]
    assert main(["translate", str(exported), arguments[0], str(tmp_path / "a"), *arguments[1:]]) == 0
    said = capsys.readouterr().err
    assert "note: a picture of 1200 x 40 px is made in one piece" in said and "Warning" not in said
    assert main(["translate", str(source), "--epoch", "1", arguments[0], str(tmp_path / "b"), *arguments[1:]]) == 0
    for i in range(3):
        assert_same_pixels(images.decode(tmp_path / "a" / f"{i}.png"), images.decode(tmp_path / "b" / f"{i}.png"))
    assert main(["translate", str(exported), "--epoch", "1", arguments[0], str(tmp_path / "c")]) == 2
    assert main(["translate", str(exported), "--direction", "b_to_a", arguments[0], str(tmp_path / "c")]) == 2
    assert "holds a_to_b alone" in capsys.readouterr().err and not (tmp_path / "c").exists()
