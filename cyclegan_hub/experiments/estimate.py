"""How long trainings will take on this machine, by timing a step of each before any of them starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from cyclegan_hub.experiments.plan import Planned
from cyclegan_hub.recipes.methods import Recipe
from cyclegan_hub.training.launch import make_accelerator
from cyclegan_hub.training.trainer import build_trainer

MOST = 4  # images of the timed batch: time grows about linearly from there, and an estimate should not take minutes


def seconds_per_step(recipe: Recipe, labels: tuple[str, ...]) -> float:
    """Seconds of one training step as this process would train it, from the second of two steps on random images."""
    batch = min(recipe.batch_size, MOST)
    accelerator = make_accelerator()
    trainer = build_trainer(replace(recipe, batch_size=batch), total_steps=4, labels=labels)
    trainer.prepare(accelerator.prepare)
    channels = recipe.channels * (2 if getattr(recipe, "pairs", None) == "given" else 1)
    shape = (batch, channels, recipe.trained_size, recipe.trained_size)
    keys = ("a", "b") if recipe.layout == "sides" else ("a",)
    seconds = 0.0
    for _ in range(2):
        images = {key: torch.rand(*shape, device=accelerator.device) * 2 - 1 for key in keys}
        started = time.perf_counter()
        losses = trainer.step(images, accelerator.backward)
        next(iter(losses.values())).item()  # a GPU works on until somebody waits for it
        seconds = time.perf_counter() - started
    return seconds * recipe.batch_size / batch


def estimate_hours(planned: Sequence[Planned], threads: int, jobs: int) -> float:
    """Hours of all the trainings, `jobs` at a time with `threads` threads each; measuring them comes on top."""
    seconds, known = 0.0, dict[Recipe, float]()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            for one in planned:
                recipe = one.plan.recipe
                if recipe not in known:
                    known[recipe] = seconds_per_step(recipe, one.plan.labels)
                seconds += known[recipe] * one.steps
    finally:
        torch.set_num_threads(before)
    return seconds / 3600 / min(jobs, len(planned))
