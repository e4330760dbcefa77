"""checkpoints.py and from_pretrained: epochs of a folder, of the cache, of a repository, and a Hub that misbehaves."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from cyclegan_hub import CycleGenerator, checkpoints
from cyclegan_hub.checkpoints import Epoch, forget, list_epochs, load
from cyclegan_hub.hub import repository as repository_module
from cyclegan_hub.hub.records import ModelError
from support.hub_client import ConnectedHub, api, commit
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.saved_models import CONFIG, WEIGHTS

HUB_TIMEOUT = 1


def model(epoch: int, **changes: Any) -> CycleGenerator:
    torch.manual_seed(epoch)
    return CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16, "epoch": epoch} | changes)


def is_model(one: CycleGenerator, epoch: int) -> bool:
    own = model(epoch).state_dict()
    return one.config == model(epoch).config and all(torch.equal(x, own[name]) for name, x in one.state_dict().items())


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """What a reader is told, in one line."""
    with pytest.raises(ModelError) as error:
        action(*arguments, **options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


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
    assert refusal(load, run, 15) == f"{run}: no epoch 'epoch-015'; epochs there: epoch-005, epoch-010, epoch-100"


def test_a_file_or_a_url_instead_of_a_folder(run: Path) -> None:
    weights = run / "epochs" / "epoch-005" / WEIGHTS
    url = "https://huggingface.co/user/smile"
    for action in (load, list_epochs, CycleGenerator.from_pretrained):
        assert refusal(action, weights) == f"{weights} is a file: give the folder it is in"
        assert refusal(action, url) == f"{url!r} is a URL, not a repository id: give 'user/smile'"


def test_a_single_model(run: Path, tmp_path: Path) -> None:
    single = run / "epochs" / "epoch-005"
    assert list_epochs(single) == [Epoch("main", None, str(single), best=True)]
    assert is_model(load(single), 5) and is_model(load(single, "main"), 5)
    assert refusal(load, single, 10) == f"{single}: no epoch 'epoch-010'; it holds a single model and no epochs/"
    assert "no config.json and no epochs/ there" in refusal(list_epochs, tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "metrics.json is not one of ours (JSONDecodeError"),
        ("[]", "metrics.json is not one of ours (TypeError"),
        ("{}", "metrics.json is not one of ours (KeyError: 'best'): evaluate again, or remove it"),
        (
            '{"best": "epoch-011"}',
            "calls 'epoch-011' the best, which is gone: evaluate again, or remove it; epochs there: epoch-005, epoch-010",
        ),
    ],
)
def test_damaged_metrics(run: Path, text: str, message: str) -> None:
    (run / "metrics.json").write_text(text)
    for action in (load, list_epochs, CycleGenerator.from_pretrained):
        assert message in refusal(action, run)
    assert is_model(load(run, 5), 5)  # named: nothing has to be chosen


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


def test_nothing_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(list_epochs, "user/x", cache_dir=tmp_path)
    assert message.startswith("user/x: no folder of that name, nothing of it is in the cache, and the Hub did not answer: ")
    message = refusal(load, "user/x", cache_dir=tmp_path, local_files_only=True)
    assert message == (
        "user/x: no folder of that name, nothing of it is in the cache, and the Hub was not to be asked: "
        "load it once with a connection"
    )
    (tmp_path / "runs" / "smile").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert refusal(list_epochs, "runs/smlie") == "runs/smlie: there is no such folder; runs holds smile"
    message = "'a/b/c' is neither a folder nor a repository id: give a folder that exists, or 'user/name'"
    assert refusal(list_epochs, "a/b/c") == message


# --- the Hub


def repository(name: str, *epochs: int) -> dict[int, str]:
    """user/NAME with a commit and a tag for each epoch; the commits."""
    api.create_repo(f"user/{name}")
    return {epoch: commit(f"user/{name}", model(epoch), f"epoch-{epoch:03d}") for epoch in epochs}


@pytest.mark.slow
def test_epochs_of_a_repository(hub: ConnectedHub) -> None:
    commits = repository("epochs", 5, 100, 10)
    api.create_tag("user/epochs", tag="v1")
    found = list_epochs("user/epochs")
    assert found == [Epoch(f"epoch-{n:03d}", n, commits[n], n == 10) for n in (5, 10, 100)]
    assert is_model(load("user/epochs"), 10)
    for loaded in (load("user/epochs", 5), load("user/epochs", "epoch-005")):
        assert is_model(loaded, 5)
    assert is_model(CycleGenerator.from_pretrained("user/epochs", revision="epoch-100"), 100)
    there = "epochs there: epoch-005, epoch-010, epoch-100"
    assert refusal(load, "user/epochs", 15) == f"user/epochs: no epoch 'epoch-015'; {there}"
    message = refusal(CycleGenerator.from_pretrained, "user/epochs", revision="epoch-015")
    assert message.endswith(f": the repository has no such branch, tag or commit: check its name; {there}")
    commit("user/epochs", model(5))
    api.upload_file(path_or_fileobj=b"text", path_in_repo="NOTES.md", repo_id="user/epochs")  # a later commit: no epoch has it
    forget("user/epochs")
    assert [epoch.name for epoch in list_epochs("user/epochs") if epoch.best] == ["epoch-005"]


@pytest.mark.slow
def test_a_repository_without_tags_has_one_entry(hub: ConnectedHub) -> None:
    repository("plain")
    oid = commit("user/plain", model(7))
    assert list_epochs("user/plain") == [Epoch("main", None, oid, best=True)]
    assert is_model(load("user/plain"), 7) and is_model(load("user/plain", "main"), 7)
    assert refusal(load, "user/plain", 7) == "user/plain: no epoch 'epoch-007'; epochs there: none"


@pytest.mark.slow
def test_a_warm_load_costs_no_request(hub: ConnectedHub, tmp_path: Path) -> None:
    repository("warm", 5, 10)
    cache = tmp_path / "cache"
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", cache_dir=cache), 10)
    hub.log.clear()
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", cache_dir=cache), 10)
    assert [epoch.best for epoch in list_epochs("user/warm", cache_dir=cache)] == [False, True]
    assert hub.requests() == []
    forget("user/warm")  # as in another process
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", 5, cache_dir=cache), 5)
    assert hub.requests() == ["GET /api/models/user/warm/refs"]


@pytest.mark.slow
def test_a_push_between_the_two_downloads_changes_nothing(hub: ConnectedHub) -> None:
    repository("race", 5)
    original = repository_module.hf_hub_download

    def download(repo: str, name: str, **options: Any) -> str:
        path = original(repo, name, **options)
        if name == CONFIG:
            commit("user/race", model(10, width=8))
        return path

    with patch.object(repository_module, "hf_hub_download", download):
        assert is_model(CycleGenerator.from_pretrained("user/race"), 5)
    assert CycleGenerator.from_pretrained("user/race").epoch == 10


@pytest.mark.slow
def test_a_repository_that_is_closed(hub: ConnectedHub, tmp_path: Path) -> None:
    for name in ("open", "private", "gated"):
        repository(name, 5)
    api.update_repo_settings("user/private", private=True)
    api.update_repo_settings("user/gated", gated="manual")
    hidden = "no repository of that name, or it is private: check the name, or log in"
    for repo, token, message in (
        ("user/open", "hf_wrong", "log in again with `hf auth login`"),
        ("user/gated", "hf_read", "access is restricted: ask for it on the repository's page"),
        ("user/private", "hf_read", hidden),
        ("user/nowhere", False, hidden),
    ):
        said = refusal(CycleGenerator.from_pretrained, repo, token=token, cache_dir=tmp_path)
        assert said.startswith(f"{repo}@main: no folder of that name, and config.json could not be fetched") and message in said
        assert message in refusal(load, repo, token=token, cache_dir=tmp_path)
    for repo in ("user/open", "user/private"):
        assert is_model(load(repo, cache_dir=tmp_path), 5)
    with hub.fault("/api/models/user/open/refs", status=403):
        assert "use a token that may do this" in refusal(list_epochs, "user/open", token="hf_read", cache_dir=tmp_path)


@pytest.mark.slow
def test_a_file_that_is_not_there(hub: ConnectedHub) -> None:
    repository("half")
    api.upload_file(path_or_fileobj=model(5).files()[CONFIG], path_in_repo=CONFIG, repo_id="user/half")
    for action in (CycleGenerator.from_pretrained, load):
        assert refusal(action, "user/half").startswith("user/half@main: no model.safetensors there")
    commit("user/half", model(5))
    forget("user/half")
    assert is_model(load("user/half"), 5)


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(hub: ConnectedHub, tmp_path: Path) -> None:
    """A file lies where the cache should be: told as such, and not as a lost connection; a whole read-only cache loads."""
    commit_of = repository("unwritable", 5)[5]
    (tmp_path / "file").touch()
    for action in (CycleGenerator.from_pretrained, load):
        forget("user/unwritable")
        message = refusal(action, "user/unwritable", cache_dir=tmp_path / "file" / "cache")
        assert " cannot be written (" in message and "set HF_HOME to a folder that can be written" in message
        assert "connection" not in message, message
    load("user/unwritable", cache_dir=tmp_path / "whole")
    for folder, _, _ in os.walk(tmp_path / "whole"):
        Path(folder).chmod(0o555)  # for root it stays writable
    assert is_model(CycleGenerator.from_pretrained("user/unwritable", revision=commit_of, cache_dir=tmp_path / "whole"), 5)


BUSY = {  # what goes wrong, what is told of it, how long the client hub.waits at least before it tries again
    "429": ({"status": 429, "headers": {"Retry-After": "7"}}, "429 Too Many Requests", "try again in 7 seconds", 7),
    "503": ({"status": 503}, "503 Service Unavailable", "try again later", 1),
    "timeout": ({"delay": 1.2}, "timed out", "check the name and the connection", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUSY)
def test_a_hub_that_is_busy_or_broken(hub: ConnectedHub, tmp_path: Path, kind: str) -> None:
    """Told in one line; what is cached loads meanwhile; and afterwards all is as it was."""
    what, told, advice, wait = BUSY[kind]
    name = f"user/busy-{kind}"
    repository(name.split("/")[1], 5, 10)
    load(name, 5, cache_dir=tmp_path)
    forget(name)
    hub.waits.clear()
    with hub.fault(f"/{name}/resolve/.*", **what):
        if kind != "timeout":  # which would be tried six times, a second each
            message = refusal(CycleGenerator.from_pretrained, name, cache_dir=tmp_path / "empty")
            assert told in message and message.endswith(advice), message
            assert len(hub.waits) == 5 and min(hub.waits) >= wait, hub.waits
        assert is_model(CycleGenerator.from_pretrained(name, revision="epoch-005", cache_dir=tmp_path), 5)
    with hub.fault(f"/api/models/{name}/refs", **what):
        message = refusal(list_epochs, name, cache_dir=tmp_path / "empty")
        assert told in message and message.endswith(advice), message
        assert [epoch.name for epoch in list_epochs(name, cache_dir=tmp_path)] == ["epoch-005"]
        assert is_model(load(name, 5, cache_dir=tmp_path), 5)
    assert [epoch.name for epoch in list_epochs(name, cache_dir=tmp_path)] == ["epoch-005", "epoch-010"]
    assert is_model(load(name, 10, cache_dir=tmp_path), 10)


@pytest.mark.slow
def test_a_connection_cut_in_the_middle_of_a_file(hub: ConnectedHub, tmp_path: Path) -> None:
    repository("cut", 5)
    hub.plant(f"/resolve/.*{WEIGHTS}", method="GET", cut_after=5000)
    assert is_model(load("user/cut", cache_dir=tmp_path / "once"), 5)  # it continues where it was cut
    with hub.fault(f"/resolve/.*{WEIGHTS}", method="GET", cut_after=0):
        message = refusal(load, "user/cut", cache_dir=tmp_path / "always")
        assert "model.safetensors could not be fetched from the Hub: " in message
        assert message.endswith("check the name and the connection")
    assert is_model(load("user/cut", cache_dir=tmp_path / "always"), 5)


@pytest.mark.slow
def test_a_server_that_is_gone(hub: ConnectedHub, tmp_path: Path) -> None:
    repository("kept", 5, 15, 10)
    load("user/kept", 5)
    load("user/kept")  # in the cache are epoch 5, and 10 as `main`
    with hub.gone():
        assert [(epoch.name, epoch.best) for epoch in list_epochs("user/kept")] == [("epoch-005", False), ("epoch-010", True)]
        assert is_model(load("user/kept", 5), 5) and is_model(load("user/kept"), 10)
        assert is_model(CycleGenerator.from_pretrained("user/kept", revision="epoch-005"), 5)
        assert refusal(load, "user/kept", 15) == "user/kept: no epoch 'epoch-015'; epochs there: epoch-005, epoch-010"

        message = refusal(CycleGenerator.from_pretrained, "user/kept", cache_dir=tmp_path)
        assert "not in the cache" in message and "refused" in message and message.endswith("check the name and the connection")
        for action in (load, list_epochs):
            message = refusal(action, "user/kept", cache_dir=tmp_path)
            assert "nothing of it is in the cache, and the Hub did not answer: " in message and "refused" in message
        assert not checkpoints._KNOWN  # nor is what the cache holds taken for what the Hub has
