"""An experiment of two rows that train for two short epochs."""

from __future__ import annotations

from cyclegan_hub.experiments.registry import Experiment, Run
from support.training import NO_FACES

SMALL = ("image_size=32", "load_size=36", "width=4", "blocks=1", "disc_channels=4,8", "pool_size=4", "epochs=2",
         "snapshot_every=1", "save_every=1", "log_every=1", "max_images=none", "batch_size=2", "discriminator=patch",
         "adversarial=lsgan", *NO_FACES)  # fmt: skip
TINY = Experiment(
    "tiny",
    "Does a higher cycle weight keep more?",
    "The source says | nothing <b>.",
    data=("smile",),
    runs=(Run("low", "smile-compact", (*SMALL, "cycle=1")), Run("high", "smile-compact", (*SMALL, "cycle=20"))),
    measures=("kid", "cycle_l1"),
    shown=(1, 9),
    photograph="astronaut_face.jpg",
    curves=("d_a", "d_b"),
    left_out=("a third row: too small",),
)
