"""The arguments of `cyclegan-hub import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclegan_hub.command_line import pixels
from cyclegan_hub.errors import UserError

_DESCRIPTION = """Make a model folder from the two generators of a CycleGAN that the original code (pytorch-CycleGAN-and-pix2pix)
trained. The architecture is read from the weights: a ResNet with instance norm, of any number of blocks, with or without
dropout, or a U-Net with instance or batch norm (by its running statistics, as --eval there)."""
_NOTES = """examples:

  cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth horse2zebra --labels horse,zebra

Only tensors are read from the files. Anything else in them, a missing or unexpected weight, or another network is an error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _NOTES
    add = parser.add_argument
    add("a_to_b", metavar="G_A.pth", type=Path, help="the generator from A to B, such as latest_net_G_A.pth")
    add("b_to_a", metavar="G_B.pth", type=Path, help="the generator from B to A, such as latest_net_G_B.pth")
    add("out", metavar="OUT", type=Path, help="the model folder to write")
    add("--labels", metavar="A,B", help="what the two domains show, such as 'horse,zebra'")
    add("--size", metavar="N", type=pixels(), default=256, help="size in px of the training crops (default: %(default)s)")
    add("--domain", metavar="NAME", default="", help="a domain of this package, if it is one")


def run(arguments: argparse.Namespace) -> int:
    labels = [label.strip() for label in (arguments.labels or "").split(",")]
    if len(labels) != 2 or not all(labels):
        raise UserError(f"--labels {arguments.labels or ''!r}: say what A and B show, such as --labels horse,zebra")
    from cyclegan_hub.export.original_weights import import_weights

    kind = import_weights(
        arguments.a_to_b, arguments.b_to_a, arguments.out, labels=labels, image_size=arguments.size, domain=arguments.domain
    )
    print(f"{arguments.out}: {labels[0]} -> {labels[1]} and back, {kind}; load it with CycleGenerator.from_pretrained")
    return 0
