"""Publishes a run on the Hub: a commit and a tag for each epoch, `main` at the best one, and a card.

python train/publish.py runs/smile user/smile
python train/publish.py runs/smile user/smile --epochs 5,10,20 --dtype fp16 --private
python train/publish.py runs/smile user/smile --dry-run

Of an installed package the same is `cyclegan-hub publish`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclegan_hub.command_line import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run_command("cyclegan_hub.publishing.command", argv)


if __name__ == "__main__":
    sys.exit(main())
