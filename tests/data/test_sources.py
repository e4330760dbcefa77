"""Every kind of source, opened and streamed: folders, archives, arrays, tables, saved datasets and datasets of the Hub."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclegan_hub.cli import main
from cyclegan_hub.data import tables
from cyclegan_hub.data.files import FolderItems, ZipItems, cell_bytes
from cyclegan_hub.data.resolve import parse_source, resolve, resolve_pairs
from cyclegan_hub.data.sources import SOURCES, open_items, open_stream
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.imaging import decoding, images
from support.loading import load_domains
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


@pytest.mark.parametrize(("name", "shape"), [("images", (3, 20, 20, 3)), ("x", (3, 20, 20)), ("x", (3, 20, 20, 4))])
def test_an_npz_of_uint8_images(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    others = {"labels": np.arange(3)} if name == "images" else {}
    np.savez(tmp_path / "x.npz", **{name: array}, **others)
    items = open_items(Files("npz", (tmp_path / "x.npz",)))
    assert len(items) == 3 and np.array_equal(items.read(1), array[1])
    assert images.decode(items.read(1)).mode == "RGB"


def test_parquet_shards_are_one_source(tmp_path: Path) -> None:
    paths = [parquet(tmp_path / f"{i}.parquet", [i, 10 + i]) for i in range(2)]
    items = open_items(Files("Parquet", tuple(paths)))
    assert len(items) == 4 and [same(items, i, seed) for i, seed in enumerate((0, 10, 1, 11))] == [True] * 4
    assert items.name(3) == "row 3 (0011.png)"


def test_large_parquet_goes_through_datasets_and_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "x.parquet", [1, 2, 3])
    monkeypatch.setattr(tables, "PARQUET_IN_MEMORY_BYTES", 0)
    items = open_items(Files("Parquet", (path,)))
    assert [same(items, i, 1 + i) for i in range(3)] == [True] * 3


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


def test_a_column_of_a_parquet_file_is_a_source(two_columns: Path) -> None:
    a, b = (f"{two_columns}?column=image{letter}" for letter in "AB")
    assert seeds(a) == [0, 1, 2, 3] and seeds(b) == [100, 101, 102, 103]
    domains = load_domains(resolve(None, None, a, b), image_size=20)
    assert [domain.counts["found"] for domain in domains] == [4, 4]
    assert parse_source(a).describe().startswith(f"Parquet {two_columns.parent.name}/both.parquet?column=imageA, held out")


@pytest.mark.parametrize(
    ("query", "found"), [("filter=kind=cat", [0, 2]), ("filter=size=1.5", [0, 2]), ("filter=kind=cow&filter=size=3", [3])]
)
def test_rows_of_a_parquet_file_are_filtered(two_columns: Path, query: str, found: list[int]) -> None:
    assert seeds(f"{two_columns}?column=imageA&{query}") == found


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


def test_a_folder_of_save_to_disk_is_a_source(tmp_path: Path) -> None:
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


def test_the_shards_of_a_webdataset_are_a_source(tmp_path: Path) -> None:
    shard(tmp_path / "web/train-0000.tar", range(4))
    shard(tmp_path / "web/train-0001.tar", range(4, 7))
    assert seeds(str(tmp_path / "web")) == list(range(7)) and seeds(str(tmp_path / "web/train-0001.tar")) == [4, 5, 6]
    items = open_items(parse_source(str(tmp_path / "web")).train)
    assert items is not None and list(items.notes) == ["7 files with other extensions were ignored: .json 7"]
    assert items.name(0) == "train-0000.tar/000000.png"


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
def test_an_archive_with_both_domains_is_data(tmp_path: Path, ending: str, wrapped: str) -> None:
    path = archived(tmp_path / f"both{ending}", ["trainA", "trainB", "testA"], wrapped)
    a, b = resolve(None, str(path), None, None)
    assert b.held_out is None and a.held_out is not None and isinstance(a.train, type(b.train))
    domains = load_domains((a, b), image_size=20)
    assert [domain.counts["found"] for domain in domains] == [4, 4] and len(domains[0].held_out) == 4
    inside = f"{wrapped.removeprefix('./')}trainB"
    assert seeds(f"{path}?inside={inside}") == [10, 11, 12, 13]
    assert main(["inspect", str(path), "--out", str(tmp_path / "out.png")]) == 0


def test_an_archive_of_pairs_is_data(tmp_path: Path) -> None:
    (side,) = resolve_pairs(str(archived(tmp_path / "facades.zip", ["train", "val"], "facades/")), None, None)
    assert not isinstance(side.train, HubSplit) and side.train.inside == "facades/train"
    assert side.held_out is not None and side.held_out.inside == "facades/val"


def test_an_archive_or_a_folder_without_domains_gives_the_remedy(tmp_path: Path) -> None:
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
def test_folders_of_similar_names_are_named_with_the_remedy(names: tuple[str, str], tmp_path: Path) -> None:
    for i, name in enumerate(names):
        folder(tmp_path / name, [i])
    where = rf"give --data-a \S+{names[0]} --data-b \S+{names[1]}"
    with pytest.raises(DataError, match=rf"no trainA/ in it, but {names[0]}/: rename it to trainA, or {where}$"):
        resolve(None, str(tmp_path), None, None)


@pytest.mark.parametrize("option", ["--data-a", "--data-b"])
def test_one_pile_is_inspected_whichever_option_names_it(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path / "pile", range(3))
    assert main(["inspect", option, str(tmp_path / "pile"), "--out", str(tmp_path / "look.png")]) == 0
    assert "3 found" in capsys.readouterr().out


# --- messages


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sources that cannot be opened, and of some that cannot with the wrong options."""
    path = tmp_path_factory.mktemp("refused")
    arrays = {
        "float": {"x": np.zeros((2, 20, 20, 3), np.float32)},
        "planes": {"x": np.zeros((2, 3, 20, 20), np.uint8)},
        "pickled": {"x": np.array([{"a": 1}], dtype=object)},
        "two": {"x": np.zeros(1), "y": np.zeros(1)},
        "none": {},
    }
    for name, content in arrays.items():
        np.savez(path / f"{name}.npz", **content)
    for name in ("text.npz", "text.parquet", "text.zip", "text.tar", "x.jpg", "x.rar", "x.MP4", "x.npy", "x.h5"):
        (path / name).write_bytes(b"<html>")
    np.save(path / "array.npy", np.zeros(3))
    (path / "array.npy").rename(path / "array.npz")
    pq.write_table(pa.table({"a": [encoded(1)], "b": [encoded(1)]}), path / "ab.parquet")
    pq.write_table(pa.table({"n": [1]}), path / "n.parquet")
    parquet(path / "faces/train.parquet", [0], Smiling=[True], n=[1])
    parquet(path / "faces/test.parquet", [1], Smiling=[True], n=[1])
    with tarfile.open(path / "x.tar.gz", "w:gz") as archive:
        archive.add(folder(path / "in", [1]), "in")
    return path


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("float.npz", r"float\.npz holds float32 .*give uint8"),
        ("planes.npz", r"of shape \(2, 3, 20, 20\): give .* \(N, H, W, 1\|3\|4\)"),
        ("pickled.npz", "pickled objects are refused"),
        ("two.npz", "two.npz holds the arrays x, y: name the one to read 'images'"),
        ("none.npz", r"holds the arrays \(none\)"),
        ("array.npz", "array.npz"),
        ("text.npz", "text.npz"),
        ("float.npz?column=a", "a npz takes no options"),
        ("text.parquet", r"text\.parquet cannot be read as Parquet"),
        ("ab.parquet", r"2 columns of images: name one with ab\.parquet\?column=a or ab\.parquet\?column=b; .* are a, b"),
        ("ab.parquet?column=c", "no column 'c': its columns are a, b"),
        ("ab.parquet?split=train", "unknown key 'split' in .*: the keys are column, filter"),
        ("ab.parquet?column=a&filter=sort=cat", "no column 'sort' to filter by"),
        ("ab.parquet?column=", "'column=' in .* has no value"),
        ("n.parquet", "0 columns of images: images are a column of type Image or binary; its columns are n"),
        ("gone.parquet?column=a", r"gone\.parquet: there is no such file"),
        ("text.zip", r"text\.zip cannot be read as a zip"),
        ("text.tar", r"text\.tar cannot be read as a tar"),
        ("x.tar.gz", r"is compressed: unpack it first \(tar xf x\.tar\.gz\), and give the folder"),
        ("x.jpg", "give the folder that it lies in"),
        ("x.rar", "unpack it first"),
        ("x.MP4", "save its frames"),
        ("x.npy", r"numpy\.savez"),
        ("x.h5", "save its images"),
        ("hf:faces?split=valid", "no split 'valid': its splits are train, test"),
        ("hf:faces?config=other", "'other'.*default"),
        ("hf:faces?column=photo", "no column 'photo': its columns are image, Smiling, n"),
        ("hf:faces?filter=Male=1", "no column 'Male' to filter by: its columns are image, Smiling, n"),
        ("hf:faces?filter=n=one", "n=one does not fit a column of type int64"),
        ("hf:faces?filter=Smiling=2", "Smiling=2 does not fit a column of type bool"),
    ],
)
def test_what_cannot_be_opened_is_one_line(refused: Path, spec: str, message: str) -> None:
    given = f"hf:{refused}/{spec.removeprefix('hf:')}" if spec.startswith("hf:") else f"{refused}/{spec}"
    with pytest.raises(DataError, match=message) as error:
        open_items(parse_source(given).train)
    assert "\n" not in str(error.value)


def test_a_question_mark_may_be_part_of_a_name(tmp_path: Path) -> None:
    assert seeds(str(folder(tmp_path / "is it?column=a", [1]))) == [1]


def test_raw_bytes_in_the_only_binary_column_are_found(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1], "img_bytes": [encoded(5)]}), tmp_path / "x.parquet")
    assert seeds(str(tmp_path / "x.parquet")) == [5]
