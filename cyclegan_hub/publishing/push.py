"""Publishes a model folder on the Hub: a commit and a tag for each epoch, and `main` with the chosen epoch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not in an `__all__`

from cyclegan_hub import checkpoints
from cyclegan_hub.errors import first_line
from cyclegan_hub.hub.errors import HUB_ERRORS, not_published
from cyclegan_hub.hub.records import chosen_in, epoch_number, epochs_in
from cyclegan_hub.hub.repository import refs_of
from cyclegan_hub.publishing.build import MODEL, SHARED, PublishError, read_files

TIMEOUT = 60  # seconds to wait for an answer; the client itself has no limit
SLOWEST = 20_000  # bytes a second: a slower upload is stopped
_ERRORS: tuple[type[Exception], ...] = (*HUB_ERRORS, ValueError)  # ValueError: the client refuses the card's YAML
T = TypeVar("T")


def check(repo_id: str, token: str | None = None) -> None:
    """Raises PublishError for a wrong repository name, for a missing token, and for a token that may not write."""
    check_name(repo_id)
    if not (token or get_token()):
        raise PublishError("no token to publish with: log in with `hf auth login`, or set HF_TOKEN")
    auth = _answer_of(repo_id, "checking the token", HfApi(token=token).whoami).get("auth") or {}
    if (auth.get("accessToken") or {}).get("role") == "read":
        raise PublishError(f"{repo_id}: the token may only read: make one with write permission and log in with `hf auth login`")


def check_name(repo_id: str) -> None:
    """Raises PublishError for anything but the name of a repository with its owner: "user/name"."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is no repository name ({first_line(error)}): give 'user/name'") from None
    if "/" not in repo_id:
        raise PublishError(f"{repo_id!r} names no owner: give 'user/name'")


def push(folder: Path, repo_id: str, *, private: bool = False, retag: bool = False, token: str | None = None) -> dict[str, str]:
    """Publishes a model folder; returns the commit of each of its epochs' tags, and of "main".

    Each epoch that is not in the repository yet becomes one commit with a tag, the chosen one last, and `main` then holds the
    chosen epoch. Equal files are not uploaded again. Every commit names its parent, so that of two people who publish at the same
    time one gets an error. Raises PublishError in that case, for tags that hold another model (unless `retag`, which moves
    them), and for every refusal by the Hub; running it again completes the publication.
    """
    check(repo_id, token)
    epochs, shared = epochs_in(folder), read_files(folder, SHARED)
    if not epochs or any(not (path / name).is_file() for path in epochs.values() for name in MODEL) or "README.md" not in shared:
        raise PublishError(f"{folder} is no model folder with a card and epochs/: build it from the run first")
    chosen, api, opening = chosen_in(folder), HfApi(token=token), "opening the repository"
    _answer_of(repo_id, opening, lambda: api.create_repo(repo_id, private=private or None, exist_ok=True))
    if private and not _answer_of(repo_id, opening, lambda: api.model_info(repo_id)).private:
        raise PublishError(f"{repo_id} is there and public: change that in its settings, or leave --private out")
    head, tags = _answer_of(repo_id, opening, lambda: refs_of(repo_id, token))
    equal = _equal_epochs(api, repo_id, epochs, tags)
    wrong = [name for name in epochs if name in tags and name not in equal]
    if wrong and not retag:
        raise PublishError(
            f"{repo_id}: {', '.join(wrong)} there holds another model than this run: move the tag with --retag, or publish "
            "to another repository"
        )
    for name in sorted(set(epochs) - equal, key=lambda name: (name == chosen, epoch_number(name))):
        head = _commit(api, repo_id, head, name, read_files(epochs[name], MODEL) | shared)
        _tag(api, repo_id, name, head, moves=name in tags)
        tags[name] = head
    head = _commit(api, repo_id, head, f"main is {chosen}", read_files(epochs[chosen], MODEL) | shared)
    checkpoints.forget(repo_id)
    return {name: tags[name] for name in epochs} | {"main": head}


def _equal_epochs(api: HfApi, repo_id: str, epochs: dict[str, Path], tags: dict[str, str]) -> set[str]:
    """The epochs whose tags in the repository already hold equal files."""
    return {
        name
        for name, path in epochs.items()
        if name in tags and not _changes(api, repo_id, "opening the repository", tags[name], read_files(path, MODEL), MODEL)
    }


def _commit(api: HfApi, repo_id: str, head: str | None, message: str, files: dict[str, bytes]) -> str:
    """Commits these files on top of `head` of `main`; returns the new commit, or `head` if it holds the same files already."""
    doing = f"committing {message}"
    operations = _changes(api, repo_id, doing, head, files, (*MODEL, *SHARED))
    if not operations and head is not None:
        return head
    size = sum(len(files[one.path_in_repo]) for one in operations if isinstance(one, CommitOperationAdd))
    made = _answer_of(
        repo_id, doing, lambda: api.create_commit(repo_id, operations, commit_message=message, parent_commit=head), size
    )
    return str(made.oid)


def _tag(api: HfApi, repo_id: str, name: str, commit: str, *, moves: bool) -> None:
    """Sets an epoch's tag; `moves`: the tag exists, and is deleted first."""
    if moves:
        _answer_of(repo_id, f"tagging {name}", lambda: api.delete_tag(repo_id, tag=name))
    _answer_of(repo_id, f"tagging {name}", lambda: api.create_tag(repo_id, tag=name, revision=commit))


def _changes(
    api: HfApi, repo_id: str, doing: str, commit: str | None, files: dict[str, bytes], names: Sequence[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """The operations that make a commit's files called `names` equal to `files`: additions and deletions."""
    found = _answer_of(repo_id, doing, lambda: api.get_paths_info(repo_id, list(names), revision=commit))
    there = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
    added = [CommitOperationAdd(name, data) for name, data in files.items() if not _equal(there.get(name), data)]
    return [*added, *(CommitOperationDelete(name) for name in there if name not in files)]


def _equal(entry: RepoFile | None, data: bytes) -> bool:
    """Whether a file of the repository has this content, by its hash: SHA-256 for an LFS file, git's own hash otherwise."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _answer_of(repo_id: str, doing: str, request: Callable[[], T], upload_bytes: int = 0) -> T:
    """The answer to a request of the client. Raises PublishError, in one line, for its errors and for no answer in time."""
    try:
        return _answer_within(TIMEOUT + upload_bytes / SLOWEST, request)
    except _ERRORS as error:
        raise PublishError(not_published(error, repo_id, doing)) from error


def _answer_within(seconds: float, request: Callable[[], T]) -> T:
    """What `request` returns or raises; TimeoutError after so many seconds.

    The request runs in a thread of its own, which goes on after a timeout: the client has no time limit for uploads, and a limit
    in its session would apply to everything else in this process.
    """
    answers: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            answers.append(request())
        except BaseException as error:
            errors.append(error)
        done.set()

    threading.Thread(target=work, name="hub-request", daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"no answer in {seconds:.0f} seconds")
    if errors:
        raise errors[0]
    return answers[0]
