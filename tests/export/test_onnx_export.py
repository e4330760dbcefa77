"""`cyclegan-hub export` and OnnxGenerator: the file, the proof, and what bad input gets."""

from __future__ import annotations

import contextlib
import functools
import json
import re
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
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import InstanceNorm2d, PlainCNN, ResNetGenerator, UNetGenerator
from cyclegan_hub.models.noise import Noise
from cyclegan_hub.models.photograph import FaceNotFoundWarning, Options
from cyclegan_hub.models.translate_many import Done, translate_files
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
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
    onnx_export.export(str(source), out, epoch=1, opset=17)
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
    (tmp_path / "x.onnx").write_bytes(b"replaced")
    onnx_export.export(str(source), tmp_path / "x.onnx", direction="b_to_a", size=40, dtype="fp16", opset=17, force=True)
    generator, model = OnnxGenerator(tmp_path / "x.onnx"), CycleGenerator.from_pretrained(source)
    one = picture(0, (70, 50))
    assert apart(generator.translate(one), model.translate(images.square(one, 40), "b_to_a", "original")) <= 1
    assert generator.labels == ("smiling", "not smiling")
    assert len(generator.translate([one] * 3)) == 3  # the batch stays free
    with pytest.raises(OnnxError, match="exported for 40 px alone"):
        generator.translate(one, resolution=64)
    with pytest.raises(OnnxError, match="holds b_to_a alone"):
        generator.translate(one, "a_to_b")
    with pytest.raises(OnnxError, match="translates images and generates none"):
        generator.sample()


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
    assert json.loads((tmp_path / "x.proof.json").read_text())["run_by"].startswith("libtorch")


@pytest.mark.parametrize(("dtype", "factor", "added"), [("fp32", 1, 0.3), ("fp16", 1, 0.6), ("fp32", np.nan, 0)])
def test_a_file_that_differs_too_much_is_not_left(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, factor: float, added: float
) -> None:
    """Images that are 0.3/255 brighter, or 0.6/255, or NaN."""
    true = OnnxGenerator.run
    monkeypatch.setattr(OnnxGenerator, "run", lambda self, x: np.float32(factor) * true(self, x) + np.float32(added / 127.5))
    with pytest.raises(ExportError, match=r"differs from the model by .*/255.*nothing was written"):
        onnx_export.export(str(source), tmp_path / "x.onnx", dtype=dtype, opset=17)
    assert list(tmp_path.iterdir()) == []


def test_the_verification_would_see_a_wrong_norm(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an export that leaves something out, not only against one that adds something."""
    true = onnx_export.to_onnx

    def without_norms(*arguments: Any, **options: Any) -> bytes:
        model = onnx.load_from_string(true(*arguments, **options))
        for node in model.graph.node:
            if node.op_type == "InstanceNormalization":
                node.attribute[0].f = 0.1  # another epsilon
        return with_metadata(model, sha256=None)  # it would see the change first

    monkeypatch.setattr(onnx_export, "to_onnx", without_norms)
    with pytest.raises(ExportError, match="differs from the model"):
        onnx_export.export(str(source), tmp_path / "x.onnx", opset=17)
    assert onnx_export.LIMITS == {"fp32": (0.2, 0.2), "fp16": (6.0, 0.5)}


def with_metadata(model: Any, /, **changed: str | None) -> bytes:
    """A file with other metadata of ours; None removes one."""
    values = {one.key: one.value for one in model.metadata_props} | {f"cyclegan_hub.{key}": to for key, to in changed.items()}
    del model.metadata_props[:]
    for key, value in values.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


DAMAGED = {
    "zeroed": (
        lambda data: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :],
        "is damaged, or was changed after its export",
    ),
    "cut": (lambda data: data[:-100], "no ONNX file that onnxruntime can load"),
    "empty": (lambda data: b"", "no ONNX file that onnxruntime can load"),
    "foreign": ({"format": None}, "was not written by `cyclegan-hub export` .its metadata has no 'format'"),
    "newer": ({"format": "3"}, "upgrade cyclegan_hub"),
    "no rule": ({"pairs": "colorize"}, "was exported by an earlier version, without its rule for inputs: export it again"),
    "unknown rule": ({"pairs": "blur"}, "pairs 'blur' is not one of"),
    "another model": ({"model": "Other"}, "model 'Other' is not one of"),
    "short eyes": ({"eyes": "[0.3, 0.5]"}, "was not written by `cyclegan-hub export`"),
    "no eyes": ({"eyes": "[null, 0, 0, 0]"}, "was not written by `cyclegan-hub export`"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_files_that_are_none_of_ours(case: str, exported: Path) -> None:
    change, message = DAMAGED[case]
    data = exported.read_bytes()
    made = change(data) if callable(change) else with_metadata(onnx.load_from_string(data), **{"sha256": None, **change})
    with pytest.raises(OnnxError, match=message) as error:
        OnnxGenerator.from_bytes(made, "a.onnx")
    assert "\n" not in str(error.value) and (case == "newer" or "a.onnx" in str(error.value))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match=r"none\.onnx cannot be read"):
        OnnxGenerator(tmp_path / "none.onnx")


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


def test_what_an_exporter_or_16_bits_cannot_express(monkeypatch: pytest.MonkeyPatch) -> None:
    network, shape = PlainCNN(3, 64, 3), Shape(torch.rand(1, 3, 8, 8))
    nn.init.constant_(network.layers[2].weight, 1e6)
    with pytest.raises(ExportError, match=r"holds 1e\+06, beyond what fp16 can: give --dtype fp32"):
        to_onnx(network.eval(), shape, opset=17, metadata={}, half=True)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("outer") from ValueError("inner\nmore")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(ExportError, match=r"^opset 17 cannot express this model \(inner\): give --opset 18$"):
        to_onnx(network, shape, opset=17, metadata={})


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


@pytest.mark.parametrize(  # below 18 torch's older exporter writes, from there on the newer one, which is slow
    "name, opset",
    [*((name, 17) for name in NETWORKS), ("resnet-paper", 18), ("resnet-noise", 18), ("unet", 18), ("cnn", onnx_export.OLDEST)],
)
def test_both_exporters_write_what_the_network_computes_at_any_size(name: str, opset: int) -> None:
    network, multiple = NETWORKS[name]
    network = jitter(network)
    channels = 1 if name == "unet" else 3
    example = torch.rand(2, channels, 64, 96) * 2 - 1
    data = to_onnx(network, Shape(example, any_size=True, multiple=multiple), opset=opset, metadata={"a": "ä"})
    model = onnx.load_from_string(data)
    assert [one.version for one in model.opset_import if not one.domain] == [opset]
    # The least that the opset needs: onnxruntime 1.16 reads IR 9 at most. The table is that of ONNX's own versions.
    assert model.ir_version == next(ir for _, ir, least, *_ in onnx.helper.VERSION_TABLE if least == opset)
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
    data = to_onnx(network, Shape(example, any_batch=False), metadata={}, half=True)
    assert len(data) < 4 * sum(p.numel() for p in network.parameters())
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(example).numpy()
    assert np.abs(session.run(None, {"x": example.numpy()})[0] - expected).max() < 5e-3  # weights of 16 bits


@pytest.mark.parametrize("pairs, kind, opset", [*((name, "unet", 17) for name in PAIR_RULES), ("repaint", "cnn", 18)])
def test_pix2pix_with_every_rule(pairs: str, kind: str, opset: int, tmp_path: Path) -> None:
    model = tiny_models.paired(pairs=pairs, generator=kind, width=4, blocks=3, labels=("in", "out"))
    jitter(model).save_pretrained(tmp_path / "model")
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.onnx", opset=opset)
    generator = OnnxGenerator(tmp_path / "x.onnx")
    for size in ((40, 50), (33, 21), (9, 8)):
        for resolution in (None, "original"):
            one, other = (network.translate(picture(0, size), resolution=resolution) for network in (generator, model))
            assert_same_pixels(one, other)
    assert generator.metadata["format"] == ("1" if pairs == "given" else "2")


@pytest.mark.parametrize("options", [{"opset": 17}, {}])
def test_dcgan(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = DCGAN(latent=8, widths=(8, 4, 4), domain="faces", epoch=3)
    model.save_pretrained(tmp_path / "faces")
    onnx_export.export(str(tmp_path / "faces"), tmp_path / "faces.onnx", **options)
    with pytest.raises(ExportError, match="--size 64: this model generates images of 32 px alone"):
        onnx_export.export(str(tmp_path / "faces"), tmp_path / "x.onnx", size=64)
    generator = OnnxGenerator(tmp_path / "faces.onnx")
    z = model.latents(5, seed=7)
    for one, other in zip(generator.draw(z.numpy()), model.eval().draw(z), strict=True):
        assert_same_pixels(one, other)
    assert len(generator.sample(3, seed=1)) == 3
    assert_same_pixels(generator.sample(1, seed=1)[0], generator.sample(3, seed=1)[0])
    with pytest.raises(OnnxError, match="generates face images and translates none"):
        generator.translate(picture(0))
    for z in (np.zeros((2, 7), np.float32), np.zeros((2, 8, 1), np.float32)):
        with pytest.raises(OnnxError, match=r"latents of shape .*: give \(N, 8\)"):
            generator.run_latents(z)
    with pytest.raises(OnnxError, match="n=0: give a whole number"):
        generator.sample(0)


# ----------------------------------------------------------------------------------------------------
# OnnxGenerator and CycleGenerator treat a photograph of a face alike: found, aligned, translated, put back.


FREE = ROOT / "cyclegan_hub" / "free_images"
PORTRAIT = photos.photo("examples/grace_hopper")
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
    """Models whose A are faces, with the skip and without, with files of any size, and one of 40 px."""
    path = tmp_path_factory.mktemp("models")
    for name in ("skip", "plain"):
        tiny_models.folder(path / name, eyes_a=EYES, skip=name == "skip")
    for name, size in (("skip", None), ("skip", 40), ("plain", None)):
        onnx_export.export(str(path / name), path / f"{name}-{size}.onnx", opset=17, size=size)
    return path


@functools.cache
def both(folder: Path, name: str, size: int | None = None) -> tuple[OnnxGenerator, CycleGenerator]:
    return OnnxGenerator(folder / f"{name}-{size}.onnx"), CycleGenerator.from_pretrained(folder / name)


def two_faces() -> Image.Image:
    """A transparent photograph of a large and a small face."""
    photo = Image.new("RGB", (400, 300), "grey")
    face = Image.open(FREE / "astronaut_face.jpg")
    photo.paste(face.resize((120, 120)), (20, 80))
    photo.paste(face.resize((220, 220)), (170, 40))
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    return photo


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("skip", {}),
        ("plain", {"whole": True, "batch_size": 1}),
        ("skip", {"whole": True, "face": "all", "strength": 0.5}),
        ("plain", {"face": 1, "resolution": 48}),
        ("skip", {"face": "none", "detail": True}),
        ("plain", {"resolution": "original"}),
    ],
)
def test_both_give_the_same(name: str, options: dict[str, Any], folder: Path) -> None:
    generator, model = both(folder, name)
    assert generator.eyes == {"a_to_b": EYES} and generator.skip == (name == "skip")
    assert generator.metadata["format"] == "1"  # older packages use the file as they used every one
    given = [two_faces()] if options.get("face") == 1 else [two_faces(), PORTRAIT]
    found, expected = generator.translate(given, **options), model.translate(given, **options)
    assert max(apart(one, other) for one, other in zip(found, expected, strict=True)) <= STEPS
    options = {name: options[name] for name in ("face", "resolution") if options.get(name, "all") != "all"}
    assert apart(generator.prepare(given[0], **options), model.prepare(given[0], **options)) == 0


def test_a_file_of_one_size_aligns_faces_to_it(folder: Path) -> None:
    generator, model = both(folder, "skip", 40)
    assert "the face of astronaut_face.jpg, aligned at 40 x 40 px" in (folder / "skip-40.proof.json").read_text("utf-8")
    assert generator.prepare(PORTRAIT).size == (40, 40)
    for options in ({}, {"detail": False}, {"whole": True, "face": "all"}):
        expected = model.translate(two_faces(), resolution=40, **options)
        assert apart(generator.translate(two_faces(), **options), expected) <= STEPS
    left, right = find_faces(generator.prepare(PORTRAIT).resize((160, 160)))[0].eyes
    assert np.abs(np.array([left.real, left.imag, right.real, right.imag]) / 160 - EYES).max() < 0.03
    with pytest.raises(OnnxError, match="exported for 40 px alone"):
        generator.translate(PORTRAIT, resolution="original")


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
    assert apart(detailed, model.translate(square, face="none", resolution=40, detail=True)) <= STEPS


def test_no_face(folder: Path) -> None:
    generator, _ = both(folder, "skip", 40)
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


def test_translate_files_takes_a_file(folder: Path) -> None:
    generator, _ = both(folder, "skip", 40)
    given = {"portrait": PORTRAIT, "two": two_faces()}
    for options in ({}, {"face": "all", "whole": True, "strength": 0.5}, {"face": "none", "detail": True}):
        for one in translate_files(generator, given.items(), options=Options(**options)):
            assert isinstance(one, Done)
            assert_same_pixels(one.image, generator.translate(given[one.name], **options))


def test_a_file_exported_before_takes_images_as_they_are(folder: Path) -> None:
    old = OnnxGenerator.from_bytes(with_metadata(onnx.load(folder / "skip-None.onnx"), eyes=None, skip=None, sha256=None))
    assert old.eyes == {"a_to_b": None} and not old.skip
    assert apart(old.translate(PORTRAIT), both(folder, "skip")[0].translate(PORTRAIT, face="none", ensemble=False)) <= 1


@pytest.mark.parametrize(
    ("size", "options", "made", "message"),
    [
        ((1100, 40), {}, (1100, 40), "an image of 1100 x 40 px is made in one piece"),
        ((2500, 40), {}, (2000, 32), "an image of 2500 x 40 px is made smaller, at 2000 x 32 px"),
        (None, {"resolution": 1100}, (1100, 1100), "a face of 1100 x 1100 px is made in one piece"),
        (None, {"resolution": 2100}, (2048, 2048), "a face of 2100 x 2100 px is made smaller, at 2048 x 2048 px"),
        ((1024, 40), {}, (1024, 40), None),
    ],
)
def test_what_is_large_is_made_in_one_piece_or_smaller_and_it_is_said(
    size: Any, options: dict[str, Any], made: tuple[int, int], message: str | None, folder: Path
) -> None:
    generator, _ = both(folder, "plain")
    image, options = (picture(0, size), {"face": "none", "resolution": "original"}) if size else (PORTRAIT, options)
    with pytest.warns(OnnxSizeWarning, match=message) if message else contextlib.nullcontext():
        assert generator.prepare(image, **options).size == made
