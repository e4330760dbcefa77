"""Trainers of every recipe at a size that a test can afford, and a batch of noise for each."""

from __future__ import annotations

import dataclasses

import torch

from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe, labels_of
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.trainer import Trainer, build_trainer

LABELS = ("day", "night")


def tiny(name: str, **changes) -> Recipe:
    """A recipe of the registry at a size that a test can afford; the structure stays."""
    recipe = RECIPES[name]
    match recipe:
        case DCGANRecipe():
            widths = {key: tuple(4 for _ in getattr(recipe, key)[:3]) for key in ("gen_channels", "disc_channels")}
            return dataclasses.replace(recipe, **widths | {"image_size": 32, "batch_size": 4, "latent": 8} | changes)
        case Pix2PixRecipe():
            small = {"image_size": 32, "load_size": None, "width": 4, "batch_size": 2, "blocks": 3, "disc_channels": (4, 4)}
            return dataclasses.replace(recipe, **small | changes)
    size = 64 if recipe.generator == "unet" or recipe.disc_scales > 1 else 32
    small = {"image_size": size, "load_size": None, "width": 4, "batch_size": 2}
    small |= {"blocks": min(recipe.blocks, 4 if recipe.generator == "unet" else 1)}
    small |= {"disc_channels": tuple(4 for _ in recipe.disc_channels), "max_images": None, "crop_size": None}
    return dataclasses.replace(recipe, **small | changes)


def make(recipe: Recipe, total_steps: int = 100, seed: int = 0) -> Trainer:
    torch.manual_seed(seed)
    labels = LABELS if isinstance(recipe, CycleGANRecipe) else labels_of(recipe)
    trainer = build_trainer(recipe, total_steps=total_steps, labels=labels)
    trainer.prepare(lambda x: x)
    return trainer


def batch(recipe: Recipe, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    channels = recipe.channels * (2 if getattr(recipe, "pairs", None) == "given" else 1)
    shape = (recipe.batch_size, channels, recipe.image_size, recipe.image_size)
    sides = ("a", "b") if isinstance(recipe, CycleGANRecipe) else ("a",)
    return {side: torch.rand(shape, generator=generator) * 2 - 1 for side in sides}


def backward(loss: torch.Tensor) -> None:
    loss.backward()


OTHER_KINDS = {
    "two-scales": {"disc_scales": 2, "image_size": 64, "discriminator": "patch", "adversarial": "lsgan"},
    "projected": {"discriminator": "projected", "adversarial": "hinge"},
    "both-skip": {"discriminator": "both", "adversarial": "hinge", "skip": True, "source_negatives": 0.25},
    "deviation": {"discriminator": "both", "adversarial": "hinge", "minibatch_deviation": True},
}
