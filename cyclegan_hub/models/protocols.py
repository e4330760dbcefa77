"""What every published model has, and the two kinds: a Translator takes images, a Sampler generates them from noise.

Code outside of `models/` asks these attributes instead of comparing classes or names of methods, so that a new method
needs no change there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.grids import drawable
from cyclegan_hub.models.checks import check_positive, whole_number
from cyclegan_hub.models.translate import evaluating, translate_batch
from cyclegan_hub.models.translator import ImageTranslator

GRID_SIZE = 6  # rows and columns of a Sampler's examples
# What its outputs are compared with: real images of the target side only; held-out images of both sides, unpaired;
# or, one by one, the real output that belongs to each input.
MeasuredBy = Literal["samples", "sides", "pairs"]


@dataclass(frozen=True)
class Examples:
    """What a model makes, as rows of images under headings (none for a Sampler)."""

    rows: Sequence[Sequence[Image.Image]]
    headings: list[str] = field(default_factory=list)


class Published(nn.Module, StrictHubMixin, library_name="cyclegan_hub"):
    """What all published models have. The class attributes are known before one is loaded: `KINDS[config["model"]].method`."""

    method: ClassVar[str]  # "cyclegan", "dcgan", "pix2pix": as its recipes are called
    title: ClassVar[str]  # of {a} and {b}: "{a} ↔ {b}"
    directions: tuple[str, ...]  # of the class: ("a_to_b", "b_to_a"), ("a_to_b",) or ("samples",)
    data_sides: ClassVar[tuple[str, ...]]  # keys of a run's data: ("a", "b") for two image sets, ("a",) for one, pairs included
    label_count: ClassVar[int]
    batch_unit: ClassVar[str]  # what a batch holds: "pairs" or "images"
    outputs_called: ClassVar[str]  # "translations" or "images"
    takes_pictures: ClassVar[bool]  # False: it samples from noise
    measured_by: MeasuredBy  # what its outputs are compared with in an evaluation
    card_template: ClassVar[str]  # a file of model_cards/

    channels: int  # 1 or 3
    image_size: int  # px, the side of the squares it was trained on
    domain: str
    labels: tuple[str, ...]  # of A and B, or of the one thing that is generated
    epoch: int | None

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json` that may be damaged, without building the model; None if it does not say."""
        return whole_number(config.get("image_size"))

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """Translations of squares of `image_size` px (PIL), aligned as its inputs are, or samples: for the image of a card."""
        raise NotImplementedError

    def network(self, direction: str | None = None) -> nn.Module:
        """The generator of a direction (None: the first). Raises ValueError, naming those there are, for another."""
        first, *others = self.directions
        if direction not in (None, *self.directions):
            named = f"{first} ({' -> '.join(self.labels if self.takes_pictures else ('noise', *self.labels))})"
            there = f"must be {named} or {others[0]}" if others else f"this model has one, {named}"
            raise UserError(f"direction={direction!r}: {there}")
        return self.get_submodule((direction or first) if others else "generator")


class Translator(Published, ImageTranslator, pipeline_tag="image-to-image"):
    """A published model that translates images."""

    label_count: ClassVar[int] = 2
    batch_unit: ClassVar[str] = "pairs"
    outputs_called: ClassVar[str] = "translations"
    takes_pictures: ClassVar[bool] = True
    measured_by: MeasuredBy = "sides"
    _decode = staticmethod(images.decode_with_alpha)

    def input_of(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) in [-1, 1] of any size -> the network's input for them, (N, C, H, W) times `enlargement`."""
        return x

    def has_skip(self, direction: str) -> bool:
        """Whether the network of a direction adds to its input."""
        return bool(getattr(self.network(direction), "skip", False))

    def _translated(self, inputs: Sequence[Image.Image], direction: str) -> list[Image.Image]:
        x = self.input_of(torch.stack([images.to_tensor(image) for image in inputs]))
        return [images.to_pil(y) for y in translate_batch(self.network(direction), x)]


class PairedTranslator(Translator):
    """A translator that was trained on pairs."""

    def prepare(self, target: Tensor) -> Tensor:
        """Real outputs (N, C, H, W) in [-1, 1] -> the inputs that the rule makes of them; as they are where pairs are given."""
        return self.rule.input_of(target)


class Sampler(Published, pipeline_tag="unconditional-image-generation"):
    """A published model that generates images from noise; its `forward` takes latents (N, L)."""

    label_count: ClassVar[int] = 1
    batch_unit: ClassVar[str] = "images"
    outputs_called: ClassVar[str] = "images"
    takes_pictures: ClassVar[bool] = False
    measured_by: MeasuredBy = "samples"

    latent: int  # numbers that an image is generated from

    def latents(self, n: int = 1, seed: int = 0, truncation: float | None = None) -> Tensor:
        """`n` standard normal latents of a seed, (n, L); the first ones of a larger `n` are the same.

        `truncation`: normal values between -t and t only (the truncation trick of Brock et al. 2019, section 3.1), fewer
        odd images for less variety; the same seed leads to a similar image. Raises ValueError for n below 1, a seed below 0
        or a truncation that is not above 0.
        """
        check_positive(n=n)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
            raise ValueError(f"seed={seed!r}: give a whole number from 0 up")
        if truncation is not None and not 0 < truncation < math.inf:
            raise ValueError(f"truncation={truncation!r}: give a number above 0, such as 1.0, or None")
        u = torch.rand(n, self.latent, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, device="cpu")
        share = 1.0 if truncation is None else math.erf(truncation / math.sqrt(2))
        z = math.sqrt(2) * torch.erfinv(share * (2 * u - 1))
        return z.clamp(-8, 8).float()  # u can be 0

    def sample(self, n: int = 1, *, seed: int = 0, truncation: float | None = None, batch_size: int = 64) -> list[Image.Image]:
        """`n` images of a seed (see `latents`), RGB or L; equal for equal arguments, but for rounding by `batch_size`."""
        return self.draw(self.latents(n, seed, truncation), batch_size)

    def interpolate(self, seed_a: int, seed_b: int, steps: int = 8, *, truncation: float | None = None) -> list[Image.Image]:
        """`steps` images from the one of `seed_a` to the one of `seed_b`, both included.

        Along the great circle between the latents (White 2016, section 2): a straight line would pass through norms that
        the generator never saw. Raises ValueError for fewer than 2 steps.
        """
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 2:
            raise ValueError(f"steps={steps!r}: give at least 2, the two ends")
        a, b = self.latents(1, seed_a, truncation)[0], self.latents(1, seed_b, truncation)[0]
        angle = torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1))
        t = torch.linspace(0, 1, steps, dtype=torch.float32, device="cpu")[:, None]
        if angle.sin() < 1e-4:  # one seed twice: they point the same way
            return self.draw(a + t * (b - a))
        return self.draw((torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle))

    def examples(self, photographs: Sequence[Image.Image] = ()) -> Examples:
        """The images of seed 0, none left out; photographs are not needed."""
        samples = self.sample(GRID_SIZE**2, seed=0)
        return Examples([samples[i : i + GRID_SIZE] for i in range(0, len(samples), GRID_SIZE)])

    @torch.no_grad()
    def draw(self, z: Tensor, batch_size: int = 64) -> list[Image.Image]:
        """The images of latents (N, L), as PIL images."""
        check_positive(batch_size=batch_size)
        parameter = next(self.parameters())
        with evaluating(self):
            parts = [self(part.to(parameter.device, parameter.dtype)).float().cpu() for part in z.split(batch_size)]
        return [images.to_pil(x) for x in torch.cat(parts)]


Model = Translator | Sampler


def arrow(direction: str, labels: Sequence[str]) -> str:
    """A direction in words: "photo → Monet" for a_to_b, the other way round for b_to_a, "face" for samples."""
    a, b = labels[0], labels[-1]
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}", "samples": b}.get(direction, direction)


def drawable_label(label: str, fallback: str) -> str:
    """A label for a heading of an image grid; `fallback` for one that the grid's font does not have."""
    return label if drawable(label) else fallback
