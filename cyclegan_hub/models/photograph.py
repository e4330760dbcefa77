"""How a photograph is translated: the inputs of the network, and the result that its outputs make. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.faces import Face, Similarity, alignment, find_faces, own_side, put_back, region_of, warp
from cyclegan_hub.imaging import decoding
from cyclegan_hub.imaging.decoding import ImageError, check_size

FaceChoice: TypeAlias = int | Literal["auto", "none", "all"]
Side: TypeAlias = int | Literal["original"]  # px, or the photograph's own scale
MAX_STRENGTH = 1.5  # beyond it the changes of all models that were tried look like damage


class FaceNotFoundWarning(UserWarning):
    """No face is found in a photograph: the whole image is translated, or none of it where faces are put back."""


@dataclass(frozen=True)
class Options:
    """How a photograph is translated.

    `face`: "auto" aligns the largest face, where the direction's inputs are faces; a number another one (0 is the largest); "all"
    every one, with `whole`; "none": the photograph as it is. `whole`: each translated face is put back into the photograph.
    `strength`: share of the change that a model with the skip adds, 0 to 1.5; it was trained for 1. `detail`: such a model's
    change is enlarged and added to the photograph at its own scale, so that it stays as sharp as it is; None: for faces.
    `ensemble`: such a model's change is the mean of several (`models/ensemble.py`); None: for faces.
    """

    face: FaceChoice = "auto"
    whole: bool = False
    strength: float = 1.0
    detail: bool | None = None
    ensemble: bool | None = None

    def check(self, eyes: Eyes | None, skip: bool) -> None:
        """Raises UserError for an invalid value, and for a combination that means nothing for this direction."""
        number = isinstance(self.face, int) and not isinstance(self.face, bool) and self.face >= 0
        if not number and self.face not in ("auto", "none", "all"):
            raise UserError(f"face={self.face!r}: give 'auto', 'none', 'all', or the number of a face, 0 for the largest")
        if eyes is None and (number or self.face == "all"):
            raise UserError(f"face={self.face!r}: this direction takes any image, not aligned faces: leave face out")
        if eyes is None and self.whole:
            raise UserError("whole=True: this direction translates whole images anyway: leave whole out")
        if self.face == "all" and not self.whole:
            raise UserError("face='all': several faces need the photograph that they are put back into: add whole=True")
        if self.face == "none" and self.whole:
            raise UserError("whole=True, face='none': there is no face to put back: leave one of the two out")
        strength = self.strength
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= MAX_STRENGTH:
            raise UserError(f"strength={strength!r}: give a number from 0 (nothing changes) to {MAX_STRENGTH}")
        if strength != 1 and not skip:
            raise UserError(f"strength={strength!r}: this model does not add a change to its input: leave strength out")
        if self.ensemble and not skip:
            raise UserError("ensemble=True: this model does not add a change to its input: leave ensemble out")


DEFAULT = Options()


@dataclass(frozen=True)
class Work:
    """The translation of a photograph: `inputs`, of any sizes, go through the network; `finish` takes the outputs in order."""

    inputs: list[Image.Image]
    finish: Callable[[Sequence[Image.Image]], Image.Image]
    faces: list[Face] = field(default_factory=list)  # all that were found, the largest first
    warnings: list[Warning] = field(default_factory=list)  # for whoever runs it, to warn at its caller's line
    pixels: int = 0  # of the photograph, or of its alpha channel, that it holds


@dataclass(frozen=True)
class Photograph:
    """A decoded image (mode "L" or "RGB") with its alpha channel, if it has one; errors and warnings call it `name`."""

    image: Image.Image
    alpha: Image.Image | None = None
    name: str = "this image"

    def plan(
        self,
        options: Options,
        *,
        eyes: Eyes | None,
        skip: bool,
        side: Side,
        fit: Callable[[Image.Image], Image.Image],
        square: bool = False,
        find: Callable[[Image.Image], list[Face]] = find_faces,
    ) -> Work:
        """How it is translated by a network whose inputs are faces with their eyes at `eyes` (None: any images).

        `side` is that of an aligned face in px ("original": at the photograph's own scale); `fit` resizes a whole image, of which
        `square` leaves the centred square.
        Where no face is found the work has a FaceNotFoundWarning. Raises ImageError for the number of a face that is not there.
        """
        if eyes is None or options.face == "none":
            return self._whole(options, skip, side, fit, square)
        faces = find(self.image)
        if not faces and isinstance(options.face, int):
            raise ImageError(f"face={options.face}: no face is found in {self.name}")
        if isinstance(options.face, int) and options.face >= len(faces):
            last = f" to {len(faces) - 1}" if len(faces) > 1 else ""
            raise ImageError(f"face={options.face}: {self.name} has {counted(len(faces), 'face')}: give 0{last}")
        if not faces:
            work = self.unchanged() if options.whole else self._whole(options, skip, side, fit, square)
            result = "it is left as it is" if options.whole else "all of it is translated, which this model was not trained for"
            work.warnings.append(FaceNotFoundWarning(f"no face is found in {self.name}: {result}"))
            return work
        chosen = faces if options.face == "all" else [faces[options.face if isinstance(options.face, int) else 0]]
        squares = [_Square.of(self.image, face, eyes, side) for face in chosen]

        def finish(outputs: Sequence[Image.Image]) -> Image.Image:
            if not options.whole:
                return squares[0].result(self.image, outputs[0], options, skip)
            result = self.image
            for square, output in zip(squares, outputs, strict=True):
                result = square.put_back(result, output, options, skip)
            return self.with_alpha(result)

        return Work([square.input for square in squares], finish, faces, pixels=self._pixels)

    def unchanged(self) -> Work:
        """The work whose result is the photograph itself."""
        return Work([], lambda _: self.with_alpha(self.image.copy()))

    def _whole(self, options: Options, skip: bool, side: Side, fit: Callable[[Image.Image], Image.Image], square: bool) -> Work:
        own_scale, photo = skip and bool(options.detail), self
        if square:
            photo = self._squared(min(self.image.size) if own_scale or side == "original" else side)
        fitted = fit(photo.image)
        if not own_scale:  # little of the photograph is held in memory
            photo = Photograph(fitted, photo.alpha, self.name)

        def finish(outputs: Sequence[Image.Image]) -> Image.Image:
            if photo.image.size == fitted.size:
                return photo.with_alpha(blended(fitted, outputs[0], options.strength))
            channels = enlarged(change(fitted, outputs[0]), photo.image.size)
            return photo.with_alpha(added(photo.image, channels, options.strength))

        return Work([fitted], finish, pixels=photo._pixels)

    def _squared(self, side: int) -> Photograph:
        """The centred square of `side` px, with that of the alpha channel as large as it is."""
        alpha = None if self.alpha is None else decoding.square(self.alpha, min(self.image.size))
        return Photograph(decoding.square(self.image, side), alpha, self.name)

    @property
    def _pixels(self) -> int:
        return max(one.width * one.height for one in (self.image, self.alpha) if one is not None)

    def with_alpha(self, result: Image.Image) -> Image.Image:
        """A result that shows the whole image, as transparent as the image is."""
        if self.alpha is None:
            return result
        alpha = self.alpha if self.alpha.size == result.size else self.alpha.resize(result.size, Image.Resampling.LANCZOS)
        result = result.convert("LA" if result.mode == "L" else "RGBA")
        result.putalpha(alpha)
        return result


@dataclass(frozen=True)
class _Square:
    """One aligned face: the network's input, and its place in the photograph."""

    input: Image.Image
    transform: Similarity  # from px of the square to px of the photograph
    face: Face
    eyes: Eyes

    @classmethod
    def of(cls, photo: Image.Image, face: Face, eyes: Eyes, side: Side) -> _Square:
        pixels = own_side(face, eyes) if side == "original" else side
        check_size(pixels, pixels, f"a face of {pixels} x {pixels}")
        transform = alignment(face, eyes, pixels)
        return cls(warp(photo, transform, (pixels, pixels)), transform, face, eyes)

    def result(self, photo: Image.Image, output: Image.Image, options: Options, skip: bool) -> Image.Image:
        own = own_side(self.face, self.eyes)
        if not skip or options.detail is False or own <= self.input.width:
            return blended(self.input, output, options.strength)
        square = warp(photo, alignment(self.face, self.eyes, own), (own, own))
        return added(square, enlarged(change(self.input, output), square.size), options.strength)

    def put_back(self, photo: Image.Image, output: Image.Image, options: Options, skip: bool) -> Image.Image:
        if not skip or options.detail is False:
            return put_back(photo, blended(self.input, output, options.strength), self.transform)
        region = region_of(photo, self.transform, self.input.width)
        if region is None:
            return photo
        channels = [warp(one, region.to_square, region.size) for one in change(self.input, output)]
        result = photo.copy()
        result.paste(added(photo.crop(region.box), channels, options.strength, region.mask()), region.box)
        return result


def change(before: Image.Image, after: Image.Image) -> list[Image.Image]:
    """What a network added to its input, in values of 8 bits: an image of mode "F" for each channel."""
    difference = np.asarray(after, np.float32) - np.asarray(before, np.float32)
    return [Image.fromarray(one) for one in np.moveaxis(np.atleast_3d(difference), 2, 0)]


def enlarged(channels: list[Image.Image], size: tuple[int, int]) -> list[Image.Image]:
    """A change at another size (width, height)."""
    return [one.resize(size, Image.Resampling.BICUBIC) for one in channels]


def added(
    image: Image.Image, channels: list[Image.Image], strength: float, mask: npt.NDArray[np.float32] | None = None
) -> Image.Image:
    """An image with `strength` times a change of its size added, less where a `mask` (H, W) is below 1."""
    weight = strength if mask is None else strength * mask
    bands = [
        Image.fromarray(np.rint(np.asarray(band, np.float32) + weight * np.asarray(one)).clip(0, 255).astype(np.uint8))
        for band, one in zip(image.split(), channels, strict=True)
    ]
    return bands[0] if len(bands) == 1 else Image.merge("RGB", bands)


def blended(before: Image.Image, after: Image.Image, strength: float) -> Image.Image:
    """`before` + `strength` times what changed; `after` itself for 1."""
    return after if strength == 1 else added(before, change(before, after), strength)
