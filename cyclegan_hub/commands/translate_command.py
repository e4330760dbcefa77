"""The arguments of `cyclegan-hub translate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cyclegan_hub.command_line import MODEL_FORMS, pixels
from cyclegan_hub.errors import UserError

if TYPE_CHECKING:
    from cyclegan_hub.models.photograph import FaceChoice

INTERRUPTED = "stopped: the same command resumes from here"
_DESCRIPTION = """Translate every image of IN, at any depth, into OUT. The same command again makes only what is missing. An image
that cannot be read is named and skipped. Images of one size go through the network together; memory does not grow with their
number.

Where a model expects faces (eyes_a or eyes_b in its config.json), the largest face of each image is found and aligned, and the
result is that square. If no face is found, the whole image is translated, and a line `note: ...` says so.

A video (.mp4, .mov, .webm, .mkv, .avi), or an animation with an OUT that ends in .gif, .webp or one of these, is translated
frame by frame, with its sound; a folder of nothing but videos, one after the other. It needs the extra `video`."""
_NOTES = """examples:

  cyclegan-hub translate user/monet photos/ paintings/                        # a folder or a zip, of any size
  cyclegan-hub translate runs/monet photos.zip submission.zip --submission    # the Monet competition's zip
  cyclegan-hub translate user/anime party/ anime/ --face all --whole          # every face, put back into its photo
  cyclegan-hub translate user/smile clip.mp4 smiling.mp4 --whole              # a video
  torchrun --nproc_per_node 2 -m cyclegan_hub.cli translate user/monet photos/ paintings/

A result is named as its image, with the extension of --format; where two images would so share a name (a.png and a.jpg), both
keep their own extension in front of it (a.png.png, a.jpg.png). Under a launcher (torchrun, accelerate launch) the processes
share the images by RANK and WORLD_SIZE, and the last to finish makes the zip. A transparent image gives a transparent PNG where
the result shows all of it; JPEG gets a white background. Resuming into the same folder with other options is an error. Results
from before faces were aligned can be resumed with --face none --no-ensemble."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _NOTES
    add = parser.add_argument
    add("source", metavar="MODEL", help=f"{MODEL_FORMS}, or an .onnx file")
    add("images", metavar="IN", type=Path, help="folder of images, .zip of images, one image, or videos")
    add("out", metavar="OUT", type=Path, help="folder of the results; with --zip the .zip of them; of a video its file")
    add("--direction", choices=("a_to_b", "b_to_a"), help="default: a_to_b, or that of an .onnx file")
    add("--epoch", metavar="N", type=int, help="a published epoch (default: the best one)")
    add("--batch-size", metavar="N", type=int, default=8, help="images at a time, if small (default: %(default)s)")
    size = "shorter side in pixels, or 'original' (default: the size that the model was trained at)"
    add("--resolution", metavar="N", type=pixels(original="original"), help=size)
    add("--square", action="store_true", help="crop each image without an aligned face to its centred square; not with --whole")
    add(
        "--face",
        type=_face,
        default="auto",
        help="auto: align the largest face, where the model expects faces (default); a number: another one, 0 is the largest, "
        "and an image with fewer faces is skipped; all: with --whole; none: translate images as they are",
    )
    add("--whole", action="store_true", help="put translated faces back into the whole photo; without a face it is unchanged")
    strength = "of the change, 0 to 1.5, for models that add it to the image, skip in config.json (default: %(default)s)"
    add("--strength", metavar="S", type=float, default=1.0, help=strength)
    detail = "of such models: enlarge the change and add it at the image's own scale (default: for faces only)"
    add("--detail", action=argparse.BooleanOptionalAction, help=detail)
    ensemble = "of such models: the mean of four passes, shifted and mirrored (default: for faces in images)"
    add("--ensemble", action=argparse.BooleanOptionalAction, help=ensemble)
    add("--format", choices=("png", "jpg"), help="default: png; jpg is of quality 95")
    add("--zip", action="store_true", help="write one .zip, which appears when it is complete")
    submission = (
        "the upload for Kaggle's Monet competition: --zip --format jpg --resolution 256 --square, and a warning if the zip "
    )
    add("--submission", action="store_true", help=f"{submission}does not hold 7,000 to 10,000 images")


def _face(text: str) -> FaceChoice:
    if text in ("auto", "none", "all"):
        return cast("FaceChoice", text)
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not one of auto, none, all or a number, 0 for the largest face")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    if arguments.submission:
        if arguments.format == "png" or arguments.resolution not in (None, 256) or arguments.detail:
            raise UserError("--submission means 256 x 256 JPEGs: leave out --format, --resolution and --detail")
        arguments.zip, arguments.format, arguments.resolution, arguments.square = True, "jpg", 256, True
        arguments.detail = False
    from cyclegan_hub.commands.translate import translate
    from cyclegan_hub.commands.translate_video import is_video_job, translate_clips
    from cyclegan_hub.models.photograph import Options

    options = Options(arguments.face, arguments.whole, arguments.strength, arguments.detail, arguments.ensemble)
    names = ("direction", "epoch", "batch_size", "resolution")
    shared: dict[str, Any] = {"options": options, **{name: getattr(arguments, name) for name in names}}
    places = (arguments.source, arguments.images, arguments.out)
    if is_video_job(*places[1:]):
        if arguments.zip or arguments.format or arguments.square:
            raise UserError("a video is written as its name ends: leave out --zip, --format, --square and --submission")
        return translate_clips(*places, **shared)
    return translate(
        *places, **shared, square=arguments.square, format=arguments.format or "png", zipped=arguments.zip,
        submission=arguments.submission,
    )  # fmt: skip
