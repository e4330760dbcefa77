"""Generates two small unpaired image sets, to try training without a dataset.

python train/demo_data.py FOLDER [--images 200] [--size 64]

Domain A: a plain red ball on a light ground; domain B: a ball with blue stripes. Each image has its own tones, place and size.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

SPLITS = {"trainA": 1.0, "trainB": 0.75, "testA": 0.1, "testB": 0.1}  # as a share of --images; the domains differ in size
COLOURS = {"A": (215, 75, 45), "B": (45, 95, 200)}
_FINER = 4  # drawn at this many times the size, for smooth outlines


def image(side: str, size: int, rng: random.Random) -> Image.Image:
    """One RGB image of domain "A" or "B", `size` pixels square."""

    def near(colour: tuple[int, int, int], spread: int) -> tuple[int, ...]:
        return tuple(min(255, max(0, value + rng.randint(-spread, spread))) for value in colour)

    large = _FINER * size
    result, ball = Image.new("RGB", (large, large), near((235, 235, 230), 15)), Image.new("L", (large, large))
    colour = Image.new("RGB", (large, large), near(COLOURS[side], 25))
    if side == "B":
        pen, step = ImageDraw.Draw(colour), max(2, large // 16)
        for y in range(rng.randint(-step, 0), large, 2 * step):
            pen.rectangle((0, y, large, y + step - 1), fill="white")
    half = rng.randint(large // 5, large // 3)
    x, y = (rng.randint(half, large - half) for _ in range(2))
    ImageDraw.Draw(ball).ellipse((x - half, y - half, x + half, y + half), fill=255)
    result.paste(colour, mask=ball)
    return result.resize((size, size), Image.Resampling.LANCZOS)


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
