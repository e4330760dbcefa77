"""`report.html` and `table.md` of an experiment: its tables, what they were measured on, the pictures and the curves."""

from __future__ import annotations

import base64
import datetime
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.evaluation.generate import translate
from cyclegan_hub.experiments.plan import SMALL_SIZE, SMALL_WIDTH, Planned, Size, nearest_epochs
from cyclegan_hub.experiments.table import Table, figures_of, hours_of, metrics_of, order, rows_of
from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub.records import epoch_number
from cyclegan_hub.imaging import grids, images, plots
from cyclegan_hub.machine import processor
from cyclegan_hub.models.protocols import Sampler, Translator
from cyclegan_hub.publishing.card import square_for
from cyclegan_hub.templates import render_html, render_markdown
from cyclegan_hub.training.run_folder import RunFolder

CELL, LARGEST_CELL = 128, 256  # px of a picture at least and at most
COLUMNS = 4  # epochs that are shown of a run
CAPTIONS = {
    "epochs.png": "The first seed of each run: the picture, the input if it is made of it, outputs from the first epoch to "
    "the last, and the way back",
    "figures.png": "The first measure of each run's first seed after so many steps",
    "losses.png": "One plot for each network, a curve for each run",
}


def write_report(table: Table, planned: Sequence[Planned], out: Path, *, scale: float, size: Size) -> list[Path]:
    """Writes the report, the table and the pictures into `out`; returns their paths."""
    drawn = {"epochs.png": epochs_picture(table, planned), "figures.png": _figures(table, planned, out)}
    drawn["losses.png"] = _losses(table, planned, out)
    several = len(table.experiment.data) > 1
    pictures = {name: png for name, png in drawn.items() if png is not None}
    for name, png in pictures.items():
        write_atomic(out / name, png)
    values = {
        "title": table.experiment.name,
        "question": table.experiment.question,
        "source": table.experiment.source,
        "facts": [*_facts(table, planned, scale, size).items()],
        "tables": [
            (f"{data}: {arrow}" if several else arrow, rows_of(table, data, direction), order(table, data, direction))
            for (data, direction), arrow in table.arrows.items()
        ],
        "left_out": table.experiment.left_out,
    }
    shown = [(CAPTIONS[name], f"data:image/png;base64,{base64.b64encode(png).decode()}") for name, png in pictures.items()]
    written = {
        "report.html": render_html("experiment.html", pictures=shown, **values),
        "table.md": "".join(f"{line.rstrip()}\n" for line in render_markdown("experiment.md", **values).splitlines()),
    }
    for name, text in written.items():
        write_atomic(out / name, text.encode())
    return [out / name for name in (*written, *pictures)]


def epochs_picture(table: Table, planned: Sequence[Planned]) -> bytes | None:
    """A row for each run: the free photograph, its translation at some epochs and back again; or pictures drawn from noise."""
    rows, labels = list[list[Image.Image]](), list[str]()
    cell = min(LARGEST_CELL, max(CELL, *(one.plan.recipe.image_size for one in planned)))
    for one in planned:
        if one.seed:
            continue
        photograph = one.run.photograph or table.experiment.photograph
        row = pictures_of(one.plan.out, epochs_shown(one), photograph, table.experiment.direction, cell)
        if row:
            rows.append(row)
            labels.append(one.run.name)
    if not rows:
        return None
    return images.png_bytes(grids.grid(rows, row_labels=labels, cell=cell))


def epochs_shown(planned: Planned) -> list[str]:
    """The epochs of the table where it has several of them; else a few from the first to the last that was kept."""
    names = [epoch.name for epoch in list_epochs(planned.plan.out)]
    if len(planned.shown) > 1:
        return nearest_epochs(planned, names)
    step = max(1, -(-len(names) // COLUMNS))
    return [*names[:-1:step][: COLUMNS - 1], names[-1]]


def pictures_of(folder: Path, epochs: Sequence[str], photograph: str, direction: str, cell: int) -> list[Image.Image]:
    """One row: the free photograph, the input if that is made of it, outputs of `epochs`, the way back if there is one.

    Of a model that draws: four images of each epoch, in a square of `cell` px. [] where a photograph is wanted and there is none.
    """
    row = list[Image.Image]()
    for epoch in epochs:
        model: Any = load(folder, epoch)  # of any class: what it can do is asked below
        if isinstance(model, Sampler):
            drawn = model.sample(4, seed=0)
            row.append(grids.grid([drawn[:2], drawn[2:]], cell=cell // 2))
        elif isinstance(model, Translator) and photograph:
            towards = direction if direction in model.directions else model.directions[0]
            if not row:
                photo = (files("cyclegan_hub") / "free_images" / photograph).read_bytes()
                square = square_for(model, images.decode(photo, model.channels, name=photograph), towards)
                # A model of one direction may make its input of the picture, which is shown between the two.
                row += [square] if len(model.directions) > 1 else model.examples([square]).rows[0][:-1]
            row.append(translated(model, row[0], towards))
            if epoch == epochs[-1] and len(model.directions) == 2:
                row.append(translated(model, row[-1], "b_to_a" if towards == "a_to_b" else "a_to_b"))
    return row


def translated(model: Translator, square: Image.Image, direction: str) -> Image.Image:
    """The translation of a square; of a face that is aligned already, as it is."""
    if model.eyes[direction] is None:
        result: Image.Image = model.translate(square, direction)
        return result
    y = translate(model, images.to_uint8_tensor(square)[None], direction)
    return images.to_pil(images.from_uint8(y[0]))


def _losses(table: Table, planned: Sequence[Planned], out: Path) -> bytes | None:
    """One plot for each of the experiment's losses, with a curve for each run of the first seed."""
    if not table.experiment.curves:
        return None
    path, first = out / "losses.png", [one for one in planned if not one.seed]
    lines = [
        {"step": line["step"], f"{one.run.name}: {key}": line[key]}
        for one in first
        for line in RunFolder(one.plan.out).history()
        for key in table.experiment.curves
        if key in line
    ]
    plots.losses(lines, path, panels={key: [f"{one.run.name}: {key}" for one in first] for key in table.experiment.curves})
    return path.read_bytes()


def _figures(table: Table, planned: Sequence[Planned], out: Path) -> bytes | None:
    """The first measure over the steps: a plot for each set of images and direction, a curve for each run of the first seed."""
    panels, lines, most = dict[str, list[str]](), list[dict[str, Any]](), 0
    for (data, direction), arrow in table.arrows.items():
        names = figures_of(table, data, direction)[:1]
        runs = [one for one in planned if not one.seed and (one.run.data or table.experiment.data[0]) == data]
        for name in names:
            keys = panels.setdefault(f"{arrow}: {name}", [])
            for one in runs:
                keys.append(f"{one.run.name} ({direction})")  # a curve's name is in the lines of all panels
                points = [(epoch_number(epoch), found) for epoch, found in metrics_of(one)["epochs"].items()]
                known = [(n * one.steps_per_epoch, found[direction].get(name)) for n, found in points if n and direction in found]
                lines += [{"step": step, keys[-1]: value} for step, value in known]
                most = max(most, len(known))
    if most < 2:
        return None
    plots.losses(lines, out / "figures.png", panels=panels)
    return (out / "figures.png").read_bytes()


def _facts(table: Table, planned: Sequence[Planned], scale: float, size: Size) -> dict[str, str]:
    """What the tables were measured on and what was shortened: their head."""
    rows = "the smallest row" if table.experiment.by_size else "every row"
    more = ", the others in proportion" if table.experiment.by_size else ""
    each = f"{rows} at {SMALL_SIZE} px{more}, width {SMALL_WIDTH}" if size == "small" else "as in the recipes"
    hours = sum(hours_of(RunFolder(one.plan.out).history(), one.plan.recipe.batch_size) for one in planned)
    return {
        "scale": f"{scale:g} of each schedule",
        "size": f"{size} ({each})",
        "seeds": str(table.experiment.seeds),
        "extractor": table.extractor,
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": ", ".join(dict.fromkeys(text for one in planned for text in one.plan.identity["data"].values())),
        "measured on": "; ".join(dict.fromkeys(_counts(table, one) for one in planned)),
        "hours of training": f"{hours:.2f}",
    }


def _counts(table: Table, one: Planned) -> str:
    """How many images a run was measured on, e.g. "anime: 200 and 200 held out, 400 and 400 training images"."""
    protocol = metrics_of(one)["protocol"]
    held_out, training = ([protocol[f"{n}{s}"] for s in "ab" if f"{n}{s}" in protocol] for n in ("n_", "n_training_"))
    name = one.run.data or table.experiment.data[0]
    return f"{name}: {' and '.join(map(str, held_out))} held out, {' and '.join(map(str, training))} training images"


def machine() -> str:
    """Processor, cores that this process may use, and the GPU if there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = f"{processor()}, {cores} core{'' if cores == 1 else 's'}"
    return f"{words}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else words
