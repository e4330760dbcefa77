"""Evaluates the epochs of models on held-out images: `cyclegan-hub evaluate` in a clone.

python train/evaluate.py runs/smile-compact --data my/faces --extractor encoder
python train/evaluate.py runs/one runs/two user/three --data my/faces --out results      # side by side
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import sys
from collections.abc import Sequence

from cyclegan_hub.command_line import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run_command("cyclegan_hub.evaluation.command", argv)


if __name__ == "__main__":
    sys.exit(main())
