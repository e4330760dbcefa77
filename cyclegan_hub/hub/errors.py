"""Every fault of the Hub in one line with its remedy: the client's own texts have several lines."""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from cyclegan_hub.hub.model_folder import listed
from cyclegan_hub.hub.refs import refs_of


def remedy(error: BaseException) -> str:
    """What helps against an error of the Hub's client."""
    answer = getattr(error, "response", None)
    wait = re.search(r"Retry after (\d+)", str(error))  # the client puts the Hub's own header of limits into words
    match getattr(answer, "status_code", None):
        case 401:
            return "log in again with `hf auth login` (a wrong token is refused even where none is needed)"
        case 403:
            return "use a token that may do this (`hf auth login`)"
        case 429:
            seconds = wait[1] if wait else answer.headers.get("Retry-After")
            return f"try again in {seconds} seconds" if seconds else "try again in some minutes"
        case None:
            return "check the name and the connection"
    return "try again later"


def _not_fetched(source: str, where: str, name: str, error: Exception, token: str | bool | None) -> str:
    """One line on why the Hub did not give a file, with the remedy; the client's own texts have several lines."""
    match error:
        case HFValidationError():
            return f"{source!r} is neither a folder nor a repository name: give a folder that exists, or 'user/name'"
        case GatedRepoError():  # one of the next, so it comes first
            return f"{where}: access is restricted: ask for it on the repository's page, then log in with `hf auth login`"
        case RepositoryNotFoundError():
            return f"{where}: no folder and no repository of that name: check it, or log in with `hf auth login` if it is private"
        case RevisionNotFoundError():
            try:
                there = f"; {listed(refs_of(source, token)[1])}"
            except Exception:  # as for a download; the list is only a help
                there = ""
            return f"{where}: the repository has no such branch, tag or commit{there}"
        case LocalEntryNotFoundError():  # the Hub did not answer, and the cache does not have it
            cause = error.__cause__ or error
            return (
                f"{where}: no folder of that name, and {name} is not in the cache and could not be fetched from the Hub "
                f"({first_line(cause)}): {remedy(cause)}"
            )
        case EntryNotFoundError():
            return _missing(where, name, ())
    fault = f"{type(error).__name__}: {first_line(error)}"
    return f"{where}: {name} could not be fetched from the Hub ({fault}): {remedy(error)}"


def first_line(error: BaseException) -> str:
    """What an error says, in one line, without addresses: those of uploads are signed."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r" for url:? '?https?://[^\s']+'?", "", line)


def _missing(where: str, name: str, found: Any) -> str:
    pickles = sorted(n for n in found if n.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl")))
    hint = f"; {', '.join(pickles)} is a pickle, which is never loaded" if pickles else ""
    return f"{where}: no {name} there{hint}. A model folder holds config.json and model.safetensors"
