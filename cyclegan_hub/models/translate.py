"""Batches of any size through a generator that was trained on squares."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.tiling import translate_in_tiles

TILE_ABOVE = 1024  # px of the longer side


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


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode, and afterwards every module back into the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
