"""What the package does on the Hub, on the local one: models that come back equal, datasets that are read as their specs say.

Uploads to the real Hub go through Xet, which is not covered (see local_hub.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import datasets
import pytest
import torch
from huggingface_hub import HfApi, ModelCard

from cyclegan_hub import CycleGenerator
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import Domain, ImageSet
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images
from support.loading import load_domains, open_batches
from support.local_hub import Checks, Server
from support.pictures import parquet, picture

check = Checks()
api = HfApi()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each check, "" if nothing did."""
    tmp = tmp_path_factory.mktemp("hub")
    with Server(tmp / "hub", cdn_host="localhost", page=3) as server:
        return check.run(__file__, server, tmp)


@check
def a_pushed_generator_comes_back_equal(tmp: Path) -> None:
    model = CycleGenerator(width=8, blocks=2, domain="smile", labels=("not smiling", "smiling"), epoch=5)
    commit = model.push_to_hub("user/x", commit_message="epoch 5").oid
    api.create_tag("user/x", tag="epoch-005")
    later = CycleGenerator(width=8, blocks=2, epoch=10)
    later.push_to_hub("user/x", commit_message="epoch 10")
    assert {"README.md", "config.json", "model.safetensors"} <= set(api.list_repo_files("user/x"))
    assert ModelCard.load("user/x").data.library_name == "cyclegan_hub"
    for revision, expected in ((None, later), ("epoch-005", model), (commit, model)):
        loaded = CycleGenerator.from_pretrained("user/x", revision=revision, cache_dir=tmp / str(revision))
        assert loaded.config == expected.config and not loaded.training
        weights, own = loaded.state_dict(), expected.state_dict()
        assert weights.keys() == own.keys() and all(torch.equal(weights[name], own[name]) for name in own), revision


@check
def a_generator_that_is_not_there_says_so(tmp: Path) -> None:
    CycleGenerator(width=8, blocks=2).push_to_hub("user/one")
    api.create_repo("user/empty")
    for repo, revision, words in (
        ("user/one", "epoch-999", "user/one@epoch-999"),
        ("user/nowhere", None, "user/nowhere"),
        ("user/empty", None, "config.json"),
    ):
        with pytest.raises(ModelError, match=words):
            CycleGenerator.from_pretrained(repo, revision=revision)


PILES = {"trainA": range(4), "trainB": range(10, 15), "testA": range(20, 22), "testB": range(30, 33)}  # seeds of pictures
SPEC = "hf:user/{}?split={}&test_split={}&column=image&filter=Smiling={}&revision=v1"


def make_dataset(name: str, tmp: Path) -> None:
    """The piles in Parquet, with a column of who smiles (even seeds), tagged v1; on `main`, trainA is another pile."""
    for split, seeds in PILES.items():
        parquet(tmp / f"data/{split}-00000-of-00001.parquet", seeds, Smiling=[seed % 2 == 0 for seed in seeds])
    api.create_repo(f"user/{name}", repo_type="dataset")
    api.upload_folder(repo_id=f"user/{name}", folder_path=tmp, repo_type="dataset")
    api.create_tag(f"user/{name}", tag="v1", repo_type="dataset")
    file = parquet(tmp / "data/trainA-00000-of-00001.parquet", range(40, 46), Smiling=[True] * 6)
    path = f"data/{file.name}"
    api.upload_file(path_or_fileobj=file, path_in_repo=path, repo_id=f"user/{name}", repo_type="dataset")


def seeds_of(pile: Iterable[torch.Tensor]) -> list[int]:
    """Which pictures these are."""
    known = {images.to_uint8_tensor(picture(seed)).numpy().tobytes(): seed for seed in range(50)}
    return [known[image.numpy().tobytes()] for image in pile]


def read(domain: Domain | None, data: str | None, a: str | None = None, b: str | None = None) -> list[list[int]]:
    """The seeds of A and B to train on, and of A and B held out."""
    sides = load_domains(resolve(domain, data, a, b), image_size=20)
    return [seeds_of(pile) for pile in [side.train for side in sides] + [side.held_out for side in sides]]


@check
def a_dataset_is_read_by_split_column_filter_and_revision(tmp: Path) -> None:
    make_dataset("pairs", tmp)
    everything = [[40, 41, 42, 43, 44, 45], [10, 11, 12, 13, 14], [20, 21], [30, 31, 32]]
    assert read(None, "user/pairs") == everything
    a, b = SPEC.format("pairs", "trainA", "testA", 1), SPEC.format("pairs", "trainB", "testB", "false")
    assert read(None, None, a, b) == [[0, 2], [11, 13], [20], [31]]
    assert read(None, "user/pairs", a) == [[0, 2], *everything[1:2], [20], *everything[3:]]
    where = {"dataset": "user/pairs", "column": "image", "licence": "none", "revision": "v1"}
    piles = [ImageSet(s, split=f"train{s}", test_split=f"test{s}", filter={"Smiling": 1}, **where) for s in "AB"]
    assert read(Domain("own", *piles, repo_id="own"), None) == [[0, 2], [10, 12, 14], [20], [30, 32]]


@check
def a_dataset_is_streamed(tmp: Path) -> None:
    make_dataset("stream", tmp)
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0  # else 5 s after every pass over Parquet
    specs = SPEC.format("stream", "trainA", "testA", 1), SPEC.format("stream", "trainB", "testB", "false")
    sources = resolve(None, None, *specs)
    stream = open_batches(sources, image_size=20, batch_size=2, seed=0, streaming=True, steps_per_epoch=1)
    (batch,) = stream.epoch(0)
    assert sorted(seeds_of(batch["a"])) == [0, 2] and sorted(seeds_of(batch["b"])) == [11, 13]
    assert [seeds_of(pile) for pile in stream.held_out] == [[20], [31]]


@check
def a_dataset_that_is_not_there_says_so(tmp: Path) -> None:
    make_dataset("wrong", tmp)
    for spec, words in (
        ("hf:user/nowhere", "user/nowhere"),
        ("hf:user/wrong?split=trainA&revision=v9", "v9"),
        ("hf:user/wrong?split=valid", "trainA"),
        ("hf:user/wrong?split=trainA&column=photo", "image, Smiling"),
    ):
        with pytest.raises(DataError, match=words):
            read(None, "user/wrong", spec)


@pytest.mark.parametrize("name", check.functions)
def test_on_the_hub(results: dict[str, str], name: str) -> None:
    assert not results[name], results[name]


if __name__ == "__main__":
    check.report()
