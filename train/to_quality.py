"""Time to quality: what a small training costs until its translations are as near to the target side as was asked.

accelerate launch --quiet --mixed_precision bf16 train/benchmark.py anime-compact --data FOLDER --to-quality 20 --set width=16

Part of benchmark.py, since a step is timed there; a faster step is worth nothing if it takes more of them.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor

from cyclegan_hub.data.batches import UnpairedBatches, open_batches
from cyclegan_hub.data.load import load_domains
from cyclegan_hub.data.reading import Batching, Selection
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.evaluation.features import Extractor, imagenet
from cyclegan_hub.evaluation.generate import at_size, translate
from cyclegan_hub.metrics.kernels import mmd
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.recipes.methods import CycleGANRecipe, RecipeError, labels_of
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.plan import find_data, reading_of
from cyclegan_hub.training.trainer import build_trainer

Kind = Literal["patch", "projected", "both"]
KINDS: tuple[Kind, ...] = ("patch", "projected", "both")
SIZE = 128  # px at which features are taken, as `evaluate --size 128` does
SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--to-quality", type=float, metavar="MMD", help="train with each kind of discriminator until 100 x MMD^2 is at most this")
    add("--data", metavar="FOLDER_OR_ID", help="of --to-quality: as of train.py")
    add("--cap", type=int, default=1500, metavar="PAIRS", help="of --to-quality: stop a run there (1500)")
    add("--every", type=int, default=250, metavar="PAIRS", help="of --to-quality: measure so often (250)")
    add("--held-out", type=int, default=200, metavar="N", help="of --to-quality: held-out images a side to measure with (200)")
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of --to-quality: discriminators (all three)")


@dataclass
class _Measure:
    """100 x MMD^2 of translations, the mean of both directions, on held-out images of A and of B."""

    inputs: tuple[Tensor, ...]  # uint8 (N, C, S, S), S the trained size
    real: list[Tensor]  # features at SIZE
    extractor: Extractor

    def __call__(self, of_a: Tensor, of_b: Tensor) -> tuple[float, float, float]:
        """`of_a` are outputs for the inputs of A, uint8: A to B, B to A, and their mean."""
        found = [self.extractor(at_size(x, SIZE, 3)) for x in (of_a, of_b)]
        to_b, to_a = 100 * mmd(found[0], self.real[1]), 100 * mmd(found[1], self.real[0])
        return to_b, to_a, (to_b + to_a) / 2


def to_quality(recipe: CycleGANRecipe, accelerator: Accelerator, arguments: argparse.Namespace) -> int:
    """Trains `recipe` with each kind of discriminator; prints a line for each measurement and a summary; returns 0.

    Minutes are those of training alone. The schedule is that of `--cap` pairs, so that the rate falls as in a run of this length.
    Raises RecipeError or DataError for what cannot be done, before anything is trained.
    """
    _check(recipe, arguments)
    extractor = imagenet(device=accelerator.device)
    if set(arguments.kinds) - {"patch"}:
        EfficientNetLite("lite0")  # where its weights are missing this says so now, not after the first run
    sources = find_data(recipe, arguments.data, None, None)
    held = arguments.held_out
    readings, selection = reading_of(recipe, len(sources), SEED)
    batches = open_batches(sources, readings, selection, Batching(recipe.batch_size, balance=recipe.balance))
    assert isinstance(batches, UnpairedBatches)  # since _check refuses streaming
    larger = [replace(reading, image_size=SIZE, load_size=None, fit="crop") for reading in readings]
    seen = load_domains(sources, larger, Selection(SEED, max_images=held, max_held_out=held))
    inputs = tuple(x[:held] for x in batches.held_out)
    fewest = min(len(x) for x in (*inputs, *(side.held_out for side in seen)))
    if fewest < 2:
        raise DataError(f"{arguments.data}: a side has {fewest} held-out images, and a distance needs at least 2")
    measure = _Measure(inputs, [extractor(at_size(side.held_out[:held], SIZE, 3)) for side in seen], extractor)
    print(f"measured on {len(inputs[0])} and {len(inputs[1])} held-out images by {extractor.label} at {SIZE} px")
    print(f"{'untranslated':20} A to B, B to A, mean: " + " ".join(f"{x:.1f}" for x in measure(*inputs)), flush=True)
    summary = [_one(kind, recipe, accelerator, batches, measure, arguments) for kind in arguments.kinds]
    print(f"to 100 x MMD^2 <= {arguments.to_quality:g}:")
    print("\n".join(summary))
    return 0


def _check(recipe: CycleGANRecipe, arguments: argparse.Namespace) -> None:
    """Raises RecipeError that names the option."""
    if arguments.data is None:
        raise RecipeError("--to-quality needs images: give --data FOLDER")
    if not arguments.to_quality > 0:
        raise RecipeError(f"--to-quality {arguments.to_quality:g}: give a distance of more than 0")
    if arguments.held_out < 2:
        raise RecipeError(f"--held-out {arguments.held_out}: give at least 2")
    if not 1 <= arguments.every <= arguments.cap:
        raise RecipeError(f"--every {arguments.every}: give 1 up to --cap ({arguments.cap})")
    if recipe.streaming:
        raise RecipeError("--to-quality reads its images at once: leave streaming=true out")
    if recipe.batch_size > arguments.every:
        raise RecipeError(f"batch_size={recipe.batch_size}: give at most --every ({arguments.every})")


def _one(
    kind: Kind, recipe: CycleGANRecipe, accelerator: Accelerator, batches: UnpairedBatches, measure: _Measure,
    arguments: argparse.Namespace,
) -> str:  # fmt: skip
    """Trains one kind; its line of the summary."""
    r = replace(recipe, discriminator=kind, adversarial=recipe.adversarial if kind == "patch" else "hinge")
    set_seed(SEED)
    steps = -(-arguments.cap // r.batch_size)
    trainer = build_trainer(r, total_steps=steps, labels=labels_of(r))
    trainer.prepare(accelerator.prepare)
    set_seed(SEED + 1)
    augment = BatchAugment(image_size=r.trained_size, load_size=r.load_size or r.image_size, flip=r.flip)
    wall = cpu = 0.0
    best, done, due = float("inf"), 0, arguments.every
    stream = (batch for epoch in range(steps) for batch in batches.epoch(epoch))
    while done < steps:
        began = time.perf_counter(), time.process_time()
        while done * r.batch_size < due and done < steps:
            batch = augment({key: x.to(accelerator.device) for key, x in next(stream).items()})
            losses = trainer.step(batch, accelerator.backward)
            done += 1
        float(losses["total_g"])  # waits for an accelerator
        wall, cpu = wall + time.perf_counter() - began[0], cpu + time.process_time() - began[1]
        due += arguments.every
        model = trainer.published(None)
        assert isinstance(model, CycleGenerator)
        with torch.inference_mode():
            figures = measure(translate(model, measure.inputs[0], "a_to_b"), translate(model, measure.inputs[1], "b_to_a"))
        pairs = done * r.batch_size
        took = f"{pairs:,} pairs, {wall / 60:.1f} min ({cpu / 60:.1f} min CPU)"
        print(f"{kind:9} {took}: " + " ".join(f"{x:.1f}" for x in figures), flush=True)
        best = min(best, figures[2])
        if figures[2] <= arguments.to_quality:
            return f"{kind:9} {took}"
    return f"{kind:9} not within {took}; best {best:.1f}"
