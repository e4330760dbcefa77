"""Where a model's training images come from and under which terms: always what the run's own record says.

A record has a `data_note` ({"text", "licence", "use", "limits"}), from `train --data-note` or `publish --data-note`. Where it has
none, its lines of `data` may name Hub datasets whose terms are known. Of anything else nothing is stated.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from huggingface_hub import constants

from cyclegan_hub.domains import DOMAINS, ImageSet, recorded_splits
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import base_name
from cyclegan_hub.hub.records import ModelError, RunRecord, folder_of
from cyclegan_hub.hub.repository import HUB, is_folder

# The licence ids of the Hub; "other" stands for any other licence.
_IDS = """
    afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0
    bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0
    cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
    cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0
    creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2
    fair-noncommercial-research-license gemma gfdl gpl gpl-2.0 gpl-3.0 grok2-community h-research intel-research isc lgpl
    lgpl-2.1 lgpl-3.0 lgpl-lr llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by
    ofl-1.1 openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense wtfpl zlib
    """
LICENCES = frozenset(_IDS.split())
# Prefixes of the licences that let everybody pass the images on.
_FREE = ("cc-", "cc0", "cdla-", "odc-", "odbl", "pddl", "etalab-", "mit", "apache-", "unlicense", "wtfpl", "c-uda")
RESEARCH = "other:research-only"
NOT_STATED = "not stated: ask who published the model"


@dataclass(frozen=True)
class Provenance:
    """What is known of the training images of a model."""

    text: str = ""  # where they come from; "": not stated
    licence: str = ""  # an id of the Hub, "other" or "other:NAME"; "": not stated
    redistributable: bool = False  # whether all of them may be passed on
    limits: tuple[str, ...] = ()  # what follows from them for the model, a sentence each
    use: str = ""  # the intended use; "": not stated

    @property
    def terms(self) -> str:
        """Data and terms as one line of text."""
        name = self.licence if self.licence and not self.licence.startswith("other:") else ""
        return "; ".join(part for part in (self.text, f"licence {name}" if name else "") if part) or NOT_STATED

    @property
    def licence_name(self) -> str:
        """ "cc-by-4.0", "research-only", "other" or "not stated"."""
        return self.licence.removeprefix("other:") or "not stated"

    def metadata(self, repo_id: str | None) -> dict[str, str]:
        """The fields of a card's front matter. `repo_id` None: a folder, which has no URL on the Hub."""
        if self.licence and not self.licence.startswith("other"):
            return {"license": self.licence}
        # In the form of the Hub's own ids: small letters, digits, dots and hyphens.
        name = "see-card" if self.licence == "other" else re.sub(r"[^a-z0-9.-]+", "-", self.licence_name.lower()).strip("-")
        link = {"license_link": f"{HUB}/{repo_id}#data-and-licence"} if repo_id else {}
        return {"license": "other", "license_name": name, **link}


def provenance_of(record: RunRecord | None) -> Provenance:
    """The provenance of the training images by a run's record; empty for a model without a record."""
    note = (record or {}).get("data_note") or known_note((record or {}).get("data") or {})
    licence = str(note.get("licence") or "")
    return Provenance(
        text=str(note.get("text") or ""),
        licence=licence,
        redistributable=bool(note.get("redistributable", licence.startswith(_FREE))),
        limits=tuple(map(str, note.get("limits") or ())),
        use=str(note.get("use") or ""),
    )


def data_note(text: str | None, licence: str | None, before: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The `data_note` of a record: `--data-note` and `--data-licence` on top of the note `before`; None without any.

    Raises UserError for an empty text and for a licence that the Hub does not know.
    """
    if text is not None and not text.strip():
        raise UserError("--data-note '': say where the images come from, or leave it out")
    if licence is not None:
        id, _, name = licence.partition(":")
        if id not in LICENCES or (name and id != "other") or licence.endswith(":"):
            near = [one for one in sorted(LICENCES) if id[:4].lower() in one][:8] or ["cc-by-4.0", "cc0-1.0", "mit"]
            raise UserError(
                f"--data-licence {licence!r} is not a licence id of the Hub: give one such as {', '.join(near)}, or other:NAME"
            )
    given = {"text": text and " ".join(text.split()), "licence": licence}
    of_other_images = ("use", "limits", "redistributable") if text is not None else ()
    kept = {key: value for key, value in (before or {}).items() if key not in of_other_images}
    note = kept | {key: value for key, value in given.items() if value}
    if licence is not None:
        note.pop("redistributable", None)  # it was derived from the former licence
    return note or None


def known_note(data: Mapping[str, str]) -> dict[str, Any]:
    """The note that follows from a record's lines of `data` where they name Hub datasets with known terms; {} for all others."""
    found = [_known(line) for line in data.values()]
    known = [dataset for dataset in found if dataset is not None]
    if not known:
        return {}
    terms = [dataset.licence if dataset else "not stated" for dataset in found]
    if len(set(terms)) > 1:
        terms = [f"{side.upper()}: {one}" for side, one in zip(data, terms, strict=True)]
    note: dict[str, Any] = {"text": "; ".join(dict.fromkeys(terms))}
    may_be_passed_on = all(dataset.redistributable for dataset in known)
    if not may_be_passed_on:
        note["licence"] = RESEARCH
    return note | {"redistributable": may_be_passed_on and len(known) == len(found)}


def _known(line: str) -> ImageSet | None:
    """The images of `DOMAINS` whose dataset and column a record's line of `data` names."""
    splits = recorded_splits(line)
    if splits is None:
        return None
    dataset, column = splits[0].dataset, splits[0].column
    known = [one for domain in DOMAINS.values() for one in domain.image_sets if one.dataset == dataset]
    known = [one for one in known if column in (None, one.column)]
    return known[0] if len({one.licence for one in known}) == 1 else None


# ---------------------------------------------------------------------------------------------- paths of this machine
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
    """`--init SOURCE` as a run records it: a repository id; of a folder the base name and the digest of its weights."""
    if not is_folder(source):
        return public_init(source)
    name = base_name(Path(source).resolve()) or "model"
    try:
        with (folder_of(Path(source), None) / constants.SAFETENSORS_SINGLE_FILE).open("rb") as file:
            return f"{name} (weights sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:12]})"
    except (ModelError, OSError, IndexError):  # loading it will raise a better error
        return name


def public_init(recorded: str) -> str:
    """A recorded `init` for publication: paths that older versions recorded are cut down to their base name."""
    if has_digest(recorded):
        return recorded
    is_name = _REPOSITORY.fullmatch(recorded) and not os.path.exists(recorded)  # noqa: PTH110 (as above)
    return recorded if is_name else base_name(recorded)


def has_digest(recorded: str | None) -> bool:
    """Whether a recorded `init` names its weights by their digest."""
    return bool(recorded and _WITH_DIGEST.fullmatch(recorded))


def same_init(before: str | None, now: str | None) -> bool:
    """Whether two recorded `init` may be the same weights: by digest where both have one, else by name."""
    if before is None or now is None:
        return before == now
    (name, digest), (other, other_digest) = _parts(before), _parts(now)
    if digest and other_digest:
        return digest == other_digest
    are_ids = all("/" in one and public_init(one) == one for one in (before, now))
    return before == now or (base_name(name) == base_name(other) and not are_ids)


def _parts(recorded: str) -> tuple[str, str | None]:
    found = _WITH_DIGEST.fullmatch(recorded)
    return (found[1], found[2]) if found else (recorded, None)


def public_record(record: RunRecord) -> RunRecord:
    """A run's record for publication, without paths of this machine."""
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
