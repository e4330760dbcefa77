"""Every error of the Hub in one line with its remedy: the client's own texts have several lines.

`FailureKind` is the table of all kinds: a new one is a member. `failure_of` finds an error's kind, `explain` makes a message.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType

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

from cyclegan_hub.errors import counted, first_line

(_TRANSPORT,) = (kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")  # of httpx or httpx2, by version
_INVALID_URL: type[Exception] = sys.modules[_TRANSPORT.__module__.partition(".")[0]].InvalidURL
# All that the client raises: its own errors, those of its HTTP library (for a SOCKS proxy that lacks a library, too), files
# that cannot be written, failed uploads.
HUB_ERRORS: tuple[type[Exception], ...] = (
    HfHubHTTPError, HFValidationError, OSError, RuntimeError, _TRANSPORT, _INVALID_URL, ImportError,
)  # fmt: skip


_Sign = Callable[[BaseException], bool]


def _raised(*kinds: type[BaseException]) -> _Sign:
    return lambda error: isinstance(error, kinds)


def _answered(*statuses: int) -> _Sign:
    return lambda error: _status(error) in statuses


def _file_error(*codes: int, named: bool = False) -> _Sign:
    return lambda error: isinstance(error, OSError) and error.errno in codes and bool(error.filename or not named)


def _is_of_proxy(error: BaseException) -> bool:
    """Whether the HTTP library refuses a proxy's URL, which only its message tells; that never contains the URL's password."""
    if not isinstance(error, ImportError | ValueError | _INVALID_URL):
        return False
    in_words = any(sign in str(error) for sign in ("socksio", "proxy URL"))
    return in_words or (isinstance(error, _INVALID_URL) and bool(_proxy_variables()))


class FailureKind(Enum):
    """What can go wrong with the Hub; of several kinds that fit, the first counts.

    Of each: the sign of an error of this kind, what went wrong ("": the client's own text, in one line), what to do about it,
    and whether the Hub cannot be used at the moment, so that the cache may serve instead.
    """

    NAME = _raised(HFValidationError), "this is not the name of a repository", "give a folder that exists, or 'user/name'"
    GATED = (  # a subclass of the next one
        _raised(GatedRepoError), "access is restricted", "ask for it on the repository's page, then log in with `hf auth login`",
    )  # fmt: skip
    REPOSITORY = (
        _raised(RepositoryNotFoundError), "no repository of that name, or it is private",
        "check the name, or log in with `hf auth login` if it is private",
    )  # fmt: skip
    REVISION = _raised(RevisionNotFoundError), "the repository has no such branch, tag or commit", "check its name"
    FILE = _raised(EntryNotFoundError), "the repository has no such file", "check its name"
    OFFLINE = _raised(OfflineModeIsEnabled), "", "unset HF_HUB_OFFLINE and connect, or check the name and the connection", True
    PROXY = _is_of_proxy, "", "write it as http://HOST:PORT or socks5://HOST:PORT, or unset it", True
    DISK_FULL = (
        _file_error(errno.ENOSPC, errno.EDQUOT), "", "free space, or set HF_HOME to a folder on another disk",
    )  # fmt: skip
    READ_ONLY = (  # an error without a name is a socket's
        _file_error(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, named=True), "",
        "set HF_HOME to a folder that can be written (or give another cache_dir)",
    )  # fmt: skip
    TOKEN = _answered(401), "", "log in again with `hf auth login` (a wrong token is refused even where none is needed)"
    FORBIDDEN = _answered(403), "", "use a token that may do this (`hf auth login`)"
    CONFLICT = _answered(409, 412), "somebody else published there at the same time", "run the same command again"
    LIMIT = _answered(429), "", "try again in some minutes", True
    REFUSED = _answered(*range(500)), "", "try again later"
    BROKEN = _answered(*range(500, 1000)), "", "try again later", True
    UNREACHABLE = _raised(ConnectionError, TimeoutError, _TRANSPORT), "", "check the name and the connection", True
    OTHER = (lambda _: False), "", "check the name and the connection", True

    def __init__(self, sign: _Sign, reason: str, remedy: str, is_down: bool = False) -> None:
        self.sign, self.reason, self.remedy, self.is_down = sign, reason, remedy, is_down


@dataclass(frozen=True)
class Failure:
    """One error: its kind, what went wrong and the remedy, each in one line, and the HTTP status (None: no answer)."""

    kind: FailureKind
    reason: str
    remedy: str
    status: int | None = None

    @property
    def is_down(self) -> bool:
        """Whether the Hub cannot be used at the moment, so that the cache may serve instead."""
        return self.kind.is_down


def explain(error: BaseException, what: str, remedies: Mapping[FailureKind, str] = MappingProxyType({})) -> str:
    """The message "WHAT: REASON: REMEDY" for an error of the Hub's client; `remedies` replace those of the table."""
    failure = failure_of(error)
    return f"{what}: {failure.reason}: {remedies.get(failure.kind, failure.remedy)}"


def failure_of(error: BaseException) -> Failure:
    """Classifies an error of the Hub's client or of `datasets`: the first error of the chain with a clear kind decides."""
    found = [(one, kind) for one in _causes(error) if (kind := _kind(one))]
    # `datasets` reports many errors as a lost connection, so that this kind counts only if there is no other.
    found.sort(key=lambda pair: pair[1] is FailureKind.UNREACHABLE)
    if found:
        source, kind = found[0]
    else:
        local = isinstance(error, LocalEntryNotFoundError)
        kind = FailureKind.UNREACHABLE if local else FailureKind.OTHER
        source = (error.__cause__ if local or isinstance(error, RuntimeError) else None) or error
    reason, remedy = kind.reason, kind.remedy
    if kind is FailureKind.READ_ONLY and isinstance(source, OSError):
        reason = f"{source.filename} cannot be written ({source.strerror})"
    if kind is FailureKind.LIMIT and (seconds := _seconds_to_wait(source)):
        remedy = f"try again in {counted(int(seconds), 'second')}"
    if kind is FailureKind.PROXY:
        reason = f"the proxy in {_proxy_variables() or 'the system settings'} cannot be used"
        if isinstance(source, ImportError):
            reason, remedy = f"{reason} without socksio", "pip install socksio, or unset it"
    return Failure(kind, reason or first_line(source), remedy, _status(source))


def _kind(error: BaseException) -> FailureKind | None:
    """The kind of one error, without its causes; None if that is not clear."""
    if isinstance(error, LocalEntryNotFoundError):  # the Hub did not answer: its cause tells why
        return None
    return next((kind for kind in FailureKind if kind.sign(error)), None)


def _proxy_variables() -> str:
    """The variables that name a proxy; those of another kind than http, if there are any."""
    given = {name: value for name, value in os.environ.items() if re.fullmatch("(all|https?)_proxy", name.lower()) and value}
    return ", ".join([name for name, value in given.items() if not value.startswith("http")] or given)


def _seconds_to_wait(error: BaseException) -> str | None:
    """How long the Hub asks to wait: the client puts its header of limits into the text."""
    if found := re.search(r"Retry after (\d+)", str(error)):
        return found[1]
    answer = getattr(error, "response", None)
    header = "" if answer is None else answer.headers.get("Retry-After", "")
    return header if header.isdecimal() else None  # it may be a date


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, to the first one."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


# ------------------------------------------------------------------------------------------- messages about one subject
def file_message(error: BaseException, source: str, where: str, file: str) -> str:
    """The error for a file of the repository `source` that could not be fetched; the message calls the repository `where`."""
    match failure_of(error).kind:
        case FailureKind.NAME:
            return wrong_name_message(source)
        case FailureKind.FILE:
            return missing_file_message(where, file, ())
    cached = "is not in the cache and " if isinstance(error, LocalEntryNotFoundError) else ""
    return explain(error, f"{where}: no folder of that name, and {file} {cached}could not be fetched from the Hub")


def dataset_message(error: BaseException, dataset: str, where: str, *, cached: bool = False, offline: bool = False) -> str:
    """The error for a dataset of the Hub that was not loaded. `cached`: a copy is in the cache; `offline`: HF_HUB_OFFLINE is set
    (the errors of `datasets` do not tell)."""
    failure = failure_of(error)
    what, local = f"dataset {dataset} (there is no folder of that name)", "or give a local --data FOLDER"
    kind = FailureKind.OFFLINE if offline and failure.kind is FailureKind.UNREACHABLE else failure.kind
    match kind:
        case FailureKind.NAME:
            return f"{wrong_name_message(dataset)}, {local}"
        case FailureKind.GATED | FailureKind.REPOSITORY | FailureKind.REVISION:
            return f"{explain(error, what if kind is not FailureKind.REVISION else where)}, {local}"
        case FailureKind.OFFLINE:
            return f"{what}: HF_HUB_OFFLINE is set; unset it and connect, {local}"
        case FailureKind.UNREACHABLE:
            copy = "set HF_HUB_OFFLINE=1 to use the copy in the cache, " if cached else ""
            return f"{what}: the Hub ({constants.ENDPOINT}) cannot be reached; {copy}connect, {local}"
        case FailureKind.OTHER | FailureKind.FILE:  # the Hub answered, but `datasets` could not read the files
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error  # what the file's reader raised
            return f"{where} cannot be loaded: {first_line(cause).rstrip('.')}."
    return explain(error, f"{where} cannot be loaded")


_ORIGINAL = re.compile(r"\w+_net_G(_[AB])?\.pth")  # as the code of the paper's authors saves a generator
_IMPORT = "; weights of the original code become one with `cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth OUT`"


def wrong_name_message(source: str, prefix: str = "") -> str:
    """The error for a text that is neither a folder nor a repository id; for a URL it suggests the id inside it.

    `prefix` is written before the suggested id, such as "hf:".
    """
    if name := repository_in_url(source):
        return f"{source!r} is a URL, not a repository id: give '{prefix}{name}'"
    if "://" in source:
        return f"{source!r} is a URL: download the file and give its path, or '{prefix}user/name' of the Hub"
    return f"{source!r} is neither a folder nor a repository id: give a folder that exists, or 'user/name'"


def is_url(text: str) -> bool:
    """Whether a text is a URL of the Hub or of another server, rather than a path or a repository id."""
    return "://" in text or repository_in_url(text) is not None


def repository_in_url(text: str) -> str | None:
    """'user/name' of a URL such as https://huggingface.co/datasets/user/name/tree/main; None for any other text."""
    host = re.escape(constants.ENDPOINT.partition("://")[2])
    found = re.match(
        rf"(?:(?:https?://|ssh://)?(?:[^@/\s]+@)?(?:www\.)?(?:huggingface\.co|hf\.co|{host})[/:]|hf://)"
        r"(?:(?:datasets|models|spaces)/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?(?:[/?#@].*)?$",
        text.strip(),
    )
    return found[1] if found else None


def missing_file_message(where: str, file: str, found: Iterable[str]) -> str:
    """The error for a model folder that lacks `file`; `found` are the names of the files in it."""
    pickles = sorted(name for name in found if _is_pickle(name))
    hint = f"; {', '.join(pickles)} is a pickle, which is never loaded" if pickles else ""
    convert = _IMPORT if any(map(_ORIGINAL.fullmatch, pickles)) else ""
    return f"{where}: no {file} there{hint}. A model folder holds config.json and model.safetensors{convert}"


def not_a_folder_message(file: Path) -> str:
    """The error for a file given instead of a model folder."""
    if not _is_pickle(file.name):
        return f"{file} is a file: give the folder it is in"
    convert = _IMPORT if _ORIGINAL.fullmatch(file.name) else ""
    return f"{file} is a pickle, which is never loaded: give a folder with config.json and model.safetensors{convert}"


def _is_pickle(name: str) -> bool:
    return name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl"))
