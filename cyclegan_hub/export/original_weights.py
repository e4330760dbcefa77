"""`cyclegan-hub import`: makes a model folder from two `.pth` files of the original CycleGAN code."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from cyclegan_hub.errors import UserError, first_line, shortened
from cyclegan_hub.files import is_lfs_pointer, write_folder
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import InstanceNorm2d, Kind, ResNetGenerator, UNetGenerator

_KINDS = "the ResNet and the U-Net generators of pytorch-CycleGAN-and-pix2pix are known"


def import_weights(
    a_to_b: Path, b_to_a: Path, out: Path, *, labels: Sequence[str], image_size: int = 256, domain: str = ""
) -> Architecture:
    """Writes the model folder `out` from the original code's `latest_net_G_A.pth` (A to B) and `latest_net_G_B.pth` (B to A).

    `labels`: what A and B show. `image_size`: the side in px that the networks were trained at, 256 unless that run cropped
    otherwise. Returns the architecture of the networks. Only tensors are read from the files.

    Raises LayoutError for weights of another layout or of two different networks, UserError for a file that cannot be read and
    for an `out` that exists.
    """
    if out.exists():
        raise UserError(f"{out} is there already: give another name, or move it away")
    read = {path: _read(path) for path in (a_to_b, b_to_a)}
    kind, other = (architecture_of(str(path), read[path][1]) for path in (a_to_b, b_to_a))
    if kind != other:
        raise LayoutError(f"{a_to_b}: {kind}; {b_to_a}: {other}: both must be the same network")
    try:
        model = CycleGenerator(**asdict(kind), upsample="transpose", image_size=image_size, domain=domain, labels=labels)
    except (ValueError, RuntimeError) as error:
        raise LayoutError(f"{a_to_b}: {kind}, which ours cannot be ({error})") from error
    metadata = {}
    for direction, path in (("a_to_b", a_to_b), ("b_to_a", b_to_a)):
        digest, state = read[path]
        fill(str(path), model.network(direction), state)
        metadata[f"imported_{direction}"] = f"sha256 {digest}"
    files = model.files(metadata) | {"README.md": str(model.generate_model_card()).encode()}
    write_folder(out, files)
    return kind


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Returns (sha256 of a file, its tensors by name). Raises UserError for a file that cannot be read as weights."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): check the path and its permissions") from None
    if is_lfs_pointer(data):
        raise UserError(f"{path} is a Git-LFS pointer of {len(data)} bytes, not the weights: run `git lfs pull` in its clone")
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch has many errors for damaged files, other formats, and objects other than tensors
        reason = first_line(error)[:150]
        raise UserError(f"{path} holds no weights, or more than tensors, which is never loaded ({reason})") from None
    if not isinstance(state, dict) or not state or not all(isinstance(x, Tensor) for x in state.values()):
        raise LayoutError(f"{path}: no table of tensors by name, as the original code saves a generator: {_KINDS}")
    whole = {str(name): tensor for name, tensor in state.items()}
    if all(name.startswith("module.") for name in whole):  # saved from DataParallel
        whole = {name.removeprefix("module."): tensor for name, tensor in whole.items()}
    return hashlib.sha256(data).hexdigest(), whole


@torch.no_grad()
def fill(where: str, network: nn.Module, state: dict[str, Tensor]) -> None:
    """Copies the original code's weights into one of our generators. Raises LayoutError for missing or unknown weights."""
    left = dict(state)

    def put(key: str, own: Tensor | None, default: float | None = None, skip_channels: int = 0) -> None:
        value = left.pop(key, None)
        if value is None and own is not None:
            if default is None:
                raise LayoutError(f"{where}: no {key} there: {_KINDS}")
            own.fill_(default)
        if value is None:
            return
        if own is None:
            raise LayoutError(f"{where}: unknown weights {key}: {_KINDS}")
        if skip_channels:  # the original code has skips first, ours last
            value = torch.cat([value[skip_channels:], value[:skip_channels]])
        if own.shape != value.shape or not value.is_floating_point():
            found = f"{tuple(value.shape)} {value.dtype}"
            raise LayoutError(f"{where}: {key} is {found}, where {tuple(own.shape)} is expected: {_KINDS}")
        own.copy_(value)

    for layer in layers(network):
        conv, norm = layer.own_conv, layer.own_norm
        put(f"{layer.conv}.weight", conv.get_parameter("weight"), skip_channels=layer.skip_channels)
        if norm is None:
            put(f"{layer.conv}.bias", getattr(conv, "bias", None), 0)
            continue
        bias = left.pop(f"{layer.conv}.bias", None)
        unused = ["num_batches_tracked"]
        if isinstance(norm, InstanceNorm2d):  # a bias before it has no effect, and its statistics in old files were never used
            put(f"{layer.norm}.weight", norm.weight, 1)
            put(f"{layer.norm}.bias", norm.bias, 0)
            unused += ["running_mean", "running_var"]
        else:
            for name in ("weight", "bias", "running_mean", "running_var"):
                put(f"{layer.norm}.{name}", getattr(norm, name))
            if bias is not None:  # our convolution has no bias: the running mean is shifted instead
                norm.get_buffer("running_mean").sub_(bias)
        for name in unused:
            left.pop(f"{layer.norm}.{name}", None)
    if left:
        raise LayoutError(f"{where}: unknown weights {shortened(sorted(left), 3)}: {_KINDS}")


# The names of weights in the code of the CycleGAN paper's authors (pytorch-CycleGAN-and-pix2pix, models/networks.py).


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
        skip = 0 if innermost else cast(nn.ConvTranspose2d, ups[0]).in_channels // 2
        yield Layer(f"{key}.{place}", None if outermost else f"{key}.{place + 1}", ups[0], None if outermost else ups[1], skip)
