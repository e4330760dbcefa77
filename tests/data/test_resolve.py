from __future__ import annotations

from pathlib import Path

import pytest

from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.domains import DOMAINS, HubSplit, recorded_splits
from support.pictures import folder, parquet, sides


def test_a_domain_alone_means_its_own_hub_datasets() -> None:
    for domain in (domain for domain in DOMAINS.values() if domain.b):
        for source, own in zip(resolve(domain, None, None, None), domain.image_sets, strict=True):
            assert isinstance(source.train, HubSplit)
            assert (source.train.dataset, source.train.split, source.train.column) == (own.dataset, own.split, own.column)
            assert dict(source.train.filter) == {key: str(value) for key, value in own.filter.items()}
            assert (source.held_out and source.held_out.split) == own.test_split


@pytest.mark.parametrize(
    ("kind", "train", "held_out"),
    [
        ("Parquet", ["data/trainB-00000-of-00002.parquet", "data/trainB-00001-of-00002.parquet"], "testB.parquet"),
        ("TFRecord", ["data/trainB-0.tfrec", "data/trainB-1.tfrec"], "testB.tfrecord-00000-of-00001"),
        ("tar", ["trainB-0000.tar", "trainB-0001.tar"], "testB.tar"),
        ("zip", ["trainB.zip"], "testB.zip"),
        ("npz", ["trainB.npz"], "testB.npz"),
    ],
)
def test_a_folder_of_both_domains_may_mix_folders_and_files(tmp_path: Path, kind: str, train: list[str], held_out: str) -> None:
    folder(tmp_path / "trainA", [1, 2])
    (tmp_path / "data").mkdir()
    for name in (*train, held_out):
        (tmp_path / name).touch()
    a, b = resolve(None, str(tmp_path), None, None)
    assert a.train == Files("folder", (tmp_path / "trainA",)) and a.held_out is None
    assert b.train == Files(kind, tuple(tmp_path / name for name in train)) and b.held_out == Files(kind, (tmp_path / held_out,))


def test_a_source_of_its_own_replaces_that_of_data_or_domain(tmp_path: Path) -> None:
    sides(tmp_path / "both", trainA=[1], trainB=[2])
    own = folder(tmp_path / "own", [3])
    a, b = resolve(None, str(tmp_path / "both"), str(own), None)
    assert a.train.paths == (own,) and b.train.paths == (tmp_path / "both/trainB",)
    a, b = resolve(DOMAINS["monet"], None, None, str(own))
    assert isinstance(a.train, HubSplit) and b.train.paths == (own,)


def test_a_hub_id_stands_for_its_four_splits() -> None:
    a, b = resolve(None, "user/name", None, None)
    assert (a.train.split, a.held_out.split, b.train.split, b.held_out.split) == ("trainA", "testA", "trainB", "testB")
    assert a.held_out.optional and not a.train.optional
    train, held_out = recorded_splits(a.describe())  # an evaluation needs no test split where the training found none
    assert held_out.optional and not train.optional


def test_an_hf_spec_is_parsed_and_plus_is_plus() -> None:
    spec = "hf:user/faces?config=img+attr&split=valid&test_split=test&column=photo&revision=refs%2Fpr"
    spec += "&filter=Smiling=0&filter=Male=1"
    source, _ = resolve(DOMAINS["smile"], None, spec, None)
    rows = (("Male", "1"), ("Smiling", "0"))
    assert source.train == HubSplit("user/faces", "valid", "img+attr", "photo", rows, "refs/pr")
    assert source.held_out == HubSplit("user/faces", "test", "img+attr", "photo", rows, "refs/pr")


@pytest.mark.parametrize(
    "spec",
    [
        "hf:u/d?split=train&column=image&filter=Smiling=0&test_split=test",
        "hf:u/d?config=a+b&split=train&revision=refs/convert/parquet&data_dir=10k",
        "hf:u/d?split=trainA&test_split=testA&filter=k=1&filter=x=a=b",
    ],
)
def test_a_recorded_dataset_of_the_hub_is_found_again(spec: str) -> None:
    source, _ = resolve(None, None, spec, "hf:u/other")
    assert recorded_splits(source.describe()) == (source.train, source.held_out)


def test_recorded_local_images_are_not_a_dataset_of_the_hub() -> None:
    for line in (
        "hf:faces?split=trainA, held out: hf:faces?split=testA",
        "folder faces/trainA, held out: a tenth by content hash",
    ):
        assert recorded_splits(line) is None


def test_describe_is_stable_and_names_no_directory_above_the_data(tmp_path: Path) -> None:
    data = tmp_path / "secret/cats"
    folder(data / "trainA", [1])
    parquet(data / "trainB.parquet", [2])
    a, b = resolve(None, str(data), None, None)
    assert a.describe() == "folder cats/trainA, held out: a tenth by content hash"
    assert b.describe() == "Parquet cats/trainB.parquet, held out: a tenth by content hash"
    a, b = resolve(None, str(data), "hf:u/d?column=x&filter=k=1", f"hf:{data}?split=trainB")
    assert a.describe() == "hf:u/d?split=train&column=x&filter=k=1, held out: a tenth by content hash"
    assert b.describe().startswith("hf:cats?split=trainB,")


@pytest.mark.parametrize(
    ("data", "a", "b", "words"),
    [
        (None, None, None, ["domain A", "--data FOLDER", "--data-a"]),
        (None, "{tmp}/own", None, ["domain B", "--data-b"]),
        ("{tmp}/missing", None, None, ["missing", "no such folder"]),
        ("{tmp}/half", None, None, ["domain B", "trainB/", "trainB.tfrec", "data/trainB-*.parquet", "trainA"]),
        ("{tmp}/own/0001.png", None, None, ["0001.png", "--data-a"]),
        ("{tmp}/both", "{tmp}/gone.zip", None, ["gone.zip", "no such file"]),
        ("{tmp}/both", "{tmp}/own/0001.png", None, [".parquet", ".zip", ".npz", "not a .png file"]),
        ("{tmp}/both", "{tmp}/empty", None, ["empty", "holds no image and no .parquet, .tfrec or .tar file", ".webp"]),
        ("{tmp}/both", "{tmp}/own", "{tmp}/other/../own", ["both domains", "two different"]),
        ("{tmp}/both", "hf:u/d?filter=x=1", "hf:u/d?filter=x=1", ["both domains", "hf:u/d"]),
        ("{tmp}/both", "hf:", None, ["names no dataset"]),
        ("{tmp}/both", "hf:{tmp}/missing", None, ["no such folder"]),
        ("{tmp}/both", "hf:u/d?splt=train", None, ["'splt'", "config, split, test_split, column, filter, revision"]),
        ("{tmp}/both", "hf:u/d?split=", None, ["'split='", "no value"]),
        ("{tmp}/both", "hf:u/d?filter=Smiling", None, ["filter=NAME=VALUE"]),
        ("{tmp}/both", "hf:u/d?split=a&split=b", None, ["'split'", "twice"]),
        ("{tmp}/both", "hf:u/d?split=a&test_split=a", None, ["the same"]),
    ],
)
def test_errors_name_the_value_and_the_remedy(
    tmp_path: Path, data: str | None, a: str | None, b: str | None, words: list[str]
) -> None:
    folder(tmp_path / "own", [1])
    sides(tmp_path / "half", trainA=[1])
    sides(tmp_path / "both", trainA=[1], trainB=[2])
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    given = [value and value.replace("{tmp}", str(tmp_path)) for value in (data, a, b)]
    with pytest.raises(DataError) as error:
        resolve(None, *given)
    for word in words:
        assert word in str(error.value)
