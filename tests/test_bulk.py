from __future__ import annotations

import io
import itertools
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.files import result_names
from cyclegan_hub.models import translate_many as bulk
from cyclegan_hub.models.translate_many import Done, Skipped, ahead, encode, translate_files
from support.pictures import encoded, picture
from support.pixels import apart, assert_equal_pixels, assert_same_pixels

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


def test_square_translates_the_centred_square(model: CycleGenerator) -> None:
    wide = picture(1, (40, 20))
    (one,) = translate_files(model, [("x", wide)], square=True, resolution=20)
    (own,) = translate_files(model, [("x", wide)], square=True, resolution="original")
    (small,) = translate_files(model, [("x", wide)], square=True)
    assert isinstance(one, Done) and isinstance(own, Done) and isinstance(small, Done)
    assert_same_pixels(one.image, model.translate(wide.crop((10, 0, 30, 20)), resolution=20))
    assert_equal_pixels(own.image, one.image)
    assert small.image.size == (16, 16)


def refuse() -> bytes:
    raise PermissionError(13, "Permission denied", "/home/somebody/x.png")


def test_a_bad_picture_is_skipped_with_a_reason_and_the_others_are_not(model: CycleGenerator, tmp_path: Path) -> None:
    cut = encoded(1)[:200]
    sources = [
        ("a", picture(0)),
        ("cut", cut),
        ("no", b"<html>"),
        ("gone", tmp_path / "gone.png"),
        ("mine", refuse),
        ("b", picture(2)),
    ]
    made = {one.name: one for one in translate_files(model, sources)}
    assert list(made) == ["cut", "no", "gone", "mine", "a", "b"]
    reasons = {name: one.reason for name, one in made.items() if isinstance(one, Skipped)}
    words = {"cut": "cut short", "no": "give a JPEG", "gone": "is not a file", "mine": "Permission denied"}
    assert reasons.keys() == words.keys()
    assert [name for name in words if words[name] not in reasons[name]] == [], reasons
    assert not any(str(tmp_path) in reason or "somebody" in reason for reason in reasons.values())


def test_a_translation_that_is_no_image_does_not_take_its_batch_along(model: CycleGenerator) -> None:
    white = Image.new("RGB", (16, 16), "white")
    hook = model.a_to_b.register_forward_hook(lambda _, x, y: torch.where((x[0] == 1).all((1, 2, 3), keepdim=True), torch.nan, y))
    try:
        made = {one.name: one for one in translate_files(model, [("a", picture(0)), ("white", white), ("b", picture(1))])}
    finally:
        hook.remove()
    assert isinstance(made["a"], Done) and isinstance(made["b"], Done)
    assert isinstance(made["white"], Skipped) and "NaN" in made["white"].reason


@pytest.mark.parametrize(("count", "remedy"), [(2, "a smaller batch size"), (1, "a lower resolution")])
def test_too_little_memory_on_the_device_has_a_remedy(model: CycleGenerator, count: int, remedy: str) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    hook = model.a_to_b.register_forward_hook(fail)
    try:
        with pytest.raises(ValueError, match=f"16 x 16 pixels .*memory of cpu: give {remedy}"):
            list(translate_files(model, [(str(i), picture(i)) for i in range(count)]))
    finally:
        hook.remove()


@pytest.mark.parametrize(
    "options", [{"direction": "a_to_c"}, {"resolution": 0}, {"resolution": "full"}, {"batch_size": 0}, {"batch_size": True}]
)
def test_a_wrong_option_is_an_error_before_anything_is_read(model: CycleGenerator, options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        translate_files(model, [], **options)


def test_an_endless_pile_of_all_sizes_needs_a_bounded_memory(model: CycleGenerator) -> None:
    taken = 0

    def pile() -> Iterator[tuple[str, Image.Image]]:
        nonlocal taken
        for taken in itertools.count(1):
            yield str(taken), Image.new("RGB", (16 + taken % 50, 16))

    for made, _ in enumerate(itertools.islice(translate_files(model, pile(), batch_size=2), 300), 1):
        assert taken - made <= bulk.AHEAD + bulk._GROUPS * 2 + 2


def test_large_pictures_go_through_the_network_fewer_at_a_time(model: CycleGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH_PIXELS", 3 * 20 * 20)
    batches: list[tuple[int, ...]] = []
    hook = model.a_to_b.register_forward_hook(lambda _, x, y: batches.append(tuple(x[0].shape)))
    try:
        many = [(f"{i}", picture(i)) for i in range(7)] + [("large", picture(9, (40, 40)))]
        assert len(list(translate_files(model, many, resolution="original"))) == 8
    finally:
        hook.remove()
    assert batches == [(3, 3, 20, 20), (3, 3, 20, 20), (1, 3, 40, 40), (1, 3, 20, 20)]


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


def test_names_keep_their_folders_and_change_their_ending() -> None:
    names = ["b.JPG", "day/a.jpeg", "day.one/a.b.png", "none"]
    assert result_names(names, "png") == ["b.png", "day/a.png", "day.one/a.b.png", "none.png"]
    assert result_names(names[:1], "jpg") == ["b.jpg"]


COLLISIONS = [
    (["a.png", "a.jpg", "b.jpg"], ["a.png.png", "a.jpg.png", "b.png"]),
    (["a.png", "A.jpg"], ["a.png.png", "A.jpg.png"]),
    (["a.png", "x/a.png"], ["a.png", "x/a.png"]),
    (["a.png/x.jpg", "a.jpg"], ["a.png/x.png", "a.jpg.png"]),  # a folder called like a result
]


@pytest.mark.parametrize(("names", "results"), COLLISIONS)
def test_pictures_that_would_share_a_name_keep_their_endings(names: list[str], results: list[str]) -> None:
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


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/a.png", "..\\a.png", "x//a.png", "./a.png", "d/" * 600 + "a.png"]
)
def test_a_name_that_leads_out_has_no_result(name: str) -> None:
    assert result_names([name, "b.png"], "png") == [None, "b.png"]


def test_equal_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two images are called 'a\.png'"):
        result_names(["a.png", "b.png", "a.png"], "png")
