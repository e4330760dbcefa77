"""`accelerate launch -m cyclegan_hub.training smile-compact --data FOLDER`: a training with the installed package."""

from __future__ import annotations

from cyclegan_hub.command_line import run_command
from cyclegan_hub.training.command import leave

if __name__ == "__main__":
    leave(run_command("cyclegan_hub.training.command", prog="python -m cyclegan_hub.training"))
