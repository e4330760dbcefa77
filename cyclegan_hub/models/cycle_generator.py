"""The published model of a CycleGAN: both generators in one, with everything needed to use them on any image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, overload

from PIL import Image
from torch import Tensor

from cyclegan_hub.domains import Eyes
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.models.checks import check_eyes, check_labels, check_positive, check_value_range
from cyclegan_hub.models.generators import Kind, Padding, Upsample, build_generator
from cyclegan_hub.models.photograph import FaceChoice
from cyclegan_hub.models.protocols import Examples, Translator, drawable_label
from cyclegan_hub.models.translator import Resolution, Source, Sources

Direction = Literal["a_to_b", "b_to_a"]


class CycleGenerator(
    Translator,
    tags=["cyclegan", "image-to-image", "unpaired", "gan"],
    paper_url="https://arxiv.org/abs/1703.10593",
    model_card_template=(MODEL_CARDS / "bare.md").read_text("utf-8"),
):
    """Both directions of a CycleGAN (Zhu et al. 2017): `a_to_b` and `b_to_a`, each images in [-1, 1] -> images in [-1, 1].

    `channels`, `width`, `blocks`, `generator`, `upsample`, `padding`, `dropout`, `skip` and `noise` describe the networks
    (see `models/generators.py`); `image_size` is the side they were trained at, `value_range` the black and white of its 16-bit
    images (None: 0 and 65,535), `eyes_a` and `eyes_b` the places of the eyes in faces of A and B (left x, left y, right x,
    right y, in shares of the side; None: the images are used as they are). `domain`, `labels` and `epoch` describe them.
    All of it is in `config.json`: `CycleGenerator.from_pretrained("user/name")` needs nothing else.
    """

    method: ClassVar[str] = "cyclegan"
    title: ClassVar[str] = "{a} ↔ {b}"
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {
        2: {"skip": False, "value_range": None},
        3: {"eyes_a": None, "eyes_b": None},
        4: {"noise": False},
    }
    directions: tuple[str, ...] = ("a_to_b", "b_to_a")
    data_sides: ClassVar[tuple[str, ...]] = ("a", "b")
    card_template: ClassVar[str] = "card.md"

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        generator: Kind = "resnet",
        upsample: Upsample = "resize",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        image_size: int = 256,
        domain: str = "",
        labels: Sequence[str] = ("A", "B"),
        epoch: int | None = None,
        skip: bool = False,
        value_range: Sequence[int] | None = None,
        eyes_a: Sequence[float] | None = None,
        eyes_b: Sequence[float] | None = None,
        noise: bool = False,
    ) -> None:
        super().__init__()
        self.labels = check_labels(labels, 2, "two, of A and of B")
        check_positive(channels=channels, width=width, blocks=blocks, image_size=image_size)
        self.a_to_b, self.b_to_a = (
            build_generator(
                generator, channels=channels, width=width, blocks=blocks, upsample=upsample, padding=padding, dropout=dropout,
                skip=skip, noise=noise,
            )
            for _ in range(2)
        )  # fmt: skip
        self.channels, self.image_size, self.domain, self.epoch = channels, image_size, domain, epoch
        self.value_range = check_value_range(value_range)
        self.eyes: Mapping[str, Eyes | None] = {"a_to_b": check_eyes(eyes_a), "b_to_a": check_eyes(eyes_b)}

    def forward(self, x: Tensor, direction: Direction = "a_to_b") -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> (N, C, H, W) in [-1, 1]; sides that fit the network (multiples of 4 for a ResNet)."""
        y: Tensor = self.network(direction)(x)
        return y

    def prepare(
        self, image: Source, direction: str | None = None, resolution: Resolution = None, *, face: FaceChoice = "auto"
    ) -> Image.Image:
        """The input of the network: an aligned face, or the resized image. Arguments as for `translate`."""
        return self._prepared(image, direction, resolution, face)

    @overload
    def cycle(
        self, image: Source, direction: str | None = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ...,
    ) -> Image.Image: ...  # fmt: skip
    @overload
    def cycle(
        self, image: Sources, direction: str | None = ..., resolution: Resolution = ..., batch_size: int = ..., *,
        face: FaceChoice = ...,
    ) -> list[Image.Image]: ...  # fmt: skip
    def cycle(
        self, image: Source | Sources, direction: str | None = None, resolution: Resolution = None, batch_size: int = 8, *,
        face: FaceChoice = "auto",
    ) -> Image.Image | list[Image.Image]:  # fmt: skip
        """The reconstruction: translated in `direction`, then in the other one, at the model's size.

        Arguments as for `translate`.
        """
        translated = self.translate(image, direction, resolution, batch_size, face=face, detail=False, ensemble=False)
        other = "a_to_b" if direction == "b_to_a" else "b_to_a"
        return self.translate(translated, other, "original", batch_size, face="none", ensemble=False)

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """A row for each photograph, which is an image of A: itself, its translation and the reconstruction."""
        rows = list(photographs)
        columns = [rows, *(method(rows, "a_to_b", "original", face="none") for method in (self.translate, self.cycle))]
        label = drawable_label(self.labels[1], "B")
        return Examples(list(zip(*columns, strict=True)), ["input", f"to {label}", "reconstruction"])
