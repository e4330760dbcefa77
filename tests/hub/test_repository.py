"""Models that are pushed to the local Hub and come back equal."""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub import ModelCard

from cyclegan_hub import CycleGenerator
from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server


def test_a_pushed_generator_comes_back_equal(hub: ConnectedHub, tmp_path: Path) -> None:
    model = CycleGenerator(width=8, blocks=2, domain="smile", labels=("not smiling", "smiling"), epoch=5)
    commit = model.push_to_hub("user/x", commit_message="epoch 5").oid
    api.create_tag("user/x", tag="epoch-005")
    later = CycleGenerator(width=8, blocks=2, epoch=10)
    later.push_to_hub("user/x", commit_message="epoch 10")
    assert {"README.md", "config.json", "model.safetensors"} <= set(api.list_repo_files("user/x"))
    assert ModelCard.load("user/x").data.library_name == "cyclegan_hub"
    for revision, expected in ((None, later), ("epoch-005", model), (commit, model)):
        loaded = CycleGenerator.from_pretrained("user/x", revision=revision, cache_dir=tmp_path / str(revision))
        assert loaded.config == expected.config and not loaded.training
        weights, own = loaded.state_dict(), expected.state_dict()
        assert weights.keys() == own.keys() and all(torch.equal(weights[name], own[name]) for name in own), revision
