"""translate_files with faces: what `translate` gives for each photograph alone, with bounded memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator, PairedGenerator
from cyclegan_hub.domains import HEAD
from cyclegan_hub.export import onnx_export
from cyclegan_hub.imaging import images
from cyclegan_hub.models import translate_many as bulk
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.photograph import FaceNotFoundWarning, Options
from cyclegan_hub.models.translate_many import Done, Skipped, encode, translate_files
from support.photos import photo, scaled
from support.pictures import picture
from support.pixels import assert_equal_pixels, assert_same_pixels
from support.translations import tiny, two_faces

pytestmark = pytest.mark.filterwarnings("ignore::cyclegan_hub.models.photograph.FaceNotFoundWarning")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "skip"])
def model(request: pytest.FixtureRequest) -> CycleGenerator:
    return tiny(image_size=32, eyes_a=HEAD, skip=request.param)


def transparent(image: Image.Image) -> Image.Image:
    result = image.convert("RGBA")
    result.putalpha(Image.linear_gradient("L").resize(image.size))
    return result


def photographs() -> dict[str, Image.Image]:
    """Two portraits, one transparent; a cat, transparent; two faces."""
    portrait, cat = photo("astronaut_face"), photo("chelsea").crop((0, 0, 319, 213))
    return {"portrait": portrait, "clear": transparent(scaled(portrait, 0.8)), "cat": transparent(cat), "two": two_faces()}


def decoded(image: Image.Image) -> list[Image.Image]:
    """Red, green and blue on white, and the alpha channel."""
    return [*images.decode(image).split(), image.getchannel("A")]


OPTIONS = [
    ({}, {}),
    ({"face": "none"}, {}),
    ({"face": 0, "detail": False}, {"resolution": 40}),
    ({"whole": True}, {}),
    ({"face": "all", "whole": True}, {"resolution": "original"}),
    ({"detail": True}, {"direction": "b_to_a"}),
    ({}, {"direction": "b_to_a", "resolution": "original"}),
]


@pytest.mark.parametrize(("options", "more"), OPTIONS)
def test_each_result_is_what_the_model_makes_of_that_photograph_alone(
    model: CycleGenerator, options: dict[str, Any], more: dict[str, Any]
) -> None:
    given = photographs()
    made = {one.name: one for one in translate_files(model, given.items(), options=Options(**options), batch_size=2, **more)}
    assert made.keys() == given.keys()
    for name, one in made.items():
        if isinstance(one, Skipped):
            assert name == "cat" and options["face"] == 0 and "no face is found" in one.reason
        else:
            assert_same_pixels(one.image, model.translate(given[name], **options, **more))


@pytest.mark.parametrize("options", [{"strength": 0.5}, {"strength": 1.3, "face": "none", "detail": True}])
def test_strength_is_that_of_the_model(options: dict[str, Any]) -> None:
    model, given = tiny(image_size=32, eyes_a=HEAD, skip=True), photographs()
    for one in translate_files(model, given.items(), options=Options(**options)):
        assert isinstance(one, Done)
        assert_same_pixels(one.image, model.translate(given[one.name], **options))


def test_a_face_that_is_not_there_is_skipped_with_its_reason(model: CycleGenerator) -> None:
    made = {one.name: one for one in translate_files(model, photographs().items(), options=Options(face=1))}
    assert isinstance(made["two"], Done)
    reasons = {name: one.reason for name, one in made.items() if isinstance(one, Skipped)}
    assert reasons.keys() == {"portrait", "clear", "cat"} and all(name in reason for name, reason in reasons.items())


def test_an_image_without_a_face_warns_by_its_name(model: CycleGenerator) -> None:
    with pytest.warns(FaceNotFoundWarning, match="no face is found in a/cat: all of it is translated"):
        list(translate_files(model, [("a/cat", photo("chelsea"))]))


def test_square_is_for_images_as_a_whole(model: CycleGenerator) -> None:
    made = {one.name: one for one in translate_files(model, photographs().items(), square=True, options=Options(detail=False))}
    assert {one.image.size for one in made.values() if isinstance(one, Done)} == {(32, 32)}
    red, green, blue, alpha = (images.square(band, 32) for band in decoded(photographs()["cat"]))
    given = Image.merge("RGB", (red, green, blue))
    assert_same_pixels(made["cat"].image.convert("RGB"), model.translate(given, face="none"))
    assert_same_pixels(made["cat"].image.getchannel("A"), alpha)
    with pytest.raises(ValueError, match="square=True, whole=True: a whole photograph keeps its shape"):
        translate_files(model, [], square=True, options=Options(whole=True))


def test_square_at_the_photographs_own_scale() -> None:
    model = tiny(image_size=32, skip=True)
    (one,) = translate_files(model, [("cat", photographs()["cat"])], square=True, options=Options(detail=True))
    given = photographs()["cat"].crop((53, 0, 266, 213))
    assert isinstance(one, Done)
    assert_same_pixels(one.image, model.translate(given, detail=True))


@pytest.mark.parametrize(
    ("direction", "options", "words"),
    [
        ("b_to_a", {"face": "all", "whole": True}, "leave face out"),
        ("b_to_a", {"whole": True}, "leave whole out"),
        ("a_to_b", {"face": "all"}, "add whole=True"),
        ("a_to_b", {"strength": 2}, "strength=2"),
        ("a_to_b", {"face": -1}, "face=-1"),
    ],
)
def test_a_wrong_option_is_an_error_before_anything_is_read(
    model: CycleGenerator, direction: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        translate_files(model, [], direction, options=Options(**options))


def test_photographs_that_wait_for_company_are_bounded(model: CycleGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    hook = model.a_to_b.register_forward_hook(lambda _, x, y: batches.append(len(x[0])))
    portrait = photo("astronaut_face")
    try:
        for held in (4, 2):
            monkeypatch.setattr(bulk, "HELD_PIXELS", held * portrait.width * portrait.height)
            assert len(list(translate_files(model, [(str(i), portrait) for i in range(8)], batch_size=4))) == 8
        # As a whole an image is held as small as it is translated.
        list(translate_files(model, [(str(i), portrait) for i in range(8)], batch_size=4, options=Options(face="none")))
    finally:
        hook.remove()
    assert batches == [4, 4, 3, 3, 2, 4, 4]


def test_one_face_that_is_no_image_takes_its_photograph_along_once(model: CycleGenerator) -> None:
    hook = model.a_to_b.register_forward_hook(lambda _, x, y: torch.full_like(y, torch.nan))
    try:
        made = list(translate_files(model, [("two", two_faces())], options=Options("all", whole=True)))
    finally:
        hook.remove()
    assert [one.name for one in made] == ["two"] and isinstance(made[0], Skipped) and "NaN" in made[0].reason


def test_a_paired_model_takes_images_and_keeps_alpha() -> None:
    torch.manual_seed(0)
    model = PairedGenerator(pairs="upscale-4x", generator="cnn", width=4, blocks=1, image_size=32)
    cat = photographs()["cat"]
    (one,) = translate_files(model, [("cat", cat)], resolution=16)
    assert isinstance(one, Done)
    assert_same_pixels(one.image, model.translate(cat, resolution=16))
    with pytest.raises(ValueError, match="leave strength out"):
        translate_files(model, [], options=Options(strength=0.5))


@pytest.mark.parametrize("size", [None, 40])
def test_an_onnx_file_does_the_same(tmp_path: Path, size: int | None) -> None:
    pytest.importorskip("onnx")
    tiny(image_size=32, eyes_a=HEAD, skip=True, epoch=1).save_pretrained(tmp_path / "model")
    onnx_export.export(str(tmp_path / "model"), tmp_path / "x.onnx", opset=17, size=size)
    generator, given = OnnxGenerator(tmp_path / "x.onnx"), photographs()
    # Of one size, the square that is enlarged is cut first or last, which its border shows.
    for options in ({}, {"face": "all", "whole": True, "strength": 0.5}, {"face": "none", "detail": size is None}):
        for one in translate_files(generator, given.items(), options=Options(**options)):
            assert isinstance(one, Done)
            assert_same_pixels(one.image, generator.translate(given[one.name], **options))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_transparent_result_is_white_where_it_is_clear_in_a_jpeg(mode: str) -> None:
    clear = picture(0, (16, 16)).convert(mode)
    clear.putalpha(0)
    with Image.open(io.BytesIO(encode(clear, "jpg"))) as back:
        assert back.mode == mode[:-1] and back.convert("L").getextrema()[0] >= 254
    with Image.open(io.BytesIO(encode(clear, "png"))) as back:
        assert_equal_pixels(back, clear)
