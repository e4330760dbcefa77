"""The trainer of a recipe."""

from __future__ import annotations

from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe
from cyclegan_hub.training.trainer import Trainer


def build_trainer(recipe: Recipe, *, total_steps: int, labels: tuple[str, ...]) -> Trainer:
    """The trainer of a recipe, with fresh weights from torch's global random state, for a schedule of `total_steps`."""
    match recipe:
        case CycleGANRecipe():
            from cyclegan_hub.training.cyclegan import CycleGANTrainer

            return CycleGANTrainer(recipe, total_steps=total_steps, labels=labels)
        case DCGANRecipe():
            from cyclegan_hub.training.dcgan import DCGANTrainer

            return DCGANTrainer(recipe, total_steps=total_steps, labels=labels)
        case Pix2PixRecipe():
            from cyclegan_hub.training.pix2pix import Pix2PixTrainer

            return Pix2PixTrainer(recipe, total_steps=total_steps, labels=labels)
