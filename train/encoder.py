"""Trains the domain encoder, from a clone: see cyclegan_hub/training/encoder.py, whose options it takes.

accelerate launch train/encoder.py --data smile=FOLDER --data anime=FOLDER --out pretrained/encoder
accelerate launch train/encoder.py --data FOLDER --domain mine --labels "day,night" --out runs/encoder-mine

Of an installed package the same is `cyclegan-hub encoder`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclegan_hub.errors import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    limit_threads()  # before torch is imported
    from cyclegan_hub.training.encoder import main as command

    return command(argv)


if __name__ == "__main__":
    sys.exit(main())
