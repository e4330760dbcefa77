"""cycle_generator.py: images of every kind, one or many, in each direction, as the bare network translates them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images
from cyclegan_hub.models import tiling, translate
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import ResNetGenerator, UNetGenerator
from support.pixels import assert_equal_pixels, assert_same_pixels, pixels
from support.translations import by_hand, picture, tiny

# --- what it is made of


def test_every_argument_is_saved_and_loaded(tmp_path: Path) -> None:
    arguments = {
        "channels": 1, "width": 6, "blocks": 2, "generator": "resnet", "upsample": "transpose", "padding": "zeros",
        "dropout": 0.25, "image_size": 48, "domain": "cartoon", "labels": ("photo", "漢字"), "epoch": 40,
        "skip": True, "value_range": [0, 4095], "eyes_a": [0.3, 0.5, 0.7, 0.5], "eyes_b": None,
    }  # fmt: skip
    model = CycleGenerator(**arguments)
    model.save_pretrained(tmp_path / "model")
    loaded = CycleGenerator.from_pretrained(tmp_path / "model")
    assert "漢字" in (tmp_path / "model" / "config.json").read_text("utf-8")  # for people to read
    expected = {"model": "CycleGenerator", "format": 3, **arguments, "labels": ["photo", "漢字"]}
    assert loaded.config == model.config == expected
    for one in (model, loaded):
        assert (one.channels, one.image_size, one.domain, one.epoch) == (1, 48, "cartoon", 40)
        assert one.labels == ("photo", "漢字") and isinstance(one.labels, tuple)
        assert one.eyes == {"a_to_b": (0.3, 0.5, 0.7, 0.5), "b_to_a": None}
        assert [m.p for m in one.modules() if isinstance(m, nn.Dropout)] == [0.25] * 4
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


FORMAT_1 = Path(__file__).parent / "format-1"  # written by the package as it was before format 2, on 2026-11-25


def test_a_model_of_format_1_gives_the_pixels_it_gave_then() -> None:
    """config.json names no `skip`; expected.png has both directions side by side."""
    assert (
        "skip" not in json.loads((FORMAT_1 / "config.json").read_text())
        and b'"format": 1' in (FORMAT_1 / "config.json").read_bytes()
    )
    model = CycleGenerator.from_pretrained(FORMAT_1)
    assert model.config["format"] == 3 and model.config["skip"] is False and model.epoch == 3
    assert model.eyes == {"a_to_b": None, "b_to_a": None}
    picture = Image.new("RGB", (16, 16))
    picture.putdata([(16 * x, 16 * y, x * y % 256) for y in range(16) for x in range(16)])
    expected = Image.open(FORMAT_1 / "expected.png")
    for i, direction in enumerate(CycleGenerator.directions):
        # Another machine than the one that drew it may round otherwise.
        assert_same_pixels(model.translate(picture, direction), expected.crop((16 * i, 0, 16 * (i + 1), 16)))


def test_arguments_of_a_later_format_are_unknown_in_an_earlier_one(tmp_path: Path) -> None:
    shutil.copytree(FORMAT_1, tmp_path / "model")
    config = json.loads((FORMAT_1 / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"skip": True}))
    with pytest.raises(ModelError, match=r"unknown \['skip'\]"):
        CycleGenerator.from_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"format": 2}))
    with pytest.raises(ModelError, match=r"missing \['skip', 'value_range'\]"):
        CycleGenerator.from_pretrained(tmp_path / "model")
    second = config | {"format": 2, "skip": False, "value_range": None}
    (tmp_path / "model" / "config.json").write_text(json.dumps(second))
    assert CycleGenerator.from_pretrained(tmp_path / "model").config == second | {"format": 3, "eyes_a": None, "eyes_b": None}
    (tmp_path / "model" / "config.json").write_text(json.dumps(second | {"format": 3}))
    with pytest.raises(ModelError, match=r"missing \['eyes_a', 'eyes_b'\]"):
        CycleGenerator.from_pretrained(tmp_path / "model")


def test_two_networks_of_the_kind_asked_for() -> None:
    for kind, network in (("resnet", ResNetGenerator), ("unet", UNetGenerator)):
        model = tiny(generator=kind, blocks=2)
        assert type(model.a_to_b) is type(model.b_to_a) is network
        x = torch.rand(1, 3, 16, 16)
        assert torch.equal(model(x), model.a_to_b(x)) and torch.equal(model(x, "b_to_a"), model.b_to_a(x))
        assert not torch.equal(model(x), model(x, "b_to_a"))


@pytest.mark.parametrize("labels", [("A",), ("A", "B", "C"), "AB", ("A", 2), ()])
def test_labels_are_two_texts(labels: object) -> None:
    with pytest.raises(ValueError, match="give two, of A and of B"):
        CycleGenerator(width=4, blocks=1, labels=labels)


@pytest.mark.parametrize("name", ["channels", "width", "blocks", "image_size"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", True, None])
def test_numbers_are_whole_and_positive(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}={value!r}: give a whole number of at least 1$"):
        CycleGenerator(**{"width": 4, "blocks": 1} | {name: value})


# --- what may be translated


def saved(image: Image.Image, fmt: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt)
    return buffer.getvalue()


SOURCES: dict[str, Callable[[Image.Image, Path], object]] = {
    "PIL": lambda image, _: image,
    "bytes": lambda image, _: saved(image),
    "uint8 array": lambda image, _: np.asarray(image),
    "float array": lambda image, _: np.asarray(image) / 255,
    "uint8 tensor": lambda image, _: images.to_uint8_tensor(image),
    "float tensor": lambda image, _: images.to_tensor(image),
    "path": lambda image, folder: image.save(folder / "x.png") or folder / "x.png",
    "text": lambda image, folder: image.save(folder / "x.png") or str(folder / "x.png"),
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
def test_every_kind_of_image(kind: str, direction: str, tmp_path: Path) -> None:
    model, image = tiny(), picture(24, 16)
    result = model.translate(SOURCES[kind](image, tmp_path), direction)
    assert_same_pixels(result, by_hand(model.get_submodule(direction), image))


@pytest.mark.parametrize("channels, mode", [(3, "RGB"), (1, "L")])
@pytest.mark.parametrize("source", ["RGB", "L", "RGBA", "1", "P", "CMYK", "LA"])
def test_every_mode(channels: int, mode: str, source: str) -> None:
    """Grey images for a colour model, colour for a grey one; transparency is on white for the network, and comes back."""
    model = tiny(channels=channels)
    image = picture(24, 16).convert(source) if source in ("1", "P") else picture(24, 16, mode=source)
    result = model.translate(image)
    assert (result.mode, result.size) == (mode + "A" * source.endswith("A"), (24, 16))
    expected = by_hand(model.a_to_b, images.decode(image, channels))
    if source.endswith("A"):
        expected.putalpha(image.getchannel("A"))
    assert_same_pixels(result, expected)


def test_a_list_keeps_its_order_and_its_sizes(tmp_path: Path) -> None:
    model = tiny()
    sizes = [(24, 16), (16, 16), (24, 16), (16, 40), (16, 16), (24, 16), (16, 16)]
    pictures = [picture(*size, seed=i) for i, size in enumerate(sizes)]
    sources = [
        SOURCES[kind](image, tmp_path) for kind, image in zip(["PIL", "bytes", "uint8 array", "PIL"], pictures, strict=False)
    ]
    sources += pictures[4:]
    one_by_one = [model.translate(image) for image in pictures]
    for batch_size in (1, 2, 8):
        results = model.translate(sources, batch_size=batch_size)
        assert [result.size for result in results] == sizes
        for result, alone in zip(results, one_by_one, strict=True):
            assert_same_pixels(result, alone)
    assert isinstance(model.translate(tuple(pictures[:1])), list)
    assert model.translate([]) == []


def test_only_images_of_one_size_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches = tiny(), []
    monkeypatch.setattr(model.a_to_b, "forward", lambda x: (batches.append(tuple(x.shape)), x)[1])
    pictures = [picture(16, 16), picture(24, 16), picture(16, 16), picture(16, 16), picture(24, 16)]
    for image, result in zip(pictures, model.translate(pictures, batch_size=2), strict=True):
        assert_equal_pixels(result, image)
    assert batches == [(2, 3, 16, 16), (2, 3, 16, 24), (1, 3, 16, 16)]


# --- there and back


@pytest.mark.parametrize("direction, back", [("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")])
def test_cycle_is_two_translations(direction: str, back: str) -> None:
    model, image = tiny(), picture(45, 33)
    there = model.translate(image, direction, resolution=20)
    result = model.cycle(image, direction, resolution=20)
    assert_equal_pixels(result, model.translate(there, back, resolution="original"))
    assert result.size == there.size
    assert_equal_pixels(model.translate(image), model.translate(image, "a_to_b"))  # no direction: the first
    several = model.cycle([image, picture(16, 16)], direction, resolution=20, batch_size=1)
    assert [one.size for one in several] == [result.size, (20, 20)]
    assert_same_pixels(several[0], result)


# --- the model is left as it was


def test_dropout_is_off_and_every_mode_comes_back() -> None:
    model = tiny(dropout=0.5)
    expected = model.translate(picture(16, 16))
    model.train()
    model.b_to_a.eval()
    model.a_to_b.body.eval()
    modes = [module.training for module in model.modules()]
    for direction in ("a_to_b", "b_to_a"):
        model.translate(picture(16, 16), direction)
        assert [module.training for module in model.modules()] == modes
    assert_equal_pixels(model.train().translate(picture(16, 16)), expected)


def test_the_mode_comes_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny().train()

    def fails(_: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.a_to_b, "forward", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.translate(picture(16, 16))
    assert all(module.training for module in model.modules())


def test_nothing_is_recorded_for_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny(), []
    forward = model.a_to_b.forward
    monkeypatch.setattr(model.a_to_b, "forward", lambda x: (seen.append(forward(x)), seen[-1])[1])
    model.translate(picture(16, 16))
    assert not seen[0].requires_grad and torch.is_grad_enabled()
    assert forward(torch.rand(1, 3, 16, 16)).requires_grad  # the network could have


@pytest.mark.parametrize("dtype, mean_levels", [(torch.bfloat16, 12), (torch.float16, 2), (torch.float64, 0.1)])
@pytest.mark.parametrize("generator", ["resnet", "unet"])
def test_other_precisions(dtype: torch.dtype, mean_levels: float, generator: str) -> None:
    model, image = tiny(generator=generator, blocks=2), picture(37, 53)
    exact = model.translate(image, resolution="original")
    result = model.to(dtype).translate(image, resolution="original")
    assert next(model.parameters()).dtype == dtype
    assert (result.mode, result.size) == (exact.mode, exact.size)
    assert np.abs(pixels(result) - pixels(exact)).mean() <= mean_levels


# --- mistakes


@pytest.mark.parametrize("direction", ["A_to_B", "photo", "", "forward"])
def test_an_unknown_direction(direction: object) -> None:
    message = rf"^direction={direction!r}: must be a_to_b \(day -> night\) or b_to_a$"
    for call in (tiny().translate, tiny().cycle):
        with pytest.raises(ValueError, match=message):
            call(picture(16, 16), direction)
    with pytest.raises(ValueError, match=message):
        tiny()(torch.zeros(1, 3, 16, 16), direction)


@pytest.mark.parametrize("resolution", [0, -5, 64.0, "64", "Original", True, (64, 64)])
def test_an_unknown_resolution(resolution: object) -> None:
    with pytest.raises(ValueError) as error:
        tiny().translate(picture(16, 16), resolution=resolution)
    assert str(error.value) == f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side"


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, None])
def test_an_unknown_batch_size(batch_size: object) -> None:
    with pytest.raises(ValueError, match=rf"^batch_size={batch_size!r}: give how many images"):
        tiny().translate(picture(16, 16), batch_size=batch_size)


@pytest.mark.parametrize("source", [b"not an image", "missing.png", 5, None, torch.zeros(2, 3, 8, 8), np.full((4, 4), np.nan)])
def test_what_is_not_an_image(source: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(images.ImageError):
        tiny().translate(source)
    with pytest.raises(images.ImageError):
        tiny().translate([picture(16, 16), source])


def test_a_broken_network_is_not_shown_as_a_picture() -> None:
    model = tiny()
    nn.init.constant_(model.a_to_b.encoder[0].weight, float("nan"))
    with pytest.raises(images.ImageError, match="NaN"):
        model.translate(picture(16, 16))


# ----------------------------------------------------------------------------------------------------
# cycle_generator.py: images of every size, as they are, resized or in tiles.


ODD_SIZES = [(37, 53), (1, 1), (7, 200), (200, 7), (3, 9), (8, 8), (64, 48)]  # (width, height)


# --- sizes


@pytest.mark.parametrize("size", ODD_SIZES, ids=str)
@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("generator", ["resnet", "unet"])
def test_sizes(size: tuple[int, int], channels: int, generator: str) -> None:
    model = tiny(channels=channels, generator=generator, blocks=3)
    image = picture(*size)
    assert model.translate(image, resolution="original").size == size
    for resolution, side in ((None, 16), (10, 10), (5, 5)):
        result = model.translate(image, resolution=resolution)
        assert result.size == images.resize_short(image, side).size
        assert min(result.size) == side and result.mode == ("RGB" if channels == 3 else "L")


def test_the_original_size_is_not_resampled() -> None:
    """Sides that fit go through as they are; others are padded, which reaches no further than the network's kernels."""
    model = tiny()
    image = picture(24, 16)
    assert_same_pixels(model.translate(image, resolution="original"), by_hand(model.a_to_b, image))
    padded = images.to_pil(images.pad_to_multiple(images.to_tensor(picture(37, 53))[None], 4)[0])
    expected = by_hand(model.a_to_b, padded).crop((0, 0, 37, 53))
    assert_same_pixels(model.translate(picture(37, 53), resolution="original"), expected)


def test_resolution_is_the_shorter_side() -> None:
    model, image = tiny(image_size=20), picture(40, 80)
    for resolution, size in ((None, (20, 40)), (32, (32, 64)), (80, (80, 160))):
        result = model.translate(image, resolution=resolution)
        expected = by_hand(model.a_to_b, images.resize_short(image, size[0]))
        assert_same_pixels(result, expected)
        assert result.size == size


@pytest.mark.parametrize("threshold", [16, 40, 63])
@pytest.mark.parametrize("size", [(64, 48), (37, 101), (7, 200)], ids=str)
def test_large_images_are_tiled_without_a_trace(monkeypatch: pytest.MonkeyPatch, threshold: int, size: tuple[int, int]) -> None:
    model, image, calls = tiny(), picture(*size), []
    whole = model.translate(image, resolution="original")
    tiled = tiling.translate_in_tiles

    def small_tiles(network: ResNetGenerator, x: Tensor) -> Tensor:
        calls.append(tuple(x.shape))
        return tiled(network, x, tile=32)

    monkeypatch.setattr(translate, "TILE_ABOVE", threshold)
    monkeypatch.setattr(translate, "translate_in_tiles", small_tiles)
    first, second = model.translate([image, image], resolution="original")
    assert [shape[0] for shape in calls] == [1, 1]  # one at a time: it is for pictures that fill the memory
    for one in (first, second):  # test_tiling.py leaves rounding 1e-4 of [-1, 1]: 0.013 of a level, to either side
        assert_same_pixels(one, whole, share=0.03)


def test_a_unet_is_never_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = tiny(generator="unet", blocks=3), picture(40, 48)
    whole = model.translate(image, resolution="original")
    monkeypatch.setattr(translate, "TILE_ABOVE", 8)
    assert_equal_pixels(model.translate(image, resolution="original"), whole)
