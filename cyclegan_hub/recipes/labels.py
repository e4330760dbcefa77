"""What the sides of a recipe show, in words: input and output of a translation, or the one thing that is drawn."""

from __future__ import annotations

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.methods import Recipe


def labels_of(recipe: Recipe) -> tuple[str, ...]:
    """The labels of a recipe's own domain: of A and B, or of one pile."""
    return recipe.labels_in(DOMAINS.get(recipe.domain))


def domain_of(recipe: Recipe, labels: tuple[str, ...]) -> str:
    """Which domain a model of the recipe is of: with labels of the user's own (`--labels`) none, "custom"."""
    return recipe.domain if recipe.domain and labels == labels_of(recipe) else "custom"
