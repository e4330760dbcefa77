"""Pictures of any size and kind through a generator that was trained on squares: what all published translators share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub import images
from cyclegan_hub.errors import UserError
from cyclegan_hub.models.checks import evaluating, is_positive
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.tiling import translate_in_tiles

Source = str | Path | bytes | Image.Image | np.ndarray | Tensor
Sources = list[Any] | tuple[Any, ...]  # of Source; a list of any one kind of them is one, too
Resolution = int | Literal["original"] | None  # px of the shorter side; None: what the model was trained at
Fit = Callable[[Image.Image], Image.Image]
Before = Callable[[Tensor], Tensor]
TILE_ABOVE = 1024  # px of the longer side


def fit_to(resolution: Resolution, image_size: int) -> Fit:
    """What brings a picture to the size it is translated at: the shorter side to `resolution` px, None: to `image_size`.

    Raises ValueError for another resolution.
    """
    if resolution == "original":
        return lambda picture: picture
    if not (resolution is None or is_positive(resolution)):
        raise UserError(f"resolution={resolution!r}: give None, 'original' or the pixels of the shorter side")
    return lambda picture: images.resize_short(picture, resolution or image_size)


@overload
def translate_pictures(
    network: nn.Module, image: Source, channels: int, fit: Fit, batch_size: int, before: Before = ...,
    value_range: tuple[int, int] | None = ...,
) -> Image.Image: ...  # fmt: skip
@overload
def translate_pictures(
    network: nn.Module, image: Sources, channels: int, fit: Fit, batch_size: int, before: Before = ...,
    value_range: tuple[int, int] | None = ...,
) -> list[Image.Image]: ...  # fmt: skip
def translate_pictures(
    network: nn.Module,
    image: Source | Sources,
    channels: int,
    fit: Fit,
    batch_size: int,
    before: Before = lambda x: x,
    value_range: tuple[int, int] | None = None,
) -> Image.Image | list[Image.Image]:
    """One picture, or a list of them, decoded, brought to a size by `fit`, and through the network; equal sizes in batches.

    `before` is done to a batch (N, C, H, W) in [-1, 1] first; `value_range` is that of `images.decode`. Raises images.ImageError
    for what is not an image, ValueError for a batch size below 1.
    """
    if not is_positive(batch_size):
        raise UserError(f"batch_size={batch_size!r}: give how many images of one size go through the network at a time")
    many = isinstance(image, list | tuple)
    sources: list[Source] = list(image) if isinstance(image, list | tuple) else [image]
    results: dict[int, Image.Image] = {}
    waiting: dict[tuple[int, int], list[tuple[int, Tensor]]] = {}  # by size: only equal ones make a batch

    def flush(group: list[tuple[int, Tensor]]) -> None:
        translated = translate_batch(network, before(torch.stack([x for _, x in group])))
        for (i, _), y in zip(group, translated, strict=True):
            results[i] = images.to_pil(y)

    for i, source in enumerate(sources):
        picture = fit(images.decode(source, channels, value_range=value_range))
        group = waiting.setdefault(picture.size, [])
        group.append((i, images.to_tensor(picture)))
        if len(group) == batch_size:
            flush(waiting.pop(picture.size))
    for group in waiting.values():
        flush(group)
    return [results[i] for i in range(len(sources))] if many else results[0]


@torch.inference_mode()
def translate_batch(network: nn.Module, x: Tensor) -> Tensor:
    """(N, C, H, W) of any one size, fp32 on the CPU, in evaluation mode; the network's own mode stays."""
    parameter = next(network.parameters())
    height, width = x.shape[2:]
    # Reflection needs two positions at a quarter of the size; tiny images are padded beyond the network's multiple.
    needed = network.multiple
    assert isinstance(needed, int)
    multiple = needed if min(height, width) >= 8 else max(8, needed)
    x = images.pad_to_multiple(x.to(parameter.device, parameter.dtype), multiple)
    with evaluating(network):
        if isinstance(network, ResNetGenerator) and max(height, width) > TILE_ABOVE:
            y = torch.cat([translate_in_tiles(network, one) for one in x.split(1)])
        else:
            y = network(x)
    return y[:, :, :height, :width].float().cpu()
