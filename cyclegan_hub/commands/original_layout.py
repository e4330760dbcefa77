"""How the code of the CycleGAN paper's authors (pytorch-CycleGAN-and-pix2pix, models/networks.py) names a generator's weights.

Its networks are sequences without names, so a key holds positions: `model.10.conv_block.1.weight`. This module reads the
architecture from keys and shapes, and finds for each layer the layer of ours that does the same:

- ResNet: reflection padding, 7x7 ends, two strided convolutions, blocks, two transposed convolutions. Instance norm without
  weights, so that ours get 1 and 0; a bias before it has no effect and is left out. In blocks with dropout the second
  convolution is one position later.
- U-Net: blocks inside of blocks, each a down and an up convolution around the next one. Its ReLU acts on the skip as well
  (`rectify_skips` of ours), and its skips come before what was decoded, ours after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from cyclegan_hub.errors import UserError
from cyclegan_hub.models.generators import Kind, ResNetGenerator, UNetGenerator


class LayoutError(UserError):
    """Weights of an unknown layout; the message names the file and the unknown part."""


@dataclass(frozen=True)
class Architecture:
    """The architecture of a generator, read from keys and shapes, as arguments of `CycleGenerator`."""

    generator: Kind
    channels: int
    width: int
    blocks: int
    dropout: float

    def __str__(self) -> str:
        return (
            f"{self.generator} of {self.blocks} blocks and width {self.width}, {self.channels} channels"
            f"{', with dropout' if self.dropout else ''}"
        )


@dataclass(frozen=True)
class Layer:
    """A convolution of the original code and the norm after it (their keys), and our modules that do the same."""

    conv: str
    norm: str | None
    own_conv: nn.Module
    own_norm: nn.Module | None
    skip_channels: int = 0  # input channels from the skip: first in the original code, last in ours


def architecture_of(where: str, state: Mapping[str, Tensor]) -> Architecture:
    """Reads the architecture of a generator from keys and shapes. Raises LayoutError for any other network."""
    if "model.model.0.weight" in state:
        return _unet(where, state)
    if "model.1.weight" in state and state["model.1.weight"].shape[2:] == (7, 7):
        return _resnet(where, state)
    first = ", ".join(list(state)[:3]) or "nothing"
    raise LayoutError(f"{where}: holds {first}: neither the ResNet nor the U-Net generator of the original code")


def _resnet(where: str, state: Mapping[str, Tensor]) -> Architecture:
    blocks = {int(found[1]) for name in state if (found := re.match(r"model\.(\d+)\.conv_block\.", name))}
    if "model.2.running_var" in state and "model.2.weight" in state:
        raise LayoutError(f"{where}: a ResNet with batch norm: only those with instance norm can be imported")
    if any(name.endswith(".filt") for name in state):
        raise LayoutError(f"{where}: a ResNet with blurred down- and upsampling (as in CUT), which ours does not have")
    if not blocks:
        raise LayoutError(f"{where}: a ResNet without blocks: not a generator of the original code")
    last = f"model.{10 + len(blocks) + 7}.weight"
    dropout = any(re.match(r"model\.\d+\.conv_block\.6\.", name) for name in state)
    width, channels = state["model.1.weight"].shape[:2]
    _check_channels(where, channels, state.get(last), 0)
    return Architecture("resnet", channels, width, len(blocks), 0.5 if dropout else 0.0)


def _unet(where: str, state: Mapping[str, Tensor]) -> Architecture:
    depth = max(name.count("model.") for name in state) - 1  # one level of nesting for each halving of the size
    batch = any(name.endswith("running_var") and name.replace("running_var", "weight") in state for name in state)
    width, channels = state["model.model.0.weight"].shape[:2]
    _check_channels(where, channels, state.get("model.model.3.weight"), 1)
    return Architecture("unet-rectified-batch" if batch else "unet-rectified", channels, width, depth, 0.0)


def _check_channels(where: str, channels: int, last: Tensor | None, axis: int) -> None:
    if last is not None and last.ndim == 4 and last.shape[axis] != channels:
        raise LayoutError(f"{where}: makes {last.shape[axis]} channels of {channels}: ours have the same number on both sides")


def layers(network: nn.Module) -> Iterator[Layer]:
    """Every layer with weights of one of our generators, with its keys in the original code."""
    match network:
        case ResNetGenerator():
            yield from _resnet_layers(network)
        case UNetGenerator():
            yield from _unet_layers(network)
        case _:
            raise TypeError(f"{type(network).__name__} has no counterpart in the original code")


def _resnet_layers(network: ResNetGenerator) -> Iterator[Layer]:
    for place, own in zip((1, 4, 7), (0, 3, 6), strict=True):
        yield Layer(f"model.{place}", f"model.{place + 1}", network.encoder[own], network.encoder[own + 1])
    for number, block in enumerate(network.body, start=10):
        parts = list(block.get_submodule("layers").children())
        first, second = (i for i, part in enumerate(parts) if isinstance(part, nn.Conv2d))
        # Theirs has a padding layer before each convolution.
        dropout = any(isinstance(module, nn.Dropout) for module in block.modules())
        key = f"model.{number}.conv_block"
        yield Layer(f"{key}.1", f"{key}.2", parts[first], parts[first + 1])
        later = 6 if dropout else 5
        yield Layer(f"{key}.{later}", f"{key}.{later + 1}", parts[second], parts[second + 1])
    after = 10 + len(network.body)
    for place, own in ((after, 0), (after + 3, 3)):
        yield Layer(f"model.{place}", f"model.{place + 1}", network.decoder[own], network.decoder[own + 1])
    yield Layer(f"model.{after + 7}", None, network.decoder[6], None)


def _unet_layers(network: UNetGenerator) -> Iterator[Layer]:
    depth, key = len(network.down), "model"
    for level, (down, up) in enumerate(zip(network.down, [network.head, *reversed(network.up)], strict=True)):
        outermost, innermost = level == 0, level == depth - 1
        downs, ups = list(down.children()), list(up.children())
        key += ".model" if outermost else f".{1 if level == 1 else 3}.model"
        own_norm = downs[1] if len(downs) == 3 else None
        yield Layer(f"{key}.{0 if outermost else 1}", f"{key}.2" if own_norm else None, downs[0], own_norm)
        place = 3 if outermost or innermost else 5
        skip = 0 if innermost else _inputs(ups[0]) // 2
        yield Layer(f"{key}.{place}", None if outermost else f"{key}.{place + 1}", ups[0], None if outermost else ups[1], skip)


def _inputs(convolution: nn.Module) -> int:
    return convolution.in_channels if isinstance(convolution, nn.ConvTranspose2d) else 0
