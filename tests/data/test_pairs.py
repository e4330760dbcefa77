"""Pairs by name, not by position; one odd pair among many is skipped and named; which half is the input."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub.data.load import DomainImages
from cyclegan_hub.data.pairs import match_names
from cyclegan_hub.data.resolve import resolve_pairs
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from cyclegan_hub.recipes.methods import RecipeError, override
from cyclegan_hub.recipes.presets import RECIPES
from support.loading import load_domains
from support.pictures import encoded, folder, parquet, picture


def load(*where: str | None, **options: object) -> DomainImages:
    (side,) = load_domains(resolve_pairs(*where), image_size=20, halves=True, **options)
    return side


def pair(a: int, b: int) -> torch.Tensor:
    return torch.cat([images.to_uint8_tensor(picture(seed)) for seed in (a, b)])


def all_of(side: DomainImages) -> set[bytes]:
    return {x.numpy().tobytes() for pile in (side.train, side.held_out) for x in pile}


def expected(*pairs: tuple[int, int]) -> set[bytes]:
    return {pair(a, b).numpy().tobytes() for a, b in pairs}


def write(path: Path, seed: int, size: tuple[int, int] = (20, 20)) -> None:
    formats = {".jpg": "BMP", ".png": "PNG", ".webp": "PNG", ".tif": "TIFF"}  # lossless, whatever the name says
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(seed, size, formats[path.suffix]))


@pytest.mark.parametrize("endings", [("png", "png"), ("jpg", "png"), ("png", "webp")])
def test_two_folders_are_matched_by_name_or_stem_whatever_the_order(tmp_path: Path, endings: tuple[str, str]) -> None:
    names = ["x", "x-1", "x.2", "x 3", "X4", "y"]  # as "x-1.jpg" < "x.jpg" and "x 3.png" < "x.png": the orders differ
    for i, name in enumerate(names):
        write(tmp_path / f"trainA/{name}.{endings[0]}", i)
        write(tmp_path / f"trainB/{name}.{endings[1]}", 100 + i)
    assert all_of(load(str(tmp_path), None, None)) == expected(*((i, 100 + i) for i in range(len(names))))


def test_an_equal_name_comes_before_an_equal_stem(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"trainA/x{i}.png", i)
        write(tmp_path / f"trainB/x{i}.png", 100 + i)
    write(tmp_path / "trainB/x3.webp", 999)  # sorts after x3.png, and before it where the names are sorted otherwise
    write(tmp_path / "trainA/x3.jpg", 998)
    write(tmp_path / "trainB/x1.tif", 997)
    with pytest.raises(DataError) as error:
        write(tmp_path / "trainB/x3.tif", 996)
        load(str(tmp_path), None, None)
    assert "'x3.tif' and 'x3.webp' could both belong to 'x3.jpg'" in str(error.value)
    (tmp_path / "trainA/x3.jpg").unlink()
    assert all_of(load(str(tmp_path), None, None)) == expected(*((i, 100 + i) for i in range(4)))


def test_names_are_matched_in_any_order() -> None:
    a, b = ["b.png", "a.png", "d/c.png"], ["d/c.jpg", "a.png", "b.tif"]
    assert match_names(a, b) == ([(0, 2), (1, 1), (2, 0)], [])
    assert match_names(["a.png", "b.png"], ["b.png"]) == ([(1, 0)], ["a.png"])
    assert match_names(["2_A.png", "1_A.png"], ["1_B.jpg", "2_B.jpg"]) == ([(0, 1), (1, 0)], [])
    assert match_names(["1-in.png", "2-in.png"], ["1.png", "2.png"]) == ([(0, 0), (1, 1)], [])
    assert match_names(["1_A.png", "b.png"], ["1_B.png", "c.png"])[0] == []  # a word that only some names have says nothing
    with pytest.raises(DataError, match=r"'a\.png' and 'a\.webp' could both belong to 'a\.jpg'"):
        match_names(["a.png", "a.webp"], ["a.jpg"])


def test_a_folder_and_a_zip_are_matched_too(tmp_path: Path) -> None:
    folder(tmp_path / "a", range(5))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for i in reversed(range(5)):
            archive.writestr(f"{i:04d}.png", encoded(100 + i))
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
        buffer = io.BytesIO()
        both.save(buffer, "PNG")
        (tmp_path / f"train/{i}.png").write_bytes(buffer.getvalue())
    assert all_of(load(str(tmp_path), None, None)) == expected(*((i, 100 + i) for i in range(5)))
    assert all_of(load(str(tmp_path), None, None, swapped=True)) == expected(*((100 + i, i) for i in range(5)))


def test_the_direction_is_a_field_of_pix2pix() -> None:
    recipe = override(RECIPES["pix2pix"], {"direction": "b_to_a"})
    assert recipe.load_options()["swapped"] is True and RECIPES["pix2pix"].load_options()["swapped"] is False
    with pytest.raises(RecipeError, match="direction='b_to_a': must be a_to_b where inputs are derived"):
        override(RECIPES["colorize"], {"direction": "b_to_a"})


def test_two_columns_of_a_parquet_file_are_pairs(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    cells = pq.read_table(parquet(tmp_path / "b.parquet", range(100, 105)))["image"]
    table = pq.read_table(parquet(tmp_path / "a.parquet", range(5))).append_column("output", cells)
    pq.write_table(table, tmp_path / "pairs.parquet")
    specs = [f"{tmp_path / 'pairs.parquet'}?column={name}" for name in ("image", "output")]
    assert all_of(load(None, *specs)) == expected(*((i, 100 + i) for i in range(5)))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (["\u00e90.png", "\u00e91.png"], ["e\u03010.png", "e\u03011.jpg"]),  # as Linux and as macOS write an e with an accent
        (["IMG_0.JPG", "IMG_1.JPG"], ["img_0.png", "Img_1.png"]),
        (["0.jpg", "1.jpg"], ["masks/png/0.png", "masks/png/1.png"]),  # a zip of a folder
        (["photo/x/0.jpg", "photo/y/0.jpg"], ["label/x/0.png", "label/y/0.png"]),
    ],
)
def test_names_that_are_equal_to_a_person_are_matched(a: list[str], b: list[str]) -> None:
    assert match_names(a, b) == ([(0, 0), (1, 1)], [])


def test_case_alone_decides_nothing_where_it_is_ambiguous() -> None:
    assert match_names(["x.png", "X.png"], ["X.jpg", "x.jpg"]) == ([(0, 1), (1, 0)], [])
    with pytest.raises(DataError, match=r"'IMG\.jpg' and 'img\.jpg' could both belong to 'Img\.png'"):
        match_names(["IMG.jpg", "img.jpg"], ["Img.png"])
