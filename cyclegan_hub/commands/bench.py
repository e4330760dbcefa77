"""`cyclegan-hub bench MODEL`: milliseconds per image on this machine for plain torch, our inference and onnxruntime."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import NamedTuple, cast

import torch
from torch import nn

from cyclegan_hub.checkpoints import load
from cyclegan_hub.command_line import MODEL_FORMS
from cyclegan_hub.errors import UserError, counted
from cyclegan_hub.models.inference import choose_precision, optimize_for_cpu
from cyclegan_hub.models.protocols import Translator

SIZES = (64, 128, 256, 512, 1024)
SECONDS = 2.0  # to measure one size in all ways; at least three runs of each way


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print milliseconds per image on this machine for plain torch, our inference and onnxruntime."
    add = parser.add_argument
    add("source", metavar="MODEL", help=MODEL_FORMS)
    add("--direction", choices=("a_to_b", "b_to_a"), help="default: the first one of the model")
    add("--epoch", metavar="N", type=int, help="a published epoch (default: the best one)")
    add("--sizes", metavar="N", type=int, nargs="+", default=list(SIZES), help="sides in pixels (default: 64 to 1024)")
    add("--threads", metavar="N", type=int, help="of torch and onnxruntime (default: one a core)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a row for each size; returns 0. Raises UserError for a model without inputs and for a size that does not fit."""
    source, threads = arguments.source, arguments.threads
    model = load(source, arguments.epoch)
    if not isinstance(model, Translator) or not isinstance(model, nn.Module):
        raise UserError(f"{source} generates images of one size: bench is for models that translate")
    direction = arguments.direction or model.directions[0]
    multiple = cast(int, model.network(direction).multiple)  # every generator has one
    for size in arguments.sizes:
        if size < max(8, multiple) or size % multiple:
            raise UserError(f"--sizes {size}: this network takes multiples of {multiple}, from {max(8, multiple)} px up")
    if threads is not None:
        if threads < 1:
            raise UserError(f"--threads {threads}: give at least 1")
        torch.set_num_threads(threads)
    ways: dict[str, Callable[[torch.Tensor], object]] = {
        "torch, plain": model.network(direction).eval(),
        "ours, exact": optimize_for_cpu(model, exact=True).network(direction),
    }
    quick = optimize_for_cpu(model).network(direction)
    dtype = next(quick.parameters()).dtype
    if dtype != torch.float32:
        ways["ours"] = lambda x: quick(x.to(dtype))
    if find_spec("onnxruntime") and find_spec("onnx"):
        ways["onnxruntime"] = _by_onnxruntime(model, source, direction, threads)
    used = counted(torch.get_num_threads(), "thread")
    print(f"{source}, {direction}: ms per image, fastest of alternating runs (in brackets: CPU), {used}")
    print(f"{'px':>6}" + "".join(f"{name:>20}" for name in ways) + f"{'plain / ours':>16}")
    for size in arguments.sizes:
        found = measure(ways, torch.rand(1, model.channels, size, size) * 2 - 1)
        cells = "".join(f"{f'{found[name].wall:.1f} ({found[name].cpu:.1f})':>20}" for name in ways)
        gain = found["torch, plain"].wall / found.get("ours", found["ours, exact"]).wall
        print(f"{size:>6}{cells}{gain:>15.2f}x", flush=True)
    print(f"this machine: {choose_precision()}")
    return 0


def _by_onnxruntime(model: Translator, source: str, direction: str, threads: int | None) -> Callable[[torch.Tensor], object]:
    from cyclegan_hub.export.onnx_export import part, to_onnx
    from cyclegan_hub.models.onnx import OnnxGenerator

    made = part(model, source, direction)
    generator = OnnxGenerator.from_bytes(to_onnx(made.network, made.shape, metadata=made.metadata), threads=threads)
    return lambda x: generator.forward(x.numpy())


class Taken(NamedTuple):
    """Milliseconds of the fastest run: wall time, and CPU time of all threads of this process."""

    wall: float
    cpu: float


def measure(ways: Mapping[str, Callable[[torch.Tensor], object]], x: torch.Tensor, seconds: float = SECONDS) -> dict[str, Taken]:
    """The fastest run of each way with the input `x`. The ways alternate, because a machine's speed changes within minutes."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    with torch.inference_mode():
        for way in ways.values():  # one run to fill buffers and caches
            way(x)
        start = time.perf_counter()
        while min(map(len, wall.values())) < 3 or time.perf_counter() - start < seconds:
            for name, way in ways.items():
                begun, used = time.perf_counter(), time.process_time()
                way(x)
                wall[name].append(1e3 * (time.perf_counter() - begun))
                cpu[name].append(1e3 * (time.process_time() - used))
    return {name: Taken(min(wall[name]), min(cpu[name])) for name in ways}
