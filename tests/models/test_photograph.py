"""models/photograph.py and CycleGenerator.translate: faces aligned, put back, at their own scale, by strength."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.domains import HEAD
from cyclegan_hub.faces import Face, align, alignment, find_faces
from cyclegan_hub.imaging import images
from cyclegan_hub.models.photograph import FaceNotFoundWarning
from support.photos import photo, scaled
from support.pixels import apart, assert_equal_pixels, assert_same_pixels, pixels
from support.translations import EYES, LANDSCAPE, PORTRAIT, by_hand, faces_model, tiny, transparent, two_faces


def squared(image: Image.Image, size: int, number: int = 0) -> Image.Image:
    return align(image, find_faces(image)[number], EYES, size)


def inside(photograph: Image.Image, face: Face) -> np.ndarray:
    """Which pixels, (H, W), lie in the circle that fills the square of a face."""
    transform = alignment(face, EYES, 32).inverse()
    y, x = np.mgrid[: photograph.height, : photograph.width] + 0.5
    return np.abs(transform.turn * (x + 1j * y) + transform.shift - (16 + 16j)) < 16


# --- a face


@pytest.mark.parametrize(("face", "number"), [("auto", 0), (0, 0), (1, 1)])
def test_the_largest_face_or_another_is_aligned_and_translated(face: Any, number: int) -> None:
    model, image = faces_model(), two_faces()
    seen = model.prepare(image, face=face)
    assert_same_pixels(seen, squared(image, 32, number))
    assert_same_pixels(model.translate(image, face=face), by_hand(model.a_to_b, seen))


@pytest.mark.parametrize(("resolution", "size"), [(None, 32), (48, 48), ("original", 179)])  # 71.7 px between the eyes / 0.4
def test_the_side_of_a_face(resolution: Any, size: int) -> None:
    model = faces_model()
    assert model.translate(PORTRAIT, resolution=resolution).size == (size, size)
    assert model.prepare(PORTRAIT, resolution=resolution).size == (size, size)


def test_face_none_and_a_direction_of_any_images_are_as_a_model_without_eyes() -> None:
    model, plain = faces_model(), tiny(image_size=32)
    for image in (PORTRAIT, LANDSCAPE):
        for direction, options in (("a_to_b", {"face": "none"}), ("b_to_a", {}), ("b_to_a", {"face": "none"})):
            for resolution in (None, 40):
                found = model.translate(image, direction, resolution, **options)
                assert_equal_pixels(found, plain.translate(image, direction, resolution))
            assert_equal_pixels(model.prepare(image, direction, **options), images.resize_short(image, 32))


def test_without_a_face_all_is_translated_with_a_warning() -> None:
    model = faces_model()
    with pytest.warns(FaceNotFoundWarning, match="^no face is found in this image: all of it is translated, which"):
        found = model.translate(LANDSCAPE)
    assert_equal_pixels(found, model.translate(LANDSCAPE, face="none"))
    with pytest.warns(FaceNotFoundWarning, match="^no face is found in this image: it is left as it is$"):
        assert_equal_pixels(model.translate(LANDSCAPE, whole=True), LANDSCAPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.translate(LANDSCAPE, face="none")
        model.translate(LANDSCAPE, "b_to_a")
        model.translate(PORTRAIT)


def test_a_warning_names_the_image_and_the_callers_line(tmp_path: Any) -> None:
    LANDSCAPE.save(tmp_path / "rocket.png")
    for use in ("prepare", "translate"):
        with pytest.warns(FaceNotFoundWarning, match=r"no face is found in .*rocket\.png") as caught:
            getattr(faces_model(), use)(tmp_path / "rocket.png")
        assert caught[0].filename == __file__  # the caller's line


@pytest.mark.parametrize("kind", ["transparent", "with its face at the border"])
def test_portraits_of_other_kinds_are_aligned(kind: str) -> None:
    given, expected = PORTRAIT.crop((100, 80, 320, 320)), squared(PORTRAIT, 32)
    if kind == "transparent":
        given = PORTRAIT.convert("RGBA")
        given.paste((0, 0, 0, 0), (0, 0, 60, 320))
    middle = (8, 12, 24, 22)  # with the eyes
    difference = pixels(faces_model().prepare(given).crop(middle)) - pixels(expected.crop(middle))
    assert np.abs(difference - difference.mean()).mean() < 10


# --- put back


@pytest.mark.parametrize("skip", [False, True])
def test_a_whole_photograph_changes_in_its_faces_only(skip: bool) -> None:
    model, image = faces_model(skip=skip), two_faces()
    faces = [inside(image, face) for face in find_faces(image)]
    for options, numbers in (({}, {0}), ({"face": 1}, {1}), ({"face": "all"}, {0, 1})):
        result = model.translate(image, whole=True, **options)
        assert (result.mode, result.size) == ("RGB", image.size)
        change = np.abs(pixels(image) - pixels(result)).max(2)
        assert change[~(faces[0] | faces[1])].max() == 0  # bit by bit
        assert {number for number in (0, 1) if change[faces[number]].max() > 10} == numbers


def test_a_translated_face_is_seen_in_its_place() -> None:
    model = faces_model()
    result = model.translate(PORTRAIT, resolution=64, whole=True)
    seen = align(result, find_faces(PORTRAIT)[0], EYES, 64)
    coarse = [
        one.resize((8, 8), Image.Resampling.BOX, (16, 16, 48, 48)) for one in (seen, model.translate(PORTRAIT, resolution=64))
    ]
    assert np.abs(pixels(coarse[0]) - pixels(coarse[1])).mean() < 3  # resampled twice


# --- strength and detail


@pytest.mark.parametrize("options", [{}, {"detail": False}, {"detail": True}, {"whole": True}, {"whole": True, "detail": False}])
def test_strength_0_returns_the_input_and_1_the_output(options: dict[str, Any]) -> None:
    model = faces_model(skip=True)
    none, half, one, more = (pixels(model.translate(PORTRAIT, strength=s, **options)) for s in (0, 0.5, 1.0, 1.5))
    size = 32 if options.get("detail") is False else 179
    given = PORTRAIT if options.get("whole") else squared(PORTRAIT, size)
    if options != {"whole": True, "detail": False}:
        assert np.abs(none - pixels(given)).max() <= 1
    assert np.abs(one - pixels(model.translate(PORTRAIT, **options))).max() == 0
    free = (one > 2) & (one < 253) & (more > 2) & (more < 253)  # not cut off at black or white
    apart_from_halfway = np.abs(half - (none + one) / 2)[free]
    assert apart_from_halfway.mean() < 0.5 and (apart_from_halfway.max() <= 2 or options == {"whole": True, "detail": False})
    assert np.abs(more - none)[free].mean() > np.abs(one - none)[free].mean()


def test_detail_adds_an_enlarged_change_to_a_sharp_photograph() -> None:
    """The result less the photograph is smooth: what the network changed, enlarged."""
    model = faces_model(skip=True)
    sharp, small = model.translate(PORTRAIT), model.translate(PORTRAIT, detail=False)
    assert sharp.size == (179, 179) and small.size == (32, 32)
    assert faces_model(skip=True, image_size=96).translate(scaled(PORTRAIT, 0.4)).size == (96, 96)  # never made smaller
    change = np.asarray(small, np.float32) - np.asarray(model.prepare(PORTRAIT), np.float32)
    bands = [Image.fromarray(one).resize((179, 179), Image.Resampling.BICUBIC) for one in np.moveaxis(change, 2, 0)]
    enlarged = np.stack(bands, 2)
    expected = (np.asarray(squared(PORTRAIT, 179), np.float32) + enlarged).clip(0, 255)
    assert np.abs(expected - np.asarray(sharp, np.float32)).max() <= 1.5


def test_strength_and_detail_of_a_whole_image() -> None:
    """Its change is added at its own scale only where that is asked for."""
    model = tiny(skip=True, image_size=32)
    assert_equal_pixels(model.translate(LANDSCAPE, strength=0), images.resize_short(LANDSCAPE, 32))
    assert_equal_pixels(model.translate(LANDSCAPE, strength=0, detail=True), LANDSCAPE)
    assert model.translate(LANDSCAPE).size == tiny(image_size=32).translate(LANDSCAPE, detail=True).size == (48, 32)


# --- what the result has of its input


def test_an_alpha_channel_comes_back_with_the_inputs_frame() -> None:
    model, portrait, landscape = faces_model(skip=True), transparent(PORTRAIT), transparent(LANDSCAPE)
    assert model.translate(portrait).mode == "RGB"
    assert model.translate(PORTRAIT.convert("RGBA"), whole=True).mode == "RGB"
    with pytest.warns(FaceNotFoundWarning):
        left = model.translate(landscape, whole=True)
    alpha = landscape.getchannel("A")
    for whole, expected in (
        (model.translate(portrait, whole=True), portrait.getchannel("A")),
        (left, alpha),
        (model.translate(landscape, "b_to_a", "original"), alpha),
        (model.translate(landscape, "b_to_a", detail=True), alpha),
        (model.translate(landscape, face="none"), alpha.resize((48, 32), Image.Resampling.LANCZOS)),
    ):
        assert whole.mode == "RGBA" and apart(whole.getchannel("A"), expected) <= 1
    grey = faces_model(channels=1, skip=True)
    own = grey.prepare(portrait, resolution="original").size
    for options, mode, size in (({}, "L", own), ({"whole": True}, "LA", (320, 320)), ({"face": "none"}, "LA", (32, 32))):
        result = grey.translate(portrait, **options)
        assert (result.mode, result.size) == (mode, size)


@pytest.mark.parametrize("skip, options", [(False, {}), (True, {"whole": True, "face": "all"})])
@pytest.mark.filterwarnings("ignore::cyclegan_hub.models.photograph.FaceNotFoundWarning")
def test_a_list_of_photographs_with_and_without_faces_keeps_its_order(skip: bool, options: dict[str, Any]) -> None:
    model = faces_model(skip=skip)
    given = [PORTRAIT, LANDSCAPE, two_faces(), transparent(photo("astronaut_face")), two_faces()]
    alone = [model.translate(image, **options) for image in given]
    for batch_size in (2, 8):
        for one, other in zip(model.translate(given, batch_size=batch_size, **options), alone, strict=True):
            assert_same_pixels(one, other)


def test_a_cycle_begins_with_the_face_and_ends_at_the_models_size() -> None:
    model = faces_model(skip=True, eyes_b=HEAD)
    there = model.translate(PORTRAIT, detail=False, ensemble=False)
    assert_same_pixels(model.cycle(PORTRAIT), model.translate(there, "b_to_a", "original", face="none", ensemble=False))
    assert model.cycle(PORTRAIT).size == (32, 32)
    seen = by_hand(model.b_to_a, by_hand(model.a_to_b, model.prepare(PORTRAIT)))
    assert apart(model.cycle(PORTRAIT), seen) <= 3  # between the two it is a picture of 8 bits
    row = model.examples([model.prepare(PORTRAIT)]).rows[0]
    assert [image.size for image in row] == [(32, 32)] * 3
    assert_same_pixels(row[2], model.cycle(PORTRAIT))


# --- options that mean nothing, and faces that are not there


FACES, ANY = "a_to_b", "b_to_a"  # the two directions of faces_model()


@pytest.mark.parametrize(
    ("direction", "skip", "options", "message"),
    [
        (FACES, True, {"face": "first"}, r"face='first': give 'auto', 'none', 'all', or the number of a face, 0 for the largest"),
        (FACES, True, {"face": -1}, r"face=-1: give 'auto'"),
        (FACES, True, {"face": True}, r"face=True: give 'auto'"),
        (FACES, True, {"face": 1.0}, r"face=1\.0: give 'auto'"),
        (FACES, True, {"face": None}, r"face=None: give 'auto'"),
        (FACES, True, {"face": "all"}, r"face='all': several faces need .*: add whole=True"),
        (FACES, True, {"face": "none", "whole": True}, r"whole=True, face='none': there is no face to put back"),
        (ANY, True, {"face": 0}, r"face=0: this direction takes any image, not aligned faces: leave face out"),
        (ANY, True, {"face": "all", "whole": True}, r"face='all': this direction takes any image"),
        (ANY, True, {"whole": True}, r"whole=True: this direction translates whole images anyway"),
        (FACES, True, {"strength": -0.1}, r"strength=-0\.1: give a number from 0 \(nothing changes\) to 1\.5"),
        (FACES, True, {"strength": 1.6}, r"strength=1\.6: give a number"),
        (FACES, True, {"strength": float("nan")}, r"strength=nan: give a number"),
        (FACES, True, {"strength": "1"}, r"strength='1': give a number"),
        (FACES, True, {"strength": True}, r"strength=True: give a number"),
        (FACES, False, {"strength": 0.5}, r"strength=0\.5: this model .*: leave strength out"),
        (ANY, False, {"strength": 0}, r"strength=0: this model"),
        (FACES, False, {"ensemble": True}, r"ensemble=True: this model .*: leave ensemble out"),
        (FACES, True, {"face": 2}, r"face=2: this image has 1 face: give 0"),
        (FACES, True, {"face": 0, "image": LANDSCAPE}, r"face=0: no face is found in this image$"),
    ],
)  # fmt: skip
def test_a_combination_without_meaning_is_one_clear_line(direction: Any, skip: bool, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}") as caught:
        faces_model(skip=skip).translate(**({"image": PORTRAIT, "direction": direction} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "eyes", [(), (0.1, 0.5, 0.6), (0.6, 0.5, 0.4, 0.5), (0, 0.5, 0.6, 0.5), (47, 64, 81, 64), "auto", 0.5, [True] * 4]
)
def test_eyes_that_are_not_two_places_in_a_square(eyes: Any) -> None:
    with pytest.raises(ValueError, match=r"^eyes=.*: give the left and the right eye in shares of the side"):
        tiny(eyes_a=eyes)
