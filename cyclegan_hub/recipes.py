"""HOW a model is trained: one frozen dataclass per method, and the registry of named recipes.

A preset is one line. Fields are flat; `override()` changes them from text and refuses what does not exist.
This module imports no torch: a recipe can be listed, printed and compared anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cyclegan_hub.recipe_fields import RecipeError, check_all, check_types, override, require

__all__ = ["METHODS", "RECIPES", "RESUMABLE_FIELDS", "CycleGANRecipe", "DCGANRecipe", "Pix2PixRecipe", "Recipe", "RecipeError",
           "find", "override"]  # fmt: skip

# Fields that may differ between two runs of one folder: none of them changes the trained weights.
RESUMABLE_FIELDS = frozenset({"snapshot_every", "keep_epochs", "save_every", "log_every", "evaluate_every", "workers"})


@dataclass(frozen=True)
class _Recipe:
    """What every method has: where its images come from, and the loop's own numbers."""

    name: str
    domain: str  # "": none, the images have to be given
    # data
    image_size: int = 128
    load_size: int | None = None  # resize to this, then crop image_size at random (the paper's jitter); None: no jitter
    channels: int = 3
    flip: bool = True
    max_images: int | None = None  # at most so many of each side
    streaming: bool = False
    workers: int = 0  # decoding processes; piles that fit in memory need none
    # optimisation
    batch_size: int = 1
    epochs: int = 100
    steps_per_epoch: int | None = None  # None: one pass over the larger side
    lr: float = 2e-4
    init_std: float = 0.02
    # what is written, and when
    snapshot_every: int = 5
    keep_epochs: int = 20
    save_every: int = 500  # steps between two saves of the state; every epoch ends with one as well
    log_every: int = 10
    evaluate_every: int | None = None  # epochs between two light evaluations on held-out images; the best is kept in best/

    def __post_init__(self) -> None:
        """Raises RecipeError where two fields contradict each other or a value is out of its range."""
        check_types(self)
        counts = ("image_size", "channels", "batch_size", "epochs", "snapshot_every", "save_every", "log_every")
        check_all(self, counts, lambda n: n >= 1, "at least 1")
        require(self.keep_epochs >= 2, "keep_epochs", self.keep_epochs, "at least 2: the first and the last stay")
        require(self.channels in (1, 3), "channels", self.channels, "1 (grey) or 3 (RGB)")
        check_all(self, ("workers", "init_std"), lambda n: n >= 0, "0 or more")
        require(self.lr > 0, "lr", self.lr, "more than 0")
        some = ("max_images", "steps_per_epoch", "evaluate_every")
        check_all(self, some, lambda n: n is None or n >= 1, "at least 1, or none")
        require(
            self.load_size is None or self.load_size >= self.image_size,
            "load_size", self.load_size, f"none, or image_size ({self.image_size}) and more",
        )  # fmt: skip
        require(not (self.streaming and self.steps_per_epoch is None), "steps_per_epoch", None, "given: a stream has no length")
        require(not (self.streaming and self.max_images), "max_images", self.max_images, _NO_STREAM)


_NO_STREAM = "none or false with streaming=True"


@dataclass(frozen=True)
class CycleGANRecipe(_Recipe):
    """CycleGAN (Zhu et al. 2017): two generators, two patch discriminators, cycle and identity losses."""

    # data
    balance: bool = False  # bring the smaller side to parity by augmented copies
    equal_sides: bool = False  # cut the larger side to the size of the smaller
    diffaugment: tuple[Literal["translation", "cutout", "color"], ...] = ()
    # generator
    generator: Literal["resnet", "unet"] = "resnet"
    width: int = 64
    blocks: int = 9  # residual blocks; of a U-Net, the number of halvings
    upsample: Literal["transpose", "resize"] = "resize"
    padding: Literal["reflect", "zeros"] = "reflect"  # inside the blocks; the 7x7 ends always reflect
    dropout: float = 0.0
    # discriminator: 4x4 convolutions, then one to a map of logits
    disc_channels: tuple[int, ...] = (64, 128, 256, 512)
    disc_last_stride: Literal[1, 2] = 1
    disc_scales: int = 1
    # Share of real images of the other side in what a discriminator learns to call fake, beside the translations (compare the
    # edge-smoothed images of CartoonGAN, Chen et al. 2018, section 3.2.1, and the mismatched pairs of Reed et al. 2016, section
    # 4.2). Where the sides are alike it so learns what tells them apart, and not only what is blurred.
    source_negatives: float = 0.0
    # losses
    adversarial: Literal["lsgan", "bce"] = "lsgan"
    cycle: float = 10.0
    identity_a: float = 5.0  # weight of |b_to_a(a) - a|
    identity_b: float = 5.0  # weight of |a_to_b(b) - b|
    identity_start: float | None = None  # both weights start here and reach their own value at the end of the warm-up
    identity_warmup: float = 0.0  # share of the schedule
    pool_size: int = 0
    # optimisation
    disc_lr_factor: float = 1.0
    decay: float = 0.0  # last share of the schedule in which the learning rate falls linearly to 0
    ema: float = 0.0  # 0: off
    block_init_std: float | None = None  # of a U-Net's down and up blocks; None: init_std
    norm_init_mean: float = 1.0  # norm scales start at N(mean, 0.02)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("width", "blocks", "disc_scales"), lambda n: n >= 1, "at least 1")
        check_all(self, ("decay", "identity_warmup"), lambda n: 0 <= n <= 1, "a share from 0 to 1")
        check_all(self, ("ema", "dropout", "source_negatives"), lambda n: 0 <= n < 1, "from 0 up to, not including, 1")
        weights = ("cycle", "identity_a", "identity_b", "identity_start", "pool_size", "block_init_std")
        check_all(self, weights, lambda n: (n or 0) >= 0, "0 or more")
        require(self.disc_lr_factor > 0, "disc_lr_factor", self.disc_lr_factor, "more than 0")
        if self.streaming:
            check_all(self, ("balance", "equal_sides"), lambda n: not n, _NO_STREAM)
        _check_patches(self.image_size, self.disc_channels, self.disc_last_stride, self.disc_scales)
        _check_fits(self.image_size, self.generator, self.blocks)


@dataclass(frozen=True)
class DCGANRecipe(_Recipe):
    """DCGAN (Radford et al. 2016): images from noise, of one pile; a generator and a discriminator of 4x4 convolutions."""

    # Of a folder or domain of two sides, which one is the pile.
    side: Literal["a", "b"] = "a"
    latent: int = 100
    gen_channels: tuple[int, ...] = (256, 128, 64, 32)  # after each transposed convolution but the last; the image is 4 * 2**n px
    disc_channels: tuple[int, ...] = (32, 64, 128, 256)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("latent",), lambda n: n >= 1, "at least 1")
        channels = ("gen_channels", "disc_channels")
        check_all(self, channels, lambda n: len(n) >= 1 and min(n) >= 1, "e.g. 256,128,64,32")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2: batch norm compares the images of a batch")
        built = 4 * 2 ** len(self.gen_channels)
        rule = f"{built}: {len(self.gen_channels)} gen_channels make 4x4 px grow to that; give gen_channels and disc_channels too"
        require(self.image_size == built, "image_size", self.image_size, rule)
        rule = f"as many as gen_channels ({len(self.gen_channels)}): together they bring {self.image_size} px back to 4x4"
        require(len(self.disc_channels) == len(self.gen_channels), "disc_channels", self.disc_channels, rule)


@dataclass(frozen=True)
class Pix2PixRecipe(_Recipe):
    """pix2pix (Isola et al. 2017): a generator trained on pairs by L1 and a discriminator that sees input and output."""

    side: Literal["a", "b"] = "a"  # of a folder or domain of two sides, which one pairs are made from
    # "given", or made from the images of one pile: see pairs.RULES
    pairs: Literal["given", "colorize", "upscale-4x", "repaint"] = "given"
    generator: Literal["unet", "cnn"] = "unet"
    width: int = 64
    blocks: int = 8  # halvings of the U-Net; layers of the CNN
    dropout: float = 0.5
    disc_channels: tuple[int, ...] = (64, 128, 256, 512)
    adversarial: float = 1.0  # weight of the adversarial loss (binary cross entropy); 0: no discriminator, L1 alone
    l1: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("width", "blocks"), lambda n: n >= 1, "at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 up to, not including, 1")
        check_all(self, ("adversarial", "l1"), lambda n: n >= 0, "0 or more")
        require(self.adversarial + self.l1 > 0, "l1", self.l1, "more than 0 where adversarial is 0: there is no loss otherwise")
        require(self.pairs != "colorize" or self.channels == 3, "channels", self.channels, "3 to colorize")
        whole = self.pairs == "given" or self.image_size % 4 == 0
        require(whole, "image_size", self.image_size, "a multiple of 4 where pairs are made")
        _check_patches(self.image_size, self.disc_channels, 1, 1)
        if self.generator == "unet":
            _check_fits(self.image_size, self.generator, self.blocks)


Recipe = CycleGANRecipe | DCGANRecipe | Pix2PixRecipe
METHODS = (CycleGANRecipe, DCGANRecipe, Pix2PixRecipe)


def _check_patches(image_size: int, disc_channels: tuple[int, ...], last_stride: int, scales: int) -> None:
    """Raises RecipeError where nothing of the image would be left for a patch discriminator to judge."""
    require(len(disc_channels) >= 1 and min(disc_channels) >= 1, "disc_channels", disc_channels, "e.g. 64,128,256")
    side = image_size // 2 ** (scales - 1)
    for stride in (*(2 for _ in disc_channels[1:]), last_stride, 1):
        side = (side - 2) // stride + 1  # 4x4, padding 1
    require(side >= 1, "image_size", image_size, "larger for this discriminator, or disc_channels shorter")


def _check_fits(image_size: int, generator: str, blocks: int) -> None:
    step = 4 if generator == "resnet" else 2**blocks
    require(image_size % step == 0, "image_size", image_size, f"a multiple of {step} for this generator")


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises RecipeError that lists the names there are."""
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; recipes: {', '.join(RECIPES)}")
    return RECIPES[name]


_R, _DCGAN, _PIX = CycleGANRecipe, DCGANRecipe, Pix2PixRecipe
_SCALE0 = dict(norm_init_mean=0.0)  # norm scales N(0, 0.02), as in the smile and anime sources
_LS = dict(upsample="transpose", flip=False, equal_sides=True, epochs=40, **_SCALE0)
_ANIME = dict(upsample="transpose", batch_size=1, snapshot_every=1, keep_epochs=20, **_SCALE0)
_PATCH3 = dict(disc_channels=(64, 128, 256), disc_last_stride=2)
# Ours, from the project's notes on what raises quality for a given amount of compute: resize-then-convolve, least squares,
# image pool, EMA, a linear decay over at least half of the schedule, small batches, a slower discriminator. High identity
# weights first (against colour inversion), lower ones later (they hold the style back).
_OURS = dict(pool_size=50, ema=0.999, decay=0.5, identity_start=5.0, identity_warmup=0.1, disc_lr_factor=0.5)
_SMALL = dict(diffaugment=("translation", "cutout"))  # domains of hundreds of images a side only
_COMPACT = dict(image_size=64, load_size=72, width=24, blocks=6, padding="zeros", disc_channels=(32, 64, 128), batch_size=2)
# A 70 px discriminator that is shown the other side too. Trained alone on smile for 300 steps at batch 1 it told unseen smiling
# from neutral faces with an AUC of 0.97 (n = 100 a side), the three-layer one with 0.58; mouths changed soon after it came in.
_WATCHFUL = dict(disc_channels=(32, 64, 128, 256), disc_lr_factor=1.0, source_negatives=0.5)
_COMPACT128 = _COMPACT | dict(image_size=128, load_size=144, disc_channels=(32, 64, 128, 256))
_SMILE = _OURS | dict(domain="smile", cycle=5.0, identity_a=1.0, identity_b=1.0)
_ANIM = _OURS | dict(domain="anime", cycle=5.0, identity_a=1.0, identity_b=1.0)
_CARTOON = _OURS | dict(domain="cartoon", cycle=5.0, identity_a=1.0, identity_b=1.0)
_MONET = _OURS | dict(domain="monet", cycle=10.0, identity_a=5.0, identity_b=2.5, identity_start=10.0) | _SMALL
_DC = dict(batch_size=64, epochs=100, snapshot_every=10, max_images=20_000)
_PX = dict(batch_size=1, max_images=20_000)

# fmt: off
RECIPES: dict[str, Recipe] = {r.name: r for r in (
    # ours: the full size wants a GPU
    _R("smile", **_SMILE, image_size=128, load_size=144, batch_size=2, epochs=40, max_images=20_000),
    _R("anime", **_ANIM, image_size=128, load_size=144, batch_size=2, epochs=120),
    _R("cartoon", **_CARTOON, image_size=128, load_size=144, batch_size=2, epochs=60, max_images=20_000),
    _R("monet", **_MONET, image_size=256, load_size=286, disc_scales=2, epochs=60),
    # ours: these train on a CPU (about 1.1 M weights a direction)
    _R("smile-compact", **_SMILE | _COMPACT | _WATCHFUL, epochs=40, max_images=20_000),  # fid[encoder] 64.8 / 86.0: pretrained/
    _R("anime-compact", **_ANIM | _COMPACT, epochs=60),  # fid[encoder] 48.1 / 74.5 after 33,000 pairs at batch 1
    _R("cartoon-compact", **_CARTOON | _COMPACT, epochs=40, max_images=20_000),  # fid[encoder] 50.9 / 91.0: pretrained/README.md
    _R("monet-compact", **_MONET | _COMPACT | _WATCHFUL, epochs=60),  # fid[encoder] 159.4 / 139.5: pretrained/README.md
    _R("smile-compact-128", **_SMILE | _COMPACT128, epochs=40, max_images=20_000),
    _R("anime-compact-128", **_ANIM | _COMPACT128, epochs=80),
    _R("cartoon-compact-128", **_CARTOON | _COMPACT128, epochs=40, max_images=20_000),
    _R("monet-compact-128", **_MONET | _COMPACT128, epochs=80),
    # the systems of the sources this project was made from
    _R("smile-baseline", "smile", image_size=64, channels=1, width=32, blocks=3, upsample="transpose", flip=False, balance=True, disc_channels=(32, 64, 128), disc_last_stride=2, adversarial="bce", cycle=10.0, identity_a=2.5, identity_b=2.5, batch_size=32, epochs=20),  # noqa: E501
    _R("smile-lsgan-64", "smile", image_size=64, blocks=6, **_LS | _PATCH3 | dict(batch_size=64, epochs=20)),
    _R("smile-lsgan-128", "smile", image_size=128, blocks=9, **_LS, batch_size=8),
    _R("anime-128", "anime", image_size=128, load_size=158, max_images=3000, **_ANIME, epochs=180),
    _R("anime-256", "anime", image_size=256, load_size=286, max_images=2000, **_ANIME, epochs=60),
    # The source lists loss weights 1 (adversarial), 5, 10, 10 and calls identity optional.
    _R("cartoon-64", "cartoon", image_size=64, upsample="transpose", flip=False, adversarial="bce", pool_size=50, epochs=15),
    # The source's Kaggle MiFID: 51.30 with init 0.02 and batch 32, 46.00 with 0.04, 42.30 with batch 4, 40.34 with cycle 20.
    _R("monet-unet", "monet", image_size=256, load_size=286, generator="unet", blocks=8, upsample="transpose", dropout=0.5, adversarial="bce", cycle=20.0, identity_a=10.0, identity_b=10.0, batch_size=4, epochs=30, steps_per_epoch=1407, block_init_std=0.04),  # noqa: E501
    # DCGAN: images from noise; snapshots at 10 and then every 10, as in the source
    _DCGAN("faces-dcgan-64", "faces", **_DC, image_size=64),  # fid[encoder] 54.3 after 25 epochs of 9,812 faces
    _DCGAN("faces-dcgan-256", "faces", **_DC, image_size=256, gen_channels=(1024, 512, 256, 128, 64, 32), disc_channels=(32, 64, 128, 256, 512, 1024)),  # noqa: E501
    _DCGAN("monet-dcgan-64", "monet", **_DC, image_size=64, side="b"),  # the source's Kaggle MiFID: 210
    # pix2pix: translation learnt from pairs, given or made from one pile
    _PIX("pix2pix", "", **_PX, image_size=256, load_size=286),
    _PIX("colorize", "faces", **_PX, image_size=256, load_size=286, pairs="colorize"),
    _PIX("upscale-4x", "faces", **_PX, image_size=256, load_size=286, pairs="upscale-4x"),
    _PIX("upscale-4x-cnn", "faces", **_PX | dict(dropout=0.0), image_size=256, load_size=286, pairs="upscale-4x", generator="cnn", blocks=8, adversarial=0.0, l1=1.0),  # noqa: E501
    # at 64 px, as monet-dcgan-64 and monet-compact, so that evaluate.py can put the three side by side; the source's MiFID: 53.4
    _PIX("monet-pix2pix", "monet", **_PX, image_size=64, load_size=72, side="b", pairs="repaint", blocks=6, disc_channels=(64, 128, 256)),  # noqa: E501
)}
# fmt: on
