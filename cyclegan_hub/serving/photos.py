"""A user's photograph from the upload to the result: decoded once, its faces found once, planned for a model's network."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.faces import Face, FaceFinderError, align, alignment, find_faces
from cyclegan_hub.faces.track import Track, follow
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import has_several_frames
from cyclegan_hub.models.photograph import Options, Photograph, Work
from cyclegan_hub.serving.catalog import EpochEntry, ModelEntry
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line
from cyclegan_hub.serving.results import SHOWN, Result, with_color

MAX_RESULT = 4_000_000  # pixels of a translation at most: minutes on one CPU core for a network of width 64 and 9 blocks
MAX_ASPECT = 20  # longer side / shorter side at most, where all of an image goes through the network
REMEMBERED = 100  # images whose face positions stay in memory, so that another epoch needs no new search
THUMBNAIL = 96  # px
SEARCH_SIZE = 320  # px of the longer side at which a camera's frame is searched for faces

ImageSource = Path | str | bytes | Image.Image


class FaceMemory:
    """The positions of faces in the last images, by content hash: all that is kept of an image. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faces: OrderedDict[str, list[Face]] = OrderedDict()

    def find(self, image: Image.Image) -> list[Face]:
        """The faces of a decoded image, the largest first."""
        digest = images.content_hash(image)
        with self._lock:
            if digest in self._faces:
                self._faces.move_to_end(digest)
                return self._faces[digest]
        found = search(image)
        with self._lock:
            self._faces[digest] = found
            while len(self._faces) > REMEMBERED:
                self._faces.popitem(last=False)
        return found


@dataclass(frozen=True)
class Photo:
    """A user's photograph, decoded for one direction of a model."""

    model: ModelEntry
    direction: str
    photograph: Photograph  # mode RGB, or L for a grey model, with its alpha channel
    notes: tuple[str, ...]  # sentences on how it was read
    memory: FaceMemory

    @classmethod
    def open(cls, source: ImageSource | None, model: ModelEntry, direction: str, memory: FaceMemory) -> Photo:
        """Raises ServingError for what is not an image."""
        photograph = decode(source, model)
        file = Path(source) if isinstance(source, str) else source
        several = isinstance(file, bytes | Path) and has_several_frames(file)
        notes = ("This file has several frames or pages: the first is translated.",) if several else ()
        return cls(model, direction, photograph, notes, memory)

    @property
    def image(self) -> Image.Image:
        return self.photograph.image

    @cached_property
    def faces(self) -> list[Face] | None:
        """Its faces, the largest first; None where the direction takes any image."""
        return None if self.model.eyes(self.direction) is None else self.memory.find(self.image)

    def thumbnails(self) -> list[Image.Image]:
        """Its faces, aligned and small."""
        eyes = self.model.eyes(self.direction)
        return [align(self.image, face, eyes, THUMBNAIL) for face in self.faces or ()] if eyes else []

    def plan(self, options: Options, original_size: bool = False) -> Plan:
        """How it goes through the network. `original_size`: at its own size, up to MAX_RESULT pixels.

        Raises ServingError for options that the model does not have, and for a photograph that is too long and narrow.
        """
        model, eyes, photograph = self.model, self.model.eyes(self.direction), self.photograph
        if original_size and not model.original_size:
            raise ServingError(f"{model.title} translates at its own size only: leave the original size out.")
        try:
            options.check(eyes, model.skip)
        except UserError as error:
            raise ServingError(f"{one_line(error, 300)}.") from None
        notes = [*self.notes]
        faces = (self.faces or []) if options.face != "none" else []
        number = options.face if isinstance(options.face, int) else 0
        chosen = faces if options.whole else faces[number : number + 1]
        if len(faces) > 1 and chosen and not options.whole:
            taken = f"number {number + 1}" if number else "the largest"
            notes.append(f"{len(faces)} faces found: {taken} is taken.")
        if eyes and chosen:
            pixels = 0.0  # of the result
            if options.whole:
                pixels = photograph.image.width * photograph.image.height
            elif model.skip:
                pixels = max(alignment(face, eyes, 1).scale ** 2 for face in chosen)
            photograph, faces = _reduced(photograph, faces, pixels, notes)
        try:
            work = photograph.plan(
                options,
                eyes=eyes,
                skip=model.skip,
                side=model.image_size,
                fit=lambda image: _fitted(image, model, original_size, notes),
                find=lambda _: faces,
            )
        except images.ImageError as error:
            raise ServingError(f"{one_line(error, 300)}.") from None
        if work.warnings:  # no face
            translated = ", and this model knows only faces: the whole picture is translated."
            notes.append(f"No face was found{': the picture is left as it is.' if options.whole else translated}")
        square = (faces[number], eyes) if eyes and chosen and not options.whole else None
        return Plan(self, photograph, work, tuple(notes), square)


@dataclass(frozen=True)
class Plan:
    """What a network has to do for a photograph, and the result from what it makes."""

    photo: Photo
    photograph: Photograph  # as it is translated: reduced where the result would be too large
    work: Work
    notes: tuple[str, ...]  # sentences on what was done to the photograph
    square: tuple[Face, Eyes] | None  # the face whose aligned square is the result; None: all of the image is shown

    def result(self, outputs: Sequence[Image.Image], epoch: EpochEntry) -> Result:
        """The result from the network's outputs for `work.inputs`."""
        model, notes = self.photo.model, self.notes
        after = with_color(self.work.finish(outputs))
        before, given, *inputs = *self._before(after), *self.work.inputs
        if model.channels == 1 or model.rule.grey:
            before, given, *inputs = (image.convert("L") for image in (before, given, *inputs))
            only, own = "sees and makes grey pictures only", "sees the picture in grey: the colours are its own"
            notes = (*notes, f"This model {only if model.channels == 1 else own}.")
        return Result(
            model=model,
            direction=self.photo.direction,
            epoch=epoch,
            before=with_color(before),
            after=after,
            given=with_color(given),
            notes=notes,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )

    def _before(self, after: Image.Image) -> tuple[Image.Image, Image.Image]:
        """What `after` shows, before it was translated: at the size of `after`, and as sharp as the photograph is."""
        image = self.photograph.image
        if self.square is None:
            seen = image if image.size == after.size else self.work.inputs[0]
            return seen if seen.size == after.size else seen.resize(after.size), image
        sharp = min(round(alignment(*self.square, 1).scale), SHOWN)
        return align(image, *self.square, after.width), align(image, *self.square, max(sharp, after.width))


def decode(source: ImageSource | None, model: ModelEntry | None = None) -> Photograph:
    """An image, decoded for a model: RGB, or L for a grey one. Raises ServingError if it cannot be read."""
    if source is None:
        raise ServingError("There is no picture yet: give one first.")
    channels, value_range = (model.channels, model.value_range) if model else (3, None)
    try:
        return Photograph(*images.decode_with_alpha(source, channels, value_range=value_range))
    except images.ImageError as error:
        raise ServingError(as_sentence(error)) from None


def search(image: Image.Image) -> list[Face]:
    """`find_faces`. Raises ServingError where the finder cannot be loaded."""
    try:
        return find_faces(image)
    except FaceFinderError as error:
        raise ServingError(as_sentence(error)) from None


def scaled(face: Face, scale: float) -> Face:
    """A face of an image in the same image at another size."""
    box: Any = tuple(scale * x for x in face.box)
    landmarks: Any = tuple(scale * z for z in face.landmarks)
    return replace(face, box=box, landmarks=landmarks)


def _reduced(photograph: Photograph, faces: list[Face], pixels: float, notes: list[str]) -> tuple[Photograph, list[Face]]:
    """The photograph and its faces, reduced where the result would have more than MAX_RESULT pixels."""
    if pixels <= MAX_RESULT:
        return photograph, faces
    scale = math.sqrt(MAX_RESULT / pixels)
    width, height = (max(1, math.floor(side * scale)) for side in photograph.image.size)
    notes.append(f"The picture was reduced to {width} x {height} pixels: results have at most {MAX_RESULT:,}.")
    image = photograph.image.resize((width, height), Image.Resampling.LANCZOS)
    alpha = photograph.alpha and photograph.alpha.resize((width, height), Image.Resampling.LANCZOS)
    return replace(photograph, image=image, alpha=alpha), [scaled(face, scale) for face in faces]


def _fitted(image: Image.Image, model: ModelEntry, original_size: bool, notes: list[str]) -> Image.Image:
    """All of an image at the size it is translated at. Raises ServingError for one that is too long and narrow."""
    (width, height), short = image.size, min(image.size)
    if max(width, height) > MAX_ASPECT * short:
        rule = f"its longer side may be at most {MAX_ASPECT} times the shorter"
        raise ServingError(f"This picture is {width} x {height} pixels: {rule}, so cut a part out of it.")
    scale = 1 if original_size else model.image_size / model.enlargement / short
    limit = MAX_RESULT / model.enlargement**2
    if width * height * scale**2 > limit:
        scale = math.sqrt(limit / (width * height))
        small = math.floor(short * scale)
        notes.append(f"Translated with its shorter side at {small} pixels: results have at most {MAX_RESULT:,} pixels.")
    target = short if scale == 1 else max(1, math.floor(short * scale + 1e-6))  # floor: rounding up may pass the bound
    return image if target == short else images.resize_short(image, target)


# -------------------------------------------------------------------------------------------------------------- frames
class LiveFrame(NamedTuple):
    """One translated frame of a camera, RGB."""

    before: Image.Image  # the network's input
    after: Image.Image
    track: Track | None  # for the next frame; None: no face was found, and the centred square was translated


def prepare_frame(frame: Image.Image, eyes: Eyes | None, size: int, track: Track | None) -> tuple[Image.Image, Track | None]:
    """Returns (the network's input of `size` px: the face that is followed, or the centred square; the track)."""
    track = follow(track, find_in_frame(frame)) if eyes else None
    return align(frame, track.face, eyes, size) if track and eyes else images.square(frame, size), track


def find_in_frame(frame: Image.Image) -> list[Face]:
    """The faces of a frame, the largest first, found on a smaller copy."""
    small = frame.copy()
    small.thumbnail((SEARCH_SIZE, SEARCH_SIZE))
    return [scaled(face, frame.width / small.width) for face in search(small)]
