"""Which sources a command line means: domains A and B, one set of images, or pairs.

Nothing is opened but the lists of files in archives.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cyclegan_hub.data.files import ArchiveItems, FolderItems, ImageSource, has_image, is_hidden
from cyclegan_hub.data.pairs import PAIRS
from cyclegan_hub.data.sources import SOURCES, file_extensions, source_of_file
from cyclegan_hub.data.specs import DataError, DataSource, Files, Pair
from cyclegan_hub.data.tables import SavedItems
from cyclegan_hub.domains import Domain, HubSplit
from cyclegan_hub.hub.errors import is_url, wrong_name_message
from cyclegan_hub.imaging.decoding import IMAGE_ENDINGS

# Remedies for files of kinds that are not read, by extension.
_REMEDIES = dict.fromkeys((".rar", ".7z", ".gz", ".xz", ".bz2", ".zst"), ": unpack it first, and give the folder")
_REMEDIES |= dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), ": save its frames first (ffmpeg -i FILE frames/%06d.png)")
_REMEDIES |= {".npy": ": save it as a .npz first (numpy.savez), or its images as files"}
_REMEDIES |= dict.fromkeys(
    (".h5", ".hdf5", ".mat", ".arrow", ".csv", ".pt", ".pkl"), ": save its images as files, .npz or .parquet"
)
_REMEDIES |= dict.fromkeys(IMAGE_ENDINGS, ": give the folder that it lies in")
_HUB_KEYS = ("config", "split", "test_split", "column", "filter", "revision", "data_dir")


def resolve(domain: Domain | None, data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource, DataSource]:
    """The sources of domains A and B: `data_a`/`data_b` first, else that part of `data`, else those of the domain.

    `data` is a folder, zip or tar with `trainA`, `trainB` and maybe `testA`, `testB` in it (folders of images, or files of any
    kind in `SOURCES`), or the id of a Hub dataset with these splits. `data_a` and `data_b` are arguments of `parse_source`.
    Raises DataError for a missing path, an unknown key, a missing source, or one source given for both domains.
    """
    a, b = _first_of(domain, "A", data, data_a), _first_of(domain, "B", data, data_b)
    if a.train == b.train:
        raise DataError(f"both domains are {a.train.describe()}: give two different sets of images")
    return a, b


_MISSING = "domain {0} has no images: give --data FOLDER with train{0}, or --data-{1}"


def _first_of(domain: Domain | None, letter: str, data: str | None, own: str | None, missing: str = _MISSING) -> DataSource:
    if own is not None:
        return parse_source(own)
    if data is not None:
        return domain_of(data, letter)
    if domain is not None:
        return DataSource(*domain.image_set(letter.lower()).splits)
    raise DataError(missing.format(letter, letter.lower()))


def resolve_one(
    domain: Domain | None, letter: str, data: str | None, data_a: str | None, data_b: str | None
) -> tuple[DataSource]:
    """The source of a method with one set of images: `data_a`, else domain `letter` ("a" or "b") of `data`, else the domain's.

    Raises DataError as `resolve` does, and for a second set.
    """
    if data_b is not None:
        raise DataError(f"--data-b {data_b}: this method has one set of images: give it with --data-a")
    missing = "there are no images: give --data-a (a folder, .parquet, .tfrec, .zip, .tar, .npz or hf:ID)"
    return (_first_of(domain, letter.upper(), data, data_a, missing),)


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
    held_out = Pair(a.held_out, b.held_out) if a.held_out and b.held_out else None
    return DataSource(Pair(a.train, b.train), held_out)


# ------------------------------------------------------------------------------------------ folders with trainA and trainB


def holds_domains(data: str) -> bool:
    """Whether a path is a folder or an archive with `trainA` or `trainB` in it, rather than one set of images."""
    place = Path(data).expanduser()
    return place.exists() and any(split_in(place, f"train{letter}") is not None for letter in "AB")


def domain_of(data: str, letter: str) -> DataSource:
    """Domain `letter` ("A" or "B") of a folder, archive or Hub dataset that holds both."""
    if data.startswith("hf:"):
        data = data.removeprefix("hf:")
        if "?" in data:
            raise DataError(f"--data hf:{data}: options belong to one domain: give --data-a 'hf:…' and --data-b 'hf:…'")
    place, name = Path(data).expanduser(), f"train{letter}"
    if not place.exists():
        if is_url(data):
            raise DataError(wrong_name_message(data))
        if not may_be_hub_id(data):
            raise DataError(f"--data {data}: there is no such folder")
        return DataSource(HubSplit(data, name), HubSplit(data, f"test{letter}", optional=True))
    train = split_in(place, name)
    if train is not None:
        return DataSource(train, split_in(place, f"test{letter}"))
    if not place.is_dir():
        if _archive(place) is not None:
            raise DataError(f"--data {data}: there is no folder {name}/ in it: give --data-a and --data-b")
        raise DataError(f"--data {data} is a file: give the folder of both domains, or --data-a and --data-b")
    inner = [path.name for path in sorted(place.iterdir()) if path.is_dir() and split_in(path, name) is not None]
    if inner:
        raise DataError(f"--data {data}: no domain {letter} in it, but in {inner[0]}/: give --data {Path(data) / inner[0]}")
    names = sorted(path.name for path in place.iterdir())
    similar = {one: next((own for own in names if re.fullmatch(f"(train[_-]?)?{one}", own, re.I)), None) for one in "AB"}
    if own := similar[letter]:
        listed = " ".join(f"--data-{one.lower()} {Path(data) / (folder or '…')}" for one, folder in similar.items())
        raise DataError(f"--data {data}: no {name}/ in it, but {own}/: rename it to {name}, or give {listed}")
    found = ", ".join(names[:10]) or "nothing"
    shards = file_extensions(sharded=True)
    tried = [f"{name}/", *(f"{name}{extension}" for extension in (*file_extensions(sharded=False), *shards))]
    tried += [f"{folder}{name}-*{extension}" for folder in ("", "data/") for extension in shards]
    raise DataError(f"--data {data}: no domain {letter}; looked for {', '.join(tried[:-1])} and {tried[-1]}, found {found}")


def split_in(place: Path, name: str) -> Files | None:
    """The images of one split in a folder laid out like a Hub dataset, or in an archive; None if it is not there.

    Raises DataError where an archive has several folders of that name.
    """
    if not place.is_dir():
        return _split_in_archive(place, name)
    if (place / name).is_dir():
        return files_of_folder(place / name)
    for source in SOURCES:
        for extension in () if source.sharded else source.extensions:
            if (place / f"{name}{extension}").is_file():
                return files_of(place / f"{name}{extension}")
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
            f"{place.name} holds {len(folders)} folders {name}, {' and '.join(folders[:3])}: give one, such as --data-a "
            f"'{place.name}?inside={folders[0]}', and --data-b likewise"
        )
    return replace(files_of(place), inside=folders[0])


def _archive(place: Path) -> type[ArchiveItems] | None:
    """The class that reads an archive, None for any other file."""
    source = source_of_file(place)
    return source if source is not None and issubclass(source, ArchiveItems) else None


# ------------------------------------------------------------------------------------------ one source


def parse_source(spec: str) -> DataSource:
    """One source: a path, for some kinds with options (FILE?column=NAME&filter=NAME=VALUE), or `hf:ID?...`.

    A path is a folder of images or of shards, or a file of a kind in `SOURCES`. The keys of `hf:` are config, split,
    test_split, column, filter, revision and data_dir; each is optional. Raises DataError.
    """
    if spec.startswith("hf:"):
        return _hub_source(spec)
    name, _, query = spec.partition("?")
    if Path(spec).expanduser().exists():  # a "?" may be part of a name
        name, query = spec, ""
    path = Path(name).expanduser()
    if not path.exists():
        if is_url(name):
            raise DataError(wrong_name_message(name, prefix="hf:"))
        hint = f" (a Hub dataset is written hf:{name})" if may_be_hub_id(name) else ""
        raise DataError(f"{name}: there is no such file or folder{hint}")
    files = files_of_folder(path) if path.is_dir() else files_of(path)
    if query:
        keys = next(source.options for source in SOURCES if source.kind == files.kind)
        if not keys:
            raise DataError(f"{spec!r}: a {files.kind} takes no options: leave out ?{query}")
        values, rows = _parsed(spec, query, keys)
        files = replace(files, column=values.get("column"), filter=rows, inside=values.get("inside"))
    return DataSource(files)


def files_of(path: Path) -> Files:
    """A file on disk as a source. Raises DataError for one of another kind."""
    source = source_of_file(path)
    if source is None:
        extension = path.suffix.lower()
        kinds = f"give a folder, {', '.join(file_extensions())} or hf:ID"
        raise DataError(f"{path}: {kinds}, not a {extension or 'suffixless'} file{_REMEDIES.get(extension, '')}")
    return Files(source.kind, (path.resolve(),))


def files_of_folder(folder: Path) -> Files:
    """A folder of images, of a saved dataset, or of shards of one kind if that is all it holds. Raises DataError."""
    if SavedItems.is_saved(folder):
        return Files(SavedItems.kind, (folder.resolve(),))
    try:
        if has_image(folder):
            return Files(FolderItems.kind, (folder.resolve(),))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from error
    found = {source.kind: shards for source in SOURCES if source.sharded and (shards := shards_of(source, folder, "*"))}
    if len(found) > 1:
        raise DataError(f"{folder} holds both {' and '.join(found)} shards: keep one kind there, or give one file")
    for kind, shards in found.items():
        return Files(kind, shards)
    extensions = file_extensions(sharded=True)
    raise DataError(
        f"{folder} holds no image and no {', '.join(extensions[:-1])} or {extensions[-1]} file; "
        f"looked for {', '.join(IMAGE_ENDINGS)} at any depth"
    )


def shards_of(source: type[ImageSource], folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files of one kind that a glob finds, by name, without hidden ones such as macOS's `._data.parquet`."""
    found = (path for path in sorted(folder.glob(pattern)) if source.matches(path) and not is_hidden(path.name))
    return tuple(path.resolve() for path in found if path.is_file())


def may_be_hub_id(name: str) -> bool:
    """Whether a name could be a dataset's on the Hub (`user/name` or `name`) rather than a path."""
    return re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name, re.ASCII) is not None


def _hub_source(spec: str) -> DataSource:
    """Parse `hf:ID?key=value&...`. A `+` stands for itself (CelebA's configs are named with it), `%26` for `&`."""
    dataset, _, query = spec.removeprefix("hf:").partition("?")
    if not dataset.strip("/"):
        raise DataError(f"{spec!r} names no dataset: write hf:user/name?split=train")
    if is_url(dataset):
        raise DataError(wrong_name_message(dataset, prefix="hf:"))
    if not may_be_hub_id(dataset) and not Path(dataset).expanduser().is_dir():
        raise DataError(f"{spec!r}: there is no such folder, and {dataset!r} cannot be a dataset on the Hub (user/name)")
    values, rows = _parsed(spec, query, _HUB_KEYS)
    split, test = values.get("split", "train"), values.get("test_split")
    if test == split:
        raise DataError(f"{spec!r}: split and test_split are the same, so nothing would be held out")
    same: dict[str, Any] = {key: values.get(key) for key in ("config", "column", "revision", "data_dir")}
    return DataSource(
        HubSplit(dataset, split, filter=rows, **same), HubSplit(dataset, test, filter=rows, **same) if test else None
    )


def _parsed(spec: str, query: str, keys: tuple[str, ...]) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The values of a query by key, and its filters, sorted. Raises DataError for a key that is unknown, empty or given twice."""
    values: dict[str, str] = {}
    rows: list[tuple[str, str]] = []
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        value = unquote(value)
        if key not in keys:
            raise DataError(f"unknown key {key!r} in {spec!r}: the keys are {', '.join(keys)}")
        if not value or (key == "filter" and not all(value.partition("="))):
            raise DataError(f"{pair!r} in {spec!r} has no value: write {'filter=NAME=VALUE' if key == 'filter' else f'{key}=…'}")
        if key == "filter":
            name, _, wanted = value.partition("=")
            rows.append((name, wanted))
        elif key in values:
            raise DataError(f"{key!r} is given twice in {spec!r}")
        else:
            values[key] = value
    return values, tuple(sorted(rows))
