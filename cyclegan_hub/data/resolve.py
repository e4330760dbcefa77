"""Which sources a command line means: two sides, one pile, or pairs; nothing is opened yet."""

from __future__ import annotations

from pathlib import Path

from cyclegan_hub.data.specs import DataError, Files, HubSplit, Pair, SideSource, _folder, _may_be_hub_id, _tfrecords, one_side
from cyclegan_hub.domains import Domain, Pile

_PAIRS = (
    "pairs are one folder or dataset `train` of pictures whose left half is the input and right half the output, two columns "
    "of one dataset (--data-a 'hf:ID?column=input' --data-b 'hf:ID?column=output'), or trainA and trainB with equal file names"
)


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


def resolve(domain: Domain | None, data: str | None, data_a: str | None, data_b: str | None) -> tuple[SideSource, SideSource]:
    """The sources of both sides: `data_a`/`data_b` first, else that side of `data`, else that of the domain.

    `data` is a folder with `trainA`, `trainB` and maybe `testA`, `testB` (folders of images, zip, npz, Parquet or TFRecord), or
    the id of a Hub dataset with these splits. `data_a` and `data_b` are each a folder of images or of shards, a Parquet or
    TFRecord file, a `.zip` of images, a `.npz` array, or
    `hf:ID?config=..&split=..&test_split=..&column=..&filter=NAME=VALUE&revision=..` (every key may be left out).
    Raises DataError for a missing path, an unknown key, a side without a source, or one source given for both sides.
    """
    sides: list[SideSource] = []
    for letter, own in (("A", data_a), ("B", data_b)):
        if own is not None:
            sides.append(one_side(own))
        elif data is not None:
            sides.append(side_of(data, letter))
        elif domain is not None:
            sides.append(hub_dataset(domain.a if letter == "A" else domain.b))
        else:
            raise DataError(f"side {letter} has no images: give --data FOLDER with train{letter}, or --data-{letter.lower()}")
    a, b = sides
    if a.train == b.train:
        raise DataError(f"both sides are {a.train.describe()}: give two different piles of images")
    return a, b


def hub_dataset(pile: Pile) -> SideSource:
    def split(name: str) -> HubSplit:
        rows = tuple((column, str(value)) for column, value in pile.filter.items())
        return HubSplit(pile.dataset, name, pile.config, pile.column, rows, pile.revision)

    return SideSource(split(pile.split), split(pile.test_split) if pile.test_split else None)


def side_of(data: str, letter: str) -> SideSource:
    """Side `letter` of a folder or Hub dataset that holds both."""
    folder = Path(data).expanduser()
    if not folder.exists():
        if not _may_be_hub_id(data):
            raise DataError(f"--data {data}: there is no such folder")
        return SideSource(HubSplit(data, f"train{letter}"), HubSplit(data, f"test{letter}", optional=True))
    if not folder.is_dir():
        raise DataError(f"--data {data} is a file: give the folder of both sides, or --data-a and --data-b")
    train = split_in(folder, f"train{letter}")
    if train is None:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        name = f"train{letter}"
        raise DataError(
            f"--data {data}: no side {letter}; looked for {name}/, {name}.zip, {name}.npz, {name}.parquet, {name}.tfrec, "
            f"{name}-*.parquet, {name}-*.tfrec, data/{name}-*.parquet and data/{name}-*.tfrec, found {found}"
        )
    return SideSource(train, split_in(folder, f"test{letter}"))


def split_in(folder: Path, name: str) -> Files | None:
    """The images of one split in a folder laid out like a Hub dataset; None if it is not there."""
    if (folder / name).is_dir():
        return _folder(folder / name)
    for suffix in (".zip", ".npz"):
        if (folder / f"{name}{suffix}").is_file():
            return one_side(str(folder / f"{name}{suffix}")).train
    for pattern in (f"{name}.parquet", f"{name}-*.parquet", f"data/{name}.parquet", f"data/{name}-*.parquet"):
        if shards := sorted(folder.glob(pattern)):
            return Files("Parquet", tuple(path.resolve() for path in shards))
    for pattern in (f"{name}.tfrec*", f"{name}-*.tfrec*", f"data/{name}.tfrec*", f"data/{name}-*.tfrec*"):
        if shards := _tfrecords(folder, pattern):
            return Files("TFRecord", shards)
    return None
