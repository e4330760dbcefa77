"""`cyclegan-hub export`: writes a published generator as an ONNX or TorchScript file, and proves that its results are equal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from cyclegan_hub import __version__, images
from cyclegan_hub.checkpoints import load
from cyclegan_hub.commands import proof
from cyclegan_hub.commands.onnx_graph import OPSET, ExportError, Shape, to_onnx, to_torchscript
from cyclegan_hub.files import write_atomic
from cyclegan_hub.hub.card_facts import address_of, licence_of
from cyclegan_hub.hub.private_paths import without_paths
from cyclegan_hub.hub.provenance import provenance_of
from cyclegan_hub.models.onnx import FORMAT, OnnxGenerator
from cyclegan_hub.models.protocols import Model, Sampler

Dtype = Literal["fp32", "fp16"]
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt"}


@dataclass(frozen=True)
class Part:
    """The part of a model that goes into one file: one network, the shape of its input, and the file's metadata."""

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
    """Writes one direction of a model to `out`, and beside it the proof (`out` with the ending .proof.json); returns 0.

    `source` and `epoch` as for `checkpoints.load`; `direction` None: the model's first one. `size` None: the file takes pictures
    of any size; a number: only squares of that side in px. `dtype` "fp16" stores weights in half the size, and computes in fp32.
    Raises ExportError for options that cannot be followed, and if the file's results differ too much from the model's;
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
    found = proof.prove(made.model, made.direction, run, made.size)
    proof.check(found, dtype)
    report = {"file": out.name, "bytes": len(data), **made.metadata, **proof.as_json(found, dtype), "run_by": by}
    beside = out.with_name(f"{out.stem}.proof.json")
    write_atomic(beside, (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    write_atomic(out, data)
    print(f"{out}: {len(data):,} bytes, {described(made)}, {format}, {dtype}")
    for one in found:
        print(f"  {one.of}: differs from the model by at most {one.largest:.4f}/255, {one.mean:.5f}/255 in the mean ({by})")
    print(f"  proof: {beside}")
    return 0


def _check_out(out: Path, format: str, force: bool) -> None:
    if out.suffix.lower() != ENDINGS[format]:
        other = next((name for name, ending in ENDINGS.items() if ending == out.suffix.lower()), None)
        help = f", or --format {other}" if other else ", or --web for a folder"
        raise ExportError(f"{out.name}: give a name that ends in {ENDINGS[format]}{help}")
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
            raise ExportError(f"--size {size}: this model draws at {model.image_size} px alone, leave it out")
        multiple, shape = 1, Shape(torch.randn(2, model.latent, 1, 1))
    else:
        multiple = int(network.multiple)  # type: ignore[arg-type]  # torch types a module's attributes as tensors
        scale = model.enlargement
        if size is not None and (size < 8 or size * scale % multiple):
            least = max(1, multiple // scale)
            raise ExportError(f"--size {size}: this network takes multiples of {least}, from {max(8, least)} px up")
        height, width = (size * scale, size * scale) if size else (max(64, 2 * multiple), max(96, 3 * multiple))
        shape = Shape(torch.rand(2, model.channels, height, width) * 2 - 1, any_size=size is None, multiple=multiple)
    metadata = _metadata(model, source, direction, dtype, multiple, size, opset)
    return Part(model, direction, network.eval(), shape, size, metadata)


def _metadata(
    model: Model, source: str, direction: str, dtype: str, multiple: int, size: int | None, opset: int
) -> dict[str, str]:
    provenance = provenance_of(model.record)
    labels = list(model.labels)[::-1] if direction == "b_to_a" else list(model.labels)
    shape = "pictures (batch, channels, height, width)" if model.takes_pictures else "latents (batch, latent, 1, 1)"
    found: dict[str, Any] = {
        "format": FORMAT,
        "model": type(model).__name__,
        "direction": direction,
        "labels": json.dumps(labels, ensure_ascii=False),  # of input and output
        "domain": model.domain,
        "epoch": json.dumps(model.epoch),
        "channels": model.channels,
        "image_size": model.image_size,
        "multiple": multiple,
        "size": size or "dynamic",
        "pairs": getattr(model, "pairs", "given"),
        # Where the eyes of faces lie in the input (left x, left y, right x, right y in shares of the side); null: any pictures.
        "eyes": json.dumps(getattr(model, "eyes", {}).get(direction)),
        "skip": json.dumps(bool(getattr(model.network(direction), "skip", False))),  # whether the output is input + change
        "input": f"x: fp32 {shape}",
        "range": "[-1, 1]: pixel / 127.5 - 1 in, round((y + 1) * 127.5) out, RGB or grey",
        "dtype": dtype,
        "opset": opset,
        "license": provenance.licence_name if provenance.licence else licence_of(source) or provenance.licence_name,
        "terms": without_paths(provenance.terms),
        "source": address_of(source),
        "version": __version__,
    }
    if (limits := getattr(model, "value_range", None)) is not None:
        found["value_range"] = json.dumps(limits)
    if isinstance(model, Sampler):
        found["latent"] = model.latent
    return {key: str(value) for key, value in found.items()}


def described(made: Part) -> str:
    """The content of a file in words: "not smiling → smiling, epoch 19, any size"."""
    labels = json.loads(made.metadata["labels"])
    what = " → ".join(labels) if len(labels) == 2 else f"noise → {labels[0]}"
    epoch = "" if made.model.epoch is None else f", epoch {made.model.epoch}"
    if not made.model.takes_pictures:
        return f"{what}{epoch}, {made.model.image_size} px"
    return f"{what}{epoch}, {f'{made.size} x {made.size} px' if made.size else 'any size'}"


def onnx_runner(data: bytes, name: str) -> tuple[proof.Run, str]:
    """Returns (a function that runs the ONNX file `data` with onnxruntime, the runtime's name and version)."""
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]

    generator = OnnxGenerator.from_bytes(data, name)
    run = generator.run if generator.takes_pictures else generator.run_latents
    return run, f"onnxruntime {onnxruntime.__version__}"


def _torchscript_runner(data: bytes, made: Part) -> proof.Run:
    import io

    network, model = torch.jit.load(io.BytesIO(data)), made.model  # type: ignore[no-untyped-call,unused-ignore]
    multiple = int(made.metadata["multiple"])

    def run(x: np.ndarray) -> np.ndarray:
        inputs = torch.from_numpy(x)
        if isinstance(model, Sampler):
            return np.asarray(network(inputs[:, :, None, None]).detach())
        inputs = model.input_of(inputs)
        height, width = inputs.shape[2:]
        with torch.inference_mode():
            return np.asarray(network(images.pad_to_multiple(inputs, multiple))[:, :, :height, :width])

    return run
