"""A model folder of a run to publish, and whether the local Hub holds all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cyclegan_hub.checkpoints import forget, list_epochs, load
from cyclegan_hub.hub.repository import MODEL
from cyclegan_hub.publishing import build as publish
from cyclegan_hub.publishing.build import build
from support.hub_client import api
from support.published_runs import contents, make_run


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
    shared = {name: data for name, data in files.items() if name in publish.SHARED}
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
