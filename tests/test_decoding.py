"""What `decode` makes of values and colours that an ordinary 8-bit sRGB file does not have, and what counts as an image."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclegan_hub.imaging import decoding, images
from support.pictures import encoded, picture


def sixteen_bits(values: list[int], format: str = "PNG") -> bytes:
    """A grey file of 16 bits, one row of these values."""
    buffer = io.BytesIO()
    Image.fromarray(np.array([values], np.uint16)).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_value_range_says_what_is_black_and_white_in_16_bits(format: str) -> None:
    data = sixteen_bits([0, 1020, 2040, 4080, 65535], format)
    assert list(images.decode(data, 1).get_flattened_data()) == [0, 4, 8, 16, 255]
    assert list(images.decode(data, 1, value_range=(0, 4080)).get_flattened_data()) == [0, 64, 128, 255, 255]
    assert list(images.decode(data, 1, value_range=(1020, 2040)).get_flattened_data()) == [0, 0, 255, 255, 255]


def test_a_value_range_may_begin_below_zero_and_leaves_8_bits_alone() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[-1000, -300, 400, 3000]], np.int32)).save(buffer, "TIFF")
    with pytest.raises(images.ImageError, match=r"integers from -1000 to 3000: give 8 or 16 bits a channel, or a value range"):
        images.decode(buffer.getvalue())
    assert list(images.decode(buffer.getvalue(), 1, value_range=(-1000, 400)).get_flattened_data()) == [0, 128, 255, 255]
    assert images.decode(encoded(1), value_range=(0, 4095)).tobytes() == picture(1).tobytes()


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
    image = Image.new("RGB", (20, 20), (255, 0, 0)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format, icc_profile=swapped_profile(), **({"lossless": True} if format == "WEBP" else {}))
    red, green, blue = images.decode(buffer.getvalue()).getpixel((3, 3))
    assert red < 20 and green > 235 and blue < 20


def test_srgb_itself_and_a_damaged_profile_change_nothing() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", swapped_profile()[:200]):
        buffer = io.BytesIO()
        picture(1).save(buffer, "PNG", icc_profile=profile)
        assert images.decode(buffer.getvalue()).tobytes() == picture(1).tobytes()


@pytest.mark.parametrize(
    ("ending", "format"),
    [
        (".jfif", "JPEG"),
        (".jpe", "JPEG"),
        (".jp2", "JPEG2000"),
        (".tga", "TGA"),
        (".pnm", "PPM"),
        (".dib", "BMP"),
        (".apng", "PNG"),
    ],
)
def test_files_of_these_endings_are_decoded(tmp_path: Path, ending: str, format: str) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(encoded(1, format=format))
    assert ending in decoding.IMAGE_ENDINGS and images.decode(path).size == (20, 20)


def test_content_says_what_is_an_image() -> None:
    for format in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        assert decoding.looks_like_image(io.BytesIO(encoded(1, format=format)))
    for other in (b"", b"text", bytes(1000), b"%PDF-1.7", b"PK\3\4" + bytes(60)):
        assert not decoding.looks_like_image(io.BytesIO(other))


def test_several_frames_are_noticed(tmp_path: Path) -> None:
    """Animations and pages, but not a photograph that carries its preview, nor what cannot be read."""
    frames = [Image.effect_noise((16, 12), 60).convert("RGB") for _ in range(3)]
    for name, expected in (("a.gif", True), ("b.webp", True), ("c.tif", True), ("d.png", True), ("e.jpg", False)):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **({"format": "MPO"} if name == "e.jpg" else {}))
        assert (
            decoding.has_several_frames(tmp_path / name)
            is decoding.has_several_frames((tmp_path / name).read_bytes())
            is expected
        )
        frames[0].save(tmp_path / name)
        assert not decoding.has_several_frames(tmp_path / name)
    assert not decoding.has_several_frames(b"no image") and not decoding.has_several_frames(tmp_path / "nowhere.gif")
