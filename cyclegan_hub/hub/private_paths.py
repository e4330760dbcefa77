"""Keeps paths of the user's machine out of what is published: in a run's record, in figures, in headers, in the card.

Of a folder that a run started from, the base name and the digest of its weights are stored; of any other path its base name.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TypeVar, cast

from huggingface_hub import constants

from cyclegan_hub.file_names import base_name
from cyclegan_hub.hub.model_folder import ModelError, folder_of
from cyclegan_hub.hub.run_record import RunRecord

T = TypeVar("T")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WITH_DIGEST = re.compile(r"(.+) \(weights sha256 ([0-9a-f]{12})\)")
_REST = r"[^\s\"'`,;()|]*"  # of a path inside a text: up to where a word ends
# A user's folder and what lies in it. On Windows its name may hold spaces.
_HOMES = (
    re.compile(rf"(?:file://)?(?<![\w.])/(?:home|Users)/+[^\s/\"'`]+(?:/{_REST})?"),
    re.compile(rf"(?<![\w.])(?:[A-Za-z]:)?\\+(?:Users|Documents and Settings)\\+[^\\/\n\"'`]+(?:[\\/]{_REST})?"),
)
_DRIVES = re.compile(rf"(?:file:///?)?(?<![\w])(?:[A-Za-z]:[\\/](?!/)|\\\\[\w.$-]+\\){_REST}")
_TILDE = re.compile(rf"(?<![\w/])~[\w.-]*[\\/]{_REST}")
_ABSOLUTE = re.compile(rf"(?:file://)?(?<![\w:/.\\])/([\w.@-]+)/{_REST}")
# First components of absolute paths on any machine; on this one, those that exist count too.
_ROOTS = ("bin", "content", "data", "etc", "home", "kaggle", "media", "mnt", "nfs", "opt", "private", "root", "run", "scratch",
          "srv", "tmp", "Users", "usr", "var", "Volumes", "work", "workspace")  # fmt: skip


def init_of(source: str) -> str:
    """What a run records of `--init SOURCE`: a repository id; of a folder the base name and the digest of its weights."""
    if not os.path.isdir(source):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        return public_init(source)
    name = base_name(Path(source).resolve()) or "model"
    try:
        with (folder_of(Path(source), None) / constants.SAFETENSORS_SINGLE_FILE).open("rb") as file:
            return f"{name} (weights sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
    except (ModelError, OSError, IndexError):  # loading it will say what is wrong
        return name


def public_init(recorded: str) -> str:
    """A recorded `init` as it may be published: paths that older versions recorded are cut down to their base name."""
    if has_digest(recorded):
        return recorded
    is_name = _REPOSITORY.fullmatch(recorded) and not os.path.exists(recorded)  # noqa: PTH110 (as above)
    return recorded if is_name else base_name(recorded)


def has_digest(recorded: str | None) -> bool:
    """Whether a recorded `init` names its weights by their digest."""
    return recorded is not None and _WITH_DIGEST.fullmatch(recorded) is not None


def same_init(before: str | None, now: str | None) -> bool:
    """Whether two recorded `init` may be the same weights: by digest where both have one, else by name."""
    if before is None or now is None:
        return before == now
    (name, digest), (other, other_digest) = _parts(before), _parts(now)
    if digest and other_digest:
        return digest == other_digest
    return before == now or (base_name(name) == base_name(other) and not (_is_id(before) and _is_id(now)))


def _is_id(recorded: str) -> bool:
    return public_init(recorded) == recorded and "/" in recorded


def _parts(recorded: str) -> tuple[str, str | None]:
    found = _WITH_DIGEST.fullmatch(recorded)
    return (found[1], found[2]) if found else (recorded, None)


def public_record(record: RunRecord) -> RunRecord:
    """A run's record as it may be published."""
    init = record.get("init")
    shown = {"init": public_init(init)} if isinstance(init, str) else {}
    return cast(RunRecord, without_paths({**record, **shown}))


def without_paths(value: T) -> T:
    """A text, or the texts in a JSON value, with every absolute path of a machine cut down to its base name."""
    if isinstance(value, str):
        return _clean(value)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {without_paths(key): without_paths(one) for key, one in value.items()}  # type: ignore[return-value]
    if isinstance(value, list):
        return [without_paths(one) for one in value]  # type: ignore[return-value]
    return value


def _clean(text: str) -> str:
    for folder in sorted({str(Path.home()), str(Path.cwd())} - {"/"}, key=len, reverse=True):
        text = re.sub(rf"{re.escape(folder)}(?:[\\/]{_REST}|(?![\w.-]))", lambda found: _last(found[0]), text)
    for pattern in (*_HOMES, _DRIVES, _TILDE):
        text = pattern.sub(lambda found: _last(found[0]), text)
    return _ABSOLUTE.sub(lambda found: _last(found[0]) if _is_root(found[1]) else found[0], text)


def _last(path: str) -> str:
    """The base name of a path; of a user's folder itself, whose name is the user's, "~"."""
    path = path.rstrip("\\/")
    parts = [part for part in re.split(r"[\\/]+", path.removeprefix("file:")) if part]
    of_user = len(parts) > 1 and parts[-2] in ("home", "Users", "Documents and Settings")
    return "~" if of_user or path == str(Path.home()) else parts[-1] if parts else ""


def _is_root(first: str) -> bool:
    return first in _ROOTS or os.path.isdir(f"/{first}")  # noqa: PTH112
