"""The published model of a DCGAN: a generator with everything needed to sample from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.errors import UserError
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.imaging import images
from cyclegan_hub.models.checks import check_labels, check_positive
from cyclegan_hub.models.generators import DCGANGenerator
from cyclegan_hub.models.protocols import Examples, MeasuredBy
from cyclegan_hub.models.translate import evaluating

_GRID = 6  # rows and columns of the examples


class DCGAN(
    nn.Module,
    StrictHubMixin,
    library_name="cyclegan_hub",
    tags=["dcgan", "unconditional-image-generation", "gan"],
    pipeline_tag="unconditional-image-generation",
    paper_url="https://arxiv.org/abs/1511.06434",
    model_card_template=(MODEL_CARDS / "bare_dcgan.md").read_text("utf-8"),
):
    """A DCGAN's generator (Radford et al. 2016): latents (N, `latent`) -> images (N, C, S, S) in [-1, 1].

    `channels`, `latent` and `widths` describe the network (see `models/generators.py`), S = 4 * 2 ** len(widths);
    `domain`, `labels` (one) and `epoch` describe it. All of it is in `config.json`, which names the class by its former name,
    FaceGenerator. In evaluation mode, which `sample` always uses, batch norm takes the statistics of the training, so that an
    image does not depend on the others of its batch.
    """

    method: ClassVar[str] = "dcgan"
    title: ClassVar[str] = "noise → {b}"
    directions: tuple[str, ...] = ("samples",)
    data_sides: ClassVar[tuple[str, ...]] = ("a",)
    label_count: ClassVar[int] = 1
    batch_unit: ClassVar[str] = "images"
    outputs_called: ClassVar[str] = "images"
    takes_pictures: ClassVar[bool] = False
    card_template: ClassVar[str] = "dcgan.md"
    measured_by: ClassVar[MeasuredBy] = "samples"

    def __init__(
        self,
        channels: int = 3,
        latent: int = 100,
        widths: Sequence[int] = (256, 128, 64, 32),
        domain: str = "",
        labels: Sequence[str] = ("face",),
        epoch: int | None = None,
    ) -> None:
        super().__init__()
        self.labels: tuple[str, ...] = check_labels(labels, 1, "one, of what is generated")
        check_positive(channels=channels, latent=latent)
        if isinstance(widths, str) or not widths:
            raise ValueError(f"widths={widths!r}: give channels, such as 256, 128, 64, 32")
        for width in widths:
            check_positive(widths=width)
        self.generator = DCGANGenerator(channels, latent, widths)
        self.channels, self.latent, self.domain, self.epoch = channels, latent, domain, epoch
        self.image_size = 4 * 2 ** len(widths)

    @classmethod
    def config_kind(cls) -> str:
        """The class in `config.json`: its name before it was renamed."""
        return "FaceGenerator"

    def forward(self, z: Tensor) -> Tensor:
        """Latents (N, L) or (N, L, 1, 1) -> images (N, C, S, S) in [-1, 1]. Raises ValueError for another shape."""
        if z.ndim == 2:
            z = z[:, :, None, None]
        if z.ndim != 4 or tuple(z.shape[1:]) != (self.latent, 1, 1):
            raise ValueError(f"z has shape {tuple(z.shape)}: give latents (N, {self.latent}) or (N, {self.latent}, 1, 1)")
        images_of_z: Tensor = self.generator(z)
        return images_of_z

    def network(self, direction: str = "samples") -> nn.Module:
        """The generator: latents (N, L, 1, 1) -> (N, C, S, S). Raises ValueError for another direction than "samples"."""
        if direction != "samples":
            raise UserError(f"direction={direction!r}: this model has one, samples (noise -> {self.labels[0]})")
        return self.generator

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
        u = torch.rand(n, self.latent, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
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
        t = torch.linspace(0, 1, steps)[:, None]
        if angle.sin() < 1e-4:  # one seed twice: they point the same way
            return self.draw(a + t * (b - a))
        return self.draw((torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle))

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """The side that follows from `widths` of a `config.json`."""
        widths = config.get("widths")
        return 4 * 2 ** len(widths) if isinstance(widths, list) and len(widths) <= 10 else None

    def examples(self, photographs: Sequence[Image.Image] = ()) -> Examples:
        """The images of seed 0, none left out; photographs are not needed."""
        samples = self.sample(_GRID**2, seed=0)
        return Examples([samples[i : i + _GRID] for i in range(0, len(samples), _GRID)])

    @torch.no_grad()
    def draw(self, z: Tensor, batch_size: int = 64) -> list[Image.Image]:
        """The images of latents (N, L), as PIL images."""
        check_positive(batch_size=batch_size)
        parameter = next(self.parameters())
        with evaluating(self):
            parts = [self(part.to(parameter.device, parameter.dtype)).float().cpu() for part in z.split(batch_size)]
        return [images.to_pil(x) for x in torch.cat(parts)]


FaceGenerator = DCGAN  # its name until 2026-11
