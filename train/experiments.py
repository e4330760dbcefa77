"""Repeats a source's experiment: trains what it compared, measures it, writes the table.

python train/experiments.py cartoon-epochs --data my/cartoon --scale 0.1 --size small
python train/experiments.py smile-models --data my/smile --jobs 2 --out runs/smile-models
python train/experiments.py monet-steps --data my/monet --dry-run        # the trainings, and about how many hours
"""

from __future__ import annotations

import sys

from cyclegan_hub.experiments.command import main

if __name__ == "__main__":
    sys.exit(main())
