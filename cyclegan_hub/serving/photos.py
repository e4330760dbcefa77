"""What becomes of a picture on the page before it is translated: decoded, cropped to the face, brought to the model's size."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.serving import faces
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line
from cyclegan_hub.serving.model_info import DomainChoice

MAX_RESULT = 4_000_000  # pixels of a translation; with a network of width 64 and 9 blocks that is minutes of one CPU core
MAX_ASPECT = 20  # longer side to shorter
REMEMBERED = 100  # pictures whose faces are not looked for again when only the epoch changes

Picture = Path | str | bytes | Image.Image


class Inputs:
    """Prepares pictures, for many threads at once. Of a picture only its hash and the places of its faces are kept, in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faces: OrderedDict[str, list[faces.Box] | None] = OrderedDict()  # by content hash

    def prepare(
        self, image: Picture, choice: DomainChoice, direction: str, resolution: str | None, crop_face: bool
    ) -> tuple[Image.Image, list[str]]:
        """The picture (RGB) at the size it is translated at, and sentences on what was done to it.

        Raises ServingError for what is no picture, is too long and narrow, or is asked for at a size the domain does not offer.
        """
        if resolution not in (None, "original"):
            raise ServingError(f"The resolution '{one_line(resolution)}' is not offered: leave it out, or give 'original'.")
        if resolution and not choice.original_size:
            raise ServingError(f"{choice.title} translates at its own size only: leave the original size out.")
        if image is None:
            raise ServingError("There is no picture yet: give one first.")
        try:
            picture = images.decode(image)
        except images.ImageError as error:
            raise ServingError(as_sentence(error)) from None
        picture, notes = self._face(picture, direction, crop_face) if choice.faces else (picture, [])
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
        return (picture if target == short else images.resize_short(picture, target)), notes

    def _face(self, picture: Image.Image, direction: str, crop_face: bool) -> tuple[Image.Image, list[str]]:
        """The picture, or the square around its largest face, and what there is to say of faces; those of B may be drawn."""
        if not (crop_face or direction == "a_to_b"):
            return picture, []
        found = self._find(picture)
        if found is None:
            missing = "The face detector is not installed here: the whole picture is translated."
            return picture, [missing] if crop_face else []
        if not found:
            return picture, ["No face found: this model works best on a face. Translating anyway."]
        if not crop_face:
            return picture, []
        several = [f"{len(found)} faces found: the largest is taken."] if len(found) > 1 else []
        return faces.crop(picture, found[0]), several

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
