"""Where images lie: two columns of a Parquet file, classes by name, saved datasets, tar shards, an archive with both sides."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub.cli import main
from cyclegan_hub.data.files import cell_bytes
from cyclegan_hub.data.resolve import parse_source, resolve, resolve_pairs
from cyclegan_hub.data.sources import SOURCES, open_items, open_stream
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.imaging import images
from support.loading import load_domains
from support.pictures import encoded, folder, parquet, picture


def seeds(spec: str) -> list[int]:
    """Which pictures a side is made of; the stream must be of the same."""
    source = parse_source(spec).train
    items, stream = open_items(source), open_stream(source)
    assert items is not None and stream is not None
    known = {picture(seed).tobytes(): seed for seed in range(200)}
    found = [known[images.decode(items.read(i)).tobytes()] for i in range(len(items))]
    assert [known[images.decode(cell_bytes(row[stream.column])).tobytes()] for row in stream.rows] == found
    return found


def test_each_kind_is_one_class_with_a_name_of_its_own() -> None:
    assert len({source.kind for source in SOURCES}) == len(SOURCES)
    endings = [ending for source in SOURCES for ending in source.extensions]
    assert len(set(endings)) == len(endings)


@pytest.fixture
def two_columns(tmp_path: Path) -> Path:
    one, other = (pq.read_table(parquet(tmp_path / f"{i}.parquet", range(i, i + 4)))["image"] for i in (0, 100))
    table = pa.table({"imageA": one, "imageB": other, "kind": ["cat", "dog", "cat", "cow"], "size": [1.5, 2.0, 1.5, 3.0]})
    pq.write_table(table, tmp_path / "both.parquet")
    return tmp_path / "both.parquet"


def test_a_column_of_a_parquet_file_is_named_as_its_error_says(two_columns: Path) -> None:
    with pytest.raises(DataError, match=r"name one with both\.parquet\?column=imageA or both\.parquet\?column=imageB"):
        open_items(parse_source(str(two_columns)).train)
    a, b = (f"{two_columns}?column=image{letter}" for letter in "AB")
    assert seeds(a) == [0, 1, 2, 3] and seeds(b) == [100, 101, 102, 103]
    sides = load_domains(resolve(None, None, a, b), image_size=20)
    assert [side.counts["found"] for side in sides] == [4, 4]
    assert parse_source(a).describe().startswith(f"Parquet {two_columns.parent.name}/both.parquet?column=imageA, held out")


@pytest.mark.parametrize(
    ("query", "found"), [("filter=kind=cat", [0, 2]), ("filter=size=1.5", [0, 2]), ("filter=kind=cow&filter=size=3", [3])]
)
def test_rows_of_a_parquet_file_are_filtered(two_columns: Path, query: str, found: list[int]) -> None:
    assert seeds(f"{two_columns}?column=imageA&{query}") == found


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("column=imageC", "no column 'imageC': its columns are imageA, imageB"),
        ("split=train", "unknown key 'split' in .*: the keys are column, filter"),
        ("column=imageA&filter=sort=cat", "no column 'sort' to filter by"),
        ("column=", "'column=' in .* has no value"),
    ],
)
def test_wrong_options_of_a_file_are_one_line(two_columns: Path, query: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_items(parse_source(f"{two_columns}?{query}").train)


def test_options_of_a_kind_without_options_and_of_no_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 20, 20), np.uint8))
    with pytest.raises(DataError, match="a npz takes no options"):
        parse_source(f"{tmp_path / 'x.npz'}?column=a")
    with pytest.raises(DataError, match=r"gone\.parquet: there is no such file"):
        parse_source(f"{tmp_path / 'gone.parquet'}?column=a")
    assert len(folder(tmp_path / "is it?column=a", [1]).name) and seeds(str(tmp_path / "is it?column=a")) == [1]


def labelled() -> datasets.Dataset:
    """Six images of cats, dogs and cows."""
    cells = [{"bytes": encoded(seed), "path": None} for seed in range(6)]
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog", "cow"]))
    return datasets.Dataset.from_dict({"image": cells, "label": [0, 1, 2, 0, 1, 0]}, features=features)


@pytest.mark.parametrize("kind", ["Parquet", "saved", "dataset of files", "dataset with a card"])
def test_classes_filter_by_name(tmp_path: Path, kind: str) -> None:
    match kind:
        case "Parquet":
            labelled().to_parquet(tmp_path / "x.parquet")
            spec = f"{tmp_path / 'x.parquet'}?"
        case "saved":
            labelled().save_to_disk(tmp_path / "saved")
            spec = f"{tmp_path / 'saved'}?"
        case "dataset of files":  # classes are the names of folders
            for seed, name in enumerate(["cat", "dog", "cow", "cat", "dog", "cat"]):
                folder(tmp_path / "files/train" / name, [seed])
            spec = f"hf:{tmp_path / 'files'}?"
        case _:  # the Parquet file does not know the names
            table = pa.table({"image": [encoded(seed) for seed in range(6)], "label": [0, 1, 2, 0, 1, 0]})
            (tmp_path / "card").mkdir()
            pq.write_table(table, tmp_path / "card/train.parquet")
            names = "".join(f"          '{i}': {name}\n" for i, name in enumerate(["cat", "dog", "cow"]))
            card = "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: label\n    dtype:\n"
            (tmp_path / "card/README.md").write_text(f"{card}      class_label:\n        names:\n{names}---\n")
            spec = f"hf:{tmp_path / 'card'}?"
    assert sorted(seeds(f"{spec}filter=label=cat")) == [0, 3, 5] and seeds(f"{spec}filter=label=cow") == [2]
    if kind != "dataset of files":
        assert seeds(f"{spec}filter=label=1") == [1, 4]
    with pytest.raises(DataError, match=r"filter=label=cats: the classes of label are cat, (dog, cow|cow, dog)"):
        seeds(f"{spec}filter=label=cats")


def test_a_pandas_category_filters_by_name(tmp_path: Path) -> None:
    kinds = pa.array(["cat", "dog", "cat"]).dictionary_encode()
    pq.write_table(pa.table({"image": [encoded(seed) for seed in range(3)], "kind": kinds}), tmp_path / "x.parquet")
    items = open_items(parse_source(f"{tmp_path / 'x.parquet'}?filter=kind=cat").train)
    assert items is not None and len(items) == 2


def test_a_folder_of_save_to_disk_is_a_side(tmp_path: Path) -> None:
    labelled().save_to_disk(tmp_path / "saved")
    assert seeds(str(tmp_path / "saved")) == list(range(6))
    splits = datasets.DatasetDict({"trainA": labelled(), "trainB": labelled().select([4, 2, 1])})
    splits.save_to_disk(tmp_path / "dict")
    a, b = resolve(None, str(tmp_path / "dict"), None, None)
    assert [len(open_items(side.train)) for side in (a, b)] == [6, 3]
    with pytest.raises(DataError, match=r"saved dataset of several splits: give one, .*dict/trainA, .*dict/trainB"):
        parse_source(str(tmp_path / "dict"))
    (tmp_path / "saved/data-00000-of-00001.arrow").write_bytes(b"broken")
    with pytest.raises(DataError, match="cannot be loaded"):
        open_items(parse_source(str(tmp_path / "saved")).train)


def shard(path: Path, numbers: range, prefix: str = "") -> Path:
    """A shard of a WebDataset: an image and its label for each sample."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            for name, data in ((f"{number:06d}.png", encoded(number)), (f"{number:06d}.json", b"{}")):
                info = tarfile.TarInfo(f"{prefix}{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def test_the_shards_of_a_webdataset_are_a_side(tmp_path: Path) -> None:
    shard(tmp_path / "web/train-0000.tar", range(4))
    shard(tmp_path / "web/train-0001.tar", range(4, 7))
    assert seeds(str(tmp_path / "web")) == list(range(7)) and seeds(str(tmp_path / "web/train-0001.tar")) == [4, 5, 6]
    items = open_items(parse_source(str(tmp_path / "web")).train)
    assert items is not None and list(items.notes) == ["7 files with other extensions were ignored: .json 7"]
    assert items.name(0) == "train-0000.tar/000000.png"
    shard(tmp_path / "both/trainA-0000.tar", range(4))
    shard(tmp_path / "both/trainB.tar", range(100, 104))
    assert all(side.train.kind == "tar" for side in resolve(None, str(tmp_path / "both"), None, None))


def test_a_compressed_tar_says_what_to_do(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(folder(tmp_path / "in", [1]), "in")
    with pytest.raises(DataError, match=r"x\.tar\.gz is compressed: unpack it first \(tar xf x\.tar\.gz\), and give the folder"):
        open_items(parse_source(str(tmp_path / "x.tar.gz")).train)
    (tmp_path / "x.tar").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"x\.tar cannot be read as a tar"):
        open_items(parse_source(str(tmp_path / "x.tar")).train)


def archived(path: Path, names: list[str], wrapped: str = "") -> Path:
    """A zip or tar with some pictures in each of these folders; seeds go up by ten from folder to folder."""
    files = {f"{wrapped}{name}/{i}.png": encoded(10 * start + i) for start, name in enumerate(names) for i in range(4)}
    files |= {f"__MACOSX/{wrapped}trainA/._0.png": b"finder"}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("wrapped", ["", "horse2zebra/", "./"])
@pytest.mark.parametrize("ending", [".zip", ".tar"])
def test_an_archive_with_both_sides_is_data(tmp_path: Path, ending: str, wrapped: str) -> None:
    path = archived(tmp_path / f"both{ending}", ["trainA", "trainB", "testA"], wrapped)
    a, b = resolve(None, str(path), None, None)
    assert b.held_out is None and a.held_out is not None and isinstance(a.train, type(b.train))
    sides = load_domains((a, b), image_size=20)
    assert [side.counts["found"] for side in sides] == [4, 4] and len(sides[0].held_out) == 4
    inside = f"{wrapped.removeprefix('./')}trainB"
    assert seeds(f"{path}?inside={inside}") == [10, 11, 12, 13]
    assert main(["inspect", str(path), "--out", str(tmp_path / "out.png")]) == 0


def test_an_archive_of_pairs_is_data(tmp_path: Path) -> None:
    (side,) = resolve_pairs(str(archived(tmp_path / "facades.zip", ["train", "val"], "facades/")), None, None)
    assert not isinstance(side.train, HubSplit) and side.train.inside == "facades/train"
    assert side.held_out is not None and side.held_out.inside == "facades/val"


def test_an_archive_or_a_folder_without_sides_says_what_to_write(tmp_path: Path) -> None:
    path = archived(tmp_path / "x.zip", ["cats", "dogs"])
    with pytest.raises(DataError, match=r"there is no folder trainA/ in it: give --data-a and --data-b"):
        resolve(None, str(path), None, None)
    with pytest.raises(DataError, match="holds no folder 'cows'"):
        open_items(parse_source(f"{path}?inside=cows").train)
    with pytest.raises(DataError, match="holds 2 folders trainA"):
        resolve(None, str(archived(tmp_path / "two.zip", ["a/trainA", "b/trainA", "a/trainB"])), None, None)
    for name in ("trainA", "trainB"):
        folder(tmp_path / f"unpacked/horse2zebra/{name}", range(3))
    with pytest.raises(DataError, match=r"no domain A in it, but in horse2zebra/: give --data .*unpacked/horse2zebra"):
        resolve(None, str(tmp_path / "unpacked"), None, None)


@pytest.mark.parametrize("names", [("A", "B"), ("traina", "trainb"), ("train_A", "train_B")])
def test_folders_of_nearly_the_right_name_are_named_with_what_to_write(names: tuple[str, str], tmp_path: Path) -> None:
    for i, name in enumerate(names):
        folder(tmp_path / name, [i])
    where = rf"give --data-a \S+{names[0]} --data-b \S+{names[1]}"
    with pytest.raises(DataError, match=rf"no trainA/ in it, but {names[0]}/: rename it to trainA, or {where}$"):
        resolve(None, str(tmp_path), None, None)


_UNREAD = [
    ("x.jpg", "give the folder that it lies in"),
    ("x.rar", "unpack it first"),
    ("x.MP4", "save its frames"),
    ("x.npy", "numpy.savez"),
    ("x.h5", "save its images"),
]


@pytest.mark.parametrize(("name", "remedy"), _UNREAD)
def test_files_that_are_not_read_say_what_to_do(name: str, remedy: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=remedy):
        resolve(None, None, str(tmp_path / name), str(tmp_path))


@pytest.mark.parametrize("option", ["--data-a", "--data-b"])
def test_one_pile_is_inspected_whichever_option_names_it(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path / "pile", range(3))
    assert main(["inspect", option, str(tmp_path / "pile"), "--out", str(tmp_path / "look.png")]) == 0
    assert "3 found" in capsys.readouterr().out
