"""What every published model has, and the two kinds: a Translator takes images, a Sampler generates them from noise.

Code outside of `models/` asks these attributes instead of comparing classes or names of methods, so that a new method
needs no change there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.hub.records import RunRecord
from cyclegan_hub.imaging import images
from cyclegan_hub.models.checks import whole_number
from cyclegan_hub.models.photograph import Options
from cyclegan_hub.models.translate import translate_batch
from cyclegan_hub.models.translator import Fit, ImageTranslator, Plan, Resolution, fit_to
from cyclegan_hub.recipes.pair_rules import PairRule

# What its outputs are compared with: real images of the target side only; held-out images of both sides, unpaired;
# or, one by one, the real output that belongs to each input.
MeasuredBy = Literal["samples", "sides", "pairs"]


@dataclass(frozen=True)
class Examples:
    """What a model makes, as rows of images under headings (none for a Sampler)."""

    rows: list[Sequence[Image.Image]]
    headings: list[str] = field(default_factory=list)


class Published(Protocol):
    """What all have. The class attributes are known before a model is loaded: `KINDS[config["model"]].method`."""

    method: ClassVar[str]  # "cyclegan", "dcgan", "pix2pix": as its recipes are called
    title: ClassVar[str]  # of {a} and {b}: "{a} ↔ {b}"
    directions: tuple[str, ...]  # of the class: ("a_to_b", "b_to_a"), ("a_to_b",) or ("samples",)
    data_sides: ClassVar[tuple[str, ...]]  # keys of a run's data: ("a", "b") for two image sets, ("a",) for one, pairs included
    label_count: ClassVar[int]
    batch_unit: ClassVar[str]  # what a batch holds: "pairs" or "images"
    outputs_called: ClassVar[str]  # "translations" or "images"
    takes_pictures: ClassVar[bool]  # False: it samples from noise
    card_template: ClassVar[str]  # a file of model_cards/

    channels: int  # 1 or 3
    image_size: int  # px, the side of the squares it was trained on
    domain: str
    labels: tuple[str, ...]  # of A and B, or of the one thing that is generated
    epoch: int | None

    @property
    def config(self) -> dict[str, Any]:
        """The content of `config.json`."""

    @property
    def record(self) -> RunRecord | None:
        """The record of the run that made the weights, from where the model was loaded; None without one."""

    @property
    def measured_by(self) -> MeasuredBy:
        """What its outputs are compared with in an evaluation."""

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json` that may be damaged, without building the model; None if it does not say."""

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """Translations of squares of `image_size` px (PIL), aligned as its inputs are, or samples: for the image of a card."""

    def network(self, direction: str) -> nn.Module:
        """The generator of a direction. Raises ValueError, naming those there are, for another."""


class Translator(nn.Module, StrictHubMixin, ImageTranslator, library_name="cyclegan_hub", pipeline_tag="image-to-image"):
    """A published model that translates images: the base of `CycleGenerator` and `PairedGenerator`."""

    method: ClassVar[str]
    title: ClassVar[str]
    data_sides: ClassVar[tuple[str, ...]]
    card_template: ClassVar[str]
    label_count: ClassVar[int] = 2
    batch_unit: ClassVar[str] = "pairs"
    outputs_called: ClassVar[str] = "translations"
    takes_pictures: ClassVar[bool] = True

    domain: str
    labels: tuple[str, ...]
    epoch: int | None
    _decode = staticmethod(images.decode_with_alpha)

    @property
    def measured_by(self) -> MeasuredBy:
        """Unpaired images of both domains."""
        return "sides"

    def network(self, direction: str) -> nn.Module:
        """The generator of a direction. Raises ValueError, naming those there are, for another."""
        raise NotImplementedError

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """See `Published.examples`."""
        raise NotImplementedError

    def input_of(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of any size -> the network's input for them, (N, C, H, W) times `enlargement`."""
        return x

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json`."""
        return whole_number(config.get("image_size"))

    def has_skip(self, direction: str) -> bool:
        """Whether the network of a direction adds to its input."""
        return bool(getattr(self.network(direction), "skip", False))

    def _fit(self, resolution: Resolution) -> Fit:
        return fit_to(resolution, self.translate_size)

    def _plan(self, direction: str, resolution: Resolution, options: Options) -> Plan:
        skip, eyes = self.has_skip(direction), self.eyes[direction]
        options.check(eyes, skip)
        fit, side = self._fit(resolution), resolution or self.translate_size
        return lambda photo: photo.plan(options, eyes=eyes, skip=skip, side=side, fit=fit)

    def _translated(self, inputs: Sequence[Image.Image], direction: str) -> list[Image.Image]:
        x = self.input_of(torch.stack([images.to_tensor(image) for image in inputs]))
        return [images.to_pil(y) for y in translate_batch(self.network(direction), x)]


class PairedTranslator(Translator):
    """A translator that was trained on pairs."""

    rule: PairRule

    def prepare(self, target: Tensor) -> Tensor:
        """Real outputs (N, C, H, W) in [-1, 1] -> the inputs that the rule makes of them; as they are where pairs are given."""
        return self.rule.input_of(target)


@runtime_checkable
class Sampler(Published, Protocol):
    """A model that generates images from noise."""

    latent: int  # numbers that an image is generated from

    def latents(self, n: int = 1, seed: int = 0, truncation: float | None = None) -> Tensor:
        """`n` standard normal latents of a seed, (n, latent)."""

    def sample(self, n: int = 1, *, seed: int = 0, truncation: float | None = None, batch_size: int = 64) -> list[Image.Image]:
        """`n` images of a seed."""

    def interpolate(self, seed_a: int, seed_b: int, steps: int = 8, *, truncation: float | None = None) -> list[Image.Image]:
        """`steps` images from the one of a seed to that of another."""

    def draw(self, z: Tensor, batch_size: int = 64) -> list[Image.Image]:
        """The images of latents (N, latent)."""


Model = Translator | Sampler


def arrow(direction: str, labels: Sequence[str]) -> str:
    """A direction in words: "photo → Monet" for a_to_b, the other way round for b_to_a, "face" for samples."""
    a, b = labels[0], labels[-1]
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}", "samples": b}.get(direction, direction)


def ascii_label(label: str, fallback: str) -> str:
    """A label for a heading of an image grid; `fallback` for one that the grid's font may not have."""
    return label if label.isascii() else fallback
