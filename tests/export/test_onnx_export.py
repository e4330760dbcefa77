"""`cyclegan-hub export` and OnnxGenerator: the file, the proof, and what bad input gets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cyclegan_hub import DCGAN, CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.export import onnx_export
from cyclegan_hub.export.onnx_export import ExportError, Shape, to_onnx
from cyclegan_hub.faces import find_faces
from cyclegan_hub.hub import repository
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import InstanceNorm2d, PlainCNN, ResNetGenerator, UNetGenerator
from cyclegan_hub.models.noise import Noise
from cyclegan_hub.models.photograph import FaceNotFoundWarning, Options
from cyclegan_hub.models.translate_many import Done, translate_files
from support import photos, tiny_models
from support.card_facts import facts
from support.pictures import picture
from support.pixels import apart, assert_same_pixels
from support.training import ROOT

onnx = pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")

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
    onnx_export.export(str(source), out, epoch=1)
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
    onnx_export.export(str(source), tmp_path / "x.onnx", direction="b_to_a", size=40, dtype="fp16", opset=17)
    generator, model = OnnxGenerator(tmp_path / "x.onnx"), CycleGenerator.from_pretrained(source)
    one = picture(0, (70, 50))
    assert apart(generator.translate(one), model.translate(images.square(one, 40), "b_to_a", "original")) <= 1
    assert generator.labels == ("smiling", "not smiling")
    assert len(generator.translate([one] * 3)) == 3  # the batch stays free
    with pytest.raises(OnnxError, match="exported for 40 px alone"):
        generator.translate(one, resolution=64)
    with pytest.raises(OnnxError, match="holds b_to_a alone"):
        generator.translate(one, "a_to_b")


def test_a_model_with_noise_gives_its_own_images(tmp_path: Path) -> None:
    model = tiny_models.model(1, noise=True).eval()
    jitter(model).save_pretrained(tmp_path / "model")
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.onnx", opset=17)
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.pt", format="torchscript")
    generator, traced = OnnxGenerator(tmp_path / "x.onnx"), torch.jit.load(tmp_path / "x.pt")
    assert generator.metadata["format"] == "1"  # older packages use the file
    for size in ((40, 50), (96, 64)):
        one = picture(0, size)
        assert apart(generator.translate(one, resolution="original"), model.translate(one, resolution="original")) <= 1
    x = torch.rand(3, 3, 36, 44) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(traced(x), model(x), atol=1e-4)


def test_torchscript(source: Path, tmp_path: Path) -> None:
    onnx_export.export(str(source), tmp_path / "x.pt", format="torchscript")
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
        onnx_export.export(str(source), tmp_path / "x.onnx", dtype=exact, opset=17)
    monkeypatch.setattr(OnnxGenerator, "run", lambda self, x: true(self, x) * np.float32(np.nan))
    with pytest.raises(ExportError, match="nothing was written"):
        onnx_export.export(str(source), tmp_path / "x.onnx", dtype=exact, opset=17)
    assert list(tmp_path.iterdir()) == []


def test_the_proof_would_see_a_wrong_norm(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an export that leaves something out, not only against one that adds something."""
    true = onnx_export.to_onnx

    def without_norms(network: nn.Module, *arguments: Any, **options: Any) -> bytes:
        model = onnx.load_from_string(true(network, *arguments, **options))
        for node in model.graph.node:
            if node.op_type == "InstanceNormalization":
                node.attribute[0].f = 0.1  # another epsilon
        digest = next(one for one in model.metadata_props if one.key.endswith("sha256"))  # it would see the change first
        model.metadata_props.remove(digest)
        return model.SerializeToString()

    monkeypatch.setattr(onnx_export, "to_onnx", without_norms)
    with pytest.raises(ExportError, match="differs from the model"):
        onnx_export.export(str(source), tmp_path / "x.onnx", opset=17)
    assert onnx_export.LIMITS == {"fp32": (0.2, 0.2), "fp16": (6.0, 0.5)}


BAD = {
    "old opset": (["--opset", "9"], "opset 9 is too old"),
    "new opset": (["--opset", "99"], "opset 99 is newer than the installed onnx"),
    "multiple": (["--size", "66"], "multiples of 4, from 8 px up"),
    "small": (["--size", "4"], "from 8 px up"),
    "direction": (["--direction", "samples"], "this CycleGenerator has a_to_b, b_to_a"),
    "epoch": (["--epoch", "7"], "no epoch 'epoch-007'"),
    "ending": (["--format", "torchscript"], "ends in .pt, or --format onnx"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    case: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments, said = BAD[case]
    assert main(["export", str(source), str(tmp_path / "x.onnx"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_without_force(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(ExportError, match="--force"):
        onnx_export.export(str(source), out)
    assert out.read_bytes() == b"mine"
    onnx_export.export(str(source), out, force=True, opset=17)
    assert OnnxGenerator(out).epoch == 2
    with pytest.raises(ExportError, match="there is no folder"):
        onnx_export.export(str(source), tmp_path / "no/x.onnx")


def test_files_that_are_none_of_ours(exported: Path, tmp_path: Path) -> None:
    data = exported.read_bytes()
    foreign = onnx.load_from_string(data)
    newer = onnx.load_from_string(data)
    del foreign.metadata_props[:]
    next(one for one in newer.metadata_props if one.key == "cyclegan_hub.format").value = "3"
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
    monkeypatch.setattr(repository.ModelCard, "load", lambda *_, **__: pytest.fail("asked"))
    assert repository.licence_of(tiny_models.folder(tmp_path / "m", 1)) is None


def test_wrong_arguments_of_translate(exported: Path) -> None:
    generator = OnnxGenerator(exported)
    with pytest.raises(ValueError, match="resolution=0"):
        generator.translate(picture(0), resolution=0)
    with pytest.raises(ValueError, match="batch_size=0"):
        generator.translate(picture(0), batch_size=0)
    with pytest.raises(images.ImageError, match="not an image"):
        generator.translate(b"x")
    with pytest.raises(OnnxError, match="translates images and generates none"):
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
    assert "note: an image of 1200 x 40 px is made in one piece" in said and "Warning" not in said
    assert main(["translate", str(source), "--epoch", "1", arguments[0], str(tmp_path / "b"), *arguments[1:]]) == 0
    for i in range(3):
        assert_same_pixels(images.decode(tmp_path / "a" / f"{i}.png"), images.decode(tmp_path / "b" / f"{i}.png"))
    assert main(["translate", str(exported), "--epoch", "1", arguments[0], str(tmp_path / "c")]) == 2
    assert main(["translate", str(exported), "--direction", "b_to_a", arguments[0], str(tmp_path / "c")]) == 2
    assert "holds a_to_b alone" in capsys.readouterr().err and not (tmp_path / "c").exists()


# ----------------------------------------------------------------------------------------------------
# `cyclegan-hub export` of every network: both of torch's exporters, pix2pix with each of its rules, DCGAN.


NETWORKS: dict[str, tuple[nn.Module, int]] = {
    "resnet-paper": (ResNetGenerator(3, 4, 1, "transpose", "reflect", 0.5), 4),
    "resnet-skip": (ResNetGenerator(3, 4, 1, "resize", "zeros", skip=True), 4),
    "resnet-noise": (ResNetGenerator(3, 4, 1, "resize", "zeros", noise=True), 4),
    "unet": (UNetGenerator(1, 4, 4), 16),
    "cnn": (PlainCNN(3, 4, 3), 1),
}


def jitter(network: nn.Module) -> nn.Module:
    """Norms as after a training: with scales that are not 1 and biases that are not 0."""
    for module in network.modules():
        if isinstance(module, InstanceNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
        if isinstance(module, Noise):
            nn.init.normal_(module.weight, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize("opset", [17, 18])  # below 18 torch's older exporter writes, from there on the newer one
@pytest.mark.parametrize("name", NETWORKS)
def test_both_exporters_write_what_the_network_computes_at_any_size(name: str, opset: int) -> None:
    network, multiple = NETWORKS[name]
    network = jitter(network)
    channels = 1 if name == "unet" else 3
    example = torch.rand(2, channels, 64, 96) * 2 - 1
    data = to_onnx(network, Shape(example, any_size=True, multiple=multiple), opset=opset, metadata={"a": "ä"})
    model = onnx.load_from_string(data)
    assert [one.version for one in model.opset_import if not one.domain] == [opset]
    assert next((one.key, one.value) for one in model.metadata_props) == ("cyclegan_hub.a", "ä")
    assert [one.key for one in model.metadata_props] == ["cyclegan_hub.a", "cyclegan_hub.sha256"]
    assert str(Path.home()) not in str(data) and b"site-packages" not in data
    norms = sum(isinstance(module, InstanceNorm2d) for module in network.modules())
    assert [node.op_type for node in model.graph.node].count("InstanceNormalization") == norms  # one fused operation each
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 32, 48), (3, channels, 80, 64)):
        x = torch.rand(shape) * 2 - 1
        with torch.inference_mode():
            expected = network(x).numpy()
        assert np.abs(session.run(None, {"x": x.numpy()})[0] - expected).max() < 1e-4


def test_noise_of_a_fixed_size_is_computed_and_not_stored() -> None:
    """One map times the weights of all channels would be larger than the weights of the whole network."""
    network, example = jitter(ResNetGenerator(3, 8, 1, noise=True)), torch.rand(1, 3, 64, 64) * 2 - 1
    sizes = [len(to_onnx(network, Shape(example, False, any_size, 4), metadata={})) for any_size in (False, True)]
    assert sizes[0] < 1.2 * sizes[1]
    data = to_onnx(network, Shape(example, any_batch=False), metadata={})
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(example).numpy()
    assert np.abs(session.run(None, {"x": example.numpy()})[0] - expected).max() < 1e-4


@pytest.mark.parametrize("pairs", ["given", "colorize", "upscale-4x", "repaint"])
@pytest.mark.parametrize("kind, opset", [("unet", 17), ("cnn", 17), ("cnn", 18)])
def test_pix2pix_with_every_rule(pairs: str, kind: str, opset: int, tmp_path: Path) -> None:
    # 16 channels, so that the layers hold enough weights to be stored in 16 bits
    model = tiny_models.paired(pairs=pairs, generator=kind, width=16, blocks=3, labels=("in", "out"))
    jitter(model).save_pretrained(tmp_path / "model")
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.onnx", dtype="fp16", opset=17)
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x32.onnx", opset=opset)
    generator = OnnxGenerator(tmp_path / "x32.onnx")
    for size in ((40, 50), (33, 21), (9, 8)):
        for resolution in (None, "original"):
            one, other = (network.translate(picture(0, size), resolution=resolution) for network in (generator, model))
            assert_same_pixels(one, other)
    if opset == 17:  # the two exporters write the graph differently
        assert (tmp_path / "x.onnx").stat().st_size < (tmp_path / "x32.onnx").stat().st_size
    assert generator.metadata["format"] == ("1" if pairs == "given" else "2")


@pytest.mark.parametrize("half", [False, True])
def test_the_ir_version_is_the_least_that_the_opset_needs(half: bool) -> None:
    """onnxruntime 1.16 reads IR 9 at most, and opset 18 came with IR 8. The table is that of ONNX's own versions."""
    least = {opset: ir for _, ir, opset, *_ in onnx.helper.VERSION_TABLE}
    written = {}
    for opset in range(onnx_export.OLDEST, onnx.defs.onnx_opset_version() + 1):
        try:
            data = to_onnx(PlainCNN(width=4).eval(), Shape(torch.rand(1, 3, 32, 32)), opset=opset, metadata={}, half=half)
        except ExportError:  # torch's exporters do not write every one
            continue
        written[opset] = onnx.load_from_string(data).ir_version
        if opset <= 18:
            onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert {17, 18} <= set(written) and written[18] == 8
    assert written == {opset: least[opset] for opset in written}


@pytest.mark.parametrize("opset", [17, 18])
def test_dcgan(opset: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DCGAN(latent=8, widths=(8, 4, 4), domain="faces", epoch=3)
    model.save_pretrained(tmp_path / "faces")
    onnx_export.export(str(tmp_path / "faces"), tmp_path / "faces.onnx", opset=opset)
    generator = OnnxGenerator(tmp_path / "faces.onnx")
    z = model.latents(5, seed=7)
    for one, other in zip(generator.draw(z.numpy()), model.eval().draw(z), strict=True):
        assert_same_pixels(one, other)
    assert len(generator.sample(3, seed=1)) == 3
    assert_same_pixels(generator.sample(1, seed=1)[0], generator.sample(3, seed=1)[0])
    with pytest.raises(OnnxError, match="generates face images and translates none"):
        generator.translate(picture(0))


# ----------------------------------------------------------------------------------------------------
# OnnxGenerator and CycleGenerator treat a photograph of a face alike: found, aligned, translated, put back.


FREE = ROOT / "cyclegan_hub" / "free_images"
EYES = DOMAINS["anime"].a.eyes
STEPS = 2  # a value that lies between two is rounded up by one runtime and down by the other; an enlarged change is rounded twice


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FaceNotFoundWarning)
        warnings.simplefilter("error", OnnxSizeWarning)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models whose A are faces, with the skip and without, with a file of any size and one of 40 px each."""
    path = tmp_path_factory.mktemp("models")
    for name, skip in (("skip", True), ("plain", False)):
        tiny_models.folder(path / name, eyes_a=EYES, skip=skip)
        for size in (None, 40):
            onnx_export.export(str(path / name), path / f"{name}-{size}.onnx", opset=17, size=size)
    return path


def both(folder: Path, name: str, size: int | None = None) -> tuple[OnnxGenerator, CycleGenerator]:
    return OnnxGenerator(folder / f"{name}-{size}.onnx"), CycleGenerator.from_pretrained(folder / name)


def portrait() -> Image.Image:
    return photos.photo("examples/grace_hopper")


def two_faces() -> Image.Image:
    """A transparent photograph of a large and a small face."""
    photo = Image.new("RGB", (400, 300), "grey")
    face = Image.open(FREE / "astronaut_face.jpg")
    photo.paste(face.resize((120, 120)), (20, 80))
    photo.paste(face.resize((220, 220)), (170, 40))
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    return photo


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "aligned": ("skip", {}),
    "plain": ("plain", {}),
    "model's size": ("skip", {"detail": False}),
    "strength": ("skip", {"strength": 0.5}),
    "whole": ("skip", {"whole": True}),
    "plain whole": ("plain", {"whole": True}),
    "all": ("skip", {"whole": True, "face": "all", "strength": 0.5}),
    "second": ("plain", {"face": 1}),
    "none": ("skip", {"face": "none"}),
    "enlarged change": ("skip", {"face": "none", "detail": True}),
    "resolution": ("plain", {"resolution": 48}),
    "own scale": ("plain", {"resolution": "original"}),
    "batch of 1": ("skip", {"batch_size": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_both_give_the_same(case: str, folder: Path) -> None:
    name, options = CASES[case]
    generator, model = both(folder, name)
    given = [two_faces()] if options.get("face") == 1 else [two_faces(), portrait(), two_faces()]
    found, expected = generator.translate(given, **options), model.translate(given, **options)
    assert max(apart(one, other) for one, other in zip(found, expected, strict=True)) <= STEPS
    options = {name: options[name] for name in ("face", "resolution") if options.get(name, "all") != "all"}
    assert apart(generator.prepare(given[0], **options), model.prepare(given[0], **options)) == 0


@pytest.mark.parametrize("name", ["skip", "plain"])
def test_a_file_of_one_size_aligns_faces_to_it(name: str, folder: Path) -> None:
    generator, model = both(folder, name, 40)
    assert generator.prepare(portrait()).size == (40, 40)
    for options in ({}, {"whole": True}, {"detail": False}, {"whole": True, "face": "all"}):
        expected = model.translate(two_faces(), resolution=40, **options)
        assert apart(generator.translate(two_faces(), **options), expected) <= STEPS
    left, right = find_faces(generator.prepare(portrait()).resize((160, 160)))[0].eyes
    assert np.abs(np.array([left.real, left.imag, right.real, right.imag]) / 160 - EYES).max() < 0.03
    with pytest.raises(OnnxError, match="exported for 40 px alone"):
        generator.translate(portrait(), resolution="original")


def test_an_image_as_a_whole_in_a_file_of_one_size_is_its_centred_square(folder: Path) -> None:
    generator, model = both(folder, "skip", 40)
    photo = two_faces()
    square = photo.crop((50, 0, 350, 300))
    small = generator.translate(photo, face="none")
    assert (small.size, small.mode) == ((40, 40), "RGBA")
    assert apart(small.getchannel("A"), images.square(square.getchannel("A"), 40)) <= 1
    untouched = generator.translate(photo, face="none", detail=True, strength=0)
    assert apart(untouched.convert("RGB"), images.decode(square)) <= 1
    detailed = generator.translate(photo, face="none", detail=True)
    expected = model.translate(square, face="none", resolution=40, detail=True)
    # Made smaller with what lies beyond the square's border, or without.
    assert np.abs(np.asarray(detailed, int) - np.asarray(expected, int)).mean() < 1


@pytest.mark.parametrize("size", [None, 40])
def test_no_face(size: int | None, folder: Path) -> None:
    generator, _ = both(folder, "skip", size)
    cat = images.decode(FREE / "chelsea.jpg")
    with pytest.warns(FaceNotFoundWarning, match="all of it is translated"):
        found = generator.translate(cat)
    assert apart(found, generator.translate(cat, face="none")) <= 1
    with pytest.warns(FaceNotFoundWarning, match="left as it is"):
        assert apart(generator.translate(cat, whole=True), cat) == 0
    with pytest.raises(images.ImageError, match=r"face=0: no face is found in 'chelsea\.jpg'"):
        generator.translate(FREE / "chelsea.jpg", face=0)
    with pytest.raises(images.ImageError, match="face=2: this image has 2"):
        generator.translate(two_faces(), face=2)


def test_what_the_file_says_of_eyes_and_skip(folder: Path) -> None:
    generator, model = both(folder, "skip")
    assert generator.eyes == {"a_to_b": model.eyes["a_to_b"]} == {"a_to_b": EYES} and generator.skip
    plain, _ = both(folder, "plain", 40)
    assert plain.eyes == {"a_to_b": EYES} and not plain.skip
    assert generator.metadata["format"] == "1"  # older packages use the file as they used every one


def test_an_earlier_export_without_its_rule_has_to_be_made_again(tmp_path: Path) -> None:
    tiny_models.paired(pairs="colorize", generator="cnn").save_pretrained(tmp_path / "model")
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.onnx", opset=17)
    graph = onnx.load(tmp_path / "x.onnx")
    changed = {"cyclegan_hub.format": "1", "cyclegan_hub.sha256": "0" * 64}
    for one in graph.metadata_props:
        one.value = changed.get(one.key, one.value)
    with pytest.raises(OnnxError, match="was exported by an earlier version, without its rule for inputs: export it again"):
        OnnxGenerator.from_bytes(graph.SerializeToString())


@pytest.mark.parametrize("size", [None, 40])
def test_translate_files_takes_a_file(folder: Path, size: int | None) -> None:
    generator, _ = both(folder, "skip", size)
    given = {"portrait": portrait(), "two": two_faces()}
    # Of one size, the square that is enlarged is cut first or last, which its border shows.
    for options in ({}, {"face": "all", "whole": True, "strength": 0.5}, {"face": "none", "detail": size is None}):
        for one in translate_files(generator, given.items(), options=Options(**options)):
            assert isinstance(one, Done)
            assert_same_pixels(one.image, generator.translate(given[one.name], **options))


def without_eyes_and_skip(path: Path) -> bytes:
    """The file as an export wrote it before both were there."""
    graph = onnx.load(path)
    kept = [one for one in graph.metadata_props if one.key.removeprefix("cyclegan_hub.") not in ("eyes", "skip", "sha256")]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    return graph.SerializeToString()


def test_a_file_exported_before_takes_images_as_they_are(folder: Path) -> None:
    old = OnnxGenerator.from_bytes(without_eyes_and_skip(folder / "skip-None.onnx"))
    assert old.eyes == {"a_to_b": None} and not old.skip
    assert apart(old.translate(portrait()), both(folder, "skip")[0].translate(portrait(), face="none")) <= 1


@pytest.mark.parametrize("eyes", ["[0.3, 0.5]", "7", "[null, 0, 0, 0]"])
def test_damaged_eyes_are_one_line(eyes: str, folder: Path) -> None:
    graph = onnx.load_from_string(without_eyes_and_skip(folder / "skip-None.onnx"))
    graph.metadata_props.add(key="cyclegan_hub.eyes", value=eyes)
    with pytest.raises(OnnxError, match="was not written by `cyclegan-hub export`") as error:
        OnnxGenerator.from_bytes(graph.SerializeToString())
    assert "\n" not in str(error.value)


def test_a_large_face_is_made_in_one_piece_or_smaller_and_it_is_said(folder: Path) -> None:
    generator, _ = both(folder, "plain")
    with pytest.warns(OnnxSizeWarning, match="a face of 1100 x 1100 px is made in one piece"):
        assert generator.prepare(portrait(), resolution=1100).size == (1100, 1100)
    with pytest.warns(OnnxSizeWarning, match="a face of 2100 x 2100 px is made smaller, at 2048 x 2048 px"):
        assert generator.prepare(portrait(), resolution=2100).size == (2048, 2048)


def test_a_bundled_model_exported(tmp_path: Path) -> None:
    source = ROOT / "pretrained" / "smile"
    onnx_export.export(str(source), tmp_path / "x.onnx", opset=17)
    generator = OnnxGenerator(tmp_path / "x.onnx")
    model = CycleGenerator.from_pretrained(source, revision=f"epoch-{generator.epoch:03d}")
    assert generator.eyes["a_to_b"] == model.eyes["a_to_b"] is not None
    for photo, options in ((portrait(), {}), (picture(0, (60, 50)), {"face": "none"})):
        assert apart(generator.prepare(photo, **options), model.prepare(photo, **options)) == 0
        # proof.LIMITS, 0.2/255 before rounding, are at most one step after it
        assert apart(generator.translate(photo, **options), model.translate(photo, **options)) <= STEPS
    assert "the face of astronaut_face.jpg, aligned" in (tmp_path / "x.proof.json").read_text("utf-8")


def test_a_face_is_translated_without_torch(folder: Path) -> None:
    code = """
import sys
from cyclegan_hub import OnnxGenerator
generator = OnnxGenerator(sys.argv[1])
for options in ({}, {"whole": True, "strength": 1.3}):
    print(generator.translate(sys.argv[2], **options).size)
print("torch" in sys.modules)
"""
    files = [str(folder / "skip-None.onnx"), str(FREE / "astronaut.jpg")]
    said = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    face, whole, torch = said.splitlines()
    assert (whole, torch) == (str(Image.open(files[1]).size), "False") and face != whole
