"""`cyclegan-hub publish`: the way of a run to a Hub that may refuse, break off or be raced.

Uploads to the real Hub go through Xet, which is not covered.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from huggingface_hub import ModelCard, get_session

from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import forget, list_epochs, load
from cyclegan_hub.hub.repository import MODEL
from cyclegan_hub.publishing import push as pushing
from cyclegan_hub.publishing.build import SHARED, build
from cyclegan_hub.publishing.push import push
from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.published_runs import contents, make_run, published, refusal

pytestmark = pytest.mark.slow

HUB_TIMEOUT = 1


@pytest.fixture(autouse=True)
def no_limit_on_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout is TIMEOUT alone, however large the upload."""
    monkeypatch.setattr(pushing, "SLOWEST", 10**9)


def folder_of(tmp: Path, *epochs: int, repo: str = "user/x", **options: Any) -> Path:
    """A model folder of a run with these epochs."""
    name = f"run{len(list(tmp.glob('run*')))}"
    return build(make_run(tmp / name, *epochs, **options), tmp / f"{name}.out", repo)


def commits(repo: str) -> list[str]:
    """Titles of a repository's commits on `main`, the first one first."""
    return [commit.title for commit in api.list_repo_commits(repo)][::-1]


def holds(repo: str, revision: str, files: dict[str, bytes], tmp: Path) -> bool:
    """Whether a repository holds these files there, and no others."""
    there = Path(api.snapshot_download(repo, revision=revision, cache_dir=tmp / "cache"))
    return {name: data for name, data in contents(there).items() if name != ".gitattributes"} == files


def is_published(repo: str, folder: Path, tmp: Path) -> None:
    """Asserts that a repository holds the whole of a model folder: every tag, and `main`."""
    files = contents(folder)
    shared = {name: data for name, data in files.items() if name in SHARED}
    assert holds(repo, "main", shared | {name: files[name] for name in MODEL}, tmp)
    forget(repo)
    found = list_epochs(repo)
    assert [epoch.name for epoch in found] == [epoch.name for epoch in list_epochs(folder)]
    for epoch, own in zip(found, list_epochs(folder), strict=True):
        assert epoch.best == own.best, epoch
        one, other = load(repo, epoch.name, cache_dir=tmp / "cache"), load(folder, own.name)
        assert one.config == other.config
        assert all(torch.equal(x, other.state_dict()[name]) for name, x in one.state_dict().items())
        x = torch.rand(1, 3, 16, 16) * 2 - 1
        for way in ("a_to_b", "b_to_a"):
            torch.testing.assert_close(one(x, way), other(x, way), rtol=0, atol=1e-5)


def test_a_run_is_published_and_comes_back(hub: ConnectedHub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5, 10, 20, best=10, repo="user/smile")
    pushed = push(folder, "user/smile")
    assert commits("user/smile") == ["initial commit", "epoch-005", "epoch-020", "epoch-010"]
    assert pushed["main"] == pushed["epoch-010"] == api.model_info("user/smile").sha
    is_published("user/smile", folder, tmp_path)
    for revision in ("epoch-005", pushed["epoch-005"]):
        assert CycleGenerator.from_pretrained("user/smile", revision=revision).epoch == 5
    assert CycleGenerator.from_pretrained("user/smile").epoch == 10
    card = ModelCard.load("user/smile").data
    assert (card.library_name, card.pipeline_tag) == ("cyclegan_hub", "image-to-image") and "cyclegan" in card.tags
    assert [(result.metric_name, result.metric_value) for result in card.eval_results] == [
        ("kid (a_to_b)", 10 / 7),
        ("kid (b_to_a)", 0.5),
    ]


def test_publishing_again_changes_nothing(hub: ConnectedHub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5, 10)
    first = push(folder, "user/again")
    hub.log.clear()
    assert push(folder, "user/again") == first
    assert not [entry for entry in hub.requests() if "/commit/" in entry or "/tag/" in entry or "lfs" in entry]
    is_published("user/again", folder, tmp_path)


def test_epochs_are_added_and_main_stays_the_best(hub: ConnectedHub, tmp_path: Path) -> None:
    push(folder_of(tmp_path, 5, best=5), "user/more")
    folder = folder_of(tmp_path, 5, 10, best=5)
    push(folder, "user/more")
    assert commits("user/more")[1:] == ["epoch-005", "epoch-010", "main is epoch-005"]
    is_published("user/more", folder, tmp_path)
    unmeasured = folder_of(tmp_path, 5, 10)
    push(unmeasured, "user/more")
    assert "metrics.json" not in api.list_repo_files("user/more")
    is_published("user/more", unmeasured, tmp_path)


def test_tags_of_another_run_are_moved_only_on_demand(hub: ConnectedHub, tmp_path: Path) -> None:
    before = push(folder_of(tmp_path, 5, 10), "user/tags")
    other = folder_of(tmp_path, 5, 10, 15, seed=100)
    message = refusal(push, other, "user/tags")
    assert message.startswith("user/tags: epoch-005, epoch-010 there holds another model") and "--retag" in message
    assert api.model_info("user/tags").sha == before["main"] and len(list_epochs("user/tags")) == 2
    moved = push(other, "user/tags", retag=True)
    assert moved["epoch-005"] != before["epoch-005"]
    is_published("user/tags", other, tmp_path)


def test_a_card_that_the_hub_refuses(hub: ConnectedHub, tmp_path: Path) -> None:
    broken = folder_of(tmp_path, 5)
    (broken / "README.md").write_text("---\ntags: [open\n---\n")
    assert "YAML" in refusal(push, broken, "user/broken-card")


def test_private_means_private(hub: ConnectedHub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5)
    push(folder, "user/secret", private=True)
    assert api.model_info("user/secret").private
    push(folder, "user/open")
    assert "user/open exists and is public" in refusal(push, folder, "user/open", private=True)


def test_tokens_that_may_not_publish(hub: ConnectedHub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5)
    assert "log in again with `hf auth login`" in refusal(push, folder, "user/token", token="hf_wrong")
    assert "user/token: the token may only read" in refusal(push, folder, "user/token", token="hf_read")
    message = refusal(push, folder, "other/token")
    assert message.startswith("other/token: opening the repository: 403 Forbidden") and "publish under your own name" in message
    push(folder, "user/token")
    with hub.fault("/preupload/", status=403):  # a fine-grained token that may write elsewhere
        assert "403" in refusal(push, folder_of(tmp_path, 5, 10), "user/token")


STEPS = {  # what a push asks for -> at which step it is then told to have failed
    "/whoami-v2": "checking the token",
    "/repos/create": "opening the repository",
    "/refs$": "opening the repository",
    "/preupload/": "committing epoch-0",
    "/objects/batch": "committing epoch-0",
    "/_lfs/": "committing epoch-0",
    "/commit/": "committing epoch-0",
    "/tag/": "tagging epoch-0",
}
IMPATIENCE = 2  # seconds that are waited for the answer which is held back; everywhere else as long as a user hub.waits
BUSY = {  # what goes wrong, at which steps, and the advice
    "503": ({"status": 503}, list(STEPS), "try again later"),
    "429": ({"status": 429, "headers": {"Retry-After": "3"}}, ["/commit/"], "try again in 3 seconds"),
    "timeout": ({"delay": IMPATIENCE + 0.5}, ["/refs$", "/commit/"], "check the name and the connection"),
    "cut": ({"cut_after": 0}, ["/repos/create", "/_lfs/", "/commit/"], "check the name and the connection"),
}


@pytest.mark.parametrize("kind", BUSY)
def test_a_push_that_is_broken_off(hub: ConnectedHub, tmp_path: Path, kind: str) -> None:
    """A push is told in one line at which step it was broken off and why, and is completed by the next one."""
    what, paths, advice = BUSY[kind]
    for number, path in enumerate(paths):
        # Other weights each time: of those that are there already nothing would be uploaded.
        repo, folder = f"user/{kind}{number}", folder_of(tmp_path, 5, 10, seed=1000 * (1 + number) + ord(kind[0]))
        patience = IMPATIENCE if "delay" in what else pushing.TIMEOUT
        with patch.object(pushing, "TIMEOUT", patience), hub.fault(path, **what):
            message = refusal(push, folder, repo)
        if "delay" in what:
            time.sleep(1)  # the commit that was not waited for is made yet: not between the next push's look and its own commit
        assert f"{repo}: {STEPS[path]}" in message and advice in message and "same command then completes" in message, message
        push(folder, repo)
        assert commits(repo)[1:] == ["epoch-005", "epoch-010"], commits(repo)
    is_published(repo, folder, tmp_path)


def test_the_clients_session_is_left_as_it_is(hub: ConnectedHub, tmp_path: Path) -> None:
    """Others in the process use it too: with its own time limits, and while a publication hub.waits."""
    session, seen = get_session(), list[object]()
    before, original = session.timeout, type(api).create_commit

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append((get_session() is session, session.timeout))
        return original(*arguments, **options)

    with patch.object(type(api), "create_commit", watched):
        push(folder_of(tmp_path, 5), "user/session")
    assert seen and all(one == (True, before) for one in seen)


def test_an_upload_survives_a_short_fault(hub: ConnectedHub, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5)
    for path in ("/preupload/", "/objects/batch", "/_lfs/"):
        hub.plant(path, status=503)
    push(folder, "user/short")
    is_published("user/short", folder, tmp_path)


def test_of_two_publishers_at_once_one_is_told_to_run_again(hub: ConnectedHub, tmp_path: Path) -> None:
    one, other = folder_of(tmp_path, 5, 10), folder_of(tmp_path, 15, 20, seed=100)
    original = pushing.refs_of

    def interrupted(*arguments: Any) -> Any:
        found = original(*arguments)
        with patch.object(pushing, "refs_of", original):
            push(other, "user/two")
        return found

    with patch.object(pushing, "refs_of", interrupted):
        message = refusal(push, one, "user/two")
    assert message == (
        "user/two: committing epoch-005: somebody else published there at the same time: run the same command again"
    )
    assert commits("user/two")[1:] == ["epoch-015", "epoch-020"]
    push(one, "user/two")
    assert [epoch.name for epoch in list_epochs("user/two")] == ["epoch-005", "epoch-010", "epoch-015", "epoch-020"]
    assert load("user/two").epoch == 10
    with hub.fault("/tag/", status=409):  # the other's tag came between our commit and our tag
        assert "run the same command again" in refusal(push, one, "user/tagged")
    push(one, "user/tagged")
    is_published("user/tagged", one, tmp_path)


def test_the_command_line(hub: ConnectedHub, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", 5, 10, 15)
    assert published(run, "user/cli", "--epochs", "5,10", "--dtype", "fp16", "--private") == 0
    assert [epoch.name for epoch in list_epochs("user/cli")] == ["epoch-005", "epoch-010"]
    assert load("user/cli").stored_dtype == torch.float16 and api.model_info("user/cli").private
    assert published(run, "user/cli", "--epochs", "5,10") == 2, "other weights: fp32"
    assert published(run, "user/cli", "--retag") == 0
    assert load("user/cli").epoch == 15 and load("user/cli", 5).stored_dtype == torch.float32
    assert published(run, "other/cli") == 2
    with hub.token("hf_read"):
        assert published(run, "user/cli") == 2
