"""Which images a side is made of: `--data`, `--data-a` and `--data-b`, or the domain's own Hub datasets, parsed and checked.

Nothing is read here beyond directory listings; `sources.py` opens what these specs name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from cyclegan_hub.errors import UserError

# What PIL reads safely (images.decode judges by content; the suffix only tells images from notes and thumbnails databases).
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".mpo", ".avif")
_TFRECORD = re.compile(r"\.tfrec(ords?)?(-\d+-of-\d+)?$", re.ASCII | re.IGNORECASE)
_HUB_KEYS = ("config", "split", "test_split", "column", "filter", "revision")


class DataError(UserError):
    """The images cannot be used as they are; the message names what and the remedy."""


@dataclass(frozen=True)
class Files:
    """Images on disk: one folder, zip or npz, or one or more Parquet or TFRecord shards (all absolute paths)."""

    kind: Literal["folder", "Parquet", "TFRecord", "zip", "npz"]
    paths: tuple[Path, ...]
    column: str | None = None  # of a Parquet file; None: the one column that holds images

    def describe(self) -> str:
        """The kind and the last two components of the path: the same on every machine that has the same data."""
        first = self.paths[0]
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.kind} {first.parent.name}/{first.name}{more}".replace(" /", " ")


@dataclass(frozen=True)
class HubSplit:
    """One split of a dataset on the Hub, or of a local folder that `datasets.load_dataset` reads."""

    dataset: str
    split: str
    config: str | None = None
    column: str | None = None  # None: the one column that holds images
    filter: tuple[tuple[str, str], ...] = ()  # rows whose column has this value
    revision: str | None = None
    optional: bool = False  # whether the dataset may lack the split

    @property
    def is_local(self) -> bool:
        """Whether `dataset` is a folder on this machine."""
        return Path(self.dataset).expanduser().is_dir()

    def describe(self) -> str:
        """The spec in its `hf:` form; of a local folder only the last component is shown."""
        pairs = [("config", self.config), ("split", self.split), ("column", self.column)]
        pairs += [("filter", f"{name}={value}") for name, value in self.filter] + [("revision", self.revision)]
        name = Path(self.dataset).name if self.is_local else self.dataset
        return f"hf:{name}?" + "&".join(f"{key}={value}" for key, value in pairs if value is not None)


@dataclass(frozen=True)
class SideSource:
    """Where one side's training images come from, and its held-out ones (None: a tenth of the training source is held out)."""

    train: Files | HubSplit
    held_out: Files | HubSplit | None = None

    def describe(self) -> str:
        """One line for logs, cards and the run's record; holds no directory above the data's own."""
        rest = self.held_out.describe() if self.held_out else "a tenth by content hash"
        return f"{self.train.describe()}, held out: {rest}"


def _folder(folder: Path) -> Files:
    """A folder of images, or of Parquet or TFRecord shards if that is all it holds."""
    if any(is_image_name(path.name) and path.is_file() for path in folder.rglob("*")):
        return Files("folder", (folder.resolve(),))
    shards, records = sorted(folder.glob("*.parquet")), _tfrecords(folder, "*")
    if shards and records:
        raise DataError(f"{folder} holds both Parquet and TFRecord shards: keep one kind there, or give one file")
    if shards:
        return Files("Parquet", tuple(path.resolve() for path in shards))
    if records:
        return Files("TFRecord", records)
    raise DataError(
        f"{folder} holds no image and no .parquet or .tfrec file; looked for {', '.join(IMAGE_SUFFIXES)} at any depth"
    )


def _tfrecords(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The TFRecord files that a glob finds, by name; `x.tfrecord-00000-of-00002`, as TensorFlow Datasets writes them, too."""
    return tuple(path.resolve() for path in sorted(folder.glob(pattern)) if _TFRECORD.search(path.name) and path.is_file())


def one_side(spec: str) -> SideSource:
    """One side given on its own: a path, or `hf:ID?...`."""
    if spec.startswith("hf:"):
        return _hub_side(spec)
    path = Path(spec).expanduser()
    if not path.exists():
        hint = f" (a Hub dataset is written hf:{spec})" if _may_be_hub_id(spec) else ""
        raise DataError(f"{spec}: there is no such file or folder{hint}")
    if path.is_dir():
        return SideSource(_folder(path))
    if _TFRECORD.search(path.name):
        return SideSource(Files("TFRecord", (path.resolve(),)))
    match path.suffix.lower():
        case ".parquet":
            return SideSource(Files("Parquet", (path.resolve(),)))
        case ".zip":
            return SideSource(Files("zip", (path.resolve(),)))
        case ".npz":
            return SideSource(Files("npz", (path.resolve(),)))
        case suffix:
            raise DataError(
                f"{spec}: a side is a folder, .parquet, .tfrec, .zip, .npz or hf:ID, not a {suffix or 'suffixless'} file"
            )


def _hub_side(spec: str) -> SideSource:
    """Parse `hf:ID?key=value&...`. A `+` stands for itself (CelebA's configs are named with it), `%26` for `&`."""
    dataset, _, query = spec.removeprefix("hf:").partition("?")
    if not dataset.strip("/"):
        raise DataError(f"{spec!r} names no dataset: write hf:user/name?split=train")
    if not _may_be_hub_id(dataset) and not Path(dataset).expanduser().is_dir():
        raise DataError(f"{spec!r}: there is no such folder, and {dataset!r} cannot be a dataset on the Hub (user/name)")
    values: dict[str, str] = {}
    rows: list[tuple[str, str]] = []
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        value = unquote(value)
        if key not in _HUB_KEYS:
            raise DataError(f"unknown key {key!r} in {spec!r}: the keys are {', '.join(_HUB_KEYS)}")
        if not value or (key == "filter" and not all(value.partition("="))):
            raise DataError(f"{pair!r} in {spec!r} has no value: write {'filter=NAME=VALUE' if key == 'filter' else f'{key}=…'}")
        if key == "filter":
            name, _, wanted = value.partition("=")
            rows.append((name, wanted))
        elif key in values:
            raise DataError(f"{key!r} is given twice in {spec!r}")
        else:
            values[key] = value

    def split(name: str) -> HubSplit:
        return HubSplit(dataset, name, values.get("config"), values.get("column"), tuple(sorted(rows)), values.get("revision"))

    test = values.get("test_split")
    if test == values.get("split", "train"):
        raise DataError(f"{spec!r}: split and test_split are the same, so nothing would be held out")
    return SideSource(split(values.get("split", "train")), split(test) if test else None)


def _may_be_hub_id(name: str) -> bool:
    """Whether a name could be a dataset's on the Hub (`user/name` or `name`) rather than a path."""
    return re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name, re.ASCII) is not None


def is_image_name(name: str) -> bool:
    """Whether a file name is an image's and not hidden, such as `.DS_Store` or macOS's `._photo.jpg`."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


@dataclass(frozen=True)
class Pair:
    """Input and output as two sources whose images belong together one by one."""

    a: Files | HubSplit
    b: Files | HubSplit

    def describe(self) -> str:
        return f"{self.a.describe()} with {self.b.describe()}"
