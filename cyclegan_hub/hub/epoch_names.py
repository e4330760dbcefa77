"""Names of published epochs: "epoch-005" is the name of a folder and of a tag; "main" is a model without epochs."""

from __future__ import annotations

import re
from collections.abc import Collection

EPOCH = re.compile(r"epoch-[0-9]+")


def epoch_name(epoch: int) -> str:
    """ "epoch-005" for 5."""
    return f"epoch-{epoch:03d}"


def epoch_number(name: str) -> int:
    """5 for "epoch-005". Raises ValueError for another kind of name."""
    return int(name.removeprefix("epoch-"))


def epoch_order(name: str) -> int:
    """A number to sort epochs by: "main" is 0 and comes first. Raises ValueError for another kind of name."""
    return 0 if name == "main" else epoch_number(name)


def listed(names: Collection[str]) -> str:
    """A list of the epochs that exist, as part of an error about a missing one."""
    return f"epochs there: {', '.join(names) or 'none'}"
