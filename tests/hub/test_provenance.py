"""Data, licence and limits come from the run's own record, wherever they are shown, and travel with the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyclegan_hub.checkpoints import load
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.export.onnx_export import part
from cyclegan_hub.hub.provenance import LICENCES, NOT_STATED, data_note, known_note, provenance_of
from cyclegan_hub.hub.records import chosen_in, epochs_in, read_metrics, read_run_record
from cyclegan_hub.publishing.card import render
from cyclegan_hub.serving import about
from cyclegan_hub.serving.catalog import find_models
from support.card_facts import facts, metadata
from support.published_runs import make_run, published
from support.tiny_models import folder
from support.train_runs import data as data
from support.training import ROOT, train

BUNDLED = sorted(path.parent.name for path in (ROOT / "pretrained").glob("*/recipe.json"))
NOTE = {"text": "faces of my own village", "licence": "cc-by-nc-4.0"}
LOCAL = {"a": "folder mine/trainA, held out: folder mine/testA", "b": "folder mine/trainB, held out: folder mine/testB"}
CELEBA = facts("smile").run["data"]


# --- what a record says


@pytest.mark.parametrize(
    ("record", "terms", "licence", "redistributable"),
    [
        (None, NOT_STATED, "not stated", False),
        ({"data": LOCAL}, NOT_STATED, "not stated", False),
        ({"data": LOCAL, "data_note": NOTE}, "faces of my own village; licence cc-by-nc-4.0", "cc-by-nc-4.0", True),
        ({"data": LOCAL, "data_note": {"licence": "other"}}, "licence other", "other", False),
        ({"data": LOCAL, "data_note": {"text": "x", "licence": "other:by-contract"}}, "x", "by-contract", False),
        ({"data": CELEBA}, DOMAINS["smile"].a.licence, "research-only", False),
        ({"data": CELEBA | {"b": LOCAL["b"]}}, f"A: {DOMAINS['smile'].a.licence}; B: not stated", "research-only", False),
        ({"data": {"a": "hf:huggan/monet2photo?split=train&column=imageA"}}, DOMAINS["monet"].b.licence, "not stated", True),
        ({"data": {"a": "hf:huggan/monet2photo?split=train"}}, NOT_STATED, "not stated", False),  # which column?
        ({"data": {"a": "hf:user/huggan?split=train"}}, NOT_STATED, "not stated", False),
    ],
)
def test_what_a_record_says(record: Any, terms: str, licence: str, redistributable: bool) -> None:
    found = provenance_of(record)
    assert (found.terms, found.licence_name, found.redistributable) == (terms, licence, redistributable)
    head = found.metadata("user/x")
    assert head["license"] == (licence if licence in LICENCES - {"other"} else "other")
    assert ("license_link" in head) == (head["license"] == "other")


def test_a_note_of_the_command_line() -> None:
    assert data_note(None, None) is None
    assert data_note(" my\n photos ", None) == {"text": "my photos"}
    assert data_note(None, "mit", NOTE) == NOTE | {"licence": "mit"} and data_note(None, None, NOTE) == NOTE
    more = NOTE | {"use": "a study", "limits": ["old people alone"]}
    assert data_note(None, "mit", more)["limits"] == more["limits"] and data_note("others", None, more).keys() == NOTE.keys()
    known = known_note({"a": "hf:cgarciae/cartoonset?data_dir=10k&split=train&column=img_bytes"})
    assert known["redistributable"] and not data_note(None, "other:secret", known).get("redistributable")
    assert {"cc-by-4.0", "cc0-1.0", "mit", "other"} <= LICENCES
    for wrong in ("CC-BY-4.0", "cc-by-5.0", "mit:mine", "other:", "", "research-only"):
        with pytest.raises(UserError, match=r"is not a licence id of the Hub: give one such as .*other:NAME") as error:
            data_note("x", wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="say where the images come from"):
        data_note("  ", None)


# --- it is the same wherever it is shown


def shown(place: Path) -> dict[str, Any]:
    """What the page, the API, the About tab and an export say of a folder's model."""
    (found,) = find_models(str(place), place / "none").models.values()
    one = load(place)
    exported = part(one, str(place), None).metadata
    return {
        "api": found.choice.licence, "about": about.render(found, found.epochs[-1]), "terms": exported["terms"],
        "licence": exported["license"], "redistributable": found.choice.redistributable,
    }  # fmt: skip


@pytest.mark.parametrize("domain", ["smile", "anime", "monet"])
@pytest.mark.parametrize("note", [None, NOTE, {"text": "old prints", "licence": "other:museum-terms"}])
def test_a_run_on_local_files_says_what_it_was_told_and_never_its_domain(tmp_path: Path, domain: str, note: Any) -> None:
    labels = DOMAINS[domain].labels
    path = folder(tmp_path / "run", 5, domain=domain, labels=labels)
    record = facts(domain).run | {"data": LOCAL} | ({"data_note": note} if note else {})
    (path / "recipe.json").write_text(json.dumps(record))
    told, provenance = shown(path), provenance_of(record)
    assert told["api"] == told["terms"] == provenance.terms and told["licence"] == provenance.licence_name
    assert f"Terms of the training images: {provenance.terms}" in told["about"]
    card = render(replace(facts(domain), run=record))
    for text in (told["about"], card):
        assert (note["text"] in text) if note else ("is not stated" in text)
        assert not any(word in text for word in ("CelebA", "selfie2anime", "Flickr", "women", "monet2photo", "research use"))
    head = metadata(card)
    names = {None: "not-stated", "other:museum-terms": "museum-terms"}
    licence = note and note["licence"]
    assert (head.get("license_name") or head["license"]) == names.get(licence, licence)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_models_say_what_they_were_trained_on(name: str) -> None:
    """Card, page, API, ONNX metadata and browser folder agree, and none names what the domain is usually trained on."""
    path = ROOT / "pretrained" / name
    record, card = read_run_record(path / "recipe.json"), (path / "README.md").read_text("utf-8")
    told, provenance = shown(path), provenance_of(record)
    assert told["api"] == told["terms"] == provenance.terms and told["licence"] == provenance.licence_name == "research-only"
    assert not told["redistributable"] and provenance.text in card and provenance.text in told["about"].replace("\\", "")
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["license_name"]) == ("other", "research-only") and "license_link" not in head
    readme = " ".join((ROOT / "pretrained" / "README.md").read_text("utf-8").split(f"## {name}:")[1].split("\n## ")[0].split())
    for words in ("CelebA", "All-Age-Faces", "UTKFace", "fan art", "Cartoon Set", "Flickr", "WikiArt"):
        assert (words in readme.split("**Figures**")[0]) == (words in provenance.text), words
    for text in (card, told["about"]):
        assert "selfie2anime" not in text and "women only" not in text and "nothing of it was measured" not in text
    assert "hardware is not recorded" not in card and record["hardware"][0] in card


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_cards_are_those_of_their_records(name: str) -> None:
    """`python train/cards.py` writes them."""
    path = ROOT / "pretrained" / name
    from cyclegan_hub.hub.records import read_history

    best = chosen_in(path)
    one, names = load(path), list(epochs_in(path))
    failures = [line.removeprefix("- ") for line in (path / "failures.txt").read_text("utf-8").splitlines() if line]
    of = replace(
        facts("smile"), repo_id=f"pretrained/{name}", kind=type(one), config=one.config, dtype="fp16", epochs=names, chosen=best,
        run=read_run_record(path / "recipe.json"), history=read_history(path / "history.jsonl"),
        metrics=read_metrics(path / "metrics.json"), failures=failures, on_hub=False,
    )  # fmt: skip
    assert render(of) == (path / "README.md").read_text("utf-8")


# --- cards that do not contradict themselves


@pytest.mark.parametrize("name", ["smile", "anime", "cartoon", "monet", "faces-dcgan-64", "colorize", "pix2pix"])
def test_a_measured_model_is_not_said_to_be_unmeasured(name: str) -> None:
    of = facts(name)
    directions = of.kind.directions
    values = {"best": "epoch-020", "epochs": {"epoch-020": {direction: {"kid": 0.5} for direction in directions}}}
    light = {"step": 20, "epoch": 1.0, "event": "evaluation", "score": 0.25, "success_a_to_b": 0.5}
    of_faces = name in ("faces-dcgan-64", "colorize")  # whose limits tell what an evaluation measures
    for local in (False, True):
        bare = replace(of, run=of.run | ({"data": dict.fromkeys(of.run["data"], "folder mine/x")} if local else {}))
        assert ("nothing of it was measured" in render(bare)) == (local or not of_faces)
        assert "nothing of it was measured" not in render(replace(bare, metrics=values))
        during = render(replace(bare, history=[*of.history, light]))
        assert "nothing of it was measured" not in during and "none was measured" not in during
        assert "the last values, after epoch 1: score 0.25, success_a_to_b 0.5." in " ".join(during.split()).replace("\\", "")


def test_the_hardware_is_named_where_it_is_recorded() -> None:
    of = facts("smile")
    assert "the hardware is not recorded" in render(of)
    card = render(replace(of, run=of.run | {"hardware": ["AMD EPYC, 1 thread, bf16", "2 x NVIDIA H100, bf16"]}))
    assert "a second; on AMD EPYC, 1 thread, bf16, then on 2 x NVIDIA H100, bf16." in card and "not recorded" not in card
    card = render(replace(of, run=of.run | {"hardware": ["AMD EPYC"]}, history=[]))
    assert "What the training cost was not recorded; it ran on AMD EPYC." in card


# --- the command line


def test_train_records_a_note_and_keeps_it(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run, local = tmp_path / "run", tmp_path / "local"

    def recorded(place: Path) -> dict[str, Any]:
        return json.loads((place / "recipe.json").read_text("utf-8"))

    command = ("--data", data, "--labels", "disc,square")
    note = ("--data-note", "shapes by demo_data", "--data-licence", "cc0-1.0")
    assert train(*command, "--out", run, *note, "--max-steps", 1) == 0
    first = recorded(run)
    assert first["data_note"] == {"text": "shapes by demo_data", "licence": "cc0-1.0"} and len(first["hardware"]) == 1
    assert train(*command, "--out", run, "--max-steps", 2) == 0
    assert recorded(run) == first  # kept, and the machine is named once
    assert train(*command, "--out", run, "--data-licence", "other:mine", "--max-steps", 3) == 0  # not another recipe
    assert recorded(run)["data_note"] == {"text": "shapes by demo_data", "licence": "other:mine"}
    assert train(*command, "--out", local, "--max-steps", 1) == 0
    assert "data_note" not in recorded(local)
    old = {key: value for key, value in recorded(local).items() if key != "hardware"}
    (local / "recipe.json").write_text(json.dumps(old))  # as older versions wrote it
    assert train(*command, "--out", local, "--data-note", "said later", "--max-steps", 2) == 0
    assert recorded(local)["data_note"] == {"text": "said later"}
    assert recorded(local)["hardware"] == ["hardware that was not recorded", *first["hardware"]]
    capsys.readouterr()
    assert train(*command, "--out", tmp_path / "wrong", "--data-licence", "free") == 2
    assert "--data-licence 'free' is not a licence id of the Hub" in capsys.readouterr().err
    assert not (tmp_path / "wrong").exists()


def test_a_run_that_is_under_way_is_published_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = make_run(tmp_path / "run", 5)
    before = (run / "recipe.json").read_bytes()
    note = ("--data-note", "my village", "--data-licence", "cc-by-4.0")
    assert published(run, "user/smile", "--dry-run", "--out", tmp_path / "out", *note) == 0
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert metadata(card)["license"] == "cc-by-4.0" and "my village" in card and "Their licence, which" in card
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["data_note"] == {
        "text": "my village",
        "licence": "cc-by-4.0",
    }
    assert (run / "recipe.json").read_bytes() == before
    capsys.readouterr()
    assert published(run, "user/smile", "--dry-run", "--data-licence", "free") == 2
    assert "is not a licence id of the Hub" in capsys.readouterr().err
