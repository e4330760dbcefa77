"""publishing/card.py: a card for every domain and recipe, with what the run recorded and what was measured, and no more."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

from cyclegan_hub import DCGAN, CycleGenerator, PairedGenerator
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import counted
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.provenance import LICENCES
from cyclegan_hub.publishing import card as cards
from cyclegan_hub.publishing.card import limits_template, render
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
from cyclegan_hub.recipes.presets import RECIPES
from support.card_facts import HISTORY, MOST_WORDS, above_the_fold, facts, metadata


def test_what_was_changed_on_the_way_is_said() -> None:
    """More epochs, another cycle weight, and another number of processes: such a run cannot be repeated exactly."""
    of = facts("smile")
    extended = [{"step": 400, "from": {"epochs": 40, "decay": 0.5}, "to": {"epochs": 60, "decay": 0.5}, "rate": [0.0, 0.666667]}]
    extended += [{"step": 600, "from": {"epochs": 60, "cycle": 10.0}, "to": {"epochs": 70, "cycle": 2.0}}]
    resumed = [{"step": 500, "processes": [1, 2], "steps_per_epoch": 10}]
    card = render(replace(of, run=of.run | {"extended": extended, "inexact_resumes": resumed}))
    assert "at step 400 from 40 to 60 epochs; the learning rate went from 0 to 0.666667 of lr" in card
    assert "at step 600 from 60 to 70 epochs; cycle from 10 to 2" in card
    assert "| resumed inexactly | at step 500 with 2 processes instead of 1 |" in card
    assert "extended" not in render(of)


def test_groups_are_shown_and_a_worse_one_comes_first() -> None:
    rows = [
        {"split": "skin", "name": "darker half", "n": 97, "distance": 12.0, "low": 10.0, "high": 14.25, "untranslated": 60.0},
        {"split": "skin", "name": "lighter half", "n": 98, "distance": 8.0, "low": 7.0, "high": 9.0, "untranslated": 50.0},
    ]
    table = {"epoch": "epoch-020", "direction": "a_to_b", "metric": "mmd[imagenet]", "groups": rows}
    measured = {"best": "epoch-020", "epochs": {"epoch-020": {"a_to_b": {"mmd[imagenet]": 10.0}}}}
    card = render(facts("cartoon", metrics=measured | {"groups": table}))
    assert "| darker half | 97 | 12 | 10 to 14.2 | 60 |  |" in card and "typology angle" in card
    assert card.index("**Worse for some people: darker half.**") < card.index("![")
    rows[0] |= {"distance": 9.0, "by_eye": "7 of 16"}
    card = render(facts("cartoon", metrics=measured | {"groups": table}))
    assert "Worse for" not in card and "| darker half | 97 | 9 | 10 to 14.2 | 60 | 7 of 16 |" in card
    assert "By group" not in render(facts("cartoon", metrics=measured))


ABOVE = ["Use", "Results", "Limits and failures", "Data and licence"]
SECTIONS = [*ABOVE, "Epochs", "Training", "Evaluation", "Intended use", "Limits", "Citation"]


def check_front_matter(card: str) -> None:
    """The Hub's rules for metadata, as far as they can be checked without asking it."""
    head, read = metadata(card), ModelCard(card).data
    assert head["license"] in LICENCES and (head["license"] != "other") == ("license_name" not in head)
    assert re.fullmatch(r"[a-z0-9.-]+", head.get("license_name", "x"))
    assert head["pipeline_tag"] in ("image-to-image", "unconditional-image-generation")
    for name in head.get("datasets", ()):
        validate_repo_id(name)
        assert "/" in name
    (widget,) = head["widget"]
    assert widget["output"] == {"url": "samples.png"} and (widget.get("src") == "example.png") != ("text" in widget)
    results = read.eval_results or []
    assert len({result.metric_type for result in results}) <= 3
    assert all(re.fullmatch(r"[a-z0-9_-]+", result.metric_type) for result in results)
    assert str(ModelCard(card)) == card


def sections(card: str) -> list[str]:
    return [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]


WORDS = {
    CycleGenerator: ("arxiv.org/abs/1703.10593", "zhu2017", "image-to-image", "cyclegan"),
    DCGAN: ("arxiv.org/abs/1511.06434", "radford2016", "unconditional-image-generation", "dcgan"),
    PairedGenerator: ("arxiv.org/abs/1611.07004", "isola2017", "image-to-image", "pix2pix"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_for_every_recipe(name: str) -> None:
    of = facts(name)
    card = render(of)
    assert all(text not in card for text in ("{{", "{%", "{#", "None", "null`", "()"))
    head, (paper, cited, task, _) = metadata(card), WORDS[of.kind]
    for part in (
        paper, cited, f'{of.kind.__name__}.from_pretrained("user/x")', f"recipe `{name}`", "| image_size |", "Not evaluated",
        "](samples.png)", 'revision="epoch-005"', "`main` is `epoch-020`, the last",
    ):  # fmt: skip
        assert part in card, part
    assert len(above_the_fold(card).split()) <= MOST_WORDS
    check_front_matter(card)
    assert sections(card) == SECTIONS and sections(above_the_fold(card)) == ABOVE
    assert (head["pipeline_tag"], head["library_name"]) == (task, "cyclegan_hub") and "model-index" not in head
    if isinstance(recipe := RECIPES[name], CycleGANRecipe):
        assert head["license_name"] == "research-only"
        assert head["datasets"] == sorted({images.dataset for images in DOMAINS[recipe.domain].image_sets})
        names = {"celeba": "CelebA", "cartoonset": "Cartoon Set"}  # in the text about data and licence
        assert all(names.get(name, name) in above_the_fold(card) for name in (one.split("/")[1] for one in head["datasets"]))
    for other, words in WORDS.items():
        assert (words[3] in head["tags"]) == (other is of.kind) == (words[0] in card) == (other.__name__ in card)


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if not isinstance(recipe, CycleGANRecipe)])
def test_the_other_methods_are_not_said_to_go_back(name: str) -> None:
    """Nor a DCGAN to translate, nor anything to be what it is not."""
    card, recipe = render(facts(name)), RECIPES[name]
    assert all(text not in card for text in ("CycleGAN", "a_to_b", "b_to_a", "↔", "way back", "reconstruction"))
    if isinstance(recipe, DCGANRecipe):
        assert "# noise → " in card and "translat" not in card and "of seed 0" in card and "Judge it by its images" in card
        assert ".sample(16, seed=0)" in card and ".interpolate(" in card and f"from {recipe.latent} random numbers" in plain(card)
        assert "20 steps of 64 images (1,280 images, 1 epoch)" in card and "images a second" in card and "pairs" not in card
        return
    assert (
        '.translate("photo.jpg")' in card
        and "\n\n\n" not in card
        and "pairs a second" in card
        and f"`{json.dumps(recipe.l1)}`" in card
    )
    assert ("discriminator that sees input and output" in card) == bool(recipe.adversarial_weight)
    if recipe.pairs == "given":
        assert "pairs were given" in plain(card) and "- pairs of input and output: `folder mine/train" in card
    else:
        assert f"the input is {PAIR_RULES[recipe.pairs].description}" in plain(card)
    assert f"resized to {64 if recipe.pairs == 'upscale-4x' else recipe.image_size} px" in plain(card)


def plain(card: str) -> str:
    """Without line breaks."""
    return " ".join(card.split())


def test_which_limits_a_model_gets() -> None:
    """A domain's own describes its datasets: only a run whose record names these gets it."""
    for name, recipe in RECIPES.items():
        of = facts(name)
        domain, labels = of.config["domain"], tuple(of.run["labels"])
        own = isinstance(recipe, CycleGANRecipe) or recipe.domain == "faces"
        assert limits_template(domain, labels, of.run, of.kind) == (recipe.domain if own else "other"), name
        local = of.run | {"data": {side: "folder mine/train" for side in of.run["data"]}}
        for record in (local, None, {}):
            found = limits_template(domain, labels, record, of.kind)
            assert found == ("custom" if isinstance(recipe, CycleGANRecipe) else "other"), (name, record)
    assert facts("colorize", labels=("sketch", "face")).config["domain"] == "custom"  # labels of the user's own
    assert "has not stated its purpose" in render(facts("colorize", labels=("sketch", "face")))
    assert limits_template("monet", ("photo", "Monet"), facts("monet").run, PairedGenerator) == "other"  # two directions there


@pytest.mark.parametrize("name, terms", [("monet-dcgan-64", True), ("monet-pix2pix", True), ("pix2pix", False)])
def test_terms_of_data_without_limits_of_their_own(name: str, terms: bool) -> None:
    card = render(facts(name))
    assert metadata(card)["license_name"] == "not-stated" and "the licence of the images is not stated" in card.lower()
    assert (f"as the package knows them: {DOMAINS['monet'].b.licence}." in card) == terms
    assert ("ask the publisher before you build on them" in card) != terms
    assert metadata(render(facts("faces-dcgan-64")))["license_name"] == "research-only"
    assert metadata(render(facts("colorize")))["datasets"] == ["flwrlabs/celeba"]


@pytest.mark.parametrize("name, kind", [("bare", CycleGenerator), ("bare_dcgan", DCGAN), ("bare_pix2pix", PairedGenerator)])
def test_the_card_of_a_model_without_a_run(name: str, kind: type) -> None:
    info = kind._hub_mixin_info.model_card_data
    text = (MODEL_CARDS / f"{name}.md").read_text("utf-8")
    card = str(ModelCard.from_template(info, template_str=text, paper_url=f"https://{WORDS[kind][0]}"))
    assert WORDS[kind][0] in card and f"{kind.__name__}.from_pretrained(" in card and "{{" not in card


def test_a_domain_of_ones_own() -> None:
    other = facts(labels=("day|noon", "{{ night }}"))
    other.run["data"] = {"a": "folder mine/trainA, held out: a tenth by content hash", "b": "hf:me/night?split=train"}
    card = render(other)
    head = metadata(card)
    assert head["license_name"] == "not-stated" and head["datasets"] == ["me/night"]
    assert "# day|noon ↔ {{ night }}" in card and "CelebA" not in card and "ask the publisher" in card
    assert "`folder mine/trainA" in card


def test_what_the_training_cost() -> None:
    card = render(facts("cartoon", processes=2))  # batches of 2 in each of 2 processes
    batch = 2 * facts("cartoon").run["recipe"]["batch_size"]
    minutes = (10 * batch / 2 + 10 * batch / 4) / 60
    assert f"20 steps of {counted(batch, 'pair')} ({20 * batch} pairs, 1 epoch) in about {minutes:.1f} minutes" in card
    assert "at a median of 3.0 pairs a second" in card and "- the discriminator wins" in card
    long = [HISTORY[0] | {"step": 10 * 3600, "pairs_per_s": 1.0}]
    assert f"in about {10 * batch / 2:.1f} hours" in render(facts("cartoon", history=long))
    assert "was not recorded" in render(facts(history=[]))


def test_known_failures_are_listed() -> None:
    assert "No failures of these weights were recorded" in render(facts())
    card = render(facts(failures=["Glasses vanish.", "*Hats* become hair."]))
    assert "## Limits and failures\n\n- Glasses vanish.\n- \\*Hats\\* become hair.\n" in above_the_fold(card)
    assert "were recorded" not in card and "More known failures" not in card


def test_a_direction_that_does_not_convince_is_named_in_the_first_paragraph() -> None:
    of = facts("anime", failures=["anime face → human face: 2 of 16 pass for a face.", "Glasses vanish."])
    card = render(of)
    first = card.split("# human face ↔ anime face\n\n")[1].split("\n\n")[0]
    assert "**anime face → human face does not convince yet:** 2 of 16 pass for a face." in first
    assert card.count("2 of 16") == 1 and "- Glasses vanish." in above_the_fold(card)
    assert "does not convince" not in render(facts("anime", failures=["Glasses vanish."]))


def test_long_records_continue_below_the_fold() -> None:
    """However much a user wrote of data, limits and failures: nothing is lost, and what is read first stays short."""
    text, failures = " ".join(f"word{n}" for n in range(400)), [f"Failure {n} of {'many ' * 20}words." for n in range(9)]
    limits = [f"Limit {n} of {'many ' * 20}words." for n in range(9)]
    of = facts(labels=("day", "night"), failures=failures)
    card = render(replace(of, run=of.run | {"data_note": {"text": text, "licence": "cc0-1.0", "limits": limits, "use": text}}))
    above = above_the_fold(card)
    assert len(above.split()) <= MOST_WORDS and "word69 … (in full below)" in above and "Failure 5" not in above
    assert f"as the run recorded them: {text}" in plain(card)
    assert all(card.count(f"- {line}") == 1 for line in failures) and all(f"- {line}" in card for line in limits)


def test_nothing_that_a_run_recorded_is_markup() -> None:
    of = facts(labels=("[x](javascript:y)", "<b>|z"))
    of.run["data"] = {"a": "folder `a`|b", "b": "folder c"}
    of.run["init"] = "runs/x|y"
    history = [{"step": 1, "event": "alarm", "message": "<script>*x*"}, HISTORY[0]]
    card = render(replace(of, history=history))
    assert "](javascript" not in card.replace("\\[x](javascript", "") and "<b>" not in card and "<script>" not in card
    assert "- A, \\[x](javascript:y): ``folder `a`|b``" in card
    assert "| started from (`--init`) | `runs/x\\|y` |" in card


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
def test_what_is_bundled_is_read_in_half_a_minute(name: str) -> None:
    """A short front matter with the main metrics, success beside the accuracy of its classifier, and little above the fold."""
    folder = ROOT / "pretrained" / name
    card = (folder / "README.md").read_text("utf-8")
    check_front_matter(card)
    assert len(card.split("---\n")[1].splitlines()) <= 70
    for result in metadata(card)["model-index"][0]["results"]:
        assert len(result["metrics"]) == 3
        assert any(metric["type"].startswith(("kid-", "mmd-")) for metric in result["metrics"])
        for metric in result["metrics"]:
            assert metric["type"] != "success" or 0.5 < metric["args"]["accuracy_on_real_images"] <= 1
    above = above_the_fold(card)
    assert len(above.split()) <= MOST_WORDS and "pip install" in above and ".from_pretrained(" in above
    assert len(re.findall(r"^- .+: .+%?.*; real images .+\.$", above, re.MULTILINE)) == 3
    assert (folder / "samples.png").is_file() and (folder / "example.png").is_file() == ("example.png" in card)


def test_numbers_above_the_fold_stand_beside_their_baselines() -> None:
    def of(success: float, kid: float) -> dict:
        return {"success": success, "kid[encoder]": kid, "coverage[encoder]": success / 2, "precision[encoder]": 0.5}

    def both(*values: float) -> dict:
        return {"a_to_b": of(*values), "b_to_a": of(*values)}

    metrics = {
        "best": "epoch-020", "epochs": {"epoch-020": {"a_to_b": of(0.975, 14.32), "b_to_a": of(0.5, 2.0)}},
        "baselines": {"untranslated": both(0.01, 48.15), "floor": both(0.99, -0.001)},
        "classifier": {"accuracy_a": 0.99, "accuracy_b": 0.99}, "protocol": {"n_a": 200, "n_b": 150},
    }  # fmt: skip
    above = above_the_fold(render(facts(metrics=metrics)))
    for sentence in (
        "target domain: 97.5% (a_to_b) and 50% (b_to_a); untranslated inputs 1% and 1%; real images 99% and 99%.",
        "(KID of encoder features, lower is better): 14.3 (a_to_b) and 2.0 (b_to_a); untranslated inputs 48.1 and 48.1; "
        "real images 0.00 and 0.00.",
        "close to: 48.8% (a_to_b) and 25% (b_to_a); untranslated inputs 0.5% and 0.5%; real images 49.5% and 49.5%.",
        "Measured on 200 + 150 held-out images",
    ):
        assert sentence in above, sentence
    assert "precision" not in above
    assert "Every metric and the protocol are below." in above_the_fold(render(facts(metrics=METRICS | {"epochs": {
        "epoch-010": {"a_to_b": {"cycle_l1": 0.5}}}}, chosen="epoch-010")))  # fmt: skip


def test_where_the_project_and_its_space_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both come from `[project.urls]`; without it the package is installed from a clone."""
    found = {"Source": "https://example.org/cyclegan_hub", "Demo": "https://example.org/spaces/x"}
    monkeypatch.setattr(cards, "project_url", found.get)
    above = above_the_fold(render(facts()))
    assert 'pip install "cyclegan_hub @ git+https://example.org/cyclegan_hub"' in above
    assert "Try it: [Space](https://example.org/spaces/x)." in above and "clone" not in above
    monkeypatch.setattr(cards, "project_url", {}.get)
    above = above_the_fold(render(facts()))
    assert "In a clone of cyclegan_hub:\n\n```bash\npip install .\n```" in above and "Try it" not in above


def test_project_urls_are_those_of_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message()
    message["Project-URL"] = "Source, https://example.org/x"
    monkeypatch.setattr(cards, "package_metadata", lambda name: message)
    assert cards.project_url("Source") == "https://example.org/x" and cards.project_url("Demo") is None


def test_success_never_stands_alone() -> None:
    values = {"a_to_b": {"kid": 0.5, "success": 0.995}, "b_to_a": {"kid": 0.5, "success": 1.0}}
    metrics = {"best": "epoch-020", "epochs": {"epoch-020": values}, "classifier": {"accuracy_a": 0.99, "accuracy_b": 0.915}}
    card = render(facts(metrics=metrics))
    assert "it is right for 91.5% of smiling and 99.0% of not smiling." in card
    assert "| not smiling → smiling | success | 0.995 |" in card
    results = metadata(card)["model-index"][0]["results"]
    found = [(m["value"], m["args"]["accuracy_on_real_images"]) for r in results for m in r["metrics"] if m["type"] == "success"]
    assert found == [(0.995, 0.915), (1.0, 0.99)]
    for judge in (None, {}, {"name": "encoder"}):
        card = render(facts(metrics=metrics | {"classifier": judge}))
        assert "| success |" not in card and "was not recorded, so that metric is left out" in card
        assert "success" not in str(metadata(card))


def test_what_could_not_be_measured_is_left_empty() -> None:
    values = {"a_to_b": {"kid": None}, "b_to_a": {"kid": 0.5}}
    card = render(facts(metrics={"best": "main", "classifier": None, "epochs": {"main": values}}, chosen="main"))
    assert "| not smiling → smiling | kid |  |" in card and "- classifier" not in card
    assert [m["value"] for r in metadata(card)["model-index"][0]["results"] for m in r["metrics"]] == [0.5]


def test_one_column_where_the_last_is_the_best() -> None:
    metrics = METRICS | {"epochs": {"epoch-010": METRICS["epochs"]["epoch-010"]}}
    assert "| direction | metric | epoch-010 (main) |" in render(facts(metrics=metrics, chosen="epoch-010"))
