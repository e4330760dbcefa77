"""What stands on the classes of the published models, so that no other room has to compare classes or names of methods."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.models.auto import KINDS, Model
from cyclegan_hub.models.protocols import Sampler, Translator, arrow
from cyclegan_hub.recipes.methods import METHODS
from cyclegan_hub.recipes.pair_rules import PAIR_RULES

TINY = {
    "CycleGenerator": {"width": 4, "blocks": 1, "image_size": 16},
    "FaceGenerator": {"latent": 4, "widths": (8, 4)},
    "PairedGenerator": {"width": 4, "blocks": 2, "image_size": 16, "pairs": "colorize"},
}


@pytest.fixture(params=list(KINDS))
def model(request) -> Model:
    return KINDS[request.param](**TINY[request.param]).eval()


def test_every_model_says_what_it_is(model: Model) -> None:
    assert len(model.labels) == model.label_count
    assert model.title.format(a="x", b="y") in ("x ↔ y", "x → y", "noise → y")
    assert (MODEL_CARDS / model.card_template).is_file()
    assert model.measured_by in ("samples", "sides", "pairs")
    assert model.trained_size(json.loads(json.dumps(model.config))) == model.image_size
    assert model.trained_size({}) is None and model.trained_size({"widths": "no", "image_size": True}) is None
    assert all(arrow(direction, model.labels) != direction for direction in model.directions)


def test_it_translates_or_draws(model: Model) -> None:
    assert isinstance(model, Translator) is model.takes_pictures is not isinstance(model, Sampler)
    if isinstance(model, Translator):
        for direction in model.directions:
            assert sum(p.numel() for p in model.network(direction).parameters()) > 0
        with pytest.raises(ValueError, match="direction='samples'"):
            model.network("samples")


def test_examples_are_rows_under_their_headings(model: Model) -> None:
    photographs = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    examples = model.examples(photographs)
    assert {picture.size for row in examples.rows for picture in row} == {(16, 16)}
    assert {len(row) for row in examples.rows} == {len(examples.headings) or 6}
    assert len(examples.rows) == (2 if model.takes_pictures else 6)


def test_a_recipe_and_its_model_are_called_alike() -> None:
    assert [recipe.method for recipe in METHODS] == [kind.method for kind in KINDS.values()]


def test_rules_of_pairs_say_what_follows_from_them() -> None:
    assert [name for name, rule in PAIR_RULES.items() if not rule.derived] == ["given"]
    assert [name for name, rule in PAIR_RULES.items() if rule.enlarges] == ["upscale-4x"]
    assert [name for name, rule in PAIR_RULES.items() if not rule.has_truth] == ["repaint"]
    assert PAIR_RULES["colorize"].label_of_input("face") == "face in grey" and not PAIR_RULES["repaint"].label_of_input("face")
    for name, rule in PAIR_RULES.items():
        assert rule.name == name and rule.usage and bool(rule.description) is rule.derived
