"""How a decoded image becomes the square tensor that is trained on: channels, value range, halves of a pair, and fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.data.specs import DataError

Fit = Literal["crop", "random-crop", "stretch", "pad"]
Decodable = bytes | Path | npt.NDArray[Any] | Image.Image  # of what `images.decode` takes, what a pile holds


class Readable(Protocol):
    """A pile of images that are not decoded yet: `RawImages` or pairs of them."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What to call the image in a log line."""
        ...

    def read(self, index: int) -> Decodable:
        """Something `images.decode` takes."""
        ...


@dataclass(frozen=True)
class Reading:
    """How the images of a pile are read.

    `fit` says what becomes of an image that is not square: its centred square ("crop"), a square at a place that is drawn anew
    each time it is trained on ("random-crop"; its centred square where it is held out), all of it, distorted ("stretch"), or all
    of it with black at two sides ("pad").
    """

    channels: int = 3
    value_range: tuple[int, int] | None = None  # of 16-bit images, the values that become black and white; None: 0 and 65,535
    halves: bool = False  # an image is a pair side by side, and becomes the channels of one half, then those of the other
    swapped: bool = False  # of a pair, the right half comes first
    fit: Fit = "crop"

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise DataError(f"fit={self.fit!r}: give {', '.join(get_args(Fit))}")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise DataError(f"value_range={self.value_range}: give the darkest value and a larger one, such as 0,4095")

    @property
    def planes(self) -> int:
        """Channels of the tensor: of a pair those of both halves."""
        return self.channels * (2 if self.halves else 1)

    def decode(self, items: Readable, row: int) -> Image.Image:
        """One image of a pile. Raises images.ImageError or OSError."""
        return images.decode(items.read(row), self.channels, name=items.name(row), value_range=self.value_range)

    def parts(self, image: Image.Image, name: str = "this image") -> tuple[Image.Image, ...]:
        """The pictures in an image: itself, or of a pair the input and the output. Raises images.ImageError for an odd width."""
        if not self.halves:
            return (image,)
        left, right = images.halves(image, name)
        return (right, left) if self.swapped else (left, right)

    def tensor(self, image: Image.Image, size: int) -> Tensor:
        """A decoded image as uint8 (planes, size, size); with "random-crop" uncropped, the shorter side `size` pixels long."""
        fitted = [images.to_uint8_tensor(_FITS[self.fit](part, size)) for part in self.parts(image)]
        return fitted[0] if len(fitted) == 1 else torch.cat(fitted)

    def centred(self) -> Reading:
        """The same without chance: what held-out images are read with."""
        return replace(self, fit="crop") if self.fit == "random-crop" else self


def _stretched(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.LANCZOS)


def _padded(image: Image.Image, size: int) -> Image.Image:
    return ImageOps.pad(image, (size, size), Image.Resampling.LANCZOS)


_FITS = {"crop": images.square, "random-crop": images.resize_short, "stretch": _stretched, "pad": _padded}


def random_square(x: Tensor, size: int, random: np.random.Generator) -> Tensor:
    """(C, H, W) -> (C, size, size): a part at a random place, every place equally likely."""
    top, left = (int(random.integers(0, side - size + 1)) for side in x.shape[-2:])
    return x[:, top : top + size, left : left + size]
