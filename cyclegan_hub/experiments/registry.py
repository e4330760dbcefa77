"""The experiments there are: each is a list of trainings, the images they want, and what is measured of them. No torch here.

A setting is written as `--set` takes it. A new experiment is a row of EXPERIMENTS.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyclegan_hub.errors import UserError


class ExperimentError(UserError):
    """An experiment that cannot be run as asked; the message names what and the remedy."""


@dataclass(frozen=True)
class Run:
    """One training of an experiment: a row of its table."""

    name: str  # of the row and of the run folder: letters, digits and hyphens
    recipe: str
    set: tuple[str, ...] = ()  # "field=value", as `--set` takes them
    data: str = ""  # which of the experiment's sets of images; "": the first
    kept: tuple[str, ...] = ()  # settings that no `--size` changes
    labels: tuple[str, ...] = ()  # what its images show, as `--labels` takes them; (): as its recipe says
    photograph: str = ""  # the free one that it translates for the report; "": the experiment's
    on_training: bool = False  # measured on images it was trained on too, beside the held-out ones


@dataclass(frozen=True)
class Experiment:
    """Trainings that are compared, and how."""

    name: str
    question: str  # one sentence
    source: str  # what the source found, with its own figures; they are quoted, not measured here
    data: tuple[str, ...]  # the sets of images it wants, by the names that `--data NAME=FOLDER` takes
    runs: tuple[Run, ...]
    measures: tuple[str, ...]  # names of figures without their extractor; rows are put in order by the first
    columns: tuple[str, ...] = ()  # fields that the table shows; (): those that the runs set and that differ
    # The epochs that are measured, a row each (of those kept, the nearest); (): all of them, and a row for the best.
    shown: tuple[int, ...] = ()
    by_size: bool = False  # rows are compared by their size too: `--size small` keeps the ratios of their sizes
    seeds: int = 1
    photograph: str = ""  # of the free ones, translated by each run; "": what the runs themselves draw
    direction: str = "a_to_b"  # in which the photograph is translated
    curves: tuple[str, ...] = ()  # losses, each in a plot with one curve for each run
    left_out: tuple[str, ...] = ()  # what the source has beyond this, with the reason


LAST = (1_000_000,)  # for `shown`: the end of each schedule
_TRANSLATED = ("kid", "mmd", "fid", "success", "content_share", "diversity_share", "input_output_ssim", "cycle_l1")
_BY_MMD = ("mmd", *(name for name in _TRANSLATED if name != "mmd"))
_DRAWN = ("kid", "fid", "alpha_precision", "beta_recall", "authenticity", "diversity")
_PAIRED = ("truth_psnr", "truth_ssim", "truth_l1")
_BOTH = ("g_a_to_b", "g_b_to_a", "d_a", "d_b")
_CURVE = ("snapshot_every=1", "sample_every=10", "keep_epochs=8")  # kept epochs are spread evenly from the first to the last
_THIRD = ("max_images=1000", "epochs=60", "snapshot_every=15", "sample_every=15")  # of the images and of the epochs of the recipe
# The source's steps from 51.30 to 40.34 change one thing at a time. What it does not state of the first ones is as in the last.
_MONET1 = ("block_init_std=0.02", "batch_size=32", "steps_per_epoch=none", "cycle=10")
_MONET2 = ("batch_size=32", "steps_per_epoch=none", "cycle=10")
_UP = ("image_size=64", "load_size=72", "disc_channels=32,64,128")
_CNN = ("image_size=64", "load_size=72")
_PHOTOS = ("small photo", "photo")  # both recipes are of faces
_DC128 = ("image_size=128", "gen_channels=512,256,128,64,32", "disc_channels=32,64,128,256,512")
_FIRST = ("snapshot_every=1", "sample_every=10", "keep_epochs=10")  # of 100 epochs also one near the tenth
_FAILING = (*_FIRST, "epochs=40", "batch_size=16")
_SIXTY = ("max_images=60", "steps_per_epoch=200")  # each is seen thousands of times: enough to be learnt by heart
_COLORIZE = ("image_size=64", "load_size=none", "blocks=6", "disc_channels=32,64,128", "epochs=100", *_SIXTY, *_FIRST)
# 2,000 pairs at a constant rate: the beginning of a longer training, in which the identity's warm-up is over after 600.
_ABLATION = ("batch_size=1", "max_images=none", "steps_per_epoch=500", "epochs=4", "decay=0", "identity_a=0", "identity_b=0",
             "identity_warmup=0.3", "diffaugment=translation", *_CURVE)  # fmt: skip
# Whole paintings of 64 px and a plain discriminator, as the rows of DCGAN and pix2pix have them.
_PLAIN = ("image_size=64", "load_size=72", "crop_size=none", "batch_size=2", "discriminator=patch", "adversarial=lsgan",
          "source_negatives=0.5", "skip=false", "disc_lr_factor=1", "identity_a=5", "identity_b=2.5", "identity_start=10",
          "diffaugment=translation,cutout")  # fmt: skip
_CROPS = ("image_size=128", "crop_size=none", "load_size=256")  # of Monet's 256 px pictures, so that the brush has its own scale


def _ablation(data: str, recipe: str, photograph: str, *fields: str) -> tuple[Run, ...]:
    """Six trainings of one domain: which discriminator, and whether the generator adds to its input."""
    return tuple(
        Run(
            f"{data}-{discriminator}{'-skip' if skip else ''}",
            recipe,
            (
                *_ABLATION,
                *fields,
                f"discriminator={discriminator}",
                f"adversarial={'lsgan' if discriminator == 'patch' else 'hinge'}",
                f"skip={skip}",
                f"cycle={10 if skip else 20}",
                f"identity_start={'none' if skip else 10}",  # with the skip it starts from a copy, and colours cannot be inverted
            ),
            data,
            photograph=photograph,
        )
        for discriminator in ("patch", "projected", "both")
        for skip in (False, True)
    )


EXPERIMENTS: dict[str, Experiment] = {
    e.name: e
    for e in (
        Experiment(
            "smile-models",
            "Which of three smile models is better, and how long does an epoch take?",
            "The source trained three models one after the other and took 6,000 s for an epoch of the smallest (grey, 64 px, 3 "
            "blocks), and for one of the largest 50 s, after 287 s for the first.",
            data=("smile",),
            runs=(
                Run("baseline-grey-64", "smile-baseline"),
                Run("lsgan-64", "smile-lsgan-64"),
                Run("lsgan-128", "smile-lsgan-128"),
                Run("ours", "smile-compact-128"),
            ),
            measures=_TRANSLATED,
            columns=("image_size", "channels", "adversarial", "batch_size"),
            shown=LAST,
            seeds=2,
            photograph="astronaut_face.jpg",  # who smiles already
            direction="b_to_a",
            curves=_BOTH,
        ),
        Experiment(
            "anime-table",
            "What do more pixels, more images and more epochs bring, and when is it too many epochs?",
            "The source compared sizes, numbers of images and epochs, and showed one photograph at several epochs.",
            data=("anime",),
            runs=(
                Run("small-3000-images", "anime-128", _CURVE),
                Run("small-1000-images", "anime-128", (*_CURVE, "max_images=1000")),
                Run("large-2000-images", "anime-256", _CURVE),
                Run("large-1000-images", "anime-256", (*_CURVE, "max_images=1000")),
            ),
            measures=_TRANSLATED,
            by_size=True,
            columns=("image_size", "max_images", "epochs"),
            photograph="astronaut_face.jpg",
        ),
        Experiment(
            "anime-settings",
            "Does a learning rate ten times as high help, and do batches of two?",
            "The source compared learning rates of 2e-4 and 2e-3, and batches of 1 and 2.",
            data=("anime",),
            runs=(
                Run("lr-2e-4-batch-1", "anime-128", _THIRD),
                Run("lr-2e-3", "anime-128", (*_THIRD, "lr=0.002")),
                Run("batch-2", "anime-128", (*_THIRD, "batch_size=2")),
            ),
            measures=_TRANSLATED,
            columns=("lr", "batch_size"),
            shown=LAST,
            photograph="astronaut_face.jpg",
        ),
        Experiment(
            "cartoon-epochs",
            "How do both directions look after 5, 10 and 15 epochs?",
            "The source showed both directions at epochs 5, 10 and 15.",
            data=("cartoon",),
            runs=(Run("cartoon-64", "cartoon-64", ("snapshot_every=5",)),),
            measures=_TRANSLATED,
            shown=(5, 10, 15),
            photograph="astronaut_face.jpg",
        ),
        Experiment(
            "monet-steps",
            "Do four steps of tuning help in the order in which the source took them?",
            "The source's MiFID on Kaggle: 51.30 with initial weights of 0.02 and batch 32, 46.00 with 0.04, 42.30 with batch 4 "
            "and more steps an epoch, 40.34 with cycle weight 20.",
            data=("monet",),
            runs=(
                Run("1-init-0.02-batch-32", "monet-unet", _MONET1),
                Run("2-init-0.04", "monet-unet", _MONET2),
                Run("3-batch-4", "monet-unet", ("cycle=10",)),
                Run("4-cycle-20", "monet-unet"),
            ),
            measures=("mifid", *_TRANSLATED),
            shown=LAST,
            seeds=2,
            photograph="rocket.jpg",
        ),
        Experiment(
            "monet-methods",
            "DCGAN, pix2pix and CycleGAN side by side at one size.",
            "The source's MiFID on Kaggle: DCGAN 210, pix2pix 53.4, CycleGAN 40.34.",
            data=("monet",),
            runs=(
                Run("dcgan", "monet-dcgan-64"),
                Run("pix2pix", "monet-pix2pix"),
                Run("cyclegan", "monet-compact", _PLAIN),
            ),
            measures=("mifid", *_TRANSLATED),
            columns=("batch_size",),
            shown=LAST,
            seeds=2,
            photograph="rocket.jpg",
        ),
        Experiment(
            "faces-dcgan",
            "A DCGAN as it learns, at two sizes; made to fail on purpose; and a set so small that it is memorised.",
            "The source showed samples after 1, 10 and 100 epochs, at 64 and 256 px, and how such trainings fail.",
            data=("faces",),
            runs=(
                Run("64-px", "faces-dcgan-64", _FIRST),
                Run("128-px", "faces-dcgan-64", (*_FIRST, *_DC128)),
                # With two channels a discriminator does not see that all samples are one image, and a generator cannot follow.
                Run("made-to-collapse", "faces-dcgan-64", _FAILING, kept=("disc_channels=2,2,2,2",)),
                Run("discriminator-made-to-win", "faces-dcgan-64", (*_FAILING, "lr=0.0001"), kept=("gen_channels=2,2,2,2",)),
                Run("60-images", "faces-dcgan-64", (*_FIRST, *_SIXTY, "batch_size=20", "flip=false")),
                Run("pix2pix-colorize-60-images", "colorize", _COLORIZE, on_training=True),
            ),
            measures=(*_DRAWN, *_PAIRED),
            columns=("image_size", "lr", "max_images", "batch_size"),
            shown=(1, 10, 100),
            by_size=True,
            seeds=2,
            left_out=("256 px: the faces at hand are smaller",),
        ),
        Experiment(
            "upscale",
            "Four times the size: bicubic, a plain network and pix2pix.",
            "The source compared an enlargement by a network with a plain one.",
            data=("faces", "monet"),
            runs=(
                Run("faces-cnn-16-to-64", "upscale-4x-cnn", (*_CNN, *_CURVE)),
                Run("faces-pix2pix-16-to-64", "upscale-4x", (*_UP, "blocks=6", *_CURVE)),
                Run("photos-cnn-64-to-256", "upscale-4x-cnn", _CURVE, "monet", labels=_PHOTOS, photograph="examples/china.jpg"),
                Run("photos-pix2pix-64-to-256", "upscale-4x", _CURVE, "monet", labels=_PHOTOS, photograph="examples/china.jpg"),
            ),
            measures=(*_PAIRED, "kid", "fid"),
            columns=("image_size", "generator", "adversarial_weight"),
            shown=LAST,
            by_size=True,
            photograph="astronaut_face.jpg",
        ),
        Experiment(
            "projected",
            "A patch discriminator, projected ones, or both; with and without a generator that adds to its input.",
            "Sauer et al. 2021 (Projected GANs converge faster) report faster training with projected discriminators.",
            data=("anime", "monet"),
            runs=(
                *_ablation("anime", "anime-compact-128", "astronaut_face.jpg"),
                *_ablation("monet", "monet-compact-128", "examples/china.jpg", *_CROPS),
            ),
            measures=_BY_MMD,
            shown=(2, 4),
        ),
    )
}


def find_experiment(name: str) -> Experiment:
    """The experiment called `name`. Raises ExperimentError that lists the names there are."""
    if name not in EXPERIMENTS:
        raise ExperimentError(f"no experiment {name!r}; experiments: {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]
