"""The command that publishes a run on the Hub: `cyclegan-hub publish` and, in a clone, `train/publish.py`.

No torch on import, so that wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from cyclegan_hub.errors import UserError, calm_threads, exit_code


def parse(argv: Sequence[str] | None, prog: str | None = None) -> argparse.Namespace:
    """Reads the command line. For a wrong argument it prints the valid ones and exits with status 2."""
    what = "Publish a run on the Hub. Running it again completes or changes nothing."
    parser = argparse.ArgumentParser(prog=prog, description=what)
    add = parser.add_argument
    add("run", type=Path, metavar="RUN_DIR", help="the folder that the training wrote")
    add("repo", metavar="USER/NAME", help="the repository, made if it is not there")
    add("--epochs", default="all", metavar="all|5,10,20", help="which epochs to publish (default: all that the run kept)")
    add("--private", action="store_true", help="make the repository private")
    add("--dtype", choices=["fp32", "fp16"], default="fp32", help="of the weights; fp16 halves the files (default: fp32)")
    add("--retag", action="store_true", help="move tags that hold another model, e.g. of an earlier run")
    add("--dry-run", action="store_true", help="write the model folder to RUN_DIR/published and stop; needs no Hub")
    return parser.parse_args(argv)


def epoch_numbers(text: str) -> list[int] | None:
    """The epoch numbers of `--epochs`; None for "all". Raises UserError for any other text."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--epochs {text!r}: give all, or numbers such as 5,10,20")
    return [int(number) for number in text.split(",")]


def run(arguments: argparse.Namespace) -> int:
    """Builds the model folder and pushes it. Returns the exit code."""
    from cyclegan_hub.publishing.build import build
    from cyclegan_hub.publishing.push import check, check_name, push

    epochs, repo = epoch_numbers(arguments.epochs), arguments.repo
    check_name(repo)
    if not arguments.dry_run:
        check(repo)  # before the work, not after it
    folder = build(arguments.run, arguments.run / "published", repo, epochs=epochs, dtype=arguments.dtype)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")
    if arguments.dry_run:
        return 0
    for name, commit in push(folder, repo, private=arguments.private, retag=arguments.retag).items():
        print(f"{repo}@{name}: {commit}")
    return 0


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the command. Exit code: 0 for success, 2 after one line that explains a mistake."""
    arguments = parse(argv, prog)
    calm_threads()
    return exit_code(lambda: run(arguments))
