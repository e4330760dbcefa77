"""Where the eyes of training images are: found once, kept with the run by content hash."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cyclegan_hub.data.specs import DataError
from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.imaging import images

FILE = "landmarks.json"  # in a run folder


class NoFaceError(images.ImageError):
    """An image in which no face is found, where one is needed."""


@dataclass(frozen=True)
class EyePair:
    """Two eyes, left and right as they are seen, x + iy in px of their image."""

    eyes: tuple[complex, complex]

    def flat(self) -> list[float]:
        """x, y, x, y."""
        return [part for eye in self.eyes for part in (eye.real, eye.imag)]


@dataclass
class Landmarks:
    """The eyes of the largest face of each image that was searched, by the image's content hash; None where no face was found.

    Any number of threads may ask. Given to a run that is resumed, it makes the images what they were, whatever the processor.
    """

    found: dict[str, EyePair | None] = field(default_factory=dict)

    def of(self, image: Image.Image, digest: str | None = None, name: str = "this image") -> EyePair:
        """The eyes in a decoded image, whose content hash may be given. Raises NoFaceError, of `name`, and FaceFinderError."""
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
        """Those of a run folder; none yet where it has no `landmarks.json`. Raises DataError if that is damaged."""
        path = folder / FILE
        return cls.loads(path.read_bytes()) if path.is_file() else cls()

    @classmethod
    def loads(cls, data: bytes) -> Landmarks:
        """What `dumps` wrote. Raises DataError for anything else."""
        try:
            found = {
                str(key): None if eyes is None else EyePair((complex(eyes[0], eyes[1]), complex(eyes[2], eyes[3])))
                for key, eyes in json.loads(data).items()
            }
        except (ValueError, TypeError, IndexError, KeyError, AttributeError):
            raise DataError("landmarks.json of the run is damaged: restore it, or delete it to find the faces again") from None
        return cls(found)


# How a decoded image becomes the square tensor that is trained on: channels, value range, halves of a pair, and fit.


Fit = Literal["crop", "random-crop", "stretch", "pad"]
Decodable = bytes | Path | npt.NDArray[Any] | Image.Image  # what a pile may hold; `images.decode` takes all of them


class Readable(Protocol):
    """A pile of images that are not decoded yet: `RawImages` or pairs of them."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The image's name in log lines."""
        ...

    def read(self, index: int) -> Decodable:
        """The image, not decoded: an argument of `images.decode`."""
        ...


@dataclass(frozen=True)
class Reading:
    """How the images of a pile are read.

    `fit` says how an image that is not square becomes a square. "crop": its centred square. "random-crop": a square at a new
    random place each time it is trained on, its centred square if it is held out. "stretch": the whole image, distorted.
    "pad": the whole image with black bars on two sides. With `eyes` the images are faces, and `fit` says nothing: each is aligned
    by the largest face in it, so that its eyes lie there. An image without a face cannot be read so.
    """

    channels: int = 3
    value_range: tuple[int, int] | None = None  # of 16-bit images, the values that become black and white; None: 0 and 65,535
    halves: bool = False  # each image shows a pair side by side; its tensor has the channels of one half, then of the other
    swapped: bool = False  # with `halves`: the right half comes first
    fit: Fit = "crop"
    eyes: Eyes | None = None  # (left x, left y, right x, right y) in shares of the square's side
    landmarks: Landmarks = field(default_factory=Landmarks, compare=False)  # where the eyes of each image are, found once

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise DataError(f"fit={self.fit!r}: give {', '.join(get_args(Fit))}")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise DataError(f"value_range={self.value_range}: give the darkest value and a larger one, such as 0,4095")

    @property
    def planes(self) -> int:
        """Channels of the tensor: `channels`, or twice as many for pairs."""
        return self.channels * (2 if self.halves else 1)

    def decode(self, items: Readable, row: int) -> Image.Image:
        """One image of a pile. Raises images.ImageError or OSError."""
        return images.decode(items.read(row), self.channels, name=items.name(row), value_range=self.value_range)

    def parts(self, image: Image.Image, name: str = "this image") -> tuple[Image.Image, ...]:
        """The image itself, or (input, output) for a pair. Raises images.ImageError for a pair of odd width."""
        if not self.halves:
            return (image,)
        left, right = images.halves(image, name)
        return (right, left) if self.swapped else (left, right)

    def tensor(self, image: Image.Image, size: int) -> Tensor:
        """A decoded image -> uint8 (planes, size, size); with "random-crop" (planes, H, W), the shorter side `size` px.

        Raises NoFaceError where `eyes` are given and the image has none.
        """
        if self.eyes is not None:
            return images.to_uint8_tensor(align(image, self.landmarks.of(image), self.eyes, size))
        fitted = [images.to_uint8_tensor(_FITS[self.fit](part, size)) for part in self.parts(image)]
        return fitted[0] if len(fitted) == 1 else torch.cat(fitted)

    def centred(self) -> Reading:
        """The same without randomness ("crop" instead of "random-crop"), for held-out images."""
        return replace(self, fit="crop") if self.fit == "random-crop" else self


def _stretched(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _padded(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.pad(image, (size, size), Image.Resampling.LANCZOS)


_FITS = {"crop": images.square, "random-crop": images.resize_short, "stretch": _stretched, "pad": _padded}


def random_square(x: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """(C, H, W) -> (C, size, size): a square at a random place; every place is equally likely."""
    top, left = (int(random.integers(0, side - size + 1)) for side in x.shape[-2:])
    return x[:, top : top + size, left : left + size]
