"""The arguments of `cyclegan-hub convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclegan_hub.command_line import DATA_FORMS
from cyclegan_hub.domains import DOMAINS, HEAD
from cyclegan_hub.errors import UserError

INTERRUPTED = "stopped: nothing was written"
_DESCRIPTION = """Write the images of IN to OUT. A .npz gets one array `images`, uint8 (N, H, W, C), all of one size; a .parquet a
column `image` as on the Hub; a .zip files. In the last two an image is copied unchanged, unless an option asks for other
pixels. An image that cannot be read, or has no face to align, is named and skipped. OUT appears when it is complete."""
_NOTES = """examples:

  cyclegan-hub convert monet_tfrec monet.npz --size 256    # any image set, as one file
  cyclegan-hub convert photos faces.zip --align-faces      # the largest face of each image, upright, eyes in one place

What lies beyond the border of an image with an aligned face is mirrored."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _NOTES
    add = parser.add_argument
    add("spec", metavar="IN", help=DATA_FORMS)
    add("out", metavar="OUT", type=Path, help="a name that ends in .npz, .parquet or .zip")
    add("--size", metavar="N", type=int, help="crop each image to its centred square and resize it to N x N px")
    add(
        "--align-faces",
        metavar="EYES",
        nargs="?",
        type=_eyes,
        const=HEAD,
        help="rotate, scale and crop each image so that the eyes of its largest face lie at EYES: as in a domain (smile, anime, "
        "cartoon, faces; default: cartoon, the whole head), or x,y,x,y in shares of the side; images without a face are left out",
    )
    add("--crop-face", action="store_true", help=argparse.SUPPRESS)
    add(
        "--min-size",
        metavar="N",
        type=int,
        help="leave out images whose shorter side, or whose aligned face at its own scale, is below N px",
    )
    add("--channels", type=int, choices=(1, 3), default=3, help="1 for grey (default: %(default)s)")
    add(
        "--value-range",
        metavar="LOW,HIGH",
        type=_value_range,
        help="of 16-bit images, the values that become black and white, such as 0,4095 (default: 0,65535)",
    )
    add("--force", action="store_true", help="replace OUT if it exists")


def _eyes(text: str) -> tuple[float, ...]:
    """The eyes of a domain's A images, or four numbers."""
    eyes = {name: domain.a.eyes for name, domain in DOMAINS.items() if domain.a.eyes}
    if found := eyes.get(text):
        return found
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        known = ", ".join(eyes)
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {known} or x,y,x,y such as 0.37,0.5,0.63,0.5") from None


def _value_range(text: str) -> tuple[int, int]:
    """ "0,4095" as a pair; argparse names the option for a ValueError."""
    low, high = (int(number) for number in text.split(","))
    if low >= high:
        raise ValueError(text)
    return low, high


def run(arguments: argparse.Namespace) -> int:
    if arguments.crop_face:
        raise UserError("--crop-face is now --align-faces, which rotates and scales each face so that its eyes lie in one place")
    from cyclegan_hub.commands.convert import convert

    return convert(**{name: value for name, value in vars(arguments).items() if name != "crop_face"})
