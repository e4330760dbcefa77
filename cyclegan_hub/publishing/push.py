"""Publishes a model folder on the Hub: a commit and a tag for each epoch, and `main` with the chosen epoch."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, but not in an `__all__`

from cyclegan_hub import checkpoints
from cyclegan_hub.errors import first_line
from cyclegan_hub.hub.errors import HUB_ERRORS, FailureKind, explain, failure_of
from cyclegan_hub.hub.records import chosen_in, epoch_number, epochs_in
from cyclegan_hub.hub.repository import MODEL, Refs, refs_of
from cyclegan_hub.publishing.build import SHARED, PublishError, read_files

TIMEOUT = 60  # seconds to wait for an answer; the client itself has no limit
SLOWEST = 20_000  # bytes a second: a slower upload is given up
_ERRORS: tuple[type[Exception], ...] = (*HUB_ERRORS, ValueError)  # ValueError: the client refuses the card's YAML
T = TypeVar("T")
_OPENING = "opening the repository"


def check(repo_id: str, token: str | None = None) -> None:
    """Raises PublishError for a wrong repository name, for a missing token, and for a token that may not write."""
    check_name(repo_id)
    if not (token or get_token()):
        raise PublishError("no token to publish with: log in with `hf auth login`, or set HF_TOKEN")
    hub = _Repository(repo_id, token)
    auth = hub.ask("checking the token", hub.api.whoami).get("auth") or {}
    if (auth.get("accessToken") or {}).get("role") == "read":
        raise PublishError(f"{repo_id}: the token may only read: make one with write permission and log in with `hf auth login`")


def check_name(repo_id: str) -> None:
    """Raises PublishError for anything but the name of a repository with its owner: "user/name"."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is not a repository id ({first_line(error)}): give 'user/name'") from None
    if "/" not in repo_id:
        raise PublishError(f"{repo_id!r} has no owner: give 'user/name'")


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
        raise PublishError(f"{folder} is not a model folder with a card and epochs/: build it from the run first")
    chosen, hub = chosen_in(folder), _Repository(repo_id, token)
    head, tags = hub.open(private)
    equal = {name for name in epochs.keys() & tags.keys()
             if not hub.changes(_OPENING, tags[name], read_files(epochs[name], MODEL), MODEL)}  # fmt: skip
    wrong = [name for name in epochs if name in tags and name not in equal]
    if wrong and not retag:
        raise PublishError(
            f"{repo_id}: {', '.join(wrong)} there holds another model than this run: move the tag with --retag, or publish "
            "to another repository"
        )
    for name in sorted(epochs.keys() - equal, key=lambda name: (name == chosen, epoch_number(name))):
        head = hub.commit(head, name, read_files(epochs[name], MODEL) | shared)
        hub.tag(name, head, moves=name in tags)
        tags[name] = head
    head = hub.commit(head, f"main is {chosen}", read_files(epochs[chosen], MODEL) | shared)
    checkpoints.forget(repo_id)
    return {name: tags[name] for name in epochs} | {"main": head}


class _Repository:
    """The repository that is published to. Every method raises PublishError, in one line, where the Hub refuses."""

    def __init__(self, repo_id: str, token: str | None) -> None:
        self.id, self.token, self.api = repo_id, token, HfApi(token=token)

    def open(self, private: bool) -> Refs:
        """Creates the repository if it is missing; returns what its branches and tags point to."""
        self.ask(_OPENING, lambda: self.api.create_repo(self.id, private=private or None, exist_ok=True))
        if private and not self.ask(_OPENING, lambda: self.api.model_info(self.id)).private:
            raise PublishError(f"{self.id} exists and is public: change that in its settings, or leave --private out")
        return self.ask(_OPENING, lambda: refs_of(self.id, self.token))

    def commit(self, head: str | None, message: str, files: dict[str, bytes]) -> str:
        """Commits these files on top of `head` of `main`; returns the new commit, or `head` if it holds the same files."""
        step = f"committing {message}"
        operations = self.changes(step, head, files, (*MODEL, *SHARED))
        if not operations and head is not None:
            return head
        size = sum(len(files[one.path_in_repo]) for one in operations if isinstance(one, CommitOperationAdd))
        made = self.ask(
            step, lambda: self.api.create_commit(self.id, operations, commit_message=message, parent_commit=head), size
        )
        return str(made.oid)

    def tag(self, name: str, commit: str, *, moves: bool) -> None:
        """Sets an epoch's tag; `moves`: the tag exists, and is deleted first."""
        if moves:
            self.ask(f"tagging {name}", lambda: self.api.delete_tag(self.id, tag=name))
        self.ask(f"tagging {name}", lambda: self.api.create_tag(self.id, tag=name, revision=commit))

    def changes(
        self, step: str, commit: str | None, files: dict[str, bytes], names: Sequence[str]
    ) -> list[CommitOperationAdd | CommitOperationDelete]:
        """The operations that make a commit's files called `names` equal to `files`: additions and deletions."""
        found = self.ask(step, lambda: self.api.get_paths_info(self.id, list(names), revision=commit))
        there = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
        added = [CommitOperationAdd(name, data) for name, data in files.items() if not _equal(there.get(name), data)]
        return [*added, *(CommitOperationDelete(name) for name in there if name not in files)]

    def ask(self, step: str, request: Callable[[], T], upload_bytes: int = 0) -> T:
        """The answer to a request of the client. Raises PublishError also where there is none in time."""
        try:
            return _answer_within(TIMEOUT + upload_bytes / SLOWEST, request)
        except _ERRORS as error:
            raise PublishError(_message(error, f"{self.id}: {step}")) from error


def _equal(entry: RepoFile | None, data: bytes) -> bool:
    """Whether a file of the repository has this content, by its hash: SHA-256 for an LFS file, git's own hash otherwise."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _message(error: Exception, what: str) -> str:
    """The message for a step of a publication that failed, and whether to run the command again."""
    failure = failure_of(error)
    # The client's verdict on the card's YAML. It also gives a ValueError for a proxy that it cannot use.
    if isinstance(error, ValueError) and not isinstance(error, HUB_ERRORS) and failure.kind is not FailureKind.PROXY:
        return f"{what}: {' '.join(str(error).split())}"
    line = explain(error, what, {FailureKind.FORBIDDEN: "publish under your own name, or with a token that may write there"})
    is_transient = failure.is_down or (failure.kind is FailureKind.REFUSED and failure.status not in (400, 413))
    return f"{line}; the same command then completes what was begun" if is_transient else line


def _answer_within(seconds: float, request: Callable[[], T]) -> T:
    """What `request` returns or raises; TimeoutError after `seconds`.

    The request runs in a daemon thread, which continues after a timeout: the client has no time limit for uploads, and a limit
    in its session would apply to everything else in this process.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(request())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="hub-request", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():
            raise
        raise TimeoutError(f"no answer in {seconds:.0f} seconds") from None
