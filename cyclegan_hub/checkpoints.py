"""The published epochs of a model, wherever they live: a folder, a repository on the Hub, or its cache when there is no Hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, scan_cache_dir, try_to_load_from_cache
from huggingface_hub.errors import CacheNotFound, EntryNotFoundError

from cyclegan_hub.hub.errors import FailureKind, explain, failure_of, file_message, wrong_name_message
from cyclegan_hub.hub.records import EPOCH, ModelError, chosen_in, epoch_name, epoch_number, epochs_in, folder_of, listed
from cyclegan_hub.hub.repository import MODEL, Refs, is_folder, refs_of
from cyclegan_hub.models.auto import Model, from_pretrained


@dataclass(frozen=True)
class Epoch:
    """One published model: of an epoch, or "main" where there are no epochs."""

    name: str  # "epoch-005" or "main"
    number: int | None  # None for "main"
    revision: str  # its folder, or its commit on the Hub
    best: bool  # whether it is the one that loads when none is named


# The refs of repositories that were asked for: a commit never changes, and a load by commit needs no request if it is cached.
_KNOWN: dict[tuple[str, str | bool | None], Refs] = {}


def list_epochs(
    source: str | Path,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> list[Epoch]:
    """The epochs of a run or model folder, or of a Hub repository ("user/name"), ascending; never empty.

    A repository's tags are asked for once in a process (`forget` to ask again). When the Hub cannot be reached, or with
    `local_files_only`, these are the epochs that lie in the cache.

    Raises ModelError when there is no such folder or repository, or it cannot be reached and nothing of it is in the cache.
    """
    if is_folder(source):
        return _in_folder(Path(source))
    refs = _refs(str(source), token, cache_dir, local_files_only)
    if not refs.epochs:
        return [Epoch("main", None, refs.main or "", best=True)]
    best = _best(str(source), refs, token, cache_dir, local_files_only)
    return [Epoch(name, epoch_number(name), commit, name == best) for name, commit in refs.epochs.items()]


def load(
    source: str | Path,
    epoch: str | int | None = None,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Model:
    """The model of one epoch (5 or "epoch-005"; None or "main": the best), from wherever `list_epochs` finds it.

    What is cached at the commit that the epoch's tag had when it was asked for loads without any request.
    Raises ModelError as `list_epochs` and `from_pretrained` do, and for an epoch that is not there.
    """
    name = epoch_name(epoch) if isinstance(epoch, int) else epoch or "main"
    if is_folder(source):
        return from_pretrained(source, revision=name)
    repo = str(source)
    refs = _refs(repo, token, cache_dir, local_files_only)
    commit = refs.main if name == "main" else refs.epochs.get(name)
    if commit is None and not (name == "main" and not refs.epochs):
        raise ModelError(f"{repo}: no epoch {name!r}; {listed(refs.epochs)}")
    # By name the first time, so that the cache also knows which commit the tag is: offline, that is all there is to go by.
    cached = commit is not None and _is_cached(repo, commit, cache_dir)
    return from_pretrained(
        repo, revision=commit if cached else name, token=token, cache_dir=cache_dir, local_files_only=local_files_only
    )


def forget(source: str) -> None:
    """Drops what is remembered of a repository's tags: after something was published there."""
    for key in [key for key in list(_KNOWN) if key[0] == source]:
        _KNOWN.pop(key, None)


def _in_folder(folder: Path) -> list[Epoch]:
    epochs = epochs_in(folder)
    if epochs:
        best = chosen_in(folder)
        return [Epoch(name, epoch_number(name), str(path), name == best) for name, path in epochs.items()]
    if not (folder_of(folder, None) / constants.CONFIG_NAME).is_file():
        raise ModelError(f"{folder}: no config.json and no epochs/ there: give a run folder or a model folder")
    return [Epoch("main", None, str(folder), best=True)]


def _refs(repo: str, token: str | bool | None, cache_dir: str | Path | None, local_files_only: bool) -> Refs:
    """From memory, the Hub, or the cache, in this order."""
    if (repo, token) in _KNOWN:
        return _KNOWN[repo, token]
    no_answer: Exception | None = None
    if not local_files_only:
        try:
            return _KNOWN.setdefault((repo, token), refs_of(repo, token))
        except Exception as error:  # OSError and, by version, the errors of one of two HTTP libraries
            failure = failure_of(error)
            if failure.kind is FailureKind.NAME:
                raise ModelError(wrong_name_message(repo)) from None
            if not failure.is_down:  # the Hub answers, and refuses
                raise ModelError(explain(error, f"{repo}: its epochs could not be listed")) from error
            no_answer = error
    refs = _in_cache(repo, cache_dir)
    if refs.main is not None or refs.epochs:
        return refs
    if (parent := Path(repo).parent) != Path() and parent.is_dir():
        there = sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
        raise ModelError(f"{repo}: there is no such folder; {parent} holds {', '.join(there[:10]) or 'none'}")
    missing = f"{repo}: no folder of that name, nothing of it is in the cache, and the Hub "
    if no_answer is None:
        raise ModelError(f"{missing}was not to be asked: load it once with a connection")
    raise ModelError(explain(no_answer, f"{missing}did not answer")) from no_answer


def _in_cache(repo: str, cache_dir: str | Path | None) -> Refs:
    """The commits of a repository that are cached whole, with the names that they had when they were fetched."""
    try:
        cached = scan_cache_dir(cache_dir).repos
    except (CacheNotFound, ValueError):  # none yet, or a file of that name
        return Refs(None, {})
    own = (one.revisions for one in cached if one.repo_type == "model" and one.repo_id == repo)
    revisions = [revision for revision in chain(*own) if _is_cached(repo, revision.commit_hash, cache_dir)]
    found = {name: revision.commit_hash for revision in revisions for name in revision.refs}
    main = found.get("main")
    epochs = {name: commit for name, commit in found.items() if EPOCH.fullmatch(name)}
    if main:
        number = _epoch_of(repo, main, cache_dir)
        # Of the best epoch only `main` may have been loaded.
        if number is not None and main not in epochs.values():
            epochs.setdefault(epoch_name(number), main)
    return Refs(main, dict(sorted(epochs.items(), key=lambda item: epoch_number(item[0]))))


def _is_cached(repo: str, commit: str, cache_dir: str | Path | None) -> bool:
    return all(isinstance(try_to_load_from_cache(repo, name, cache_dir, revision=commit), str) for name in MODEL)


def _epoch_of(repo: str, commit: str, cache_dir: str | Path | None) -> int | None:
    """The epoch in a cached config; None if it holds none."""
    path = try_to_load_from_cache(repo, constants.CONFIG_NAME, cache_dir, revision=commit)
    try:
        epoch = json.loads(Path(path).read_bytes()).get("epoch") if isinstance(path, str) else None
    except (ValueError, AttributeError):  # a load will say that it is damaged
        return None
    return epoch if isinstance(epoch, int) else None


def _best(repo: str, refs: Refs, token: str | bool | None, cache_dir: str | Path | None, local_files_only: bool) -> str | None:
    """Which epoch `main` holds: the one with its commit, else the one its config names (a later commit changed the card only)."""
    if refs.main is None:
        return None
    same = [name for name, commit in refs.epochs.items() if commit == refs.main]
    if same:
        return same[-1]
    try:
        hf_hub_download(
            repo, constants.CONFIG_NAME, revision=refs.main, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
    except EntryNotFoundError:  # no model on `main`, or the Hub is gone since: no epoch is known to be the best
        return None
    except Exception as error:  # as in _refs
        raise ModelError(file_message(error, repo, f"{repo}@main", constants.CONFIG_NAME)) from error
    number = _epoch_of(repo, refs.main, cache_dir)
    return epoch_name(number) if number is not None and epoch_name(number) in refs.epochs else None
