"""`cyclegan-hub export`: writes a published generator as an ONNX or TorchScript file, and verifies its outputs."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from cyclegan_hub import __version__, free_images
from cyclegan_hub.checkpoints import load
from cyclegan_hub.errors import UserError, first_line
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.files import json_bytes, write_atomic
from cyclegan_hub.hub.provenance import provenance_of, without_paths
from cyclegan_hub.hub.repository import licence_of, url_of
from cyclegan_hub.imaging import images
from cyclegan_hub.models.onnx import DIGEST, NO_DIGEST, PREFIX, RULE_IN_GRAPH, OnnxGenerator, digest_of
from cyclegan_hub.models.protocols import Model, PairedTranslator, Sampler, Translator
from cyclegan_hub.models.translate import translate_batch

OPSET = 18  # torch's exporter writes it without conversion; onnxruntime can read it since 1.14 (2023)
OLDEST = 11  # the first with all operations of our networks: resizing by a factor and padding by reflection
NEW_EXPORTER = 18  # below it torch's older exporter is used: the newer one would convert the file, and cannot convert padding
SMALL = 2048  # tensors with fewer numbers stay in fp32: norms, biases, the constants of a transform
SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt"}
# In steps of 8-bit values (1/255 of the range): the largest difference that is accepted, and the largest mean difference.
LIMITS = {"fp32": (0.2, 0.2), "fp16": (6.0, 0.5)}
IMAGES = ("astronaut_face.jpg", "chelsea.jpg", "coffee.jpg")  # a square portrait and two landscape formats
LATENTS = 16

Dtype = Literal["fp32", "fp16"]
Run = Callable[[np.ndarray], np.ndarray]  # images (N, C, H, W) in [-1, 1], or latents (N, L) of a DCGAN -> outputs in [-1, 1]


class ExportError(UserError):
    """An export that is not possible with these options; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Shape:
    """The input of a graph: an `example` (N, C, H, W) in [-1, 1], and which axes are free (H, W: multiples of `multiple`)."""

    example: Tensor
    any_batch: bool = True
    any_size: bool = False
    multiple: int = 1


@dataclass(frozen=True)
class Part:
    """The content of one file: one network of a model, the shape of its input, and the file's metadata."""

    model: Model
    direction: str
    network: nn.Module
    shape: Shape
    size: int | None  # side in px of the only possible input; None: any size
    metadata: dict[str, str]


def export(
    source: str,
    out: Path,
    *,
    direction: str | None = None,
    epoch: int | None = None,
    dtype: Dtype = "fp32",
    size: int | None = None,
    opset: int = OPSET,
    format: Literal["onnx", "torchscript"] = "onnx",
    force: bool = False,
) -> int:
    """Writes one direction of a model to `out`, and the verification beside it (`out` with the suffix .proof.json); returns 0.

    `source` and `epoch` as for `checkpoints.load`; `direction` None: the model's first one. `size` None: the file takes images
    of any size; a number: only squares of that side in px. `dtype` "fp16" stores weights in half the size, and computes in fp32.
    Raises ExportError for options that cannot be followed, and if the file's outputs differ too much from the model's;
    ModelError as `load` does. A failed export leaves no file.
    """
    out = out.expanduser().resolve()
    _check_out(out, format, force)
    if format == "torchscript" and dtype != "fp32":
        raise ExportError("TorchScript is written in fp32: leave --dtype out, or give --format onnx")
    made = part(load(source, epoch), source, direction, dtype, size, opset)
    if format == "torchscript":
        data = to_torchscript(made.network, made.shape)
        run, by = _torchscript_runner(data, made), f"libtorch {torch.__version__}"
    else:
        data = to_onnx(made.network, made.shape, opset=opset, metadata=made.metadata, half=dtype == "fp16")
        run, by = onnx_runner(data, out.name)
    found = compare_outputs(made.model, made.direction, run, made.size)
    check_differences(found, dtype)
    report = {"file": out.name, "bytes": len(data), **made.metadata, **verification(found, dtype), "run_by": by}
    beside = out.with_name(f"{out.stem}.proof.json")
    write_atomic(beside, json_bytes(report))
    write_atomic(out, data)
    print(f"{out}: {len(data):,} bytes, {description(made)}, {format}, {dtype}")
    for one in found:
        print(f"  {one.of}: differs from the model by at most {one.largest:.4f}/255, {one.mean:.5f}/255 in the mean ({by})")
    print(f"  verification: {beside}")
    return 0


def _check_out(out: Path, format: str, force: bool) -> None:
    if out.suffix.lower() != SUFFIXES[format]:
        formats = [f"--format {name}" for name, suffix in SUFFIXES.items() if suffix == out.suffix.lower()]
        other = [*formats, "--web for a folder"][0]
        raise ExportError(f"{out.name}: give a name that ends in {SUFFIXES[format]}, or {other}")
    if not out.parent.is_dir():
        raise ExportError(f"{out}: there is no folder {out.parent}")
    if out.is_dir() or (out.exists() and not force):
        raise ExportError(f"{out} exists: give another name{'' if out.is_dir() else ', or --force to replace it'}")


def part(
    model: Model, source: str, direction: str | None, dtype: Dtype = "fp32", size: int | None = None, opset: int = OPSET
) -> Part:
    """One direction of a loaded model, ready to be written. Raises ExportError for a wrong direction or size."""
    direction = direction or model.directions[0]
    if direction not in model.directions:
        raise ExportError(f"direction {direction!r}: this {type(model).__name__} has {', '.join(model.directions)}")
    network = model.network(direction)
    if isinstance(model, Sampler):
        if size not in (None, model.image_size):
            raise ExportError(f"--size {size}: this model generates images of {model.image_size} px alone, leave it out")
        multiple, shape = 1, Shape(torch.randn(2, model.latent, 1, 1))
    else:
        multiple = int(network.multiple)  # type: ignore[arg-type]  # torch types a module's attributes as tensors
        scale = model.enlargement
        if size is not None and (size < 8 or size * scale % multiple):
            least = max(1, multiple // scale)
            raise ExportError(f"--size {size}: this network takes multiples of {least}, from {max(8, least)} px up")
        if isinstance(model, PairedTranslator) and model.rule.derived:
            network, multiple = NetworkWithRule(model.input_of, network, multiple), 1
        height, width = (size, size) if size else (max(64, 2 * multiple), max(96, 3 * multiple))
        shape = Shape(torch.rand(2, model.channels, height, width) * 2 - 1, any_size=size is None, multiple=multiple)
    metadata = _metadata(model, source, direction, dtype, multiple, size, opset)
    return Part(model, direction, network.eval(), shape, size, metadata)


def _metadata(
    model: Model, source: str, direction: str, dtype: str, multiple: int, size: int | None, opset: int
) -> dict[str, str]:
    provenance = provenance_of(model.record)
    labels = model.labels[::-1] if direction == "b_to_a" else model.labels
    shape = "images (batch, channels, height, width)" if model.takes_pictures else "latents (batch, latent, 1, 1)"
    found: dict[str, Any] = {
        "format": RULE_IN_GRAPH if isinstance(model, PairedTranslator) and model.rule.derived else 1,
        "model": model.config["model"],
        "direction": direction,
        "labels": json.dumps(labels, ensure_ascii=False),  # of input and output
        "domain": model.domain,
        "epoch": json.dumps(model.epoch),
        "channels": model.channels,
        "image_size": model.image_size,
        "multiple": multiple,
        "size": size or "dynamic",
        "pairs": getattr(model, "pairs", "given"),
        # Where the eyes of faces lie in the input (left x, left y, right x, right y in shares of the side); null: any images.
        "eyes": json.dumps(getattr(model, "eyes", {}).get(direction)),
        "skip": json.dumps(isinstance(model, Translator) and model.has_skip(direction)),  # whether the output is input + change
        "input": f"x: fp32 {shape}",
        "range": "[-1, 1]: pixel / 127.5 - 1 in, round((y + 1) * 127.5) out, RGB or grey",
        "dtype": dtype,
        "opset": opset,
        "license": provenance.licence_name if provenance.licence else licence_of(source) or provenance.licence_name,
        "terms": without_paths(provenance.terms),
        "source": url_of(source),
        "version": __version__,
    }
    if (limits := getattr(model, "value_range", None)) is not None:
        found["value_range"] = json.dumps(limits)
    if isinstance(model, Sampler):
        found["latent"] = model.latent
    return {key: str(value) for key, value in found.items()}


def description(made: Part) -> str:
    """The content of a file: "not smiling → smiling, epoch 19, any size"."""
    model, labels = made.model, json.loads(made.metadata["labels"])
    epoch = "" if model.epoch is None else f", epoch {model.epoch}"
    if not model.takes_pictures:
        return f"noise → {labels[0]}{epoch}, {model.image_size} px"
    return f"{' → '.join(labels)}{epoch}, {f'{made.size} x {made.size} px' if made.size else 'any size'}"


class NetworkWithRule(nn.Module):
    """The generator of a derived rule for images of any size: the rule that makes its input, its padding, the network."""

    def __init__(self, input_of: Callable[[Tensor], Tensor], network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.input_of, self.network, self.multiple = input_of, network, multiple

    def forward(self, x: Tensor) -> Tensor:
        x = self.input_of(x)
        height, width = x.shape[2:]
        y: Tensor = self.network(images.pad_to_multiple(x, self.multiple))
        return y[:, :, :height, :width]


# ------------------------------------------------------------------------------------------------------------- writing


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
            write = _write_new if opset >= NEW_EXPORTER else _write_old
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
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)  # a newer one shuts older runtimes out
    onnx.checker.check_model(model)
    data = bytes(model.SerializeToString(deterministic=True))
    for entry in model.metadata_props:
        entry.value = digest_of(data) if entry.key == f"{PREFIX}{DIGEST}" else entry.value
    return bytes(model.SerializeToString(deterministic=True))


def _write_new(network: nn.Module, shape: Shape, opset: int, buffer: io.BytesIO) -> None:
    from onnxscript.optimizer import optimize

    sizes: dict[int, object] = {0: Dim("batch")} if shape.any_batch else {}
    if shape.any_size:
        sizes |= {axis: shape.multiple * Dim(name) if shape.multiple > 1 else Dim(name) for axis, name in ((2, "h"), (3, "w"))}
    program = torch.onnx.export(
        network, (shape.example,), dynamo=True, opset_version=opset, input_names=["x"], output_names=["y"],
        dynamic_shapes=(sizes,) if sizes else None, verbose=False, optimize=False,
    )  # fmt: skip
    assert program is not None  # with dynamo=True it never is
    # As torch would do it, which also stores maps: fixed noise times the weights of all channels, twice the size of the model.
    buffer.write(optimize(program.model_proto, output_size_limit=SMALL).SerializeToString())


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
    writer.set_min_version(int(reader.get_record("version")))  # an older one would give some operations their older meaning
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
    """Hides the output of torch's exporters, which helps no user: deprecations, missing torchvision, progress."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _first(error: BaseException) -> str:
    """The first line of the innermost error, which names the cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)[:160]


# -------------------------------------------------------------------------------------------------------- verification


def onnx_runner(data: bytes, name: str) -> tuple[Run, str]:
    """The function that runs the ONNX file `data` with onnxruntime, and the runtime's name and version."""
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    generator = OnnxGenerator.from_bytes(data, name)
    run = generator.run if generator.takes_pictures else generator.run_latents
    return run, f"onnxruntime {onnxruntime.__version__}"


def _torchscript_runner(data: bytes, made: Part) -> Run:
    network, model = torch.jit.load(io.BytesIO(data)), made.model  # type: ignore[no-untyped-call,unused-ignore]
    multiple = int(made.metadata["multiple"])

    @torch.inference_mode()
    def run(x: np.ndarray) -> np.ndarray:
        inputs = torch.from_numpy(x)
        if isinstance(model, Sampler):
            return np.asarray(network(inputs[:, :, None, None]))
        height, width = (side * model.enlargement for side in x.shape[2:])
        return np.asarray(network(images.pad_to_multiple(inputs, multiple))[:, :, :height, :width])

    return run


@dataclass(frozen=True)
class Difference:
    """The largest and the mean difference between the outputs of an exported file and of the model, in 8-bit steps (1/255)."""

    of: str  # the input
    largest: float
    mean: float


def compare_outputs(model: Model, direction: str, run: Run, size: int | None) -> list[Difference]:
    """Compares a model with `run` on three images of different sizes (with `size`: their centred squares), or on 16 latents.

    Both networks get the images as they are and, where the direction's inputs are aligned faces, one of these as well. The
    model computes in fp32. Outputs are compared before they are rounded to 8 bits: rounding would hide small differences, and
    make others larger.
    """
    network = model.network(direction)
    if isinstance(model, Sampler):
        z = model.latents(LATENTS, seed=0)
        with torch.inference_mode():
            return [_compare(f"{LATENTS} latents of seed 0", network(z[:, :, None, None]), run(z.numpy()))]
    given = {}
    for name, times in zip(IMAGES, (1, 1.5, 2), strict=True):
        image = images.decode(free_images.FOLDER / name, model.channels)
        image = images.square(image, size) if size else images.resize_short(image, round(model.translate_size * times))
        given[f"{name} at {image.width} x {image.height} px"] = image
    if (eyes := model.eyes[direction]) is not None:
        portrait, side = images.decode(free_images.FOLDER / IMAGES[0], model.channels), size or model.translate_size
        aligned = align(portrait, find_faces(portrait)[0], eyes, side)
        given[f"the face of {IMAGES[0]}, aligned at {side} x {side} px"] = aligned
    inputs = {of: images.to_tensor(image)[None] for of, image in given.items()}
    return [_compare(of, translate_batch(network, model.input_of(x)), run(x.numpy())) for of, x in inputs.items()]


def _compare(of: str, expected: Tensor, found: np.ndarray) -> Difference:
    if tuple(expected.shape) != found.shape:
        raise AssertionError(f"{of}: the exported file gives {found.shape}, the model {tuple(expected.shape)}")
    apart = np.abs(found.clip(-1, 1) - expected.clamp(-1, 1).numpy()).astype(np.float64) * 127.5
    return Difference(of, float(apart.max()), float(apart.mean()))


def check_differences(found: list[Difference], dtype: str) -> None:
    """Raises ExportError for a difference above the LIMITS of this dtype, or NaN."""
    largest, mean = LIMITS[dtype]
    for one in found:
        if not (one.largest <= largest and one.mean <= mean):
            raise ExportError(
                f"{one.of}: the exported file differs from the model by {one.largest:.3g}/255, {one.mean:.3g}/255 in the mean, "
                f"and {dtype} may by {largest:g} and {mean:g}: nothing was written"
                + (", give --dtype fp32" if dtype == "fp16" else "")
            )


def verification(found: list[Difference], dtype: str) -> dict[str, Any]:
    """The content of a .proof.json: every difference, the limits, and the versions of the libraries."""
    return {
        "unit": "shares of 255 in the written image, before rounding",
        "allowed": dict(zip(("largest", "mean"), LIMITS[dtype], strict=True)),
        "found": [asdict(one) for one in found],
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
