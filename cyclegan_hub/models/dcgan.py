"""The published model of a DCGAN: a generator with everything needed to sample from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.models.checks import check_labels, check_positive
from cyclegan_hub.models.generators import DCGANGenerator
from cyclegan_hub.models.protocols import Sampler


class DCGAN(
    Sampler,
    tags=["dcgan", "unconditional-image-generation", "gan"],
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
    card_template: ClassVar[str] = "dcgan.md"

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

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """The side that follows from `widths` of a `config.json`."""
        widths = config.get("widths")
        return 4 * 2 ** len(widths) if isinstance(widths, list) and len(widths) <= 10 else None


FaceGenerator = DCGAN  # its name until 2026-11
