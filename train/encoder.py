"""Trains the domain encoder, from a clone: see cyclegan_hub/training/encoder.py, whose options it takes.

accelerate launch train/encoder.py --data smile=FOLDER --data anime=FOLDER --out pretrained/encoder
accelerate launch train/encoder.py --data FOLDER --domain mine --labels "day,night" --out runs/encoder-mine
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as in train.py
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

import sys

from cyclegan_hub.training.encoder import main

if __name__ == "__main__":
    sys.exit(main())
