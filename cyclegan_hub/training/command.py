"""The command that trains: `accelerate launch -m cyclegan_hub.training`, `cyclegan-hub train` and, in a clone, `train/train.py`.

No torch on import, so that wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cyclegan_hub.errors import exit_code, limit_threads
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.extension import for_trainer, with_rates
from cyclegan_hub.training.plan import counts_text, dry_run_text, make_judge, make_plan, note_hardware, note_processes


def parse(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(
        prog=prog,
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
    add("--data-note", metavar="TEXT", help="where local images come from and what they show, for the card, the page and exports")
    add(
        "--data-licence",
        metavar="ID",
        help="licence of the images, which the weights inherit: an id of the Hub such as cc-by-4.0, or other:NAME",
    )
    add("--set", metavar="FIELD=VALUE", action="append", default=[], help="change a field of the recipe; may be repeated")
    add("--seed", type=int, default=0)
    add("--init", metavar="SOURCE", help="start from the weights of a published model or a folder")
    add("--extend", metavar="epochs=N", help="go on with a finished or stopped run for N epochs in all; or epochs=N,decay=SHARE")
    add("--inexact-resume", action="store_true", help="go on with another number of processes than before")
    add("--max-steps", type=int, metavar="N", help="stop after N steps in all, counted from the run's first; the schedule stays")
    add("--log-with", metavar="NAME", help="an experiment tracker that accelerate knows, e.g. tensorboard, wandb")
    add("--push", metavar="USER/NAME", help="publish the kept epochs at the end, as cyclegan-hub publish does")
    add("--dry-run", action="store_true", help="print the resolved recipe, sizes and disk needed, and stop")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> int:
    """Builds everything and trains. Returns the exit code."""
    plan = make_plan(arguments)
    from accelerate.utils import set_seed

    from cyclegan_hub.data.batches import open_batches
    from cyclegan_hub.data.hub_datasets import downloads_of
    from cyclegan_hub.training.launch import hardware, make_accelerator
    from cyclegan_hub.training.loop import Loop
    from cyclegan_hub.training.run_folder import RunFolder
    from cyclegan_hub.training.trainer import build_trainer

    accelerator = make_accelerator(arguments.log_with, plan.out)
    r, steps_per_epoch = plan.recipe, note_processes(plan, accelerator.num_processes, arguments.inexact_resume)
    if arguments.dry_run and (downloads := downloads_of(plan.sources)).missing:
        trainer = build_trainer(r, total_steps=r.epochs, labels=plan.labels)
        accelerator.print(dry_run_text(plan, trainer, None, accelerator.num_processes, downloads.lines()))
        return 0
    landmarks = RunFolder(plan.out).landmarks()
    with accelerator.main_process_first():  # one process fills the datasets cache, the others read it
        batches = open_batches(
            *plan.sources, image_size=r.image_size, load_size=r.load_size, channels=r.channels, seed=arguments.seed,
            max_images=r.max_images, streaming=r.streaming, **r.load_options(),
            batch_size=r.batch_size, rank=accelerator.process_index, world_size=accelerator.num_processes,
            steps_per_epoch=r.steps_per_epoch or steps_per_epoch, workers=r.workers, landmarks=landmarks,
        )  # fmt: skip
    for line in (*batches.notes, *(counts_text(side, counts) for side, counts in batches.counts.items())):
        accelerator.print(line)
    if new_rate := with_rates(r, plan.extensions, batches.steps_per_epoch):
        accelerator.print(new_rate)
    set_seed(arguments.seed)
    of_trainer = for_trainer(r, plan.extensions)
    trainer = build_trainer(of_trainer, total_steps=batches.steps_per_epoch * r.epochs, labels=plan.labels)
    if arguments.init and RunFolder(plan.out).latest_step() is None:  # a resumed run has its weights, wherever the source went
        trainer.start_from(arguments.init)
    if arguments.dry_run:
        accelerator.print(dry_run_text(plan, trainer, batches, accelerator.num_processes))
        return 0
    if arguments.push and accelerator.is_main_process:
        from cyclegan_hub.publishing.push import check

        check(arguments.push)  # before a night of training, not after it
    note_hardware(plan, hardware(accelerator))
    judge = make_judge(plan) if r.evaluate_every else None
    code = Loop(accelerator, plan, trainer, batches, judge).run(arguments.max_steps)
    if arguments.push and code == 0 and accelerator.is_main_process:
        from cyclegan_hub.publishing.build import built
        from cyclegan_hub.publishing.push import push

        with built(plan.out, arguments.push) as folder:
            for name, commit in push(folder, arguments.push).items():
                print(f"{arguments.push}@{name}: {commit}")
    return code


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains, 128 + n stopped by signal n with everything saved."""
    arguments = parse(argv, prog)
    limit_threads()
    try:
        return exit_code(lambda: run(arguments))
    except KeyboardInterrupt:  # while images are read; the loop itself saves and stops
        print("interrupted before the first step: nothing was written", file=sys.stderr)
        return 130


def leave(code: int) -> NoReturn:
    """Ends this process. One of several ends at once: everything is on disk by now, and the threads of a process group can
    outlive it and abort the interpreter's own tidying (one run of two processes in CI ended with SIGABRT)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
