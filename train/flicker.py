"""Flicker of a model's translations on a slow pan over a still image, as `cyclegan-hub translate` makes a video of it.

python train/flicker.py pretrained/smile pretrained/monet

Prints a Markdown table. The pan moves by one pixel and a half a frame, slightly tilted; faces are followed. 1: as steady as the
input (metrics/flicker.py).
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cyclegan_hub import free_images
from cyclegan_hub.checkpoints import load
from cyclegan_hub.command_line import run_command
from cyclegan_hub.faces.align import Similarity, warp
from cyclegan_hub.imaging import images
from cyclegan_hub.metrics.flicker import flicker
from cyclegan_hub.models.photograph import DEFAULT
from cyclegan_hub.models.translate_many import check_options
from cyclegan_hub.video.translate import Planner


def pan(image: Image.Image, frames: int, size: tuple[int, int]) -> list[Image.Image]:
    """Frames of `size` px that wander over an image by 1.5 px each and tilt by up to three degrees."""
    middle = complex(image.width, image.height) / 2
    result = []
    for i in range(frames):
        turn = complex(math.cos(a := 0.05 * math.sin(i / 10)), math.sin(a))
        centre = middle + complex(1.5 * (i - frames / 2), 0.5 * (i - frames / 2))
        result.append(warp(image, Similarity(turn, centre - turn * complex(*size) / 2), size))
    return result


def measure(folder: Path, direction: Any, image: Image.Image, count: int) -> float:
    """The flicker of one direction of a model on a pan over `image`."""
    model: Any = load(str(folder)).eval()
    eyes, skip = check_options(model, direction, DEFAULT, None, False, 1)
    planner = Planner(model, direction, DEFAULT, eyes, skip, model.translate_size)
    size = round(0.85 * image.width), round(0.85 * image.height)
    works = [planner.plan(frame) for frame in pan(image, count, size)]
    inputs = [work.inputs[0] for work in works]
    outputs = [output for one in inputs for output in planner.network([one])]
    return flicker(*(torch.stack([images.to_tensor(one) for one in some]) for some in (inputs, outputs)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("models", nargs="+", type=Path, help="model folders")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--image", type=Path, help="pan over this image instead")


def run(args: argparse.Namespace) -> int:
    """Measures each model on the portrait, or on the landscape where it takes any images; returns 0."""
    print("| model | direction | flicker |\n|---|---|---|")
    for folder in args.models:
        model: Any = load(str(folder))
        for direction in model.directions:
            name = "astronaut_face.jpg" if model.eyes[direction] else "coffee.jpg"
            image = images.decode(args.image or free_images.FOLDER / name)
            print(f"| {folder.name} | {direction} | {measure(folder, direction, image, args.frames):.2f} |", flush=True)
    return 0


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
