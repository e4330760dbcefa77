"""`cyclegan-hub publish`: publishes a run on the Hub. No torch on import, so that wrong arguments are answered at once."""

from __future__ import annotations

import argparse
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cyclegan_hub.command_line import add_provenance_arguments
from cyclegan_hub.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Publish a run on the Hub. Running it again completes or changes nothing."
    add = parser.add_argument
    add("run", type=Path, metavar="RUN_DIR", help="the folder that the training wrote")
    add("repo", metavar="USER/NAME", help="the repository, made if it does not exist")
    add("--epochs", default="all", metavar="all|5,10,20", help="which epochs to publish (default: all that the run kept)")
    add("--private", action="store_true", help="make the repository private")
    add("--dtype", choices=["fp32", "fp16"], default="fp32", help="of the weights; fp16 halves the files (default: fp32)")
    add("--retag", action="store_true", help="move tags that hold another model, e.g. of an earlier run")
    add_provenance_arguments(parser, "; if the run did not record it")
    add("--dry-run", action="store_true", help="write the model folder to --out or to a temporary folder, and stop; needs no Hub")
    add("--out", type=Path, metavar="DIR", help="keep the model folder there (default: a temporary folder)")


def epoch_numbers(text: str) -> list[int] | None:
    """The epoch numbers of `--epochs`; None for "all". Raises UserError for any other text."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--epochs {text!r}: give all, or numbers such as 5,10,20")
    return [int(number) for number in text.split(",")]


def run(arguments: argparse.Namespace) -> int:
    """Builds the model folder and pushes it. Returns the exit code."""
    from cyclegan_hub.files import remove_leftover
    from cyclegan_hub.publishing.build import build
    from cyclegan_hub.publishing.push import check, check_name, push

    epochs, repo = epoch_numbers(arguments.epochs), arguments.repo
    (check_name if arguments.dry_run else check)(repo)  # before the work, not after it
    with ExitStack() as stack:
        place = arguments.out
        if place is None:
            temporary = Path(tempfile.mkdtemp(prefix="cyclegan_hub-"))
            stack.callback(remove_leftover, temporary)
            place = temporary / "published"
        folder = build(
            arguments.run, place, repo,
            epochs=epochs, dtype=arguments.dtype, note=arguments.data_note, licence=arguments.data_licence,
        )  # fmt: skip
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"{folder}: {size / 2**20:.1f} MiB")
        if arguments.dry_run:
            stack.pop_all()  # the folder is what was asked for
            return 0
        for name, commit in push(folder, repo, private=arguments.private, retag=arguments.retag).items():
            print(f"{repo}@{name}: {commit}")
    return 0
