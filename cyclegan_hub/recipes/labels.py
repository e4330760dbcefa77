"""What the sides of a recipe show, in words: input and output of a translation, or the one thing that is drawn."""

from __future__ import annotations

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe

# Inputs of pairs that are made (pairs.RULES), by what they are made from.
MADE = {"colorize": "{} in grey", "upscale-4x": "small {}"}


def labels_of(recipe: Recipe) -> tuple[str, ...]:
    """The labels of a recipe's own domain: of A and B, or of one pile."""
    domain = DOMAINS.get(recipe.domain)
    match recipe:
        case CycleGANRecipe():
            return domain.labels
        case DCGANRecipe():
            return (domain.pile(recipe.side).label,)
        case Pix2PixRecipe():
            if domain is None:
                return ("input", "output")
            label = domain.pile(recipe.side).label
            if recipe.pairs in MADE:
                return (MADE[recipe.pairs].format(label), label)
            return domain.labels if recipe.side == "b" else domain.labels[::-1]
    raise TypeError(f"no method for a {type(recipe).__name__}")


def domain_of(recipe: Recipe, labels: tuple[str, ...]) -> str:
    """Which domain a model of the recipe is of: with labels of the user's own (`--labels`) none, "custom"."""
    return recipe.domain if recipe.domain and labels == labels_of(recipe) else "custom"
