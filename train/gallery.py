"""The picture (README) and the table (docs/benchmarks.md) of the bundled generators, from their files alone.

python train/gallery.py                                        # pretrained/ -> pretrained/gallery.png, docs/benchmarks.md
python train/gallery.py --models runs/published --page none --out gallery.png

A row of the picture for each domain: a free photograph, and its translation at each bundled epoch (A -> B).
"""

from __future__ import annotations

import os

from cyclegan_hub.errors import UserError, exit_code, files_explained

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: as in train.py

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

from cyclegan_hub.checkpoints import Epoch, list_epochs, load
from cyclegan_hub.domains import DOMAINS, place
from cyclegan_hub.evaluation import rows as tables
from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub import records
from cyclegan_hub.hub.records import RunRecord, read_run_record
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.models.auto import KINDS
from cyclegan_hub.models.protocols import Sampler
from cyclegan_hub.publishing.card import free_photos
from cyclegan_hub.training.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- begin: python train/gallery.py -->", "<!-- end: python train/gallery.py -->"
_CELL = 160  # px


class GalleryError(UserError):
    """A picture or table that cannot be made; the message names what is missing."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(
        description="Draw the picture of the bundled generators, and write their table into the docs."
    )
    add = parser.add_argument
    add("--models", type=Path, default=ROOT / "pretrained", metavar="DIR", help="a model folder in it for each domain")
    add("--out", type=Path, metavar="PNG", help="the picture (default: gallery.png beside the models)")
    add("--page", default=str(ROOT / "docs" / "benchmarks.md"), metavar="FILE|none", help="whose table is replaced "
        "(default: docs/benchmarks.md); none: print it")  # fmt: skip
    return parser.parse_args(argv)


def model_folders(models: Path) -> list[Path]:
    """The folders of domains, in the order of `domains.py`, others after them by name. Raises GalleryError without any."""
    found = [path.parent for path in models.glob("*/recipe.json") if (path.parent / "epochs").is_dir()]
    if not found:
        raise GalleryError(f"{models}: no model folder there (DOMAIN/recipe.json and DOMAIN/epochs/)")
    return sorted(found, key=lambda path: place(path.name))


def picture_row(folder: Path, epochs: list[Epoch]) -> list[Image.Image]:
    """A free picture, then its translation at each epoch; of a model that draws, the same latents at each epoch."""
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


def picture(folders: list[Path]) -> Image.Image:
    """One row for each domain; above every translation stands its epoch."""
    rows = []
    for folder in folders:
        epochs = list_epochs(folder)
        labels, pictures = _record(folder)["labels"], picture_row(folder, epochs)
        heads = [f"epoch {e.number}{' (best)' if e.best else ''}" for e in epochs]
        heads = ["input"] * (len(pictures) - len(heads)) + heads
        rows.append(grids.grid([pictures], row_labels=[" to\n".join(labels)], column_labels=heads, cell=_CELL))
    width = max(row.width for row in rows)
    canvas = Image.new("RGB", (width, sum(row.height for row in rows)), "white")
    y = 0
    for row in rows:
        canvas.paste(row, (width - row.width, y))  # labels differ in width: the pictures stand below each other
        y += row.height
    return canvas


def table(folders: list[Path]) -> str:
    """Markdown: what each model is and what was measured of its best epoch, direction by direction.

    Figures of different extractors do not stand in one column: a table for each, in the order of the folders.
    """
    lines: dict[str, list[str]] = {}  # by the distance of its fourth column
    for folder in folders:
        record = _record(folder)
        metrics = records.read_metrics(folder / "metrics.json")
        if metrics is None:
            raise GalleryError(f"{folder}: no metrics.json: run train/evaluate.py on it first")
        recipe, best = record["recipe"], metrics["best"]
        pairs = _pairs(folder, record)
        for direction, arrow in tables.measured(metrics, tuple(record["labels"])).items():
            values = metrics["epochs"][best].get(direction, {})
            baselines = [metrics.get("baselines", {}).get(name, {}).get(direction, {}) for name in ("untranslated", "floor")]
            success = values.get("success")
            cells = [
                f"`{folder.name}`", arrow, f"`{recipe['name']}`, {pairs}", best,
                "-" if success is None else f"{success:.1%}",
            ]  # fmt: skip
            distance = next((name for start in ("mmd", "fid") for name in values if name.partition("[")[0] == start), "fid")
            for some in (values, *baselines):
                cells.append("-" if some.get(distance) is None else f"{some[distance]:.1f}")
            lines.setdefault(distance, []).append(f"| {' | '.join(cells)} |")
    tables_of = []
    for distance, rows in lines.items():
        head = ["domain", "direction", "trained", "best epoch", "success", distance, "untranslated", "real against real"]
        tables_of.append("\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows]))
    return "\n\n".join(tables_of)


def _record(folder: Path) -> RunRecord:
    record = read_run_record(folder / "recipe.json", needs=("recipe", "labels"))
    if record is None:
        raise GalleryError(f"{folder}: no recipe.json: publish the run again")
    return record


def _pairs(folder: Path, record: RunRecord) -> str:
    """How many pairs, or images, the training saw, from its history; and whether its weights had seen others before."""
    recipe = record["recipe"]
    steps = max((line["step"] for line in RunFolder(folder).history()), default=None)
    config = json.loads(next((folder / "epochs").glob("*/config.json")).read_text("utf-8"))
    unit = KINDS[config["model"]].batch_unit
    seen = f"{unit} not recorded" if steps is None else f"{steps * recipe['batch_size']:,} {unit}"
    return f"{seen} after `--init`" if record.get("init") else seen


def write_table(page: Path, text: str) -> None:
    """Replaces what stands between the two marks. Raises GalleryError where they are missing."""
    old = page.read_text("utf-8")
    if old.count(BEGIN) != 1 or old.count(END) != 1 or old.index(BEGIN) > old.index(END):
        raise GalleryError(f"{page}: the lines {BEGIN!r} and {END!r} must stand there once each, in this order")
    before, rest = old.split(BEGIN)
    write_atomic(page, f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}".encode())


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains."""
    args = parse(argv)

    def run() -> int:
        folders = model_folders(args.models)
        out = args.out or args.models / "gallery.png"
        rows = table(folders)
        with files_explained():
            write_atomic(out, images.png_bytes(picture(folders)))
        print(out)
        if args.page == "none":
            print(rows)
            return 0
        with files_explained():
            write_table(Path(args.page), rows)
        return 0

    return exit_code(run)


if __name__ == "__main__":
    sys.exit(main())
