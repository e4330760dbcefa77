"""Times one training step of a recipe against a plain one, each kind of discriminator, or a training up to a given quality.

accelerate launch --quiet --mixed_precision bf16 --dynamo_backend inductor train/benchmark.py smile-lsgan-128 --set batch_size=4
accelerate launch --quiet --mixed_precision bf16 train/benchmark.py anime-compact-128 --set batch_size=1 --discriminators
accelerate launch --quiet --mixed_precision bf16 train/benchmark.py anime-compact --set batch_size=1 --data FOLDER --to-quality 20

The plain step is a first implementation: fp32, eager, torch's own instance norm, one pass for each image batch and loss. Ours
runs as `accelerate launch` says; both alternate in one process. Shared machines drift by a factor of two within minutes: only
the ratio of alternating runs is meaningful, and CPU seconds more than wall seconds. `--to-quality` trains until translations
are near enough to the target domain, since a faster step is worth nothing if more of them are needed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cyclegan_hub.command_line import run_command
from cyclegan_hub.data.batches import UnpairedBatches, open_batches
from cyclegan_hub.data.load import load_domains
from cyclegan_hub.data.reading import Batching
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.evaluation.features import imagenet
from cyclegan_hub.evaluation.generate import resize, translate
from cyclegan_hub.machine import peak_memory
from cyclegan_hub.metrics.kernels import mmd
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.generators import InstanceNorm2d
from cyclegan_hub.recipes.methods import CycleGANRecipe, RecipeError, labels_of, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.augment import BatchAugment
from cyclegan_hub.training.launch import make_accelerator
from cyclegan_hub.training.losses import ImagePool, discriminator_loss, generator_loss
from cyclegan_hub.training.plan import changes_in, find_data, reading_of
from cyclegan_hub.training.trainer import Trainer, build_trainer

Kind = Literal["patch", "projected", "both"]
KINDS: tuple[Kind, ...] = ("patch", "projected", "both")
SIZE = 128  # px at which features are taken, as `evaluate --size 128` does
SEED = 0


# ------------------------------------------------------------------------------------------------------------------ a step
def timed(action: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process) of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def plain_networks(trainer: Trainer) -> dict[str, nn.Module]:
    """The recipe's networks with `nn.InstanceNorm2d` for our norm."""

    for network in trainer.networks.values():
        for module in list(network.modules()):
            for name, child in module.named_children():
                if isinstance(child, InstanceNorm2d):
                    setattr(module, name, nn.InstanceNorm2d(len(child.weight), affine=True))
    return trainer.networks


def plain_step(recipe: CycleGANRecipe, networks: dict[str, nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """The textbook step: six generator passes, six discriminator passes, three Adam optimizers."""
    g, f, d_a, d_b = networks.values()
    adam = [torch.optim.Adam(p, recipe.lr, betas=(0.5, 0.999)) for p in
            ([*g.parameters(), *f.parameters()], d_a.parameters(), d_b.parameters())]  # fmt: skip
    pools = ImagePool(recipe.pool_size), ImagePool(recipe.pool_size)

    def step(a: Tensor, b: Tensor) -> None:
        for p in (*d_a.parameters(), *d_b.parameters()):
            p.requires_grad_(False)
        adam[0].zero_grad()
        fake_b, fake_a = g(a), f(b)
        loss = generator_loss(recipe.adversarial, d_b(fake_b)) + generator_loss(recipe.adversarial, d_a(fake_a))
        loss = loss + recipe.cycle * (F.l1_loss(f(fake_b), a) + F.l1_loss(g(fake_a), b))
        if recipe.identity_a or recipe.identity_b:
            loss = loss + recipe.identity_a * F.l1_loss(f(a), a) + recipe.identity_b * F.l1_loss(g(b), b)
        loss.backward()
        adam[0].step()
        for p in (*d_a.parameters(), *d_b.parameters()):
            p.requires_grad_(True)
        for d, optimizer, pool, real, fake, source in (
            (d_a, adam[1], pools[0], a, fake_a, b), (d_b, adam[2], pools[1], b, fake_b, a),
        ):  # fmt: skip
            optimizer.zero_grad()
            as_fake = discriminator_loss(recipe.adversarial, d(pool.query(fake)), False)
            if recipe.source_negatives:
                as_fake = torch.lerp(as_fake, discriminator_loss(recipe.adversarial, d(source), False), recipe.source_negatives)
            (0.5 * (discriminator_loss(recipe.adversarial, d(real), True) + as_fake)).backward()
            optimizer.step()

    return step


def alternate(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """The least wall seconds and CPU seconds of each action, over `repeats` rounds in which each runs once."""
    taken = [{name: timed(action) for name, action in actions.items()} for _ in range(repeats)]
    return {name: (min(t[name][0] for t in taken), min(t[name][1] for t in taken)) for name in actions}


def matmul_rate(device: torch.device, dtype: torch.dtype, n: int = 2048) -> float:
    """Floating-point operations a second of an n x n matrix product, best of ten."""
    x, y = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / min(timed(lambda: torch.mm(x, y))[0] for _ in range(10))


def compare_steps(recipe: CycleGANRecipe, accelerator: Accelerator, repeats: int) -> None:
    """Prints the seconds of our step beside those of the plain one, memory, and the share of the measured matmul rate."""
    size, batch = recipe.trained_size, recipe.batch_size
    a, b = (torch.rand(batch, recipe.channels, size, size, device=accelerator.device) * 2 - 1 for _ in range(2))
    plain = build_trainer(recipe, total_steps=1000, labels=("a", "b"))
    networks = {name: network.to(accelerator.device) for name, network in plain_networks(plain).items()}
    theirs = plain_step(recipe, networks)
    with FlopCounterMode(display=False) as counter:
        theirs(a, b)
    trainer = build_trainer(recipe, total_steps=1000, labels=("a", "b"))
    trainer.prepare(accelerator.prepare)
    for _ in range(3):  # compiles, and fills the pools
        warm, _ = timed(lambda: trainer.step({"a": a, "b": b}, accelerator.backward))
        print(f"warming up: {warm:.1f} s", flush=True)

    ours = partial(trainer.step, {"a": a, "b": b}, accelerator.backward)
    times = alternate({"plain": partial(theirs, a, b), "ours": ours}, repeats)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision, torch.float32)
    rate = matmul_rate(accelerator.device, dtype)
    work = counter.get_total_flops()
    for name, (wall, cpu) in times.items():
        print(f"{name:6} best of {repeats}: {wall:.3f} s wall, {cpu:.3f} s CPU, {batch / wall:.2f} pairs/s")
    wall, cpu = (mine / plain for mine, plain in zip(times["ours"], times["plain"], strict=True))
    best = times["ours"][0]
    peak = peak_memory()
    print(f"ours takes {wall:.3f} of the plain step's wall time ({1 / wall:.2f}x), {cpu:.3f} of its CPU time ({1 / cpu:.2f}x)")
    memory = "unknown" if peak is None else f"{peak:.2f} GiB"
    print(f"peak memory of the process {memory}; {work / 1e9:.1f} GFLOP a plain step; ours runs at "
          f"{work / best / rate:.1%} of the measured {dtype} matmul rate ({rate / 1e9:.0f} GFLOP/s)")  # fmt: skip


def with_discriminator(recipe: CycleGANRecipe, kind: Kind) -> CycleGANRecipe:
    """The recipe with that kind of discriminator, and the loss that suits it."""
    return replace(recipe, discriminator=kind, adversarial=recipe.adversarial if kind == "patch" else "hinge")


def compare_discriminators(recipe: CycleGANRecipe, accelerator: Accelerator, repeats: int) -> None:
    """Prints the seconds of a step with a plain patch discriminator, with projected ones, and with both."""
    shape = (recipe.batch_size, recipe.channels, recipe.trained_size, recipe.trained_size)
    batch = {side: torch.rand(shape, device=accelerator.device) * 2 - 1 for side in "ab"}
    steps: dict[str, Callable[[], object]] = {}
    for kind in KINDS:
        trainer = build_trainer(with_discriminator(recipe, kind), total_steps=1000, labels=("a", "b"))
        trainer.prepare(accelerator.prepare)
        steps[kind] = partial(trainer.step, batch, accelerator.backward)
        for _ in range(3):
            steps[kind]()
    times = alternate(steps, repeats)
    for name, (wall, cpu) in times.items():
        print(f"{name:9} best of {repeats}: {wall:.3f} s wall, {cpu:.3f} s CPU ({cpu / times['patch'][1]:.2f} of patch)")


# --------------------------------------------------------------------------------------------------------------- to quality
Measure = Callable[[CycleGenerator | None], list[float]]


def to_quality(recipe: CycleGANRecipe, accelerator: Accelerator, arguments: argparse.Namespace) -> None:
    """Trains `recipe` with each kind of discriminator; prints a line for each measurement and a summary.

    Minutes are of training alone. The schedule is that of `--cap` pairs, so that the learning rate falls as in such a run.
    Raises RecipeError or DataError before anything is trained.
    """
    _check(recipe, arguments)
    extractor = imagenet(device=accelerator.device)
    if set(arguments.kinds) - {"patch"}:
        EfficientNetLite("lite0")  # raises now, not after the first run, if its weights are not installed
    sources = find_data(recipe, arguments.data, None, None)
    readings, selection = reading_of(recipe, len(sources), SEED)
    held = arguments.held_out
    batches = open_batches(sources, readings, selection, Batching(recipe.batch_size, balance=recipe.balance))
    assert isinstance(batches, UnpairedBatches)  # since _check refuses streaming
    larger = [replace(reading, image_size=SIZE, load_size=None, fit="crop") for reading in readings]
    seen = load_domains(sources, larger, replace(selection, max_held_out=held))
    inputs = tuple(x[:held] for x in batches.held_out)
    fewest = min(len(x) for x in (*inputs, *(side.held_out for side in seen)))
    if fewest < 2:
        raise DataError(f"{arguments.data}: a domain has {fewest} held-out images, and a distance needs at least 2")
    real = [extractor(resize(side.held_out[:held], SIZE, 3)) for side in seen]

    def measure(model: CycleGenerator | None) -> list[float]:
        """100 x MMD^2 of translations A to B, B to A, and their mean; None: of the inputs themselves."""
        ways = CycleGenerator.directions
        outputs = inputs if model is None else [translate(model, x, way) for x, way in zip(inputs, ways, strict=True)]
        both = [100 * mmd(extractor(resize(x, SIZE, 3)), of) for x, of in zip(outputs, real[::-1], strict=True)]
        return [*both, sum(both) / 2]

    print(f"measured on {len(inputs[0])} and {len(inputs[1])} held-out images by {extractor.label} at {SIZE} px")
    print(f"{'untranslated':20} A to B, B to A, mean: " + " ".join(f"{x:.1f}" for x in measure(None)), flush=True)
    summary = [_one(kind, recipe, accelerator, batches, measure, arguments) for kind in arguments.kinds]
    print(f"to 100 x MMD^2 <= {arguments.to_quality:g}:")
    print("\n".join(summary))


def _check(recipe: CycleGANRecipe, given: argparse.Namespace) -> None:
    """Raises RecipeError that names the option."""
    for wrong, message in (
        (given.data is None, "--to-quality needs images: give --data FOLDER"),
        (not given.to_quality > 0, f"--to-quality {given.to_quality:g}: give a distance of more than 0"),
        (given.held_out < 2, f"--held-out {given.held_out}: give at least 2"),
        (not 1 <= given.every <= given.cap, f"--every {given.every}: give 1 up to --cap ({given.cap})"),
        (recipe.streaming, "--to-quality reads its images at once: leave streaming=true out"),
        (recipe.batch_size > given.every, f"batch_size={recipe.batch_size}: give at most --every ({given.every})"),
    ):
        if wrong:
            raise RecipeError(message)


def _one(
    kind: Kind, recipe: CycleGANRecipe, accelerator: Accelerator, batches: UnpairedBatches, measure: Measure,
    arguments: argparse.Namespace,
) -> str:  # fmt: skip
    """Trains with one kind of discriminator and returns its line of the summary."""
    r = with_discriminator(recipe, kind)
    set_seed(SEED)
    steps = -(-arguments.cap // r.batch_size)
    trainer = build_trainer(r, total_steps=steps, labels=labels_of(r))
    trainer.prepare(accelerator.prepare)
    set_seed(SEED + 1)
    augment = BatchAugment(image_size=r.trained_size, load_size=r.load_size or r.image_size, flip=r.flip)
    wall = cpu = 0.0
    best, done, due = float("inf"), 0, arguments.every
    stream = (batch for epoch in range(steps) for batch in batches.epoch(epoch))

    def train() -> None:
        nonlocal done
        while done * r.batch_size < due and done < steps:
            batch = augment({key: x.to(accelerator.device) for key, x in next(stream).items()})
            trainer.step(batch, accelerator.backward)
            done += 1

    while done < steps:
        seconds = timed(train)
        wall, cpu, due = wall + seconds[0], cpu + seconds[1], due + arguments.every
        model = trainer.published(None)
        assert isinstance(model, CycleGenerator)
        with torch.inference_mode():
            distances = measure(model)
        pairs = done * r.batch_size
        took = f"{pairs:,} pairs, {wall / 60:.1f} min ({cpu / 60:.1f} min CPU)"
        print(f"{kind:9} {took}: " + " ".join(f"{x:.1f}" for x in distances), flush=True)
        best = min(best, distances[2])
        if distances[2] <= arguments.to_quality:
            return f"{kind:9} {took}"
    return f"{kind:9} not within {took}; best {best:.1f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    add = parser.add_argument
    add("recipe")
    add("--set", metavar="FIELD=VALUE", action="append", default=[])
    add("--repeats", type=int, default=8)
    add("--discriminators", action="store_true", help="a step with each kind of discriminator, and no plain step")
    add("--to-quality", type=float, metavar="MMD", help="train with each kind of discriminator until 100 x MMD^2 is at most this")
    add("--data", metavar="FOLDER_OR_ID", help="of --to-quality: as of train.py")
    add("--cap", type=int, default=1500, metavar="PAIRS", help="of --to-quality: end each training there (1500)")
    add("--every", type=int, default=250, metavar="PAIRS", help="of --to-quality: pairs between two measurements (250)")
    add("--held-out", type=int, default=200, metavar="N", help="of --to-quality: held-out images of each domain (200)")
    add("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of --to-quality: discriminators (all three)")


def run(args: argparse.Namespace) -> int:
    """Runs the benchmark that the options select. Raises RecipeError or DataError for a mistake."""
    recipe = override(find(args.recipe), changes_in(args.set))
    if not isinstance(recipe, CycleGANRecipe):
        raise RecipeError(f"{recipe.name} is a {type(recipe).__name__}: the plain step to compare with is a CycleGAN's")
    accelerator = make_accelerator()
    set_seed(SEED)
    print(f"{recipe.name}, {recipe.trained_size} px, batch {recipe.batch_size}, {accelerator.device.type}, "
          f"{torch.get_num_threads()} threads, precision {accelerator.mixed_precision}, "
          f"compiled: {accelerator.state.dynamo_plugin.backend.value}")  # fmt: skip
    if args.to_quality is not None:
        to_quality(recipe, accelerator, args)
    elif args.discriminators:
        compare_discriminators(recipe, accelerator, args.repeats)
    else:
        compare_steps(recipe, accelerator, args.repeats)
    return 0


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
