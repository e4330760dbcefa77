"""3x3 convolutions with a quarter of the multiplications, for runtimes without a fast kernel of their own."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.models.inference import is_plain_3x3

# Lavin and Gray 2016, "Fast algorithms for convolutional neural networks", section 4.3: F(4x4, 3x3), on tiles of 6x6 pixels.
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
TILE = 4


class WinogradConv2d(nn.Module):
    """A 3x3 `nn.Conv2d` without bias, of stride 1 and padding 1, for one image (1, C, H, W); H and W are multiples of 4.

    Tiles of 6x6 pixels are transformed (a convolution with stride 4), multiplied with the transformed kernels (36 products of
    matrices), and transformed back. Only the 3x3 kernels are stored: a runtime transforms them once, when it loads the file.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.outputs, self.inputs = conv.weight.shape[:2]
        self.reflects = conv.padding_mode == "reflect"
        self.kernels = nn.Parameter(conv.weight.detach().permute(2, 3, 0, 1).reshape(9, -1).contiguous(), requires_grad=False)
        self.register_buffer("of_input", _both(_INPUT).reshape(36, 1, 6, 6))
        self.register_buffer("of_kernel", _both(_KERNEL))
        self.register_buffer("of_output", _both(_OUTPUT).T.reshape(36, 1, TILE, TILE))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] // TILE, x.shape[3] // TILE
        x = x.reshape(self.inputs, 1, TILE * height, TILE * width)  # channels become the batch: all get the same transform
        x = F.pad(x, (1, 1, 1, 1), mode="reflect") if self.reflects else F.pad(x, (1, 1, 1, 1))
        tiles = F.conv2d(x, cast(Tensor, self.of_input), stride=TILE).reshape(self.inputs, 36, height * width)
        kernels = (cast(Tensor, self.of_kernel) @ self.kernels).reshape(36, self.outputs, self.inputs)
        products = kernels @ tiles.transpose(0, 1)  # (36, outputs, tiles)
        products = products.transpose(0, 1).reshape(self.outputs, 36, height, width)
        y = F.conv_transpose2d(products, cast(Tensor, self.of_output), stride=TILE)
        return y.reshape(1, self.outputs, TILE * height, TILE * width)


def _both(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """A transform of rows and columns as one matrix for flattened tiles."""
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one).float().contiguous()


def use_winograd(network: nn.Module) -> nn.Module:
    """Replaces the 3x3 convolutions of stride 1 in place; returns the network, which then takes one image at a time."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and child.in_channels >= 16 and child.bias is None and is_plain_3x3(child):
                setattr(module, name, WinogradConv2d(child))
    return network
