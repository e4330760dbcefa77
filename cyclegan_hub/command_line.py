"""What all commands share: how one is parsed and run, and arguments that several of them take. No torch here.

The module of a command offers `add_arguments(parser)` and `run(arguments) -> int`; `INTERRUPTED` is printed after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from cyclegan_hub.errors import UserError, exit_code, files_explained, limit_threads

DATA_FORMS = "folder of images, .parquet, .tfrec, .zip, .tar, .npz or hf:ID?config=..&split=..&column=..&filter=NAME=VALUE"
MODEL_FORMS = "Hub repository (user/name), run folder or model folder"
_EXTRAS = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"}  # the other libraries come with `train`


def run_command(module: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Parses `argv` (None: that of the process), runs the command of the module with this dotted name, returns the exit code.

    Besides the command's own codes it is 2 after one line `error: ...`, and 130 after Ctrl-C. Wrong arguments and `--help` leave
    through SystemExit, as argparse does.
    """
    limit_threads()  # before torch is imported

    def run() -> int:
        try:
            command = import_module(module)
            arguments = make_parser(module, prog).parse_args(argv)
            return _run(command, arguments)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("cyclegan_hub"):
                raise
            extra = _EXTRAS.get(error.name.partition(".")[0], "train")
            raise UserError(f"{error.name} is not installed: pip install 'cyclegan_hub[{extra}]'") from None

    return exit_code(run)


def _run(command: Any, arguments: argparse.Namespace) -> int:
    try:
        with files_explained():
            return int(command.run(arguments))
    except KeyboardInterrupt:
        print(getattr(command, "INTERRUPTED", "stopped"), file=sys.stderr)
        return 130


def make_parser(module: str, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of the command of the module with this dotted name."""
    parser = argparse.ArgumentParser(prog=prog, formatter_class=_Formatter)
    import_module(module).add_arguments(parser)
    return parser


class _Formatter(argparse.HelpFormatter):
    """Fills each paragraph of a description; an indented one, such as examples, keeps its lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(part if part.startswith("  ") else fill(part, width, indent) for part in text.split("\n\n"))


def add_alias(parser: argparse.ArgumentParser, name: str, action: argparse.Action) -> None:
    """Adds an earlier name of an option, which `--help` does not show."""
    value: dict[str, Any] = {"action": "store_true"} if action.nargs == 0 else {"type": action.type}
    parser.add_argument(name, dest=action.dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **value)


def add_provenance_arguments(parser: argparse.ArgumentParser, addition: str = "") -> None:
    """Adds `--data-note` and `--data-licence`; `addition` ends the help of the first."""
    parser.add_argument(
        "--data-note",
        metavar="TEXT",
        help=f"where local images come from and what they show, for the card, the page and exports{addition}",
    )
    parser.add_argument(
        "--data-licence",
        metavar="ID",
        help="licence of the images, which the weights inherit: an id of the Hub such as cc-by-4.0, or other:NAME",
    )


def pixels(**words: Any) -> Callable[[str], Any]:
    """A type for argparse: a number of pixels, or one of `words`, which is parsed as its value."""

    def parse(text: str) -> Any:
        if text in words:
            return words[text]
        if text.isdecimal() and int(text) >= 1:
            return int(text)
        known = " nor ".join(["neither a number of pixels", *map(repr, words)]) if words else "not a number of pixels"
        raise argparse.ArgumentTypeError(f"{text!r} is {known}")

    return parse
