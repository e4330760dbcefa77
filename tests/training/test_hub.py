"""train.py between two repositories: a dataset comes from the Hub (a local one), the finished run goes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import forget, list_epochs
from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.pictures import parquet
from support.training import train

pytestmark = pytest.mark.slow

SPLITS = {"trainA": range(4), "trainB": range(10, 14), "testA": range(20, 22), "testB": range(30, 32)}  # seeds of images


def test_a_dataset_of_the_hub_is_trained_on_and_the_run_published(
    hub: ConnectedHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, seeds in SPLITS.items():
        parquet(tmp_path / f"pairs/data/{split}-00000-of-00001.parquet", seeds)
    api.create_repo("user/pairs", repo_type="dataset")
    api.upload_folder(repo_id="user/pairs", folder_path=tmp_path / "pairs", repo_type="dataset")

    run = ("--data", "user/pairs", "--out", tmp_path / "run", "--push", "user/model", "--set", "epochs=2")
    assert train(*run, "--max-steps", 2) == 0
    assert train(*run) == 0
    printed = capsys.readouterr().out
    for name in ("epoch-001", "epoch-002", "main"):
        assert f"user/model@{name}: " in printed

    forget("user/model")
    assert [epoch.name for epoch in list_epochs("user/model")] == ["epoch-001", "epoch-002"]
    assert CycleGenerator.from_pretrained("user/model").epoch == 2

    with hub.token("hf_wrong"):
        assert train(*run) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error and error.splitlines()[-1].startswith("error: "), error
    # No token is ever written into a run.
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"hf_local" in path.read_bytes()]
