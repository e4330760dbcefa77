"""Trains a recipe on images: two unpaired image sets, one image set or pairs. The same command again resumes.

accelerate launch train/train.py smile
accelerate launch train/train.py smile-compact --data FOLDER --labels "not smiling,smiling" --out runs/mine
accelerate launch --mixed_precision bf16 --dynamo_backend inductor train/train.py monet-compact
accelerate launch train/train.py faces-dcgan-64 --data-a FOLDER

With the installed package: `accelerate launch -m cyclegan_hub.training` or `cyclegan-hub train`.
"""

from __future__ import annotations

from functools import partial

from cyclegan_hub.command_line import run_command
from cyclegan_hub.training.command import leave

main = partial(run_command, "cyclegan_hub.training.command")

if __name__ == "__main__":
    leave(main())
