"""The licence of a run's record travels with its weights: from folder to folder, and to the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, constants

from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import load
from cyclegan_hub.export.onnx_export import part
from cyclegan_hub.hub.provenance import provenance_of
from cyclegan_hub.hub.repository import HUB, url_of
from cyclegan_hub.publishing.build import build
from cyclegan_hub.publishing.push import push
from cyclegan_hub.serving.catalog import find_models
from support.card_facts import facts, metadata
from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.published_runs import make_run, model
from support.saved_models import assert_equal

CELEBA = facts("smile").run["data"]


def research_only(path: Path) -> Path:
    """A published folder of research-only weights: on CelebA, as its record says."""
    run = make_run(path / "run", 5, 10)
    record = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(record | {"data": CELEBA}))
    return run


def test_weights_keep_their_licence_from_folder_to_folder(tmp_path: Path) -> None:
    run = research_only(tmp_path)
    (run / "last").mkdir()
    for file in ("config.json", "model.safetensors"):
        (run / "last" / file).write_bytes((run / "epochs" / "epoch-010" / file).read_bytes())
    out = build(run, tmp_path / "out", "user/smile")
    for number, place in enumerate((run, run / "epochs" / "epoch-005", run / "last", out, out / "epochs" / "epoch-010")):
        one = CycleGenerator.from_pretrained(place)
        assert metadata(str(one.generate_model_card(repo_id="me/x")))["license_name"] == "research-only"
        one.save_pretrained(tmp_path / f"{number}")
        again = CycleGenerator.from_pretrained(tmp_path / f"{number}")
        assert again.record == one.record and provenance_of(again.record).licence_name == "research-only"
    bare = metadata(str(model(5).generate_model_card(repo_id="me/x")))
    assert (bare["license"], bare["license_name"]) == ("other", "not-stated")  # nobody said MIT
    assert bare["license_link"] == "https://huggingface.co/me/x#data-and-licence"


@pytest.mark.slow
def test_every_way_to_the_hub_carries_the_weights_and_the_licence_of_the_record(hub: ConnectedHub, tmp_path: Path) -> None:
    out = build(research_only(tmp_path), tmp_path / "out", "user/built")
    push(out, "user/built")
    CycleGenerator.from_pretrained(out).push_to_hub("user/pushed")
    CycleGenerator.from_pretrained("user/built", revision="epoch-005").push_to_hub("user/again")
    CycleGenerator.from_pretrained("user/pushed").save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="user/saved")
    CycleGenerator.from_pretrained(out).push_to_hub("short")
    api.upload_folder(repo_id="user/pushed", folder_path=out)
    for name in ("built", "pushed", "again", "saved", "short"):
        head = ModelCard.load(f"user/{name}").data
        assert (head.license, head.license_name, head.library_name) == ("other", "research-only", "cyclegan_hub"), name
        link = f"https://huggingface.co/user/{name}#data-and-licence"  # whatever HF_ENDPOINT is
        assert head.license_link == (link if name != "pushed" else link.replace("pushed", "built")), name
        one = CycleGenerator.from_pretrained(f"user/{name}")
        assert one.record["data"] == CELEBA and one.config == model(5 if name == "again" else 10).config, name
        assert_equal(one, model(5 if name == "again" else 10))
    assert constants.ENDPOINT != HUB and url_of("user/built") == "https://huggingface.co/user/built"
    exported = part(load("user/again"), "user/again", None).metadata
    assert (exported["source"], exported["license"]) == ("https://huggingface.co/user/again", "research-only")
    (found,) = find_models("user/built", tmp_path / "none").models.values()
    assert found.url == "https://huggingface.co/user/built" and "CelebA" in found.licence
