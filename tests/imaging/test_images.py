"""images.py: sizes, and pictures as tensors; padding; the sizes of tiles."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.images import ImageError
from cyclegan_hub.models import tiling
from support.hostile_files import picture
from support.pixels import pixels

# --- sizes


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (33, 33), (7, 5), (1, 1), (1, 30)])
def test_square_is_a_resize_and_a_centre_crop(size: tuple[int, int]) -> None:
    image = picture(*size)
    square = images.square(image, 10)
    assert square.size == (10, 10)
    short = min(size)
    left, top = (size[0] - short) / 2, (size[1] - short) / 2
    box = (left, top, left + short, top + short)
    assert square.tobytes() == image.resize((10, 10), Image.Resampling.LANCZOS, box=box).tobytes()
    if (max(size) - short) * 5 % short == 0:  # a whole number of pixels on each side once resized: both orders see the same
        resized = images.resize_short(image, 10)
        x, y = (resized.width - 10) // 2, (resized.height - 10) // 2
        assert np.abs(pixels(resized.crop((x, y, x + 10, y + 10))) - pixels(square)).max() <= 1


def test_square_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    low, high = images.square(stripes, 8).getextrema()
    assert low > 100 and high < 155


def test_resize_short() -> None:
    for size, short, expected in (((40, 20), 10, (20, 10)), ((3, 1000), 1, (1, 333)), ((5, 7), 5, (5, 7))):
        assert images.resize_short(picture(*size), short).size == expected


def test_sizes_that_are_refused() -> None:
    with pytest.raises(ImageError, match="512000 x 256"):
        images.resize_short(Image.new("L", (20000, 10)), 256)
    for function in (images.resize_short, images.square):
        with pytest.raises(ImageError, match="0 x 0"):
            function(picture(), 0)


# --- tensors


def test_pixel_range_is_exact() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    y = images.from_uint8(x)
    assert y.dtype == torch.float32
    assert (y[0], y[255]) == (-1, 1)
    torch.testing.assert_close(y, torch.linspace(-1, 1, 256), rtol=0, atol=1e-6)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        assert torch.equal(images.to_uint8(y.to(dtype)), x)


def test_to_uint8_rounds_and_clamps() -> None:
    x = torch.tensor([-3.0, -1.001, 2 * 9.4 / 255 - 1, 2 * 9.6 / 255 - 1, 1.2, torch.inf])
    assert images.to_uint8(x).tolist() == [0, 0, 9, 10, 255, 255]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pil_and_tensors(mode: str) -> None:
    image = picture(5, 3).convert(mode)
    x = images.to_uint8_tensor(image)
    assert x.shape == (len(mode), 3, 5) and x.dtype == torch.uint8 and x.is_contiguous()
    assert np.array_equal(x.permute(1, 2, 0).numpy().squeeze(), np.asarray(image))
    y = images.to_tensor(image)
    assert torch.equal(y, images.from_uint8(x))
    back = images.to_pil(y)
    assert back.mode == mode and back.tobytes() == image.tobytes()
    assert images.to_pil(y * 100).getextrema() == images.to_pil((y * 100).clamp(-1, 1)).getextrema()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: images.from_uint8(torch.zeros(2)), "float32"),
        (lambda: images.to_uint8(torch.zeros(2, dtype=torch.uint8)), "uint8"),
        (lambda: images.to_uint8_tensor(Image.new("RGBA", (1, 1))), "mode RGBA is not decoded"),
        (lambda: images.content_hash(Image.new("P", (1, 1))), "mode P is not decoded"),
        (lambda: images.to_pil(torch.zeros(2, 4, 4)), r"\(2, 4, 4\)"),
        (lambda: images.to_pil(torch.full((1, 4, 4), torch.nan)), "NaN"),
    ],
)
def test_tensors_that_are_refused(call: object, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        call()


@pytest.mark.parametrize(("side", "multiple"), [(5, 4), (9, 8), (12, 4), (7, 5)])
def test_padding_is_torchs_reflection(side: int, multiple: int) -> None:
    x = torch.randn(2, 3, side, side + 1)
    y = images.pad_to_multiple(x, multiple)
    h, w = -side % multiple, -(side + 1) % multiple
    assert torch.equal(y, torch.nn.functional.pad(x, (0, w, 0, h), mode="reflect"))
    assert torch.equal(y[..., :side, : side + 1], x)


@pytest.mark.parametrize(
    ("side", "expected"), [(1, "00000000"), (2, "01000000"), (3, "01210000"), (5, "01234321"), (8, "01234567")]
)
def test_padding_beyond_what_can_be_reflected(side: int, expected: str) -> None:
    x = torch.arange(side, dtype=torch.uint8)
    expected_row = torch.tensor([int(digit) for digit in expected], dtype=torch.uint8)
    assert torch.equal(images.pad_to_multiple(x.view(1, 1, 1, side), 8), expected_row.expand(1, 1, 8, 8))
    assert torch.equal(images.pad_to_multiple(x.view(1, 1, side, 1), 8), expected_row[:, None].expand(1, 1, 8, 8))


def test_tiles() -> None:
    for size, tile, halo, multiple in product((4, 8, 64, 100, 1000), (4, 7, 32, 5000), (0, 3, 16), (1, 4)):
        spans = tiling.tiles(size, tile, halo, multiple)
        assert [i for s in spans for i in range(s.core_start, s.core_stop)] == list(range(size))
        for s in spans:
            assert all(bound % multiple == 0 for bound in s)
            assert 0 < s.core_stop - s.core_start <= tile
            assert 0 <= s.start <= max(0, s.core_start - halo) and min(size, s.core_stop + halo) <= s.stop <= size
            assert s.core_start - s.start < halo + multiple and s.stop - s.core_stop < halo + multiple
        lengths = [s.core_stop - s.core_start for s in spans]
        assert max(lengths) - min(lengths) <= multiple


@pytest.mark.parametrize("arguments", [(10, 8, 0, 4), (0, 8, 0, 4), (8, 3, 0, 4), (8, 4, -1, 4)])
def test_tiles_that_are_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ImageError, match=f"size={arguments[0]}, tile={arguments[1]}, halo={arguments[2]}"):
        tiling.tiles(*arguments)
