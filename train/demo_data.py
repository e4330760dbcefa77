"""Generates two small unpaired image sets, to try training without a dataset.

python train/demo_data.py FOLDER [--images 200] [--size 64]

Domain A: discs on a plain ground; domain B: squares on a striped one. Each image has its own colours, place and size.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

SPLITS = {"trainA": 1.0, "trainB": 0.75, "testA": 0.1, "testB": 0.1}  # as a share of --images; the domains differ in size


def image(side: str, size: int, rng: random.Random) -> Image.Image:
    """One RGB image of domain "A" or "B", `size` pixels square."""

    def colour(low: int, high: int) -> tuple[int, int, int]:
        return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)

    result = Image.new("RGB", (size, size), colour(150, 255))
    pen = ImageDraw.Draw(result)
    if side == "B":
        stripe, step = colour(100, 200), max(2, size // 8)
        for x in range(rng.randint(-step, 0), size, 2 * step):
            pen.rectangle((x, 0, x + step - 1, size), fill=stripe)
    half = rng.randint(size // 6, size // 3)
    x, y = (rng.randint(half, size - half) for _ in range(2))
    (pen.ellipse if side == "A" else pen.rectangle)((x - half, y - half, x + half, y + half), fill=colour(0, 120))
    return result


def make(folder: Path, images: int = 200, size: int = 64, seed: int = 0) -> None:
    """Writes trainA, trainB, testA and testB under `folder`; existing files of the same names are replaced."""
    rng = random.Random(seed)
    for split, share in SPLITS.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for i in range(max(2, round(images * share))):
            image(split[-1], size, rng).save(folder / split / f"{i:04d}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    make(args.folder, args.images, args.size)
    print(f"{args.folder}: {', '.join(SPLITS)}")
