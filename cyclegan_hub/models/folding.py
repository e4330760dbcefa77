"""Resizing and the convolution after it as one operation: the same result for less than half of the multiplications."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FoldedUpsample(nn.Module):
    """What `nn.Upsample(scale_factor=2)` and then a 3x3 `nn.Conv2d` with padding 1 make, as one transposed convolution.

    Each pixel is repeated 2x2 times and the kernel is slid over that, so its taps that meet the same pixel can be added up
    beforehand: of a 4x4 kernel 4 taps are left for each output pixel where the 3x3 kernel had 9. Exact but for rounding.
    (N, C, H, W) -> (N, O, 2H, 2W).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(_added_taps(conv.weight.detach()), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
        # Reflecting the enlarged picture by one pixel repeats the outermost one of the small picture.
        self.reflects = conv.padding_mode == "reflect"

    def forward(self, x: Tensor) -> Tensor:
        return _upsampled(x, self.weight, self.bias, self.reflects)


class UpsamplingConv2d(nn.Conv2d):
    """As `FoldedUpsample`, but it can be trained: the weight is that of the 3x3 convolution, and is folded at each call."""

    def forward(self, x: Tensor) -> Tensor:
        return _upsampled(x, _added_taps(self.weight), self.bias, self.padding_mode == "reflect")


def _added_taps(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) of a convolution -> (I, O, 4, 4) of the transposed one with stride 2."""
    taps = weight.flip(2, 3).transpose(0, 1)
    a, b, c, d = (F.pad(taps, (left, 1 - left, top, 1 - top)) for top in (0, 1) for left in (0, 1))
    return a + b + c + d


def _upsampled(x: Tensor, weight: Tensor, bias: Tensor | None, reflects: bool) -> Tensor:
    if reflects:
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=3 if reflects else 1)


def prepare_for_training(network: nn.Module) -> nn.Module:
    """Makes a step of eager training faster, in place and by the same mathematics; returns the network.

    Its parameters and the names in its state stay. Resizing is folded into the convolution after it, and on a CPU images go in
    channels_last, which all layers keep.
    """
    for layers, i, conv in _places(network):
        layers[i] = nn.Identity()
        conv.__class__ = UpsamplingConv2d  # the same module with another forward: optimisers and hooks may hold it
    network.register_forward_pre_hook(_channels_last)
    return network


def _channels_last(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *more = arguments
    if x.device.type != "cpu" or torch.compiler.is_compiling():  # a compiler chooses layouts itself
        return arguments
    return (x.contiguous(memory_format=torch.channels_last), *more)


def fold_upsampling(network: nn.Module) -> nn.Module:
    """Replaces, in place, every resizing by 2 that a 3x3 convolution follows; returns the network, which is trained no more."""
    for layers, i, conv in _places(network):
        layers[i], layers[i + 1] = nn.Identity(), FoldedUpsample(conv)
    return network


def _places(network: nn.Module) -> list[tuple[nn.Sequential, int, nn.Conv2d]]:
    """Where a resizing is followed by a convolution that it folds into: the layers, the resizing's index, the convolution."""
    found = []
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for i in range(len(layers) - 1):
                up, conv = layers[i], layers[i + 1]
                if isinstance(up, nn.Upsample) and isinstance(conv, nn.Conv2d) and _folds(up, conv):
                    found.append((layers, i, conv))
    return found


def _folds(up: nn.Upsample, conv: nn.Conv2d) -> bool:
    return (
        up.scale_factor in (2, 2.0)
        and up.mode == "nearest"
        and (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), (1, 1), 1)
        and conv.padding_mode in ("zeros", "reflect")
    )


def convolutions(network: nn.Module) -> list[nn.Module]:
    """The modules of a network that hold the weights of convolutions."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, FoldedUpsample)
    return [module for module in network.modules() if isinstance(module, kinds)]


def to_bf16(network: nn.Module) -> nn.Module:
    """Convolutions in bf16, in place; the norms stay in fp32, as their statistics always are. Returns the network."""
    for module in convolutions(network):
        module.to(torch.bfloat16)
    return network
