"""Which sources a command line means: two sides, one pile, or pairs; nothing is opened but the lists of files in archives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cyclegan_hub.data.files import ArchiveItems
from cyclegan_hub.data.pairs import PAIRS
from cyclegan_hub.data.sources import (
    SOURCES,
    file_extensions,
    files_of,
    files_of_folder,
    may_be_hub_id,
    parse_source,
    shards_of,
    source_of_file,
)
from cyclegan_hub.data.specs import DataError, DataSource, Files, Pair
from cyclegan_hub.domains import Domain, HubSplit
from cyclegan_hub.hub.errors import is_address, not_a_name


def resolve_one(domain: Domain | None, side: str, data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource]:
    """The source of a method that has one pile: `data_a`, else side `side` ("a" or "b") of `data`, else that of the domain.

    Raises DataError as `resolve` does, and for a second pile.
    """
    if data_b is not None:
        raise DataError(f"--data-b {data_b}: this method has one pile of images: give it with --data-a")
    if data_a is not None:
        return (parse_source(data_a),)
    if data is not None:
        return (domain_of(data, side.upper()),)
    if domain is None:
        raise DataError("there are no images: give --data-a (a folder, .parquet, .tfrec, .zip, .tar, .npz or hf:ID)")
    return (DataSource(*domain.image_set(side).splits),)


def resolve_pairs(data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource]:
    """The source of pairs that are given: see `PAIRS`. Raises DataError where none is, or where one column lacks the other."""
    if data_a is not None and data_b is not None:
        return (_together(parse_source(data_a), parse_source(data_b)),)
    if data_a is not None:
        return (parse_source(data_a),)
    if data_b is not None or data is None:
        raise DataError(f"there are no pairs: give --data, or --data-a and --data-b; {PAIRS}")
    place = Path(data).expanduser()
    if place.exists():
        halves = split_in(place, "train")
        if halves is not None:
            return (DataSource(halves, split_in(place, "test") or split_in(place, "val")),)
        return (_together(domain_of(data, "A"), domain_of(data, "B")),)
    return (DataSource(HubSplit(data, "train"), HubSplit(data, "test", optional=True)),)


def _together(a: DataSource, b: DataSource) -> DataSource:
    if isinstance(a.train, Pair) or isinstance(b.train, Pair):
        raise AssertionError("a side is no pair")
    held_out = None
    if a.held_out and b.held_out and not isinstance(a.held_out, Pair) and not isinstance(b.held_out, Pair):
        held_out = Pair(a.held_out, b.held_out)
    return DataSource(Pair(a.train, b.train), held_out)


def resolve(domain: Domain | None, data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource, DataSource]:
    """The sources of both sides: `data_a`/`data_b` first, else that side of `data`, else that of the domain.

    `data` is a folder, zip or tar with `trainA`, `trainB` and maybe `testA`, `testB` in it (folders of images, or files of any
    kind that `open_source` reads), or the id of a Hub dataset with these splits. `data_a` and `data_b` are each what
    `parse_source` takes. Raises DataError for a missing path, an unknown key, a side without a source, or one source given for
    both sides.
    """
    sides: list[DataSource] = []
    for letter, own in (("A", data_a), ("B", data_b)):
        if own is not None:
            sides.append(parse_source(own))
        elif data is not None:
            sides.append(domain_of(data, letter))
        elif domain is not None:
            sides.append(DataSource(*domain.image_set(letter.lower()).splits))
        else:
            raise DataError(f"side {letter} has no images: give --data FOLDER with train{letter}, or --data-{letter.lower()}")
    a, b = sides
    if a.train == b.train:
        raise DataError(f"both sides are {a.train.describe()}: give two different piles of images")
    return a, b


def holds_domains(data: str) -> bool:
    """Whether a path is a folder or an archive with `trainA` or `trainB` in it, rather than one pile."""
    place = Path(data).expanduser()
    return place.exists() and any(split_in(place, f"train{letter}") is not None for letter in "AB")


def domain_of(data: str, letter: str) -> DataSource:
    """Side `letter` of a folder, archive or Hub dataset that holds both."""
    if data.startswith("hf:"):
        data = data.removeprefix("hf:")
        if "?" in data:
            raise DataError(f"--data hf:{data}: options belong to one side: give --data-a 'hf:…' and --data-b 'hf:…'")
    place, name = Path(data).expanduser(), f"train{letter}"
    if not place.exists():
        if is_address(data):
            raise DataError(not_a_name(data))
        if not may_be_hub_id(data):
            raise DataError(f"--data {data}: there is no such folder")
        return DataSource(HubSplit(data, name), HubSplit(data, f"test{letter}", optional=True))
    train = split_in(place, name)
    if train is not None:
        return DataSource(train, split_in(place, f"test{letter}"))
    if not place.is_dir():
        if _archive(place) is not None:
            raise DataError(f"--data {data}: there is no folder {name}/ in it: give --data-a and --data-b")
        raise DataError(f"--data {data} is a file: give the folder of both sides, or --data-a and --data-b")
    inner = [path.name for path in sorted(place.iterdir()) if path.is_dir() and split_in(path, name) is not None]
    if inner:
        raise DataError(f"--data {data}: no side {letter} in it, but in {inner[0]}/: give --data {Path(data) / inner[0]}")
    names = sorted(path.name for path in place.iterdir())
    nearly = {side: next((own for own in names if own.lower() in _NEARLY[side]), None) for side in "AB"}
    if own := nearly[letter]:
        listed = " ".join(f"--data-{side.lower()} {Path(data) / (folder or '…')}" for side, folder in nearly.items())
        raise DataError(f"--data {data}: no {name}/ in it, but {own}/: rename it to {name}, or give {listed}")
    found = ", ".join(names[:10]) or "nothing"
    whole, shards = file_extensions(sharded=False), file_extensions(sharded=True)
    looked = [f"{name}/", *(f"{name}{ending}" for ending in (*whole, *shards)), *(f"{name}-*{ending}" for ending in shards)]
    looked += [f"data/{name}-*{ending}" for ending in shards]
    raise DataError(f"--data {data}: no side {letter}; looked for {', '.join(looked[:-1])} and {looked[-1]}, found {found}")


# What people call the folders of the sides, in lower case.
_NEARLY = {
    letter: (f"train{letter}".lower(), f"train_{letter}".lower(), f"train-{letter}".lower(), letter.lower()) for letter in "AB"
}


def split_in(place: Path, name: str) -> Files | None:
    """The images of one split in a folder laid out like a Hub dataset, or in an archive; None if it is not there.

    Raises DataError where an archive has several folders of that name.
    """
    if not place.is_dir():
        return _split_in_archive(place, name)
    if (place / name).is_dir():
        return files_of_folder(place / name)
    for source in SOURCES:
        for ending in () if source.sharded else source.endings:
            if (place / f"{name}{ending}").is_file():
                return files_of(place / f"{name}{ending}")
    for source in SOURCES:
        for pattern in (f"{name}.*", f"{name}-*", f"data/{name}.*", f"data/{name}-*") if source.sharded else ():
            if shards := shards_of(source, place, pattern):
                return Files(source.kind, shards)
    return None


def _split_in_archive(place: Path, name: str) -> Files | None:
    archive = _archive(place)
    folders = archive.folders_called(place, name) if archive else []
    if not folders:
        return None
    if len(folders) > 1:
        raise DataError(
            f"{place.name} holds {len(folders)} folders {name}, {' and '.join(folders[:3])}: say which, such as --data-a "
            f"'{place.name}?inside={folders[0]}', and --data-b likewise"
        )
    return replace(files_of(place), inside=folders[0])


def _archive(place: Path) -> type[ArchiveItems] | None:
    """The class that reads an archive, None for any other file."""
    source = source_of_file(place)
    return source if source is not None and issubclass(source, ArchiveItems) else None
