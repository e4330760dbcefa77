"""How training images are read (with the eyes of faces), chosen and batched: the records that travel through `data/`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cyclegan_hub.data.files import Raw
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import halves

FILE = "landmarks.json"  # in a run folder
MIN_HELD_OUT = 64  # held-out images that are read however small max_images is


class NoFaceError(images.ImageError):
    """An image in which no face is found, where one is needed."""


@dataclass(frozen=True)
class EyePair:
    """The left and the right eye as seen, x + iy in px of the image."""

    eyes: tuple[complex, complex]

    def flat(self) -> list[float]:
        """x, y, x, y."""
        return [part for eye in self.eyes for part in (eye.real, eye.imag)]


@dataclass
class Landmarks:
    """The eyes of the largest face of each image, by the image's content hash; None where no face was found.

    Safe to share between threads. A resumed run that is given the same landmarks gets the same images on any processor.
    """

    found: dict[str, EyePair | None] = field(default_factory=dict)

    def of(self, image: Image.Image, digest: str | None = None, name: str = "this image") -> EyePair:
        """The eyes in a decoded image; `digest` is its content hash, if known. Raises NoFaceError and FaceFinderError."""
        digest = digest or images.content_hash(image)
        if digest not in self.found:
            faces = find_faces(image)
            self.found[digest] = EyePair(faces[0].eyes) if faces else None
        if (pair := self.found[digest]) is None:
            raise NoFaceError(f"no face is found in {name}")
        return pair

    def dumps(self) -> bytes:
        """A JSON object: content hash -> [x, y, x, y] in px, or null."""
        return json.dumps({key: pair and pair.flat() for key, pair in sorted(self.found.items())}).encode()

    @classmethod
    def read(cls, folder: Path) -> Landmarks:
        """The landmarks of a run folder; empty without `landmarks.json`. Raises DataError if the file is damaged."""
        path = folder / FILE
        return cls.loads(path.read_bytes()) if path.is_file() else cls()

    @classmethod
    def loads(cls, data: bytes) -> Landmarks:
        """The inverse of `dumps`. Raises DataError for anything else."""
        try:
            found = {
                str(key): None if eyes is None else EyePair((complex(eyes[0], eyes[1]), complex(eyes[2], eyes[3])))
                for key, eyes in json.loads(data).items()
            }
        except (ValueError, TypeError, IndexError, KeyError, AttributeError):
            raise DataError("landmarks.json of the run is damaged: restore it, or delete it to find the faces again") from None
        return cls(found)


Fit = Literal["crop", "random-crop", "stretch", "pad"]


@dataclass(frozen=True)
class Reading:
    """How the images of one domain become tensors.

    `fit` makes an image square. "crop": its centred square. "random-crop": a square at a new random place each time it is
    trained on, its centred square if it is held out. "stretch": the whole image, distorted. "pad": the whole image with black
    bars on two sides. With `eyes` the images are faces, and `fit` is ignored: each is aligned by its largest face, so that the
    eyes lie there. An image without a face is then left out.
    """

    image_size: int  # px; held-out images come at this size
    load_size: int | None = None  # px; training images come at this size; None: image_size
    channels: int = 3
    value_range: tuple[int, int] | None = None  # of 16-bit images, the values that become black and white; None: 0 and 65,535
    halves: bool = False  # each image shows a pair side by side; its tensor has the channels of one half, then of the other
    swapped: bool = False  # with `halves`: the right half comes first
    fit: Fit = "crop"
    eyes: Eyes | None = None  # (left x, left y, right x, right y) in shares of the square's side
    landmarks: Landmarks = field(default_factory=Landmarks, compare=False)  # those found so far; new ones are added

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise DataError(f"fit={self.fit!r}: give {', '.join(get_args(Fit))}")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise DataError(f"value_range={self.value_range}: give the darkest value and a larger one, such as 0,4095")

    @property
    def size(self) -> int:
        """Side of the tensors, in px."""
        return self.load_size or self.image_size

    @property
    def planes(self) -> int:
        """Channels of the tensors: `channels`, or twice as many for pairs."""
        return self.channels * (2 if self.halves else 1)

    @property
    def crops_at_random(self) -> bool:
        """Whether each use of an image takes another square of it."""
        return self.fit == "random-crop"

    def centred(self) -> Reading:
        """The same with "crop" instead of "random-crop"."""
        return replace(self, fit="crop") if self.crops_at_random else self

    def held_out(self) -> Reading:
        """How held-out images are read: `centred`, at `image_size`."""
        return replace(self.centred(), load_size=None)

    def for_domains(self, count: int, eyes: Sequence[Eyes | None] = ()) -> list[Reading]:
        """A reading for each of `count` domains, with where their eyes lie (missing or None: not aligned)."""
        return [replace(self, eyes=eyes[i] if i < len(eyes) else None) for i in range(count)]

    def decode(self, raw: Raw, name: str) -> Image.Image:
        """One image, decoded; errors call it `name`. Raises images.ImageError."""
        return images.decode(raw, self.channels, name=name, value_range=self.value_range)

    def parts(self, image: Image.Image, name: str = "this image") -> tuple[Image.Image, ...]:
        """The image itself, or (input, output) for a pair. Raises images.ImageError for a pair of odd width."""
        if not self.halves:
            return (image,)
        left, right = halves(image, name)
        return (right, left) if self.swapped else (left, right)

    def tensor(self, image: Image.Image, digest: str | None = None, name: str = "this image") -> Tensor:
        """A decoded image -> uint8 (planes, size, size); if it `crops_at_random` (planes, H, W), the shorter side `size` px.

        `digest` is the image's content hash, if it is known. Raises NoFaceError where `eyes` are given and there is no face.
        """
        if self.eyes is not None:
            return images.to_uint8_tensor(align(image, self.landmarks.of(image, digest, name), self.eyes, self.size))
        fitted = [images.to_uint8_tensor(_FITS[self.fit](part, self.size)) for part in self.parts(image)]
        return fitted[0] if len(fitted) == 1 else torch.cat(fitted)


@dataclass(frozen=True)
class Selection:
    """Which images of the sources are used; all choices depend on the seed and the images' content only."""

    seed: int = 0
    max_images: int | None = None  # training images of each domain at most
    equal_sides: bool = False  # cut the larger domain to the size of the smaller
    max_held_out: int = 1000  # images read of a held-out split at most

    @property
    def held_out_limit(self) -> int:
        """Held-out images of each domain at most."""
        if self.max_images is None:
            return self.max_held_out
        return min(self.max_held_out, max(MIN_HELD_OUT, self.max_images))


@dataclass(frozen=True)
class Batching:
    """How training images become batches."""

    batch_size: int  # of each process
    steps_per_epoch: int | None = None  # None: an epoch is one pass over the larger domain
    balance: bool = False  # fill the smaller domain up to the size of the larger with marked copies
    streaming: bool = False  # read the images as they come, without scanning them first
    workers: int = 0  # processes that decode images which are neither in memory nor streamed
    rank: int = 0  # of this process among `world_size`
    world_size: int = 1


_FITS: dict[Fit, Callable[[Image.Image, int], Image.Image]] = {
    "crop": images.square,
    "random-crop": images.resize_short,
    "stretch": lambda image, size: image.resize((size, size), Image.Resampling.LANCZOS),
    "pad": lambda image, size: ImageOps.pad(image, (size, size), Image.Resampling.LANCZOS),
}


def random_square(x: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """(C, H, W) -> (C, size, size): a square at a random place; every place is equally likely."""
    top, left = (int(random.integers(0, side - size + 1)) for side in x.shape[-2:])
    return x[:, top : top + size, left : left + size]
