"""Image files of a folder, at any depth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from cyclegan_hub.data.pile import pile_in
from cyclegan_hub.data.raw_images import Raw, RawImages
from cyclegan_hub.data.specs import DataError, Files


@dataclass
class FolderItems(RawImages):
    """The images of a folder as `pile` defines them, by path."""

    kind: ClassVar[str] = "folder"
    folder: Path
    names: list[str]  # relative, with "/"
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the folder. Raises DataError if it may not be listed."""
        folder = source.paths[0]
        try:
            pile = pile_in(folder)
        except OSError as error:
            raise DataError(f"{folder.name} cannot be listed: {error.strerror}") from error
        note = pile.note()
        return cls(folder, pile.names, [note] if note else [])

    def without(self, places: Iterable[Path]) -> FolderItems:
        """The images that do not lie below one of these (absolute) places."""
        kept = [name for name in self.names if not any((self.folder / name).is_relative_to(place) for place in places)]
        return FolderItems(self.folder, kept, self.notes)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def file_names(self) -> list[str]:
        return self.names

    def read(self, index: int) -> Raw:
        path = self.folder / self.names[index]
        if path.is_dir():
            next(path.iterdir(), None)  # raises the error of the folder that could not be listed
        return path
