"""The fields of a recipe: one frozen dataclass for each method. No torch here."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclegan_hub.domains import DOMAINS, Domain, are_eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.recipes.pair_rules import PAIR_RULES, PairRule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Layout = Literal["domains", "image set", "pairs"]  # two unpaired image sets, one image set, or pairs of input and output

# Fields that may differ between two runs of one folder: none of them changes the trained weights.
RESUMABLE_FIELDS = frozenset(
    {"snapshot_every", "sample_every", "keep_epochs", "save_every", "log_every", "evaluate_every", "workers"}
)

# Fields that older run folders lack, with the value that they imply.
ADDED_FIELDS = {
    "skip": False, "discriminator": "patch", "own_cycle": False, "fit": "crop", "value_range": None, "direction": "a_to_b",
    "crop_size": None, "eyes_a": None, "eyes_b": None, "eyes": None, "noise": False, "minibatch_deviation": False, "ema": 0.0,
    "cycle_a": None, "droplets": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class _Recipe:
    """The fields of every method: its images, and the numbers of the loop."""

    name: str
    domain: str  # "": none, the images have to be given
    # data
    image_size: int = 128
    load_size: int | None = None  # resize to this, then crop image_size at random (the paper's jitter); None: no jitter
    channels: int = 3
    flip: bool = True
    fit: Literal["crop", "random-crop", "stretch", "pad"] = "crop"  # how an image that is not square becomes a square
    value_range: tuple[int, ...] | None = None  # of 16-bit images: (black, white), such as 0,4095; None: 0,65535
    max_images: int | None = None  # of each domain, at most
    streaming: bool = False
    workers: int = 0  # decoding processes; image sets that fit in memory need none
    # optimisation
    batch_size: int = 1
    epochs: int = 100
    steps_per_epoch: int | None = None  # None: one pass over the larger domain
    lr: float = 2e-4
    init_std: float = 0.02
    # what is written, and when
    snapshot_every: int = 5  # epochs between two that are kept
    sample_every: int = 1  # epochs between two sample grids
    keep_epochs: int = 20  # the best one by metrics.json is always among them
    save_every: int = 500  # steps between two saves of the state; every epoch ends with one as well
    log_every: int = 10
    evaluate_every: int | None = None  # epochs between two light evaluations on held-out images; the best is kept in best/

    @property
    def trained_size(self) -> int:
        """The size in pixels of the squares that the networks are trained on."""
        return self.image_size

    @property
    def image_set_side(self) -> Literal["a", "b"]:
        """The domain of two that a method of one image set reads."""
        side: Literal["a", "b"] = getattr(self, "side", "a")
        return side

    def __post_init__(self) -> None:
        """Raises RecipeError where two fields contradict each other or a value is out of its range."""
        for field, kind in _hints(type(self)).items():
            _check_type(field, kind, getattr(self, field))
        counts = ("image_size", "channels", "batch_size", "epochs", "snapshot_every", "sample_every", "save_every", "log_every")
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
        limits = self.value_range
        in_order = limits is None or (len(limits) == 2 and limits[0] < limits[1])
        require(in_order, "value_range", limits, "the value that is black and a larger one that is white, such as 0,4095")

    def load_options(self) -> dict[str, Any]:
        """How images are read, beyond their size and number: keywords of `data.batches.open_batches`."""
        return {"fit": self.fit, "value_range": self.value_range}


_NO_STREAM = "none or false with streaming=True"


@dataclass(frozen=True)
class CycleGANRecipe(_Recipe):
    """CycleGAN (Zhu et al. 2017): two generators, two discriminators, cycle and identity losses."""

    method: ClassVar[str] = "cyclegan"  # as on the class of the published model
    layout: ClassVar[Layout] = "domains"
    # data
    # A shows faces: each is aligned so that its eyes lie at (left x, left y, right x, right y), in shares of the side
    eyes_a: tuple[float, ...] | None = None
    eyes_b: tuple[float, ...] | None = None  # likewise B
    crop_size: int | None = None  # train on random squares of this size; held out and published at image_size
    balance: bool = False  # bring the smaller domain to parity by augmented copies
    equal_sides: bool = False  # cut the larger domain to the size of the smaller
    diffaugment: tuple[Literal["translation", "cutout", "color"], ...] = ()
    # generator
    generator: Literal["resnet", "unet"] = "resnet"
    width: int = 64
    blocks: int = 9  # residual blocks; of a U-Net, the number of halvings
    upsample: Literal["transpose", "resize"] = "resize"
    padding: Literal["reflect", "zeros"] = "reflect"  # inside the blocks; the 7x7 ends always reflect
    dropout: float = 0.0
    skip: bool = False  # output = input + the network's output: for similar domains; of a ResNet only
    noise: bool = False  # noise inputs (Karras et al. 2019, section 2), for textures that do not repeat; of a ResNet only
    # "patch" sees pixels, "projected" the features of a frozen ImageNet network (Sauer et al. 2021), "both" are the two together
    discriminator: Literal["patch", "projected", "both"] = "patch"
    # of the patch discriminator: 4x4 convolutions, then one to a map of logits
    disc_channels: tuple[int, ...] = (64, 128, 256, 512)
    disc_last_stride: Literal[1, 2] = 1
    disc_scales: int = 1
    minibatch_deviation: bool = False  # it also sees how much the images of a batch differ (Karras et al. 2018, section 3)
    # Share of the other domain's real images among a discriminator's fake ones, beside the translations (compare the
    # edge-smoothed images of CartoonGAN, Chen et al. 2018, section 3.2.1, and the mismatched pairs of Reed et al. 2016, section
    # 4.2). Of similar domains it learns what distinguishes them, and not only what is blurred.
    source_negatives: float = 0.0
    # losses
    adversarial: Literal["lsgan", "bce", "hinge"] = "lsgan"
    # Weights of the cycle losses B -> A -> B and A -> B -> A (None: the same), lambda_B and lambda_A of the authors' code.
    # `--extend` may change these and the identity losses' for the end (Wang and Lin 2018, "CycleGAN with Better Cycles").
    cycle: float = 10.0
    cycle_a: float | None = None
    # Each generator is trained on one cycle, the one that ends with it, as in some sources: a_to_b on |a_to_b(b_to_a(b)) - b|.
    own_cycle: bool = False
    identity_a: float = 5.0  # weight of |b_to_a(a) - a|
    identity_b: float = 5.0  # weight of |a_to_b(b) - b|
    identity_start: float | None = None  # both weights start here and reach their own value by the end of the warm-up
    identity_warmup: float = 0.0  # share of the schedule
    # Weight of a penalty on values beyond 12 standard deviations in the generators' normalised maps. Such a spike makes all else
    # in its map small, and becomes a white or dark drop in a washed-out image (Karras et al. 2020, StyleGAN2, section 2).
    droplets: float = 0.0
    pool_size: int = 0
    # optimisation
    disc_lr_factor: float = 1.0
    decay: float = 0.0  # last share of the schedule, over which the learning rate falls linearly to 0
    ema: float = 0.0  # 0: off
    block_init_std: float | None = None  # of a U-Net's down and up blocks; None: init_std
    norm_init_mean: float = 1.0  # norm scales start at N(mean, 0.02)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("width", "blocks", "disc_scales"), lambda n: n >= 1, "at least 1")
        check_all(self, ("eyes_a", "eyes_b"), lambda eyes: eyes is None or are_eyes(eyes), _EYES)
        check_all(self, ("decay", "identity_warmup"), lambda n: 0 <= n <= 1, "a share from 0 to 1")
        check_all(self, ("ema", "dropout", "source_negatives"), lambda n: 0 <= n < 1, "from 0 up to, not including, 1")
        weights = ("cycle", "cycle_a", "identity_a", "identity_b", "identity_start", "droplets", "pool_size", "block_init_std")
        check_all(self, weights, lambda n: (n or 0) >= 0, "0 or more")
        require(self.disc_lr_factor > 0, "disc_lr_factor", self.disc_lr_factor, "more than 0")
        if self.streaming:
            check_all(self, ("balance", "equal_sides"), lambda n: not n, _NO_STREAM)
        small_enough = self.crop_size is None or 1 <= self.crop_size <= self.image_size
        require(small_enough, "crop_size", self.crop_size, f"none, or from 1 to image_size ({self.image_size})")
        trained = "image_size" if self.crop_size is None else "crop_size"
        if self.discriminator != "projected":
            _check_patches(trained, self.trained_size, self.disc_channels, self.disc_last_stride, self.disc_scales)
        if self.discriminator != "patch":
            rule = "at least 32 for projected discriminators, whose coarsest scale is a 32nd of the image"
            require(self.trained_size >= 32, trained, self.trained_size, rule)
        _check_fits(trained, self.trained_size, self.generator, self.blocks)
        _check_fits("image_size", self.image_size, self.generator, self.blocks)
        rule = "false with generator=unet, which has skips of its own"
        require(not (self.skip and self.generator == "unet"), "skip", self.skip, rule)
        alone = self.batch_size == 1 or self.discriminator == "projected"
        rule = "false with batch_size=1 or discriminator=projected: it compares a batch in the patch discriminator"
        require(not (self.minibatch_deviation and alone), "minibatch_deviation", self.minibatch_deviation, rule)
        require(not (self.noise and self.generator == "unet"), "noise", self.noise, "false with generator=unet")

    @property
    def trained_size(self) -> int:
        return self.crop_size or self.image_size

    def labels_in(self, domain: Domain | None) -> tuple[str, ...]:
        """What A and B show."""
        return domain.labels if domain else ("A", "B")

    def load_options(self) -> dict[str, Any]:
        """As that of every recipe, where the eyes of faces lie, and whether both domains are brought to one size."""
        own = {"eyes": (self.eyes_a, self.eyes_b), "equal_sides": self.equal_sides, "balance": self.balance}
        return super().load_options() | own


@dataclass(frozen=True)
class DCGANRecipe(_Recipe):
    """DCGAN (Radford et al. 2016): images from noise; a generator and a discriminator of 4x4 convolutions."""

    method: ClassVar[str] = "dcgan"
    layout: ClassVar[Layout] = "image set"
    side: Literal["a", "b"] = "a"  # of a folder or a domain of two, the one that is read
    eyes: tuple[float, ...] | None = None  # the images show faces, aligned as with `eyes_a` of a CycleGANRecipe
    latent: int = 100
    gen_channels: tuple[int, ...] = (256, 128, 64, 32)  # after each transposed convolution but the last; the image is 4 * 2**n px
    disc_channels: tuple[int, ...] = (32, 64, 128, 256)
    ema: float = 0.0  # moving average of the generator's weights, which is published; 0: off

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("latent",), lambda n: n >= 1, "at least 1")
        check_all(self, ("ema",), lambda n: 0 <= n < 1, "from 0 up to, not including, 1")
        check_all(self, ("eyes",), lambda eyes: eyes is None or are_eyes(eyes), _EYES)
        channels = ("gen_channels", "disc_channels")
        check_all(self, channels, lambda n: len(n) >= 1 and min(n) >= 1, "e.g. 256,128,64,32")
        require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2: batch norm compares the images of a batch")
        built = 4 * 2 ** len(self.gen_channels)
        rule = f"{built}: {len(self.gen_channels)} gen_channels make 4x4 px grow to that; give gen_channels and disc_channels too"
        require(self.image_size == built, "image_size", self.image_size, rule)
        rule = f"as many as gen_channels ({len(self.gen_channels)}): together they bring {self.image_size} px back to 4x4"
        require(len(self.disc_channels) == len(self.gen_channels), "disc_channels", self.disc_channels, rule)

    def labels_in(self, domain: Domain | None) -> tuple[str, ...]:
        """What the samples show."""
        return (_label(domain, self.side),) if domain else ("image",)

    def load_options(self) -> dict[str, Any]:
        """As that of every recipe, and where the eyes of faces lie."""
        return super().load_options() | {"eyes": (self.eyes,)}


@dataclass(frozen=True)
class Pix2PixRecipe(_Recipe):
    """pix2pix (Isola et al. 2017): a generator trained on pairs by L1 and a discriminator that sees input and output."""

    method: ClassVar[str] = "pix2pix"
    side: Literal["a", "b"] = "a"  # of a folder or a domain of two, the one that pairs are made from
    # "given", or derived from one image set: see pair_rules.py
    pairs: Literal["given", "colorize", "upscale-4x", "repaint"] = "given"
    # Of pairs that are given. "a_to_b": from the left half of an image, or from A; "b_to_a": from the right half, or from B.
    direction: Literal["a_to_b", "b_to_a"] = "a_to_b"
    generator: Literal["unet", "cnn"] = "unet"
    width: int = 64
    blocks: int = 8  # halvings of the U-Net; layers of the CNN
    dropout: float = 0.5
    disc_channels: tuple[int, ...] = (64, 128, 256, 512)
    adversarial_weight: float = 1.0  # of binary cross entropy; 0: no discriminator, L1 alone
    l1: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_all(self, ("width", "blocks"), lambda n: n >= 1, "at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "from 0 up to, not including, 1")
        check_all(self, ("adversarial_weight", "l1"), lambda n: n >= 0, "0 or more")
        rule = "more than 0 where adversarial_weight is 0: there is no loss otherwise"
        require(self.adversarial_weight + self.l1 > 0, "l1", self.l1, rule)
        require(self.channels == 3 or not self.rule.needs_colours, "channels", self.channels, f"3 to {self.pairs}")
        forward = self.direction == "a_to_b" or not self.rule.derived
        require(forward, "direction", self.direction, "a_to_b where inputs are derived from outputs")
        whole = self.image_size % self.rule.scale == 0
        require(whole, "image_size", self.image_size, f"a multiple of {self.rule.scale} where pairs are made")
        _check_patches("image_size", self.image_size, self.disc_channels, 1, 1)
        if self.generator == "unet":
            _check_fits("image_size", self.image_size, self.generator, self.blocks)

    @property
    def rule(self) -> PairRule:
        """How inputs are derived from targets."""
        return PAIR_RULES[self.pairs]

    @property
    def layout(self) -> Layout:
        """Pairs where they are given, else the image set that they are derived from."""
        return "image set" if self.rule.derived else "pairs"

    def labels_in(self, domain: Domain | None) -> tuple[str, ...]:
        """What input and output show."""
        if domain is None:
            return ("input", "output")
        output = _label(domain, self.side)
        source = self.rule.label_of_input(output)
        if source:
            return (source, output)
        return domain.labels if self.side == "b" else domain.labels[::-1]

    def load_options(self) -> dict[str, Any]:
        """As that of every recipe, and whether an image is a pair of two halves, and which of them is the input."""
        given = not self.rule.derived
        return super().load_options() | {"halves": given, "swapped": given and self.direction == "b_to_a"}


Recipe = CycleGANRecipe | DCGANRecipe | Pix2PixRecipe
METHODS = (CycleGANRecipe, DCGANRecipe, Pix2PixRecipe)
_EYES = "none, or the left and the right eye as x,y,x,y in shares of the side, such as 0.37,0.5,0.63,0.5"


def _check_patches(name: str, image_size: int, disc_channels: tuple[int, ...], last_stride: int, scales: int) -> None:
    require(len(disc_channels) >= 1 and min(disc_channels) >= 1, "disc_channels", disc_channels, "e.g. 64,128,256")
    side = image_size // 2 ** (scales - 1)
    for stride in (*(2 for _ in disc_channels[1:]), last_stride, 1):
        side = (side - 2) // stride + 1  # 4x4, padding 1
    require(side >= 1, name, image_size, "larger for this discriminator, or disc_channels shorter")


def _check_fits(name: str, image_size: int, generator: str, blocks: int) -> None:
    step = 4 if generator == "resnet" else 2**blocks
    require(image_size % step == 0, name, image_size, f"a multiple of {step} for this generator")


# The values of fields: checked by their annotations, and set from text as `--set field=value` gives it.

AnyRecipe = TypeVar("AnyRecipe", bound="DataclassInstance")


class RecipeError(UserError):
    """A recipe, a field or a value that does not exist or does not fit; the message lists the valid ones."""


def require(holds: bool, name: str, value: Any, rule: str) -> None:
    """Raises RecipeError, which states the rule, unless it holds."""
    if not holds:
        raise RecipeError(f"{name}={value!r}: must be {rule}")


def check_all(recipe: Any, names: Sequence[str], holds: Callable[[Any], bool], rule: str) -> None:
    """Raises RecipeError for the first of these fields that breaks the rule."""
    for name in names:
        require(holds(getattr(recipe, name)), name, getattr(recipe, name), rule)


def override(recipe: AnyRecipe, changes: dict[str, str]) -> AnyRecipe:
    """The recipe with some fields set from text, as `--set field=value` gives them.

    "none" is None, lists are separated by commas ("64,128,256"), switches are true or false.
    Raises RecipeError for a field that does not exist, listing those that do, and for a text of another type.
    """
    hints = _hints(type(recipe))
    settable = [f.name for f in fields(recipe) if f.name not in ("name", "domain")]
    values = {}
    for name, text in changes.items():
        if name not in settable:
            raise RecipeError(f"{name!r} is no field of a {type(recipe).__name__}; fields: {', '.join(settable)}")
        if name == "channels" and "," in text:
            raise RecipeError(f"channels={text!r}: both domains are read alike: give 1 (both grey) or 3 (both RGB)")
        values[name] = _parse(hints[name], text.strip())
    return replace(recipe, **values)


def _hints(kind: type[DataclassInstance]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _check_type(name: str, kind: Any, value: Any) -> None:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is not None:
            _check_type(name, _not_none(args), value)
    elif origin is Literal:
        require(value in args, name, value, f"one of {', '.join(map(str, args))}")
    elif origin is tuple:
        require(isinstance(value, tuple), name, value, "a tuple")
        for item in value:
            _check_type(name, args[0], item)
    elif kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        require(number and math.isfinite(value), name, value, "a finite number")
    else:
        require(type(value) is kind, name, value, {int: "a whole number", bool: "true or false", str: "a text"}[kind])


def _parse(kind: Any, text: str) -> Any:
    """`text` as a value of the annotation `kind`; unchanged where it is none, which `_check_type` then names."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if text.lower() == "none" else _parse(_not_none(args), text)
    if origin is Literal:
        return next((choice for choice in args if str(choice) == text), text)
    if origin is tuple:
        return tuple(_parse(args[0], part.strip()) for part in text.split(",") if part.strip())
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def _not_none(args: tuple[Any, ...]) -> Any:
    return next(arg for arg in args if arg is not type(None))


def labels_of(recipe: Recipe) -> tuple[str, ...]:
    """The labels of a recipe's own domain: of A and B, or of one image set."""
    return recipe.labels_in(DOMAINS.get(recipe.domain))


def _label(domain: Domain, side: str) -> str:
    try:
        return domain.image_set(side).label
    except ValueError as error:
        raise RecipeError(f"side={side}: {error}: leave side out; --data-a takes any images") from error


def domain_of(recipe: Recipe, labels: tuple[str, ...]) -> str:
    """The domain of a model of the recipe; "custom" with labels of the user's own (`--labels`)."""
    return recipe.domain if recipe.domain and labels == labels_of(recipe) else "custom"
