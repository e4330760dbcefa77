"""images.py: every kind of input, the hostile ones too, against Pillow's or torch's own functions."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFile, ImageOps

from cyclegan_hub import image_grid, images
from cyclegan_hub.images import ImageError
from cyclegan_hub.models import tiling
from support.hostile_files import hostile, picture, png, saved


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


# --- decoding: formats and modes


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM", "GIF", "JPEG", "MPO", "WEBP", "AVIF"])
def test_decode_formats(fmt: str, tmp_path: Path) -> None:
    data = saved(picture(), fmt, **({"lossless": True} if fmt == "WEBP" else {"quality": 95} if fmt in ("JPEG", "AVIF") else {}))
    image = images.decode(data)
    assert (image.mode, image.size) == ("RGB", (24, 16))
    tolerance = 0 if fmt in ("PNG", "BMP", "TIFF", "PPM", "WEBP") else 40
    assert np.abs(pixels(image) - pixels(picture())).max() <= tolerance
    path = tmp_path / "x.bin"  # the content tells the format, not the name
    path.write_bytes(data)
    for source in (path, str(path), bytearray(data), memoryview(data), Image.open(io.BytesIO(data))):
        assert images.content_hash(images.decode(source)) == images.content_hash(image)
    grey = images.decode(data, channels=1)
    assert grey.mode == "L"
    assert np.array_equal(pixels(grey), pixels(image.convert("L")))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "La", "RGBa", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decode_pil_modes(mode: str, channels: int) -> None:
    if mode in ("La", "PA", "RGBa"):
        source = picture().convert({"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}[mode]).convert(mode)
    elif mode == "1":
        source = picture().convert("L").point(lambda v: 255 * (v > 90), mode="1")
    else:
        source = picture().convert(mode)
    before = source.tobytes()
    image = images.decode(source, channels)
    assert (image.mode, image.size) == ("RGB" if channels == 3 else "L", (24, 16))
    assert source.tobytes() == before
    expected = picture().convert("L") if mode in ("L", "LA", "La") else picture()
    if mode == "1":
        expected = source.convert("L")
    tolerance = {"P": 60, "PA": 60, "LAB": 40, "HSV": 8, "YCbCr": 3}.get(mode, 0)
    assert np.abs(pixels(image) - pixels(expected.convert(image.mode))).max() <= tolerance


def test_decode_returns_a_new_image_without_metadata() -> None:
    source = picture()
    source.info["exif"] = b"anything"
    image = images.decode(source)
    image.putpixel((0, 0), (9, 9, 9))
    assert source.getpixel((0, 0)) != (9, 9, 9)
    assert image.info == {} and "exif" in source.info


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(mode: str) -> None:
    source = Image.new(mode, (3, 1), 0)
    alpha = Image.new("L", (3, 1))
    alpha.putdata([0, 128, 255])
    source.putalpha(alpha)
    for image in (source, saved(source, "PNG")):
        assert pixels(images.decode(image))[0, :, 0].tolist() == [255, 127, 0]
        assert pixels(images.decode(image, 1))[0].tolist() == [255, 127, 0]


@pytest.mark.parametrize("fmt", ["PNG", "GIF"])
def test_palette_with_transparency(fmt: str) -> None:
    source = Image.new("P", (2, 1))
    source.putpalette([200, 10, 30, 0, 0, 255])
    source.putdata([0, 1])
    data = saved(source, fmt, transparency=0)
    assert pixels(images.decode(data)).tolist() == [[[255, 255, 255], [0, 0, 255]]]


def test_transparent_palette_with_partial_alpha() -> None:
    source = Image.new("P", (2, 1))
    source.putpalette([0, 0, 0, 100, 0, 200])
    source.putdata([0, 1])
    data = saved(source, "PNG", transparency=bytes([51, 255]))
    assert pixels(images.decode(data)).tolist() == [[[204, 204, 204], [100, 0, 200]]]


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGB", (1, 2, 3)), ("I;16", 5 * 257)])
def test_one_transparent_colour_becomes_white(mode: str, colour: int | tuple[int, ...]) -> None:
    source = Image.new(mode, (2, 1), 0)
    source.putpixel((0, 0), colour)
    data = saved(source, "PNG", transparency=colour)
    assert pixels(images.decode(data, 1)).tolist() == [[255, 0]]


def test_cmyk_jpeg() -> None:
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    red = pixels(images.decode(saved(flat, "JPEG", quality=95)))
    assert np.abs(red - [255, 0, 0]).max() <= 4


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_16_bit_gradient(fmt: str) -> None:
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    ramp[-1, -1] = 65535
    image = images.decode(saved(Image.fromarray(ramp), fmt), 1)
    assert np.array_equal(pixels(image), np.rint(ramp / 257).astype(int))
    assert image.getextrema() == (0, 255)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "i4"])
def test_16_bit_pil_modes(dtype: str) -> None:
    ramp = np.arange(0, 65536, 257).astype(dtype).reshape(16, 16)
    source = Image.fromarray(ramp)
    assert source.mode.startswith("I")
    assert pixels(images.decode(source, 1)).ravel().tolist() == list(range(256))
    assert images.decode(source).mode == "RGB"


def test_16_bit_pgm() -> None:
    ramp = np.arange(256, dtype=">u2") * 257
    data = b"P5 16 16 65535\n" + ramp.tobytes()
    assert pixels(images.decode(data, 1)).ravel().tolist() == list(range(256))


def test_16_bit_rgb_png_keeps_its_8_high_bits() -> None:
    values = np.array([[0, 257 * 90, 65535]], dtype=">u2")
    data = png(1, 1, (b"IDAT", zlib.compress(b"\0" + values.tobytes())), depth=16)
    assert pixels(images.decode(data)).tolist() == [[[0, 90, 255]]]


def test_32_bit_modes() -> None:
    floats = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    assert pixels(images.decode(Image.fromarray(floats), 1)).ravel().tolist() == list(range(256))
    assert pixels(images.decode(saved(Image.fromarray(floats), "TIFF"), 1)).ravel().tolist() == list(range(256))
    for bad, said in ((floats * 2, "from 0 to 2"), (floats * np.nan, "nan")):
        with pytest.raises(ImageError, match=said):
            images.decode(Image.fromarray(bad))
    for value in (-1, 65536):
        with pytest.raises(ImageError, match="8 or 16 bits"):
            images.decode(Image.new("I", (2, 2), value))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_orientation(orientation: int, fmt: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(), fmt, exif=exif)
    stored = np.asarray(Image.open(io.BytesIO(saved(picture(), fmt))).convert("RGB"))
    # EXIF 2.32, table of tag 0x0112: where the stored row 0 and column 0 are seen.
    turned = {
        1: stored,  # top, left
        2: stored[:, ::-1],  # top, right
        3: stored[::-1, ::-1],  # bottom, right
        4: stored[::-1],  # bottom, left
        5: stored.swapaxes(0, 1),  # left, top
        6: stored.swapaxes(0, 1)[:, ::-1],  # right, top
        7: stored.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
        8: stored.swapaxes(0, 1)[::-1],  # left, bottom
    }[orientation]
    image = images.decode(data)
    assert np.array_equal(np.asarray(image), turned)
    assert np.array_equal(np.asarray(images.decode(Image.open(io.BytesIO(data)))), turned)
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(image)), turned)  # nothing is left to be applied twice


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_says_nothing(exif: bytes) -> None:
    assert images.decode(saved(picture(), "JPEG", exif=exif)).size == (24, 16)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_orientation_beside_an_odd_tag() -> None:
    # The width (0x0100) as text and the EXIF sub-block's address (0x8769) as a rational: ImageOps.exif_transpose raises here.
    entries = ((0x0100, 2, 5, 40), (0x0112, 3, 1, 6), (0x8769, 5, 1, 0x2FCD81B5))
    block = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    data = saved(picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + block + bytes(44))
    assert images.decode(data).size == (16, 24)


def test_animated_gif_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert images.decode(data).getcolors() == [(48, (255, 0, 0))]
    standing = Image.open(io.BytesIO(data))
    standing.seek(2)
    assert images.decode(standing).getcolors() == [(48, (0, 0, 255))]


@pytest.mark.parametrize("size", [(1, 1), (20000, 10), (1, 3000)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    image = images.decode(saved(Image.new("RGB", size, "teal"), "PNG"))
    assert image.size == size
    square = images.square(image, 8)
    assert square.getcolors() == [(64, (0, 128, 128))]


# --- decoding: arrays and tensors


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3)])
def test_arrays(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.broadcast_to(array if array.ndim == 3 else array[..., None], (3, 5, 3))
    for source in (array, array / 255, (array / 255).astype(np.float32), np.asfortranarray(array), array[::-1][::-1]):
        assert np.array_equal(np.asarray(images.decode(source)), expected)


def test_arrays_with_alpha() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], dtype=np.uint8)
    assert pixels(images.decode(rgba)).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    assert pixels(images.decode(rgba[:, :, 2:], 1)).tolist() == [[30, 255]]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.full((2, 2), 1.5), r"from 1.5 to 1.5: floats must lie in \[0, 1\]"),
        (np.full((2, 2), -0.1), r"\[0, 1\]"),
        (np.array([[0.5, np.nan]]), "NaN"),
        (np.array([[0.5, np.inf]]), "inf"),
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), np.uint32), "uint32"),
        (np.zeros((2, 2), bool), "bool"),
        (np.zeros((3, 16, 16), np.uint8), r"\(3, 16, 16\): give \(H, W\)"),
        (np.zeros((0, 4), np.uint8), "4 x 0 pixels"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
        (np.broadcast_to(np.uint8(0), (8001, 8001)), "8001 x 8001"),
        (torch.full((3, 2, 2), 1.01), r"floats must lie in \[-1, 1\]"),
        (torch.full((3, 2, 2), torch.nan), "NaN"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "int64"),
        (torch.zeros(1, 3, 2, 2), r"\(1, 3, 2, 2\): give \(C, H, W\)"),
        (torch.zeros(16, 16, 3), r"\(16, 16, 3\)"),
        (torch.zeros(3, 0, 2), "2 x 0 pixels"),
        (Image.new("L", (0, 3)), "0 x 3 pixels"),
        ([[0, 1]], "of type list"),
        (None, "of type NoneType"),
    ],
)
def test_arrays_and_tensors_that_are_refused(source: object, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        images.decode(source)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_tensors(channels: int, dtype: torch.dtype) -> None:
    x = torch.arange(256, dtype=torch.uint8).repeat(channels).view(channels, 16, 16)
    for source in (x, images.from_uint8(x).to(dtype).requires_grad_()):
        image = images.decode(source, channels)
        assert torch.equal(images.to_uint8_tensor(image), x)


def test_channels_other_than_1_and_3_are_refused() -> None:
    with pytest.raises(ImageError, match="channels=4"):
        images.decode(picture(), 4)


# --- hostile files


@pytest.mark.parametrize("name", hostile())
def test_hostile_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(hostile()[name])
    for source, given in ((path, None), (str(path), None), (path.read_bytes(), name), (path.read_bytes(), str(path))):
        with pytest.raises(ImageError) as caught:
            images.decode(source, name=given)
        message = str(caught.value)
        assert message.startswith(repr(name))
        assert str(tmp_path) not in message and "0x" not in message and "object" not in message and "\n" not in message
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("side", [8001, 10_000, 50_000])  # above our limit, above the one Pillow warns at, and the one it refuses
@pytest.mark.parametrize("strict", [False, True])
def test_a_bomb_is_refused_by_its_header(side: int, strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: Image.Image) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    data = png(side, side, (b"IDAT", zlib.compress(bytes(100))))
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        with pytest.raises(ImageError, match=r"'bomb.png'.* pixels"):
            images.decode(data, name="bomb.png")
        if side < 10_000:
            with pytest.raises(ImageError, match="8001 x 8001 pixels"):
                images.decode(Image.open(io.BytesIO(data)))


def test_too_many_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(saved(picture(), "PNG"))
    os.truncate(path, images.MAX_BYTES)
    assert images.decode(path).size == (24, 16)
    os.truncate(path, images.MAX_BYTES + 1)
    with pytest.raises(ImageError, match=r"'large.png' has more than 67,108,864 bytes"):
        images.decode(path)
    with pytest.raises(ImageError, match="bytes"):
        images.decode(path.read_bytes())


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder").mkdir()
    for name in ("missing.png", "folder", "pipe.png", "null\0byte.png"):
        with pytest.raises(ImageError) as caught:
            images.decode(str(tmp_path / name))
        assert str(caught.value).startswith(repr(name)) and str(tmp_path) not in str(caught.value)
    with pytest.raises(ImageError, match="cannot be read") as caught:
        images.decode(str(tmp_path / ("long" * 100)))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("/secret/place/me.png", "'me.png'"),
        ("C:\\Users\\me\\photo.jpg", "'photo.jpg'"),
        ("a\nb\x1b[31m\u202egnp.exe", "'a\\nb\\x1b[31m\\u202egnp.exe'"),
        ("folder/", "'folder'"),
        ("", "this image"),
        ("n" * 300 + ".jpeg", "'" + "n" * 32 + "..." + "n" * 8 + ".jpeg'"),
    ],
)
def test_names_in_messages(name: str, label: str) -> None:
    with pytest.raises(ImageError) as caught:
        images.decode(b"no image", name=name)
    assert str(caught.value).startswith(f"{label} is not an image")


def test_global_state_of_pillow_stays() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    for data in (*hostile().values(), png(50_000, 50_000)):
        with pytest.raises(ImageError):
            images.decode(data)
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


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


@pytest.mark.parametrize(("size", "short", "expected"), [((40, 20), 10, (20, 10)), ((3, 1000), 1, (1, 333)), ((5, 7), 5, (5, 7))])
def test_resize_short(size: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
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


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("size", [4, 8, 64, 100, 1000])
@pytest.mark.parametrize("tile", [4, 7, 32, 5000])
@pytest.mark.parametrize("halo", [0, 3, 16])
def test_tiles(size: int, tile: int, halo: int, multiple: int) -> None:
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


def test_tiles_and_padding_give_a_convolution_back() -> None:
    x = torch.randn(1, 1, 45, 30)
    kernel = torch.randn(1, 1, 5, 5)

    def blur(y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(y, kernel, padding=2)

    padded = images.pad_to_multiple(x, 4)
    whole, out = blur(padded), torch.zeros_like(padded)
    for v in tiling.tiles(padded.shape[2], 16, 2, 4):
        for h in tiling.tiles(padded.shape[3], 16, 2, 4):
            part = blur(padded[..., v.start : v.stop, h.start : h.stop])
            core = part[..., v.core_start - v.start : v.core_stop - v.start, h.core_start - h.start : h.core_stop - h.start]
            out[..., v.core_start : v.core_stop, h.core_start : h.core_stop] = core
    torch.testing.assert_close(out[..., :45, :30], whole[..., :45, :30])


# --- files and pictures


def test_content_hash() -> None:
    image = picture()
    hashes = {images.content_hash(images.decode(saved(image, fmt))) for fmt in ("PNG", "BMP", "TIFF")}
    assert hashes == {images.content_hash(image)} and len(hashes.pop()) == 32
    changed = image.copy()
    changed.putpixel((3, 3), (0, 0, 1))
    black = [Image.new("L", (4, 9)), Image.new("L", (9, 4)), Image.new("L", (6, 6)), Image.new("RGB", (4, 3))]  # 36 zeros each
    assert len({images.content_hash(i) for i in (image, changed, *black)}) == 6


def test_png_bytes() -> None:
    image = picture()
    data = images.png_bytes(image)
    described = image.copy()
    described.info |= {"icc_profile": b"profile", "dpi": (72, 72), "comment": "hello", "exif": b"Exif\0\0II*\0"}
    assert images.png_bytes(described) == data and "comment" in described.info
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "PNG" and opened.info == {} and opened.tobytes() == image.tobytes()


def ink(canvas: Image.Image) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not white."""
    return ImageOps.invert(canvas.convert("L")).getbbox()


def test_grid_without_labels() -> None:
    red, blue, grey = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (2, 2), "blue"), Image.new("L", (8, 6), 99)
    canvas = image_grid.grid([[red, blue], [grey]], gap=3)
    assert (canvas.mode, canvas.size) == ("RGB", (3 + 2 * 11, 3 + 2 * 9))
    expected = Image.new("RGB", canvas.size, "white")
    for image, corner in ((red, (3, 3)), (blue, (3 + 11 + 3, 3 + 2)), (grey, (3, 3 + 9))):
        expected.paste(image, corner)
    assert canvas.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("size", "shown"), [((2, 2), (32, 32)), ((64, 32), (32, 16)), ((32, 64), (16, 32)), ((2000, 1), (32, 1)), ((5, 4), (32, 26))]
)
def test_grid_scales_into_cells(size: tuple[int, int], shown: tuple[int, int]) -> None:
    canvas = image_grid.grid([[Image.new("RGB", size, "black")]], cell=32, gap=4)
    assert canvas.size == (40, 40)
    left, top, right, bottom = ink(canvas)
    assert (right - left, bottom - top) == shown
    assert abs(left + right - 40) <= 1 and abs(top + bottom - 40) <= 1


def test_grid_enlarges_by_repeating_pixels_and_takes_a_width_and_height() -> None:
    canvas = image_grid.grid([[Image.fromarray(np.array([[0, 200]], np.uint8))]], cell=(8, 4), gap=0)
    assert canvas.convert("L").getcolors() == [(16, 0), (16, 200)]


@pytest.mark.parametrize("cell", [16, 48, 300])
def test_grid_cuts_no_label(cell: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw_text = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: tuple[float, float], text: str, *args: object, **kwargs: object) -> None:
        drawn.append((text, self.textbbox(xy, text, args[1], **kwargs)))
        draw_text(self, xy, text, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    rows = [[Image.new("RGB", (cell, cell), "white")] * 3] * 2
    row_labels = ["a label far wider than its cell", "two\nlines, gjpqy"]
    column_labels = ["Ågjpqy", "another label far wider than its cell", "three\nlines\nof it"]
    canvas = image_grid.grid(rows, row_labels=row_labels, column_labels=column_labels)
    assert [label for label, _ in drawn] == column_labels + row_labels
    boxes = [box for _, box in drawn]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert min(left, top) >= 0 and right <= canvas.width and bottom <= canvas.height
        for other in boxes[:i]:  # no two labels touch
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    left, top, right, bottom = ink(canvas)
    assert left > 0 and top > 0 and right < canvas.width and bottom < canvas.height
    filled = image_grid.grid(
        [[Image.new("RGB", (cell, cell), "red")] * 3] * 2, row_labels=row_labels, column_labels=column_labels
    )
    assert np.sum(np.all(np.asarray(filled) == (255, 0, 0), axis=-1)) == 6 * cell * cell  # and no label covers an image


@pytest.mark.parametrize("labels", [{"row_labels": ["one", "two"]}, {"column_labels": ["one"]}])
def test_grid_refuses_labels_that_do_not_match(labels: dict[str, list[str]]) -> None:
    with pytest.raises(ImageError, match="1 rows of up to 2 images"):
        image_grid.grid([[picture(), picture()]], **labels)
    with pytest.raises(ImageError, match="at least one image"):
        image_grid.grid([[]])
