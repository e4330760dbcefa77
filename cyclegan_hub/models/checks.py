"""Checks of what constructors, configs and metadata of models hold. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from cyclegan_hub.domains import Eyes, are_eyes
from cyclegan_hub.errors import UserError


def is_positive(value: object) -> bool:
    """Whether it is an integer of at least 1 (`True` is not)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def check_positive(**values: object) -> None:
    """Raises ValueError, with the name, for a value that is not an integer of at least 1."""
    for name, value in values.items():
        if not is_positive(value):
            raise ValueError(f"{name}={value!r}: give a whole number of at least 1")


def check_labels(labels: Sequence[str], count: int, meaning: str) -> tuple[str, ...]:
    """`count` labels as a tuple. Raises UserError, with their `meaning`, for anything else."""
    if isinstance(labels, str) or len(labels) != count or not all(isinstance(label, str) for label in labels):
        raise UserError(f"labels={labels!r}: give {meaning}")
    return tuple(labels)


def check_value_range(values: Sequence[int] | None) -> tuple[int, int] | None:
    """The value range of 16-bit images as a pair. Raises UserError unless it is None or two ascending integers."""
    if values is None:
        return None
    numbers = list(values) if isinstance(values, list | tuple) else []
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != 2 or not whole or numbers[0] >= numbers[1]:
        raise UserError(f"value_range={values!r}: give the value that is black and a larger one that is white, such as [0, 4095]")
    return numbers[0], numbers[1]


def check_eyes(eyes: Sequence[float] | None) -> Eyes | None:
    """Eye positions as (left x, left y, right x, right y). Raises UserError unless it is None or four such shares of a side."""
    if eyes is None:
        return None
    if not are_eyes(eyes):
        raise UserError(f"eyes={eyes!r}: give the left and the right eye in shares of the side, such as [0.37, 0.5, 0.63, 0.5]")
    return eyes[0], eyes[1], eyes[2], eyes[3]


def whole_number(value: object) -> int | None:
    """An integer of a config that may be damaged; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
