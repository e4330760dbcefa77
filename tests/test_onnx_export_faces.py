"""OnnxGenerator and CycleGenerator treat a photograph of a face alike: found, aligned, translated, put back."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.export import onnx_export as command
from cyclegan_hub.faces import find_faces
from cyclegan_hub.imaging import images
from cyclegan_hub.models.photograph import FaceNotFoundWarning
from support import photos, tiny_models
from support.pictures import picture
from support.pixels import apart
from support.training import ROOT

onnx = pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")

from cyclegan_hub.models.onnx import FORMAT, OnnxError, OnnxGenerator, OnnxSizeWarning  # noqa: E402

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
            command.export(str(path / name), path / f"{name}-{size}.onnx", opset=17, size=size)
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


def test_options_that_mean_nothing_are_errors_of_one_line(folder: Path) -> None:
    generator, _ = both(folder, "plain")
    command.export(str(folder / "plain"), folder / "back.onnx", opset=17, direction="b_to_a")
    back = OnnxGenerator(folder / "back.onnx")
    for one, options, said in (
        (generator, {"strength": 0.5}, "leave strength out"),
        (generator, {"face": "all"}, "add whole=True"),
        (generator, {"face": "largest"}, "face='largest'"),
        (back, {"whole": True}, "leave whole out"),
        (back, {"face": 0}, "leave face out"),
    ):
        with pytest.raises(ValueError, match=said) as error:
            one.translate([], **options)
        assert "\n" not in str(error.value)


def test_what_the_file_says_of_eyes_and_skip(folder: Path) -> None:
    generator, model = both(folder, "skip")
    assert generator.eyes == {"a_to_b": model.eyes["a_to_b"]} == {"a_to_b": EYES} and generator.skip
    plain, _ = both(folder, "plain", 40)
    assert plain.eyes == {"a_to_b": EYES} and not plain.skip
    assert FORMAT == 1  # older packages use the file as they used every one


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
    command.export(str(source), tmp_path / "x.onnx", opset=17)
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
