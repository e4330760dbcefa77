"""A stand-in for the Hub: the routes that `huggingface_hub` and `datasets` call in the tests, and faults.

    with LocalHub() as hub:
        hub.faults.append(Fault("/resolve/", method="GET", times=2, status=503, headers={"Retry-After": "1"}))
        subprocess.run([sys.executable, script], env=os.environ | client_environment(hub, tmp_path / "home"))

Repositories of all kinds with commits, tags, branches and LFS files are dictionaries in memory. A request for another host is
answered too, as by a proxy. Not covered: Xet, the Hub's chunked transfer, which the environment switches off, pages of long
listings, and uploads in several parts.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote

import yaml

Tree = dict[str, bytes]  # path -> content
LFS_PATTERNS = ("*.safetensors", "*.bin", "*.zip", "*.parquet", "*.onnx")
TOKENS = {"hf_local": True, "hf_read": False}  # of "user", to whom all belongs but what is of "other"; and of who may only read
DATE = "2026-01-01T00:00:00.000Z"  # the client parses exactly this form


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests whose path the regular expression `path` is found in.

    The answer is held back for `delay` seconds; with a `status`, it and `headers` come in its place and nothing is done; with
    `cut_after`, the connection is cut once so many bytes of the answer's body are sent.
    """

    path: str
    method: str | None = None  # None: any
    times: int = 1
    delay: float = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None


class Problem(Exception):
    """An error answer. The client tells missing repositories, revisions, files and gates apart by `code`, not by the status."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | headers


@dataclass
class Repo:
    """A repository: what its refs point to, and the files of each commit."""

    private: bool = False
    gated: bool | str = False
    heads: dict[str, str] = field(default_factory=dict)  # branch -> commit
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)  # hash -> what the API says of it, ascending
    trees: dict[str, Tree] = field(default_factory=dict)  # hash of the commit -> its files

    def commit(self, tree: Tree, title: str, branch: str = "main") -> str:
        """Makes `tree` the tip of a branch; returns the commit's hash."""
        oid = hashlib.sha1(f"{title}{time.time_ns()}".encode()).hexdigest()
        told = {"id": oid, "title": title, "message": "", "date": DATE, "authors": [], "parent": self.heads.get(branch)}
        self.commits[oid], self.trees[oid], self.heads[branch] = told, tree, oid
        return oid

    def find(self, revision: str) -> str:
        """The commit of a branch, a tag or a hash. Raises Problem 404."""
        name = revision.removeprefix("refs/heads/")
        found = self.heads.get(name) or self.tags.get(name) or (revision if revision in self.commits else None)
        if found is None:
            raise Problem(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found


class LocalHub(ThreadingHTTPServer):
    """The server, in a thread on a free port, and all that it holds."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repo] = {}  # "models/user/name"
        self.lfs: dict[str, bytes] = {}  # SHA-256 -> uploaded content
        self.faults: list[Fault] = []
        self.log: list[str] = []  # method and path, quoted as it was sent, of every request
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


def client_environment(hub: LocalHub, home: Path) -> dict[str, str]:
    """The variables with which a fresh Python process talks to the server, and keeps what it caches below `home`."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_local",
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


class _Handler(BaseHTTPRequestHandler):
    """One request: the fault or the answer of the first route that fits."""

    server: LocalHub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # without it every call takes 40 ms
    wbufsize = -1

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path, _, query = re.sub("^https?://[^/]+", "", self.path).partition("?")
        self.query, status, data, headers, cut = parse_qs(query), 200, b"", dict[str, str](), None
        self.server.log.append(f"{self.command} {self.path.partition('?')[0]}")
        for fault in self.server.faults:
            if fault.times > 0 and fault.method in (None, self.command) and re.search(fault.path, path):
                fault.times -= 1
                time.sleep(fault.delay)
                status, headers, cut = fault.status or 200, fault.headers, fault.cut_after
                break
        if status == 200:
            try:
                with self.server.lock:
                    status, data, headers = self.route(path)
            except Problem as problem:
                status, data, headers = problem.status, json.dumps({"error": str(problem)}).encode(), problem.headers
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data[:cut])
        self.close_connection = self.close_connection or cut is not None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def do_CONNECT(self) -> None:
        self.server.log.append(f"CONNECT {self.path}")
        self.send_error(502)

    def log_message(self, *_: object) -> None: ...

    def route(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers. Raises Problem."""
        for methods, pattern, endpoint in ROUTES:
            if self.command in methods and (match := pattern.fullmatch(path)):
                self.part = {name: unquote(part) for name, part in match.groupdict().items() if part}
                found = endpoint(self)
                return found if isinstance(found, tuple) else (200, json.dumps(found).encode(), {})
        raise Problem(404, f"no such endpoint: {self.command} {path}")

    # ------------------------------------------------------------------------------------------ what an endpoint asks for
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    def may_write(self) -> bool | None:
        """Whether the token may write; None without one. Raises Problem 401 for an unknown one."""
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise Problem(401, "Invalid credentials in Authorization header")
        return TOKENS.get(token)

    def repo(self, *, write: bool = False, files: bool = False) -> Repo:
        """The repository of the path. What a user may not see does not exist for them; `files` of a gated one are closed."""
        role = self.may_write()
        repo = self.server.repos.get(f"{self.part.get('kind', 'models')}/{self.part['repo']}")
        if repo is None or (repo.private and not role):
            raise Problem(401 if role is None else 404, "Repository not found", "RepoNotFound")
        if write and not role:
            raise Problem(403, "You don't have the rights to write to this repo")
        if files and repo.gated and not role:
            raise Problem(401 if role is None else 403, "Access is restricted.", "GatedRepo")
        return repo

    def tree(self, repo: Repo) -> Tree:
        """The files at the revision of the path."""
        return repo.trees[repo.find(self.part.get("revision", "main"))]


Endpoint = Callable[[_Handler], Any]
# Methods, path and endpoint. Paths are matched while still quoted, so that a revision is one part: `refs%2Fheads%2Fmain`.
ROUTES: list[tuple[list[str], re.Pattern[str], Endpoint]] = []
_PARTS = {"kind": "models|datasets|spaces", "repo": "[^/]+/[^/]+", "path": ".*"}


def route(methods: str, path: str) -> Callable[[Endpoint], Endpoint]:
    """Answer these methods at a path: a regular expression with {names} for its parts. A dictionary or list becomes JSON."""
    pattern = re.compile(re.sub(r"\{([a-z]+)\}", lambda name: f"(?P<{name[1]}>{_PARTS.get(name[1], '[^/]+')})", path))

    def register(endpoint: Endpoint) -> Endpoint:
        ROUTES.append((methods.split(), pattern, endpoint))
        return endpoint

    return register


# ---------------------------------------------------------------------------------------------- accounts and repositories
@route("GET", "/api/whoami-v2")
def whoami(call: _Handler) -> Any:
    auth = {"type": "access_token", "accessToken": {"displayName": "local", "role": "write" if call.may_write() else "read"}}
    return {"type": "user", "name": "user", "orgs": [], "auth": auth}


@route("POST", "/api/repos/create")
def create(call: _Handler) -> Any:
    asked = call.json()
    kind, owner = (asked.get("type") or "model") + "s", asked.get("organization") or "user"
    id = f"{owner}/{asked['name']}"
    if owner == "other" or not call.may_write():
        raise Problem(403, f'You don\'t have the rights to create {kind} under the namespace "{owner}"')
    answer = json.dumps({"url": f"{call.server.url}/{'' if kind == 'models' else kind + '/'}{id}"}).encode()
    if f"{kind}/{id}" in call.server.repos:
        return 409, answer, {}
    repo = call.server.repos[f"{kind}/{id}"] = Repo(asked.get("visibility") == "private" or bool(asked.get("private")))
    repo.commit({".gitattributes": b""}, "initial commit")
    return 200, answer, {}


@route("PUT", "/api/{kind}/{repo}/settings")
def settings(call: _Handler) -> Any:
    repo, asked = call.repo(write=True), call.json()
    repo.private = asked.get("visibility") == "private" or asked.get("private", repo.private)
    repo.gated = asked.get("gated", repo.gated)
    return {}


@route("GET", "/api/{kind}/{repo}(?:/revision/{revision})?")
def about(call: _Handler) -> Any:
    repo = call.repo()
    commit = repo.find(call.part.get("revision", "main"))
    siblings = [{"rfilename": path} for path in repo.trees[commit]]
    return {"id": call.part["repo"], "sha": commit, "private": repo.private, "gated": repo.gated, "siblings": siblings}


@route("POST", "/api/validate-yaml")
def validate_yaml(call: _Handler) -> Any:
    try:
        yaml.safe_load(call.json()["content"].split("---\n")[1])
    except yaml.YAMLError as error:
        return 400, json.dumps({"errors": [{"message": f"YAML Metadata Error: {error}"}], "warnings": []}).encode(), {}
    return {"errors": [], "warnings": []}


# ------------------------------------------------------------------------------------------------------- refs and commits
@route("GET", "/api/{kind}/{repo}/refs")
def refs(call: _Handler) -> Any:
    repo = call.repo()

    def listed(kind: str, table: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in table.items()]

    return {"branches": listed("heads", repo.heads), "tags": listed("tags", repo.tags), "converts": []}


@route("POST DELETE", "/api/{kind}/{repo}/(?P<table>tag|branch)/{revision}")
def tag_or_branch(call: _Handler) -> Any:
    """The path holds the name of a branch or of a tag to delete, but the revision that a new tag is put on."""
    repo, asked, name = call.repo(write=True), call.json(), call.part["revision"]
    table = repo.tags if call.part["table"] == "tag" else repo.heads
    if call.command == "DELETE":
        del table[name]
        return {}
    start = name if table is repo.tags else asked.get("startingPoint") or "main"
    name = asked.get("tag", name)
    if name in table:
        raise Problem(409, f"Reference already exists: {name}")
    table[name] = repo.find(start)
    return {}


@route("GET", "/api/{kind}/{repo}/commits/{revision}")
def commits(call: _Handler) -> Any:
    """From the newest; of one branch, which is all that the tests have."""
    return list(call.repo().commits.values())[::-1]


@route("POST", "/api/{kind}/{repo}/preupload/{revision}")
def preupload(call: _Handler) -> Any:
    """How each file is to be uploaded, and its hash if there is one of that name: the client drops what does not change."""
    tree = call.tree(call.repo(write=True))
    return {"files": [
        {"path": path, "shouldIgnore": False, "oid": content_oid(entry(path, tree[path])) if path in tree else None,
         "uploadMode": "lfs" if is_lfs(path, base64.b64decode(file["sample"])) else "regular"}
        for file in call.json()["files"] for path in [file["path"]]
    ]}  # fmt: skip


@route("POST", "/api/{kind}/{repo}/commit/{revision}")
def commit(call: _Handler) -> Any:
    """A commit in lines of JSON: a header, then one line for each file that is added or deleted."""
    repo, branch, title = call.repo(write=True), call.part["revision"].removeprefix("refs/heads/"), ""
    tree = dict(repo.trees[repo.find(branch)])
    for key, value in ((line["key"], line["value"]) for line in map(json.loads, call.body.splitlines())):
        match key:
            case "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, "", repo.find(branch)):
                    raise Problem(412, "A commit has happened since. Please refresh and try again.")
            case "file":
                tree[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                tree[value["path"]] = call.server.lfs[value["oid"]]
            case "deletedFile":
                del tree[value["path"]]
    oid = repo.commit(tree, title, branch)
    return {"success": True, "commitOid": oid, "commitUrl": f"{call.server.url}/{call.part['repo']}/commit/{oid}"}


# ------------------------------------------------------------------------------------------------------------------ files
def is_lfs(path: str, data: bytes) -> bool:
    return bool(data) and (b"\0" in data or any(fnmatch.fnmatch(path, pattern) for pattern in LFS_PATTERNS))


def entry(path: str, data: bytes) -> dict[str, Any]:
    """A file as the API shows it."""
    shown = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
    lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return shown | {"lfs": lfs} if is_lfs(path, data) else shown


def content_oid(entry: dict[str, Any]) -> str:
    """The hash that names a file's content: SHA-256 for LFS, git's SHA-1 otherwise."""
    return entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]


def entries(tree: Tree) -> dict[str, dict[str, Any]]:
    """All files and folders by path."""
    folders = {"/".join(parts[:i]) for parts in (path.split("/") for path in tree) for i in range(1, len(parts))}
    found = {path: {"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders}
    return dict(sorted((found | {path: entry(path, data) for path, data in tree.items()}).items()))


@route("GET", "/api/{kind}/{repo}/tree/{revision}(?:/{path})?")
def tree(call: _Handler) -> Any:
    found, base = entries(call.tree(call.repo(files=True))), call.part.get("path", "").strip("/")
    if base and base not in found:
        raise Problem(404, f"{base} does not exist", "EntryNotFound")
    below = {path: one for path, one in found.items() if not base or path.startswith(f"{base}/")}
    recursive = call.query.get("recursive", [""])[0].lower() == "true"
    return [one for path, one in below.items() if recursive or "/" not in path.removeprefix(base).strip("/")]


@route("POST", "/api/{kind}/{repo}/paths-info/{revision}")
def paths_info(call: _Handler) -> Any:
    is_json = call.headers["Content-Type"].startswith("application/json")
    wanted = call.json()["paths"] if is_json else parse_qs(call.body.decode()).get("paths", [])
    found = entries(call.tree(call.repo()))
    return [found[path.strip("/")] for path in wanted if path.strip("/") in found]


@route("GET HEAD", "(?:/{kind})?/{repo}/(?:resolve|raw)/{revision}/{path}")
def resolve(call: _Handler) -> Any:
    """The content of a file, or a range of it. X-Repo-Commit also comes with its absence, which the client then remembers."""
    repo = call.repo(files=True)
    commit, path = repo.find(call.part["revision"]), call.part["path"]
    if (data := repo.trees[commit].get(path)) is None:
        raise Problem(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit})
    headers = {"X-Repo-Commit": commit, "ETag": f'"{content_oid(entry(path, data))}"', "Accept-Ranges": "bytes"}
    if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range", "")):
        start, end = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        return 206, data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
    return 200, data, headers


@route("POST", "(?:/{kind})?/{repo}[.]git/info/lfs/objects/batch")
def lfs_batch(call: _Handler) -> Any:
    """Where to upload each object, or nothing for one that is there."""
    call.repo(write=True)
    wanted = [{"oid": one["oid"], "size": one["size"]} for one in call.json()["objects"]]
    for one in wanted:
        if one["oid"] not in call.server.lfs:
            one["actions"] = {"upload": {"href": f"{call.server.url}/_lfs/{one['oid']}"}}
    return {"transfer": "basic", "objects": wanted}


@route("PUT", "/_lfs/{oid}")
def lfs_object(call: _Handler) -> Any:
    if hashlib.sha256(call.body).hexdigest() != call.part["oid"]:
        raise Problem(400, "sha256 mismatch")
    call.server.lfs[call.part["oid"]] = call.body
    return {}
