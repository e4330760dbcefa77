"""The arguments of `cyclegan-hub inspect`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclegan_hub.command_line import DATA_FORMS

_DESCRIPTION = """Read every image of two domains, or of one, before training on them. Prints counts, sizes, modes and values,
and plots samples and colour histograms."""
_EXAMPLES = """examples:

  cyclegan-hub inspect my/faces                 # both domains of a folder or Hub dataset
  cyclegan-hub inspect --data-a photos.zip      # one domain
  cyclegan-hub inspect my/faces --out faces.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("data", nargs="?", metavar="DATA", help="folder, archive or Hub dataset with trainA and trainB, or one image set")
    add("--data-a", metavar="SOURCE", help=f"domain A alone: {DATA_FORMS}")
    add("--data-b", metavar="SOURCE", help="domain B alone, in the same forms")
    add("--out", metavar="PNG", type=Path, default=Path("inspect.png"), help="the plot (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    from cyclegan_hub.commands.inspect import inspect

    inspect(arguments.data, arguments.data_a, arguments.data_b, arguments.out)
    return 0
