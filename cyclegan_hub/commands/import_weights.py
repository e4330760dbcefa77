"""`cyclegan-hub import`: makes a model folder from two `.pth` files of the original CycleGAN code."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from cyclegan_hub.commands.original_layout import Architecture, LayoutError, architecture_of, layers
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import is_lfs_pointer, write_folder
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import InstanceNorm2d

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
    digests, states = {}, {}
    for direction, path in (("a_to_b", a_to_b), ("b_to_a", b_to_a)):
        digests[direction], states[direction] = _read(path)
    kinds = {str(path): architecture_of(str(path), states[d]) for d, path in (("a_to_b", a_to_b), ("b_to_a", b_to_a))}
    if len(set(kinds.values())) > 1:
        raise LayoutError(f"{'; '.join(f'{path}: {kind}' for path, kind in kinds.items())}: both must be the same network")
    kind = next(iter(kinds.values()))
    try:
        model = CycleGenerator(
            channels=kind.channels, width=kind.width, blocks=kind.blocks, generator=kind.generator, upsample="transpose",
            dropout=kind.dropout, image_size=image_size, domain=domain, labels=labels,
        )  # fmt: skip
    except (ValueError, RuntimeError) as error:
        raise LayoutError(f"{a_to_b}: {kind}, which ours cannot be ({error})") from error
    for direction, path in (("a_to_b", a_to_b), ("b_to_a", b_to_a)):
        fill(str(path), model.network(direction), states[direction])
    metadata = {f"imported_{direction}": f"sha256 {digest}" for direction, digest in digests.items()}
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
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise UserError(f"{path} holds no weights, or more than tensors, which is never loaded ({lines[0][:150]})") from None
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
    for layer in layers(network):
        weight = _taken(where, left, f"{layer.conv}.weight")
        if layer.skip_channels:  # the original code has skips first, ours last
            weight = torch.cat([weight[layer.skip_channels :], weight[: layer.skip_channels]])
        _set(where, f"{layer.conv}.weight", layer.own_conv, "weight", weight)
        bias = left.pop(f"{layer.conv}.bias", None)
        if layer.own_norm is None:  # a bias before an instance norm has no effect
            _set_bias(where, layer.conv, layer.own_conv, bias)
        elif isinstance(layer.own_norm, InstanceNorm2d):
            _fill_instance_norm(where, layer.norm, layer.own_norm, left)
        else:
            for name in ("weight", "bias", "running_mean", "running_var"):
                _set(where, f"{layer.norm}.{name}", layer.own_norm, name, _taken(where, left, f"{layer.norm}.{name}"))
            left.pop(f"{layer.norm}.num_batches_tracked", None)
            if bias is not None:  # our convolution has no bias: the running mean is shifted instead
                layer.own_norm.get_buffer("running_mean").sub_(bias)
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        raise LayoutError(f"{where}: unknown weights {', '.join(sorted(left)[:3])}{more}: {_KINDS}")


def _fill_instance_norm(where: str, norm: str | None, own: nn.Module, left: dict[str, Tensor]) -> None:
    """Copies weights if there are some, else sets 1 and 0. Running statistics in old files are dropped: they were never used."""
    nn.init.ones_(own.get_parameter("weight"))
    nn.init.zeros_(own.get_parameter("bias"))
    for name in ("weight", "bias"):
        if f"{norm}.{name}" in left:
            _set(where, f"{norm}.{name}", own, name, _taken(where, left, f"{norm}.{name}"))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        left.pop(f"{norm}.{name}", None)


def _set_bias(where: str, conv: str, own: nn.Module, bias: Tensor | None) -> None:
    if isinstance(own, nn.Conv2d | nn.ConvTranspose2d) and own.bias is None:
        if bias is not None:
            raise LayoutError(f"{where}: unknown weights {conv}.bias: {_KINDS}")
        return
    nn.init.zeros_(own.get_parameter("bias"))
    if bias is not None:
        _set(where, f"{conv}.bias", own, "bias", bias)


def _taken(where: str, left: dict[str, Tensor], name: str) -> Tensor:
    if name not in left:
        raise LayoutError(f"{where}: no {name} there: {_KINDS}")
    return left.pop(name)


def _set(where: str, key: str, module: nn.Module, name: str, value: Tensor) -> None:
    own = getattr(module, name)
    if own.shape != value.shape or not value.is_floating_point():
        raise LayoutError(f"{where}: {key} is {tuple(value.shape)} {value.dtype}, where {tuple(own.shape)} is expected: {_KINDS}")
    own.copy_(value)
