"""Where the images of the other methods come from: one pile, or pairs (two halves of a file, two columns, two folders)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.domains import Domain
from cyclegan_hub.items import FolderItems, Items, ZipItems
from cyclegan_hub.sources import open_items
from cyclegan_hub.specs import DataError, Files, HubSplit, SideSource, hub_dataset, one_side, side_of, split_in

_PAIRS = (
    "pairs are one folder or dataset `train` of pictures whose left half is the input and right half the output, two columns "
    "of one dataset (--data-a 'hf:ID?column=input' --data-b 'hf:ID?column=output'), or trainA and trainB with equal file names"
)


@dataclass(frozen=True)
class Pair:
    """Input and output as two sources whose images belong together one by one."""

    a: Files | HubSplit
    b: Files | HubSplit

    def describe(self) -> str:
        return f"{self.a.describe()} with {self.b.describe()}"


def resolve_pile(domain: Domain | None, side: str, data: str | None, data_a: str | None, data_b: str | None) -> tuple[SideSource]:
    """The source of a method that has one pile: `data_a`, else side `side` ("a" or "b") of `data`, else that of the domain.

    Raises DataError as `specs.resolve` does, and for a second pile.
    """
    if data_b is not None:
        raise DataError(f"--data-b {data_b}: this method has one pile of images: give it with --data-a")
    if data_a is not None:
        return (one_side(data_a),)
    if data is not None:
        return (side_of(data, side.upper()),)
    if domain is None:
        raise DataError("there are no images: give --data-a (a folder, .parquet, .tfrec, .zip, .npz or hf:ID)")
    return (hub_dataset(domain.pile(side)),)


def resolve_pairs(data: str | None, data_a: str | None, data_b: str | None) -> tuple[SideSource]:
    """The source of pairs that are given: see `_PAIRS`. Raises DataError where none is, or where one column lacks the other."""
    if data_a is not None and data_b is not None:
        return (_together(one_side(data_a), one_side(data_b)),)
    if data_a is not None:
        return (one_side(data_a),)
    if data_b is not None or data is None:
        raise DataError(f"there are no pairs: give --data, or --data-a and --data-b; {_PAIRS}")
    folder = Path(data).expanduser()
    if folder.is_dir():
        halves = split_in(folder, "train")
        if halves is not None:
            return (SideSource(halves, split_in(folder, "test") or split_in(folder, "val")),)
        return (_together(side_of(data, "A"), side_of(data, "B")),)
    return (SideSource(HubSplit(data, "train"), HubSplit(data, "test", optional=True)),)


def _together(a: SideSource, b: SideSource) -> SideSource:
    held_out = Pair(a.held_out, b.held_out) if a.held_out and b.held_out else None
    return SideSource(Pair(a.train, b.train), held_out)


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
