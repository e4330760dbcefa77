"""serving/results.py: rows, zips that are whole or not there, and names that are safe and unique."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.imaging import images
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.results import (
    CELL,
    SAVE_FORMATS,
    Result,
    base_name,
    epoch_strip,
    labelled_row,
    open_zip,
    side_by_side,
    zip_names,
)
from support.pictures import picture


@pytest.mark.parametrize(("size", "shown"), [((32, 48), (64, 96)), ((200, 100), (200, 100)), ((2000, 1000), (CELL, CELL // 2))])
def test_a_row_shows_small_and_large_pictures(size: tuple[int, int], shown: tuple[int, int]) -> None:
    made = labelled_row([("Before", Image.new("RGB", size, "red")), ("Epoch 5\nbest", Image.new("RGB", size, "blue"))])
    red = [x for x in range(made.width) if made.getpixel((x, made.height - 10)) == (255, 0, 0)]
    high = [y for y in range(made.height) if made.getpixel((made.width - 10, y)) == (0, 0, 255)]
    assert (len(red), len(high)) == shown


def test_a_zip_holds_the_pictures_exactly(tmp_path: Path) -> None:
    paths = []
    for _ in range(2):
        with open_zip(tmp_path, "x.zip") as (path, add):
            for seed in range(3):
                add(f"{seed}.png", images.png_bytes(picture(seed)))
            assert not path.exists()
        paths.append(path)
    assert paths[0] != paths[1] and paths[0].read_bytes() == paths[1].read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["x.zip"]
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None and file.namelist() == ["0.png", "1.png", "2.png"]
        assert all(images.decode(file.read(f"{seed}.png")) == picture(seed) for seed in range(3))


def test_nothing_stays_of_a_zip_that_was_given_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_zip(tmp_path, "x.zip") as (_, add):
        add("0.png", b"picture")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ServingError) as caught, open_zip(tmp_path / "none", "x.zip"):
        pass
    assert str(caught.value) == "The results could not be stored here (No such file or directory)."


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="No space left"), open_zip(tmp_path, "x.zip") as (_, add):
        add("0.png", b"picture")
        raise OSError(28, os.strerror(28), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_names_in_a_zip() -> None:
    given = [
        Path("/tmp/a/photo.jpg"), Path("/tmp/b/photo.jpg"), "photo.JPG", "../../etc/passwd", "C:\\pictures\\photo.png",
        "<img src=x>.png", "..", "con?.gif", "x" * 300 + ".png", "b\x00\n.png", "",
    ]  # fmt: skip
    names = zip_names(given)
    assert len({name.casefold() for name in names}) == len(given)
    assert all(name.endswith(".png") and not set(name) & set("/\\<>?\x00\n") and len(name) < 255 for name in names)
    assert zip_names(["a.jpg", "b.png"]) == ["a.png", "b.png"] and base_name("C:\\x\\y.png") == "y.png"


def result(size: tuple[int, int] = (64, 48), labels: tuple[str, str] = ("photo", "Monet")) -> Result:
    given, model = picture(0, (size[0] * 4, size[1] * 4)), ModelEntry("monet", labels, 32)
    epoch = EpochEntry("epoch-005", 5, "Epoch 5", True, "best")
    return Result(model, "a_to_b", epoch, given.resize(size), picture(1, size), given)


def test_a_result_is_saved_in_four_formats() -> None:
    one = result()
    assert one.caption == "monet: photo → Monet, made with CycleGAN Hub" and one.epoch.label == "Epoch 5 · best"
    named = replace(one, model=replace(one.model, action="Paint like Monet"), epoch=replace(one.epoch, best=False))
    assert named.caption == "Paint like Monet: photo → Monet, epoch 5, made with CycleGAN Hub"
    files = {format: Image.open(io.BytesIO(SAVE_FORMATS[format].encode(one))) for format in SAVE_FORMATS}
    assert {one.file_name(format): (file.format, file.size) for format, file in files.items()} == {
        "monet-a_to_b-epoch-005.png": ("PNG", (683, 512)),
        "monet-a_to_b-epoch-005.jpg": ("JPEG", (683, 512)),
        "monet-a_to_b-epoch-005-pair.jpg": ("JPEG", (2 * 683 + 24, 512 + 16 + 44)),
        "monet-a_to_b-epoch-005-own-size.png": ("PNG", (64, 48)),
    }
    assert images.decode(SAVE_FORMATS["own"].encode(one)) == one.after
    assert images.decode(SAVE_FORMATS["png"].encode(one)) == one.after.resize((683, 512), Image.Resampling.LANCZOS)


def test_a_large_result_is_not_enlarged() -> None:
    assert Image.open(io.BytesIO(SAVE_FORMATS["png"].encode(result((600, 700))))).size == (600, 700)


@pytest.mark.parametrize("labels", [("a", "b"), ("photo", "Monet"), ("x" * 50, "y" * 50), ("夜", "day")])
def test_the_caption_below_a_pair_fits(labels: tuple[str, str]) -> None:
    pair = side_by_side(result((64, 64), labels))
    line = np.asarray(pair.convert("L"))[512 + 20 :]
    ink = np.nonzero((line < 200).any(0))[0]
    assert ink.size and ink[0] >= 4 and ink[-1] < pair.width - 4


def test_a_strip_shows_the_pictures_large_above_their_captions() -> None:
    strip = epoch_strip([("Input", Image.new("RGB", (300, 200), "red")), ("Epoch 5 · best", Image.new("RGB", (96, 64), "blue"))])
    red = [x for x in range(strip.width) if strip.getpixel((x, strip.height - 20)) == (255, 0, 0)]
    assert len(red) == 512 and strip.height > 341
