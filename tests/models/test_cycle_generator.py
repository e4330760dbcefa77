"""cycle_generator.py: images of every kind, one or many, in each direction, as the bare network translates them."""

from __future__ import annotations

import json
import shutil
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
    assert json.loads((FORMAT_1 / "config.json").read_text()).items() >= {"format": 1}.items()
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
    config, file = json.loads((FORMAT_1 / "config.json").read_text()), tmp_path / "model" / "config.json"
    second = config | {"format": 2, "skip": False, "value_range": None}
    third = second | {"format": 3, "eyes_a": None, "eyes_b": None}
    for written, message in (
        (config | {"skip": True}, r"unknown \['skip'\]"),
        (config | {"format": 2}, r"missing \['skip', 'value_range'\]"),
        (second | {"format": 3}, r"missing \['eyes_a', 'eyes_b'\]"),
        (third | {"noise": False}, r"unknown \['noise'\]"),
    ):
        file.write_text(json.dumps(written))
        with pytest.raises(ModelError, match=message):
            CycleGenerator.from_pretrained(tmp_path / "model")
    file.write_text(json.dumps(second))
    assert CycleGenerator.from_pretrained(tmp_path / "model").config == third


def test_two_networks_of_the_kind_asked_for() -> None:
    for kind, network in (("resnet", ResNetGenerator), ("unet", UNetGenerator)):
        model = tiny(generator=kind, blocks=2)
        assert type(model.a_to_b) is type(model.b_to_a) is network
        x = torch.rand(1, 3, 16, 16)
        assert torch.equal(model(x), model.a_to_b(x)) and torch.equal(model(x, "b_to_a"), model.b_to_a(x))
        assert not torch.equal(model(x), model(x, "b_to_a"))


WHOLE, LABELS = "give a whole number of at least 1", "give two, of A and of B"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(({"labels": labels}, f"labels={labels!r}: {LABELS}") for labels in (("A",), ("A", "B", "C"), "AB", ("A", 2), ())),
        *(({name: 0}, f"{name}=0: {WHOLE}") for name in ("channels", "width", "blocks", "image_size")),
        *(({"width": value}, f"width={value!r}: {WHOLE}") for value in (-1, 1.5, "8", True, None)),
    ],
    ids=str,
)
def test_arguments_that_no_model_has(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as error:
        CycleGenerator(**{"width": 4, "blocks": 1} | arguments)
    assert str(error.value) == message


# --- what may be translated


def test_a_list_keeps_its_order_and_its_sizes(tmp_path: Path) -> None:
    """Images of every kind, each as the bare network translates it."""
    model = tiny()
    sizes = [(24, 16), (16, 16), (24, 16), (16, 40), (16, 16), (24, 16), (16, 16)]
    pictures = [picture(*size, seed=i) for i, size in enumerate(sizes)]
    pictures[1].save(tmp_path / "x.png")
    sources = [pictures[0], tmp_path / "x.png", np.asarray(pictures[2]), np.asarray(pictures[3]) / 255]
    sources += [images.to_uint8_tensor(pictures[4]), images.to_tensor(pictures[5]), images.png_bytes(pictures[6])]
    for direction, batch_size in (("a_to_b", 1), ("a_to_b", 2), ("b_to_a", 8)):
        for result, image in zip(model.translate(sources, direction, batch_size=batch_size), pictures, strict=True):
            assert_same_pixels(result, by_hand(model.get_submodule(direction), image))
    assert isinstance(model.translate(tuple(pictures[:1])), list)
    assert model.translate([]) == []


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
    nn.init.constant_(model.b_to_a.encoder[0].weight, float("nan"))
    with pytest.raises(images.ImageError, match="NaN"):  # not shown as an image
        model.translate(picture(16, 16), "b_to_a")
    assert [module.training for module in model.modules()] == modes
    assert_equal_pixels(model.train().translate(picture(16, 16)), expected)


def test_nothing_is_recorded_for_gradients_and_the_mode_comes_back_after_an_error() -> None:
    model, seen = tiny().train(), []

    def fails(_: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output)
        raise RuntimeError("out of memory")

    model.a_to_b.register_forward_hook(fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        model.translate(picture(16, 16))
    assert not seen[0].requires_grad and torch.is_grad_enabled()
    assert all(module.training for module in model.modules())


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


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("direction", ("A_to_B", "", "forward"), "must be a_to_b (day -> night) or b_to_a"),
        ("resolution", (0, -5, 64.0, "64", True, (64, 64)), "give None, 'original' or the pixels of the shorter side"),
        ("batch_size", (0, 2.5, None), "give how many images of one size go through the network at a time"),
    ],
)
def test_an_unknown_option(name: str, values: tuple[object, ...], message: str) -> None:
    model = tiny()
    for value in values:
        for call in (model.translate, model.cycle):
            with pytest.raises(ValueError) as error:
                call(picture(16, 16), **{name: value})
            assert str(error.value) == f"{name}={value!r}: {message}"


@pytest.mark.parametrize("source", [b"not an image", "missing.png", 5, torch.zeros(2, 3, 8, 8)])
def test_what_is_not_an_image(source: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(images.ImageError):
        tiny().translate(source)
    with pytest.raises(images.ImageError):
        tiny().translate([picture(16, 16), source])


# --- sizes


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (7, 200), (200, 7), (8, 8)], ids=str)  # (width, height)
@pytest.mark.parametrize("channels, generator", [(3, "resnet"), (1, "unet")])
def test_sizes(size: tuple[int, int], channels: int, generator: str) -> None:
    model = tiny(channels=channels, generator=generator, blocks=3)
    image = picture(*size, mode="RGB" if channels == 3 else "L")
    assert model.translate(image, resolution="original").size == size
    for resolution, side in ((None, 16), (10, 10), (5, 5)):
        result = model.translate(image, resolution=resolution)
        assert min(result.size) == side and result.mode == image.mode
        assert_same_pixels(result, model.translate(images.resize_short(image, side), resolution="original"))


def test_the_original_size_is_not_resampled() -> None:
    """Sides that fit go through as they are; others are padded, which reaches no further than the network's kernels."""
    model = tiny()
    image = picture(24, 16)
    assert_same_pixels(model.translate(image, resolution="original"), by_hand(model.a_to_b, image))
    padded = images.to_pil(images.pad_to_multiple(images.to_tensor(picture(37, 53))[None], 4)[0])
    expected = by_hand(model.a_to_b, padded).crop((0, 0, 37, 53))
    assert_same_pixels(model.translate(picture(37, 53), resolution="original"), expected)


@pytest.mark.parametrize("size, threshold", [((64, 48), 63), ((37, 101), 40), ((7, 200), 16)], ids=str)
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
