"""Publishes a run on the Hub: a commit and a tag for each epoch, `main` at the best one, and a card.

python train/publish.py runs/smile user/smile
python train/publish.py runs/smile user/smile --epochs 5,10,20 --dtype fp16 --private
python train/publish.py runs/smile user/smile --dry-run
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: as in train.py

import argparse
import re
import sys
from pathlib import Path

from cyclegan_hub.errors import UserError
from cyclegan_hub.publishing.build import DTYPES, PublishError, build
from cyclegan_hub.publishing.push import check, check_name, push


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Arguments. A wrong one exits 2 with the valid ones."""
    parser = argparse.ArgumentParser(description="Publish a run on the Hub. Running it again completes or changes nothing.")
    add = parser.add_argument
    add("run", type=Path, metavar="RUN_DIR", help="the folder that train.py wrote")
    add("repo", metavar="USER/NAME", help="the repository, made if it is not there")
    add("--epochs", default="all", metavar="all|5,10,20", help="which epochs to publish (default: all that the run kept)")
    add("--private", action="store_true", help="make the repository private")
    add("--dtype", choices=list(DTYPES), default="fp32", help="of the weights; fp16 halves the files (default: fp32)")
    add("--retag", action="store_true", help="move tags that hold another model, e.g. of an earlier run")
    add("--dry-run", action="store_true", help="write the model folder to RUN_DIR/published and stop; needs no Hub")
    return parser.parse_args(argv)


def numbers(text: str) -> list[int] | None:
    """The epochs of `--epochs`, None for all. Raises PublishError for what is neither."""
    if text == "all":
        return None
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise PublishError(f"--epochs {text!r}: give all, or numbers such as 5,10,20")
    return [int(number) for number in text.split(",")]


def run(args: argparse.Namespace) -> None:
    """Builds the model folder and pushes it."""
    epochs = numbers(args.epochs)
    check_name(args.repo)
    if not args.dry_run:
        check(args.repo)  # before the work, not after it
    folder = build(args.run, args.run / "published", args.repo, epochs=epochs, dtype=args.dtype)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")
    if args.dry_run:
        return
    for name, commit in push(folder, args.repo, private=args.private, retag=args.retag).items():
        print(f"{args.repo}@{name}: {commit}")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 2 a mistake that one line explains."""
    args = parse(argv)
    try:
        run(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
