"""The arguments of `cyclegan-hub import`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cyclegan_hub.errors import UserError, exit_code, files_explained

_WHAT = """Make a model folder from two generators of the original CycleGAN code (pytorch-CycleGAN-and-pix2pix): its ResNet of
any number of blocks with instance norm, with or without dropout, and its U-Net with instance or batch norm. What they are is
read from the weights."""
_NOTES = """The files are read as tensors only; nothing else in them is ever loaded. Batch norm uses the running statistics,
as --eval of the original code does. Exit status: 0, or 2 after one line for a mistake."""


def main(argv: Sequence[str], prog: str = "cyclegan-hub import") -> int:
    """Runs the command line and returns its exit status: 0, or 2 after one line `error: ...`."""
    arguments = _parser(prog).parse_args(argv)
    return exit_code(lambda: _run(arguments))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=_WHAT, epilog=_NOTES)
    parser.add_argument("a_to_b", metavar="G_A.pth", type=Path, help="the generator from A to B, such as latest_net_G_A.pth")
    parser.add_argument("b_to_a", metavar="G_B.pth", type=Path, help="the generator from B to A, such as latest_net_G_B.pth")
    parser.add_argument("out", metavar="OUT", type=Path, help="the model folder to write")
    parser.add_argument("--labels", metavar="A,B", help="what the two sides show, such as 'horse,zebra'")
    parser.add_argument(
        "--size", metavar="N", type=_positive, default=256, help="side in px of its training's crops (%(default)s)"
    )
    parser.add_argument("--domain", metavar="NAME", default="", help="a domain of this package, if it is one")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    labels = [label.strip() for label in (arguments.labels or "").split(",")]
    if len(labels) != 2 or not all(labels):
        raise UserError(f"--labels {arguments.labels or ''!r}: say what A and B show, such as --labels horse,zebra")
    from cyclegan_hub.export.original_weights import import_weights

    with files_explained():
        kind = import_weights(
            arguments.a_to_b, arguments.b_to_a, arguments.out, labels=labels, image_size=arguments.size, domain=arguments.domain
        )
    print(f"{arguments.out}: {labels[0]} -> {labels[1]} and back, {kind}; load it with CycleGenerator.from_pretrained")
    return 0
