"""Pictures of any size and kind through a generator that was trained on squares: what all published translators share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging import decoding, images
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.photograph import Photograph, Work, run_in_batches
from cyclegan_hub.models.protocols import evaluating, is_positive
from cyclegan_hub.models.tiling import translate_in_tiles

Source = str | Path | bytes | Image.Image | np.ndarray | Tensor
Sources = list[Any] | tuple[Any, ...]  # of Source; a list of any one kind of them is one, too
Resolution = int | Literal["original"] | None  # px of the shorter side; None: what the model was trained at
Fit = Callable[[Image.Image], Image.Image]
Before = Callable[[Tensor], Tensor]
Plan = Callable[[Photograph], Work]
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


def photograph(source: Source, channels: int, value_range: tuple[int, int] | None = None) -> Photograph:
    """A decoded source. Raises images.ImageError for what is not an image."""
    image, alpha = images.decode_with_alpha(source, channels, value_range=value_range)
    return Photograph(image, alpha, decoding.label_of(source, None))


@overload
def translate_pictures(
    network: nn.Module, image: Source, channels: int, plan: Plan, batch_size: int, before: Before = ...,
    value_range: tuple[int, int] | None = ...,
) -> Image.Image: ...  # fmt: skip
@overload
def translate_pictures(
    network: nn.Module, image: Sources, channels: int, plan: Plan, batch_size: int, before: Before = ...,
    value_range: tuple[int, int] | None = ...,
) -> list[Image.Image]: ...  # fmt: skip
def translate_pictures(
    network: nn.Module,
    image: Source | Sources,
    channels: int,
    plan: Plan,
    batch_size: int,
    before: Before = lambda x: x,
    value_range: tuple[int, int] | None = None,
) -> Image.Image | list[Image.Image]:
    """One picture, or a list of them, decoded and taken through the network as `plan` says; inputs of one size in batches.

    `before` is done to a batch (N, C, H, W) in [-1, 1] first; `value_range` is that of `images.decode`. Raises images.ImageError
    for what is not an image, ValueError for a batch size below 1.
    """

    def run(pictures: Sequence[Image.Image]) -> list[Image.Image]:
        translated = translate_batch(network, before(torch.stack([images.to_tensor(picture) for picture in pictures])))
        return [images.to_pil(y) for y in translated]

    sources = image if isinstance(image, list | tuple) else [image]
    results = run_in_batches(run, (plan(photograph(source, channels, value_range)) for source in sources), batch_size)
    ordered = [result for _, result in sorted(results, key=lambda one: one[0])]
    return ordered if isinstance(image, list | tuple) else ordered[0]


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
