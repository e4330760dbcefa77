"""The published model of a pix2pix: one generator, and the rule that makes its inputs of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.imaging import images
from cyclegan_hub.models.checks import check_labels, check_positive, check_value_range
from cyclegan_hub.models.generators import PlainCNN, UNetGenerator
from cyclegan_hub.models.protocols import Examples, MeasuredBy, PairedTranslator, drawable_label
from cyclegan_hub.models.translate import translate_batch
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, enlarge


class PairedGenerator(
    PairedTranslator,
    tags=["pix2pix", "image-to-image", "gan"],
    paper_url="https://arxiv.org/abs/1611.07004",
    model_card_template=(MODEL_CARDS / "bare_pix2pix.md").read_text("utf-8"),
):
    """A generator trained on pairs (pix2pix, Isola et al. 2017): images (N, C, H, W) in [-1, 1] -> the same shape and range.

    `pairs` names how inputs were derived from outputs, or "given" (`recipes/pair_rules.py`). `channels`, `generator`, `width`,
    `blocks` and `dropout` describe the network; `image_size` is the side it was trained at, `value_range` the black and white
    of its 16-bit images (None: 0 and 65,535). `domain`, `labels` (of input and output) and `epoch` describe it. All of it is
    in `config.json`. Dropout, which the paper also keeps when it generates, is off: the same image gives the same result.

    `translate` with "colorize" and "repaint" takes a whole image and makes its input of it; with "upscale-4x" it takes the
    small image and returns it four times as large.
    """

    method: ClassVar[str] = "pix2pix"
    title: ClassVar[str] = "{a} → {b}"
    directions: tuple[str, ...] = ("a_to_b",)
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {2: {"value_range": None}}
    data_sides: ClassVar[tuple[str, ...]] = ("a",)
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
        self.labels = check_labels(labels, 2, "two, of input and output")
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
        self.value_range = check_value_range(value_range)
        self.rule = PAIR_RULES[pairs]
        self.measured_by: MeasuredBy = "pairs" if self.rule.has_truth else "sides"  # trained on one, applied to the other

    def forward(self, x: Tensor) -> Tensor:
        """Prepared inputs (see `prepare`) (N, C, H, W) in [-1, 1] -> (N, C, H, W) in [-1, 1]; sides that fit the network."""
        y: Tensor = self.generator(x)
        return y

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """A row for each photograph: itself, the input that the rule makes of it, if any, and the output."""
        x = torch.stack([images.to_tensor(photograph) for photograph in photographs])
        inputs, outputs = ([images.to_pil(one) for one in y] for y in (self.prepare(x), self.restore(x)))
        last = f"to {drawable_label(self.labels[1], 'B')}"
        if self.rule.derived:
            return Examples(list(zip(photographs, inputs, outputs, strict=True)), ["original", "input", last])
        return Examples(list(zip(photographs, outputs, strict=True)), ["input", last])

    def restore(self, target: Tensor) -> Tensor:
        """Real outputs (N, C, S, S) in [-1, 1] -> the generator's outputs for the inputs made of them: to evaluate it."""
        return translate_batch(self.generator, self.prepare(target))

    def input_of(self, x: Tensor) -> Tensor:
        """See `Translator.input_of`."""
        if self.rule.enlarges:
            return enlarge(x, self.rule.scale)
        height, width = x.shape[2:]
        return self.prepare(images.pad_to_multiple(x, self.rule.scale))[:, :, :height, :width]
