"""The state of a run as one safetensors file: a tree of dicts, lists, numbers and tensors, never a pickle."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_TREE = "tree"  # key of the header's metadata under which the tree without its tensors stands, as JSON


def pack(tree: Any) -> bytes:
    """A tree of dicts (with text or whole-number keys), lists, tuples, None, bools, numbers, texts and tensors, as bytes.

    Floats come back exactly. Raises TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, tensors)
    return save(tensors, metadata={_TREE: json.dumps(skeleton)})


def unpack(path: Any) -> Any:
    """The tree that `pack` wrote to the file at `path`; tensors on the CPU. Raises ValueError for another or a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})[_TREE])
            return _restore(skeleton, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a saved state, or damaged ({error})") from error


def _strip(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        name = f"{len(tensors):06d}"
        # A copy: safetensors refuses tensors that share memory, as tied weights or slices do.
        tensors[name] = node.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"$tensor": name}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, list | tuple):
        return {"$tuple" if isinstance(node, tuple) else "$list": [_strip(item, tensors) for item in node]}
    if isinstance(node, dict) and all(isinstance(key, str | int) for key in node):
        return {"$dict": [[key, _strip(value, tensors)] for key, value in node.items()]}
    raise TypeError(f"cannot save a {type(node).__name__} in a run's state")


def _restore(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    match kind:
        case "$tensor":
            return tensors[content]
        case "$dict":
            return {key: _restore(value, tensors) for key, value in content}
        case "$list":
            return [_restore(item, tensors) for item in content]
        case "$tuple":
            return tuple(_restore(item, tensors) for item in content)
    raise ValueError(f"unknown node {kind!r}")
