"""Reads and writes `model.safetensors`: equal content gives equal bytes, and weights that do not fit give a one-line error."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from cyclegan_hub.files import is_lfs_pointer
from cyclegan_hub.hub.errors import first_line
from cyclegan_hub.hub.model_folder import ModelError


def serialize(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The bytes of a safetensors file, equal for equal content: its metadata are sorted, which the library does not do."""
    data = save_safetensors(tensors, metadata={"format": "pt", **metadata})
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format keeps the tensors aligned to 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def read_weights(where: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises ModelError, which calls the model `where`, for other bytes."""
    if is_lfs_pointer(data):
        raise ModelError(
            f"{where}: model.safetensors is a Git-LFS pointer of {len(data)} bytes, not the weights: run `git lfs pull` in the "
            "clone that it lies in, or give the repository's name"
        )
    try:
        return load_safetensors(data)
    except (SafetensorError, KeyError) as error:  # KeyError: a type of numbers that torch does not have
        raise ModelError(f"{where}: model.safetensors cannot be read ({first_line(error)}): fetch it again") from None


def check_fit(where: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> None:
    """Raises ModelError unless `weights` fit the state `own` exactly: names, shapes, floats for floats."""
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or extra:
        raise ModelError(f"{where}: weights do not fit the config: missing {_few(missing)}, unexpected {_few(extra)}")
    wrong = [
        f"{name} {_kind(weights[name])} for {_kind(tensor)}"
        for name, tensor in own.items()
        if weights[name].shape != tensor.shape or weights[name].is_floating_point() != tensor.is_floating_point()
    ]
    if wrong:
        raise ModelError(f"{where}: weights do not fit the config: {_few(wrong)}")


def common_dtype(weights: Mapping[str, Tensor]) -> torch.dtype | None:
    """The dtype of all floating-point tensors; None if they have different ones, or there are no such tensors."""
    dtypes = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else None


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _few(names: list[str], most: int = 4) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
