"""Every fault of the Hub in one line with its remedy: the client's own texts have several lines.

`fault_of` is the only place that classifies errors: a new kind of fault needs a member of `FaultKind`, a case in `_kind` and a
remedy in `_REMEDIES`. The functions at the end make a sentence of it: for a file, a list of epochs, a publication, a data set.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from cyclegan_hub.errors import first_line

(_TRANSPORT,) = (kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")  # of httpx or httpx2, by version
# All that the client raises: its own errors, those of its HTTP library, files that cannot be written, failed uploads.
HUB_ERRORS: tuple[type[Exception], ...] = (HfHubHTTPError, HFValidationError, OSError, RuntimeError, _TRANSPORT)


class FaultKind(Enum):
    """The kinds of faults of the Hub."""

    NAME = auto()  # no name of a repository
    GATED = auto()
    REPOSITORY = auto()  # not there, or private
    REVISION = auto()
    FILE = auto()  # not in the repository
    TOKEN = auto()
    FORBIDDEN = auto()
    CONFLICT = auto()  # another wrote at the same time
    REFUSED = auto()  # another answer that says no
    LIMIT = auto()  # too many requests
    BROKEN = auto()  # the Hub's own fault
    UNREACHABLE = auto()  # no answer, or none in time
    OFFLINE = auto()  # the client was told not to ask
    READ_ONLY = auto()  # the cache cannot be written
    DISK_FULL = auto()
    OTHER = auto()  # none of these: the client's own text is shown


_REMEDIES = {
    FaultKind.NAME: "give a folder that exists, or 'user/name'",
    FaultKind.GATED: "ask for it on the repository's page, then log in with `hf auth login`",
    FaultKind.REPOSITORY: "check the name, or log in with `hf auth login` if it is private",
    FaultKind.REVISION: "check the name and the connection",
    FaultKind.FILE: "check the name and the connection",
    FaultKind.TOKEN: "log in again with `hf auth login` (a wrong token is refused even where none is needed)",
    FaultKind.FORBIDDEN: "use a token that may do this (`hf auth login`)",
    FaultKind.CONFLICT: "run the same command again",
    FaultKind.REFUSED: "try again later",
    FaultKind.LIMIT: "try again in some minutes",
    FaultKind.BROKEN: "try again later",
    FaultKind.UNREACHABLE: "check the name and the connection",
    FaultKind.OFFLINE: "unset HF_HUB_OFFLINE and connect, or check the name and the connection",
    FaultKind.READ_ONLY: "set HF_HOME to a folder that can be written (or give another cache_dir)",
    FaultKind.DISK_FULL: "free space, or set HF_HOME to a folder on another disk",
    FaultKind.OTHER: "check the name and the connection",
}
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


@dataclass(frozen=True)
class Fault:
    """One fault: its kind, the client's text in one line, the remedy, and the HTTP status (None: no answer)."""

    kind: FaultKind
    words: str
    remedy: str
    status: int | None = None

    @property
    def is_down(self) -> bool:
        """Whether the Hub cannot be used at the moment, so that what is cached may serve instead."""
        return self.kind in (FaultKind.LIMIT, FaultKind.BROKEN, FaultKind.UNREACHABLE, FaultKind.OFFLINE, FaultKind.OTHER)


def fault_of(error: BaseException) -> Fault:
    """Classifies an error of the Hub's client or of `datasets`: the first error of the chain with a clear kind decides."""
    found = [(one, kind) for one in _causes(error) if (kind := _kind(one))]
    clear = [
        pair for pair in found if pair[1] is not FaultKind.UNREACHABLE
    ]  # `datasets` reports many faults as a lost connection
    for one, kind in [*clear, *found]:
        words = first_line(one)
        if kind is FaultKind.READ_ONLY and isinstance(one, OSError):
            words = f"{one.filename} cannot be written: {one.strerror}"
        return Fault(kind, words, _remedy(kind, one), _status(one))
    kind = FaultKind.UNREACHABLE if isinstance(error, LocalEntryNotFoundError) else FaultKind.OTHER
    shown = error.__cause__ if isinstance(error, LocalEntryNotFoundError | RuntimeError) else None
    return Fault(kind, first_line(shown or error), _REMEDIES[kind])


def _kind(error: BaseException) -> FaultKind | None:
    """The kind of one error, without its causes; None if that is not clear."""
    match error:
        case HFValidationError():
            return FaultKind.NAME
        case GatedRepoError():  # a subclass of the next one, so it comes first
            return FaultKind.GATED
        case RepositoryNotFoundError():
            return FaultKind.REPOSITORY
        case RevisionNotFoundError():
            return FaultKind.REVISION
        case LocalEntryNotFoundError():  # the Hub did not answer: its cause says why
            return None
        case EntryNotFoundError():
            return FaultKind.FILE
        case OfflineModeIsEnabled():
            return FaultKind.OFFLINE
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return FaultKind.DISK_FULL
        case OSError(errno=number, filename=name) if number in _READ_ONLY and name:  # without a name it is a socket
            return FaultKind.READ_ONLY
    match _status(error):
        case None:
            return FaultKind.UNREACHABLE if isinstance(error, ConnectionError | TimeoutError | _TRANSPORT) else None
        case 401:
            return FaultKind.TOKEN
        case 403:
            return FaultKind.FORBIDDEN
        case 409 | 412:
            return FaultKind.CONFLICT
        case 429:
            return FaultKind.LIMIT
        case status if status < 500:
            return FaultKind.REFUSED
    return FaultKind.BROKEN


def _remedy(kind: FaultKind, error: BaseException) -> str:
    if kind is FaultKind.LIMIT:
        wait = re.search(r"Retry after (\d+)", str(error))  # the client puts the Hub's own header of limits into words
        answer = getattr(error, "response", None)
        seconds = wait[1] if wait else answer.headers.get("Retry-After") if answer is not None else None
        if seconds:
            return f"try again in {seconds} seconds"
    return _REMEDIES[kind]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, to the first one."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


# ------------------------------------------------------------------------------------------------- the sentences
def not_fetched(error: BaseException, source: str, where: str, file: str, there: str = "") -> str:
    """The error for a file of the repository `source` that could not be fetched; the message calls the repository `where`.

    `there` lists the existing revisions; it is added if the revision was not found.
    """
    fault = fault_of(error)
    match fault.kind:
        case FaultKind.NAME:
            return not_a_name(source)
        case FaultKind.GATED:
            return f"{where}: access is restricted: {fault.remedy}"
        case FaultKind.REPOSITORY:
            return f"{where}: no folder and no repository of that name: check it, or log in with `hf auth login` if it is private"
        case FaultKind.REVISION:
            return f"{where}: the repository has no such branch, tag or commit{there}"
        case FaultKind.FILE:
            return not_there(where, file, ())
        case FaultKind.READ_ONLY | FaultKind.DISK_FULL:
            return f"{where}: {file} could not be put into the cache ({fault.words}): {fault.remedy}"
    if isinstance(error, LocalEntryNotFoundError):
        return (
            f"{where}: no folder of that name, and {file} is not in the cache and could not be fetched from the Hub "
            f"({fault.words}): {fault.remedy}"
        )
    return f"{where}: {file} could not be fetched from the Hub ({type(error).__name__}: {fault.words}): {fault.remedy}"


def not_listed(error: BaseException, where: str) -> str:
    """The error for a repository whose epochs the Hub did not list."""
    fault = fault_of(error)
    if fault.kind is FaultKind.NAME:
        return not_a_name(where)
    return f"{where}: its epochs could not be listed ({type(error).__name__}: {fault.words}): {fault.remedy}"


def not_cached(error: BaseException | None, where: str) -> str:
    """The error for a repository that is not in the cache while the Hub cannot be used; `error` None: offline on purpose."""
    if error is None:
        return f"{where}: the Hub was not to be asked, and nothing of it is in the cache: load it once with a connection"
    fault = fault_of(error)
    return f"{where}: the Hub did not answer ({fault.words}), and nothing of it is in the cache: {fault.remedy}"


def not_published(error: BaseException, where: str, doing: str) -> str:
    """The error for a publication: `doing` names the part that the Hub refused."""
    if isinstance(error, ValueError) and not isinstance(error, HUB_ERRORS):  # the client's word on the card's YAML
        return f"{where}: {doing}: {' '.join(str(error).split())}"
    fault = fault_of(error)
    match fault.kind:
        case FaultKind.CONFLICT:
            return f"{where}: {doing}: somebody else published there at the same time: {fault.remedy}"
        case FaultKind.FORBIDDEN:
            return f"{where}: {doing}: {fault.words}: publish under your own name, or with a token that may write there"
        case FaultKind.GATED | FaultKind.REPOSITORY | FaultKind.REVISION | FaultKind.FILE | FaultKind.TOKEN:
            return f"{where}: {doing}: {fault.words}: {fault.remedy}"
    if fault.status in (400, 413):
        return f"{where}: {doing}: {fault.words}: {fault.remedy}"
    return f"{where}: {doing}: {fault.words}: {fault.remedy}; the same command then completes what was begun"


def dataset_not_loaded(error: BaseException, dataset: str, where: str, *, cached: bool = False, offline: bool = False) -> str:
    """The error for a data set of the Hub that was not loaded. `cached`: a copy is in the cache; `offline`: HF_HUB_OFFLINE is set
    (the errors of `datasets` do not say so)."""
    fault = fault_of(error)
    if offline and fault.kind is FaultKind.UNREACHABLE:
        fault = replace(fault, kind=FaultKind.OFFLINE)
    unnamed, local = f"dataset {dataset} (there is no folder of that name)", "give a local --data FOLDER"
    match fault.kind:
        case FaultKind.NAME:
            return f"{not_a_name(dataset)}, or {local}"
        case FaultKind.GATED:
            return f"dataset {dataset}: access is restricted: {fault.remedy}, or {local}"
        case FaultKind.REPOSITORY:
            return f"{unnamed} is not on the Hub, or private: check the name, log in with `hf auth login`, or {local}"
        case FaultKind.REVISION:
            return f"{where}: the repository has no such branch, tag or commit: check the revision, or {local}"
        case FaultKind.OFFLINE:
            return f"{unnamed}: HF_HUB_OFFLINE is set; unset it and connect, or {local}"
        case FaultKind.UNREACHABLE:
            copy = "set HF_HUB_OFFLINE=1 to use the copy in the cache, " if cached else ""
            return f"{unnamed}: the Hub ({constants.ENDPOINT}) cannot be reached; {copy}connect, or {local}"
        case FaultKind.OTHER | FaultKind.FILE:  # not a fault of the Hub: `datasets` could not read the files
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error  # `datasets` wraps what the file said
            return f"{where} cannot be loaded: {first_line(cause).rstrip('.')}."
    return f"{where} cannot be loaded ({fault.words}): {fault.remedy}"


# Error texts for a wrong model or data set argument: an address, a file, a folder without a model. One line each.


_ORIGINAL = re.compile(r"\w+_net_G(_[AB])?\.pth")  # as the code of the paper's authors saves a generator
_IMPORT = "weights of the original code become one with `cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth OUT`"


def not_a_name(source: str, prefix: str = "") -> str:
    """The error for a text that is neither a folder nor a repository name; for an address it suggests the name inside it.

    `prefix` is written before the suggested name, such as "hf:".
    """
    if name := name_in_address(source):
        return f"{source!r} is an address, not a name: give '{prefix}{name}'"
    if "://" in source:
        return f"{source!r} is an address: download what is there and give the file or folder, or '{prefix}user/name' of the Hub"
    return f"{source!r} is neither a folder nor a repository name: give a folder that exists, or 'user/name'"


def is_address(text: str) -> bool:
    """Whether a text is an address of the Hub or of another server, rather than a path or a name."""
    return "://" in text or name_in_address(text) is not None


def name_in_address(text: str) -> str | None:
    """'user/name' of an address such as https://huggingface.co/datasets/user/name/tree/main; None for any other text."""
    host = re.escape(constants.ENDPOINT.partition("://")[2])
    found = re.match(
        rf"(?:(?:https?://|ssh://)?(?:[^@/\s]+@)?(?:www\.)?(?:huggingface\.co|hf\.co|{host})[/:]|hf://)"
        r"(?:(?:datasets|models|spaces)/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?(?:[/?#@].*)?$",
        text.strip(),
    )
    return found[1] if found else None


def not_there(where: str, file: str, found: Iterable[str]) -> str:
    """The error for a model folder that lacks `file`; `found` are the names of the files in it."""
    pickles = sorted(name for name in found if _is_pickle(name))
    hint = f"; {', '.join(pickles)} is a pickle, which is never loaded" if pickles else ""
    convert = f"; {_IMPORT}" if any(_ORIGINAL.fullmatch(name) for name in pickles) else ""
    return f"{where}: no {file} there{hint}. A model folder holds config.json and model.safetensors{convert}"


def not_a_folder(file: Path) -> str:
    """The error for a file given instead of a model folder."""
    if not _is_pickle(file.name):
        return f"{file} is a file: give the folder it is in"
    convert = f"; {_IMPORT}" if _ORIGINAL.fullmatch(file.name) else ""
    return f"{file} is a pickle, which is never loaded: give a folder with config.json and model.safetensors{convert}"


def _is_pickle(name: str) -> bool:
    return name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl"))
