"""The arguments of `cyclegan-hub export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclegan_hub.command_line import MODEL_FORMS, pixels
from cyclegan_hub.errors import UserError

_DESCRIPTION = """Write one direction of MODEL to OUT, and a verification beside it: how much its results differ from the model's
on images of three sizes. If they differ by more than 0.2/255 (fp16: 6/255, 0.5/255 on average), no file is written."""
_NOTES = """examples:

  cyclegan-hub export user/smile smile.onnx                    # one direction, any size
  cyclegan-hub export user/smile site --web --epochs 1 6 19    # a folder that runs in the user's browser

OUT's metadata describe input and output, labels, epoch, licence and the model's URL. In Python cyclegan_hub.OnnxGenerator loads
it, without torch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _NOTES
    add = parser.add_argument
    add("source", metavar="MODEL", help=MODEL_FORMS)
    add("out", metavar="OUT", type=Path, help="a name that ends in .onnx (.pt for TorchScript)")
    add("--direction", choices=("a_to_b", "b_to_a", "samples"), help="default: the first one of the model")
    add("--epoch", metavar="N", type=int, help="a published epoch (default: the best one)")
    add("--dtype", choices=("fp32", "fp16"), help="fp16 halves the file's size (default: fp32)")
    add(
        "--size",
        metavar="N",
        type=pixels(dynamic=None),
        help="squares of N px alone, or 'dynamic' for any size (default: dynamic)",
    )
    add("--opset", metavar="N", type=int, help="of ONNX (default: 18)")
    add("--format", choices=("onnx", "torchscript"), default="onnx", help="default: %(default)s")
    web = parser.add_argument_group("for the browser")
    web.add_argument("--web", action="store_true", help="write OUT as a folder of static files: both directions, one size, fp16")
    web.add_argument("--epochs", metavar="N", type=int, nargs="+", help="several epochs, for a slider (default: the best one)")
    web.add_argument("--runtime", metavar="PLACE", help="folder with the npm package onnxruntime-web, or its https URL")
    web.add_argument("--example", metavar="FILE", type=Path, help="the image that the page opens with (default: a free one)")
    web.add_argument("--webgpu", action="store_true", help="offer WebGPU as a choice (27 MB more; untested)")
    add("--force", action="store_true", help="replace OUT if it exists")


def _check_web(arguments: argparse.Namespace) -> None:
    """Raises UserError for options of a file given with --web, or the other way round."""
    of_files = {"--direction": arguments.direction, "--opset": arguments.opset, "--force": arguments.force}
    of_files |= {"--dtype fp32": arguments.dtype == "fp32", "--format torchscript": arguments.format != "onnx"}
    of_web = {"--epochs": arguments.epochs, "--runtime": arguments.runtime, "--webgpu": arguments.webgpu}
    of_web |= {"--example": arguments.example}
    wrong = [name for name, given in (of_files if arguments.web else of_web).items() if given]
    if wrong:
        raise UserError(f"{wrong[0]} is {'not ' if arguments.web else ''}for --web: leave it out")
    if arguments.epoch is not None and arguments.epochs:
        raise UserError("--epoch and --epochs: give one of them")


def run(arguments: argparse.Namespace) -> int:
    _check_web(arguments)
    if arguments.web:
        from cyclegan_hub.export.browser import export_web

        options = {name: getattr(arguments, name) for name in ("size", "runtime", "webgpu", "example")}
        epochs = arguments.epochs if arguments.epoch is None else [arguments.epoch]
        return export_web(arguments.source, arguments.out, epochs=epochs, **options)
    from cyclegan_hub.export.onnx_export import export

    names = ("direction", "epoch", "dtype", "size", "opset", "format", "force")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return export(arguments.source, arguments.out, **options)
