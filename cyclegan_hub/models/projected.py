"""Projected discriminators (Sauer et al. 2021): they classify the features of a frozen ImageNet network, not pixels."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from cyclegan_hub.models.discriminators import PatchDiscriminator
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite

SMALLEST = 32  # px: four scales of an image, each half the one before, of which the coarsest is one 32nd
_SHOWN = 128  # px: a smaller image is enlarged to it, since the network was trained on larger ones


class ProjectedDiscriminator(nn.Module):
    """Four small discriminators on the features of `network`, mixed at random (Sauer et al. 2021, "Projected GANs", section 3).

    The features at strides 4, 8, 16 and 32 are each scaled to unit deviation (see `calibrate`) and mixed across channels by a
    random 1x1 convolution, then, from the coarsest to the finest, across scales by random 3x3 ones. These projections are sampled
    from `seed`, kept in the state, and never trained; the discriminators on them have spectral norm (Miyato et al. 2018).

    Images (N, C, H, W) in [-1, 1], of one or three channels -> a tuple of four maps of logits (N, 1, h, w), the finest first.
    Raises ValueError for images of less than 32 px. `network` is moved along with this module (`.to()`), but it is no part of
    its parameters nor of its state: several discriminators may share one.
    """

    def __init__(self, network: EfficientNetLite, channels: int = 3, mixed: int = 64, seed: int = 0) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"channels={channels}: must be 1 or 3 for a projected discriminator")
        self._network = (network,)  # in a tuple, which torch does not search for parts of this module
        generator = torch.Generator().manual_seed(seed)
        for i, width in enumerate(network.widths):  # Kaiming's rule for a layer without an activation
            across = torch.randn(mixed, width, 1, 1, generator=generator) / width**0.5
            blend = torch.randn(mixed, mixed, 3, 3, generator=generator) / (9 * mixed) ** 0.5
            self.register_buffer(f"across_{i}", across)
            self.register_buffer(f"blend_{i}", blend)
        self.scales: Tensor
        self.register_buffer("scales", torch.ones(len(network.widths)))
        self.judges = nn.ModuleList(_head(mixed, halvings) for halvings in (2, 1, 0, 0))  # a name in saved states

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mixed = [scale * y for scale, y in zip(self.scales, self._across(x), strict=True)]
        coarser: Tensor | None = None
        blended = []
        for i, y in reversed(list(enumerate(mixed))):
            if coarser is not None:  # two parts of unit deviation, brought back to unit deviation
                y = (y + F.interpolate(coarser, size=y.shape[2:], mode="nearest")) * 0.5**0.5
            coarser = F.conv2d(y, self.get_buffer(f"blend_{i}"), padding=1)
            blended.append(coarser)
        return tuple(head(y) for head, y in zip(self.judges, reversed(blended), strict=True))

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fixes the scale of each level so that its features of `x` (N, C, H, W) have unit deviation.

        Once, before the first step, with real images. In a process group every process brings its own images and all
        arrive at the same scales. They are part of the state, so that a resumed run has them.
        """
        # Sums in fp64: their difference is what counts.
        sums = [torch.stack([y.sum(), y.square().sum(), y.new_tensor(y.numel())]) for y in map(Tensor.double, self._across(x))]
        total = torch.stack(sums)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
        mean, square = total[:, 0] / total[:, 2], total[:, 1] / total[:, 2]
        self.scales.copy_((square - mean.square()).clamp_min(1e-6).rsqrt())

    def _across(self, x: Tensor) -> list[Tensor]:
        """The network's features, mixed across channels."""
        if min(x.shape[2:]) < SMALLEST:
            raise ValueError(
                f"an image of {x.shape[3]}x{x.shape[2]} px is too small for projected discriminators: {SMALLEST} at least"
            )
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        factor = _SHOWN / min(x.shape[2:])
        if factor > 1:
            size = [round(factor * side) for side in x.shape[2:]]
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        features = self._network[0](x)
        return [F.conv2d(y, self.get_buffer(f"across_{i}")) for i, y in enumerate(features)]

    def _apply(self, fn: Any, recurse: bool = True) -> ProjectedDiscriminator:
        self._network[0]._apply(fn, recurse)  # type: ignore[no-untyped-call]  # every move to a device or type goes through here
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


class JointDiscriminator(nn.Module):
    """Projected discriminators and a plain patch discriminator side by side: logits of the former, then those of the latter."""

    def __init__(self, projected: ProjectedDiscriminator, patch: PatchDiscriminator) -> None:
        super().__init__()
        self.projected, self.patch = projected, patch

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (*self.projected(x), *self.patch(x))

    def calibrate(self, x: Tensor) -> None:
        self.projected.calibrate(x)


def _head(inputs: int, halvings: int) -> nn.Sequential:
    """Convolutions with spectral norm, `halvings` of them 4x4 with stride 2 (at none, one of 3x3), to one channel of logits."""
    width = 2 * inputs
    shapes = [(4, 2)] * halvings or [(3, 1)]
    layers: list[nn.Module] = []
    for i, (kernel, stride) in enumerate(shapes):
        layers.append(spectral_norm(nn.Conv2d(width if i else inputs, width, kernel, stride, 1)))
        if i or len(shapes) == 1:  # none after the first of several, as in a patch discriminator
            layers.append(nn.GroupNorm(8, width))
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width, 1, 3, 1, 1)))
