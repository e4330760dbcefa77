"""Resizing and the convolution after it as one operation: the same result for less than half of the multiplications."""

from __future__ import annotations

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
        taps = conv.weight.detach().flip(2, 3).transpose(0, 1)  # of a transposed convolution: (in, out, height, width)
        weight = taps.new_zeros(*taps.shape[:2], 4, 4)
        for top in (0, 1):
            for left in (0, 1):
                weight[:, :, top : top + 3, left : left + 3] += taps
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
        # Reflecting the enlarged picture by one pixel repeats the outermost one of the small picture.
        self.reflects = conv.padding_mode == "reflect"

    def forward(self, x: Tensor) -> Tensor:
        if self.reflects:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=3 if self.reflects else 1)


def fold_upsampling(network: nn.Module) -> nn.Module:
    """Replaces, in place, every resizing by 2 that a 3x3 convolution follows; returns the network, which is trained no more."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            up, conv = module[i], module[i + 1]
            if isinstance(up, nn.Upsample) and isinstance(conv, nn.Conv2d) and _folds(up, conv):
                module[i], module[i + 1] = nn.Identity(), FoldedUpsample(conv)
    return network


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
