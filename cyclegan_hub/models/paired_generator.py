"""What is published of a pix2pix: one generator, and what is done to a picture before it goes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, overload

import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import PlainCNN, UNetGenerator
from cyclegan_hub.models.photograph import DEFAULT, Photograph, Work
from cyclegan_hub.models.protocols import Examples, MeasuredBy, ascii_label, check_positive, check_value_range, whole_number
from cyclegan_hub.models.translate import Resolution, Source, Sources, fit_to, translate_batch, translate_pictures
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, enlarge


class PairedGenerator(
    nn.Module,
    StrictHubMixin,
    library_name="cyclegan_hub",
    tags=["pix2pix", "image-to-image", "gan"],
    pipeline_tag="image-to-image",
    paper_url="https://arxiv.org/abs/1611.07004",
    model_card_template=(MODEL_CARDS / "bare_pix2pix.md").read_text("utf-8"),
):
    """A generator trained on pairs (pix2pix, Isola et al. 2017): images (N, C, H, W) in [-1, 1] -> the same shape and range.

    `pairs` names how inputs were derived from outputs, or "given" (`recipes/pair_rules.py`). `channels`, `generator`, `width`,
    `blocks` and `dropout` describe the network; `image_size` is the side it was trained at, `value_range` what was black and
    white in its 16-bit images (None: 0 and 65,535), `domain`, `labels` (of input and output) and `epoch` say what it is. All
    of it is in `config.json`. Dropout, which the paper also keeps when it generates, is off: the same picture gives the same
    result.
    """

    method: ClassVar[str] = "pix2pix"
    title: ClassVar[str] = "{a} → {b}"
    directions: ClassVar[tuple[str, ...]] = ("a_to_b",)
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {2: {"value_range": None}}
    data_sides: ClassVar[tuple[str, ...]] = ("a",)
    label_count: ClassVar[int] = 2
    batch_unit: ClassVar[str] = "pairs"
    outputs_called: ClassVar[str] = "translations"
    takes_pictures: ClassVar[bool] = True
    card_template: ClassVar[str] = "pix2pix.md"
    eyes: Mapping[str, Eyes | None] = {"a_to_b": None}

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 8,
        generator: str = "unet",
        dropout: float = 0.5,
        pairs: str = "given",
        image_size: int = 256,
        domain: str = "",
        labels: Sequence[str] = ("input", "output"),
        epoch: int | None = None,
        value_range: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(labels, str) or len(labels) != 2 or not all(isinstance(label, str) for label in labels):
            raise UserError(f"labels={labels!r}: give two, of input and output")
        check_positive(channels=channels, width=width, blocks=blocks, image_size=image_size)
        if pairs not in PAIR_RULES:
            raise UserError(f"pairs={pairs!r}: must be one of {', '.join(PAIR_RULES)}")
        match generator:
            case "unet":
                self.generator: nn.Module = UNetGenerator(channels, width, blocks, dropout)
            case "cnn":
                self.generator = PlainCNN(channels, width, blocks)
            case _:
                raise UserError(f"generator={generator!r}: must be one of unet, cnn")
        self.channels, self.image_size, self.domain, self.epoch, self.pairs = channels, image_size, domain, epoch, pairs
        self.labels: tuple[str, ...] = (labels[0], labels[1])
        self.value_range = check_value_range(value_range)
        self.rule = PAIR_RULES[pairs]

    def forward(self, x: Tensor) -> Tensor:
        """Prepared inputs (see `prepare`) (N, C, H, W) in [-1, 1] -> (N, C, H, W) in [-1, 1]; sides that fit the network."""
        y: Tensor = self.generator(x)
        return y

    def prepare(self, target: Tensor) -> Tensor:
        """What the generator is given for real outputs (N, C, H, W): the inputs that the rule makes of them; as is if given."""
        return self.rule.input_of(target)

    @overload
    def translate(
        self, image: Source, direction: str = ..., resolution: Resolution = ..., batch_size: int = ...
    ) -> Image.Image: ...
    @overload
    def translate(
        self, image: Sources, direction: str = ..., resolution: Resolution = ..., batch_size: int = ...
    ) -> list[Image.Image]: ...
    def translate(
        self,
        image: Source | Sources,
        direction: str = "a_to_b",
        resolution: Resolution = None,
        batch_size: int = 8,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, tensors, paths or bytes.

        "colorize" and "repaint" take a whole picture and make their input of it; "upscale-4x" takes the small one and returns
        it four times as large. `resolution` None brings the shorter side to `image_size` (of upscale-4x a quarter of that), a
        number to that many pixels, "original" keeps the size. Returns PIL images, RGB, or L for a model of one channel.
        Raises `images.ImageError` for what is not an image, ValueError for another direction (the argument is there so that all
        translators are called alike), an unknown resolution or batch size.
        """
        network, scale = self.network(direction), self.rule.scale
        fit = fit_to(resolution, self.translate_size)

        def fitted(picture: Image.Image) -> Image.Image:
            picture = fit(picture)
            if not self.rule.enlarges and min(picture.size) < scale:
                raise images.ImageError(f"this image is {picture.width} x {picture.height}: give one of {scale} px and more")
            return picture

        def plan(photo: Photograph) -> Work:
            return photo.plan(DEFAULT, eyes=None, skip=False, side="original", fit=fitted)

        return translate_pictures(network, image, self.channels, plan, batch_size, self.input_of, self.value_range)

    def network(self, direction: str = "a_to_b") -> nn.Module:
        """The generator. Raises ValueError for another direction than "a_to_b"."""
        if direction != "a_to_b":
            raise UserError(f"direction={direction!r}: this model has one, a_to_b ({' -> '.join(self.labels)})")
        return self.generator

    @property
    def measured_by(self) -> MeasuredBy:
        """Pairs, but for what was learnt from one side and is applied to the other."""
        return "pairs" if self.rule.has_truth else "sides"

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json`."""
        return whole_number(config.get("image_size"))

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """A row for each photograph: itself, the input that the rule makes of it, if any, and the output."""
        x = torch.stack([images.to_tensor(photograph) for photograph in photographs])
        inputs, outputs = ([images.to_pil(one) for one in y] for y in (self.prepare(x), self.restore(x)))
        last = f"to {ascii_label(self.labels[1], 'B')}"
        if self.rule.derived:
            return Examples(list(zip(photographs, inputs, outputs, strict=True)), ["original", "input", last])
        return Examples(list(zip(photographs, outputs, strict=True)), ["input", last])

    def restore(self, target: Tensor) -> Tensor:
        """Real outputs (N, C, S, S) in [-1, 1] -> what the generator makes of the inputs made of them: for measuring it."""
        return translate_batch(self.generator, self.prepare(target))

    @property
    def translate_size(self) -> int:
        """Shorter side in px that `translate` brings a picture to if no resolution is given."""
        return self.image_size // self.enlargement

    @property
    def enlargement(self) -> int:
        """How many times as large as its input a translation is: 1, or 4 for "upscale-4x"."""
        return self.rule.scale if self.rule.enlarges else 1

    def input_of(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) in [-1, 1] of any size -> the generator's input for them, (N, C, H, W) times `enlargement`."""
        if self.rule.enlarges:
            return enlarge(x, self.rule.scale)
        height, width = x.shape[2:]
        return self.prepare(images.pad_to_multiple(x, self.rule.scale))[:, :, :height, :width]
