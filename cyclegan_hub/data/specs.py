"""Where images come from, as plain values: `resolve` makes them, `sources` opens them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cyclegan_hub.domains import HubSplit, describe_source
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import readable


class DataError(UserError):
    """The images cannot be used as they are; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Files:
    """Images on disk: `kind` names the class of `sources.SOURCES` that reads them, `paths` are absolute."""

    kind: str
    paths: tuple[Path, ...]  # several only where a kind comes in shards
    column: str | None = None  # of a table; None: the one column that holds images
    filter: tuple[tuple[str, str], ...] = ()  # of a table: rows whose column has this value
    inside: str | None = None  # of an archive: the folder in it that holds the images, such as "photos/trainA"

    def describe(self) -> str:
        """The kind and the last two components of the path: the same on every machine that has the same data."""
        first = self.paths[0]
        folder = "" if first.parent == Path.home() else first.parent.name  # that of the home folder is the user's
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        pairs = [("column", self.column), ("inside", self.inside), *(("filter", "=".join(pair)) for pair in self.filter)]
        options = "&".join(f"{key}={value}" for key, value in pairs if value is not None)
        return readable(f"{self.kind} {folder}/{first.name}{more}{f'?{options}' if options else ''}".replace(" /", " "))

    def identity(self) -> str:
        """Names, sizes and options of the files: the same after they are moved to another folder."""
        sizes = [str(path.stat().st_size) if path.is_file() else "" for path in self.paths]
        names = [path.name if path.is_file() else "" for path in self.paths]
        return repr((self.kind, names, sizes, self.column, self.filter, self.inside))


@dataclass(frozen=True)
class Pair:
    """Input and output as two sources whose images belong together one by one."""

    a: Source
    b: Source

    def describe(self) -> str:
        """Both descriptions in one line."""
        return f"{self.a.describe()} with {self.b.describe()}"


Source: TypeAlias = Files | HubSplit | Pair


@dataclass(frozen=True)
class DataSource:
    """Where a domain's training images come from, and its held-out ones (None: a tenth of the training source is held out)."""

    train: Source
    held_out: Source | None = None

    def describe(self) -> str:
        """One line for logs, cards and the run's record; holds no directory above the data's own."""
        return describe_source(self.train.describe(), self.held_out.describe() if self.held_out else None)
