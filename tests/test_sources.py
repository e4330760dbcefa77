from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub.data import tables
from cyclegan_hub.data.files import ArrayItems, FolderItems, ZipItems, cell_bytes
from cyclegan_hub.data.sources import open_items, open_stream
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.imaging import decoding, images
from support.pictures import encoded, folder, parquet, picture


def same(items, index: int, seed: int) -> bool:
    """Whether an item is the picture of a seed."""
    return images.decode(items.read(index)).tobytes() == picture(seed).tobytes()


def test_a_folder_gives_visible_images_at_any_depth_by_path(tmp_path: Path) -> None:
    folder(tmp_path / "b", [2])
    folder(tmp_path / "a", [1])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._0001.png").write_bytes(b"")
    items = FolderItems.open(Files("folder", (tmp_path,)))
    assert [items.name(i) for i in range(len(items))] == ["a/0001.png", "b/0002.png"]
    assert same(items, 0, 1) and same(items, 1, 2)


def test_a_zip_is_read_in_memory_without_folders_and_hidden_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.mkdir("b.png")
        for name in ("b.png/2.png", "1.png", "__MACOSX/1.png", ".hidden/3.png", "a/._1.png", "readme.txt"):
            archive.writestr(name, encoded(2 if "2" in name else 1))
    items = open_items(Files("zip", (tmp_path / "x.zip",)))
    assert items.names == ["1.png", "b.png/2.png"]
    assert same(items, 0, 1) and same(items, 1, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_zip_member_above_the_limit_or_damaged_is_an_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("big.png", bytes(5000), zipfile.ZIP_DEFLATED)
        archive.writestr("damaged.png", encoded(1))
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(encoded(1)[-30:], bytes(30)))
    items = ZipItems.open(Files("zip", (tmp_path / "x.zip",)))
    monkeypatch.setattr(decoding, "MAX_BYTES", 4999)
    with pytest.raises(images.ImageError, match=r"big\.png.*5,000"):
        items.read(0)
    with pytest.raises(images.ImageError, match=r"damaged\.png"):
        items.read(1)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"x\.zip cannot be read as a zip"):
        ZipItems.open(Files("zip", (tmp_path / "x.zip",)))


@pytest.mark.parametrize(("name", "shape"), [("images", (3, 20, 20, 3)), ("x", (3, 20, 20)), ("x", (3, 20, 20, 4))])
def test_an_npz_of_uint8_images(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    others = {"labels": np.arange(3)} if name == "images" else {}
    np.savez(tmp_path / "x.npz", **{name: array}, **others)
    items = open_items(Files("npz", (tmp_path / "x.npz",)))
    assert len(items) == 3 and np.array_equal(items.read(1), array[1])
    assert images.decode(items.read(1)).mode == "RGB"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((2, 20, 20, 3), np.float32)}, ["float32", "uint8"]),
        ({"x": np.zeros((2, 3, 20, 20), np.uint8)}, ["(2, 3, 20, 20)", "(N, H, W, 1|3|4)"]),
        ({"x": np.array([{"a": 1}], dtype=object)}, ["pickled objects are refused"]),
        ({"x": np.zeros(1), "y": np.zeros(1)}, ["x, y", "'images'"]),
        ({}, ["(none)"]),
    ],
)
def test_other_npz_files_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: list[str]) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError) as error:
        ArrayItems.open(Files("npz", (tmp_path / "x.npz",)))
    for word in ["x.npz", *words]:
        assert word in str(error.value)


def test_a_npy_or_text_called_npz_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    (tmp_path / "x.npy").rename(tmp_path / "array.npz")
    (tmp_path / "text.npz").write_text("text")
    for name in ("array.npz", "text.npz"):
        with pytest.raises(DataError, match=name):
            ArrayItems.open(Files("npz", (tmp_path / name,)))


def test_parquet_shards_are_one_pile(tmp_path: Path) -> None:
    paths = [parquet(tmp_path / f"{i}.parquet", [i, 10 + i]) for i in range(2)]
    items = open_items(Files("Parquet", tuple(paths)))
    assert len(items) == 4 and [same(items, i, seed) for i, seed in enumerate((0, 10, 1, 11))] == [True] * 4
    assert items.name(3) == "row 3 (0011.png)"


def test_large_parquet_goes_through_datasets_and_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "x.parquet", [1, 2, 3])
    monkeypatch.setattr(tables, "PARQUET_IN_MEMORY_BYTES", 0)
    items = open_items(Files("Parquet", (path,)))
    assert [same(items, i, 1 + i) for i in range(3)] == [True] * 3


def test_raw_bytes_in_the_only_binary_column_are_found(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1], "img_bytes": [encoded(5)]}), tmp_path / "x.parquet")
    assert same(open_items(Files("Parquet", (tmp_path / "x.parquet",))), 0, 5)


@pytest.mark.parametrize(
    ("columns", "wanted", "words"),
    [
        (("a", "b"), None, ["2 columns", "column=", "a, b"]),
        (("a", "b"), "c", ["'c'", "a, b"]),
        (("n",), None, ["0 columns", "Image or binary", "n"]),
    ],
)
def test_a_column_that_cannot_be_told_lists_all(
    tmp_path: Path, columns: tuple[str, ...], wanted: str | None, words: list[str]
) -> None:
    pq.write_table(pa.table({name: [1] if name == "n" else [encoded(1)] for name in columns}), tmp_path / "x.parquet")
    with pytest.raises(DataError) as error:
        open_items(Files("Parquet", (tmp_path / "x.parquet",), wanted))
    for word in words:
        assert word in str(error.value)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("<html>")
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as Parquet"):
        open_items(Files("Parquet", (tmp_path / "x.parquet",)))


def test_cells_without_an_image_are_image_errors(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encoded(1))
    assert cell_bytes({"bytes": None, "path": str(tmp_path / "1.png")}) == encoded(1)
    for cell in (None, {"bytes": None, "path": None}, "text"):
        with pytest.raises(images.ImageError, match="the cell"):
            cell_bytes(cell)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A local dataset folder with columns to filter by."""
    columns = {"Smiling": [True, False, True, False], "n": [0, 1, 1, -2], "word": list("xyxy")}
    parquet(tmp_path / "faces/train.parquet", [0, 1, 2, 3], **columns)
    parquet(tmp_path / "faces/test.parquet", [4, 5, 6, 7], **columns)
    return tmp_path / "faces"


@pytest.mark.parametrize(
    ("rows", "seeds"),
    [
        ((), (0, 1, 2, 3)),
        ((("Smiling", "0"),), (1, 3)),
        ((("Smiling", "true"), ("n", "1")), (2,)),
        ((("n", "-2"),), (3,)),
        ((("word", "x"),), (0, 2)),
    ],
)
def test_a_dataset_is_filtered_by_the_type_of_its_columns(
    dataset: Path, rows: tuple[tuple[str, str], ...], seeds: tuple[int, ...]
) -> None:
    items = open_items(HubSplit(str(dataset), "train", filter=rows))
    assert len(items) == len(seeds) and all(same(items, i, seed) for i, seed in enumerate(seeds))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "valid"}, ["'valid'", "train, test"]),
        ({"config": "other"}, ["'other'", "default"]),
        ({"column": "photo"}, ["'photo'", "image, Smiling, n, word"]),
        ({"filter": (("Male", "1"),)}, ["'Male'", "image, Smiling, n, word"]),
        ({"filter": (("n", "one"),)}, ["n=one", "int64"]),
        ({"filter": (("Smiling", "2"),)}, ["Smiling=2", "bool"]),
    ],
)
def test_errors_of_a_dataset_list_what_there_is(dataset: Path, options: dict, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        open_items(HubSplit(str(dataset), **({"split": "train"} | options)))
    for word in words:
        assert word in str(error.value)


def test_an_optional_split_may_be_missing(dataset: Path) -> None:
    assert open_items(HubSplit(str(dataset), "testA", optional=True)) is None
    assert len(open_items(HubSplit(str(dataset), "test", optional=True))) == 4


def test_without_a_network_the_error_names_dataset_and_remedy(tmp_path: Path) -> None:
    with socket.socket() as free:  # a port that nobody listens on once the socket is closed
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    program = (
        "import os, pathlib\n"
        "from cyclegan_hub.data.sources import open_items, open_stream\n"
        "from cyclegan_hub.data.specs import DataError\n"
        "from cyclegan_hub.domains import HubSplit\n"
        "def attempt(open_it):\n"
        "    try: open_it(HubSplit('user/faces', 'train'))\n"
        "    except DataError as error: print(error)\n"
        "attempt(open_items)\n"
        "pathlib.Path(os.environ['HF_HOME'], 'datasets/user___faces').mkdir(parents=True, exist_ok=True)\n"
        "attempt(open_stream)\n"
    )
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path)}
    for offline in ("0", "1"):
        environment["HF_HUB_OFFLINE"] = offline
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Retrying" not in done.stderr  # as the Hub's own client does, for 23 seconds
        uncached, cached = done.stdout.splitlines()
        for line in (uncached, cached):
            why = "HF_HUB_OFFLINE is set; unset it" if offline == "1" else "cannot be reached"
            assert "dataset user/faces (there is no folder of that name): " in line and why in line and "--data FOLDER" in line
        assert "HF_HUB_OFFLINE=1" not in uncached and ("HF_HUB_OFFLINE=1" in cached) is (offline == "0")


def test_a_remote_folder_is_streamed_undecoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "faces/train", [1])
    load_builder = datasets.load_dataset_builder

    def remote(*args, **options) -> datasets.DatasetBuilder:
        builder = load_builder(*args, **options)
        builder.base_path = "hf://datasets/user/faces"  # what makes `datasets` decode in threads of its own
        return builder

    monkeypatch.setattr(datasets, "load_dataset_builder", remote)
    stream, column, _ = open_stream(HubSplit(str(tmp_path / "faces"), "train"))
    assert [cell_bytes(row[column]) for row in stream] == [encoded(1)]


def test_importing_the_readers_does_not_import_datasets() -> None:
    program = "import sys, cyclegan_hub.data; print({'datasets', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
