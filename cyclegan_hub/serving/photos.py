"""Prepares a visitor's picture for translation: decodes it, finds and aligns its faces, brings it to the model's size."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.faces import Face, FaceFinderError, align, alignment, find_faces
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import has_several_frames
from cyclegan_hub.models.photograph import Options, Photograph, Work
from cyclegan_hub.serving.catalog import DomainChoice
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line
from cyclegan_hub.serving.results import SHOWN

MAX_RESULT = 4_000_000  # pixels of a translation at most: minutes on one CPU core for a network of width 64 and 9 blocks
MAX_ASPECT = 20  # longer side / shorter side at most, where all of a picture goes through the network
REMEMBERED = 100  # pictures whose face positions stay in memory, so that another epoch needs no new search
THUMBNAIL = 96  # px

Picture = Path | str | bytes | Image.Image


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready to be translated."""

    photo: Photograph  # as it is translated: reduced where the result would be too large
    work: Work
    notes: list[str]  # sentences on what was done to it
    square: tuple[Face, Eyes] | None = None  # the face whose aligned square is the result; None: all of the picture is shown

    def beside(self, after: Image.Image) -> tuple[Image.Image, Image.Image]:
        """What a result shows, before it was translated: at the result's size, and as sharp as the photograph is."""
        image = self.photo.image
        if self.square is None:
            seen = image if image.size == after.size else self.work.inputs[0]
            return seen if seen.size == after.size else seen.resize(after.size), image
        own = min(round(alignment(*self.square, 1).scale), SHOWN)
        return align(image, *self.square, after.width), align(image, *self.square, max(own, after.width))


class PhotoPreparer:
    """Prepares pictures; thread-safe. It keeps only hashes of pictures and positions of faces, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faces: OrderedDict[str, list[Face]] = OrderedDict()  # by content hash

    def prepare(self, image: Picture, choice: DomainChoice, direction: str, resolution: str | None, options: Options) -> Prepared:
        """The picture's way through the model's network. `options` are those of `CycleGenerator.translate`.

        Raises ServingError for a file that is no picture, one that is too long and narrow, for a size that is not offered, and
        for options that the model does not have.
        """
        if resolution not in (None, "original"):
            raise ServingError(f"The resolution '{one_line(resolution)}' is not offered: leave it out, or give 'original'.")
        if resolution and not choice.original_size:
            raise ServingError(f"{choice.title} translates at its own size only: leave the original size out.")
        eyes, notes = choice.eyes(direction), list[str]()
        try:
            options.check(eyes, choice.skip)
        except UserError as error:
            raise ServingError(f"{one_line(error, 300)}.") from None
        photo = photograph(image, choice)
        if isinstance(image, bytes | str | Path) and has_several_frames(image if isinstance(image, bytes) else Path(image)):
            notes.append("This file has several frames or pages: the first is translated.")
        searched = eyes is not None and options.face != "none"
        faces = self._find(photo.image) if searched else []
        if searched and not faces and options.face in ("auto", "all"):
            if options.whole:
                notes.append("No face was found: the picture is left as it is.")
                return Prepared(photo, Work([], lambda _: photo.with_alpha(photo.image.copy())), notes)
            notes.append("No face was found, and this model knows only faces: the whole picture is translated.")
            options = replace(options, face="none")
        number = options.face if isinstance(options.face, int) else 0
        chosen = faces if options.whole else faces[number : number + 1]
        if len(faces) > 1 and not options.whole and chosen:
            taken = f"number {number + 1}" if number else "the largest"
            notes.append(f"{len(faces)} faces found: {taken} is taken.")
        if eyes is not None and chosen:
            photo, faces = _bounded(photo, faces, _pixels(photo, chosen, eyes, options.whole, choice.skip), notes)

        def fit(picture: Image.Image) -> Image.Image:
            return _fitted(picture, choice, resolution, notes)

        try:
            work = photo.plan(
                options, eyes=eyes, skip=choice.skip, side=choice.image_size, fit=fit, find=lambda _: faces
            )  # fmt: skip
        except images.ImageError as error:
            raise ServingError(f"{one_line(error, 300)}.") from None
        square = (faces[number], eyes) if eyes is not None and chosen and not options.whole else None
        return Prepared(photo, work, notes, square)

    def thumbnails(self, image: Picture, choice: DomainChoice, direction: str) -> list[Image.Image] | None:
        """The faces of a picture, aligned and small, the largest first; None where the direction takes no faces."""
        eyes = choice.eyes(direction)
        if eyes is None:
            return None
        picture = photograph(image, choice).image
        return [align(picture, face, eyes, THUMBNAIL) for face in self._find(picture)]

    def _find(self, picture: Image.Image) -> list[Face]:
        key = images.content_hash(picture)
        with self._lock:
            if key in self._faces:
                self._faces.move_to_end(key)
                return self._faces[key]
        found = search(picture)
        with self._lock:
            self._faces[key] = found
            while len(self._faces) > REMEMBERED:
                self._faces.popitem(last=False)
        return found


def search(picture: Image.Image) -> list[Face]:
    """`find_faces`. Raises ServingError where the finder cannot be loaded."""
    try:
        return find_faces(picture)
    except FaceFinderError as error:
        raise ServingError(as_sentence(error)) from None


def scaled(face: Face, scale: float) -> Face:
    """A face of a picture in the same picture at another size."""
    box: Any = tuple(scale * x for x in face.box)
    landmarks: Any = tuple(scale * z for z in face.landmarks)
    return replace(face, box=box, landmarks=landmarks)


def photograph(image: Picture, choice: DomainChoice | None = None) -> Photograph:
    """The picture, decoded for a model: RGB, or L for a grey one. Raises ServingError if it cannot be read."""
    if image is None:
        raise ServingError("There is no picture yet: give one first.")
    channels, value_range = (choice.channels, choice.value_range) if choice else (3, None)
    try:
        return Photograph(*images.decode_with_alpha(image, channels, value_range=value_range))
    except images.ImageError as error:
        raise ServingError(as_sentence(error)) from None


def _pixels(photo: Photograph, faces: list[Face], eyes: Eyes, whole: bool, skip: bool) -> float:
    """How many pixels a result with faces would have."""
    if whole:
        return photo.image.width * photo.image.height
    return max(alignment(face, eyes, 1).scale ** 2 for face in faces) if skip else 0


def _bounded(photo: Photograph, faces: list[Face], pixels: float, notes: list[str]) -> tuple[Photograph, list[Face]]:
    """The photograph and its faces, reduced where the result would have more than MAX_RESULT pixels."""
    if pixels <= MAX_RESULT:
        return photo, faces
    scale = math.sqrt(MAX_RESULT / pixels)
    width, height = (max(1, math.floor(side * scale)) for side in photo.image.size)
    notes.append(f"The picture was reduced to {width} x {height} pixels: results have at most {MAX_RESULT:,}.")
    image = photo.image.resize((width, height), Image.Resampling.LANCZOS)
    alpha = photo.alpha and photo.alpha.resize((width, height), Image.Resampling.LANCZOS)
    return replace(photo, image=image, alpha=alpha), [scaled(face, scale) for face in faces]


def _fitted(picture: Image.Image, choice: DomainChoice, resolution: str | None, notes: list[str]) -> Image.Image:
    """All of a picture at the size it is translated at. Raises ServingError for one that is too long and narrow."""
    (width, height), short = picture.size, min(picture.size)
    if max(width, height) > MAX_ASPECT * short:
        rule = f"its longer side may be at most {MAX_ASPECT} times the shorter"
        raise ServingError(f"This picture is {width} x {height} pixels: {rule}, so cut a part out of it.")
    scale = 1 if resolution else choice.image_size / choice.enlarges / short
    most = MAX_RESULT / choice.enlarges**2
    if width * height * scale**2 > most:
        scale = math.sqrt(most / (width * height))
        small = math.floor(short * scale)
        notes.append(f"Translated with its shorter side at {small} pixels: results have at most {MAX_RESULT:,} pixels.")
    target = short if scale == 1 else max(1, math.floor(short * scale + 1e-6))  # floor: rounding up may pass the bound
    return picture if target == short else images.resize_short(picture, target)


# The table of example pictures: for each domain and direction those with which a visitor can try the model.


FREE = Path(__file__).parents[1] / "free_images"


@dataclass(frozen=True)
class Example:
    """A free picture, which may be shown to everybody."""

    file: str  # below FREE
    shows: str  # what it shows, after the words "This is an example, "

    @property
    def path(self) -> Path:
        """The path of the file."""
        return FREE / self.file


HOPPER = Example("examples/grace_hopper.jpg", "the computer scientist Grace Hopper")
ASTRONAUT = Example("examples/astronaut.jpg", "the astronaut Eileen Collins")
PAVILION = Example("examples/china.jpg", "a pavilion above a lake")
AVATAR = Example("examples/avatar.png", "an avatar of Google's Cartoon Set")
OTHER_AVATAR = Example("examples/avatar_2.png", "an avatar of Google's Cartoon Set")
ANIME_FACE = Example("examples/anime_face.png", "an anime face that this page's own model drew of a photograph")
PAINTING = Example("examples/china_monet.jpg", "the pavilion as this page's own model paints it")
ROCKET = Example("rocket.jpg", "the launch of a rocket")
COFFEE = Example("coffee.jpg", "a cup of coffee")
CAT = Example("chelsea.jpg", "a cat")

# The page opens with the first of each list, which was chosen because its translation looks good.
EXAMPLES: dict[tuple[str, str], tuple[Example, ...]] = {
    ("smile", "a_to_b"): (HOPPER, ASTRONAUT),
    ("smile", "b_to_a"): (ASTRONAUT, HOPPER),
    ("anime", "a_to_b"): (HOPPER, ASTRONAUT),
    ("anime", "b_to_a"): (ANIME_FACE, AVATAR),
    ("cartoon", "a_to_b"): (ASTRONAUT, HOPPER),
    ("cartoon", "b_to_a"): (AVATAR, OTHER_AVATAR),
    ("monet", "a_to_b"): (PAVILION, COFFEE, ROCKET, CAT),
    ("monet", "b_to_a"): (PAINTING, PAVILION, COFFEE),
}
_FACES = (HOPPER, ASTRONAUT)
_SCENES = (PAVILION, COFFEE, ROCKET, CAT)


def examples_for(choice: DomainChoice, direction: str) -> tuple[Example, ...]:
    """Example pictures for a model; the page opens with the first. A model of an unknown domain gets faces or scenes."""
    return EXAMPLES.get((choice.name, direction)) or (_FACES if choice.portraits or choice.takes_faces(direction) else _SCENES)
