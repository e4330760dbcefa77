"""cycle_generator.py: images of every size, as they are, resized or in tiles."""

from __future__ import annotations

import pytest
from torch import Tensor

from cyclegan_hub.imaging import images
from cyclegan_hub.models import tiling
from cyclegan_hub.models import translate as pictures
from cyclegan_hub.models.generators import ResNetGenerator
from support.pixels import assert_equal_pixels, assert_same_pixels
from support.translations import by_hand, picture, tiny

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

    monkeypatch.setattr(pictures, "TILE_ABOVE", threshold)
    monkeypatch.setattr(pictures, "translate_in_tiles", small_tiles)
    first, second = model.translate([image, image], resolution="original")
    assert [shape[0] for shape in calls] == [1, 1]  # one at a time: it is for pictures that fill the memory
    for one in (first, second):  # tests/test_tiling.py leaves rounding 1e-4 of [-1, 1]: 0.013 of a level, to either side
        assert_same_pixels(one, whole, share=0.03)


def test_a_unet_is_never_tiled(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = tiny(generator="unet", blocks=3), picture(40, 48)
    whole = model.translate(image, resolution="original")
    monkeypatch.setattr(pictures, "TILE_ABOVE", 8)
    assert_equal_pixels(model.translate(image, resolution="original"), whole)
