"""The Hub's data sets that `domains.py` names, as they are, on the local Hub: what is fetched, and two steps from each domain."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from cyclegan_hub.data.resolve import parse_source, resolve, resolve_one
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.presets import RECIPES
from support.hub_checks import asked
from support.hub_datasets import ORGANISATIONS, publish
from support.loading import load_domains
from support.local_hub import Checks, Server, User
from support.pictures import folder
from support.training import TINY, script

pytestmark = pytest.mark.slow

check = Checks()
TINY_DCGAN = ["image_size=32", "gen_channels=8,8,4", "disc_channels=4,8,8", "batch_size=4", "max_images=none", "eyes=none"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each check, "" if nothing did."""
    tmp = tmp_path_factory.mktemp("hub")
    users = {"hf_local": User("user", orgs=ORGANISATIONS)}
    with Server(tmp / "hub", tokens=users) as server:
        return check.run(__file__, server, tmp)


def downloaded() -> list[str]:
    """The data files that were fetched since the last look, not merely asked after."""
    return sorted(
        {
            line.partition("/resolve/")[2].partition("/")[2]
            for line in asked()
            if line.startswith("GET") and "/resolve/" in line and ".parquet" in line
        }
    )


def printed(*arguments: object) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert script("train").main([*map(str, arguments)]) == 0
    return out.getvalue()


@check
def a_dry_run_says_what_would_be_downloaded_and_downloads_nothing(tmp: Path) -> None:
    publish(tmp / "sets")
    asked()
    for recipe, lines in (
        ("cartoon-compact", ["hf:cgarciae/cartoonset?data_dir=10k&split=train&column=img_bytes", "hf:flwrlabs/celeba?config="]),
        ("monet-compact", ["hf:huggan/monet2photo?split=train&column=imageB", "column=imageA"]),
    ):
        out = printed(recipe, "--out", tmp / "run", "--dry-run")
        assert all(line in out for line in lines), out
        assert (
            "1 file, " in out
            and "to download: " in out
            and "disk needed for the images: " in out
            and "steps per epoch: known" in out
        )
        assert downloaded() == [] and not (tmp / "run").exists()
    both = sum(
        (tmp / f"sets/huggan/monet2photo/data/{split}-00000-of-00001.parquet").stat().st_size for split in ("train", "test")
    )
    assert f"to download: {both / 1e6:.1f} MB" in printed(
        "monet-compact", "--out", tmp / "run", "--dry-run"
    )  # once, for two sides


@check
def of_the_cartoons_one_folder_is_read(tmp: Path) -> None:
    asked()
    (_, cartoons) = resolve(DOMAINS["cartoon"], None, None, None)
    items = open_items(cartoons.train)
    assert items is not None and len(items) == 20
    assert downloaded() == ["10k/train/0000.parquet"]
    everything = open_items(parse_source("hf:cgarciae/cartoonset?revision=refs/convert/parquet&column=img_bytes").train)
    assert everything is not None and len(everything) == 120
    (named,) = resolve_one(None, "a", None, "hf:cgarciae/cartoonset?revision=refs/convert/parquet&data_dir=100k", None)
    assert len(open_items(named.train)) == 40


@check
def only_the_splits_that_are_used_are_fetched(tmp: Path) -> None:
    asked()
    a, b = load_domains(resolve(DOMAINS["smile"], None, None, None), image_size=32)
    assert [a.counts["found"], b.counts["found"], len(a.held_out), len(b.held_out)] == [12, 12, 3, 3]
    fetched = downloaded()
    assert sorted({name.rpartition("/")[2] for name in fetched}) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]
    assert load_domains(resolve(DOMAINS["smile"], None, None, None), image_size=32)[0].counts["found"] == 12
    assert downloaded() == []  # they are in the cache


@check
def of_a_dataset_of_files_only_the_split_that_is_used_is_fetched(tmp: Path) -> None:
    for split, seeds in (("train", range(4)), ("test", range(10, 14))):
        folder(tmp / "files" / split / "cat", seeds)
        folder(tmp / "files" / split / "dog", range(seeds.start + 50, seeds.stop + 50))
    api = HfApi()
    api.create_repo("user/files", repo_type="dataset")
    api.upload_folder(repo_id="user/files", folder_path=tmp / "files", repo_type="dataset")
    asked()
    items = open_items(parse_source("hf:user/files?filter=label=cat").train)
    assert items is not None and len(items) == 4
    log = asked()
    assert any("train/cat" in line for line in log) and not any(line.startswith("GET") and "test/" in line for line in log)
    assert len(open_items(parse_source("hf:user/files?split=test").train)) == 8


@check
def folders_of_two_sides_are_two_piles(tmp: Path) -> None:
    for number, name in enumerate(("trainA", "trainB", "testA", "testB")):
        folder(tmp / "sides" / name, range(200 + 10 * number, 204 + 10 * number))
    api = HfApi()
    api.create_repo("user/sides", repo_type="dataset")
    api.upload_folder(repo_id="user/sides", folder_path=tmp / "sides", repo_type="dataset")
    for data in ("user/sides", "hf:user/sides"):
        a, b = load_domains(resolve(None, data, None, None), image_size=32)
        assert [a.counts["found"], len(a.held_out), b.counts["found"], len(b.held_out)] == [4, 4, 4, 4]
    with pytest.raises(DataError, match="holds both domains: add data_dir=trainA or data_dir=trainB"):
        open_items(parse_source("hf:user/sides").train)
    with pytest.raises(DataError, match="has no folder 'trainC': its folders are testA, testB, trainA, trainB"):
        open_items(parse_source("hf:user/sides?data_dir=trainC").train)
    with pytest.raises(DataError, match=r"give --data-a 'hf:…' and --data-b 'hf:…'"):
        resolve(None, "hf:user/sides?revision=main", None, None)


@check
def an_archive_that_is_not_read_says_what_to_do(tmp: Path) -> None:
    folder(tmp / "in/trainA", range(3))
    folder(tmp / "in/trainB", range(10, 13))
    shutil.make_archive(str(tmp / "up/sides"), "zip", tmp / "in")
    api = HfApi()
    api.create_repo("user/zipped", repo_type="dataset")
    api.upload_folder(repo_id="user/zipped", folder_path=tmp / "up", repo_type="dataset")
    with pytest.raises(DataError, match=r"user/zipped sides\.zip --local-dir \.` and give --data sides\.zip"):
        open_items(parse_source("hf:user/zipped").train)


@check
def repeated_paintings_are_one_image(tmp: Path) -> None:
    photo, monet = load_domains(resolve(DOMAINS["monet"], None, None, None), image_size=32)
    assert photo.counts["kept"] == 20 and monet.counts["kept"] == 8 and monet.counts["duplicates"] == 12


@check
def what_was_fetched_is_read_without_a_network(tmp: Path) -> None:
    program = (
        "from cyclegan_hub.data.load import load_domains\n"
        "from cyclegan_hub.data.reading import Reading\n"
        "from cyclegan_hub.data.resolve import resolve\n"
        "from cyclegan_hub.domains import DOMAINS\n"
        "for name in ('smile', 'monet', 'cartoon'):\n"
        "    found = load_domains(resolve(DOMAINS[name], None, None, None), Reading(32).for_domains(2))\n"
        "    print([domain.counts['found'] for domain in found])\n"
    )
    load_domains(resolve(DOMAINS["cartoon"], None, None, None), image_size=32)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["[12, 12]", "[20, 20]", "[24, 20]"], done.stderr


def two_steps(tmp: Path, domain: str) -> None:
    """A run of two steps from the domain's own data sets."""
    if DOMAINS[domain].b is None:
        options = [part for setting in TINY_DCGAN for part in ("--set", setting)]
        recipe = "faces-dcgan-64"
    else:
        options = TINY[1:]
        recipe = domain if f"{domain}-compact" not in RECIPES else f"{domain}-compact"
    arguments = [recipe, *options, "--max-steps", "2", "--out", str(tmp / "run")]
    assert script("train").main(arguments) == 0
    assert (tmp / "run/last/model.safetensors").exists()


@check
def smile_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "smile")


@check
def anime_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "anime")


@check
def cartoon_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "cartoon")


@check
def monet_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "monet")


@check
def vangogh_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "vangogh")


@check
def cezanne_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "cezanne")


@check
def ukiyoe_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "ukiyoe")


@check
def faces_trains_two_steps(tmp: Path) -> None:
    two_steps(tmp, "faces")


def test_every_domain_is_trained_from() -> None:
    assert {name.removesuffix("_trains_two_steps") for name in check.functions if name.endswith("_steps")} == set(DOMAINS)


@pytest.mark.parametrize("name", check.functions)
def test_on_the_hub(results: dict[str, str], name: str) -> None:
    assert not results[name], results[name]


if __name__ == "__main__":
    check.report()
