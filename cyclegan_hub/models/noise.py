"""Noise inputs of a generator: random while it is trained, afterwards a fixed function of the place in the image."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

# Of the hash: a prime below 2**31, so that products of two remainders are exact in 64 bits, and known multipliers (Park and
# Miller 1988; Fishman and Moore 1986). With these no two places within 46,000 px of each other have the same number.
PRIME, DOWN, ACROSS, LAYER, START = 2**31 - 1, 48_271, 69_621, 1_000_003, 40_692
HIGH = 2**16  # the hash's upper 15 bits and its lower 16 make two uniform numbers


class Noise(nn.Module):
    """Adds one channel of normal noise times a learned weight per channel (Karras et al. 2019, section 2).

    The weights start at zero. In training each image gets new noise, from torch's global generator on the CPU. In evaluation mode
    it is `fixed_noise` of the `layer`: an image gives the same output alone, in any batch, in tiles and in an exported file.
    Maps (N, C, H, W) -> the same; (`top`, `left`) is the position of a tile in the map of the whole image.
    """

    def __init__(self, channels: int, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, top: int = 0, left: int = 0) -> Tensor:
        height, width = x.shape[2:]
        if self.training:
            noise = torch.randn(len(x), 1, height, width)
        elif torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call,unused-ignore]
            # Sizes are symbols; an export compiles or traces.
            noise = fixed_noise(self.layer, top, left, height, width, x.device)
        else:
            noise = _remembered(self.layer, top, left, height, width)
        return torch.addcmul(x, self.weight.to(x.dtype).view(1, -1, 1, 1), noise.to(x.device, x.dtype))


def fixed_noise(layer: int, top: int, left: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Normal noise (1, 1, H, W), a function of layer and place: the part from (`top`, `left`) on of one endless field.

    A power of a linear function modulo a prime (whole numbers, the same in every runtime), then Box and Muller 1958.
    """
    rows = torch.arange(top, top + height, dtype=torch.int64, device=device)
    columns = torch.arange(left, left + width, dtype=torch.int64, device=device)
    x = (rows[:, None] * DOWN + columns * ACROSS + (layer * LAYER + START)) % PRIME
    square = x * x % PRIME
    number = square * square % PRIME * x % PRIME
    u, v = (number // HIGH + 0.5) / (PRIME // HIGH + 1), number % HIGH / HIGH
    return (torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * math.pi * v))[None, None]


@lru_cache(maxsize=64)  # a fifth of the time of an image of 128 px without it
def _remembered(layer: int, top: int, left: int, height: int, width: int) -> Tensor:
    with torch.inference_mode(False):  # so that gradients may flow past it later
        return fixed_noise(layer, top, left, height, width)
