"""Which files of a folder or archive are the images of a pile: one rule for folders, archives, streams and every command.

Hidden files and files of operating systems do not belong to a pile. Of the other files, one with an ending that the decoder knows
is an image; one without an ending is an image if its content is; all others are ignored and counted.
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
_SYSTEM |= {"@recycle", "@recently-snapshot", "@sharebin", "@tmp", "recycler", "network trash folder", "temporary items"}
_SYSTEM |= {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"}
# `photo.jpg` has an ending; `IMG_0001`, `taken 12.05.2021` and `photo.jpg_large` have none that names a format.
_ENDING = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,12}$", re.IGNORECASE | re.ASCII)


@dataclass
class Pile:
    """The images among the files of a folder or archive, and the number of other files."""

    names: list[str] = field(default_factory=list)  # relative, with "/", in the order in which they are read
    other: Counter[str] = field(default_factory=Counter)  # number of other files by their ending; "": without an ending

    def note(self) -> str | None:
        """A line about the other files; None if there are none."""
        count = sum(self.other.values())
        if not count:
            return None
        endings = sorted(self.other.items(), key=lambda pair: (-pair[1], pair[0]))
        listed = ", ".join(f"{ending or 'none'} {number:,}" for ending, number in endings[:10])
        files = "1 file with another ending was" if count == 1 else f"{count:,} files with other endings were"
        return f"{files} passed over: {listed}" + (" and more" if len(endings) > 10 else "")


def portable_name(name: str) -> str:
    """A name inside an archive with "/" between its parts, on whatever system it was written, and without a leading "./"."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part != ".")


def is_hidden(name: str) -> bool:
    """Whether any part of a relative name is hidden, or is a file or folder of an operating system."""
    return any((part.startswith(".") and part not in (".", "..")) or part.lower() in _SYSTEM for part in name.split("/"))


def ending_of(name: str) -> str:
    """The ending of a file's name in lower case, such as ".jpg"; "" if it has none."""
    found = _ENDING.search(PurePosixPath(name).name)
    return found[0].lower() if found and found.start() else ""


def is_image_name(name: str) -> bool:
    """Whether a file's name has an image's ending and is not hidden (`._photo.jpg` of macOS is hidden)."""
    return not is_hidden(name) and ending_of(name) in IMAGE_ENDINGS


def order(name: str) -> list[str]:
    """The sort key of relative names: by folder, then by file, the same for folders and archives."""
    return name.split("/")


def pile_of(names: Iterable[str], open_file: Callable[[str], BinaryIO]) -> Pile:
    """The images among relative names (see `portable_name`); `open_file` opens one, to look at the head of its content.

    A file that cannot be opened here counts as an image: the attempt to read it later reports its name and the reason.
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
    except Exception:  # any error of a file system or archive: reading the image later reports it
        return True


def pile_in(root: Path) -> Pile:
    """The images below a folder, at any depth. A subfolder that cannot be listed is among the names, and fails when read."""
    unlisted: list[str] = []
    pile = pile_of(files_below(root, unlisted), lambda name: _open_regular(root / name))
    pile.names = sorted([*pile.names, *unlisted], key=order)
    return pile


def has_image(root: Path) -> bool:
    """Whether there is an image below a folder; stops at the first one."""
    return any(pile_of([name], lambda name: _open_regular(root / name)).names for name in files_below(root, []))


def _open_regular(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise OSError("not a file")  # a pipe or device, whose reading might never end
    return path.open("rb")


def files_below(root: Path, unlisted: list[str]) -> Iterator[str]:
    """The relative names of all files below a folder, hidden parts left out, real folders before linked ones.

    Links to folders are followed, but each folder is listed once, and the parents of `root` never, so that circles of links
    end. The names of subfolders that cannot be listed are added to `unlisted`. Raises OSError if `root` itself cannot.
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
            if not _is_folder(entry):
                yield name
            elif entry.is_symlink() or getattr(entry, "is_junction", bool)():  # a link of Windows; Python 3.12 knows them
                links.append(f"{name}/")
            elif (identity := _identity(root / name)) not in seen:
                seen.add(identity)
                folders.append(f"{name}/")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one. A link to itself counts as a file: the attempt to read it reports the fault."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int] | str:
    """A key that is the same for every path to a folder, and differs between folders."""
    try:
        state = folder.stat()
    except OSError:
        return str(folder)
    return (state.st_dev, state.st_ino) if state.st_ino else str(folder.resolve())
