"""images.py: decoding every format, mode, array and tensor, against Pillow's or torch's own functions."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageFile, ImageOps

from cyclegan_hub.imaging import decoding, images
from cyclegan_hub.imaging.images import ImageError
from support import pictures
from support.hostile_files import hostile, picture, png, saved
from support.pixels import pixels

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


def palette(first: tuple[int, ...], second: tuple[int, ...]) -> Image.Image:
    source = Image.new("P", (2, 1))
    source.putpalette([*first, *second])
    source.putdata([0, 1])
    return source


def one_transparent(mode: str, colour: Any) -> bytes:
    source = Image.new(mode, (2, 1), 0)
    source.putpixel((0, 0), colour)
    return saved(source, "PNG", transparency=colour)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(palette((200, 10, 30), (0, 0, 255)), "PNG", transparency=0), [[255, 255, 255], [0, 0, 255]]),
        (saved(palette((200, 10, 30), (0, 0, 255)), "GIF", transparency=0), [[255, 255, 255], [0, 0, 255]]),
        (saved(palette((0, 0, 0), (100, 0, 200)), "PNG", transparency=b"\x33\xff"), [[204, 204, 204], [100, 0, 200]]),
        (one_transparent("L", 7), [[255] * 3, [0] * 3]),
        (one_transparent("RGB", (1, 2, 3)), [[255] * 3, [0] * 3]),
        (one_transparent("I;16", 5 * 257), [[255] * 3, [0] * 3]),
    ],
)
def test_transparent_colours_become_white(data: bytes, expected: list[list[int]]) -> None:
    assert pixels(images.decode(data)).tolist() == [expected]


def test_cmyk_jpeg() -> None:
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    red = pixels(images.decode(saved(flat, "JPEG", quality=95)))
    assert np.abs(red - [255, 0, 0]).max() <= 4


RAMP = np.minimum(np.arange(0, 65536 + 64, 65), 65535)[:1008].reshape(28, 36)


@pytest.mark.parametrize(
    "source",
    [
        saved(Image.fromarray(RAMP.astype(np.uint16)), "PNG"),
        saved(Image.fromarray(RAMP.astype(np.uint16)), "TIFF"),
        b"P5 36 28 65535\n" + RAMP.astype(">u2").tobytes(),
        *(Image.fromarray(RAMP.astype(dtype)) for dtype in ("<u2", ">u2", "i4")),
    ],
    ids=["PNG", "TIFF", "PGM", "I;16", "I;16B", "I"],
)
def test_16_bits_become_8(source: bytes | Image.Image) -> None:
    image = images.decode(source, 1)
    assert np.array_equal(pixels(image), np.rint(RAMP / 257).astype(int)) and image.getextrema() == (0, 255)
    assert images.decode(source).mode == "RGB"


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


def test_arrays() -> None:
    for shape in ((3, 5), (3, 5, 1), (3, 5, 3)):
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


def test_tensors() -> None:
    for channels, dtype in product((1, 3), (torch.float32, torch.float64, torch.float16, torch.bfloat16)):
        x = torch.arange(256, dtype=torch.uint8).repeat(channels).view(channels, 16, 16)
        for source in (x, images.from_uint8(x).to(dtype).requires_grad_()):
            assert torch.equal(images.to_uint8_tensor(images.decode(source, channels)), x)


def test_channels_other_than_1_and_3_are_refused() -> None:
    with pytest.raises(ImageError, match="channels=4"):
        images.decode(picture(), 4)


# --- values and colours that an ordinary 8-bit sRGB file does not have


@pytest.mark.parametrize(
    ("values", "value_range", "expected"),
    [
        (np.uint16([0, 1020, 2040, 4080, 65535]), None, [0, 4, 8, 16, 255]),
        (np.uint16([0, 1020, 2040, 4080, 65535]), (0, 4080), [0, 64, 128, 255, 255]),
        (np.uint16([0, 1020, 2040, 4080, 65535]), (1020, 2040), [0, 0, 255, 255, 255]),
        (np.int32([-1000, -300, 400, 3000]), (-1000, 400), [0, 128, 255, 255]),
        (np.float32([-1000, -300, 400, 900.5]), (-1000, 400), [0, 128, 255, 255]),
    ],
)
def test_a_value_range_says_what_is_black_and_white(values: np.ndarray, value_range: Any, expected: list[int]) -> None:
    for format in ("TIFF", "PNG") if values.dtype == np.uint16 else ("TIFF",):
        data = saved(Image.fromarray(values[None]), format)
        assert pixels(images.decode(data, 1, value_range=value_range)).tolist() == [expected]


def test_values_that_need_a_range_say_so_and_8_bits_take_none() -> None:
    for values, message in (
        (np.int32([[-1000, 3000]]), "integers from -1000 to 3000: give 8 or 16 bits a channel, or a value range"),
        (np.float32([[-1000, 900.5]]), r"from -1000 to 900.* without NaN, or give a value range"),
    ):
        with pytest.raises(ImageError, match=message):
            images.decode(saved(Image.fromarray(values), "TIFF"))
    with pytest.raises(ImageError, match="NaN"):
        images.decode(saved(Image.fromarray(np.float32([[np.nan]])), "TIFF"), value_range=(0, 9))
    assert images.decode(pictures.encoded(1), value_range=(0, 4095)).tobytes() == pictures.picture(1).tobytes()


def swapped_profile() -> bytes:
    """sRGB with red and green exchanged: a profile whose effect cannot be overlooked."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for text in (b"sRGB", "sRGB".encode("utf-16-be")):
        profile = profile.replace(text, b"test" if len(text) == 4 else "test".encode("utf-16-be"))
    count = struct.unpack(">I", profile[128:132])[0]
    at = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 136 + 12 * i for i in range(count)}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red : red + 8], profile[green : green + 8] = profile[green : green + 8], profile[red : red + 8]
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_colours_are_converted_from_the_files_profile_to_srgb(format: str, mode: str) -> None:
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = saved(Image.new("RGB", (20, 20), (255, 0, 0)).convert(mode), format, icc_profile=swapped_profile(), **lossless)
    red, green, blue = images.decode(data).getpixel((3, 3))
    assert red < 20 and green > 235 and blue < 20


def test_srgb_itself_and_a_damaged_profile_change_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", swapped_profile()[:200]):
        data = saved(pictures.picture(1), "PNG", icc_profile=profile)
        assert images.decode(data).tobytes() == pictures.picture(1).tobytes()


def test_files_of_these_endings_are_decoded(tmp_path: Path) -> None:
    formats = {"jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000", "tga": "TGA", "pnm": "PPM", "dib": "BMP", "apng": "PNG"}
    for ending, format in formats.items():
        path = tmp_path / f"x.{ending}"
        path.write_bytes(pictures.encoded(1, format=format))
        assert path.suffix in decoding.IMAGE_ENDINGS and images.decode(path).size == (20, 20)


def test_content_says_what_is_an_image() -> None:
    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        assert decoding.looks_like_image(io.BytesIO(pictures.encoded(1, format=format)))
    for other in (b"", b"text", bytes(1000), b"%PDF-1.7", b"PK\3\4" + bytes(60)):
        assert not decoding.looks_like_image(io.BytesIO(other))


def test_several_frames_are_noticed(tmp_path: Path) -> None:
    """Animations and pages, but not a photograph that carries its preview, nor what cannot be read."""
    frames = [Image.effect_noise((16, 12), 60).convert("RGB") for _ in range(3)]
    for name, expected in (("a.gif", True), ("b.webp", True), ("c.tif", True), ("d.png", True), ("e.jpg", False)):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **({"format": "MPO"} if name == "e.jpg" else {}))
        assert [decoding.has_several_frames(one) for one in (tmp_path / name, (tmp_path / name).read_bytes())] == [expected] * 2
        frames[0].save(tmp_path / name)
        assert not decoding.has_several_frames(tmp_path / name)
    assert not decoding.has_several_frames(b"no image") and not decoding.has_several_frames(tmp_path / "nowhere.gif")


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


def test_what_is_told_of_an_image_comes_from_the_parser_that_decodes_it() -> None:
    header = bytearray(28)  # of a TGA file that Pillow, asked for any format, takes for a PCX of 16 x 16 grey pixels
    header[0:4] = 10, 0, 2, 8
    header[8:18] = struct.pack("<HHHHBB", 15, 15, 32, 32, 24, 0x20)
    data = bytearray(header + bytes(32 * 32 * 3))
    data[65] = 1
    assert images.decode(bytes(data)).size == (32, 32)
    assert decoding.probe_image(bytes(data)) == ("RGB", None, False)


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
