"""Renders the image grid (README) and the tables (docs/results.md) of the bundled models from their files.

python train/gallery.py                                        # pretrained/ -> pretrained/gallery.png, docs/results.md
python train/gallery.py --models runs/published --page none --out gallery.png

A row of the grid for each domain: a free photograph, and its translation at each bundled epoch (A -> B).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: as in train.py

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from PIL import Image

from cyclegan_hub.checkpoints import Epoch, list_epochs, load
from cyclegan_hub.command_line import run_command
from cyclegan_hub.domains import DOMAINS, place
from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.record import read_metrics
from cyclegan_hub.evaluation.registry import base_name
from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub.records import RunRecord, read_run_record
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.models.auto import KINDS
from cyclegan_hub.models.protocols import Sampler, drawable_label
from cyclegan_hub.publishing.card import free_photos
from cyclegan_hub.training.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- begin: python train/gallery.py -->", "<!-- end: python train/gallery.py -->"
_CELL = 160  # px
TRANSLATION_METRICS = ("mmd", "success", "content_share", "diversity_share", "precision", "recall", "truth_psnr", "truth_ssim")
SAMPLE_METRICS = ("fid", "precision", "recall", "alpha_precision", "beta_recall", "authenticity")


class GalleryError(UserError):
    """A grid or table that cannot be made; the message names what is missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    add = parser.add_argument
    add("--models", type=Path, default=ROOT / "pretrained", metavar="DIR", help="a model folder in it for each domain")
    add("--out", type=Path, metavar="PNG", help="the grid (default: gallery.png beside the models)")
    add("--page", default=str(ROOT / "docs" / "results.md"), metavar="FILE|none", help="whose tables are replaced "
        "(default: docs/results.md); none: print them")  # fmt: skip


def model_folders(models: Path) -> list[Path]:
    """The folders of domains, in the order of `domains.py`, others after them by name. Raises GalleryError without any."""
    found = [path.parent for path in models.glob("*/recipe.json") if (path.parent / "epochs").is_dir()]
    if not found:
        raise GalleryError(f"{models}: no model folder there (DOMAIN/recipe.json and DOMAIN/epochs/)")
    return sorted(found, key=lambda path: place(path.name))


def image_row(folder: Path, epochs: list[Epoch]) -> list[Image.Image]:
    """A free photograph, then its translation at each epoch; of a DCGAN, samples of the same latents at each epoch."""
    domain = DOMAINS.get(folder.name)
    row: list[Image.Image] = []
    for epoch in epochs:
        model = load(folder, epoch.name)
        if isinstance(model, Sampler):
            four = model.sample(4, seed=0)
            row.append(grids.grid([four[:2], four[2:]], cell=_CELL // 2))
            continue
        if not row:
            row.append(free_photos(model, domain is None or domain.a.eyes is not None)[0])
        row.append(model.examples(row[:1]).rows[0][1])
    return row


def image_grid(folders: list[Path]) -> Image.Image:
    """One row for each model, with the epoch above every translation."""
    rows = []
    for folder in folders:
        epochs = list_epochs(folder)
        cells = image_row(folder, epochs)
        heads = [f"epoch {e.number}{' (best)' if e.best else ''}" for e in epochs]
        heads = ["input"] * (len(cells) - len(heads)) + heads
        labels = " to\n".join(map(drawable_label, _record(folder)["labels"], "AB"))
        rows.append(grids.grid([cells], row_labels=[labels], column_labels=heads, cell=_CELL))
    width = max(row.width for row in rows)
    canvas = Image.new("RGB", (width, sum(row.height for row in rows)), "white")
    y = 0
    for row in rows:
        canvas.paste(row, (width - row.width, y))  # labels differ in width: images are aligned at the right
        y += row.height
    return canvas


def table(folders: list[Path]) -> str:
    """Markdown: a section for each model."""
    return "\n\n".join(map(section, folders))


def section(folder: Path) -> str:
    """Heading, recipe and table of one model: for each direction the best epoch between its two baselines."""
    record = _record(folder)
    metrics = read_metrics(folder / "metrics.json")
    if metrics is None:
        raise GalleryError(f"{folder}: no metrics.json: run train/evaluate.py on it first")
    best, directions = metrics.best, metrics.arrows(record["labels"])
    wanted = SAMPLE_METRICS if "samples" in directions else TRANSLATION_METRICS
    measured = metrics.epochs[best][next(iter(directions))]
    keys = [key for name in wanted for key in measured if base_name(key) == name]
    rows = [["", *(f"`{key}`" for key in keys)]]
    for direction, arrow in directions.items():
        values = metrics.table(direction, [best]).lines
        named = {f"{arrow}: untranslated": "untranslated", f"**{arrow}**": best, "real images": "floor"}
        rows += [[text, *(_cell(key, values[name]) for key in keys)] for text, name in named.items() if values.get(name)]
    head, *lines = (f"| {' | '.join(row)} |" for row in rows)
    trained = f"`{record['recipe']['name']}`, {_pairs(folder, record)}, {best}."
    return "\n".join([f"### {folder.name}", "", trained, "", head, f"|{'---|' * len(rows[0])}", *lines])


def _cell(key: str, values: Mapping[str, float | None]) -> str:
    """A metric as text, with its 95 % interval where there is one; shares of images in percent."""
    value = values.get(key)
    if value is None:
        return "-"
    if key == "success":
        return f"{value:.1%}"
    name, bracket, extractor = key.partition("[")
    ends = [values.get(f"{name}_{end}{bracket}{extractor}") for end in ("low", "high")]
    interval = f" ({ends[0]:.1f} to {ends[1]:.1f})" if name == "mmd" and None not in ends else ""
    return f"{value:.{1 if name in ('mmd', 'fid') else 2}f}{interval}"


def _record(folder: Path) -> RunRecord:
    record = read_run_record(folder / "recipe.json", needs=("recipe", "labels"))
    if record is None:
        raise GalleryError(f"{folder}: no recipe.json: publish the run again")
    return record


def _pairs(folder: Path, record: RunRecord) -> str:
    """How many pairs, or images, the training saw, from its history; and whether it started from other weights."""
    recipe = record["recipe"]
    steps = max((line["step"] for line in RunFolder(folder).history()), default=None)
    config = json.loads(next((folder / "epochs").glob("*/config.json")).read_text("utf-8"))
    unit = KINDS[config["model"]].batch_unit
    seen = f"{unit} not recorded" if steps is None else f"{steps * recipe['batch_size']:,} {unit}"
    return f"{seen} after `--init`" if record.get("init") else seen


def write_table(page: Path, text: str) -> None:
    """Replaces the text between the two markers. Raises GalleryError where they are missing."""
    old = page.read_text("utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise GalleryError(f"{page}: the lines {BEGIN!r} and {END!r} must stand there once each, in this order")
    before, rest = old.split(BEGIN)
    write_atomic(page, f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}".encode())


def run(args: argparse.Namespace) -> int:
    """Writes the grid and the tables; returns 0."""
    folders = model_folders(args.models)
    out, rows = args.out or args.models / "gallery.png", table(folders)
    write_atomic(out, images.png_bytes(image_grid(folders)))
    print(out)
    if args.page == "none":
        print(rows)
    else:
        write_table(Path(args.page), rows)
    return 0


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
