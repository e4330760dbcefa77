"""What a card is made of, as a run of each recipe has it, and a card's metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import yaml

from cyclegan_hub import DCGAN, CycleGenerator, PairedGenerator
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.evaluation.record import Metrics
from cyclegan_hub.publishing.card import Facts
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, domain_of, labels_of
from cyclegan_hub.recipes.presets import RECIPES

HISTORY = [
    {"step": 10, "epoch": 0.5, "cycle": 1.0, "pairs_per_s": 2.0},
    {"step": 20, "event": "alarm", "message": "the discriminator wins"},
    {"step": 20, "epoch": 1.0, "cycle": 0.5, "pairs_per_s": 4.0},
]
MOST_WORDS = 500  # above the fold
KINDS = {CycleGANRecipe: CycleGenerator, DCGANRecipe: DCGAN, Pix2PixRecipe: PairedGenerator}


def recipe_of(name: str) -> CycleGANRecipe | DCGANRecipe | Pix2PixRecipe:
    """A recipe by its name, or the first of a domain."""
    return RECIPES.get(name) or next(recipe for recipe in RECIPES.values() if recipe.domain == name)


def facts(name: str = "smile", labels: tuple[str, ...] | None = None, **changes: Any) -> Facts:
    """Of a run of a recipe, or of the first of a domain, on the domain's own datasets; `metrics` as in metrics.json."""
    if changes.get("metrics"):
        changes["metrics"] = Metrics.from_json(changes["metrics"])
    recipe = recipe_of(name)
    domain, own = DOMAINS.get(recipe.domain), labels_of(recipe)
    match recipe:
        case CycleGANRecipe():
            image_sets, config = domain.image_sets, {}
        case DCGANRecipe():
            image_sets, config = [domain.image_set(recipe.side)], {"latent": recipe.latent}
        case Pix2PixRecipe():
            image_sets, config = [domain.image_set(recipe.side)] if domain else [], {"pairs": recipe.pairs}
    sources = [image_set.describe() for image_set in image_sets] or ["folder mine/train, held out: folder mine/test"]
    run = {
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "labels": list(labels or own),
        "data": dict(zip("ab", sources, strict=False)),
        "seed": 0,
    }
    config |= {"domain": domain_of(recipe, labels or own), "labels": run["labels"]}
    epochs = ["epoch-005", "epoch-010", "epoch-020"]
    return replace(Facts("user/x", KINDS[type(recipe)], config, run, HISTORY, 1, epochs, "epoch-020", None, "fp32"), **changes)


def metadata(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


def above_the_fold(card: str) -> str:
    """The card's text before its `<details>`."""
    above, fold, below = card.split("---\n", 2)[2].partition("<details>\n")
    assert fold and below.endswith("</details>\n") and "<details>" not in below
    return above
