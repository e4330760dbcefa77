"""HOW a model is trained: one frozen dataclass per method, and the registry of named recipes.

A preset is one line. Fields are flat; `override()` changes them from text and refuses what does not exist.
This module imports no torch: a recipe can be listed, printed and compared anywhere.
"""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class RecipeError(ValueError):
    """A recipe, a field or a value that does not exist or does not fit; the message lists what does."""


# Fields that may differ between two runs of one folder: none of them changes the trained weights.
RESUMABLE_FIELDS = frozenset({"snapshot_every", "keep_epochs", "save_every", "log_every", "evaluate_every", "workers"})


@dataclass(frozen=True)
class CycleGANRecipe:
    """CycleGAN (Zhu et al. 2017): two generators, two patch discriminators, cycle and identity losses."""

    name: str
    domain: str
    # data
    image_size: int = 128
    load_size: int | None = None  # resize to this, then crop image_size at random (the paper's jitter); None: no jitter
    channels: int = 3
    flip: bool = True
    balance: bool = False  # bring the smaller side to parity by augmented copies
    max_images: int | None = None  # at most so many of each side
    equal_sides: bool = False  # cut the larger side to the size of the smaller
    streaming: bool = False
    workers: int = 0  # decoding processes; piles that fit in memory need none
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
    # losses
    adversarial: Literal["lsgan", "bce"] = "lsgan"
    cycle: float = 10.0
    identity_a: float = 5.0  # weight of |b_to_a(a) - a|
    identity_b: float = 5.0  # weight of |a_to_b(b) - b|
    identity_start: float | None = None  # both weights start here and reach their own value at the end of the warm-up
    identity_warmup: float = 0.0  # share of the schedule
    pool_size: int = 0
    # optimisation
    batch_size: int = 1
    epochs: int = 100
    steps_per_epoch: int | None = None  # None: one pass over the larger side
    lr: float = 2e-4
    disc_lr_factor: float = 1.0
    decay: float = 0.0  # last share of the schedule in which the learning rate falls linearly to 0
    ema: float = 0.0  # 0: off
    init_std: float = 0.02
    block_init_std: float | None = None  # of a U-Net's down and up blocks; None: init_std
    norm_init_mean: float = 1.0  # norm scales start at N(mean, 0.02)
    # what is written, and when
    snapshot_every: int = 5
    keep_epochs: int = 20
    save_every: int = 500  # steps between two saves of the state; every epoch ends with one as well
    log_every: int = 10
    evaluate_every: int | None = None  # epochs between two light evaluations on held-out images; the best is kept in best/

    def __post_init__(self) -> None:
        """Raises RecipeError where two fields contradict each other or a value is out of its range."""
        for field, kind in _hints(type(self)).items():
            _check_type(field, kind, getattr(self, field))
        for name in ("image_size", "channels", "width", "blocks", "disc_scales", "batch_size", "epochs", "snapshot_every",
                     "save_every", "log_every"):  # fmt: skip
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _require(self.keep_epochs >= 2, "keep_epochs", self.keep_epochs, "at least 2: the first and the last stay")
        _require(self.channels in (1, 3), "channels", self.channels, "1 (grey) or 3 (RGB)")
        for name in ("decay", "identity_warmup"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share from 0 to 1")
        for name in ("ema", "dropout"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 up to, not including, 1")
        for name in ("cycle", "identity_a", "identity_b", "identity_start", "pool_size", "workers", "init_std", "block_init_std"):
            _require((getattr(self, name) or 0) >= 0, name, getattr(self, name), "0 or more")
        for name in ("lr", "disc_lr_factor"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        for name in ("max_images", "steps_per_epoch", "evaluate_every"):
            _require(getattr(self, name) is None or getattr(self, name) >= 1, name, getattr(self, name), "at least 1, or none")
        _require(
            self.load_size is None or self.load_size >= self.image_size,
            "load_size", self.load_size, f"none, or image_size ({self.image_size}) and more",
        )  # fmt: skip
        _require(
            len(self.disc_channels) >= 1 and min(self.disc_channels) >= 1, "disc_channels", self.disc_channels, "e.g. 64,128,256"
        )
        _require(not (self.streaming and self.steps_per_epoch is None), "steps_per_epoch", None, "given: a stream has no length")
        for name in ("balance", "equal_sides", "max_images"):
            _require(not (self.streaming and getattr(self, name)), name, getattr(self, name), "none or false with streaming=True")
        side = self.image_size // 2 ** (self.disc_scales - 1)
        for stride in (*(2 for _ in self.disc_channels[1:]), self.disc_last_stride, 1):
            side = (side - 2) // stride + 1  # 4x4, padding 1
        _require(side >= 1, "image_size", self.image_size, "larger for this discriminator, or disc_channels shorter")
        step = 4 if self.generator == "resnet" else 2**self.blocks
        _require(self.image_size % step == 0, "image_size", self.image_size, f"a multiple of {step} for this generator")


Recipe = CycleGANRecipe  # a union, once there are sisters


def _require(holds: bool, name: str, value: Any, rule: str) -> None:
    if not holds:
        raise RecipeError(f"{name}={value!r}: must be {rule}")


def override(recipe: Recipe, changes: dict[str, str]) -> Recipe:
    """The recipe with some fields set from text, as `--set field=value` gives them.

    "none" is None, lists are separated by commas ("64,128,256"), switches are true or false.
    Raises RecipeError for a field that does not exist, listing those that do, and for a text that is not of its type.
    """
    hints = _hints(type(recipe))
    settable = [f.name for f in fields(recipe) if f.name not in ("name", "domain")]
    values = {}
    for name, text in changes.items():
        if name not in settable:
            raise RecipeError(f"{name!r} is no field of a {type(recipe).__name__}; fields: {', '.join(settable)}")
        values[name] = _parse(name, hints[name], text.strip())
    return replace(recipe, **values)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _check_type(name: str, kind: Any, value: Any) -> None:
    """Raises RecipeError unless `value` is what the annotation `kind` says."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is not None:
            _check_type(name, next(a for a in args if a is not type(None)), value)
    elif origin is Literal:
        _require(value in args, name, value, f"one of {', '.join(map(str, args))}")
    elif origin is tuple:
        _require(isinstance(value, tuple), name, value, "a tuple")
        for item in value:
            _check_type(name, args[0], item)
    elif kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _require(number and math.isfinite(value), name, value, "a finite number")
    else:
        _require(type(value) is kind, name, value, {int: "a whole number", bool: "true or false", str: "a text"}[kind])


def _parse(name: str, kind: Any, text: str) -> Any:
    """`text` as a value of the annotation `kind`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none":
            return None
        return _parse(name, next(a for a in args if a is not type(None)), text)
    if origin is Literal:
        for choice in args:
            if text == str(choice):
                return choice
        raise RecipeError(f"{name}={text!r}: must be one of {', '.join(map(str, args))}")
    if origin is tuple:
        return tuple(_parse(name, args[0], part.strip()) for part in text.split(",") if part.strip())
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise RecipeError(f"{name}={text!r}: must be true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        article = {int: "a whole number", float: "a number", str: "a text"}[kind]
        raise RecipeError(f"{name}={text!r}: must be {article}") from None


def find(name: str) -> Recipe:
    """The recipe called `name`. Raises RecipeError that lists the names there are."""
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; recipes: {', '.join(RECIPES)}")
    return RECIPES[name]


_R = CycleGANRecipe
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
_COMPACT128 = _COMPACT | dict(image_size=128, load_size=144, disc_channels=(32, 64, 128, 256))
_SMILE = _OURS | dict(domain="smile", cycle=5.0, identity_a=1.0, identity_b=1.0)
_ANIM = _OURS | dict(domain="anime", cycle=5.0, identity_a=1.0, identity_b=1.0)
_CARTOON = _OURS | dict(domain="cartoon", cycle=5.0, identity_a=1.0, identity_b=1.0)
_MONET = _OURS | dict(domain="monet", cycle=10.0, identity_a=5.0, identity_b=2.5, identity_start=10.0) | _SMALL

# fmt: off
RECIPES: dict[str, Recipe] = {r.name: r for r in (
    # ours: the full size wants a GPU
    _R("smile", **_SMILE, image_size=128, load_size=144, batch_size=2, epochs=40, max_images=20_000),
    _R("anime", **_ANIM, image_size=128, load_size=144, batch_size=2, epochs=120),
    _R("cartoon", **_CARTOON, image_size=128, load_size=144, batch_size=2, epochs=60, max_images=20_000),
    _R("monet", **_MONET, image_size=256, load_size=286, disc_scales=2, epochs=60),
    # ours: these train on a CPU (about 1.1 M weights a direction)
    _R("smile-compact", **_SMILE | _COMPACT, epochs=40, max_images=20_000),
    _R("anime-compact", **_ANIM | _COMPACT, epochs=60),
    _R("cartoon-compact", **_CARTOON | _COMPACT, epochs=40, max_images=20_000),
    _R("monet-compact", **_MONET | _COMPACT, epochs=60),
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
)}
# fmt: on
