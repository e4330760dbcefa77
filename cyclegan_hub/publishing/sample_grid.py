"""The picture beside a model's card: free photographs and what the model makes of them, or what it draws."""

from __future__ import annotations

from importlib.resources import files as package_files

from PIL import Image

from cyclegan_hub import image_grid, images
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.auto import Model

_FACE, *_FREE_IMAGES = ("astronaut_face.jpg", "astronaut.jpg", "chelsea.jpg", "coffee.jpg", "rocket.jpg")
_CELL = 160  # px of a picture in samples.png


def sample_grid(model: Model) -> Image.Image:
    """What a model makes, as one picture (PIL, RGB) that shows none of the training's images.

    Of a model that draws the images of seed 0, none left out; else a row for each of some free photographs: translated and
    back in both directions, or the input that a pix2pix makes of it and the output.
    """
    examples = model.examples(_free_photos(model) if model.takes_pictures else [])
    # Of what is drawn every pixel is shown: a whole number of times as large, if it fits.
    cell = _CELL if model.takes_pictures else model.image_size * (_CELL // model.image_size) or _CELL
    return image_grid.grid(examples.rows, column_labels=examples.headings, cell=cell)


def _free_photos(model: Model) -> list[Image.Image]:
    """Free photographs as squares of the model's size and channels; where it is about faces, a face first."""
    folder = package_files("cyclegan_hub") / "free_images"
    faces = model.domain in DOMAINS and DOMAINS[model.domain].faces
    names = [_FACE, *_FREE_IMAGES] if faces else _FREE_IMAGES
    decoded = [images.decode((folder / name).read_bytes(), model.channels, name=name) for name in names]
    return [images.square(image, model.image_size) for image in decoded]
