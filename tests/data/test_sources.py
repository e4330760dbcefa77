"""Every kind of source, opened and streamed: folders, archives, arrays, tables, saved datasets and datasets of the Hub."""

from __future__ import annotations

import re
import socket
import struct
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
from cyclegan_hub.data.files import ZipItems, cell_bytes
from cyclegan_hub.data.hub_datasets import _explained
from cyclegan_hub.data.resolve import parse_source, resolve, resolve_pairs
from cyclegan_hub.data.sources import SOURCES, open_items, open_stream
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import HubSplit
from cyclegan_hub.imaging import decoding, images
from support.hub_client import connected
from support.loading import load_domains
from support.pictures import archive, encoded, folder, parquet, picture


def test_a_zip_member_above_the_limit_or_damaged_is_an_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("big.png", bytes(5000), zipfile.ZIP_DEFLATED)
        archive.writestr("damaged.png", encoded(1))
        archive.mkdir("folder.png")
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(encoded(1)[-30:], bytes(30)))
    items = ZipItems.open(Files("zip", (tmp_path / "x.zip",)))
    assert items.names == ["big.png", "damaged.png"]
    monkeypatch.setattr(decoding, "MAX_BYTES", 4999)
    with pytest.raises(images.ImageError, match=r"big\.png.*5,000"):
        items.read(0)
    with pytest.raises(images.ImageError, match=r"damaged\.png"):
        items.read(1)


def test_an_npz_of_uint8_images(tmp_path: Path) -> None:
    for name, shape in (("images", (3, 20, 20, 3)), ("x", (3, 20, 20)), ("x", (3, 20, 20, 4))):
        array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        others = {"labels": np.arange(3)} if name == "images" else {}
        np.savez(tmp_path / "x.npz", **{name: array}, **others)
        items = open_items(Files("npz", (tmp_path / "x.npz",)))
        assert len(items) == 3 and np.array_equal(items.read(1), array[1])
        assert images.decode(items.read(1)).mode == "RGB"


def test_parquet_shards_are_one_source_whatever_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [parquet(tmp_path / f"{i}.parquet", [i, 10 + i]) for i in range(2)]
    for limit in (tables.PARQUET_IN_MEMORY_BYTES, 0):  # of more, `datasets` makes an Arrow copy
        monkeypatch.setattr(tables, "PARQUET_IN_MEMORY_BYTES", limit)
        items = open_items(Files("Parquet", tuple(paths)))
        found = [images.decode(items.read(i)).tobytes() for i in range(len(items))]
        assert found == [picture(seed).tobytes() for seed in (0, 10, 1, 11)] and items.name(3) == "row 3 (0011.png)"


def test_cells_without_an_image_are_image_errors(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encoded(1))
    assert cell_bytes({"bytes": None, "path": str(tmp_path / "1.png")}) == encoded(1)
    for cell in (None, {"bytes": None, "path": None}, "text"):
        with pytest.raises(images.ImageError, match="the cell"):
            cell_bytes(cell)


def test_an_optional_split_may_be_missing(tmp_path: Path) -> None:
    for split, seeds in (("train", [0]), ("test", [4, 5])):
        parquet(tmp_path / f"faces/{split}.parquet", seeds)
    assert open_items(HubSplit(str(tmp_path / "faces"), "testA", optional=True)) is None
    assert len(open_items(HubSplit(str(tmp_path / "faces"), "test", optional=True))) == 2


@pytest.mark.parametrize("offline", [False, True])
def test_without_a_network_the_error_names_dataset_and_remedy(tmp_path: Path, offline: bool) -> None:
    with socket.socket() as free:  # a port that nobody listens on once the socket is closed
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    waits: list[float] = []
    lines = []
    with connected(url, tmp_path, offline=offline, waits=waits):
        for open_it in (open_items, open_stream):
            with pytest.raises(DataError) as caught:
                open_it(HubSplit("user/faces", "train"))
            lines.append(str(caught.value))
            (tmp_path / "datasets/user___faces").mkdir(parents=True, exist_ok=True)
    assert waits == []  # the Hub's client retries for 23 seconds
    for line in lines:
        why = "HF_HUB_OFFLINE is set; unset it" if offline else "cannot be reached"
        assert "dataset user/faces (there is no folder of that name): " in line and why in line and "--data FOLDER" in line
    assert ["HF_HUB_OFFLINE=1" in line for line in lines] == [False, not offline]  # what is in the cache needs no network


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
    columns = {"kind": ["cat", "dog", "cat", "cow"], "size": [1.5, 2.0, 1.5, 3.0], "Smiling": [True, False, True, False]}
    category = pa.array(["cat", "dog", "cat", "cow"]).dictionary_encode()  # as pandas writes one
    table = pa.table({"imageA": one, "imageB": other, **columns, "n": [0, 1, 1, -2], "category": category})
    pq.write_table(table, tmp_path / "both.parquet")
    return tmp_path / "both.parquet"


def test_a_column_of_a_parquet_file_is_a_source(two_columns: Path) -> None:
    a, b = (f"{two_columns}?column=image{letter}" for letter in "AB")
    assert seeds(a) == [0, 1, 2, 3] and seeds(b) == [100, 101, 102, 103]
    domains = load_domains(resolve(None, None, a, b), image_size=20)
    assert [domain.counts["found"] for domain in domains] == [4, 4]
    assert parse_source(a).describe().startswith(f"Parquet {two_columns.parent.name}/both.parquet?column=imageA, held out")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("filter=kind=cat", [0, 2]),
        ("filter=size=1.5", [0, 2]),
        ("filter=kind=cow&filter=size=3", [3]),
        ("filter=Smiling=0", [1, 3]),
        ("filter=Smiling=true&filter=n=1", [2]),
        ("filter=n=-2", [3]),
        ("filter=category=cat", [0, 2]),
    ],
)
def test_rows_are_filtered_by_the_type_of_their_column(two_columns: Path, query: str, found: list[int]) -> None:
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


def test_the_shards_of_a_webdataset_are_a_source(tmp_path: Path) -> None:
    for i, numbers in enumerate((range(4), range(4, 7))):
        samples = {f"{n:06d}{end}": data for n in numbers for end, data in ((".png", encoded(n)), (".json", b"{}"))}
        archive(tmp_path / f"web/train-{i:04d}.tar", samples)
    assert seeds(str(tmp_path / "web")) == list(range(7)) and seeds(str(tmp_path / "web/train-0001.tar")) == [4, 5, 6]
    items = open_items(parse_source(str(tmp_path / "web")).train)
    assert items is not None and list(items.notes) == ["7 files with other extensions were ignored: .json 7"]
    assert items.name(0) == "train-0000.tar/000000.png"


def archived(path: Path, names: list[str], wrapped: str = "") -> Path:
    """A zip or tar with some pictures in each of these folders; seeds go up by ten from folder to folder."""
    files = {f"{wrapped}{name}/{i}.png": encoded(10 * start + i) for start, name in enumerate(names) for i in range(4)}
    return archive(path, files | {f"__MACOSX/{wrapped}trainA/._0.png": b"finder"})


@pytest.mark.parametrize(("ending", "wrapped"), [(".zip", ""), (".zip", "a/"), (".tar", "a/"), (".tar", "./")])
def test_an_archive_with_both_domains_is_data(tmp_path: Path, ending: str, wrapped: str) -> None:
    path = archived(tmp_path / f"both{ending}", ["trainA", "trainB", "testA"], wrapped)
    a, b = resolve(None, str(path), None, None)
    assert b.held_out is None and a.held_out is not None and isinstance(a.train, type(b.train))
    domains = load_domains((a, b), image_size=20)
    assert [domain.counts["found"] for domain in domains] == [4, 4] and len(domains[0].held_out) == 4
    inside = f"{wrapped.removeprefix('./')}trainB"
    assert seeds(f"{path}?inside={inside}") == [10, 11, 12, 13]
    assert wrapped or main(["inspect", str(path), "--out", str(tmp_path / "out.png")]) == 0


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


def test_folders_of_similar_names_are_named_with_the_remedy(tmp_path: Path) -> None:
    for names in (("A", "B"), ("traina", "trainb"), ("train_A", "train_B")):
        for i, name in enumerate(names):
            folder(tmp_path / f"in-{names[0]}" / name, [i])
        where = rf"give --data-a \S+{names[0]} --data-b \S+{names[1]}"
        with pytest.raises(DataError, match=rf"no trainA/ in it, but {names[0]}/: rename it to trainA, or {where}$"):
            resolve(None, str(tmp_path / f"in-{names[0]}"), None, None)


def test_one_image_set_is_inspected_as_domain_b_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder(tmp_path / "set", range(3))
    assert main(["inspect", "--data-b", str(tmp_path / "set"), "--out", str(tmp_path / "out.png")]) == 0
    assert "3 found" in capsys.readouterr().out


# --- messages


def with_field(data: bytes, local: int, central: int, value: int) -> bytes:
    """A zip with a 16-bit field of every member set, in both of its headers."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
        for found in re.finditer(re.escape(signature), data):
            struct.pack_into("<H", changed, found.start() + offset, value)
    return bytes(changed)


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
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 20, 20, 3), }\n"
    huge = {"images.npy": b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header}
    archive(path / "huge.zip", huge).rename(path / "huge.npz")
    packed = archive(path / "whole.zip", {f"{i}.png": encoded(i) for i in range(30)}).read_bytes()
    (path / "cut.zip").write_bytes(packed[:9000])
    (path / "password.zip").write_bytes(with_field(packed, 6, 8, 1))
    (path / "deflate64.zip").write_bytes(with_field(packed, 8, 10, 9))
    tar = archive(path / "cut.tar", {f"{i}.png": encoded(i) for i in range(30)})
    tar.write_bytes(tar.read_bytes()[:20_100])
    for name in ("text.npz", "text.parquet", "text.zip", "text.tar", "x.jpg", "x.rar", "x.MP4", "x.npy", "x.h5"):
        (path / name).write_bytes(b"<html>")
    np.save(path / "array.npy", np.zeros(3))
    (path / "array.npy").rename(path / "array.npz")
    pq.write_table(pa.table({"a": [encoded(1)], "b": [encoded(1)]}), path / "ab.parquet")
    pq.write_table(pa.table({"n": [1]}), path / "n.parquet")
    parquet(path / "faces/train.parquet", [0], Smiling=[True], n=[1])
    parquet(path / "faces/test.parquet", [1], Smiling=[True], n=[1])
    with tarfile.open(path / "x.tar.gz", "w:gz") as compressed:
        compressed.add(folder(path / "in", [1]), "in")
    return path


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("float.npz", r"float\.npz holds float32 .*give uint8"),
        ("planes.npz", r"of shape \(2, 3, 20, 20\): give .* \(N, H, W, 1\|3\|4\)"),
        ("pickled.npz", "pickled objects are refused"),
        ("two.npz", "two.npz holds the arrays x, y: name the one to read 'images'"),
        ("none.npz", r"holds the arrays \(none\)"),
        ("huge.npz", r"^huge\.npz cannot be read as plain arrays .*: .*allocate"),
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
        ("text.zip", r"^text\.zip cannot be read as a zip \(it is another kind of file\): download it again$"),
        ("cut.zip", r"^cut\.zip is damaged or cut short: download it again$"),
        ("password.zip", r"^password\.zip has a password: unpack it first, and give the folder$"),
        ("deflate64.zip", r"^deflate64\.zip is compressed in a way that is not read \(method 9\): unpack it first"),
        ("cut.tar", r"^cut\.tar cannot be read as a tar \(unexpected end of data\): download it again$"),
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
    path = archive(tmp_path / "a.zip", {f"{i}{placeholder}.png": encoded(i) for i in range(3)})
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), inside))
    assert open_items(parse_source(str(path)).train).names == [f"{i}{name}.png" for i in range(3)]


def test_a_dataset_that_is_a_script_names_the_revision_with_its_parquet_form() -> None:
    with (
        pytest.raises(DataError, match="hf:user/name\\?revision=refs/convert/parquet"),
        _explained(HubSplit("user/name", "train")),
    ):
        raise RuntimeError("Dataset scripts are no longer supported, but found name.py")
