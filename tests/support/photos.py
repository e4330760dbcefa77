"""Free photographs with faces whose eyes are known, and what the tests make of them."""

from __future__ import annotations

import cmath
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import Face, Similarity
from cyclegan_hub.imaging import images

# Left and right eye, x + iy in px, as they were read off enlarged photographs; exact to about 1 % of the photograph's side.
EYES = {
    "astronaut": (127.7 + 63j, 154.4 + 64.6j),
    "astronaut_face": (76.2 + 100.8j, 118.8 + 103.4j),
    "examples/grace_hopper": (222.5 + 193.4j, 307.3 + 188.7j),
    "examples/grace_hopper_face": (116.4 + 129.7j, 188 + 125.8j),
}
MODEL_EYES: Eyes = (0.35, 0.45, 0.65, 0.45)  # where the models of the page's tests expect them
ROCKET = (files("cyclegan_hub") / "free_images/rocket.jpg").read_bytes()  # without a face
FACELESS = ("chelsea", "coffee", "rocket", "examples/china", "examples/monet_pourville")


def photo(name: str) -> Image.Image:
    """A free photograph, decoded (RGB)."""
    return images.decode((files("cyclegan_hub") / f"free_images/{name}.jpg").read_bytes())


def _two() -> Image.Image:
    one, other = photo("examples/grace_hopper"), photo("examples/astronaut")
    both = Image.new("RGB", (one.width + other.width, one.height))
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    return both


TWO = _two()  # Grace Hopper, whose face is the larger one, beside Eileen Collins


def rotated(image: Image.Image, degrees: float) -> tuple[Image.Image, Similarity]:
    """A photograph turned about its middle, grey around it, and the transform of its points."""
    turn, middle = cmath.exp(-1j * cmath.pi * degrees / 180), complex(*image.size) / 2
    result = image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    return result, Similarity(turn, middle - turn * middle)


def scaled(image: Image.Image, scale: float) -> Image.Image:
    """A photograph at another size."""
    return image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)


def nearest(faces: list[Face], eyes: tuple[complex, complex]) -> float:
    """The larger distance in px of two `eyes` from those of the face that fits best; infinite without a face."""
    return min((max(abs(a - b) for a, b in zip(face.eyes, eyes, strict=True)) for face in faces), default=float("inf"))


def portraits(folder: Path, numbers: Iterable[int]) -> Path:
    """A new folder of photographs of 380 x 250 px, each with one face at a place, size and tilt of its own."""
    folder.mkdir(parents=True)
    names = list(EYES)
    for i in numbers:
        portrait, _ = rotated(photo(names[i % len(names)]), (i * 37) % 41 - 20)
        portrait = scaled(portrait, (120 + i * 29 % 110) / portrait.width)
        canvas = scaled(photo(FACELESS[i % 3]), 1.2).crop((0, 0, 380, 250))
        canvas.paste(portrait, (i * 53 % (380 - portrait.width), i * 29 % (250 - portrait.height)))
        canvas.save(folder / f"{i:02d}.png")
    return folder
