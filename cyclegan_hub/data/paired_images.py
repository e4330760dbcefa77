"""Where the images of the other methods come from: one pile, or pairs (two halves of a file, two columns, two folders)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.data.open_source import open_items
from cyclegan_hub.data.raw_images import FolderItems, Items, ZipItems
from cyclegan_hub.data.resolve import _PAIRS
from cyclegan_hub.data.specs import DataError, Files, HubSplit, Pair


def open_any(source: Files | HubSplit | Pair) -> Items | PairItems | None:
    """`sources.open_items`, for pairs too. Raises DataError where two sources do not belong together."""
    return PairItems.open(source) if isinstance(source, Pair) else open_items(source)


@dataclass
class PairItems:
    """Pairs as pictures of two halves, input and output, joined as they are read."""

    a: Items
    b: Items

    @classmethod
    def open(cls, pair: Pair) -> PairItems | None:
        a, b = open_items(pair.a), open_items(pair.b)
        if a is None or b is None:  # an optional split that is not there
            return None
        if _no_column(pair.a) == _no_column(pair.b) and pair.a != pair.b:
            return cls(a, b)  # two columns of the same rows
        names = [_names(items) for items in (a, b)]
        if None in names:
            raise DataError(f"{pair.describe()}: nothing says which images belong together; {_PAIRS}")
        if names[0] != names[1]:
            alone = sorted(set(names[0]) ^ set(names[1])) or names[0]
            raise DataError(
                f"{pair.describe()} are no pairs: {len(alone)} file names are not in both, such as {alone[0]!r}; {_PAIRS}"
            )
        return cls(a, b)

    def __len__(self) -> int:
        return len(self.a)

    def name(self, index: int) -> str:
        return self.a.name(index)

    def read(self, index: int) -> Image.Image:
        """One picture of both. Raises DataError where the two are of different sizes, images.ImageError and OSError."""
        a, b = (images.decode(items.read(index), name=items.name(index)) for items in (self.a, self.b))
        if a.size != b.size:
            raise DataError(
                f"{self.name(index)}: its input is {a.width} x {a.height} and its output {b.width} x {b.height}: the two halves "
                "of a pair must have one size"
            )
        both = Image.new("RGB", (2 * a.width, a.height))
        both.paste(a, (0, 0))
        both.paste(b, (a.width, 0))
        return both


def _no_column(source: Files | HubSplit) -> Any:
    return replace(source, column=None)


def _names(items: Items) -> list[str] | None:
    """Names without their endings, in order; None where rows have none of their own."""
    if not isinstance(items, FolderItems | ZipItems):
        return None
    return [PurePath(items.name(i)).with_suffix("").as_posix() for i in range(len(items))]
