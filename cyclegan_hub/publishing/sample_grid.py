"""The picture on a model's card: free photographs with their translations, or images that the model draws."""

from __future__ import annotations

from importlib.resources import files as package_files

from PIL import Image

from cyclegan_hub import image_grid, images
from cyclegan_hub.data import faces
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.auto import Model

_HOPPER, _ASTRONAUT = "examples/grace_hopper_face.jpg", "astronaut_face.jpg"  # cropped to the face with FACE_SHARE
_FACES = (_HOPPER, _ASTRONAUT, "astronaut.jpg")
_SCENES = ("examples/china.jpg", "coffee.jpg", "rocket.jpg", "chelsea.jpg", "astronaut.jpg")
_CELL = 160  # px of a picture in samples.png


def sample_grid(model: Model) -> Image.Image:
    """Example outputs of a model as one picture (PIL, RGB) that shows no training image.

    For a model that draws: all images of seed 0. For a model that translates: a row for each of three to five free photographs,
    with its translations and their way back, or with the input and output of a pix2pix.
    """
    examples = model.examples(free_photos(model, shows_faces(model.domain)) if model.takes_pictures else [])
    # Drawn images are small: they are enlarged by a whole factor, so that every pixel can be seen.
    cell = _CELL if model.takes_pictures else model.image_size * (_CELL // model.image_size) or _CELL
    return image_grid.grid(examples.rows, column_labels=examples.headings, cell=cell)


def shows_faces(domain: str) -> bool:
    """Whether the photographs of a domain's samples are of people; the card names their authors."""
    return domain in DOMAINS and DOMAINS[domain].faces


def free_photos(model: Model, of_faces: bool) -> list[Image.Image]:
    """Free photographs as squares of the model's size and channels: of people, or of all kinds, a landscape first.

    A portrait's face is as large as the crop of the model's domain shows it.
    """
    folder = package_files("cyclegan_hub") / "free_images"
    names = _FACES if of_faces else _SCENES
    domain, pictures = DOMAINS.get(model.domain), list[Image.Image]()
    for name in names:
        picture = images.decode((folder / name).read_bytes(), model.channels, name=name)
        if domain is not None and name in (_ASTRONAUT, _HOPPER):
            picture = faces.closer(picture, domain.face_share)
        pictures.append(images.square(picture, model.image_size))
    return pictures
