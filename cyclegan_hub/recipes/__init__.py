"""How a model is trained: one dataclass for each method, and the registry of named recipes. No torch here."""

from cyclegan_hub.recipes.methods import (
    METHODS,
    RESUMABLE_FIELDS,
    CycleGANRecipe,
    DCGANRecipe,
    Pix2PixRecipe,
    Recipe,
    RecipeError,
    override,
)
from cyclegan_hub.recipes.presets import RECIPES, find

__all__ = [
    "METHODS",
    "RECIPES",
    "RESUMABLE_FIELDS",
    "CycleGANRecipe",
    "DCGANRecipe",
    "Pix2PixRecipe",
    "Recipe",
    "RecipeError",
    "find",
    "override",
]
