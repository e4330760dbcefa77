"""Discriminators: images (N, C, H, W) in [-1, 1] -> logits, never a sigmoid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.models.generators import InstanceNorm2d


class MinibatchDeviation(nn.Module):
    """Adds a channel with one value: the standard deviation over the batch, averaged over channels and places (Karras et al.
    2018, section 3). (N, C, H, W) -> (N, C + 1, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        deviation = (x.float().var(0, correction=0) + 1e-8).sqrt().mean().to(x.dtype)
        return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)


class PatchDiscriminator(nn.Module):
    """Classifies overlapping patches (Isola et al. 2017, section 3.2.2), at one or several scales (Wang et al. 2018).

    4x4 convolutions with stride 2 and as many channels as `widths` lists, the last of them with `last_stride`, then one
    to a single channel. No norm on the first layer, LeakyReLU 0.2. Returns a tuple of logits (N, 1, h, w), one for each
    scale; a further scale sees the image at half the size. With `deviation` the last convolution also sees how much the images
    of the batch differ, which has to hold real or generated images alone.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        last_stride: Literal[1, 2] = 1,
        scales: int = 1,
        deviation: bool = False,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(self._one_scale(channels, widths, last_stride, deviation) for _ in range(scales))

    @staticmethod
    def _one_scale(channels: int, widths: tuple[int, ...], last_stride: int, deviation: bool) -> nn.Sequential:
        layers: list[nn.Module] = []
        for i, width in enumerate(widths):
            stride = last_stride if i == len(widths) - 1 else 2
            layers += [
                nn.Conv2d(widths[i - 1] if i else channels, width, 4, stride=stride, padding=1, bias=i == 0),
                *([InstanceNorm2d(width)] if i else []),
                nn.LeakyReLU(0.2, True),
            ]
        if deviation:
            layers.append(MinibatchDeviation())
        return nn.Sequential(*layers, nn.Conv2d(widths[-1] + deviation, 1, 4, padding=1))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        logits = []
        for i, network in enumerate(self.scales):
            if i:
                x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            logits.append(network(x))
        return tuple(logits)


class DCGANDiscriminator(nn.Module):
    """Classifies whole images (N, C, S, S): logits (N,) (Radford et al. 2016, section 3). S = 4 * 2 ** len(widths).

    4x4 convolutions without bias that halve the side, the last one without padding on what is 4x4 by then; batch norm from
    the second to the last but one, LeakyReLU 0.2.
    """

    def __init__(self, channels: int = 3, widths: Sequence[int] = (32, 64, 128, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise((channels, *widths))):
            layers += [
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                *([nn.BatchNorm2d(outputs)] if i else []),
                nn.LeakyReLU(0.2, True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits.flatten()
