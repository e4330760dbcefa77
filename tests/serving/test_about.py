"""serving/about.py: the metrics of the chosen epoch beside their baselines, and no markup from any file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from cyclegan_hub.serving.about import render
from cyclegan_hub.serving.catalog import ModelEntry, find_models
from support.card_facts import facts
from support.tiny_models import folder, measured

EVIL = "<script>alert(1)</script>[x](javascript:alert(1)) | **b** `c` $d$ &lt;"


def one(path: Path) -> ModelEntry:
    (model,) = find_models(str(path), path / "none").models.values()
    return model


def test_metrics_of_the_chosen_epoch_beside_the_baselines(tmp_path: Path) -> None:
    floor = {d: {"kid[encoder]": 0.5, "n": 100} for d in ("a_to_b", "b_to_a")}
    metrics = measured(10, 5, 10, baselines={"untranslated": {"a_to_b": {"kid[encoder]": 0.75}}, "floor": floor})
    path = folder(tmp_path / "smile", 5, 10, metrics=metrics)
    (path / "recipe.json").write_text(json.dumps(facts("smile").run))
    model = one(path)
    text = render(model, model.epochs[0])
    assert "**Epoch 5**, of the published epochs 5, 10. Source: smile (folder)." in text
    there, back = text.split("smiling → not smiling:")
    assert "- extractor: SideEncoder\n- rule: lowest KID" in there and "not smiling → smiling:" in there
    assert "| metric | Epoch 5 | untranslated | floor |" in there
    assert "| kid[encoder] | 0.05 | 0.75 | 0.5 |" in there and "| n | 200 |  | 100 |" in there
    assert "| kid[encoder] | 0.05 |  | 0.5 |" in back
    assert "| metric | Epoch 10 · best |" in render(model, model.epochs[1])
    assert "#### Limits" in text and "CelebA may be used for non-commercial research only" in text
    assert "none of it was measured" not in text


@pytest.mark.parametrize("metrics", [None, measured(5, 5)], ids=["none", "of-another-epoch"])
def test_without_metrics(tmp_path: Path, metrics: dict | None) -> None:
    model = one(folder(tmp_path / "smile", 5, 10, metrics=metrics))
    assert "This epoch was not evaluated" in render(model, model.epochs[1])


def test_a_single_model_shows_the_best(tmp_path: Path) -> None:
    model = one(folder(tmp_path / "smile", metrics=measured(10, 5, 10)))
    assert "| kid[encoder] | 0.1 |" in render(model, model.epochs[0])


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    metrics = measured(5, 5)
    metrics["epochs"]["epoch-005"]["a_to_b"] |= {"mifid": None, "copies": True, "note": "x", "psnr": float("inf")}
    model = one(folder(tmp_path / "smile", 5, metrics=metrics))
    text = render(model, model.epochs[0])
    assert "mifid" not in text and "copies" not in text and "note" not in text and "| psnr | inf |" in text


def test_nothing_from_a_file_is_markup(tmp_path: Path) -> None:
    metrics = measured(5, 5, rule=EVIL, extractor=EVIL, baselines={EVIL: {"a_to_b": {EVIL: 1}}})
    metrics["epochs"]["epoch-005"]["a_to_b"][EVIL] = 2
    path = folder(tmp_path / EVIL.replace("/", "_"), 5, metrics=metrics, labels=(EVIL, "b"), domain=EVIL)
    (path / "recipe.json").write_text(json.dumps({"data": {"a": EVIL, "b": EVIL}}))
    text = render(one(path), one(path).epochs[0])
    assert "script" in text and "Whoever trained this model on images of their own" in text
    for own in ("<details><summary>All metrics</summary>", "</details>"):
        text = text.replace(own, "", 1)
    assert "<" not in text and not re.search(r"(?<!\\)\[[^\]]*\]\(", text) and "javascript:" in text
    rows = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert rows and {row.count("|") for row in rows} <= {5, 4, 3}
    assert "**b**" not in text and "`c`" not in text and "&amp;lt;" in text


def test_first_a_few_metrics_with_their_meaning(tmp_path: Path) -> None:
    metrics = measured(5, 5)
    of_encoder = ("kid_relative", "precision", "recall", "coverage", "authenticity")
    names = ["success", *(f"{name}[encoder]" for name in of_encoder)]
    more = dict.fromkeys((*names, "cycle_l1", "mifid[encoder]", "fid[encoder]"), 0.5)
    for direction in ("a_to_b", "b_to_a"):
        metrics["epochs"]["epoch-005"][direction] |= more
    path = folder(tmp_path / "smile", 5, metrics=metrics)
    text = render(one(path), one(path).epochs[0])
    first, rest = text.split("<details><summary>All metrics</summary>")
    assert all(f"| {name} | 0.5 | 0.5 |" in first for name in names)
    assert "higher is better" in first and "lower is better" in first
    assert "cycle_l1" not in first and "fid[" not in first and "| kid[encoder] |" not in first
    assert "| cycle_l1 | 0.5 |" in rest and "| fid[encoder] | 0.5 |" in rest and "mifid" not in text


def test_what_fails_and_a_sample_stand_before_the_metrics(tmp_path: Path) -> None:
    path = folder(tmp_path / "smile", 5)
    (path / "failures.txt").write_text("- Glasses <b>dissolve</b>.\n\nBeards smear.\n")
    Image.new("RGB", (2000, 100)).save(path / "samples.png")
    text = render(one(path), one(path).epochs[0])
    assert "dissolve" in text and "<b>" not in text and "\n- Beards smear.\n" in text
    order = ("data:image/jpeg;base64,", "Known failures of these weights", "Limits", "#### Metrics")
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    Image.new("RGB", (5000, 1)).save(path / "samples.png")
    assert "data:image" not in render(one(path), one(path).epochs[0])
    (path / "samples.png").write_bytes(b"no picture")
    assert "data:image" not in render(one(path), one(path).epochs[0])


def test_data_as_the_run_recorded_it(tmp_path: Path) -> None:
    path = folder(tmp_path / "smile", 5)
    (path / "recipe.json").write_text(json.dumps({"data": {"a": "Parquet x/trainA.parquet", "b": "hf:u/d?split=b"}}))
    assert "- not smiling: Parquet x/trainA.parquet\n- smiling: hf:u/d?split=b" in render(one(path), one(path).epochs[0])
