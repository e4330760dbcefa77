"""Which files of a tree are the images of a pile: one rule for folders, archives, streams and every command.

Hidden files and what operating systems leave behind are no part of a pile. Of the rest a file with an ending that the decoder
knows is an image, one without an ending is an image if its content says so, and any other is passed over and counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cyclegan_hub.decoding import IMAGE_ENDINGS, looks_like_image

# Folders and files of operating systems and storage devices, in lower case; what begins with a dot is hidden anyway.
_SYSTEM = {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "lost+found"}
_SYSTEM |= {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
# `photo.jpg` has an ending; `IMG_0001`, `taken 12.05.2021` and `photo.jpg_large` have none that says anything.
_ENDING = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,12}$", re.IGNORECASE | re.ASCII)


@dataclass
class Pile:
    """The images of a tree and what else was there."""

    names: list[str] = field(default_factory=list)  # relative, with "/", in the order in which they are read
    other: Counter[str] = field(default_factory=Counter)  # files that were passed over, by their ending; "" for none

    def note(self) -> str | None:
        """One line on the files that were passed over, None where there were none."""
        count = sum(self.other.values())
        if not count:
            return None
        endings = sorted(self.other.items(), key=lambda pair: (-pair[1], pair[0]))
        listed = ", ".join(f"{ending or 'none'} {number:,}" for ending, number in endings[:10])
        files = "1 file with another ending was" if count == 1 else f"{count:,} files with other endings were"
        return f"{files} passed over: {listed}" + (" and more" if len(endings) > 10 else "")


def portable_name(name: str) -> str:
    """A name inside an archive with "/" between its parts, whichever system wrote it, and without "./" in front."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part != ".")


def is_hidden(name: str) -> bool:
    """Whether any part of a relative name is hidden, or belongs to an operating system rather than to a pile."""
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _SYSTEM for part in name.split("/"))


def ending_of(name: str) -> str:
    """The ending of a file's name in lower case, such as ".jpg"; "" where it has none that says anything."""
    found = _ENDING.search(PurePosixPath(name).name)
    return found[0].lower() if found and found.start() else ""


def is_image_name(name: str) -> bool:
    """Whether a file's name alone says that it is an image, and not hidden, such as macOS's `._photo.jpg`."""
    return not is_hidden(name) and ending_of(name) in IMAGE_ENDINGS


def order(name: str) -> list[str]:
    """The sort key of relative names: by folder, then by file, the same for folders and archives."""
    return name.split("/")


def pile_of(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> Pile:
    """The images among relative names (see `portable_name`); `open_file` opens one, to look at the head of its content.

    A file that cannot be opened to see what it is counts as an image, so that reading it names it and the reason.
    """
    pile = Pile()
    for name in names:
        if is_hidden(name):
            continue
        ending = ending_of(name)
        if ending in IMAGE_ENDINGS or (not ending and _holds_image(name, open_file)):
            pile.names.append(name)
        else:
            pile.other[ending] += 1
    pile.names.sort(key=order)
    return pile


def _holds_image(name: str, open_file: Callable[[str], BinaryIO]) -> bool:
    try:
        with open_file(name) as file:
            return looks_like_image(file)
    except Exception:  # whatever a file system or an archive raises: reading the image will say it
        return True


def pile_in(root: Path) -> Pile:
    """The images below a folder, at any depth; a folder that may not be listed is among the names, and fails when read."""
    unlisted: list[str] = []
    pile = pile_of(files_below(root, unlisted), lambda name: _open_regular(root / name))
    pile.names = sorted([*pile.names, *unlisted], key=order)
    return pile


def has_image(root: Path) -> bool:
    """Whether there is an image below a folder: `pile_in` without looking further than the first."""
    return any(pile_of([name], lambda name: _open_regular(root / name)).names for name in files_below(root, []))


def _open_regular(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError("not a file")  # a pipe or device, whose reading might never end
    return path.open("rb")


def files_below(root: Path, unlisted: list[str]) -> Iterator[str]:
    """The relative names of all files below a folder, hidden parts left out, real folders before linked ones.

    Links to folders are followed, each folder once, and never upwards: so no circle of links is walked twice. The names of
    folders that may not be listed are added to `unlisted`. Raises OSError where `root` itself may not be.
    """
    seen = {_identity(folder) for folder in (root.resolve(), *root.resolve().parents)}
    folders, links = [""], list[str]()
    while folders or links:
        if folders:
            prefix = folders.pop()
        else:
            prefix = links.pop(0)
            if (identity := _identity(root / prefix)) in seen:
                continue
            seen.add(identity)
        try:
            with os.scandir(root / prefix) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if not prefix:
                raise
            unlisted.append(prefix.rstrip("/"))
            continue
        for entry in found:
            name = f"{prefix}{entry.name}"
            if is_hidden(entry.name):
                continue
            if not entry.is_dir():
                yield name
            elif entry.is_symlink() or getattr(entry, "is_junction", bool)():  # a link of Windows; Python 3.12 knows them
                links.append(f"{name}/")
            elif (identity := _identity(root / name)) not in seen:
                seen.add(identity)
                folders.append(f"{name}/")


def _identity(folder: Path) -> tuple[int, int] | str:
    """What tells one folder from another, whatever paths lead to it."""
    try:
        state = folder.stat()
    except OSError:
        return str(folder)
    return (state.st_dev, state.st_ino) if state.st_ino else str(folder.resolve())
