"""The picture on a model's card: free photographs with their translations, or images that the model draws."""

from __future__ import annotations

from importlib.resources import files as package_files

from PIL import Image

from cyclegan_hub import image_grid, images
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.protocols import Translator

_PORTRAITS = ("examples/grace_hopper.jpg", "examples/astronaut.jpg")
_FACES = ("examples/grace_hopper_face.jpg", "astronaut_face.jpg", "astronaut.jpg")  # for a model that aligns none
_SCENES = ("examples/china.jpg", "coffee.jpg", "rocket.jpg", "chelsea.jpg", "astronaut.jpg")
_CELL = 160  # px of a picture in samples.png


def sample_grid(model: Model) -> Image.Image:
    """Example outputs of a model as one picture (PIL, RGB) that shows no training image.

    For a model that draws: all images of seed 0. For a model that translates: a row for each of two to five free photographs,
    with its translations and their way back, or with the input and output of a pix2pix.
    """
    examples = model.examples(free_photos(model, shows_faces(model.domain)) if model.takes_pictures else [])
    # Drawn images are small: they are enlarged by a whole factor, so that every pixel can be seen.
    cell = _CELL if model.takes_pictures else model.image_size * (_CELL // model.image_size) or _CELL
    return image_grid.grid(examples.rows, column_labels=examples.headings, cell=cell)


def shows_faces(domain: str) -> bool:
    """Whether the photographs of a domain's samples are of people; the card names their authors."""
    return domain in DOMAINS and DOMAINS[domain].a.eyes is not None


def free_photos(model: Model, of_faces: bool) -> list[Image.Image]:
    """Free photographs as squares of the model's size and channels: of people, or of all kinds, a landscape first.

    Faces are aligned as the model's inputs A are.
    """
    folder = package_files("cyclegan_hub") / "free_images"
    aligned = isinstance(model, Translator) and model.eyes["a_to_b"] is not None
    names = (_PORTRAITS if aligned else _FACES) if of_faces else _SCENES
    return [square_for(model, images.decode((folder / name).read_bytes(), model.channels, name=name)) for name in names]


def square_for(model: Translator | Model, photo: Image.Image, direction: str = "a_to_b") -> Image.Image:
    """A decoded photograph as a square of the model's size: the largest face aligned, else (none wanted or found) its centre."""
    eyes = model.eyes[direction] if isinstance(model, Translator) else None
    found = find_faces(photo) if eyes else []
    return align(photo, found[0], eyes, model.image_size) if eyes and found else images.square(photo, model.image_size)
