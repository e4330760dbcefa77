"""Times one training step of a recipe against a plain one, or with each kind of discriminator, alternately in one process.

accelerate launch --quiet --mixed_precision bf16 --dynamo_backend inductor train/benchmark.py smile-lsgan-128 --set batch_size=4
accelerate launch --quiet --mixed_precision bf16 train/benchmark.py anime-compact-128 --set batch_size=1 --discriminators
accelerate launch --quiet --mixed_precision bf16 train/benchmark.py anime-compact --set batch_size=1 --data FOLDER --to-quality 20

The plain step is what a first implementation does: fp32, eager, torch's own instance norm, one pass for each image batch
and loss. Ours runs as `accelerate launch` says. Shared machines drift by a factor of two within minutes: only the ratio of
alternating runs means anything, and CPU seconds say more than wall seconds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import set_seed
from to_quality import add_arguments, to_quality
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cyclegan_hub.errors import UserError, exit_code
from cyclegan_hub.machine import peak_memory
from cyclegan_hub.models.generators import InstanceNorm2d
from cyclegan_hub.recipes.methods import CycleGANRecipe, RecipeError, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.launch import make_accelerator
from cyclegan_hub.training.losses import ImagePool, adversarial, persuading
from cyclegan_hub.training.trainer import Trainer, build_trainer


def plain_networks(trainer: Trainer) -> dict[str, nn.Module]:
    """The recipe's networks with `nn.InstanceNorm2d` for our norm."""

    def replace(module: nn.Module) -> None:
        for name, child in module.named_children():
            if isinstance(child, InstanceNorm2d):
                setattr(module, name, nn.InstanceNorm2d(len(child.weight), affine=True))
            else:
                replace(child)

    for network in trainer.networks.values():
        replace(network)
    return trainer.networks


def plain_step(recipe: CycleGANRecipe, networks: dict[str, nn.Module]) -> Callable[[Tensor, Tensor], None]:
    """The textbook step: six generator passes, six discriminator passes, an Adam for the generators and one for each judge."""
    g, f, d_a, d_b = networks.values()
    adam = [torch.optim.Adam(p, recipe.lr, betas=(0.5, 0.999)) for p in
            ([*g.parameters(), *f.parameters()], d_a.parameters(), d_b.parameters())]  # fmt: skip
    pools = ImagePool(recipe.pool_size), ImagePool(recipe.pool_size)

    def step(a: Tensor, b: Tensor) -> None:
        for p in (*d_a.parameters(), *d_b.parameters()):
            p.requires_grad_(False)
        adam[0].zero_grad()
        fake_b, fake_a = g(a), f(b)
        loss = persuading(recipe.adversarial, d_b(fake_b)) + persuading(recipe.adversarial, d_a(fake_a))
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
            as_fake = adversarial(recipe.adversarial, d(pool.query(fake)), False)
            if recipe.source_negatives:
                as_fake = torch.lerp(as_fake, adversarial(recipe.adversarial, d(source), False), recipe.source_negatives)
            (0.5 * (adversarial(recipe.adversarial, d(real), True) + as_fake)).backward()
            optimizer.step()

    return step


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process) of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


def matmul_rate(device: torch.device, dtype: torch.dtype, n: int = 2048) -> float:
    """Floating-point operations a second of an n x n matrix product, best of ten."""
    x, y = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return 2 * n**3 / min(timed(lambda: torch.mm(x, y))[0] for _ in range(10))


def compare_discriminators(recipe: CycleGANRecipe, accelerator: Accelerator, repeats: int) -> None:
    """Prints what a step takes with a plain patch discriminator, with projected ones, and with both."""
    shape = (recipe.batch_size, recipe.channels, recipe.trained_size, recipe.trained_size)
    batch = {side: torch.rand(shape, device=accelerator.device) * 2 - 1 for side in "ab"}
    trainers: dict[str, Trainer] = {}
    times: dict[str, list[tuple[float, float]]] = {}
    kinds: tuple[Literal["patch", "projected", "both"], ...] = ("patch", "projected", "both")
    for kind in kinds:
        adversarial_loss = recipe.adversarial if kind == "patch" else "hinge"
        changed = replace(recipe, discriminator=kind, adversarial=adversarial_loss)
        trainer = trainers[kind] = build_trainer(changed, total_steps=1000, labels=("a", "b"))
        trainer.prepare(accelerator.prepare)
        times[kind] = []
        for _ in range(3):
            trainer.step(batch, accelerator.backward)
    for _ in range(repeats):
        for name, trainer in trainers.items():
            times[name].append(timed(partial(trainer.step, batch, accelerator.backward)))
    for name, taken in times.items():
        wall, cpu = (min(t[i] for t in taken) for i in (0, 1))
        share = cpu / min(t[1] for t in times["patch"])
        print(f"{name:9} best of {repeats}: {wall:.3f} s wall, {cpu:.3f} s CPU ({share:.2f} of patch)")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--set", metavar="FIELD=VALUE", action="append", default=[])
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--discriminators", action="store_true", help="a step with each kind of discriminator, and no plain step")
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        recipe = override(find(args.recipe), dict(item.split("=", 1) if "=" in item else (item, "") for item in args.set))
        if not isinstance(recipe, CycleGANRecipe):
            raise RecipeError(f"{recipe.name} is a {type(recipe).__name__}: the plain step to compare with is a CycleGAN's")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    accelerator = make_accelerator()
    size, batch = recipe.trained_size, recipe.batch_size
    set_seed(0)
    about = (f"{recipe.name}, {size} px, batch {batch}, {accelerator.device.type}, {torch.get_num_threads()} threads, "
             f"precision {accelerator.mixed_precision}, compiled: {accelerator.state.dynamo_plugin.backend.value}")  # fmt: skip
    if args.to_quality is not None:
        print(about)
        return exit_code(lambda: to_quality(recipe, accelerator, args))
    if args.discriminators:
        print(about)
        compare_discriminators(recipe, accelerator, args.repeats)
        return 0
    a, b = (torch.rand(batch, recipe.channels, size, size, device=accelerator.device) * 2 - 1 for _ in range(2))

    plain = build_trainer(recipe, total_steps=1000, labels=("a", "b"))
    networks = {name: network.to(accelerator.device) for name, network in plain_networks(plain).items()}
    theirs = plain_step(recipe, networks)
    with FlopCounterMode(display=False) as counter:
        theirs(a, b)
    trainer = build_trainer(recipe, total_steps=1000, labels=("a", "b"))
    trainer.prepare(accelerator.prepare)
    for _ in range(3):  # compiles, fills the pools' first places
        warm, _ = timed(lambda: trainer.step({"a": a, "b": b}, accelerator.backward))
        print(f"warming up: {warm:.1f} s", flush=True)

    ours_times, plain_times = [], []
    for _ in range(args.repeats):
        plain_times.append(timed(lambda: theirs(a, b)))
        ours_times.append(timed(lambda: trainer.step({"a": a, "b": b}, accelerator.backward)))
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(accelerator.mixed_precision, torch.float32)
    rate = matmul_rate(accelerator.device, dtype)
    work = counter.get_total_flops()
    print(about)
    for name, times in (("plain", plain_times), ("ours", ours_times)):
        wall, cpu = min(t[0] for t in times), min(t[1] for t in times)
        print(f"{name:6} best of {len(times)}: {wall:.3f} s wall, {cpu:.3f} s CPU, {batch / wall:.2f} pairs/s")
    wall, cpu = (min(t[i] for t in ours_times) / min(t[i] for t in plain_times) for i in (0, 1))
    best = min(t[0] for t in ours_times)
    peak = peak_memory()
    print(f"ours takes {wall:.3f} of the plain step's wall time ({1 / wall:.2f}x), {cpu:.3f} of its CPU time ({1 / cpu:.2f}x)")
    memory = "unknown" if peak is None else f"{peak:.2f} GiB"
    print(f"peak memory of the process {memory}; {work / 1e9:.1f} GFLOP a plain step; ours runs at "
          f"{work / best / rate:.1%} of the measured {dtype} matmul rate ({rate / 1e9:.0f} GFLOP/s)")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
