"""Checks of constructor arguments, and a network in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from cyclegan_hub.domains import Eyes, are_eyes
from cyclegan_hub.errors import UserError


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
