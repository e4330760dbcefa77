"""The experiments: the trainings that each compares, on which datasets, and at which epochs. No torch on import.

A setting is written as `--set` takes it. A new experiment is a row of EXPERIMENTS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One training of an experiment: a row of its table."""

    name: str  # of the row and of the run folder: letters, digits, dots and hyphens
    recipe: str
    set: tuple[str, ...] = ()  # "field=value", as `--set` takes them
    data: str = ""  # which of the experiment's datasets; "": the first
    kept: tuple[str, ...] = ()  # settings that no `--size` changes
    labels: tuple[str, ...] = ()  # as `--labels` takes them; (): those of the recipe
    on_training: bool = False  # evaluated on training images too, beside the held-out ones


@dataclass(frozen=True)
class Experiment:
    """Trainings that are compared."""

    name: str
    question: str  # one sentence
    data: tuple[str, ...]  # names of its datasets, as `--data NAME=FOLDER` takes them
    runs: tuple[Run, ...]
    shown: tuple[int, ...] = ()  # the epochs that are evaluated (of the kept ones the nearest); (): all
    by_size: bool = False  # rows are compared by their size: `--size small` keeps the ratios
    seeds: int = 1


LAST = (1_000_000,)  # for `shown`: the end of each schedule
_CURVE = ("snapshot_every=1", "sample_every=10", "keep_epochs=8")  # kept epochs are spread evenly from the first to the last
_THIRD = ("max_images=1000", "epochs=60", "snapshot_every=15", "sample_every=15")  # of the images and of the epochs of the recipe
# The source changed one thing at a time. What it does not state of its first steps is as in the last one.
_MONET1 = ("block_init_std=0.02", "batch_size=32", "steps_per_epoch=none", "cycle=10")
_MONET2 = ("batch_size=32", "steps_per_epoch=none", "cycle=10")
_UP = ("image_size=64", "load_size=72", "disc_channels=32,64,128")
_CNN = ("image_size=64", "load_size=72")
_PHOTOS = ("small photo", "photo")  # the labels of both recipes are of faces
_DC128 = ("image_size=128", "gen_channels=512,256,128,64,32", "disc_channels=32,64,128,256,512")
_FIRST = ("snapshot_every=1", "sample_every=10", "keep_epochs=10")  # of 100 epochs also one near the tenth
_FAILING = (*_FIRST, "epochs=40", "batch_size=16")
_SIXTY = ("max_images=60", "steps_per_epoch=200")  # each is seen thousands of times: enough to be memorised
_COLORIZE = ("image_size=64", "load_size=none", "blocks=6", "disc_channels=32,64,128", "epochs=100", *_SIXTY, *_FIRST)
# 2,000 pairs at a constant rate: the start of a longer training. The warm-up of the identity loss ends after 600.
_ABLATION = ("batch_size=1", "max_images=none", "steps_per_epoch=500", "epochs=4", "decay=0", "identity_a=0", "identity_b=0",
             "identity_warmup=0.3", "diffaugment=translation", *_CURVE)  # fmt: skip
# Whole paintings at 64 px and a plain discriminator, as in the rows of DCGAN and pix2pix.
_PLAIN = ("image_size=64", "load_size=72", "crop_size=none", "batch_size=2", "discriminator=patch", "adversarial=lsgan",
          "source_negatives=0.5", "skip=false", "disc_lr_factor=1", "identity_a=5", "identity_b=2.5", "identity_start=10",
          "diffaugment=translation,cutout")  # fmt: skip
_CROPS = ("image_size=128", "crop_size=none", "load_size=256")  # crops of Monet's 256 px images keep the scale of the brush


def _ablation(data: str, recipe: str, *fields: str) -> tuple[Run, ...]:
    """Six trainings on one dataset: each kind of discriminator, with and without a generator that adds to its input."""
    runs = []
    for discriminator in ("patch", "projected", "both"):
        loss = "lsgan" if discriminator == "patch" else "hinge"
        common = (*_ABLATION, *fields, f"discriminator={discriminator}", f"adversarial={loss}")
        # A generator with the skip starts from a copy, so that its colours are not inverted.
        runs.append(Run(f"{data}-{discriminator}", recipe, (*common, "skip=false", "cycle=20", "identity_start=10"), data))
        runs.append(Run(f"{data}-{discriminator}-skip", recipe, (*common, "skip=true", "cycle=10", "identity_start=none"), data))
    return tuple(runs)


EXPERIMENTS: dict[str, Experiment] = {
    e.name: e
    for e in (
        Experiment(
            "smile-models",
            "Which of three smile models is better, and how long does an epoch take?",
            data=("smile",),
            runs=(
                Run("baseline-grey-64", "smile-baseline"),
                Run("lsgan-64", "smile-lsgan-64"),
                Run("lsgan-128", "smile-lsgan-128"),
                Run("ours", "smile-compact-128"),
            ),
            shown=LAST,
            seeds=2,
        ),
        Experiment(
            "anime-table",
            "What do more pixels, more images and more epochs bring, and when is it too many epochs?",
            data=("anime",),
            runs=(
                Run("small-3000-images", "anime-128", _CURVE),
                Run("small-1000-images", "anime-128", (*_CURVE, "max_images=1000")),
                Run("large-2000-images", "anime-256", _CURVE),
                Run("large-1000-images", "anime-256", (*_CURVE, "max_images=1000")),
            ),
            by_size=True,
        ),
        Experiment(
            "anime-settings",
            "Does a learning rate ten times as high help, and do batches of two?",
            data=("anime",),
            runs=(
                Run("lr-2e-4-batch-1", "anime-128", _THIRD),
                Run("lr-2e-3", "anime-128", (*_THIRD, "lr=0.002")),
                Run("batch-2", "anime-128", (*_THIRD, "batch_size=2")),
            ),
            shown=LAST,
        ),
        Experiment(
            "cartoon-epochs",
            "How do both directions look after 5, 10 and 15 epochs?",
            data=("cartoon",),
            runs=(Run("cartoon-64", "cartoon-64", ("snapshot_every=5",)),),
            shown=(5, 10, 15),
        ),
        Experiment(
            "monet-steps",
            "Do four steps of tuning help in the order in which the source took them?",
            data=("monet",),
            runs=(
                Run("1-init-0.02-batch-32", "monet-unet", _MONET1),
                Run("2-init-0.04", "monet-unet", _MONET2),
                Run("3-batch-4", "monet-unet", ("cycle=10",)),
                Run("4-cycle-20", "monet-unet"),
            ),
            shown=LAST,
            seeds=2,
        ),
        Experiment(
            "monet-methods",
            "DCGAN, pix2pix and CycleGAN side by side at one size.",
            data=("monet",),
            runs=(
                Run("dcgan", "monet-dcgan-64"),
                Run("pix2pix", "monet-pix2pix"),
                Run("cyclegan", "monet-compact", _PLAIN),
            ),
            shown=LAST,
            seeds=2,
        ),
        Experiment(
            "faces-dcgan",
            "A DCGAN as it learns, at two sizes; made to fail on purpose; and a set so small that it is memorised.",
            data=("faces",),
            runs=(
                Run("64-px", "faces-dcgan-64", _FIRST),
                Run("128-px", "faces-dcgan-64", (*_FIRST, *_DC128)),
                # With two channels a discriminator does not notice that all samples are one image, and a generator cannot follow.
                Run("made-to-collapse", "faces-dcgan-64", _FAILING, kept=("disc_channels=2,2,2,2",)),
                Run("discriminator-made-to-win", "faces-dcgan-64", (*_FAILING, "lr=0.0001"), kept=("gen_channels=2,2,2,2",)),
                Run("60-images", "faces-dcgan-64", (*_FIRST, *_SIXTY, "batch_size=20", "flip=false")),
                Run("pix2pix-colorize-60-images", "colorize", _COLORIZE, on_training=True),
            ),
            shown=(1, 10, 100),
            by_size=True,
            seeds=2,
        ),
        Experiment(
            "upscale",
            "Four times the size: bicubic, a plain network and pix2pix.",
            data=("faces", "monet"),
            runs=(
                Run("faces-cnn-16-to-64", "upscale-4x-cnn", (*_CNN, *_CURVE)),
                Run("faces-pix2pix-16-to-64", "upscale-4x", (*_UP, "blocks=6", *_CURVE)),
                Run("photos-cnn-64-to-256", "upscale-4x-cnn", _CURVE, "monet", labels=_PHOTOS),
                Run("photos-pix2pix-64-to-256", "upscale-4x", _CURVE, "monet", labels=_PHOTOS),
            ),
            shown=LAST,
            by_size=True,
        ),
        Experiment(
            "projected",
            "A patch discriminator, projected ones, or both; with and without a generator that adds to its input.",
            data=("anime", "monet"),
            runs=(
                *_ablation("anime", "anime-compact-128"),
                *_ablation("monet", "monet-compact-128", *_CROPS),
            ),
            shown=(2, 4),
        ),
    )
}
