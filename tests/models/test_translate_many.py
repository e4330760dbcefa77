from __future__ import annotations

import io
import itertools
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator, PairedGenerator
from cyclegan_hub.domains import HEAD
from cyclegan_hub.files import result_names
from cyclegan_hub.imaging import images
from cyclegan_hub.models import batches, translate_many
from cyclegan_hub.models.photograph import FaceNotFoundWarning, Options
from cyclegan_hub.models.translate_many import Done, Skipped, ahead, encode, translate_files
from support.photos import photo, scaled
from support.pictures import encoded, picture
from support.pixels import apart, assert_equal_pixels, assert_same_pixels
from support.translations import tiny, transparent, two_faces

pytestmark = pytest.mark.filterwarnings("ignore::cyclegan_hub.models.photograph.FaceNotFoundWarning")

SIZES = [(20, 20), (30, 20), (16, 24)]


@pytest.fixture(scope="module")
def model() -> CycleGenerator:
    torch.manual_seed(0)
    return CycleGenerator(width=4, blocks=1, image_size=16)


@pytest.mark.parametrize("options", [{}, {"resolution": 24}, {"resolution": "original", "direction": "b_to_a"}])
def test_each_result_is_what_the_model_makes_of_that_picture_alone(model: CycleGenerator, tmp_path: Path, options: dict) -> None:
    pictures = {f"{i}.png": picture(i, SIZES[i % 3]) for i in range(11)}
    sources: list = [(name, image) for name, image in pictures.items()]
    (tmp_path / "3.png").write_bytes(encoded(3, SIZES[0]))
    sources[3], sources[4] = ("3.png", tmp_path / "3.png"), ("4.png", lambda: encoded(4, SIZES[1]))
    sources[5] = ("5.png", encoded(5, SIZES[2]))
    made = list(translate_files(model, sources, batch_size=2, **options))
    assert sorted(one.name for one in made) == sorted(pictures)
    for one in made:
        assert isinstance(one, Done)
        assert_same_pixels(one.image, model.translate(pictures[one.name], **options))


def refuse() -> bytes:
    raise PermissionError(13, "Permission denied", "/home/somebody/x.png")


def test_a_bad_picture_is_skipped_with_a_reason_and_the_others_are_not(model: CycleGenerator, tmp_path: Path) -> None:
    cut = encoded(1)[:200]
    sources = [("a", picture(0)), ("cut", cut), ("no", b"<html>"), ("gone", tmp_path / "gone.png"), ("mine", refuse)]
    sources += [("b", picture(2))]
    made = {one.name: one for one in translate_files(model, sources)}
    assert list(made) == ["cut", "no", "gone", "mine", "a", "b"]
    reasons = {name: one.reason for name, one in made.items() if isinstance(one, Skipped)}
    words = {"cut": "cut short", "no": "give a JPEG", "gone": "is not a file", "mine": "Permission denied"}
    assert reasons.keys() == words.keys()
    assert [name for name in words if words[name] not in reasons[name]] == [], reasons
    assert not any(str(tmp_path) in reason or "somebody" in reason for reason in reasons.values())


@pytest.mark.parametrize(("count", "remedy"), [(2, "a smaller batch size"), (1, "a lower resolution")])
def test_too_little_memory_on_the_device_has_a_remedy(count: int, remedy: str) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    model = tiny()
    model.a_to_b.register_forward_hook(fail)
    with pytest.raises(ValueError, match=f"16 x 16 pixels .*memory of cpu: give {remedy}"):
        list(translate_files(model, [(str(i), picture(i)) for i in range(count)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "a_to_c"}, "direction"),
        ({"resolution": 0}, "resolution"),
        ({"batch_size": 0}, "batch_size"),
        ({"options": Options(strength=2)}, "strength=2"),
        ({"square": True, "options": Options(whole=True)}, "square=True, whole=True: a whole photograph keeps its shape"),
    ],
)
def test_a_wrong_option_is_an_error_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        translate_files(tiny(eyes_a=HEAD), [], **options)


def test_an_endless_pile_of_all_sizes_needs_a_bounded_memory(model: CycleGenerator) -> None:
    taken = 0

    def endless() -> Iterator[tuple[str, Image.Image]]:
        nonlocal taken
        for taken in itertools.count(1):
            yield str(taken), Image.new("RGB", (16 + taken % 30, 16))

    for made, _ in enumerate(itertools.islice(translate_files(model, endless(), batch_size=2), 100), 1):
        assert taken - made <= translate_many.AHEAD + batches.GROUPS * 2 + 2


def test_large_pictures_go_through_the_network_fewer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH_PIXELS", 3 * 20 * 20)
    model, shapes = tiny(), []
    model.a_to_b.register_forward_hook(lambda _, x, y: shapes.append(tuple(x[0].shape)))
    many = [(f"{i}", picture(i)) for i in range(7)] + [("large", picture(9, (40, 40)))]
    assert len(list(translate_files(model, many, resolution="original"))) == 8
    assert shapes == [(3, 3, 20, 20), (3, 3, 20, 20), (1, 3, 40, 40), (1, 3, 20, 20)]


def test_ahead_is_map_in_order_and_stops_at_the_first_error() -> None:
    assert list(ahead(lambda x: x * x, range(20), 3)) == [x * x for x in range(20)]
    results = ahead(lambda x: 1 // x, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_encoded_results_are_files_of_that_format(mode: str) -> None:
    smooth = Image.linear_gradient("L").resize((40, 30)).convert(mode)
    for format, name, error in (("png", "PNG", 0), ("jpg", "JPEG", 3)):
        with Image.open(io.BytesIO(encode(smooth, format))) as back:
            assert back.format == name and apart(back, smooth) <= error


NAMES = [
    (["b.JPG", "day/a.jpeg", "day.one/a.b.png", "none"], ["b.png", "day/a.png", "day.one/a.b.png", "none.png"]),
    (["a.png", "a.jpg", "b.jpg"], ["a.png.png", "a.jpg.png", "b.png"]),
    (["a.png", "A.jpg"], ["a.png.png", "A.jpg.png"]),
    (["a.png", "x/a.png"], ["a.png", "x/a.png"]),
    (["a.png/x.jpg", "a.jpg"], ["a.png/x.png", "a.jpg.png"]),  # a folder called like a result
    *(
        ([name, "b.png"], [None, "b.png"])
        for name in ("../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png", "x//a.png", "./a.png")
    ),
    (["d/" * 600 + "a.png"], [None]),
]


@pytest.mark.parametrize(("names", "results"), NAMES)
def test_results_keep_their_folders_and_where_they_would_share_a_name_their_extensions(names: list, results: list) -> None:
    assert result_names(names, "png") == results
    assert result_names(names[::-1], "png") == results[::-1]


def test_no_two_results_share_a_name_on_any_system() -> None:
    names = ["a.png", "A.png", "a.PNG", "a.jpg", "a.png.jpg", "a:b.png", "a?b.png", "é.png", "e\u0301.png", "n" * 240 + ".png"]
    names += ["n" * 241 + ".png", "a.jpg.png/x.png", "nul.png", "_nul.png", "\udc80.png", "\udc81.png", "end .png", "end..png"]
    results = [result or "" for result in result_names(names, "png")]
    keys = {unicodedata.normalize("NFC", result).casefold() for result in results}
    assert len(keys) == len(names) and all(key not in (other.split("/")[0] for other in keys if "/" in other) for key in keys)
    for result in results:
        for part in result.split("/"):
            assert part.isprintable() and not set('<>:"|?*\\') & set(part) and len(part.encode()) < 230
            assert part.split(".")[0].lower() != "nul"


def test_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two images are called 'a\.png'"):
        result_names(["a.png", "b.png", "a.png"], "png")


# --- with faces: what `translate` gives for each photograph alone, with bounded memory


@pytest.fixture(scope="module")
def face_model() -> CycleGenerator:
    return tiny(image_size=32, eyes_a=HEAD, skip=True)


def photographs() -> dict[str, Image.Image]:
    """Two portraits, one transparent; a cat, transparent; two faces."""
    portrait, cat = photo("astronaut_face"), photo("chelsea").crop((0, 0, 319, 213))
    return {"portrait": portrait, "clear": transparent(scaled(portrait, 0.8)), "cat": transparent(cat), "two": two_faces()}


def decoded(image: Image.Image) -> list[Image.Image]:
    """Red, green and blue on white, and the alpha channel."""
    return [*images.decode(image).split(), image.getchannel("A")]


OPTIONS = [
    ({"face": 0, "detail": False}, {"resolution": 40}),
    ({"face": "all", "whole": True}, {"resolution": "original"}),
    ({"detail": True}, {"direction": "b_to_a"}),
    ({"face": "none"}, {"resolution": "original"}),
    ({"strength": 0.5}, {}),
]


@pytest.mark.parametrize(("options", "more"), OPTIONS)
def test_each_result_is_what_the_model_makes_of_that_photograph_alone(
    face_model: CycleGenerator, options: dict[str, Any], more: dict[str, Any]
) -> None:
    given = photographs()
    made = {one.name: one for one in translate_files(face_model, given.items(), options=Options(**options), batch_size=2, **more)}
    assert made.keys() == given.keys()
    for name, one in made.items():
        if isinstance(one, Skipped):
            assert name == "cat" and options.get("face") == 0 and "no face is found" in one.reason
        else:
            assert_same_pixels(one.image, face_model.translate(given[name], **options, **more))


def test_a_face_that_is_not_there_is_skipped_or_warned_of_by_name(face_model: CycleGenerator) -> None:
    made = {one.name: one for one in translate_files(face_model, photographs().items(), options=Options(face=1))}
    assert isinstance(made["two"], Done)
    reasons = {name: one.reason for name, one in made.items() if isinstance(one, Skipped)}
    assert reasons.keys() == {"portrait", "clear", "cat"} and all(name in reason for name, reason in reasons.items())
    with pytest.warns(FaceNotFoundWarning, match="no face is found in a/cat: all of it is translated"):
        list(translate_files(face_model, [("a/cat", photo("chelsea"))]))


def test_square_is_for_images_as_a_whole(face_model: CycleGenerator) -> None:
    """Cut before they are made smaller, with their alpha channel, at the model's size and at their own."""
    found = translate_files(face_model, photographs().items(), square=True, options=Options(detail=False))
    made = {one.name: one for one in found}
    assert {one.image.size for one in made.values() if isinstance(one, Done)} == {(32, 32)}
    red, green, blue, alpha = (images.square(band, 32) for band in decoded(photographs()["cat"]))
    given = Image.merge("RGB", (red, green, blue))
    assert_same_pixels(made["cat"].image.convert("RGB"), face_model.translate(given, face="none"))
    assert_same_pixels(made["cat"].image.getchannel("A"), alpha)
    own, given = photographs()["cat"], photographs()["cat"].crop((53, 0, 266, 213))
    for options, more in (({"detail": True}, {}), ({}, {"resolution": "original"})):
        (one,) = translate_files(face_model, [("cat", own)], "b_to_a", options=Options(**options), square=True, **more)
        assert_same_pixels(one.image, face_model.translate(given, "b_to_a", **options, **more))


def test_photographs_that_wait_for_company_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    model, made, portrait = tiny(image_size=32, eyes_a=HEAD), [], photo("astronaut_face")
    model.a_to_b.register_forward_hook(lambda _, x, y: made.append(len(x[0])))
    for held in (4, 2):
        monkeypatch.setattr(batches, "HELD_PIXELS", held * portrait.width * portrait.height)
        assert len(list(translate_files(model, [(str(i), portrait) for i in range(8)], batch_size=4))) == 8
    # As a whole an image is held as small as it is translated.
    list(translate_files(model, [(str(i), portrait) for i in range(8)], batch_size=4, options=Options(face="none")))
    assert made == [4, 4, 3, 3, 2, 4, 4]


def test_a_translation_that_is_no_image_takes_its_photograph_along_alone(model: CycleGenerator) -> None:
    white = Image.new("RGB", (16, 16), "white")
    hook = model.a_to_b.register_forward_hook(lambda _, x, y: torch.where((x[0] == 1).all((1, 2, 3), keepdim=True), torch.nan, y))
    made = {one.name: one for one in translate_files(model, [("a", picture(0)), ("white", white), ("b", picture(1))])}
    hook.remove()
    assert isinstance(made["a"], Done) and isinstance(made["b"], Done)
    assert isinstance(made["white"], Skipped) and "NaN" in made["white"].reason


def test_a_paired_model_takes_images_and_keeps_alpha() -> None:
    torch.manual_seed(0)
    model = PairedGenerator(pairs="upscale-4x", generator="cnn", width=4, blocks=1, image_size=32)
    cat = photographs()["cat"]
    for resolution in (16, None):
        (one,) = translate_files(model, [("cat", cat)], resolution=resolution)
        assert isinstance(one, Done)
        assert_same_pixels(one.image, model.translate(cat, resolution=resolution))
    with pytest.raises(ValueError, match="leave strength out"):
        translate_files(model, [], options=Options(strength=0.5))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_a_transparent_result_is_white_where_it_is_clear_in_a_jpeg(mode: str) -> None:
    clear = picture(0, (16, 16)).convert(mode)
    clear.putalpha(0)
    with Image.open(io.BytesIO(encode(clear, "jpg"))) as back:
        assert back.mode == mode[:-1] and back.convert("L").getextrema()[0] >= 254
    with Image.open(io.BytesIO(encode(clear, "png"))) as back:
        assert_equal_pixels(back, clear)
