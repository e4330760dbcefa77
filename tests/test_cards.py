"""cards.py: a card for every domain, with what was measured and nothing that was not."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from cyclegan_hub import cards
from cyclegan_hub.cards import CardError, Facts, read_metrics, render
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes import RECIPES
from cyclegan_hub.specs import resolve

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
HISTORY = [
    {"step": 10, "epoch": 0.5, "cycle": 1.0, "pairs_per_s": 2.0},
    {"step": 20, "event": "alarm", "message": "the discriminator wins"},
    {"step": 20, "epoch": 1.0, "cycle": 0.5, "pairs_per_s": 4.0},
]


def facts(domain: str = "smile", labels: tuple[str, str] | None = None, **changes: Any) -> Facts:
    """Of a run on a domain's own datasets."""
    recipe = next(recipe for recipe in RECIPES.values() if recipe.domain == domain)
    sources = resolve(DOMAINS[domain], None, None, None)
    run = {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "labels": list(labels or DOMAINS[domain].labels),
        "data": dict(zip("ab", (source.describe() for source in sources), strict=True)),
        "seed": 0,
    }
    epochs = ["epoch-005", "epoch-010", "epoch-020"]
    return replace(Facts("user/x", run, HISTORY, 1, epochs, "epoch-020", None, "fp32"), **changes)


def metadata(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_card_for_every_domain(domain: str) -> None:
    card = render(facts(domain))
    assert "{{" not in card and "{%" not in card and "None" not in card
    head = metadata(card)
    assert head["library_name"] == "cyclegan_hub" and head["pipeline_tag"] == "image-to-image" and "cyclegan" in head["tags"]
    assert head["license"] == "other" and head["license_name"] == "research-only"
    assert head["datasets"] == sorted({DOMAINS[domain].a.dataset, DOMAINS[domain].b.dataset})
    assert "model-index" not in head
    sections = [line for line in card.splitlines() if line.startswith("## ")]
    names = ["Use", "Epochs", "Training", "Evaluation", "Intended use", "Limits", "Data and licence", "Citation"]
    assert sections == [f"## {name}" for name in names]
    for part in ("![", "](samples.png)", 'from_pretrained("user/x")', 'revision="epoch-005"', "Not evaluated", "zhu2017"):
        assert part in card, part
    assert "`main` is `epoch-020`, the last" in card
    assert "These are not the datasets" not in card
    assert str(ModelCard(card)) == card


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_statement_names_the_data_of_its_domain(domain: str) -> None:
    text = (cards.TEMPLATES / f"{domain}.md").read_text("utf-8")
    sets = {"flwrlabs/celeba": "CelebA", "huggan/selfie2anime": "selfie2anime", "cgarciae/cartoonset": "Cartoon Set",
            "huggan/monet2photo": "monet2photo"}  # fmt: skip
    for pile in (DOMAINS[domain].a, DOMAINS[domain].b):
        assert sets[pile.dataset] in text
    assert all(word in text.lower() for word in ("grey", "dark", "flat", "research"))


def test_a_domain_of_ones_own() -> None:
    other = facts(labels=("day|noon", "{{ night }}"))
    other.run["data"] = {"a": "folder mine/trainA, held out: a tenth by content hash", "b": "hf:me/night?split=train"}
    card = render(other)
    head = metadata(card)
    assert head["license_name"] == "not-stated" and head["datasets"] == ["me/night"]
    assert "# day|noon ↔ {{ night }}" in card and "CelebA" not in card and "publisher's own choice" in card
    assert "`folder mine/trainA" in card


def test_local_files_are_not_taken_for_the_domains_own() -> None:
    local = facts()
    local.run["data"]["a"] = "Parquet smile/trainA.parquet, held out: Parquet smile/testA.parquet"
    assert "These are not the datasets the domain is defined on" in render(local)


def test_what_the_training_cost() -> None:
    card = render(facts("cartoon", processes=2))  # batches of 2 in each of 2 processes
    batch = 2 * facts("cartoon").run["recipe"]["batch_size"]
    minutes = (10 * batch / 2 + 10 * batch / 4) / 60
    assert f"20 steps of {batch} pairs ({20 * batch} pairs, 1 epochs) in about {minutes:.1f} minutes" in card
    assert "at a median of 3.0 pairs a second" in card and "- the discriminator wins" in card
    long = [HISTORY[0] | {"step": 10 * 3600, "pairs_per_s": 1.0}]
    assert f"in about {10 * batch / 2:.1f} hours" in render(facts("cartoon", history=long))
    assert "was not recorded" in render(facts(history=[]))


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
    with pytest.raises(CardError, match=r"metrics\.json is not of the form .*: evaluate again, or remove it$"):
        read_metrics(tmp_path / "metrics.json")


def test_metrics_are_read(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.json") is None
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    assert read_metrics(tmp_path / "metrics.json") == METRICS


@pytest.mark.parametrize(
    "name, addition, message",
    [
        ("card.md", "{{ flavour }}", "the card's template names unknown fields flavour: there are title, a, b, "),
        ("smile.md", "{{ flavour }}", "the card's template names unknown fields flavour"),
        ("card.md", "{{ flavour", "the card's template cannot be read ("),
    ],
)
def test_a_template_with_an_unknown_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, addition: str, message: str
) -> None:
    shutil.copytree(str(cards.TEMPLATES), tmp_path / "cards")
    monkeypatch.setattr(cards, "TEMPLATES", tmp_path / "cards")
    with (tmp_path / "cards" / name).open("a") as file:
        file.write(addition)
    with pytest.raises(CardError) as error:
        render(facts())
    assert str(error.value).startswith(message) and len(str(error.value).splitlines()) == 1
