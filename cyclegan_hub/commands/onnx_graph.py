"""Makes the bytes of an ONNX file from a torch network, with our metadata and, if wanted, with half-precision weights."""

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
from cyclegan_hub.models.onnx import DIGEST, NO_DIGEST, PREFIX, digest_of

OPSET = 18  # torch's exporter writes it without conversion; onnxruntime can read it since 1.14 (2023)
OLDEST = 11  # the first with all operations of our networks: resizing by a factor and padding by reflection
_NEW = 18  # below it torch's older exporter is used: the newer one would convert the file, and cannot convert padding
SMALL = 2048  # tensors with fewer numbers stay in fp32: norms, biases, the constants of a transform


class ExportError(UserError):
    """An export that is not possible with these options; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Shape:
    """The input of a graph: an `example` (N, C, H, W) in [-1, 1], and which axes are free (H, W: multiples of `multiple`)."""

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
    for key, value in sorted({**metadata, DIGEST: NO_DIGEST}.items()):
        model.metadata_props.add(key=f"{PREFIX}{key}", value=value)
    model.producer_name = "cyclegan_hub"
    onnx.checker.check_model(model)
    data = bytes(model.SerializeToString(deterministic=True))
    for entry in model.metadata_props:
        entry.value = digest_of(data) if entry.key == f"{PREFIX}{DIGEST}" else entry.value
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
    """The bytes of the traced network as TorchScript, for libtorch. Batch and size of its input are free, as for the network."""
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(network, shape.example, check_trace=False)  # type: ignore[no-untyped-call,unused-ignore]
        torch.jit.save(traced, buffer)
    return _without_sources(buffer.getvalue())


def _without_sources(data: bytes) -> bytes:
    """A TorchScript file without torch's notes on the Python code, which hold paths of this machine and serve tracebacks."""
    reader, buffer = torch._C.PyTorchFileReader(io.BytesIO(data)), io.BytesIO()
    writer = torch._C.PyTorchFileWriter(buffer)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and not name.startswith(".data/") and name != "version":  # which the writer adds
            record = reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return buffer.getvalue()


def _strip(model: Any) -> None:
    """Removes torch's notes on the Python code of each operation: they are large, and contain paths of this machine."""
    graph = model.graph
    for one in (model, graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        one.doc_string = ""
        del one.metadata_props[:]


def _halve(model: object) -> None:
    """Stores each fp32 weight as fp16, followed by a Cast to fp32, which runtimes compute once when they load the file."""
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
    """Hides the output of torch's exporters, which does not help a user: deprecations, missing torchvision, progress."""
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
    """The first line of the innermost error, which names the real cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:160]
