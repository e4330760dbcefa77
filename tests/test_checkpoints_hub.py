"""checkpoints.py and from_pretrained: epochs of a repository, and a Hub that misbehaves.

The checks run in a process of their own against the local Hub (see local_hub.Checks), with the client's timeouts at one second
and its waits noted instead of slept. Uploads to the real Hub go through Xet, which is not covered.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub import CycleGenerator, checkpoints
from cyclegan_hub.checkpoints import Epoch, forget, list_epochs, load
from cyclegan_hub.hub import repository as fetch
from support.epochs import is_model, model, refusal
from support.hub_checks import api, asked, commit, control, fault, impatient, plant, waits
from support.local_hub import Checks, Server, User
from support.saved_models import CONFIG, WEIGHTS

TOKENS = {"hf_local": User("user"), "hf_read": User("reader", write=False)}
check, gone = Checks(), Checks()  # with the server, and after it went away


# --- the Hub


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each check, "" if nothing did."""
    tmp = tmp_path_factory.mktemp("hub")
    with Server(tmp / "hub", tokens=TOKENS) as server:
        found = check.run(__file__, server, tmp)
    shutil.copytree(tmp / "home", tmp / "gone" / "home", symlinks=True)
    return found | gone.run(__file__, server, tmp / "gone")


def repository(name: str, *epochs: int) -> dict[int, str]:
    """user/NAME with a commit and a tag for each epoch; the commits."""
    api.create_repo(f"user/{name}")
    return {epoch: commit(f"user/{name}", model(epoch), f"epoch-{epoch:03d}") for epoch in epochs}


@check
def epochs_of_a_repository(tmp: Path) -> None:
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
    assert message == f"user/epochs@epoch-015: the repository has no such branch, tag or commit; {there}"


@check
def a_repository_without_tags_has_one_entry(tmp: Path) -> None:
    repository("plain")
    oid = commit("user/plain", model(7))
    assert list_epochs("user/plain") == [Epoch("main", None, oid, best=True)]
    assert is_model(load("user/plain"), 7) and is_model(load("user/plain", "main"), 7)
    assert refusal(load, "user/plain", 7) == "user/plain: no epoch 'epoch-007'; epochs there: none"


@check
def a_warm_load_costs_no_request(tmp: Path) -> None:
    repository("warm", 5, 10)
    cache = tmp / "cache"
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", cache_dir=cache), 10)
    control("DELETE")
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", cache_dir=cache), 10)
    assert [epoch.best for epoch in list_epochs("user/warm", cache_dir=cache)] == [False, True]
    assert asked() == []
    forget("user/warm")  # as in another process
    assert is_model(load("user/warm", 5, cache_dir=cache), 5) and is_model(load("user/warm", 5, cache_dir=cache), 5)
    assert asked() == ["GET /api/models/user/warm/refs"]


@check
def a_card_changed_later_leaves_the_best(tmp: Path) -> None:
    repository("card", 5, 10)
    commit("user/card", model(5))
    api.upload_file(path_or_fileobj=b"text", path_in_repo="NOTES.md", repo_id="user/card")
    assert [(epoch.name, epoch.best) for epoch in list_epochs("user/card")] == [("epoch-005", True), ("epoch-010", False)]
    assert is_model(load("user/card"), 5)


@check
def a_push_between_the_two_downloads_changes_nothing(tmp: Path) -> None:
    repository("race", 5)
    original = fetch.hf_hub_download

    def download(repo: str, name: str, **options: Any) -> str:
        path = original(repo, name, **options)
        if name == CONFIG:
            commit("user/race", model(10, width=8))
        return path

    fetch.hf_hub_download = download
    try:
        assert is_model(CycleGenerator.from_pretrained("user/race"), 5)
    finally:
        fetch.hf_hub_download = original
    assert CycleGenerator.from_pretrained("user/race").epoch == 10


@check
def a_token_that_is_not_accepted(tmp: Path) -> None:
    repository("token", 5)
    for action in (CycleGenerator.from_pretrained, load, list_epochs):
        message = refusal(action, "user/token", token="hf_wrong", cache_dir=tmp)
        assert "401" in message and "log in again with `hf auth login`" in message
    assert is_model(load("user/token", cache_dir=tmp), 5)


@check
def a_repository_that_is_closed(tmp: Path) -> None:
    repository("private", 5)
    repository("gated", 5)
    api.update_repo_settings("user/private", private=True)
    api.update_repo_settings("user/gated", gated="manual")
    message = refusal(CycleGenerator.from_pretrained, "user/gated", token="hf_read", cache_dir=tmp)
    assert message.startswith("user/gated@main: access is restricted: ask for it on the repository's page")
    assert "access is restricted" in refusal(load, "user/gated", token="hf_read", cache_dir=tmp)
    for repo in ("user/private", "user/nowhere"):
        for token in ("hf_read", False):
            message = refusal(CycleGenerator.from_pretrained, repo, token=token, cache_dir=tmp)
            assert message.startswith(f"{repo}@main: no folder and no repository of that name: check it, or log in")
            message = refusal(list_epochs, repo, token=token, cache_dir=tmp)
            assert "check the name, or log in with `hf auth login` if it is private" in message, message
    assert is_model(load("user/private", cache_dir=tmp), 5)
    with fault("/api/models/user/epochs/refs", status=403):
        assert "use a token that may do this" in refusal(list_epochs, "user/epochs", token="hf_read", cache_dir=tmp)


@check
def a_file_that_is_not_there(tmp: Path) -> None:
    repository("half")
    api.upload_file(path_or_fileobj=model(5).files()[CONFIG], path_in_repo=CONFIG, repo_id="user/half")
    for action in (CycleGenerator.from_pretrained, load):
        assert refusal(action, "user/half").startswith("user/half@main: no model.safetensors there")
    commit("user/half", model(5))
    forget("user/half")
    assert is_model(load("user/half"), 5)


@check
def a_cache_that_cannot_be_written(tmp: Path) -> None:
    """A file lies where the cache should be: told as such, and not as a lost connection; a whole read-only cache loads."""
    commit_of = repository("unwritable", 5)[5]
    (tmp / "file").touch()
    for action in (CycleGenerator.from_pretrained, load):
        forget("user/unwritable")
        message = refusal(action, "user/unwritable", cache_dir=tmp / "file" / "cache")
        assert "could not be put into the cache (" in message and "set HF_HOME to a folder that can be written" in message
        assert "connection" not in message, message
    load("user/unwritable", cache_dir=tmp / "whole")
    for folder, _, _ in os.walk(tmp / "whole"):
        Path(folder).chmod(0o555)  # for root it stays writable
    assert is_model(CycleGenerator.from_pretrained("user/unwritable", revision=commit_of, cache_dir=tmp / "whole"), 5)


BUSY = {  # what goes wrong, what is told of it, how long the client waits at least before it tries again
    "429": ({"status": 429, "headers": {"Retry-After": "7"}}, "429 Too Many Requests", "try again in 7 seconds", 7),
    "500": ({"status": 500}, "500 Internal Server Error", "try again later", 1),
    "503": ({"status": 503}, "503 Service Unavailable", "try again later", 1),
    "timeout": ({"delay": 1.2}, "timed out", "check the name and the connection", 1),
}


def busy(kind: str, tmp: Path) -> None:
    """A Hub that is busy or broken: told in one line; what is cached loads meanwhile; and afterwards all is as it was."""
    what, told, advice, wait = BUSY[kind]
    name = f"user/busy-{kind}"
    repository(name.split("/")[1], 5, 10)
    load(name, 5, cache_dir=tmp)
    forget(name)
    waits.clear()
    with fault(f"/{name}/resolve/.*", **what):
        if kind != "timeout":  # which would be tried six times, a second each
            message = refusal(CycleGenerator.from_pretrained, name, cache_dir=tmp / "empty")
            assert told in message and message.endswith(advice), message
            assert len(waits) == 5 and min(waits) >= wait, waits
        assert is_model(CycleGenerator.from_pretrained(name, revision="epoch-005", cache_dir=tmp), 5)
    with fault(f"/api/models/{name}/refs", **what):
        message = refusal(list_epochs, name, cache_dir=tmp / "empty")
        assert told in message and message.endswith(advice), message
        assert [epoch.name for epoch in list_epochs(name, cache_dir=tmp)] == ["epoch-005"]
        assert is_model(load(name, 5, cache_dir=tmp), 5)
    assert [epoch.name for epoch in list_epochs(name, cache_dir=tmp)] == ["epoch-005", "epoch-010"]
    assert is_model(load(name, 10, cache_dir=tmp), 10)


@check
def too_many_requests(tmp: Path) -> None:
    busy("429", tmp)


@check
def an_error_of_the_server(tmp: Path) -> None:
    busy("500", tmp)


@check
def a_service_that_is_unavailable(tmp: Path) -> None:
    busy("503", tmp)


@check
def no_answer_in_time(tmp: Path) -> None:
    busy("timeout", tmp)


@check
def a_connection_cut_in_the_middle_of_a_file(tmp: Path) -> None:
    repository("cut", 5)
    plant(f"/resolve/.*{WEIGHTS}", method="GET", cut_after=5000)
    assert is_model(load("user/cut", cache_dir=tmp / "once"), 5)  # it goes on where it was cut
    with fault(f"/resolve/.*{WEIGHTS}", method="GET", cut_after=0):
        message = refusal(load, "user/cut", cache_dir=tmp / "always")
        assert message.startswith("user/cut@main: model.safetensors could not be fetched from the Hub ("), message
        assert message.endswith("check the name and the connection")
    assert is_model(load("user/cut", cache_dir=tmp / "always"), 5)


@check
def a_repository_to_be_remembered(tmp: Path) -> None:
    """For the checks below: in the cache are epoch 5, and 10 as `main`."""
    repository("kept", 5, 15, 10)
    load("user/kept", 5)
    load("user/kept")


@gone
def a_server_that_is_gone_with_a_cache(tmp: Path) -> None:
    assert [(epoch.name, epoch.best) for epoch in list_epochs("user/kept")] == [("epoch-005", False), ("epoch-010", True)]
    assert is_model(load("user/kept", 5), 5) and is_model(load("user/kept"), 10)
    assert is_model(CycleGenerator.from_pretrained("user/kept", revision="epoch-005"), 5)
    assert refusal(load, "user/kept", 15) == "user/kept: no epoch 'epoch-015'; epochs there: epoch-005, epoch-010"


@gone
def a_server_that_is_gone_without_a_cache(tmp: Path) -> None:
    message = refusal(CycleGenerator.from_pretrained, "user/kept", cache_dir=tmp)
    assert "not in the cache" in message and "refused" in message and message.endswith("check the name and the connection")
    for action in (load, list_epochs):
        message = refusal(action, "user/kept", cache_dir=tmp)
        assert message.startswith("user/kept: the Hub did not answer (") and "refused" in message
        assert message.endswith("and nothing of it is in the cache: check the name and the connection")
    assert not checkpoints._KNOWN  # nor is what the cache holds taken for what the Hub has


@pytest.mark.parametrize("name", [*check.functions, *gone.functions])
@pytest.mark.slow
def test_on_the_hub(results: dict[str, str], name: str) -> None:
    assert not results[name], results[name]


if __name__ == "__main__":
    impatient()
    (gone if "gone" in Path(sys.argv[1]).parts else check).report()
