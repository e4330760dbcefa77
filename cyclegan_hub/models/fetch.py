"""A published model's two files, from a folder or the Hub, and its epoch tags; what the Hub's client says, in one line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from huggingface_hub import constants, get_session, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id

from cyclegan_hub.models.folders import EPOCH, ModelError, epoch_number, folder_of, listed

_FILES = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)


def fetch(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> tuple[str, bytes, Path]:
    """(what errors call it, text of `config.json`, file of the weights) of a folder or repository, both of one commit.

    Arguments and errors as of `StrictHubMixin.from_pretrained`.
    """
    folder = Path(source)
    if os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        folder = folder_of(folder, revision)
        where, paths = str(folder), [folder / name for name in _FILES]
        for path in paths:
            if not path.is_file():
                raise ModelError(_missing(where, path.name, (p.name for p in folder.iterdir())))
    elif os.path.isfile(folder):  # noqa: PTH113 (as above)
        raise ModelError(f"{source} is a file: give the folder it is in")
    else:
        where, paths, commit = f"{source}@{revision or 'main'}", [], revision
        for name in _FILES:
            try:
                path = hf_hub_download(
                    str(source), name, revision=commit, token=token, cache_dir=cache_dir,
                    force_download=force_download, local_files_only=local_files_only,
                )  # fmt: skip
            except Exception as error:  # OSError, ValueError and, by version, the errors of one of two HTTP libraries
                raise ModelError(_not_fetched(str(source), where, name, error, token)) from error
            paths.append(Path(path))
            commit = paths[0].parent.name  # .../snapshots/COMMIT/config.json
    return where, paths[0].read_bytes(), paths[1]


def refs_of(repo: str, token: str | bool | None = None) -> tuple[str | None, dict[str, str]]:
    """A repository's commit on `main`, and its epoch tags with their commits, ascending: one request, errors as the client's."""
    validate_repo_id(repo)
    answer = get_session().get(  # not HfApi.list_repo_refs, which would wait for ever
        f"{constants.ENDPOINT}/api/models/{repo}/refs",
        headers=build_hf_headers(token=token),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    hf_raise_for_status(answer)
    branches, tags = ({ref["name"]: ref["targetCommit"] for ref in answer.json()[kind]} for kind in ("branches", "tags"))
    names = sorted(filter(EPOCH.fullmatch, tags), key=epoch_number)
    return branches.get("main"), {name: tags[name] for name in names}


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
