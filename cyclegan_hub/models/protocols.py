"""What every published model says of itself, and the two ways there are to use one: it translates pictures, or draws them.

Code outside of `models/` asks these attributes instead of comparing classes or names of methods, so that a new method
needs no change there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from PIL import Image
from torch import Tensor, nn

from cyclegan_hub.domains import Eyes, are_eyes
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.records import RunRecord
from cyclegan_hub.recipes.pair_rules import PairRule

# What its outputs are compared with: real images of the target side only; held-out images of both sides, unpaired;
# or, one by one, the real output that belongs to each input.
MeasuredBy = Literal["samples", "sides", "pairs"]


@dataclass(frozen=True)
class Examples:
    """What a model makes, as rows of pictures under headings (none for a model that draws)."""

    rows: list[Sequence[Image.Image]]
    headings: list[str] = field(default_factory=list)


class Published(Protocol):
    """What all have. The class attributes are known before a model is loaded: `KINDS[config["model"]].method`."""

    method: ClassVar[str]  # "cyclegan", "dcgan", "pix2pix": as its recipes are called
    title: ClassVar[str]  # of {a} and {b}: "{a} ↔ {b}"
    directions: ClassVar[tuple[str, ...]]  # ("a_to_b", "b_to_a"), ("a_to_b",) or ("samples",)
    data_sides: ClassVar[tuple[str, ...]]  # keys of a run's data: ("a", "b") for two piles, ("a",) for one, pairs included
    label_count: ClassVar[int]
    batch_unit: ClassVar[str]  # what a batch holds: "pairs" or "images"
    outputs_called: ClassVar[str]  # "translations" or "images"
    takes_pictures: ClassVar[bool]  # False: it draws from noise
    card_template: ClassVar[str]  # a file of model_cards/

    channels: int  # 1 or 3
    image_size: int  # px, the side of the squares it was trained on
    domain: str
    labels: tuple[str, ...]  # of A and B, or of the one thing that is drawn
    epoch: int | None

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` says."""

    @property
    def record(self) -> RunRecord | None:
        """The record of the run that made the weights, from where the model was loaded; None without one."""

    @property
    def measured_by(self) -> MeasuredBy:
        """What its outputs are compared with in an evaluation."""

    @classmethod
    def trained_size(cls, config: Mapping[str, Any]) -> int | None:
        """`image_size` of a `config.json` that may be damaged, without building the model; None if it does not say."""

    def examples(self, photographs: Sequence[Image.Image]) -> Examples:
        """What it makes of squares of `image_size` px (PIL), aligned as its inputs are, or draws: for the image of a card."""

    def network(self, direction: str) -> nn.Module:
        """The generator of a direction. Raises ValueError, naming those there are, for another."""


@runtime_checkable
class Translator(Published, Protocol):
    """A model that translates pictures."""

    eyes: Mapping[str, Eyes | None]  # where the eyes of faces lie in the inputs of a direction; None: any pictures

    @property
    def translate_size(self) -> int:
        """Shorter side in px that `translate` brings a picture to if no resolution is given."""

    @property
    def enlargement(self) -> int:
        """How many times as large as its input a translation is: 1, or 4 for "upscale-4x"."""

    def input_of(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) in [-1, 1] of any size -> the network's input for them, (N, C, H, W) times `enlargement`."""

    def translate(
        self,
        image: Any,  # a `translate.Source`, or a list of them
        direction: Any = "a_to_b",
        resolution: int | Literal["original"] | None = None,
        batch_size: int = 8,
    ) -> Any:
        """One picture -> a PIL image; a list of them -> a list. See `CycleGenerator.translate`."""


@runtime_checkable
class PairedTranslator(Translator, Protocol):
    """A translator that was trained on pairs."""

    rule: PairRule

    def prepare(self, target: Tensor) -> Tensor:
        """Real outputs (N, C, H, W) in [-1, 1] -> the inputs that the rule makes of them; as they are where pairs are given."""


@runtime_checkable
class Sampler(Published, Protocol):
    """A model that draws pictures from noise."""

    latent: int  # numbers that a picture is drawn from

    def latents(self, n: int = 1, seed: int = 0, truncation: float | None = None) -> Tensor:
        """`n` standard normal latents of a seed, (n, latent)."""

    def sample(self, n: int = 1, *, seed: int = 0, truncation: float | None = None, batch_size: int = 64) -> list[Image.Image]:
        """`n` pictures of a seed."""

    def interpolate(self, seed_a: int, seed_b: int, steps: int = 8, *, truncation: float | None = None) -> list[Image.Image]:
        """`steps` pictures from the one of a seed to that of another."""

    def draw(self, z: Tensor, batch_size: int = 64) -> list[Image.Image]:
        """The pictures of latents (N, latent)."""


Model = Translator | Sampler


def arrow(direction: str, labels: Sequence[str]) -> str:
    """A direction in words: "photo → Monet" for a_to_b, the other way round for b_to_a, "face" for samples."""
    a, b = labels[0], labels[-1]
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}", "samples": b}.get(direction, direction)


def ascii_label(label: str, fallback: str) -> str:
    """`label` where the font of a plot surely has its letters, else `fallback`."""
    return label if label.isascii() else fallback


# Checks of constructor arguments, and a network in evaluation mode for a while.


def check_positive(**values: object) -> None:
    """Raises ValueError, with the name, for what is not a whole number of at least 1 (`True` is none)."""
    for name, value in values.items():
        if not is_positive(value):
            raise ValueError(f"{name}={value!r}: give a whole number of at least 1")


def is_positive(value: object) -> bool:
    """Whether it is a whole number of at least 1 (`True` is none)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_value_range(values: Sequence[int] | None) -> tuple[int, int] | None:
    """The value range of 16-bit images as a pair. Raises UserError for what is not None or two ascending whole numbers."""
    if values is None:
        return None
    numbers = list(values) if isinstance(values, list | tuple) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != 2 or not whole or numbers[0] >= numbers[1]:
        raise UserError(f"value_range={values!r}: give the value that is black and a larger one that is white, such as [0, 4095]")
    return numbers[0], numbers[1]


def check_eyes(eyes: Sequence[float] | None) -> Eyes | None:
    """Where two eyes lie, as (left x, left y, right x, right y). Raises UserError unless it is None or such shares of a side."""
    if eyes is None:
        return None
    if not are_eyes(eyes):
        raise UserError(f"eyes={eyes!r}: give the left and the right eye in shares of the side, such as [0.37, 0.5, 0.63, 0.5]")
    return eyes[0], eyes[1], eyes[2], eyes[3]


def whole_number(value: object) -> int | None:
    """The value of a config that may be damaged, None unless it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode, and afterwards every module back into the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
