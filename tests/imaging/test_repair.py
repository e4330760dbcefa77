"""decoding/: photographs of iPhones, and files whose metadata or last bytes are wrong."""

from __future__ import annotations

import io
import sys
import zlib

import pytest
from PIL import Image, ImageCms, ImageFile

from cyclegan_hub.imaging import decoding, repair
from cyclegan_hub.imaging.decoding import ImageError, decode
from support import pictures
from support.hostile_files import picture, png, saved
from support.pixels import apart

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
RAW = zlib.compress(b"".join(b"\0" + bytes([x, x, 200] * 8) for x in range(0, 80, 10)))  # 8 x 8 px of colour type 2


# --- HEIC


@pytest.fixture(scope="module")
def heic() -> bytes:
    writer = pytest.importorskip("pillow_heif", reason="the tests' HEIC files need pillow-heif: pip install pillow-heif")
    pytest.importorskip("pi_heif")
    buffer = io.BytesIO()
    writer.from_pillow(picture(64, 48)).save(buffer, quality=95)
    return buffer.getvalue()


def test_a_photograph_of_an_iphone(heic: bytes) -> None:
    found = decode(heic)
    assert (found.mode, found.size) == ("RGB", (64, 48)) and apart(found, picture(64, 48)) < 30
    assert not {"HEIF", "HEIC"} & set(Image.OPEN)  # nothing was added to Pillow itself


def test_heic_keeps_to_the_limits(heic: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImageError, match=r"'x\.heic' is damaged or cut short"):
        decode(heic[: len(heic) // 2], name="x.heic")
    monkeypatch.setattr(decoding, "MAX_PIXELS", 1000)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("pixels were decoded"))
    with pytest.raises(ImageError, match="64 x 48 pixels"):
        decode(heic)
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    with pytest.raises(ImageError, match="more than 100 bytes"):
        decode(heic)


def test_without_the_decoder_the_error_names_it(heic: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImageError, match=r"'me.heic' is a HEIC photograph, which needs pi-heif: pip install pi-heif"):
        decode(heic, name="me.heic")


# --- odd metadata


def spoilt(data: bytes, name: bytes) -> bytes:
    """A PNG file with a wrong checksum in its first chunk of this name."""
    start = data.index(name)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    return data[:end] + bytes(4) + data[end + 4 :]


LARGE = zlib.compress(bytes(3 * 2**20))
ODD = {
    "large text": png(8, 8, (b"zTXt", b"note\0\0" + LARGE), (b"IDAT", RAW)),
    "large text behind": png(8, 8, (b"IDAT", RAW), (b"iTXt", b"note\0\1\0\0\0" + LARGE)),
    "large profile": png(8, 8, (b"iCCP", b"x\0\0" + LARGE), (b"IDAT", RAW)),
    "endless profile": png(8, 8, (b"iCCP", b"x\0\0" + zlib.compress(bytes(40 * 2**20))), (b"IDAT", RAW)),
    "wrong checksum": spoilt(png(8, 8, (b"tEXt", b"a\0b"), (b"IDAT", RAW)), b"tEXt"),
    "wrong checksum of the orientation": spoilt(png(8, 8, (b"eXIf", b"II*\0"), (b"IDAT", RAW)), b"eXIf"),
    "many texts": png(8, 8, *[(b"zTXt", b"note\0\0" + zlib.compress(bytes(2**20)))] * 70, (b"IDAT", RAW)),
}


@pytest.mark.parametrize("name", ODD)
def test_a_png_with_odd_metadata_is_a_picture(name: str) -> None:
    assert decode(ODD[name]).tobytes() == decode(png(8, 8, (b"IDAT", RAW))).tobytes()


def test_a_png_whose_picture_is_damaged_is_refused_for_that() -> None:
    whole = png(8, 8, (b"IDAT", RAW))
    for data in (whole[:50], spoilt(whole, b"IHDR")):
        with pytest.raises(ImageError, match="damaged or cut short"):
            decode(data)


def test_the_profile_of_a_png_is_found_whatever_stands_around_it() -> None:
    data = saved(picture(), "PNG", icc_profile=PROFILE)
    start = data.index(b"iCCP") - 4
    after = data[:start] + data[start:].replace(b"\x00\x00\x00\x00IEND", png(1, 1, (b"tEXt", bytes(9)))[33:-12] + b"\0\0\0\0IEND")
    cleaned, profile = repair.png_without_metadata(after)
    assert profile == PROFILE and b"tEXt" not in cleaned and b"iCCP" not in cleaned


# --- a JPEG without its end


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_may_lack_its_end_marker_and_no_more(progressive: bool) -> None:
    data = saved(picture(200, 120), "JPEG", progressive=progressive, quality=95)
    assert decode(data[:-1]).tobytes() == decode(data[:-2]).tobytes() == decode(data).tobytes()
    data = saved(pictures.picture(0, (64, 64)), "JPEG", progressive=progressive, quality=90)
    for cut in (12, 40, 400, 2000):
        with pytest.raises(ImageError, match="damaged or cut short"):
            decode(data[:-cut])


def test_a_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    data = saved(picture(200, 120), "JPEG", progressive=True, quality=95)
    scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    assert len(scans) > 2
    for end in scans[1:]:
        tables = data.rfind(b"\xff\xc4", 0, end)  # the tables of the scan stand before it
        with pytest.raises(ImageError, match="damaged or cut short"):
            decode(data[: min(end, tables) if tables > scans[scans.index(end) - 1] else end])


def test_a_git_lfs_pointer_is_no_picture() -> None:
    """As a clone without Git LFS holds it, under the picture's own name."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4711\n"
    with pytest.raises(ImageError, match=r"x\.png'? is a Git-LFS pointer, not the image: run `git lfs pull` in the clone"):
        decode(pointer, name="x.png")
