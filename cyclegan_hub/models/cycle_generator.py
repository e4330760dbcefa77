"""What is published of a CycleGAN: both generators in one model, with everything needed to use them on any image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub import images
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.models.generators import ResNetGenerator, build_generator
from cyclegan_hub.models.hub import StrictHubMixin
from cyclegan_hub.models.tiling import translate_in_tiles

Direction = Literal["a_to_b", "b_to_a"]
Source = str | Path | bytes | Image.Image | np.ndarray | Tensor
TILE_ABOVE = 1024  # px of the longer side


class CycleGenerator(
    nn.Module,
    StrictHubMixin,
    library_name="cyclegan_hub",
    tags=["cyclegan", "image-to-image", "unpaired", "gan"],
    pipeline_tag="image-to-image",
    license="mit",
    paper_url="https://arxiv.org/abs/1703.10593",
    model_card_template=(MODEL_CARDS / "bare.md").read_text("utf-8"),
):
    """Both directions of a CycleGAN (Zhu et al. 2017): `a_to_b` and `b_to_a`, each images in [-1, 1] -> images in [-1, 1].

    `channels`, `width`, `blocks`, `generator`, `upsample`, `padding` and `dropout` describe the networks (see
    `models/generators.py`); `image_size` is the side they were trained at, `domain`, `labels` and `epoch` say what
    they are. All of it is in `config.json`: `CycleGenerator.from_pretrained("user/name")` needs nothing else.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        generator: str = "resnet",
        upsample: str = "resize",
        padding: str = "reflect",
        dropout: float = 0.0,
        image_size: int = 256,
        domain: str = "",
        labels: Sequence[str] = ("A", "B"),
        epoch: int | None = None,
    ) -> None:
        super().__init__()
        if isinstance(labels, str) or len(labels) != 2 or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"labels={labels!r}: give two, of A and of B")
        numbers = {"channels": channels, "width": width, "blocks": blocks, "image_size": image_size}
        for name, value in numbers.items():
            if not _is_positive(value):
                raise ValueError(f"{name}={value!r}: give a whole number of at least 1")
        build = {"channels": channels, "width": width, "blocks": blocks, "upsample": upsample, "padding": padding}
        self.a_to_b = build_generator(generator, **build, dropout=dropout)
        self.b_to_a = build_generator(generator, **build, dropout=dropout)
        self.channels, self.image_size, self.domain, self.epoch = channels, image_size, domain, epoch
        self.labels = (labels[0], labels[1])

    def forward(self, x: Tensor, direction: Direction = "a_to_b") -> Tensor:
        """Images (N, C, H, W) in [-1, 1] -> (N, C, H, W) in [-1, 1]; sides that fit the network (multiples of 4 for a ResNet)."""
        return self._network(direction)(x)

    def translate(
        self,
        image: Source | Sequence[Source],
        direction: Direction = "a_to_b",
        resolution: int | Literal["original"] | None = None,
        batch_size: int = 8,
    ) -> Image.Image | list[Image.Image]:
        """Translates one image, or a list of them, of any size: PIL images, arrays, tensors, paths or bytes.

        `resolution` None: the shorter side is brought to `image_size`, the aspect kept; a number: to that many pixels;
        "original": the size stays. The result has the size the image was translated at; a longer side above 1,024 px
        is translated in tiles that share their statistics (ResNet; a U-Net sees the whole picture at once).
        Returns PIL images, RGB, or L for a model of one channel.
        Raises `images.ImageError` for what is not an image, ValueError for an unknown direction, resolution or batch size.
        """
        self._network(direction)
        if not (resolution in (None, "original") or _is_positive(resolution)):
            raise ValueError(f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side")
        if not _is_positive(batch_size):
            raise ValueError(f"batch_size={batch_size!r}: give how many images of one size go through the network at a time")
        many = isinstance(image, list | tuple)
        sources = list(image) if many else [image]
        results: list[Image.Image | None] = [None] * len(sources)
        waiting: dict[tuple[int, int], list[tuple[int, Tensor]]] = {}  # by size: only equal ones make a batch
        for i, source in enumerate(sources):
            picture = images.decode(source, self.channels)
            if resolution != "original":
                picture = images.resize_short(picture, resolution or self.image_size)
            group = waiting.setdefault(picture.size, [])
            group.append((i, images.to_tensor(picture)))
            if len(group) == batch_size:
                self._flush(waiting.pop(picture.size), direction, results)
        for group in waiting.values():
            self._flush(group, direction, results)
        return results if many else results[0]

    def cycle(
        self, image: Source | Sequence[Source], direction: Direction = "a_to_b", **options
    ) -> Image.Image | list[Image.Image]:
        """There and back: translated in `direction`, and the translation translated back. Arguments as for `translate`."""
        there = self.translate(image, direction, **options)
        back: Direction = "b_to_a" if direction == "a_to_b" else "a_to_b"
        return self.translate(there, back, resolution="original")

    def _network(self, direction: str) -> nn.Module:
        if direction not in get_args(Direction):
            raise ValueError(f"direction={direction!r}: must be a_to_b ({' -> '.join(self.labels)}) or b_to_a")
        return self.get_submodule(direction)

    def _flush(self, group: list[tuple[int, Tensor]], direction: Direction, results: list[Image.Image | None]) -> None:
        translated = self._translate_batch(torch.stack([x for _, x in group]), direction)
        for (i, _), y in zip(group, translated, strict=True):
            results[i] = images.to_pil(y)

    @torch.no_grad()
    def _translate_batch(self, x: Tensor, direction: Direction) -> Tensor:
        """(N, C, H, W) of any one size, in evaluation mode whatever the mode of the model, which stays as it is."""
        network = self._network(direction)
        modes = [(module, module.training) for module in network.modules()]
        parameter = next(network.parameters())
        height, width = x.shape[2:]
        # Reflection needs two positions at a quarter of the size; tiny images are padded beyond the network's multiple.
        multiple = network.multiple if min(height, width) >= 8 else max(8, network.multiple)
        x = images.pad_to_multiple(x.to(parameter.device, parameter.dtype), multiple)
        network.eval()
        try:
            if isinstance(network, ResNetGenerator) and max(height, width) > TILE_ABOVE:
                y = torch.cat([translate_in_tiles(network, one) for one in x.split(1)])
            else:
                y = network(x)
        finally:
            for module, training in modes:
                module.training = training
        return y[:, :, :height, :width].float().cpu()


def _is_positive(value: object) -> bool:
    """Whether it is a whole number of at least 1 (`True` is none)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
