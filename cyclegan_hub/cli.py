"""`cyclegan-hub`: the table of its commands, and the entry point that runs one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NamedTuple

from cyclegan_hub import __version__
from cyclegan_hub.command_line import run_command


class Command(NamedTuple):
    """A row of the table: the module, as `cyclegan_hub.command_line` runs it, and the line of `cyclegan-hub --help`."""

    module: str
    help: str


COMMANDS = {
    "inspect": Command("cyclegan_hub.commands.inspect_command", "summarise one or two image sets before training on them"),
    "convert": Command("cyclegan_hub.commands.convert_command", "write an image set as one .npz, .parquet or .zip"),
    "translate": Command("cyclegan_hub.commands.translate_command", "translate a folder or a zip of images with a model"),
    "train": Command("cyclegan_hub.training.command", "train a recipe on images; the same command again resumes"),
    "evaluate": Command("cyclegan_hub.evaluation.command", "evaluate every epoch of a run on held-out images"),
    "publish": Command("cyclegan_hub.publishing.command", "publish a run on the Hub: epochs, tags and a card"),
    "export": Command("cyclegan_hub.export.command", "write a model as an ONNX file, and verify it"),
    "import": Command("cyclegan_hub.export.import_command", "make a model of two .pth files of the original CycleGAN code"),
    "bench": Command("cyclegan_hub.commands.bench", "time a model on this machine, in torch and onnxruntime"),
    "info": Command("cyclegan_hub.commands.info", "print versions, and how models run on this machine"),
}
# Former commands, which are scripts of a clone now.
_MOVED = {"encoder": "train/encoder/train_encoder.py", "experiment": "train/experiments/run.py"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 0, 1 if images were skipped, or 2 after one line `error: ...`.

    Wrong arguments, `--help` and `--version` leave through SystemExit, as argparse does.
    """
    name, *arguments = [*(sys.argv[1:] if argv is None else argv)] or [""]
    if name in _MOVED:
        print(f"error: cyclegan-hub {name} is now `python {_MOVED[name]}` in a clone of the repository", file=sys.stderr)
        return 2
    if name in COMMANDS:
        return run_command(COMMANDS[name].module, arguments, prog=f"cyclegan-hub {name}")
    parser = argparse.ArgumentParser(prog="cyclegan-hub", description="CycleGANs from the terminal.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    listed = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command, (_, text) in COMMANDS.items():
        listed.add_parser(command, help=text)
    parser.parse_args([name, *arguments] if name else [])
    return 2  # not reached: what is no command ends in parse_args


if __name__ == "__main__":
    sys.exit(main())
