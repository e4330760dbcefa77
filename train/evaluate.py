"""Evaluates epochs of models on held-out images, from a clone: `cyclegan-hub evaluate` of an installed package.

python train/evaluate.py runs/smile-compact --data my/faces --extractor encoder
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclegan_hub.command_line import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run_command("cyclegan_hub.evaluation.command", argv)


if __name__ == "__main__":
    sys.exit(main())
