"""cards.py: what was measured is on the card, and nothing that was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from cyclegan_hub.hub.records import MetricsFileError, read_metrics
from cyclegan_hub.publishing.card import Facts, render
from support.card_facts import HISTORY, KINDS, facts, metadata

METRICS = {
    "best": "epoch-010",
    "rule": "least KID, mean of both directions",
    "extractor": "side encoder",
    "n": 200,
    "resize": "64 px, Lanczos",
    "epochs": {
        name: {"a_to_b": {"n": 200, "kid": kid}, "b_to_a": {"n": 190, "kid": 2 * kid, "note": "few"}}
        for name, kid in (("epoch-005", 0.5), ("epoch-010", 0.0123456), ("epoch-020", 0.25))
    },
}
KINDS_BY_NAME = {kind.__name__: kind for kind in KINDS.values()}
ROOT = Path(__file__).parents[2]


def test_the_evaluation_of_what_is_drawn_from_noise() -> None:
    metrics = {
        "best": "epoch-010", "rule": "lowest kid", "protocol": {"n": 200},
        "epochs": {f"epoch-{n:03d}": {"samples": {"kid[encoder]": n / 100}} for n in (10, 20)},
        "baselines": {"untranslated": {}, "floor": {"samples": {"kid[encoder]": -0.5}}},
    }  # fmt: skip
    card = render(facts("faces-dcgan-64", metrics=metrics, chosen="epoch-010"))
    for line in ("| of | metric | epoch-020 (last) | epoch-010 (main) | floor |", "| face | kid[encoder] | 0.2 | 0.1 | -0.5 |"):
        assert line in card.splitlines(), line
    assert "untranslated" not in card and "`floor` are real images" in card
    (result,) = metadata(card)["model-index"][0]["results"]
    assert result["task"] == {"type": "unconditional-image-generation", "name": "face"}
    assert result["dataset"]["type"] == "flwrlabs/celeba" and result["dataset"]["config"] == "samples"
    assert result["metrics"][0]["value"] == 0.1


def test_the_evaluation_of_pairs() -> None:
    values = {"a_to_b": {"kid[encoder]": 0.125}}
    metrics = {"best": "epoch-020", "epochs": {"epoch-020": values}, "baselines": {"untranslated": values}}
    card = render(facts("colorize", metrics=metrics))
    assert "| face in grey → face | kid[encoder] | 0.125 | 0.125 |" in card and "`untranslated` are the inputs" in card
    assert metadata(card)["model-index"][0]["results"][0]["dataset"]["type"] == "flwrlabs/celeba"


def test_the_evaluation_as_a_table_and_as_model_index() -> None:
    card = render(facts(metrics=METRICS, chosen="epoch-010"))
    assert "Not evaluated" not in card and "`main` is `epoch-010`, the best" in card
    for line in ("- rule: least KID, mean of both directions", "- extractor: side encoder", "- n: 200",
                 "- resize: 64 px, Lanczos",
                 "| direction | metric | epoch-020 (last) | epoch-010 (main) |",
                 "| not smiling → smiling | kid | 0.25 | 0.01235 |", "| smiling → not smiling | n | 190 | 190 |"):  # fmt: skip
        assert line in card.splitlines(), line
    (entry,) = [metadata(card)["model-index"]]
    found = [(m["name"], m["value"]) for result in entry[0]["results"] for m in result["metrics"]]
    assert entry[0]["name"] == "x" and found == [("kid (a_to_b)", 0.0123456), ("kid (b_to_a)", 0.0246912)]
    assert [result["dataset"]["type"] for result in entry[0]["results"]] == ["flwrlabs/celeba"] * 2
    assert ModelCard(card).data.eval_results is not None


def test_the_evaluation_beside_its_baselines() -> None:
    directions = ("a_to_b", "b_to_a")
    more = {
        "protocol": {"n_a": 200, "resize": "Lanczos"},
        "classifier": {"name": "encoder (sha256 1)", "accuracy_a": 0.875},
        "baselines": {"untranslated": {d: {"kid": 9.5, "cycle_psnr": None} for d in directions},
                      "floor": {d: {"kid": -0.25} for d in directions}},
        "notes": ["no cycle_psnr"],
    }  # fmt: skip
    card = render(facts(metrics=METRICS | more, chosen="epoch-010"))
    for line in ("- n_a: 200", "- resize: Lanczos", "- classifier name: encoder (sha256 1)", "- classifier accuracy_a: 0.875",
                 "| direction | metric | epoch-020 (last) | epoch-010 (main) | untranslated | floor |",
                 "| not smiling → smiling | kid | 0.25 | 0.01235 | 9.5 | -0.25 |",
                 "| smiling → not smiling | cycle_psnr |  |  |  |  |"):  # fmt: skip
        assert line in card.splitlines(), line
    assert "`untranslated` are the inputs themselves" in card and "None" not in card and "no cycle_psnr" not in card
    (entry,) = [metadata(card)["model-index"]]
    (first, second) = entry[0]["results"]
    assert [m["value"] for result in (first, second) for m in result["metrics"]] == [0.0123456, 0.0246912]
    assert first["metrics"][0]["args"]["n_a"] == 200 and "baselines" not in first["metrics"][0]["args"]


BUNDLED = sorted(path.name for path in (ROOT / "pretrained").iterdir() if (path / "recipe.json").is_file())


@pytest.mark.parametrize("name", BUNDLED)
def test_the_front_matter_of_what_is_bundled_is_short(name: str) -> None:
    """Few lines, with the main figures, a link to the terms, and success beside how right its judge is."""
    folder = ROOT / "pretrained" / name
    run, metrics = (json.loads((folder / file).read_text("utf-8")) for file in ("recipe.json", "metrics.json"))
    config = json.loads((folder / "epochs" / metrics["best"] / "config.json").read_text("utf-8"))
    epochs = sorted(path.name for path in (folder / "epochs").iterdir())
    of = Facts(f"user/{name}", KINDS_BY_NAME[config["model"]], config, run, HISTORY, 1, epochs, metrics["best"], metrics, "fp16")
    card = render(of)
    front = card.split("---\n")[1]
    assert len(front.splitlines()) <= 150
    head = yaml.safe_load(front)
    assert head["license_link"].endswith(f"/user/{name}#data-and-licence") and "## Data and licence" in card
    assert {"model_hub_mixin", "pytorch_model_hub_mixin"} <= set(head["tags"])
    for result in head["model-index"][0]["results"]:
        kinds = [metric["type"] for metric in result["metrics"]]
        assert any(kind.startswith("kid") for kind in kinds) and len(kinds) > 4
        for metric in result["metrics"]:
            assert metric["type"] != "success" or 0.5 < metric["args"]["accuracy_on_real_images"] <= 1
    assert str(ModelCard(card)) == card


def test_success_never_stands_alone() -> None:
    values = {"a_to_b": {"kid": 0.5, "success": 0.995}, "b_to_a": {"kid": 0.5, "success": 1.0}}
    metrics = {"best": "epoch-020", "epochs": {"epoch-020": values}, "classifier": {"accuracy_a": 0.99, "accuracy_b": 0.915}}
    card = render(facts(metrics=metrics))
    assert "it is right on 91.5% of smiling and 99.0% of not smiling." in card
    assert "| not smiling → smiling | success | 0.995 |" in card
    results = metadata(card)["model-index"][0]["results"]
    found = [(m["value"], m["args"]["accuracy_on_real_images"]) for r in results for m in r["metrics"] if m["type"] == "success"]
    assert found == [(0.995, 0.915), (1.0, 0.99)]
    for judge in (None, {}, {"name": "encoder"}):
        card = render(facts(metrics=metrics | {"classifier": judge}))
        assert "| success |" not in card and "was not recorded, so that figure is left out" in card
        assert "success" not in str(metadata(card))


def test_what_could_not_be_measured_is_left_empty() -> None:
    values = {"a_to_b": {"kid": None}, "b_to_a": {"kid": 0.5}}
    card = render(facts(metrics={"best": "main", "classifier": None, "epochs": {"main": values}}, chosen="main"))
    assert "| not smiling → smiling | kid |  |" in card and "- classifier" not in card
    assert [m["value"] for r in metadata(card)["model-index"][0]["results"] for m in r["metrics"]] == [0.5]


def test_one_column_where_the_last_is_the_best() -> None:
    metrics = METRICS | {"epochs": {"epoch-010": METRICS["epochs"]["epoch-010"]}}
    assert "| direction | metric | epoch-010 (main) |" in render(facts(metrics=metrics, chosen="epoch-010"))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"best": "epoch-001"}', '{"best": "epoch-001", "epochs": {}}', '{"best": "x", "epochs": {"x": {}}}',
     '{"best": "epoch-001", "epochs": {"epoch-001": {"a_to_b": 3}}}', '{"best": [], "epochs": {}}',
     '{"best": "main", "epochs": {"main": {}}, "baselines": {"floor": {"a_to_b": 3}}}',
     '{"best": "main", "epochs": {"main": {}}, "baselines": 3}'],
)  # fmt: skip
def test_metrics_of_another_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(MetricsFileError, match=r"metrics\.json is not of the form .*: evaluate again, or remove it$"):
        read_metrics(tmp_path / "metrics.json")


def test_metrics_are_read(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.json") is None
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert read_metrics(tmp_path / "metrics.json") == METRICS
