"""Writes the cards of the bundled models and their images again, after a change of weights, of a template or of a record.

python train/cards.py                   # pretrained/*/README.md, samples.png and example.png
python train/cards.py --models runs     # of other folders
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from cyclegan_hub.command_line import run_command
from cyclegan_hub.files import temporary_folder, write_atomic
from cyclegan_hub.publishing.build import build, read_files
from cyclegan_hub.publishing.card import EXAMPLE, SAMPLES

MODELS = Path(__file__).parent.parent / "pretrained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__.splitlines()[0]
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="where the model folders are")


def run(args: argparse.Namespace) -> int:
    """Writes the card and the images of each model folder; returns 0."""
    for folder in sorted(path.parent for path in args.models.glob("*/recipe.json")):
        with temporary_folder() as place:
            name = f"{args.models.resolve().name}/{folder.name}"
            built = build(folder, place / "published", name, dtype="fp16", on_hub=False)
            for file, data in read_files(built, ("README.md", SAMPLES, EXAMPLE)).items():
                write_atomic(folder / file, data)
        print(folder / "README.md")
    return 0


main = partial(run_command, __name__)

if __name__ == "__main__":
    sys.exit(main())
