"""Data sets of the Hub, on the local one: those of `domains.py` as they are, specs, streaming, and what is fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

from cyclegan_hub.data.hub_datasets import download_lines
from cyclegan_hub.data.resolve import parse_source, resolve, resolve_one
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import DOMAINS, Domain, ImageSet
from cyclegan_hub.imaging import images
from support.hub_client import ConnectedHub, api, connected
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.hub_datasets import publish
from support.loading import load_domains, open_batches
from support.pictures import folder, parquet, picture
from support.training import script

pytestmark = pytest.mark.slow


SPLITS = {"trainA": range(4), "trainB": range(10, 15), "testA": range(20, 22), "testB": range(30, 33)}  # seeds of images
SPEC = "hf:user/pairs?split={}&test_split={}&column=image&filter=Smiling={}&revision=v1"


def upload(name: str, folder: Path) -> None:
    api.create_repo(f"user/{name}", repo_type="dataset")
    api.upload_folder(repo_id=f"user/{name}", folder_path=folder, repo_type="dataset")


def make_dataset(tmp: Path) -> None:
    """user/pairs: splits in Parquet, with a column Smiling (even seeds), tagged v1; on `main`, trainA holds other images."""
    for split, seeds in SPLITS.items():
        parquet(tmp / f"data/{split}-00000-of-00001.parquet", seeds, Smiling=[seed % 2 == 0 for seed in seeds])
    upload("pairs", tmp)
    api.create_tag("user/pairs", tag="v1", repo_type="dataset")
    parquet(tmp / "data/trainA-00000-of-00001.parquet", range(40, 46), Smiling=[True] * 6)
    api.upload_folder(repo_id="user/pairs", folder_path=tmp, repo_type="dataset")


@pytest.fixture(scope="module")
def published(hub_server: ConnectedHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data sets of `domains.py`, in a folder and on the Hub, and user/pairs."""
    folder = tmp_path_factory.mktemp("sets")
    with connected(hub_server.url, hub_server.home):
        publish(folder)
        make_dataset(folder / "pairs")
    return folder


def downloaded(hub: ConnectedHub) -> list[str]:
    """The data files that were fetched since the log was last cleared, not merely asked after."""
    fetched = [line.partition("/resolve/")[2].partition("/")[2] for line in hub.requests() if line.startswith("GET")]
    return sorted({name for name in fetched if ".parquet" in name})


def test_a_dry_run_says_what_would_be_downloaded(
    hub: ConnectedHub, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cartoon = "\n".join(download_lines(resolve(DOMAINS["cartoon"], None, None, None)))
    for split in ("hf:cgarciae/cartoonset?data_dir=10k&split=train&column=img_bytes", "hf:flwrlabs/celeba?config="):
        assert split in cartoon
    assert script("train").main(["monet-compact", "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "hf:huggan/monet2photo?split=train&column=imageB" in out and "column=imageA" in out
    assert all(text in out for text in ("1 file, ", "disk needed for the", "steps per epoch: known")), out
    assert script("train").main(["faces-dcgan-64", "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    assert "hf:flwrlabs/celeba?" in capsys.readouterr().out  # one data set
    streamed = ["--set", "streaming=true", "--set", "steps_per_epoch=7", "--set", "max_images=none"]
    assert script("train").main(["monet-compact", *streamed, "--out", str(tmp_path / "run"), "--dry-run"]) == 0
    stream = capsys.readouterr().out
    assert "steps per epoch: 7; " in stream and "to download" not in stream and "disk needed for the images" not in stream
    assert downloaded(hub) == [] and not (tmp_path / "run").exists()
    files = [published / f"huggan/monet2photo/data/{split}-00000-of-00001.parquet" for split in ("train", "test")]
    assert f"to download: {sum(file.stat().st_size for file in files) / 1e6:.1f} MB" in out  # once, for two sides


def test_of_the_cartoons_one_folder_is_read(hub: ConnectedHub, published: Path) -> None:
    (_, cartoons) = resolve(DOMAINS["cartoon"], None, None, None)
    items = open_items(cartoons.train)
    assert items is not None and len(items) == 20
    assert downloaded(hub) == ["10k/train/0000.parquet"]
    everything = open_items(parse_source("hf:cgarciae/cartoonset?revision=refs/convert/parquet&column=img_bytes").train)
    assert everything is not None and len(everything) == 120
    (named,) = resolve_one(None, "a", None, "hf:cgarciae/cartoonset?revision=refs/convert/parquet&data_dir=100k", None)
    assert len(open_items(named.train)) == 40


def test_only_the_splits_that_are_used_are_fetched(hub: ConnectedHub, published: Path) -> None:
    a, b = load_domains(resolve(DOMAINS["smile"], None, None, None), image_size=32)
    assert [a.counts["found"], b.counts["found"], len(a.held_out), len(b.held_out)] == [12, 12, 3, 3]
    assert {Path(name).name for name in downloaded(hub)} == {f"{split}-00000-of-00001.parquet" for split in ("train", "test")}
    assert load_domains(resolve(DOMAINS["smile"], None, None, None), image_size=32)[0].counts["found"] == 12
    assert downloaded(hub) == []  # they are in the cache


def test_of_a_dataset_of_files_only_the_split_that_is_used_is_fetched(hub: ConnectedHub, tmp_path: Path) -> None:
    for split, seeds in (("train", range(4)), ("test", range(10, 14))):
        folder(tmp_path / "files" / split / "cat", seeds)
        folder(tmp_path / "files" / split / "dog", range(seeds.start + 50, seeds.stop + 50))
    upload("files", tmp_path / "files")
    items = open_items(parse_source("hf:user/files?filter=label=cat").train)
    assert items is not None and len(items) == 4
    log = hub.requests()
    assert any("train/cat" in line for line in log) and not any(line.startswith("GET") and "test/" in line for line in log)
    assert len(open_items(parse_source("hf:user/files?split=test").train)) == 8


def test_folders_of_two_sides_are_two_domains(hub: ConnectedHub, tmp_path: Path) -> None:
    for number, name in enumerate(("trainA", "trainB", "testA", "testB")):
        folder(tmp_path / name, range(200 + 10 * number, 204 + 10 * number))
    upload("sides", tmp_path)
    sources = resolve(None, "user/sides", None, None)
    assert sources == resolve(None, "hf:user/sides", None, None)
    a, b = load_domains(sources, image_size=32)
    assert [a.counts["found"], len(a.held_out), b.counts["found"], len(b.held_out)] == [4, 4, 4, 4]
    with pytest.raises(DataError, match="holds both domains: add data_dir=trainA or data_dir=trainB"):
        open_items(parse_source("hf:user/sides").train)
    with pytest.raises(DataError, match="has no folder 'trainC': its folders are testA, testB, trainA, trainB"):
        open_items(parse_source("hf:user/sides?data_dir=trainC").train)
    with pytest.raises(DataError, match=r"give --data-a 'hf:…' and --data-b 'hf:…'"):
        resolve(None, "hf:user/sides?revision=main", None, None)


def test_an_archive_that_is_not_read_says_what_to_do(hub: ConnectedHub, tmp_path: Path) -> None:
    folder(tmp_path / "in/trainA", range(3))
    folder(tmp_path / "in/trainB", range(10, 13))
    shutil.make_archive(str(tmp_path / "up/sides"), "zip", tmp_path / "in")
    upload("zipped", tmp_path / "up")
    with pytest.raises(DataError, match=r"user/zipped sides\.zip --local-dir \.` and give --data sides\.zip"):
        open_items(parse_source("hf:user/zipped").train)


def test_repeated_paintings_are_one_image(hub: ConnectedHub, published: Path) -> None:
    photo, monet = load_domains(resolve(DOMAINS["monet"], None, None, None), image_size=32)
    assert photo.counts["kept"] == 20 and monet.counts["kept"] == 8 and monet.counts["duplicates"] == 12


def test_what_was_fetched_is_read_without_a_network(hub: ConnectedHub, published: Path) -> None:
    names = ("smile", "monet", "cartoon")

    def found() -> list[list[int]]:
        sources = (resolve(DOMAINS[name], None, None, None) for name in names)
        return [[domain.counts["found"] for domain in load_domains(pair, image_size=32)] for pair in sources]

    assert found() == [[12, 12], [20, 20], [24, 20]]
    with hub.offline():
        assert found() == [[12, 12], [20, 20], [24, 20]]


def seeds_of(found: Iterable[torch.Tensor]) -> list[int]:
    """The seeds of these images."""
    known = {images.to_uint8_tensor(picture(seed)).numpy().tobytes(): seed for seed in range(50)}
    return [known[image.numpy().tobytes()] for image in found]


def read(domain: Domain | None, data: str | None, a: str | None = None, b: str | None = None) -> list[list[int]]:
    """The seeds of A and B to train on, and of A and B held out."""
    sides = load_domains(resolve(domain, data, a, b), image_size=20)
    return [seeds_of(one) for one in [side.train for side in sides] + [side.held_out for side in sides]]


def test_a_dataset_is_read_by_split_column_filter_and_revision(hub: ConnectedHub, published: Path) -> None:
    everything = [[40, 41, 42, 43, 44, 45], [10, 11, 12, 13, 14], [20, 21], [30, 31, 32]]
    assert read(None, "user/pairs") == everything
    a, b = SPEC.format("trainA", "testA", 1), SPEC.format("trainB", "testB", "false")
    assert read(None, None, a, b) == [[0, 2], [11, 13], [20], [31]]
    assert read(None, "user/pairs", a) == [[0, 2], *everything[1:2], [20], *everything[3:]]
    where = {"dataset": "user/pairs", "column": "image", "licence": "none", "revision": "v1"}
    image_sets = [ImageSet(s, split=f"train{s}", test_split=f"test{s}", filter={"Smiling": 1}, **where) for s in "AB"]
    assert read(Domain("own", *image_sets, repo_id="own"), None) == [[0, 2], [10, 12, 14], [20], [30, 32]]


def test_a_dataset_is_streamed(hub: ConnectedHub, published: Path) -> None:
    specs = SPEC.format("trainA", "testA", 1), SPEC.format("trainB", "testB", "false")
    sources = resolve(None, None, *specs)
    stream = open_batches(sources, image_size=20, batch_size=2, seed=0, streaming=True, steps_per_epoch=1)
    (batch,) = stream.epoch(0)
    assert sorted(seeds_of(batch["a"])) == [0, 2] and sorted(seeds_of(batch["b"])) == [11, 13]
    assert [seeds_of(one) for one in stream.held_out] == [[20], [31]]


def test_a_dataset_that_is_not_there_says_so(hub: ConnectedHub, published: Path) -> None:
    for spec, words in (
        ("hf:user/nowhere", "user/nowhere"),
        ("hf:user/pairs?split=trainA&revision=v9", "v9"),
        ("hf:user/pairs?split=valid", "trainA"),
        ("hf:user/pairs?split=trainA&column=photo", "image, Smiling"),
    ):
        with pytest.raises(DataError, match=words):
            read(None, "user/pairs", spec)
