"""`cyclegan-hub`: what one wants to do from a terminal without writing Python.

A command is a sub-parser here and a function that takes the parsed arguments and imports the module with the work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from cyclegan_hub import __version__
from cyclegan_hub.domains import DOMAINS, HEAD
from cyclegan_hub.errors import UserError, exit_code, files_explained, limit_threads

if TYPE_CHECKING:
    from cyclegan_hub.models.photograph import FaceChoice

_SIDE = "folder of images, .parquet, .tfrec, .zip, .tar, .npz or hf:ID?config=..&split=..&column=..&filter=NAME=VALUE"
_CONVERT = """Write the images of IN, whatever holds them, to OUT. A .npz gets one array `images`, uint8 NHWC, all of one size; a
.parquet a column `image` as on the Hub; a .zip files. In the last two an image is copied as it is, unless an option asks for
other pixels. An image that cannot be read, or has no face to align, is named and skipped. OUT appears when it is complete."""
_CONVERT_NOTES = "Exit status: 0 if all images were written, 1 if some were skipped, 2 for a mistake, 130 after Ctrl-C."
_TRANSLATE = """Translate every image of IN, at any depth, into OUT. The same command again goes on where the last one stopped: an
image whose result is there is passed over. An image that cannot be read is named and skipped. Pictures of one size go through the
network together; memory does not grow with their number."""
_TRANSLATE_NOTES = """A result is called as its image, with the ending of --format; where two images would so share a name (a.png
and a.jpg), both keep their own ending in front of it (a.png.png, a.jpg.png). Under a launcher (torchrun --nproc_per_node 2 -m
cyclegan_hub.cli translate ..., accelerate launch -m cyclegan_hub.cli translate ...) the processes share the images by RANK and
WORLD_SIZE, and the last to finish makes the zip. Exit status: 0 if all images were translated, 1 if some were skipped, 2 for a
mistake, 130 after Ctrl-C."""


# Verbs whose arguments and work are those of another room: its module with `main(argv, prog)`, and the line of the help.
_ROOMS = {
    "train": ("cyclegan_hub.training.command", "train a recipe on images; the same command again resumes"),
    "evaluate": ("cyclegan_hub.evaluation.command", "measure every epoch of a run on held-out images"),
    "publish": ("cyclegan_hub.publishing.command", "put a run on the Hub: epochs, tags and a card"),
    "export": ("cyclegan_hub.export.command", "write a model as an ONNX file, with proof that it is the same"),
    "import": ("cyclegan_hub.export.import_command", "make a model of two .pth files of the original CycleGAN code"),
    "bench": ("cyclegan_hub.commands.bench", "milliseconds a picture on this machine, by torch and onnxruntime"),
    "info": ("cyclegan_hub.commands.inspect", "versions, and how models run on this machine"),
    "encoder": ("cyclegan_hub.training.encoder", "train the domain encoder that evaluations measure by"),
    "experiment": ("cyclegan_hub.experiments.command", "repeat a comparison of the sources: trainings, figures, a table"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 if images were skipped, or 2 after one line `error: ...`.

    Wrong arguments, `--help` and `--version` leave through SystemExit, as argparse does.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given and given[0] in _ROOMS:
            limit_threads()
            room, _ = _ROOMS[given[0]]
            return int(import_module(room).main(given[1:], prog=f"cyclegan-hub {given[0]}"))
        arguments = _parser().parse_args(given)
        return exit_code(lambda: _run(arguments))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("cyclegan_hub"):
            raise
        print(f"error: {error.name} is not installed: pip install 'cyclegan_hub[train]'", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    with files_explained():
        return int(arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cyclegan-hub", description="CycleGANs from the terminal.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    what = "what the two piles of images hold, before training on them"
    inspect = commands.add_parser("inspect", help=what, description=f"Print {what}, and draw samples and colour histograms.")
    inspect.add_argument("data", nargs="?", help="folder, archive or Hub dataset with trainA and trainB, or one pile")
    inspect.add_argument("--data-a", metavar="SOURCE", help=f"side A alone: {_SIDE}")
    inspect.add_argument("--data-b", metavar="SOURCE", help="side B alone, in the same ways")
    inspect.add_argument("--out", metavar="PNG", type=Path, default=Path("inspect.png"), help="the picture (%(default)s)")
    inspect.set_defaults(run=_inspect)
    _add_convert(commands)
    _add_translate(commands)
    for name, (_, what) in _ROOMS.items():
        commands.add_parser(name, help=what, add_help=False)  # only listed here: the room's own parser reads its arguments
    return parser


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "write a pile of images as one .npz, .parquet or .zip"
    convert = commands.add_parser("convert", help=what, description=_CONVERT, epilog=_CONVERT_NOTES)
    convert.add_argument("source", metavar="IN", help=_SIDE)
    convert.add_argument("out", metavar="OUT", type=Path, help="a name that ends in .npz, .parquet or .zip")
    convert.add_argument("--size", metavar="N", type=int, help="cut each image to its centred square and make it N x N px")
    face = (
        "turn, scale and cut each image so that the eyes of its largest face lie at EYES: as in a domain (smile, anime, cartoon, "
    )
    face += "faces; cartoon if not given), or x,y,x,y in shares of the side; images without a face are left out"
    convert.add_argument("--align-faces", metavar="EYES", nargs="?", type=_eyes, const=HEAD, help=face)
    convert.add_argument("--crop-face", action="store_true", help=argparse.SUPPRESS)
    smallest = "leave out images whose shorter side, or whose aligned face at its own scale, is below N px"
    convert.add_argument("--min-size", metavar="N", type=int, help=smallest)
    convert.add_argument("--channels", type=int, choices=(1, 3), default=3, help="1 for grey (%(default)s if not given)")
    values = "of 16-bit images, the values that become black and white, such as 0,4095 (0,65535 if not given)"
    convert.add_argument("--value-range", metavar="LOW,HIGH", type=_value_range, help=values)
    convert.add_argument("--force", action="store_true", help="replace OUT if it exists")
    convert.set_defaults(run=_convert)


def _add_translate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "translate a folder or a zip of images with a published model"
    translate = commands.add_parser("translate", help=what, description=_TRANSLATE, epilog=_TRANSLATE_NOTES)
    translate.add_argument(
        "source", metavar="SOURCE", help="the model: Hub repository (user/name), run folder, model folder or .onnx file"
    )
    translate.add_argument("pictures", metavar="IN", type=Path, help="folder of images, .zip of images, or one image")
    translate.add_argument("out", metavar="OUT", type=Path, help="folder of the results; with --zip the .zip of them")
    translate.add_argument("--direction", choices=("a_to_b", "b_to_a"), help="a_to_b, or that of an .onnx file, if not given")
    translate.add_argument("--epoch", metavar="N", type=int, help="a published epoch (the best one if not given)")
    translate.add_argument("--batch-size", metavar="N", type=int, default=8, help="images at a time, if small (%(default)s)")
    size = "shorter side in pixels, or 'original' (the size that the model was trained at if not given)"
    translate.add_argument("--resolution", metavar="N", type=_resolution, help=size)
    translate.add_argument("--square", action="store_true", help="cut each image without an aligned face to its centred square")
    face = (
        "auto: align the largest face, where the model takes faces (%(default)s); a number: another one, 0 is the largest; all: "
    )
    translate.add_argument("--face", type=_face, default="auto", help=f"{face}with --whole; none: translate images as they are")
    translate.add_argument("--whole", action="store_true", help="put translated faces back into the whole photograph")
    strength = "of the change, 0 to 1.5, for models that add it to the image (%(default)s)"
    translate.add_argument("--strength", metavar="S", type=float, default=1.0, help=strength)
    detail = "of such models: add the change to the image at its own scale (faces only if not given)"
    translate.add_argument("--detail", action=argparse.BooleanOptionalAction, help=detail)
    translate.add_argument("--format", choices=("png", "jpg"), help="png if not given; jpg is of quality 95")
    translate.add_argument("--zip", action="store_true", help="write one .zip, which appears when it is complete")
    preset = "the upload for Kaggle's Monet competition: --zip --format jpg --resolution 256 --square, and a warning if the zip "
    translate.add_argument("--submission", action="store_true", help=f"{preset}does not hold 7,000 to 10,000 images")
    translate.set_defaults(run=_translate)


def _resolution(text: str) -> int | Literal["original"]:
    if text == "original":
        return "original"
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels nor 'original'")
    return int(text)


def _face(text: str) -> FaceChoice:
    if text in ("auto", "none", "all"):
        return cast("FaceChoice", text)
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, none, all or a number, 0 for the largest face")
    return int(text)


def _eyes(text: str) -> tuple[float, ...]:
    """The eyes of a domain's A side, or four numbers."""
    eyes = {name: domain.a.eyes for name, domain in DOMAINS.items() if domain.a.eyes}
    if found := eyes.get(text):
        return found
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        known = ", ".join(eyes)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {known} or x,y,x,y such as 0.37,0.5,0.63,0.5") from None


def _inspect(arguments: argparse.Namespace) -> int:
    from cyclegan_hub.commands.inspect import inspect

    inspect(arguments.data, arguments.data_a, arguments.data_b, arguments.out)
    return 0


def _value_range(text: str) -> tuple[int, int]:
    """ "0,4095" as a pair; argparse names the option for a ValueError."""
    low, high = (int(number) for number in text.split(","))
    if low >= high:
        raise ValueError(text)
    return low, high


def _convert(arguments: argparse.Namespace) -> int:
    if arguments.crop_face:
        raise UserError("--crop-face is now --align-faces, which turns and scales each face so that its eyes lie in one place")
    from cyclegan_hub.commands.convert import convert

    try:
        return convert(
            arguments.source,
            arguments.out,
            size=arguments.size,
            channels=arguments.channels,
            force=arguments.force,
            align_faces=arguments.align_faces,
            min_size=arguments.min_size,
            value_range=arguments.value_range,
        )
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 130


def _translate(arguments: argparse.Namespace) -> int:
    if arguments.submission:
        if arguments.format == "png" or arguments.resolution not in (None, 256) or arguments.detail:
            raise UserError("--submission means 256 x 256 JPEGs: leave out --format, --resolution and --detail")
        arguments.zip, arguments.format, arguments.resolution, arguments.square = True, "jpg", 256, True
        arguments.detail = False
    from cyclegan_hub.commands.translate import translate
    from cyclegan_hub.models.photograph import Options

    try:
        return translate(
            arguments.source,
            arguments.pictures,
            arguments.out,
            options=Options(arguments.face, arguments.whole, arguments.strength, arguments.detail),
            direction=arguments.direction,
            epoch=arguments.epoch,
            batch_size=arguments.batch_size,
            resolution=arguments.resolution,
            square=arguments.square,
            format=arguments.format or "png",
            zipped=arguments.zip,
            submission=arguments.submission,
        )
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
