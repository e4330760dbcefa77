"""images.py on hostile files: damaged, too large, no pictures, no files."""

from __future__ import annotations

import io
import os
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.images import ImageError
from support.hostile_files import hostile, picture, png, saved

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
