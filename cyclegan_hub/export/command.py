"""The arguments of `cyclegan-hub export`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cyclegan_hub.errors import UserError, exit_code, files_explained

_WHAT = """Write one direction of MODEL to OUT, and a proof beside it: how much its results differ from the model's on pictures
of three sizes. If they differ by more than 0.2/255 (fp16: 6/255, 0.5/255 in the mean), no file is written."""
_NOTES = """OUT's metadata describe input and output, labels, epoch, licence and the model's address. In Python
cyclegan_hub.OnnxGenerator uses it, without torch. Exit status: 0, or 2 after one line for a mistake."""


def main(argv: Sequence[str], prog: str = "cyclegan-hub export") -> int:
    """Runs the command line and returns its exit status: 0, or 2 after one line `error: ...`."""
    arguments = _parser(prog).parse_args(argv)
    return exit_code(lambda: _run(arguments))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=_WHAT, epilog=_NOTES)
    parser.add_argument("source", metavar="MODEL", help="Hub repository (user/name), run folder or model folder")
    parser.add_argument("out", metavar="OUT", type=Path, help="a name that ends in .onnx (.pt for TorchScript)")
    parser.add_argument("--direction", choices=("a_to_b", "b_to_a", "samples"), help="the first one of the model if not given")
    parser.add_argument("--epoch", metavar="N", type=int, help="a published epoch (the best one if not given)")
    parser.add_argument("--dtype", choices=("fp32", "fp16"), help="fp16 halves the file's size (fp32 if not given)")
    parser.add_argument("--size", metavar="N", type=_size, help="squares of N px alone, or 'dynamic' for any size (the default)")
    parser.add_argument("--opset", metavar="N", type=int, help="of ONNX (18)")
    parser.add_argument("--format", choices=("onnx", "torchscript"), default="onnx", help="%(default)s if not given")
    web = parser.add_argument_group("for the browser")
    web.add_argument("--web", action="store_true", help="write OUT as a folder of static files: both directions, one size, fp16")
    web.add_argument(
        "--epochs", metavar="N", type=int, nargs="+", help="several epochs, for a slider (the best one if not given)"
    )
    web.add_argument("--runtime", metavar="PLACE", help="folder with the npm package onnxruntime-web, or its https address")
    web.add_argument("--webgpu", action="store_true", help="offer WebGPU as a choice, off by default; untested (27 MB more)")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    return parser


def _size(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels nor 'dynamic'")
    return int(text)


def _run(arguments: argparse.Namespace) -> int:
    try:
        with files_explained():
            return _export(arguments)
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("onnx", "onnxscript", "onnxruntime"):
            raise UserError(f"{error.name} is not installed: pip install 'cyclegan_hub[export]'") from None
        raise


def _check_web(arguments: argparse.Namespace) -> None:
    """Raises UserError for options of a file given with --web, or the other way round."""
    of_files = {"--direction": arguments.direction, "--opset": arguments.opset, "--force": arguments.force}
    of_files |= {"--dtype fp32": arguments.dtype == "fp32", "--format torchscript": arguments.format != "onnx"}
    of_web = {"--epochs": arguments.epochs, "--runtime": arguments.runtime, "--webgpu": arguments.webgpu}
    wrong = [name for name, given in (of_files if arguments.web else of_web).items() if given]
    if wrong:
        raise UserError(f"{wrong[0]} is {'not ' if arguments.web else ''}for --web: leave it out")
    if arguments.epoch is not None and arguments.epochs:
        raise UserError("--epoch and --epochs: give one of them")


def _export(arguments: argparse.Namespace) -> int:
    _check_web(arguments)
    if arguments.web:
        from cyclegan_hub.export.browser import export_web

        epochs = arguments.epochs if arguments.epoch is None else [arguments.epoch]
        return export_web(
            arguments.source,
            arguments.out,
            epochs=epochs,
            size=arguments.size,
            runtime=arguments.runtime,
            webgpu=arguments.webgpu,
        )
    from cyclegan_hub.export.onnx_export import OPSET, export

    return export(
        arguments.source,
        arguments.out,
        direction=arguments.direction,
        epoch=arguments.epoch,
        dtype=arguments.dtype or "fp32",
        size=arguments.size,
        opset=OPSET if arguments.opset is None else arguments.opset,
        format=arguments.format,
        force=arguments.force,
    )
