"""What the local test Hub holds, and who may see it: repositories, contents, users, and the errors that refuse a request."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse

Entry = dict[str, Any]  # a file as the API shows it: oid, size, and lfs {oid, size, pointerSize} if it is an LFS file
Tree = dict[str, Entry]  # path -> file

LFS_PATTERNS = (
    *("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.onnx", "*.h5"),
    *("*.npz", "*.npy", "*.zip", "*.gz", "*.tar", "*.parquet", "*.arrow"),
)
GIT_ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS).encode()


class Problem(Exception):
    """An error answer. The client tells missing repositories, revisions, files and gates apart by `code`, not by the status."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        headers |= {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.response = JSONResponse({"error": message}, status, headers)


@dataclass(frozen=True)
class User:
    """Who a token belongs to; `write` says whether the token may change anything."""

    name: str
    orgs: tuple[str, ...] = ()
    write: bool = True

    def owns(self, namespace: str) -> bool:
        """Whether it is the user's own namespace or one of an organisation of theirs."""
        return namespace in (self.name, *self.orgs)


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests whose path the regular expression `path` is found in.

    The answer is held back for `delay` seconds; with a `status`, that status, `headers` and `body` come in its place and
    nothing is done; with `cut_after`, the connection is cut once so many bytes of the answer's body are sent.
    """

    path: str
    method: str | None = None  # None: any
    times: int = 1
    delay: float = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    cut_after: int | None = None

    def hits(self, method: str, path: str) -> bool:
        """Whether it is still to happen, and to this request."""
        return self.times > 0 and self.method in (None, method) and re.search(self.path, path) is not None


@dataclass(frozen=True)
class LogEntry:
    """One request that was answered, or refused."""

    method: str
    path: str  # quoted, as it was sent
    status: int
    authorized: bool  # whether it carried a token


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")  # the client parses exactly this form


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """A repository: everything but the contents of its files."""

    id: str  # "namespace/name"
    kind: str  # "models", "datasets" or "spaces"
    private: bool = False
    gated: bool | str = False
    disabled: bool = False
    granted: list[str] = field(default_factory=list)  # users who may read it although it is gated
    created: str = field(default_factory=_now)
    heads: dict[str, str] = field(default_factory=dict)  # branch -> commit
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)  # hash -> what the API says of it, and its parent
    trees: dict[str, Tree] = field(default_factory=dict)  # hash of the commit -> its files

    @property
    def namespace(self) -> str:
        """The user or organisation it belongs to."""
        return self.id.split("/")[0]

    def find(self, revision: str) -> str | None:
        """The commit of a branch, a tag, a full ref (`refs/heads/main`), or a hash of 7 to 40 digits; None if there is none."""
        for table, prefix in ((self.heads, "refs/heads/"), (self.tags, "refs/tags/")):
            if commit := table.get(revision.removeprefix(prefix)):
                return commit
        if not re.fullmatch(r"[0-9a-f]{7,40}", revision):
            return None
        return next((commit for commit in self.commits if commit.startswith(revision)), None)

    def commit(self, tree: Tree, title: str, message: str = "", branch: str = "main", user: str = "") -> str:
        """Make `tree` the tip of a branch, and return the commit's hash (40 digits)."""
        told = {"title": title, "message": message, "date": _now(), "authors": [{"user": user}]}
        told["parent"] = self.heads.get(branch)
        commit = hashlib.sha1(json.dumps([told, tree, time.time_ns()]).encode()).hexdigest()
        self.commits[commit], self.trees[commit], self.heads[branch] = {"id": commit, **told}, tree, commit
        return commit

    def history(self, commit: str | None) -> Iterator[dict[str, Any]]:
        """The commits from one back to the first."""
        while commit:
            yield self.commits[commit]
            commit = self.commits[commit]["parent"]


@dataclass
class Hub:
    """The state of the Hub; its settings may be changed while it runs, and its repositories outlive it in the folder `root`.

    `tokens` says who is who. Files above `lfs_threshold` bytes, with a zero byte, or of a known binary suffix go to LFS;
    those above `multipart_chunk` bytes (None: never) are uploaded in parts of that size. With `cdn_host`, LFS files are
    served from that other name of this machine, where no token may be sent. Listings have `page` entries at a time.
    """

    root: Path
    tokens: dict[str, User] = field(default_factory=lambda: {"hf_local": User("user", ("org",))})
    lfs_threshold: int = 10_000_000
    multipart_chunk: int | None = None
    cdn_host: str | None = None
    page: int = 1000
    faults: list[Fault] = field(default_factory=list)
    log: list[LogEntry] = field(default_factory=list)
    repos: dict[str, Repo] = field(init=False)  # "models/user/name" -> repository

    def __post_init__(self) -> None:
        self.blob("").mkdir(parents=True, exist_ok=True)
        saved = self.root / "repos.json"
        repos = json.loads(saved.read_text()) if saved.exists() else []
        self.repos = {f"{repo['kind']}/{repo['id']}": Repo(**repo) for repo in repos}

    def save(self) -> None:
        """Write all repositories to `root`."""
        (self.root / "repos.json").write_text(json.dumps([asdict(repo) for repo in self.repos.values()]))

    def create(self, id: str, kind: str, private: bool, user: str) -> None:
        """A repository with its first commit on `main`, which holds a `.gitattributes` as the Hub's does."""
        repo = self.repos[f"{kind}/{id}"] = Repo(id, kind, private)
        repo.commit({".gitattributes": self.add(GIT_ATTRIBUTES)}, "initial commit", user=user)

    def blob(self, oid: str) -> Path:
        """Where the content of that hash is, or would be."""
        return self.root / "blobs" / oid

    def add(self, data: bytes) -> Entry:
        """Keep the content of a regular file."""
        oid = _git_sha1(data)
        self.blob(oid).write_bytes(data)
        return {"oid": oid, "size": len(data)}

    def lfs_entry(self, oid: str) -> Entry:
        """The entry of an LFS file whose content (SHA-256 `oid`) is already kept."""
        size = self.blob(oid).stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()
        return {"oid": _git_sha1(pointer), "size": size, "lfs": {"oid": oid, "size": size, "pointerSize": len(pointer)}}

    def text(self, entry: Entry | None) -> str:
        """The content of a file as text; "" if there is no such file."""
        return self.blob(content_oid(entry)).read_text("utf-8", "replace") if entry else ""


def content_oid(entry: Entry) -> str:
    """The hash that names a file's content: SHA-256 for LFS, git's SHA-1 otherwise."""
    return entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]


def card_metadata(text: str) -> tuple[dict[str, Any], str | None]:
    """(metadata, what is wrong with it) of the YAML head of a README; ({}, None) if it has none."""
    head = re.match(r"---[ \t]*\n(.*?)\n?---", text.replace("\r\n", "\n"), re.S)
    try:
        metadata = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError as error:
        return {}, f"YAML Metadata Error: {error}"
    if not isinstance(metadata, dict | None):
        return {}, "metadata must be a mapping"
    return metadata or {}, None


@dataclass
class Call:
    """One request to an endpoint, and what it may see."""

    hub: Hub
    request: Request
    body: bytes
    params: dict[str, str]  # the named parts of the path, unquoted

    def json(self) -> dict[str, Any]:
        """The body."""
        return json.loads(self.body or b"{}")

    def user(self) -> User | None:
        """Whose token it is; None without one. Raises Problem 401 for an unknown token."""
        header = self.request.headers.get("authorization")
        if header is None:
            return None
        if (user := self.hub.tokens.get(header.removeprefix("Bearer "))) is None:
            raise Problem(401, "Invalid credentials in Authorization header")
        return user

    def login(self) -> User:
        """As `user`. Raises Problem 401 without a token."""
        if (user := self.user()) is None:
            raise Problem(401, "Invalid username or password.")
        return user

    def repo(self, *, write: bool = False, files: bool = False) -> Repo:
        """The repository of the path, with the Hub's own refusals: what a user may not see does not exist for them.

        `write` needs a token that may; `files` are closed where a repository is gated, while its metadata stays open.
        """
        user, id = self.user(), f"{self.params['namespace']}/{self.params['name']}"
        repo = self.hub.repos.get(f"{self.params['kind']}/{id}")
        own = user is not None and user.owns(self.params["namespace"])
        refused = 403 if user else 401
        if repo is None or (repo.private and not own):
            raise Problem(404 if user else 401, "Repository not found", "RepoNotFound")
        if repo.disabled:
            raise Problem(403, "Access to this resource is disabled.")
        if write and not (own and user.write):
            raise Problem(refused, "You don't have the rights to write to this repo")
        if files and repo.gated and not (own or (user and user.name in repo.granted)):
            raise Problem(refused, f"Access to {id} is restricted.", "GatedRepo")
        return repo

    def commit(self, repo: Repo, revision: str | None = None) -> str:
        """The commit of a revision, by default the one in the path or else `main`. Raises Problem 404."""
        revision = revision or self.params.get("revision", "main")
        if (commit := repo.find(revision)) is None:
            raise Problem(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def tree(self, repo: Repo) -> Tree:
        """The files at the revision in the path. Raises Problem 404."""
        return repo.trees[self.commit(repo)]

    def flag(self, name: str) -> bool:
        """Whether a parameter of the query is true."""
        return self.request.query_params.get(name, "").lower() == "true"
