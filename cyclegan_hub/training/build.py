"""The trainer of a recipe."""

from __future__ import annotations

from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe
from cyclegan_hub.training.trainer import Trainer


def build_trainer(recipe: Recipe, *, total_steps: int, labels: tuple[str, ...]) -> Trainer:
    """The trainer of a recipe, with fresh weights from torch's global random state, for a schedule of `total_steps`."""
    match recipe:
        case CycleGANRecipe():
            from cyclegan_hub.training.cyclegan import CycleGANTrainer as Method
        case DCGANRecipe():
            from cyclegan_hub.training.dcgan import DCGANTrainer as Method
        case Pix2PixRecipe():
            from cyclegan_hub.training.pix2pix import Pix2PixTrainer as Method
        case _:
            raise TypeError(f"no trainer for a {type(recipe).__name__}")
    return Method(recipe, total_steps=total_steps, labels=labels)
