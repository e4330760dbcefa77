"""`cyclegan-hub train`, `accelerate launch -m cyclegan_hub.training` and, in a clone, `train/train.py`: trains a recipe.

No torch on import, so that wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cyclegan_hub.command_line import DATA_FORMS, add_alias, add_provenance_arguments, make_parser
from cyclegan_hub.recipes.presets import RECIPES

INTERRUPTED = "interrupted before the first step: nothing was written"  # while images are read; the loop itself saves and stops


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a CycleGAN on two unpaired image sets, a DCGAN on one, or pix2pix on pairs. The same command again resumes."
    )
    parser.epilog = f"recipes: {', '.join(RECIPES)}. Precision, devices and processes: accelerate launch's own options."
    add = parser.add_argument
    add("recipe", nargs="?", default="smile", help="name of a recipe (default: smile)")
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/RECIPE)")
    add("--data", metavar="FOLDER_OR_ID", help="folder or Hub dataset with trainA, trainB and, if it has them, testA, testB")
    add("--data-a", metavar="SPEC", help=f"domain A, or the one image set: {DATA_FORMS}")
    add("--data-b", metavar="SPEC", help="domain B, likewise; of pairs given as two columns, the outputs")
    add("--labels", metavar="A,B", help="what the domains show, e.g. 'day,night'; of a DCGAN one name (default: the domain's)")
    add_provenance_arguments(parser)
    add("--set", metavar="FIELD=VALUE", action="append", default=[], help="change a field of the recipe; may be repeated")
    add("--seed", type=int, default=0, help="of every random choice (default: 0)")
    add("--init", metavar="SOURCE", help="start from the weights of a published model or a folder")
    more = "resume a finished or stopped run for N epochs in all; or epochs=N,decay=SHARE,cycle=WEIGHT"
    add("--extend", metavar="epochs=N", help=more)
    change = add("--allow-process-change", action="store_true", help="resume with another number of processes than before")
    add_alias(parser, "--inexact-resume", change)
    add("--max-steps", type=int, metavar="N", help="stop after N steps in all, counted from the run's first; the schedule stays")
    add("--log-with", metavar="NAME", help="an experiment tracker that accelerate knows, e.g. tensorboard, wandb")
    add("--push", metavar="USER/NAME", help="publish the kept epochs at the end, as cyclegan-hub publish does")
    add("--dry-run", action="store_true", help="print the resolved recipe, sizes and disk needed, and stop")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments of a training that another program plans. A wrong one exits 2 with the valid ones."""
    return make_parser(__name__).parse_args(argv)


def run(arguments: argparse.Namespace) -> int:
    """Builds everything and trains. Returns the exit code."""
    from cyclegan_hub.machine import plain_defaults

    with plain_defaults():
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from cyclegan_hub.training import plan as plans

    plan = plans.make_plan(arguments)
    from accelerate.utils import set_seed

    from cyclegan_hub.data.batches import open_batches
    from cyclegan_hub.data.hub_datasets import download_lines
    from cyclegan_hub.data.reading import Batching
    from cyclegan_hub.training.launch import hardware, make_accelerator
    from cyclegan_hub.training.loop import Loop
    from cyclegan_hub.training.trainer import build_trainer

    accelerator = make_accelerator(arguments.log_with, plan.out)
    r, steps_per_epoch = plan.recipe, plans.record_processes(plan, accelerator.num_processes, arguments.allow_process_change)
    if arguments.dry_run and (downloads := download_lines(plan.sources)):
        trainer = build_trainer(r, total_steps=r.epochs, labels=plan.labels)
        lines = [] if r.streaming else downloads  # a stream keeps nothing
        accelerator.print(plans.dry_run_text(plan, trainer, None, accelerator.num_processes, lines))
        return 0
    with accelerator.main_process_first():  # one process fills the datasets cache, the others read it
        readings, selection = plans.reading_of(r, len(plan.sources), arguments.seed, plan.folder.landmarks())
        batching = Batching(
            r.batch_size,
            r.steps_per_epoch or steps_per_epoch,
            balance=getattr(r, "balance", False),
            streaming=r.streaming,
            workers=r.workers,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        )
        batches = open_batches(plan.sources, readings, selection, batching)
    for line in (*batches.notes, *(plans.counts_text(side, counts) for side, counts in batches.counts.items())):
        accelerator.print(line)
    if new_rate := plans.record_learning_rates(r, plan.extensions, batches.steps_per_epoch):
        accelerator.print(new_rate)
    set_seed(arguments.seed)
    trained = plans.keep_warmup(r, plan.extensions)
    trainer = build_trainer(trained, total_steps=batches.steps_per_epoch * r.epochs, labels=plan.labels)
    if arguments.init and plan.folder.latest_step() is None:  # a resumed run has its weights, wherever the source went
        trainer.start_from(arguments.init)
    if arguments.dry_run:
        accelerator.print(plans.dry_run_text(plan, trainer, batches, accelerator.num_processes))
        return 0
    if arguments.push and accelerator.is_main_process:
        from cyclegan_hub.publishing.push import check

        check(arguments.push)  # before a night of training, not after it
    plans.record_hardware(plan, hardware(accelerator))
    code = Loop(accelerator, plan, trainer, batches).run(arguments.max_steps)
    if arguments.push and code == 0 and accelerator.is_main_process:
        from cyclegan_hub.publishing.build import built
        from cyclegan_hub.publishing.push import push

        with built(plan.out, arguments.push) as folder:
            for name, commit in push(folder, arguments.push).items():
                print(f"{arguments.push}@{name}: {commit}")
    return code


def leave(code: int) -> NoReturn:
    """Ends this process. One of several ends at once: everything is on disk by now, and the threads of a process group can
    outlive it and abort the interpreter's own tidying (one run of two processes in CI ended with SIGABRT)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
