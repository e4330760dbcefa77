"""Prepares a visitor's picture for translation: decodes it, crops it to the face, resizes it to the model's size."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.data import faces
from cyclegan_hub.decoding import has_several_frames
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line
from cyclegan_hub.serving.model_info import DomainChoice

MAX_RESULT = 4_000_000  # pixels of a translation at most: minutes on one CPU core for a network of width 64 and 9 blocks
MAX_ASPECT = 20  # longer side / shorter side at most
REMEMBERED = 100  # pictures whose face positions stay in memory, so that another epoch needs no new search
SMALL_FACE = 0.2  # share of the picture's area: the page crops to a smaller face by itself

Picture = Path | str | bytes | Image.Image


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready to be translated."""

    given: Image.Image  # RGB, at the file's own size; the square around the face if it was cropped
    model_input: Image.Image  # the same at the size it is translated at
    notes: list[str]  # sentences on what was done to it


@dataclass(frozen=True)
class FacesFound:
    """The faces found in a picture."""

    thumbnails: list[Image.Image]  # a small square around each, the largest face first
    small: bool  # whether the largest takes less than SMALL_FACE of the picture

    @property
    def none(self) -> bool:
        """Whether there is no face in the picture."""
        return not self.thumbnails


class PhotoPreparer:
    """Prepares pictures; thread-safe. It keeps only hashes of pictures and positions of faces, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faces: OrderedDict[str, list[faces.Box] | None] = OrderedDict()  # by content hash

    def prepare(
        self, image: Picture, choice: DomainChoice, direction: str, resolution: str | None, crop_face: bool, face: int = 0
    ) -> Prepared:
        """The picture at the size it is translated at; `crop_face` cuts out the `face`-th largest face.

        Raises ServingError for a file that is no picture, one that is too long and narrow, and for a size that is not offered.
        """
        if resolution not in (None, "original"):
            raise ServingError(f"The resolution '{one_line(resolution)}' is not offered: leave it out, or give 'original'.")
        if resolution and not choice.original_size:
            raise ServingError(f"{choice.title} translates at its own size only: leave the original size out.")
        given, notes = self._face(decoded(image, choice.value_range), choice, direction, crop_face, face)
        if isinstance(image, bytes | str | Path) and has_several_frames(image if isinstance(image, bytes) else Path(image)):
            notes.append("This file has several frames or pages: the first is translated.")
        (width, height), short = given.size, min(given.size)
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
        return Prepared(given, given if target == short else images.resize_short(given, target), notes)

    def find_faces(self, image: Picture, choice: DomainChoice, direction: str) -> FacesFound | None:
        """The faces of a picture; None where the direction takes no faces, or there is no detector."""
        if not choice.takes_faces(direction):
            return None
        picture = decoded(image, choice.value_range)
        found = self._find(picture)
        if found is None:
            return None
        thumbnails = [faces.crop(picture, box, choice.face_share).resize((96, 96), Image.Resampling.LANCZOS) for box in found]
        area = found[0].side ** 2 / (picture.width * picture.height) if found else 0
        return FacesFound(thumbnails, bool(found) and area < SMALL_FACE)

    def _face(
        self, picture: Image.Image, choice: DomainChoice, direction: str, crop_face: bool, face: int
    ) -> tuple[Image.Image, list[str]]:
        """Returns (the picture, or the square around one of its faces; sentences about the faces)."""
        if not choice.faces or not (crop_face or choice.takes_faces(direction)):
            return picture, []
        found = self._find(picture)
        if found is None:
            missing = "The face detector is not installed here: the whole picture is translated."
            return picture, [missing] if crop_face else []
        if not found:
            return picture, ["No face found: this model works best on a face. Translating anyway."]
        if not crop_face:
            return picture, []
        chosen = face if 0 <= face < len(found) else 0
        which = "the largest is taken" if chosen == 0 else f"number {chosen + 1} is taken"
        cut = faces.crop(picture, found[chosen], choice.face_share)
        return cut, [f"{len(found)} faces found: {which}."] if len(found) > 1 else []

    def _find(self, picture: Image.Image) -> list[faces.Box] | None:
        key = images.content_hash(picture)
        with self._lock:
            if key in self._faces:
                self._faces.move_to_end(key)
                return self._faces[key]
        found = faces.find_faces(picture)
        with self._lock:
            self._faces[key] = found
            while len(self._faces) > REMEMBERED:
                self._faces.popitem(last=False)
        return found


def decoded(image: Picture, value_range: tuple[int, int] | None = None) -> Image.Image:
    """The picture, RGB; 16-bit pictures with the model's `value_range`. Raises ServingError if it cannot be read."""
    if image is None:
        raise ServingError("There is no picture yet: give one first.")
    try:
        return images.decode(image, value_range=value_range)
    except images.ImageError as error:
        raise ServingError(as_sentence(error)) from None
