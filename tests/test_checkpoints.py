"""checkpoints.py and from_pretrained: epochs of a folder and of the cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import Epoch, list_epochs, load
from support.epochs import is_model, model, refusal
from support.saved_models import WEIGHTS

# --- folders


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with epochs 5, 10 and 100."""
    for epoch in (100, 5, 10):
        model(epoch).save_pretrained(tmp_path / "run" / "epochs" / f"epoch-{epoch:03d}")
    (tmp_path / "run" / "epochs" / ".epoch-015.tmp").mkdir()  # of a process that was killed
    return tmp_path / "run"


def test_epochs_of_a_folder(run: Path) -> None:
    names = ["epoch-005", "epoch-010", "epoch-100"]
    paths = [str(run / "epochs" / name) for name in names]
    assert list_epochs(run) == [Epoch(n, int(n[-3:]), p, n == "epoch-100") for n, p in zip(names, paths, strict=True)]
    assert is_model(load(run), 100) and is_model(CycleGenerator.from_pretrained(str(run)), 100)
    (run / "metrics.json").write_text(json.dumps({"best": "epoch-005", "epochs": {}}))
    assert [epoch.name for epoch in list_epochs(str(run)) if epoch.best] == ["epoch-005"]
    for loaded in (load(run), load(run, "main"), CycleGenerator.from_pretrained(run)):
        assert is_model(loaded, 5)
    for loaded in (load(run, 10), load(run, "epoch-010"), CycleGenerator.from_pretrained(run, revision="epoch-010")):
        assert is_model(loaded, 10)


def test_a_file_or_an_address_instead_of_a_folder(run: Path) -> None:
    weights = run / "epochs" / "epoch-005" / WEIGHTS
    address = "https://huggingface.co/user/smile"
    for action in (load, list_epochs, CycleGenerator.from_pretrained):
        assert refusal(action, weights) == f"{weights} is a file: give the folder it is in"
        assert refusal(action, address) == f"{address!r} is an address, not a name: give 'user/smile'"


def test_an_epoch_that_is_not_there(run: Path) -> None:
    message = f"{run}: no epoch 'epoch-015'; epochs there: epoch-005, epoch-010, epoch-100"
    assert refusal(load, run, 15) == refusal(CycleGenerator.from_pretrained, run, revision="epoch-015") == message
    single = run / "epochs" / "epoch-005"
    assert refusal(load, single, 10) == f"{single}: no epoch 'epoch-010'; it holds a single model and no epochs/"


def test_a_single_model(run: Path, tmp_path: Path) -> None:
    single = run / "epochs" / "epoch-005"
    assert list_epochs(single) == [Epoch("main", None, str(single), best=True)]
    assert is_model(load(single), 5) and is_model(load(single, "main"), 5)
    assert "no config.json and no epochs/ there" in refusal(list_epochs, tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "metrics.json is not one of ours (JSONDecodeError"),
        ("[]", "metrics.json is not one of ours (TypeError"),
        ("{}", "metrics.json is not one of ours (KeyError: 'best'): evaluate again, or remove it"),
        ('{"best": "epoch-011"}', "calls 'epoch-011' the best, which is not in epochs/: epochs there: epoch-005, epoch-010"),
    ],
)
def test_damaged_metrics(run: Path, text: str, message: str) -> None:
    (run / "metrics.json").write_text(text)
    for action in (load, list_epochs, CycleGenerator.from_pretrained):
        assert message in refusal(action, run)
    assert is_model(load(run, 5), 5)  # named: nothing has to be chosen


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_which_numbers_the_weights_had(tmp_path: Path, dtype: torch.dtype) -> None:
    for name, data in model(5).files(dtype=dtype).items():
        (tmp_path / name).write_bytes(data)
    loaded = load(tmp_path)
    assert loaded.stored_dtype == dtype and next(loaded.parameters()).dtype == torch.float32
    assert model(5).stored_dtype is None


# --- the cache, in this process (which is offline)


@pytest.fixture
def cache(run: Path, tmp_path: Path) -> Path:
    """A cache with epochs 5 and 100 of user/x, the latter as `main` only, and half of 10."""
    repository = tmp_path / "cache" / "models--user--x"
    (repository / "refs" / "refs" / "pr").mkdir(parents=True)
    for name, epoch in (("epoch-005", 5), ("main", 100), ("epoch-010", 10)):
        snapshot = repository / "snapshots" / (str(epoch)[0] + f"{epoch:039d}")
        shutil.copytree(run / "epochs" / f"epoch-{epoch:03d}", snapshot)
        (repository / "refs" / name).write_text(snapshot.name)
    (snapshot / WEIGHTS).unlink()
    return tmp_path / "cache"


@pytest.mark.parametrize("options", [{}, {"local_files_only": True}], ids=str)
def test_what_is_cached_is_listed_and_loads_offline(cache: Path, options: dict) -> None:
    found = list_epochs("user/x", cache_dir=cache, **options)
    assert [(epoch.name, epoch.best) for epoch in found] == [("epoch-005", False), ("epoch-100", True)]
    assert is_model(load("user/x", 5, cache_dir=cache, **options), 5)
    assert is_model(load("user/x", cache_dir=cache, **options), 100)
    assert is_model(load("user/x", 100, cache_dir=cache, **options), 100)
    message = refusal(load, "user/x", 10, cache_dir=cache, **options)
    assert message == "user/x: no epoch 'epoch-010'; epochs there: epoch-005, epoch-100"


def test_nothing_is_cached(tmp_path: Path) -> None:
    message = refusal(list_epochs, "user/x", cache_dir=tmp_path)
    assert message.startswith("user/x: the Hub did not answer (") and "nothing of it is in the cache" in message
    message = refusal(load, "user/x", cache_dir=tmp_path, local_files_only=True)
    assert message == ("user/x: the Hub was not to be asked, and nothing of it is in the cache: load it once with a connection")
    message = "'a/b/c' is neither a folder nor a repository name: give a folder that exists, or 'user/name'"
    assert refusal(list_epochs, "a/b/c") == message
