"""What an experiment comes to on this command line: every training with its resolved recipe, its folder and its steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataSource
from cyclegan_hub.experiments.registry import Experiment, ExperimentError, Run
from cyclegan_hub.hub.records import epoch_number
from cyclegan_hub.recipes.methods import RESUMABLE_FIELDS, CycleGANRecipe, DCGANRecipe, Pix2PixRecipe, Recipe, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.command import parse
from cyclegan_hub.training.plan import Plan, find_data, make_plan

Size = Literal["full", "small"]
SMALL_SIZE, SMALL_WIDTH = 64, 24  # px; channels of the first layer, of discriminators too
LEAST = 16  # images of a side: with fewer there is nothing to hold out and measure
HELD_OUT_SHARE = 0.1  # of a side without a split of its own for it (data/load.py)


@dataclass(frozen=True)
class Planned:
    """One training, ready to be started."""

    run: Run
    seed: int
    plan: Plan  # its recipe is resolved; its folder is `plan.out`
    arguments: tuple[str, ...]  # of the training command
    steps_per_epoch: int
    full_epoch: int  # steps of an epoch that is not shortened
    data: str | None  # what `--data` gave for it; None: the domain's own
    shown: tuple[int, ...]  # the epochs that are measured, of those there will be; (): all that were kept

    @property
    def name(self) -> str:
        """Of the row and seed, for the progress line."""
        return self.plan.out.name

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.plan.recipe.epochs

    @property
    def pairs(self) -> int:
        """Pairs of images, or images of one pile, in all steps."""
        return self.steps * self.plan.recipe.batch_size


def plan_runs(
    experiment: Experiment, data: Mapping[str, str], out: Path, *, scale: float = 1.0, size: Size = "full"
) -> list[Planned]:
    """Every training of the experiment, seed by seed. Nothing is trained or written.

    Rows that `size` makes equal to an earlier one are left out. Raises ExperimentError for a scale out of range, images that no
    row wants and too few of them, and what the training command raises: RecipeError, DataError, and RunError where a folder
    holds a run of another recipe.
    """
    if not 0 < scale <= 1:
        raise ExperimentError(f"--scale {scale:g}: give more than 0 and at most 1, the share of each schedule to train")
    if unknown := sorted(set(data) - set(experiment.data)):
        raise ExperimentError(f"--data {unknown[0]}=…: {experiment.name} takes {' and '.join(experiment.data)}")
    planned, seen = list[Planned](), dict[Recipe, str]()
    smallest = min(_resolved(run, run.set).image_size for run in experiment.runs)
    for seed in range(experiment.seeds):
        for run in experiment.runs:
            ratio = _resolved(run, run.set).image_size // smallest if experiment.by_size else 1
            settings = (*run.set, *(small_settings(run, ratio) if size == "small" else ()), *run.kept)
            key = replace(_resolved(run, settings), name=f"{run.data or experiment.data[0]}")
            if seen.setdefault(key, run.name) == run.name:
                planned.append(_planned(experiment, run, settings, seed, data, out, scale))
    return planned


def small_settings(run: Run, ratio: int = 1) -> tuple[str, ...]:
    """What `--size small` sets: 64 px times `ratio` and width 24, of the discriminators too; a U-Net halves down to one pixel."""
    recipe, pixels = _resolved(run, run.set), SMALL_SIZE * ratio
    widths = [SMALL_WIDTH * 2**i for i in range(max(4, len(recipe.disc_channels)))]
    settings = {"image_size": str(pixels), "disc_channels": _listed(widths[: len(recipe.disc_channels)])}
    if recipe.load_size is not None:
        settings["load_size"] = str(round(pixels * recipe.load_size / recipe.image_size))
    match recipe:
        case DCGANRecipe():
            doublings = int(math.log2(pixels // 4))  # it starts from 4 px: four of them lead to 64
            settings |= {"gen_channels": _listed(widths[:doublings][::-1]), "disc_channels": _listed(widths[:doublings])}
        case CycleGANRecipe() | Pix2PixRecipe():
            settings["width"] = str(SMALL_WIDTH)
            if recipe.generator == "unet":
                settings["blocks"] = str(int(math.log2(pixels)))
    return tuple(f"{name}={value}" for name, value in settings.items())


def count_images(sources: Sequence[DataSource], recipe: Recipe) -> list[int]:
    """How many images of each side a training would have at most; none is decoded, so copies and broken files count too."""
    counts = []
    for source in sources:
        items = open_items(source.train)
        found = 0 if items is None else len(items)
        kept = found if source.held_out else found - math.ceil(HELD_OUT_SHARE * found)
        counts.append(min(kept, recipe.max_images or kept))
    return counts


def nearest_epochs(planned: Planned, names: Sequence[str]) -> list[str]:
    """Of the epochs that there are, by name, those nearest to the ones that are to be shown. Each once, in their order."""
    if not planned.shown:
        return list(names)
    return list(dict.fromkeys(min(names, key=lambda name: abs((epoch_number(name) or 0) - wanted)) for wanted in planned.shown))


def shown_fields(experiment: Experiment, planned: Sequence[Planned]) -> list[str]:
    """The recipe fields that the table shows: the experiment's own choice, else what its runs set. Only what differs."""
    named = [setting.split("=", 1)[0] for one in planned for setting in (*one.run.set, *one.run.kept)]
    unsaid = RESUMABLE_FIELDS | {"load_size"}
    wanted = [name for name in dict.fromkeys(experiment.columns or named) if name not in unsaid]
    return [name for name in wanted if len({getattr(one.plan.recipe, name, None) for one in planned}) > 1]


def _planned(
    experiment: Experiment, run: Run, settings: Sequence[str], seed: int, data: Mapping[str, str], out: Path, scale: float
) -> Planned:
    wanted = run.data or experiment.data[0]
    given = data.get(wanted)
    recipe = _resolved(run, settings)
    if given is None and recipe.domain != wanted:
        raise ExperimentError(f"{run.name} trains on {wanted}: give --data {wanted}=FOLDER")
    counts = count_images(find_data(recipe, given, None, None), recipe)
    for side, count in zip("AB", counts, strict=False):
        if count < max(LEAST, recipe.batch_size):
            raise ExperimentError(
                f"{wanted}: side {side} has {count} images to train on, and {run.name} needs at least "
                f"{max(LEAST, recipe.batch_size)}: give a larger folder with --data {wanted}=FOLDER"
            )
    larger = min(counts) if getattr(recipe, "equal_sides", False) else max(counts)
    full = recipe.steps_per_epoch or math.ceil(larger / recipe.batch_size)
    per_epoch = full if scale == 1 else max(1, round(scale * full))
    settings = (*settings, *(() if scale == 1 else (f"steps_per_epoch={per_epoch}",)))
    arguments = [run.recipe, *(part for setting in settings for part in ("--set", setting))]
    arguments += ["--seed", str(seed), "--out", str(out / "runs" / f"{run.name}-seed-{seed}")]
    arguments += ["--data", given] if given is not None else []
    arguments += ["--labels", ",".join(run.labels)] if run.labels else []
    shown = tuple(dict.fromkeys(min(number, recipe.epochs) for number in experiment.shown))
    return Planned(run, seed, make_plan(parse(arguments)), tuple(arguments), per_epoch, full, given, shown)


def _resolved(run: Run, settings: Sequence[str]) -> Recipe:
    return override(find(run.recipe), dict(setting.split("=", 1) for setting in settings))


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
