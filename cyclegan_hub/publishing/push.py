"""A model folder to the Hub: a commit and a tag for each epoch, `main` at the chosen one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from cyclegan_hub import checkpoints
from cyclegan_hub.hub.errors import HUB_ERRORS, first_line, not_published
from cyclegan_hub.hub.model_folder import chosen_in, epoch_number, epochs_in
from cyclegan_hub.hub.refs import refs_of
from cyclegan_hub.publishing.build import MODEL, SHARED, PublishError, _read

TIMEOUT = 60  # seconds without a byte of an answer; the client itself would wait for ever


# ------------------------------------------------------------------------------------------------------------ the Hub
def check(repo_id: str, token: str | None = None) -> None:
    """Raises PublishError for a wrong repository name, without a token, or with one that the Hub does not let write."""
    check_name(repo_id)
    if not (token or get_token()):
        raise PublishError("no token to publish with: log in with `hf auth login`, or set HF_TOKEN")
    with _hub(repo_id, "checking the token"):
        auth = HfApi(token=token).whoami().get("auth") or {}
    if (auth.get("accessToken") or {}).get("role") == "read":
        raise PublishError(f"{repo_id}: the token may only read: make one with write permission and log in with `hf auth login`")


def check_name(repo_id: str) -> None:
    """Raises PublishError for what is no name of a repository with its owner."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is no repository name ({first_line(error)}): give 'user/name'") from None
    if "/" not in repo_id:
        raise PublishError(f"{repo_id!r} names no owner: give 'user/name'")


def push(folder: Path, repo_id: str, *, private: bool = False, retag: bool = False, token: str | None = None) -> dict[str, str]:
    """Publishes a model folder; returns the commit of each of its epochs' tags, and of "main".

    Each epoch that the repository does not hold yet becomes one commit with a tag, the chosen one last, and `main` ends at
    the chosen epoch. What is there and equal is left alone. Every commit names its parent: of two publishers at once, one is told
    to run again. Raises PublishError for that, for tags that hold another model (unless `retag`, which moves them), and for
    whatever the Hub refuses; running it again then completes what was begun.
    """
    check(repo_id, token)
    epochs, shared = epochs_in(folder), _read(folder, SHARED)
    if not epochs or any(not (path / name).is_file() for path in epochs.values() for name in MODEL) or "README.md" not in shared:
        raise PublishError(f"{folder} is no model folder with a card and epochs/: build it from the run first")
    chosen = chosen_in(folder)
    api = HfApi(token=token)
    with _hub(repo_id, "opening the repository"):
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise PublishError(f"{repo_id} is there and public: change that in its settings, or leave --private out")
        head, tags = refs_of(repo_id, token)
        right = {
            name
            for name, path in epochs.items()
            if name in tags and not _changes(api, repo_id, tags[name], _read(path, MODEL), MODEL)
        }
    wrong = [name for name in epochs if name in tags and name not in right]
    if wrong and not retag:
        raise PublishError(
            f"{repo_id}: {', '.join(wrong)} there holds another model than this run: move the tag with --retag, or publish "
            "to another repository"
        )
    for name in sorted(set(epochs) - right, key=lambda name: (name == chosen, epoch_number(name))):
        head = _commit(api, repo_id, head, name, _read(epochs[name], MODEL) | shared)
        with _hub(repo_id, f"tagging {name}"):
            if name in tags:
                api.delete_tag(repo_id, tag=name)
            api.create_tag(repo_id, tag=name, revision=head)
        tags[name] = head
    head = _commit(api, repo_id, head, f"main is {chosen}", _read(epochs[chosen], MODEL) | shared)
    checkpoints.forget(repo_id)
    return {name: tags[name] for name in epochs} | {"main": head}


def _commit(api: HfApi, repo_id: str, head: str | None, message: str, files: dict[str, bytes]) -> str:
    """Brings `main`, which is at `head`, to hold these files; returns its commit, the same one if it does already."""
    with _hub(repo_id, f"committing {message}"):
        operations = _changes(api, repo_id, head, files, (*MODEL, *SHARED))
        if operations or head is None:
            head = api.create_commit(repo_id, operations, commit_message=message, parent_commit=head).oid
    return head


def _changes(
    api: HfApi, repo_id: str, commit: str | None, files: dict[str, bytes], names: Sequence[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """What turns those of `names` that a commit has into `files`."""
    found = api.get_paths_info(repo_id, list(names), revision=commit)
    there = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
    added = [CommitOperationAdd(name, data) for name, data in files.items() if not _equal(there.get(name), data)]
    return [*added, *(CommitOperationDelete(name) for name in there if name not in files)]


def _equal(entry: RepoFile | None, data: bytes) -> bool:
    """By hash: SHA-256 of an LFS file, git's own of another."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def _hub(repo_id: str, doing: str) -> Iterator[None]:
    """Gives the client's requests a time limit, and turns its errors into one line."""
    session = get_session()
    before, session.timeout = session.timeout, TIMEOUT
    try:
        yield
    except PublishError:
        raise
    except (*HUB_ERRORS, ValueError) as error:  # ValueError: the Hub's word on the card's YAML
        raise PublishError(not_published(error, repo_id, doing)) from error
    finally:
        session.timeout = before
