"""How far the demo's training has come: held-out images before and after translation, as numbers and as a picture.

python train/demo_result.py RUN_DIR DATA_DIR

The number is the distance between two mean colours (each channel from 0 to 255): that of the images, before or after they are
translated, and that of real images of the other domain.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from PIL import Image, ImageStat

from cyclegan_hub import CycleGenerator
from cyclegan_hub.command_line import run_command
from cyclegan_hub.files import write_atomic
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.models.protocols import arrow

SHOWN = 6  # images of each direction in the picture


def mean_colour(pictures: Sequence[Image.Image]) -> list[float]:
    """The mean (red, green, blue) of RGB images."""
    return [fmean(channel) for channel in zip(*(ImageStat.Stat(picture).mean for picture in pictures), strict=True)]


def compare(run: Path, data: Path) -> dict[str, tuple[float, float]]:
    """The distance of each direction before and after translation; prints it and writes `before-after.png` into the run."""
    model = CycleGenerator.from_pretrained(run)
    held_out = {side: [images.decode(path) for path in sorted((data / f"test{side}").iterdir())] for side in "AB"}
    found, rows = {}, []
    for direction, source, target in (("a_to_b", "A", "B"), ("b_to_a", "B", "A")):
        translated = model.translate(held_out[source], direction)
        real = mean_colour(held_out[target])
        before, after = (math.dist(mean_colour(some), real) for some in (held_out[source], translated))
        print(f"{arrow(direction, model.labels)}: {before:.0f} from the real ones' colour before, {after:.0f} after")
        found[direction] = before, after
        rows += [held_out[source][:SHOWN], translated[:SHOWN]]
    labels = [text for label in reversed(model.labels) for text in ("input", f"to {label}")]
    write_atomic(run / "before-after.png", images.png_bytes(grids.grid(rows, row_labels=labels, cell=128)))
    print(run / "before-after.png")
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    parser.add_argument("run", type=Path, metavar="RUN_DIR")
    parser.add_argument("data", type=Path, metavar="DATA_DIR")


def run(args: argparse.Namespace) -> int:
    return 0 if compare(args.run, args.data) else 1


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
