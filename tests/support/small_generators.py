"""Generators of a few channels, pictures for them, and how two networks are compared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclegan_hub.models.generators import build_generator, init_weights


def batch(*shape: int, seed: int = 0) -> Tensor:
    """Images (N, C, H, W) in [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def built(kind: str, **changes: object) -> nn.Module:
    """A small generator with its own weights, in evaluation mode; norm scales differ by channel, so that an order shows."""
    arguments = {"channels": 3, "width": 4, "blocks": 2, "upsample": "resize", "padding": "reflect", "dropout": 0.0}
    torch.manual_seed(0)
    network = build_generator(kind, **arguments | changes)
    init_weights(network, std=0.2)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, 0.0, 0.1)
    return network.eval()


def assert_all_close(actual: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """Output in [-1, 1] and gradients of fp32 networks. A bias before a norm has no gradient: only rounding, which may differ."""
    torch.testing.assert_close(actual[0], expected[0], rtol=0, atol=1e-4)
    largest = max(gradient.abs().max().item() for gradient in expected[1:])
    for one, other in zip(actual[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * largest)
