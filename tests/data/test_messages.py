"""data/: what is printed about images that cannot be used says which they are and what to do, once."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub.data.hub_datasets import _explained
from cyclegan_hub.data.load import DomainImages, load_domains
from cyclegan_hub.data.reading import Reading, Selection
from cyclegan_hub.data.resolve import parse_source, resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import HubSplit
from support.loading import contents
from support.pictures import archive, encoded, folder


def table(path: Path, cells: list[bytes | None]) -> Path:
    pq.write_table(pa.table({"image": pa.array(cells, pa.binary())}), path)
    return path


def pictures(first: int, count: int) -> list[bytes]:
    return [encoded(seed, (20, 20)) for seed in range(first, first + count)]


def set_field(data: bytearray, local: int, central: int, value: int) -> bytes:
    """Sets a 16-bit field of every member, in both of its headers."""
    for signature, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
        for found in re.finditer(re.escape(signature), bytes(data)):
            struct.pack_into("<H", data, found.start() + offset, value)
    return bytes(data)


def load(a: Path, tmp_path: Path) -> DomainImages:
    """Domain A, beside another that is in order."""
    b = table(tmp_path / "other.parquet", pictures(1000, 30))
    return load_domains([parse_source(str(path)) for path in (a, b)], [Reading(16)] * 2, Selection())[0]


def test_the_row_of_an_unreadable_cell_is_named_and_empty_cells_are_counted_apart(tmp_path: Path) -> None:
    a = load(table(tmp_path / "a.parquet", [*pictures(0, 40), b"junk", *[None] * 9]), tmp_path)
    notes = "\n".join(a.notes)
    assert a.counts["unreadable"] == 1 and a.counts["empty"] == 9, a.counts
    assert sum(n for name, n in a.counts.items() if name != "found") == a.counts["found"] == 50
    assert "A: skipped 1 unreadable image: 'row 40' is not an image" in notes, notes
    assert "A: 9 empty cells without an image: row 41, row 42" in notes
    with pytest.raises(DataError, match=r"all of its 3 cells are empty: name another \?column="):
        load(table(tmp_path / "c.parquet", [None] * 3), tmp_path)


def test_a_cell_of_another_type_is_named(tmp_path: Path) -> None:
    cells = [*({"bytes": one, "path": None} for one in pictures(0, 40)), {"bytes": None, "path": "gone.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "a.parquet")
    assert "'row 40 (gone.png)' cannot be read: No such file" in "\n".join(load(tmp_path / "a.parquet", tmp_path).notes)


def test_a_reason_is_given_once(tmp_path: Path) -> None:
    cells = [*pictures(0, 60), b"junk", b"trash", b"waste"]
    (note,) = [one for one in load(table(tmp_path / "a.parquet", cells), tmp_path).notes if "unreadable" in one]
    assert note.startswith("A: skipped 3 unreadable images: 'row 60', 'row 61', 'row 62' are not an image that can be read: give")
    assert note.count("give a JPEG") == 1


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A zip of 30 images."""
    return archive(tmp_path / "a.zip", {f"{i}.png": data for i, data in enumerate(pictures(0, 30))})


def test_an_archive_that_cannot_be_read_gives_the_remedy(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    deflate64 = set_field(bytearray(whole), 8, 10, 9)
    for data, message in (
        (set_field(bytearray(whole), 6, 8, 1), "has a password: unpack it first, and give the folder"),
        (deflate64, "is compressed in a way that is not read (method 9): unpack it first"),
        (whole[:9000], "is damaged or cut short: download it again"),
        (b"<html>not found</html>", "cannot be read as a zip (it is another kind of file): download it again"),
    ):
        packed.write_bytes(data)
        with pytest.raises(DataError, match=rf"^a\.zip {re.escape(message)}"):
            load(packed, tmp_path)
    tar = archive(tmp_path / "a.tar", {f"{i}.png": data for i, data in enumerate(pictures(0, 30))})
    tar.write_bytes(tar.read_bytes()[:20_100])
    with pytest.raises(DataError, match=r"^a\.tar cannot be read as a tar \(unexpected end of data\): download it again$"):
        load(tar, tmp_path)


def test_a_damaged_file_in_an_archive_is_named(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    start = whole.find(b"IDAT")
    packed.write_bytes(whole[:start] + b"\xff" * 9 + whole[start + 9 :])
    (note,) = [one for one in load(packed, tmp_path).notes if "unreadable" in one]
    assert note == "A: skipped 1 unreadable image: '0.png' is damaged in the archive: download it again"


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *(("猫", "cp932"), ("ねこ", "cp932"), ("小狗", "gb2312"), ("кот", "cp866")),
        *(("żółć", "utf-8"), ("Käse", "cp437"), ("schön", "cp437")),
    ],
)
def test_names_in_an_archive_are_read_in_their_own_encoding(name: str, encoding: str, tmp_path: Path) -> None:
    inside = name.encode(encoding)
    placeholder = "X" * len(inside)
    path = archive(tmp_path / "a.zip", {f"{i:02}{placeholder}.png": one for i, one in enumerate([b"junk", *pictures(0, 30)])})
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), inside))
    assert f"'00{name}.png' is not an image" in "\n".join(load(path, tmp_path).notes)


def test_held_out_images_of_either_domain_are_trained_on_by_neither(tmp_path: Path) -> None:
    for split, seeds in (("trainA", range(40)), ("trainB", range(40, 80)), ("testA", range(75, 85)), ("testB", range(5))):
        folder(tmp_path / split, seeds, (16, 16))
    a, b = load_domains(resolve(None, str(tmp_path), None, None), [Reading(16)] * 2, Selection())

    assert not (contents(a.train) | contents(b.train)) & (contents(a.held_out) | contents(b.held_out))
    assert (a.counts["kept"], a.counts["also_held_out"]) == (35, 5) and (b.counts["kept"], b.counts["also_held_out"]) == (35, 5)


def test_a_dataset_that_is_a_script_names_the_revision_with_its_parquet_form() -> None:
    with pytest.raises(DataError) as caught, _explained(HubSplit("user/name", "train")):
        raise RuntimeError("Dataset scripts are no longer supported, but found name.py")
    assert "hf:user/name?revision=refs/convert/parquet" in str(caught.value)
