"""The picture beside a model's card: free photographs and what the model makes of them, or what it draws."""

from __future__ import annotations

from importlib.resources import files as package_files

import torch
from PIL import Image

from cyclegan_hub import image_grid, images
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.face_generator import FaceGenerator
from cyclegan_hub.models.paired_generator import PairedGenerator

_FACE, *_FREE_IMAGES = ("astronaut_face.jpg", "astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")
_CELL = 160  # px of a picture in samples.png
_DRAWN = 6  # rows and columns of images from noise


def sample_grid(model: Model) -> Image.Image:
    """What a model makes, as one picture (PIL, RGB) that shows none of the training's images.

    Of a FaceGenerator the images of seed 0, none left out; else a row for each of some free photographs: translated and back
    in both directions, or the input that a pix2pix makes of it and the output.
    """
    heads: list[str] = []
    match model:
        case FaceGenerator():
            drawn = model.sample(_DRAWN**2, seed=0)
            rows = [drawn[i : i + _DRAWN] for i in range(0, len(drawn), _DRAWN)]
            cell = model.image_size * (_CELL // model.image_size) or _CELL  # a whole number of times as large, if it fits
        case PairedGenerator():
            photos, cell = _free_photos(model), _CELL
            x = torch.stack([images.to_tensor(photo) for photo in photos])
            seen, made = ([images.to_pil(one) for one in y] for y in (model.prepare(x), model.restore(x)))
            given = model.pairs == "given"
            rows = list(zip(*([photos, made] if given else [photos, seen, made]), strict=True))
            heads = [*(["input"] if given else ["original", "input"]), f"to {_ascii(model.labels[1], 'B')}"]
        case CycleGenerator():
            columns, cell = [_free_photos(model)], _CELL
            for direction in model.directions:
                columns += [model.translate(columns[0], direction), model.cycle(columns[0], direction)]
            rows, (a, b) = list(zip(*columns, strict=True)), map(_ascii, model.labels, "AB")
            heads = ["input", f"to {b}", "and back", f"to {a}", "and back"]
    return image_grid.grid(rows, column_labels=heads, cell=cell)


def _free_photos(model: CycleGenerator | PairedGenerator) -> list[Image.Image]:
    """Free photographs as squares of the model's size and channels; where it is about faces, a face first."""
    folder = package_files("cyclegan_hub") / "free_images"
    faces = model.domain in DOMAINS and DOMAINS[model.domain].faces
    names = [_FACE, *_FREE_IMAGES] if faces else _FREE_IMAGES
    decoded = [images.decode((folder / name).read_bytes(), model.channels, name=name) for name in names]
    return [images.square(image, model.image_size) for image in decoded]


def _ascii(label: str, letter: str) -> str:
    """A label, or a letter for one that the picture's font may not know."""
    return label if label.isascii() else letter
