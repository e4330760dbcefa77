"""Trains a recipe on images: two unpaired piles, one pile or pairs. The same command again goes on where the last one stopped.

accelerate launch train/train.py smile
accelerate launch train/train.py smile-compact --data FOLDER --labels "not smiling,smiling" --out runs/mine
accelerate launch --mixed_precision bf16 --dynamo_backend inductor train/train.py monet-compact
accelerate launch train/train.py faces-dcgan-64 --data-a FOLDER
"""

from __future__ import annotations

import os

# Before torch is imported. Threads that spin for as long as they wait made a step ten times slower on a busy machine; ones
# that never do, 9 % slower on an idle one (smile-compact, batch 16, two cores). This is some tens of microseconds.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation import domain_encoder
from cyclegan_hub.publishing import push
from cyclegan_hub.recipes.fields import RecipeError, override
from cyclegan_hub.recipes.labels import labels_of
from cyclegan_hub.recipes.methods import Recipe
from cyclegan_hub.recipes.presets import RECIPES, find

HELD_OUT = 64  # images of each side for the light evaluation


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(
        description="Train a CycleGAN on two unpaired piles of images, a DCGAN on one, or pix2pix on pairs. The same command "
        "again resumes.",
        epilog=f"recipes: {', '.join(RECIPES)}. Precision, devices and processes: accelerate launch's own options.",
    )
    add = parser.add_argument
    add("recipe", nargs="?", default="smile", help="name of a recipe (default: smile)")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/RECIPE)")
    add("--data", metavar="FOLDER_OR_ID", help="folder or Hub dataset with trainA, trainB and, if it has them, testA, testB")
    add(
        "--data-a",
        metavar="SPEC",
        help="side A, or the one pile: a folder, .parquet, .tfrec, .zip, .npz, or hf:ID?config=..&split=..&column=..&filter=..",
    )
    add("--data-b", metavar="SPEC", help="side B, likewise; of pairs given as two columns, the outputs")
    add("--labels", metavar="A,B", help="what the sides show, e.g. 'day,night'; of a DCGAN one name (default: the domain's)")
    add("--set", metavar="FIELD=VALUE", action="append", default=[], help="change a field of the recipe; may be repeated")
    add("--seed", type=int, default=0)
    add("--init", metavar="SOURCE", help="start from the weights of a published model or a folder")
    add("--max-steps", type=int, metavar="N", help="stop after N steps in all, counted from the run's first; the schedule stays")
    add("--log-with", metavar="NAME", help="an experiment tracker that accelerate knows, e.g. tensorboard, wandb")
    add("--push", metavar="USER/NAME", help="publish the kept epochs at the end, as train/publish.py does")
    add("--dry-run", action="store_true", help="print the resolved recipe, sizes and disk needed, and stop")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Plan:
    """What a command line asks for, checked as far as that is possible without reading an image."""

    recipe: Recipe
    labels: tuple[str, ...]
    sources: tuple[Any, ...]
    out: Path
    identity: dict[str, Any]  # what must stay the same for a folder to be resumed


def make_plan(args: argparse.Namespace) -> Plan:
    """Raises RecipeError, DataError or RunError, before anything slow is imported or anything is written."""
    from cyclegan_hub.training.run_folder import RunFolder

    recipe = find(args.recipe)
    changes = dict(item.split("=", 1) if "=" in item else (item, "") for item in args.set)
    recipe = override(recipe, changes)
    if args.max_steps is not None and args.max_steps < 1:
        raise RecipeError(f"--max-steps {args.max_steps}: must be at least 1")
    if not 0 <= args.seed < 2**31:
        raise RecipeError(f"--seed {args.seed}: must be from 0 up to 2147483647")
    labels = labels_of(recipe)
    if args.labels is not None:
        count, labels = len(labels), tuple(part.strip() for part in args.labels.split(","))
        if len(set(labels)) != count or not all(labels):
            wanted = "two different names, e.g. --labels 'day,night'" if count == 2 else "one name, e.g. --labels 'face'"
            raise RecipeError(f"--labels {args.labels!r}: give {wanted}")
    sources = find_data(recipe, args.data, args.data_a, args.data_b)
    identity = {
        "recipe": asdict(recipe),
        "labels": list(labels),
        "data": {side: source.describe() for side, source in zip("ab", sources, strict=False)},
        "seed": args.seed,
        "init": args.init,
    }
    out = args.out or Path("runs") / recipe.name
    RunFolder(out).check(identity)
    return Plan(recipe, labels, sources, out, identity)


def find_data(recipe: Recipe, data: str | None, data_a: str | None, data_b: str | None) -> tuple[Any, ...]:
    """What the method reads: two sides, one pile, or pairs. Raises DataError."""
    from cyclegan_hub.data.resolve import resolve, resolve_pairs, resolve_pile

    domain = DOMAINS.get(recipe.domain)
    match recipe.layout:
        case "pairs":
            return resolve_pairs(data, data_a, data_b)
        case "pile":
            return resolve_pile(domain, recipe.side, data, data_a, data_b)
        case "sides":
            return resolve(domain, data, data_a, data_b)


def in_words(side: str, counts: dict[str, int]) -> str:
    """How many images of a side are trained on, and what became of the others."""
    others = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n and name not in ("found", "kept"))
    if not counts["found"]:
        return f"side {side.upper()}: streamed; {others}"
    return f"side {side.upper()}: {counts['kept']:,} of {counts['found']:,} images to train on; {others}"


def describe(plan: Plan, trainer: Any, batches: Any, processes: int) -> str:
    """What --dry-run prints."""
    r = plan.recipe
    sizes = {name: sum(p.numel() for p in network.parameters() if p.requires_grad) for name, network in trainer.networks.items()}
    published = len(trainer.published(None).files()["model.safetensors"])
    # A state: weights, two Adam moments and the EMA, and each process's two image pools; twice, while one replaces the other.
    state = sum(4 * 3 * n for n in sizes.values()) + (published if getattr(r, "ema", 0) else 0)
    state += processes * 2 * getattr(r, "pool_size", 0) * 4 * r.channels * r.image_size**2
    epochs = min(r.keep_epochs, -(-r.epochs // r.snapshot_every))
    disk = 2 * state + (epochs + 2) * published  # last/, and an epoch more before one is dropped
    lines = [json.dumps(plan.identity["recipe"], indent=2), f"labels: {' -> '.join(plan.labels)}", f"out: {plan.out}"]
    lines += [f"{in_words(side, batches.counts[side])} ({plan.identity['data'][side]})" for side in batches.counts]
    lines += [f"trainable weights of {name}: {n}" for name, n in sizes.items()]
    lines += [
        f"steps per epoch: {batches.steps_per_epoch}; steps in all: {batches.steps_per_epoch * r.epochs}",
        f"disk needed: about {disk / 2**20:.0f} MiB ({epochs} epochs of {published / 2**20:.1f} MiB, and the state)",
    ]
    return "\n".join(lines)


def make_judge(plan: Plan) -> Any:
    """The light evaluation of `evaluate_every`: by the domain encoder, and its classifier where it knows the run's two sides."""
    from cyclegan_hub.evaluation.quick import light

    domain, extractor = plan.recipe.domain, domain_encoder.domain_encoder()
    known = domain in DOMAINS and plan.labels == DOMAINS[domain].labels and len(plan.labels) == 2
    classifier = domain_encoder.side_classifier(domain) if known else None
    return lambda model, held_out: light(model, [x[:HELD_OUT] for x in held_out], extractor, classifier)


def run(args: argparse.Namespace) -> int:
    """Builds everything and trains. Returns the exit code."""
    plan = make_plan(args)
    from cyclegan_hub.data.batches import open_batches
    from cyclegan_hub.training.build import build_trainer
    from cyclegan_hub.training.devices import make_accelerator
    from cyclegan_hub.training.loop import Loop
    from cyclegan_hub.training.run_folder import RunFolder

    accelerator = make_accelerator(args.log_with, plan.out)
    r = plan.recipe
    with accelerator.main_process_first():  # one process fills the datasets cache, the others read it
        batches = open_batches(
            *plan.sources, image_size=r.image_size, load_size=r.load_size, channels=r.channels, seed=args.seed,
            max_images=r.max_images, streaming=r.streaming, **r.reading(),
            batch_size=r.batch_size, rank=accelerator.process_index, world_size=accelerator.num_processes,
            steps_per_epoch=r.steps_per_epoch, workers=r.workers,
        )  # fmt: skip
    for line in (*batches.notes, *(in_words(side, counts) for side, counts in batches.counts.items())):
        accelerator.print(line)
    from accelerate.utils import set_seed

    set_seed(args.seed)
    trainer = build_trainer(r, total_steps=batches.steps_per_epoch * r.epochs, labels=plan.labels)
    if args.init and RunFolder(plan.out).latest_step() is None:  # a resumed run has its weights, wherever the source went
        trainer.start_from(args.init)
    if args.dry_run:
        accelerator.print(describe(plan, trainer, batches, accelerator.num_processes))
        return 0
    if args.push and accelerator.is_main_process:
        from cyclegan_hub.publishing import build as publish

        push.check(args.push)  # before a night of training, not after it
    judge = make_judge(plan) if r.evaluate_every else None
    code = Loop(accelerator, plan, trainer, batches, judge).run(args.max_steps)
    if args.push and code == 0 and accelerator.is_main_process:
        for name, commit in push.push(publish.build(plan.out, plan.out / "published", args.push), args.push).items():
            print(f"{args.push}@{name}: {commit}")
    return code


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains, 128 + n stopped by signal n with everything saved."""
    args = parse(argv)
    try:
        return run(args)
    except KeyboardInterrupt:  # while images are read; the loop itself saves and stops
        print("interrupted before the first step: nothing was written", file=sys.stderr)
        return 130
    except UserError as error:
        rank = os.environ.get("RANK", "0")
        print(f"error{'' if rank == '0' else f' (process {rank})'}: {error}", file=sys.stderr)
        return 2


def leave(code: int) -> NoReturn:
    """Ends this process. One of several ends at once: everything is on disk by now, and the threads of a process group can
    outlive it and abort the interpreter's own tidying (one run of two processes in CI ended with SIGABRT)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
