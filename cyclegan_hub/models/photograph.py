"""What of a photograph goes through a network, and what becomes of the photograph with what comes out. No torch here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.faces import Face, Similarity, alignment, find_faces, put_back, region_of, warp
from cyclegan_hub.imaging.decoding import ImageError, check_size

FaceChoice: TypeAlias = int | Literal["auto", "none", "all"]
MAX_STRENGTH = 1.5  # beyond it the changes of all models that were tried look like damage
MAX_SIDE = 4096  # px of the square of one face at the photograph's own scale


class FaceNotFoundWarning(UserWarning):
    """No face is found in a photograph: all of it is translated, or none of it where faces are put back."""


@dataclass(frozen=True)
class Options:
    """How a photograph is translated.

    `face`: "auto" aligns the largest face, where the direction's inputs are faces; a number another one (0 is the largest); "all"
    every one, with `whole`; "none": the photograph as it is. `whole`: each translated face is put back into the photograph.
    `strength`: of the change that a model with the skip adds, 0 to 1.5; 1 is what it was trained for. `detail`: such a model's
    change is enlarged and added to the photograph at its own scale, so that it stays as sharp as it is; None: for faces.
    """

    face: FaceChoice = "auto"
    whole: bool = False
    strength: float = 1.0
    detail: bool | None = None

    def check(self, eyes: Eyes | None, skip: bool) -> None:
        """Raises UserError for a value that there is not, and for a combination that means nothing for this direction."""
        number = isinstance(self.face, int) and not isinstance(self.face, bool) and self.face >= 0
        if not number and self.face not in ("auto", "none", "all"):
            raise UserError(f"face={self.face!r}: give 'auto', 'none', 'all', or the number of a face, 0 for the largest")
        if eyes is None and (number or self.face == "all"):
            raise UserError(f"face={self.face!r}: this direction takes any picture, not aligned faces: leave face out")
        if eyes is None and self.whole:
            raise UserError("whole=True: this direction translates whole pictures anyway: leave whole out")
        if self.face == "all" and not self.whole:
            raise UserError("face='all': several faces need the photograph that they are put back into: add whole=True")
        if self.face == "none" and self.whole:
            raise UserError("whole=True, face='none': there is no face to put back: leave one of the two out")
        strength = self.strength
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= MAX_STRENGTH:
            raise UserError(f"strength={strength!r}: give a number from 0 (nothing changes) to {MAX_STRENGTH}")
        if strength != 1 and not skip:
            raise UserError(
                f"strength={strength!r}: this model draws its output anew instead of changing its input: leave strength out"
            )


DEFAULT = Options()


@dataclass(frozen=True)
class Work:
    """What a network has to do for a photograph: `inputs`, of any sizes, go through it; `finish` takes the outputs in order."""

    inputs: list[Image.Image]
    finish: Callable[[Sequence[Image.Image]], Image.Image]
    faces: list[Face] = field(default_factory=list)  # all that were found, the largest first
    warnings: list[Warning] = field(default_factory=list)  # for the caller

    def warned(self) -> Work:
        """This work, after its warnings were given."""
        for warning in self.warnings:
            warnings.warn(warning, stacklevel=4)
        return self


@dataclass(frozen=True)
class Photograph:
    """A decoded picture (mode "L" or "RGB") with its alpha channel, if it has one; errors and warnings call it `name`."""

    image: Image.Image
    alpha: Image.Image | None = None
    name: str = "this image"

    def plan(
        self,
        options: Options,
        *,
        eyes: Eyes | None,
        skip: bool,
        side: int | Literal["original"],
        fit: Callable[[Image.Image], Image.Image],
        find: Callable[[Image.Image], list[Face]] = find_faces,
    ) -> Work:
        """How it is translated by a network whose inputs are faces with their eyes at `eyes` (None: any pictures).

        `side` is that of an aligned face in px ("original": at the photograph's own scale), `fit` brings a whole picture to size.
        Where no face is found the work has a FaceNotFoundWarning. Raises ImageError for a face that there is not.
        """
        if eyes is None or options.face == "none":
            return self._of_all(options, skip, fit)
        faces = find(self.image)
        if not faces and isinstance(options.face, int):
            raise ImageError(f"face={options.face}: no face is found in {self.name}")
        if isinstance(options.face, int) and options.face >= len(faces):
            numbers = "1 face: give 0" if len(faces) == 1 else f"{len(faces)} faces: give 0 to {len(faces) - 1}"
            raise ImageError(f"face={options.face}: {self.name} has {numbers}")
        if not faces:
            result = "it is left as it is" if options.whole else "all of it is translated, which this model was not trained for"
            work = Work([], lambda _: self.with_alpha(self.image.copy())) if options.whole else self._of_all(options, skip, fit)
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

        return Work([square.input for square in squares], finish, faces)

    def _of_all(self, options: Options, skip: bool, fit: Callable[[Image.Image], Image.Image]) -> Work:
        picture = fit(self.image)

        def finish(outputs: Sequence[Image.Image]) -> Image.Image:
            if skip and options.detail and picture.size != self.image.size:
                return self.with_alpha(
                    added(self.image, enlarged(change(picture, outputs[0]), self.image.size), options.strength)
                )
            return self.with_alpha(blended(picture, outputs[0], options.strength))

        return Work([picture], finish)

    def with_alpha(self, result: Image.Image) -> Image.Image:
        """A result that shows all of the picture, as transparent as the picture is."""
        if self.alpha is None:
            return result
        alpha = self.alpha if self.alpha.size == result.size else self.alpha.resize(result.size, Image.Resampling.LANCZOS)
        result = result.convert("LA" if result.mode == "L" else "RGBA")
        result.putalpha(alpha)
        return result


@dataclass(frozen=True)
class _Square:
    """One aligned face: the network's input, and where it lies in the photograph."""

    input: Image.Image
    transform: Similarity  # from px of the square to px of the photograph
    face: Face
    eyes: Eyes

    @classmethod
    def of(cls, photo: Image.Image, face: Face, eyes: Eyes, side: int | Literal["original"]) -> _Square:
        pixels = max(1, min(round(alignment(face, eyes, 1).scale), MAX_SIDE)) if side == "original" else side
        check_size(pixels, pixels, f"a face of {pixels} x {pixels}")
        transform = alignment(face, eyes, pixels)
        return cls(warp(photo, transform, (pixels, pixels)), transform, face, eyes)

    def result(self, photo: Image.Image, output: Image.Image, options: Options, skip: bool) -> Image.Image:
        own = min(round(self.input.width * self.transform.scale), MAX_SIDE)
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


def run_in_batches(
    run: Callable[[Sequence[Image.Image]], Sequence[Image.Image]], works: Iterable[Work], batch_size: int
) -> Iterator[tuple[int, Image.Image]]:
    """Takes each work's inputs through `run` and yields (its place, its result) when it is done; inputs of one size make a batch.

    Raises UserError for a batch size below 1.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size={batch_size!r}: give how many images of one size go through the network at a time")
    waiting: dict[tuple[int, int], list[tuple[int, int, Image.Image]]] = {}
    open_works: dict[int, tuple[Work, dict[int, Image.Image]]] = {}  # with the outputs that are there

    def flush(group: list[tuple[int, int, Image.Image]]) -> Iterator[tuple[int, Image.Image]]:
        for (place, part, _), output in zip(group, run([image for _, _, image in group]), strict=True):
            work, outputs = open_works[place]
            outputs[part] = output
            if len(outputs) == len(work.inputs):
                yield place, work.finish([outputs[i] for i in range(len(outputs))])
                del open_works[place]

    for place, work in enumerate(works):
        if not work.inputs:
            yield place, work.finish([])
            continue
        open_works[place] = work, {}
        for part, image in enumerate(work.inputs):
            group = waiting.setdefault(image.size, [])
            group.append((place, part, image))
            if len(group) == batch_size:
                yield from flush(waiting.pop(image.size))
    for group in waiting.values():
        yield from flush(group)


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
