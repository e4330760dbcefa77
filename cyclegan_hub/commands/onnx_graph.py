"""A network of torch as the bytes of an ONNX file: by either of torch's exporters, with our metadata, at half size if wanted."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from cyclegan_hub.errors import UserError
from cyclegan_hub.models.onnx import PREFIX

OPSET = 18  # what torch's exporter writes without conversion; onnxruntime has read it since 1.14 (2023)
OLDEST = 11  # the first with what our networks are made of: resizing by a factor and padding by reflection
_NEW = 18  # below it torch's older exporter writes the file: the newer one only converts down, and gives up on padding


SMALL = 2048  # numbers of a tensor that is not worth halving: norms, biases, the constants of a transform


class ExportError(UserError):
    """An export that cannot be done as asked; the message names what and the remedy."""


@dataclass(frozen=True)
class Shape:
    """What a graph takes: `example` (N, C, H, W), and which of its axes may have any size; H and W in multiples of `multiple`."""

    example: Tensor
    any_batch: bool = True
    any_size: bool = False
    multiple: int = 1


def to_onnx(network: nn.Module, shape: Shape, *, opset: int = OPSET, metadata: Mapping[str, str], half: bool = False) -> bytes:
    """The ONNX file of a network in evaluation mode, weights inside: input "x", output "y", both fp32.

    `half` stores the weights in 16 bits and widens them when the file is loaded: half the size, fp32 arithmetic.
    Raises ExportError for an opset that is too old, or too new for the installed packages, or lacks an operation.
    """
    import onnx

    if opset < OLDEST:
        raise ExportError(f"opset {opset} is too old for these networks: give {OLDEST} or more ({OPSET} if none is given)")
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise ExportError(f"opset {opset} is newer than the installed onnx knows: give at most {newest}")
    buffer = io.BytesIO()
    try:
        with _quiet():
            write = _write_new if opset >= _NEW else _write_old
            write(network, shape, opset, buffer)
    except Exception as error:  # torch has many kinds, and wraps one in the other
        raise ExportError(f"opset {opset} cannot express this model ({_first(error)}): give --opset {OPSET}") from error
    model = onnx.load_from_string(buffer.getvalue())
    written = next((one.version for one in model.opset_import if not one.domain), 0)
    if written != opset:
        raise ExportError(f"opset {opset} lacks an operation of this model: give {written}")
    _strip(model)
    if half:
        _halve(model)
    for key, value in sorted(metadata.items()):
        model.metadata_props.add(key=f"{PREFIX}{key}", value=value)
    model.producer_name = "cyclegan_hub"
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _write_new(network: nn.Module, shape: Shape, opset: int, buffer: io.BytesIO) -> None:
    sizes: dict[int, object] = {0: Dim("batch")} if shape.any_batch else {}
    if shape.any_size:
        sizes |= {2 + i: shape.multiple * Dim(name) if shape.multiple > 1 else Dim(name) for i, name in enumerate(("h", "w"))}
    program = torch.onnx.export(
        network, (shape.example,), dynamo=True, opset_version=opset, input_names=["x"], output_names=["y"],
        dynamic_shapes=(sizes,) if sizes else None, verbose=False,
    )  # fmt: skip
    assert program is not None  # with dynamo=True it never is
    buffer.write(program.model_proto.SerializeToString())


def _write_old(network: nn.Module, shape: Shape, opset: int, buffer: io.BytesIO) -> None:
    axes = {0: "batch"} if shape.any_batch else {}
    names = axes | ({2: "height", 3: "width"} if shape.any_size else {})
    write: Any = torch.onnx.export  # its types know nothing of a buffer, which only the older exporter takes
    write(
        network, (shape.example,), buffer, dynamo=False, opset_version=opset, input_names=["x"], output_names=["y"],
        dynamic_axes={"x": names, "y": names},
    )  # fmt: skip


def to_torchscript(network: nn.Module, shape: Shape) -> bytes:
    """The network traced as TorchScript, for libtorch. Its input may have any batch and any size that the network takes."""
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(network, shape.example, check_trace=False)  # type: ignore[no-untyped-call,unused-ignore]
        torch.jit.save(traced, buffer)
    return buffer.getvalue()


def _strip(model: Any) -> None:
    """Removes what torch notes of the Python code behind each operation: it is large, and holds this machine's paths."""
    graph = model.graph
    for one in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        one.doc_string = ""
        del one.metadata_props[:]


def _halve(model: object) -> None:
    """Each fp32 weight of an ONNX model as fp16 and a Cast to fp32, which runtimes fold away when they load the file."""
    import numpy as np
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    assert isinstance(model, ModelProto)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        if not np.isfinite(values.astype(np.float16)).all():
            raise ExportError(f"{tensor.name} holds {abs(values).max():g}, beyond what fp16 can: give --dtype fp32")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.fp16"))
        casts.append(helper.make_node("Cast", [f"{name}.fp16"], [name], name=f"{name}.widen", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Torch's exporters say a lot that no user can act on: deprecations, missing torchvision, their progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first(error: BaseException) -> str:
    """The first line of the innermost error, which is the one that says something."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:160]
