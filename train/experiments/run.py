"""Repeats a comparison of the sources: trains and evaluates each row of an experiment, and prints the tables.

python train/experiments/run.py cartoon-epochs --data my/cartoon --scale 0.1 --size small
python train/experiments/run.py smile-models --data my/smile --jobs 2 --out runs/smile-models
python train/experiments/run.py monet-steps --data my/monet --dry-run        # the training commands, with their steps

A row is one `train` and one `evaluate` command; the same command again continues with what is missing.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import argparse
import math
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from registry import EXPERIMENTS, Experiment, Run

from cyclegan_hub.checkpoints import list_epochs
from cyclegan_hub.command_line import make_parser, run_command
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.evaluation import command as evaluation
from cyclegan_hub.evaluation.inputs import open_source
from cyclegan_hub.evaluation.record import Rows, read_metrics
from cyclegan_hub.evaluation.report import as_markdown, compare
from cyclegan_hub.files import write_atomic
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.command import parse as parse_training
from cyclegan_hub.training.plan import Plan, changes_in, find_data, make_plan
from cyclegan_hub.training.run_folder import RunFolder

INTERRUPTED = "stopped: the same command resumes"
SMALL_SIZE, SMALL_WIDTH = 64, 24  # px; channels of the first layer, of discriminators too
MIN_IMAGES = 16  # of a domain: with fewer there is nothing to hold out and evaluate
HELD_OUT_SHARE = 0.1  # of a domain without test images (data/load.py)


class ExperimentError(UserError):
    """An experiment that cannot be run as requested; the message names the value and the remedy."""


@dataclass(frozen=True)
class Training:
    """One row of an experiment with one seed, ready to be trained and evaluated."""

    run: Run
    plan: Plan  # resolved
    arguments: tuple[str, ...]  # of the training command
    steps: int
    data: str | None  # from `--data`; None: the domain's own datasets

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.plan.out

    def trained(self) -> bool:
        """Whether the last step is done."""
        return (RunFolder(self.folder).latest_step() or 0) >= self.steps

    def nearest_epochs(self, wanted: Sequence[int]) -> list[int]:
        """The kept epochs that are nearest to the wanted ones; all of them if none is wanted."""
        kept = [epoch.number for epoch in list_epochs(self.folder) if epoch.number]
        return sorted({min(kept, key=lambda number: abs(number - n)) for n in wanted or kept})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    listed = "\n".join(f"  {e.name:<16} {e.question}" for e in EXPERIMENTS.values())
    parser.description = "Train and evaluate what a source compared, and print the tables. The same command again resumes."
    parser.epilog = f"experiments:\n\n{listed}\n\nPrecision: accelerate's own variable, e.g. ACCELERATE_MIXED_PRECISION=bf16."
    add = parser.add_argument
    add("name", metavar="NAME", choices=EXPERIMENTS, help="which experiment")
    add("--data", metavar="[NAME=]FOLDER_OR_ID", action="append", default=[], help="a dataset, as for train; NAME where an "
        "experiment takes several; without it the domain's own datasets from the Hub")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="where runs and table.md go (default: runs/experiments/NAME)")
    add("--scale", type=float, default=1.0, metavar="S", help="train this share of each epoch's steps, e.g. 0.1")
    add("--size", choices=("full", "small"), default="full", help="small: every row at 64 px and width 24")
    add("--jobs", type=int, default=1, metavar="N", help="trainings at a time, each on its own cores (default: 1)")
    add("--extractor", default="encoder", metavar="TEXT", help="as for evaluate (default: encoder)")
    add("--max-train-images", "--training", dest="max_train_images", type=int, default=3000, metavar="N",
        help="as for evaluate (default: 3000)")  # fmt: skip
    add("--dry-run", action="store_true", help="print the training commands with their steps, and stop")


def run(args: argparse.Namespace) -> int:
    """Plans, trains, evaluates, prints the tables. Returns the exit code."""
    experiment = EXPERIMENTS[args.name]
    if args.max_train_images < 1:
        raise ExperimentError(f"--max-train-images {args.max_train_images}: must be at least 1")
    out, cores = args.out or Path("runs/experiments") / experiment.name, core_groups(args.jobs)
    data = named_data(experiment, args.data)
    trainings = plan_trainings(experiment, data, out / "runs", args.scale, small=args.size == "small")
    for one in trainings:
        state = counted(one.steps, "step") + (", done" if one.trained() else "")
        print(f"{one.folder.name}: {state}: cyclegan-hub train {shlex.join(one.arguments)}", flush=True)
    if args.dry_run:
        return 0
    train_all([one for one in trainings if not one.trained()], cores)
    measured_by = re.sub(r"[^A-Za-z0-9]+", "-", args.extractor)
    results = out / f"{measured_by}-{args.max_train_images}"  # so that no table mixes extractors
    evaluate_all(experiment, trainings, args, results)
    text = "\n\n".join(f"{title}\n\n{as_markdown(rows)}" for title, rows in tables(experiment, trainings, results).items())
    write_atomic(results / "table.md", f"{text}\n".encode())
    print(f"\n{text}\n\n{results / 'table.md'}")
    return 0


def named_data(experiment: Experiment, given: Sequence[str]) -> dict[str, str]:
    """`--data` by the experiment's own names. Raises ExperimentError where a name is missing or given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or name not in experiment.data:
            if len(experiment.data) > 1:
                raise ExperimentError(f"--data {text}: say which it is, e.g. --data {experiment.data[0]}={text}")
            name, rest = experiment.data[0], text
        if name in found:
            raise ExperimentError(f"--data {text}: {name} is given twice")
        found[name] = rest
    return found


# ---------------------------------------------------------------------------------------------------------------- the plan
def plan_trainings(
    experiment: Experiment, data: Mapping[str, str], out: Path, scale: float = 1.0, *, small: bool = False
) -> list[Training]:
    """Every training of the experiment, seed by seed. Nothing is trained or written.

    Rows that `small` makes equal to an earlier one are left out. Raises ExperimentError for a scale out of range and too few
    images, and what the training command raises: RecipeError, DataError, and RunError where a folder holds another run.
    """
    if not 0 < scale <= 1:
        raise ExperimentError(f"--scale {scale:g}: give more than 0 and at most 1, the share of each epoch to train")
    planned, seen = list[Training](), dict[Recipe, str]()
    smallest = min(_resolved(row, row.set).image_size for row in experiment.runs)
    for seed in range(experiment.seeds):
        for row in experiment.runs:
            ratio = _resolved(row, row.set).image_size // smallest if experiment.by_size else 1
            settings = (*row.set, *(small_settings(row, ratio) if small else ()), *row.kept)
            key = replace(_resolved(row, settings), name=row.data or experiment.data[0])
            if seen.setdefault(key, row.name) == row.name:
                planned.append(_planned(experiment, row, settings, seed, data, out, scale))
    return planned


def small_settings(row: Run, ratio: int = 1) -> tuple[str, ...]:
    """The settings of `--size small`: 64 px times `ratio` and width 24. A U-Net halves the image down to one pixel."""
    recipe, pixels = _resolved(row, row.set), SMALL_SIZE * ratio
    widths = [SMALL_WIDTH * 2**i for i in range(max(4, len(recipe.disc_channels)))]
    settings = {"image_size": str(pixels), "disc_channels": _listed(widths[: len(recipe.disc_channels)])}
    if recipe.load_size is not None:
        settings["load_size"] = str(round(pixels * recipe.load_size / recipe.image_size))
    match recipe:
        case DCGANRecipe():
            doublings = int(math.log2(pixels // 4))  # it starts from 4 px: four doublings lead to 64
            settings |= {"gen_channels": _listed(widths[:doublings][::-1]), "disc_channels": _listed(widths[:doublings])}
        case CycleGANRecipe() | Pix2PixRecipe():
            settings["width"] = str(SMALL_WIDTH)
            if recipe.generator == "unet":
                settings["blocks"] = str(int(math.log2(pixels)))
    return tuple(f"{name}={value}" for name, value in settings.items())


def _planned(
    experiment: Experiment, row: Run, settings: Sequence[str], seed: int, data: Mapping[str, str], out: Path, scale: float
) -> Training:
    wanted = row.data or experiment.data[0]
    given, recipe = data.get(wanted), _resolved(row, settings)
    if given is None and recipe.domain != wanted:
        raise ExperimentError(f"{row.name} trains on {wanted}: give --data {wanted}=FOLDER")
    counts = []
    for side, source in zip("AB", find_data(recipe, given, None, None), strict=False):
        found = len(open_items(source.train) or ())  # none is decoded, so copies and damaged files count too
        kept = found if source.held_out else found - math.ceil(HELD_OUT_SHARE * found)
        counts.append(min(kept, recipe.max_images or kept))
        if counts[-1] < (least := max(MIN_IMAGES, recipe.batch_size)):
            few = f"{wanted}: domain {side} has {counted(counts[-1])} to train on, and {row.name} needs at least {least}"
            raise ExperimentError(f"{few}: give a larger folder with --data {wanted}=FOLDER")
    images = min(counts) if getattr(recipe, "equal_sides", False) else max(counts)
    steps = recipe.steps_per_epoch or math.ceil(images / recipe.batch_size)
    if scale < 1:
        steps = max(1, round(scale * steps))
        settings = (*settings, f"steps_per_epoch={steps}")
    arguments = [row.recipe, *(part for setting in settings for part in ("--set", setting))]
    arguments += ["--seed", str(seed), "--out", str(out / f"{row.name}-seed-{seed}")]
    arguments += ["--data", given] if given is not None else []
    arguments += ["--labels", ",".join(row.labels)] if row.labels else []
    plan = make_plan(parse_training(arguments))
    return Training(row, plan, tuple(arguments), steps * recipe.epochs, given)


def _resolved(row: Run, settings: Sequence[str]) -> Recipe:
    return override(find(row.recipe), changes_in(settings))


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


# ------------------------------------------------------------------------------------------------------------ the commands
def core_groups(jobs: int) -> list[list[int]]:
    """The cores that this process may use, in `jobs` groups. Raises ExperimentError for more jobs than cores."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if not 1 <= jobs <= len(cores):
        raise ExperimentError(f"--jobs {jobs}: there are {len(cores)} cores here, and each job needs at least one of its own")
    return [cores[i::jobs] for i in range(jobs)]


def train_all(trainings: Sequence[Training], cores: Sequence[list[int]]) -> None:
    """Runs the trainings, one for each group of cores at a time; the output of each goes to a log beside its run folder.

    Raises ExperimentError with the last line of the first one that fails; the others are asked to save and stop.
    """
    waiting, free = list(trainings), list(cores)
    running = dict[subprocess.Popen[bytes], tuple[Path, list[int]]]()
    try:
        while waiting or running:
            while waiting and free:
                one, group = waiting.pop(0), free.pop()
                log = one.folder.with_name(f"{one.folder.name}.log")
                log.parent.mkdir(parents=True, exist_ok=True)
                print(f"{one.folder.name}: training, see {log}", flush=True)
                command = [sys.executable, "-m", "cyclegan_hub.training", *one.arguments]
                variables = os.environ | {"OMP_NUM_THREADS": str(len(group))}
                with log.open("ab") as file:
                    process = subprocess.Popen(command, stdout=file, stderr=file, env=variables)
                running[process] = (log, group)
                if hasattr(os, "sched_setaffinity"):
                    os.sched_setaffinity(process.pid, group)
            time.sleep(0.2)
            for process in [process for process in running if process.poll() is not None]:
                log, group = running.pop(process)
                free.append(group)
                if process.returncode:
                    raise ExperimentError(f"{log.stem}: {_failure(log)}. The same command resumes; the whole output is in {log}")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _failure(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").replace("\r", "\n").strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["no output"])[-1]


# ------------------------------------------------------------------------------------------------------------- the results
ON_TRAINING = "-on-training-images"


def evaluate_all(experiment: Experiment, trainings: Sequence[Training], args: argparse.Namespace, results: Path) -> None:
    """Evaluates what is not evaluated yet: on held-out images and, for some rows, on training images."""
    for one in trainings:
        epochs = ",".join(map(str, one.nearest_epochs(experiment.shown)))
        words = [str(one.folder), "--epochs", epochs, "--extractor", args.extractor]
        words += ["--max-train-images", str(args.max_train_images)]
        words += [] if one.data is None else ["--data", one.data]
        for ending in ("", ON_TRAINING)[: 1 + one.run.on_training]:
            out = results / f"{one.folder.name}{ending}"
            if not (out / "metrics.json").is_file():
                evaluation.run(
                    make_parser("cyclegan_hub.evaluation.command").parse_args(
                        [*words, "--out", str(out), *(["--on-training"] if ending else [])]
                    )
                )


def tables(experiment: Experiment, trainings: Sequence[Training], results: Path) -> dict[str, Rows]:
    """Title -> table, as `evaluate` makes them: for each dataset the runs side by side, then the epochs of each run."""
    found: dict[str, Rows] = {}
    for name in experiment.data:
        group = [one for one in trainings if (one.run.data or experiment.data[0]) == name]
        folders = [results / f"{one.folder.name}{ending}" for one in group for ending in ("", ON_TRAINING)]
        metrics = {folder.name: m for folder in folders if (m := read_metrics(folder / "metrics.json"))}
        labels = max((one.plan.labels for one in group), key=len)
        found |= {f"{name}: {arrow}": rows for arrow, rows in compare(metrics, labels).items()}
        sources = [open_source(str(one.folder), "all", None, one.folder.name) for one in group]
        found[f"{name}: trainings"] = [*evaluation.differences(sources), ["alarms", *map(_alarms, group)]]
        for run_name, m in metrics.items():
            if len(m.epochs) > 1:
                found |= {
                    f"{run_name}: {arrow}": m.table(direction).rows("epoch", best=m.best)
                    for direction, arrow in m.arrows(labels).items()
                }
    return found


def _alarms(one: Training) -> str:
    """The first words of the alarms of a run."""
    lines = RunFolder(one.folder).history()
    return ", ".join(dict.fromkeys(line["message"].split(":")[0] for line in lines if line.get("event") == "alarm"))


def stop(number: int, frame: object) -> NoReturn:
    """SIGTERM is handled as Ctrl-C: the trainings are asked to save and stop, and waited for."""
    print(INTERRUPTED, file=sys.stderr)
    sys.exit(128 + number)


main = partial(run_command, __name__)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main())
