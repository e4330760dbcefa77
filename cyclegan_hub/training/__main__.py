"""`accelerate launch -m cyclegan_hub.training smile-compact --data FOLDER`: a training with the installed package."""

from __future__ import annotations

from cyclegan_hub.training.command import leave, main

if __name__ == "__main__":
    leave(main(prog="python -m cyclegan_hub.training"))
