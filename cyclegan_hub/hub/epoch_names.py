"""How a published epoch is called: "epoch-005", the name of its folder and of its tag; "main" for a model without epochs."""

from __future__ import annotations

import re
from collections.abc import Collection

EPOCH = re.compile(r"epoch-[0-9]+")


def epoch_name(epoch: int) -> str:
    """ "epoch-005" for 5."""
    return f"epoch-{epoch:03d}"


def epoch_number(name: str) -> int:
    """5 for "epoch-005"; ValueError for what is no epoch's name."""
    return int(name.removeprefix("epoch-"))


def epoch_order(name: str) -> int:
    """The place of an epoch among others, "main" before all; ValueError for what is no epoch's name."""
    return 0 if name == "main" else epoch_number(name)


def listed(names: Collection[str]) -> str:
    """Which epochs there are, for an error about one that is not there."""
    return f"epochs there: {', '.join(names) or 'none'}"
