"""Evaluates the epochs of models on held-out images: `cyclegan-hub evaluate` in a clone.

python train/evaluate.py runs/smile-compact --data my/faces --extractor encoder
python train/evaluate.py runs/one runs/two user/three --data my/faces --out results      # side by side
"""

from __future__ import annotations

import sys
from functools import partial

from cyclegan_hub.command_line import run_command

main = partial(run_command, "cyclegan_hub.evaluation.command")

if __name__ == "__main__":
    sys.exit(main())
