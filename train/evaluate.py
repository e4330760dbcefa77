"""Measures the epochs of models on held-out images, from a clone: see cyclegan_hub/evaluation/command.py for its options.

python train/evaluate.py runs/smile-compact --data my/faces --extractor encoder
python train/evaluate.py user/smile --epochs 5,10,20 --images 300 --out results/smile
python train/evaluate.py runs/one runs/two user/three --data my/faces --out results      # side by side

Of an installed package the same is `cyclegan-hub evaluate`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclegan_hub.errors import limit_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    limit_threads()  # before torch is imported
    from cyclegan_hub.evaluation.command import main as command

    return command(argv)


if __name__ == "__main__":
    sys.exit(main())
