"""What all published translators share: images of any size and kind, one or many, through one network. No torch here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging import decoding
from cyclegan_hub.models.batches import Job, Run, run_in_batches
from cyclegan_hub.models.checks import is_positive
from cyclegan_hub.models.ensemble import ensembled
from cyclegan_hub.models.photograph import FaceChoice, Options, Photograph, Work
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule

if TYPE_CHECKING:
    from cyclegan_hub.imaging.images import ImageSource

Source: TypeAlias = "ImageSource"  # an OnnxGenerator takes no tensors
Sources: TypeAlias = "list[Any] | tuple[Any, ...]"  # of Source; a list of any one kind of them, too
Resolution = int | Literal["original"] | None  # px of the shorter side; None: `translate_size`
Fit = Callable[[Image.Image], Image.Image]
Plan = Callable[[Photograph], Work]


class ImageTranslator:
    """One or two networks that take images, and how an image of any size goes through them."""

    directions: tuple[str, ...]
    channels: int
    value_range: tuple[int, int] | None  # black and white of 16-bit images; None: 0 and 65,535
    eyes: Mapping[str, Eyes | None]  # where the eyes of faces lie in a direction's inputs; None: any images
    image_size: int
    rule: PairRule = PAIR_RULES["given"]  # by which its inputs are made of images
    _decode: Callable[..., tuple[Image.Image, Image.Image | None]] = staticmethod(decoding.decode_with_alpha)

    @overload
    def translate(
        self, image: Source, direction: str | None = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ..., whole: bool = ..., strength: float = ..., detail: bool | None = ...,
        ensemble: bool | None = ...,
    ) -> Image.Image: ...  # fmt: skip
    @overload
    def translate(
        self, image: Sources, direction: str | None = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ..., whole: bool = ..., strength: float = ..., detail: bool | None = ...,
        ensemble: bool | None = ...,
    ) -> list[Image.Image]: ...  # fmt: skip
    def translate(
        self,
        image: Source | Sources,
        direction: str | None = None,
        resolution: Resolution = None,
        batch_size: int = 8,
        *,
        face: FaceChoice = "auto",
        whole: bool = False,
        strength: float = 1.0,
        detail: bool | None = None,
        ensemble: bool | None = None,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, tensors, paths or bytes.

        `direction`: "a_to_b" or "b_to_a"; None: the first that the model has.
        `resolution`: the side of the square in which a face goes through the network, or the shorter side of a whole image.
        None: `translate_size`; a number: that many pixels; "original": its own. A longer side above 1,024 px is translated in
        tiles that share their statistics (ResNet; a U-Net sees the whole image at once). Inputs of one size go through the
        network in batches of `batch_size`.
        `face`: where the direction's inputs are faces (`eyes`), "auto" finds the largest one and brings its eyes to where the
        network expects them; the result is that square. If no face is found, the whole image is translated, with a
        FaceNotFoundWarning. A number chooses another face (0 is the largest), "none" takes the image as it is.
        `whole`: the image at its own size with the translated face in its place, with face="all" every one; outside a soft
        ellipse around each face the pixels are the image's own.
        `strength`: of a model with the skip (output = input + what the network adds) the share of the change, from 0 to 1.5.
        `detail`: of such a model the change is enlarged and added to the image at its own scale, which stays as sharp as it is;
        None: for faces. Without it a face is `image_size` px large.
        `ensemble`: of such a model the mean change of four copies of its input, shifted by up to 2 px and mirrored, in four times
        the time: fewer stains and stray lines. None: for faces.
        Returns PIL images, RGB, or L for a model of one channel; a whole image keeps its alpha channel.
        Raises `images.ImageError` for what is not an image and for a face that is not there, ValueError for an unknown
        direction, resolution or batch size and for options that mean nothing for this model.
        """
        direction = self.directions[0] if direction is None else direction
        plan = self.plan(direction, resolution, Options(face, whole, strength, detail, ensemble))
        many = isinstance(image, list | tuple)
        sources: Sequence[Any] = image if isinstance(image, list | tuple) else [image]
        jobs = (Job(place, plan(self.open(source))) for place, source in enumerate(sources))
        results: dict[int, Image.Image] = {}
        run: Run = partial(self._translated, direction=direction)
        if self.ensembles(direction, ensemble):
            run = ensembled(run)
        for job in run_in_batches(run, jobs, batch_size):
            for warning in job.work.warnings:
                warnings.warn(warning, stacklevel=2)
            results[job.name] = job.result()
        return [results[place] for place in range(len(sources))] if many else results[0]

    @property
    def translate_size(self) -> int:
        """Shorter side in px that `translate` brings an image to if no resolution is given."""
        return self.image_size // self.enlargement

    @property
    def enlargement(self) -> int:
        """How many times as large as its input a translation is: 1, or 4 for "upscale-4x"."""
        return self.rule.scale if self.rule.enlarges else 1

    def open(self, source: Source, name: str | None = None) -> Photograph:
        """A decoded image; errors call it `name`. Raises images.ImageError for what is not an image."""
        image, alpha = self._decode(source, self.channels, name=name, value_range=self.value_range)
        return Photograph(image, alpha, decoding.label_of(source, name))

    def has_skip(self, direction: str) -> bool:
        """Whether the network of a direction adds to its input."""
        raise NotImplementedError

    def plan(self, direction: str, resolution: Resolution, options: Options, square: bool = False) -> Plan:
        """How a photograph goes through the network; `square` cuts one that is translated as a whole to its centred square.

        Raises UserError for a resolution, and for options that mean nothing for this direction.
        """
        skip, eyes = self.has_skip(direction), self.eyes[direction]
        options.check(eyes, skip)
        fit, side = fit_to(resolution, self.translate_size), resolution or self.translate_size
        smallest = 1 if self.rule.enlarges else self.rule.scale
        return lambda photo: photo.plan(
            options, eyes=eyes, skip=skip, side=side, fit=lambda image: _checked(fit(image), smallest), square=square
        )

    def _prepared(self, image: Source, direction: str | None, resolution: Resolution, face: FaceChoice) -> Image.Image:
        """The input of the network for an image; warns at the line that called its caller."""
        work = self.plan(direction or self.directions[0], resolution, Options(face))(self.open(image))
        for warning in work.warnings:
            warnings.warn(warning, stacklevel=3)
        return work.inputs[0]

    def ensembles(self, direction: str, wanted: bool | None) -> bool:
        """Whether `translate` makes an ensemble: as wanted, None: of faces by a model with the skip."""
        return self.has_skip(direction) and self.eyes[direction] is not None if wanted is None else wanted

    def _translated(self, inputs: Sequence[Image.Image], direction: str) -> list[Image.Image]:
        """The outputs of inputs of one size."""
        raise NotImplementedError


def _checked(image: Image.Image, smallest: int) -> Image.Image:
    if min(image.size) < smallest:
        raise decoding.ImageError(f"this image is {image.width} x {image.height}: give one of {smallest} px and more")
    return image


def fit_to(resolution: Resolution, default: int) -> Fit:
    """The function that resizes a whole image: its shorter side to `resolution` px, None: to `default`.

    Raises UserError for another resolution.
    """
    if resolution == "original":
        return lambda image: image
    if resolution is not None and not is_positive(resolution):
        raise UserError(f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side")
    return lambda image: decoding.resize_short(image, resolution or default)
