"""Pairs by name, not by position; one odd pair among many is skipped and named; which half is the input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub.data.load import DomainImages
from cyclegan_hub.data.pairs import match_names
from cyclegan_hub.data.resolve import resolve_pairs
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from support.loading import contents, load_domains
from support.pictures import archive, encoded, folder, parquet, picture


def load(*where: str | None, **options: object) -> DomainImages:
    (side,) = load_domains(resolve_pairs(*where), image_size=20, halves=True, **options)
    return side


def pair(a: int, b: int) -> torch.Tensor:
    return torch.cat([images.to_uint8_tensor(picture(seed)) for seed in (a, b)])


def all_of(side: DomainImages) -> set[bytes]:
    return contents(side.train) | contents(side.held_out)


def expected(*pairs: tuple[int, int]) -> set[bytes]:
    return contents(pair(a, b) for a, b in pairs)


def write(path: Path, seed: int, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed, size))  # lossless, whatever the name says


def test_two_folders_are_matched_by_stem_whatever_the_order(tmp_path: Path) -> None:
    names = ["x", "x-1", "x.2", "x 3", "X4", "y"]  # as "x-1.jpg" < "x.jpg" and "x 3.png" < "x.png": the orders differ
    for i, name in enumerate(names):
        write(tmp_path / f"trainA/{name}.jpg", i)
        write(tmp_path / f"trainB/{name}.png", 100 + i)
    assert all_of(load(str(tmp_path), None, None)) == expected(*((i, 100 + i) for i in range(len(names))))


@pytest.mark.parametrize(
    ("a", "b", "found", "alone"),
    [
        (["b.png", "a.png", "d/c.png"], ["d/c.jpg", "a.png", "b.tif"], [(0, 2), (1, 1), (2, 0)], []),
        (["a.png", "b.png"], ["b.png"], [(1, 0)], ["a.png"]),
        (["2_A.png", "1_A.png"], ["1_B.jpg", "2_B.jpg"], [(0, 1), (1, 0)], []),
        (["1-in.png", "2-in.png"], ["1.png", "2.png"], [(0, 0), (1, 1)], []),
        (["1_left_A.png", "2_left_A.png"], ["2_right_B.jpg", "9_right_B.jpg"], [(1, 0)], ["1_left_A.png", "9_right_B.jpg"]),
        # a word that only some names have says nothing
        (["1_A.png", "b.png"], ["1_B.png", "c.png"], [], ["1_A.png", "b.png", "1_B.png", "c.png"]),
        # an equal name comes before an equal stem, whose other forms are not alone
        (["x1.png", "x3.png"], ["x1.png", "x1.tif", "x3.png", "x3.webp"], [(0, 0), (1, 2)], []),
        (["x.png", "X.png"], ["X.jpg", "x.jpg"], [(0, 1), (1, 0)], []),
        # as Linux and as macOS write an e with an accent
        (["\u00e90.png", "\u00e91.png"], ["e\u03010.png", "e\u03011.jpg"], [(0, 0), (1, 1)], []),
        (["IMG_0.JPG", "IMG_1.JPG"], ["img_0.png", "Img_1.png"], [(0, 0), (1, 1)], []),
        (["0.jpg", "1.jpg"], ["masks/png/0.png", "masks/png/1.png"], [(0, 0), (1, 1)], []),  # a zip of a folder
        (["photo/x/0.jpg", "photo/y/0.jpg"], ["label/x/0.png", "label/y/0.png"], [(0, 0), (1, 1)], []),
    ],
)
def test_names_are_matched(a: list[str], b: list[str], found: list[tuple[int, int]], alone: list[str]) -> None:
    assert match_names(a, b) == (found, alone)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (["a.png", "a.webp"], ["a.jpg"], "'a.png' and 'a.webp' could both belong to 'a.jpg'"),
        (["x3.jpg"], ["x3.tif", "x3.webp"], "'x3.tif' and 'x3.webp' could both belong to 'x3.jpg'"),
        (["x_A.jpg", "X_A.jpg"], ["x_B.tif", "X_B.webp", "x_B.png"], "'x_B.tif' and 'x_B.png' could both belong to 'x_A.jpg'"),
        (["IMG.jpg", "img.jpg"], ["Img.png"], "'IMG.jpg' and 'img.jpg' could both belong to 'Img.png'"),
    ],
)
def test_a_name_with_two_partners_is_refused(a: list[str], b: list[str], message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}: keep one of them"):
        match_names(a, b)


def test_a_folder_and_a_zip_are_matched_too(tmp_path: Path) -> None:
    folder(tmp_path / "a", range(5))
    archive(tmp_path / "b.zip", {f"{i:04d}.png": encoded(100 + i) for i in reversed(range(5))})
    assert all_of(load(None, str(tmp_path / "a"), str(tmp_path / "b.zip"))) == expected(*((i, 100 + i) for i in range(5)))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """40 pairs."""
    folder(tmp_path / "trainA", range(40))
    for i in range(40):
        write(tmp_path / f"trainB/{i:04d}.png", 100 + i)
    return tmp_path


def test_one_odd_pair_among_many_is_skipped_counted_and_named(many: Path) -> None:
    write(many / "trainB/0007.png", 107, (24, 20))
    (many / "trainA/0009.png").write_bytes(b"<html>")
    side = load(str(many), None, None)
    assert side.counts["found"] == 40 and side.counts["unreadable"] == 2
    assert all_of(side) == expected(*((i, 100 + i) for i in range(40) if i not in (7, 9)))
    note = next(note for note in side.notes if "unreadable" in note)
    assert "0007.png: its input is 20 x 20 and its output 24 x 20" in note and "0009.png" in note


def test_one_image_without_a_partner_among_many_is_skipped_and_named(many: Path) -> None:
    write(many / "trainA/only-here.png", 500)
    side = load(str(many), None, None)
    assert side.counts["found"] == 40 and any("no partner of their name: only-here.png" in note for note in side.notes)


def test_more_than_five_percent_stop_the_run(many: Path) -> None:
    for i in range(3):
        write(many / f"trainB/{i:04d}.png", 100 + i, (24, 20))
    with pytest.raises(DataError, match="3 of 40 images cannot be read"):
        load(str(many), None, None)
    for i in range(3):
        write(many / f"trainB/more{i}.png", 100 + i)
    with pytest.raises(DataError, match=r"are not pairs: 3 file names are not in both, such as 'more0\.png'"):
        load(str(many), None, None)


def test_an_odd_picture_of_halves_is_skipped(tmp_path: Path) -> None:
    folder(tmp_path / "train", range(40), (40, 20))
    write(tmp_path / "train/odd.png", 1, (41, 20))
    side = load(str(tmp_path), None, None)
    assert side.counts["unreadable"] == 1 and any("odd.png" in note and "41 x 20" in note for note in side.notes)


def test_the_right_half_is_the_input_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for i in range(5):
        both = Image.new("RGB", (40, 20))
        both.paste(picture(i), (0, 0))
        both.paste(picture(100 + i), (20, 0))
        both.save(tmp_path / f"train/{i}.png")
    assert all_of(load(str(tmp_path), None, None)) == expected(*((i, 100 + i) for i in range(5)))
    assert all_of(load(str(tmp_path), None, None, swapped=True)) == expected(*((100 + i, i) for i in range(5)))


def test_two_columns_of_a_parquet_file_are_pairs(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    cells = pq.read_table(parquet(tmp_path / "b.parquet", range(100, 105)))["image"]
    table = pq.read_table(parquet(tmp_path / "a.parquet", range(5))).append_column("output", cells)
    pq.write_table(table, tmp_path / "pairs.parquet")
    specs = [f"{tmp_path / 'pairs.parquet'}?column={name}" for name in ("image", "output")]
    assert all_of(load(None, *specs)) == expected(*((i, 100 + i) for i in range(5)))
