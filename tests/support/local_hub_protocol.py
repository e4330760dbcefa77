"""What the local test Hub answers about accounts, repositories, refs and commits (contents: `local_hub_files.py`).

Written from the source of the client, huggingface_hub 2.4.0. Every endpoint raises Problem for an error answer.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from support.local_hub_state import LFS_PATTERNS, Call, Entry, Hub, Problem, Repo, Tree, card_metadata, content_oid

Answer = Response | dict[str, Any] | list[Any]
Endpoint = Callable[[Call], Answer]

# Methods, path and endpoint. Paths are matched while still quoted, so that a revision is one part: `refs%2Fheads%2Fmain`.
ROUTES: list[tuple[list[str], re.Pattern[str], Endpoint]] = []
_PARTS = {
    "kind": "(?P<kind>models|datasets|spaces)",
    "repo": "(?P<namespace>[^/]+)/(?P<name>[^/]+)",
    "path": "(?P<path>.*)",
    "oid": "(?P<oid>[0-9a-f]{64})",
}


def route(methods: str, path: str) -> Callable[[Endpoint], Endpoint]:
    """Answer these methods at a path: a regular expression with {names} for its parts."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", lambda name: _PARTS.get(name[1], f"(?P<{name[1]}>[^/]+)"), path))

    def register(endpoint: Endpoint) -> Endpoint:
        ROUTES.append((methods.split(), pattern, endpoint))
        return endpoint

    return register


def paged(call: Call, items: list[Any], size: int | None = None) -> Response:
    """One page of a list, with a link to the next one."""
    size, start = min(size or call.hub.page, call.hub.page), int(call.request.query_params.get("cursor", 0))
    following = call.request.url.include_query_params(cursor=start + size)
    headers = {"Link": f'<{following}>; rel="next"'} if start + size < len(items) else {}
    return JSONResponse(items[start : start + size], headers=headers)


@route("GET", "/api/whoami-v2")
def whoami(call: Call) -> Answer:
    user = call.login()
    token = {"displayName": "local", "role": "write" if user.write else "read"}
    auth = {"type": "access_token", "accessToken": token}
    return {"type": "user", "id": "1", "name": user.name, "orgs": [{"name": org} for org in user.orgs], "auth": auth}


@route("POST", "/api/repos/create")
def create(call: Call) -> Answer:
    user, asked = call.login(), call.json()
    kind, namespace = (asked.get("type") or "model") + "s", asked.get("organization") or user.name
    id = f"{namespace}/{asked['name']}"
    answer = {"url": _page(call, kind, id), "name": id, "id": id}
    if not (user.owns(namespace) and user.write):
        raise Problem(403, f'You don\'t have the rights to create {kind} under the namespace "{namespace}"')
    if f"{kind}/{id}" in call.hub.repos:
        return JSONResponse({"error": "You already created this repo", **answer}, 409)
    call.hub.create(id, kind, asked.get("visibility") == "private" or bool(asked.get("private")), user.name)
    return answer


def _page(call: Call, kind: str, id: str) -> str:
    """The address of a repository's page."""
    return f"{call.request.base_url}{'' if kind == 'models' else kind + '/'}{id}"


@route("DELETE", "/api/repos/delete")
def delete(call: Call) -> Answer:
    asked = call.json()
    kind, namespace = (asked.get("type") or "model") + "s", asked.get("organization") or call.login().name
    call.params = {"kind": kind, "namespace": namespace, "name": asked["name"]}
    repo = call.repo(write=True)
    del call.hub.repos[f"{kind}/{repo.id}"]
    return {}


@route("PUT", "/api/{kind}/{repo}/settings")
def settings(call: Call) -> Answer:
    repo, asked = call.repo(write=True), call.json()
    if "visibility" in asked:
        asked["private"] = asked["visibility"] == "private"
    for name in {"private", "gated", "disabled", "granted"} & set(asked):
        setattr(repo, name, asked[name])
    return asked


@route("GET", "/api/{kind}")
def listing(call: Call) -> Answer:
    user, query, found = call.user(), call.request.query_params, []
    for repo in sorted((repo for repo in call.hub.repos.values() if repo.kind == call.params["kind"]), key=lambda r: r.id):
        about = _about(call.hub, repo, repo.heads["main"], full=bool(query.get("full")))
        if (
            (not repo.private or (user and user.owns(repo.namespace)))
            and query.get("author") in (None, repo.namespace)
            and query.get("search", "").lower() in repo.id.lower()
            and set(query.getlist("filter")) <= set(about["tags"])
            and query.get("pipeline_tag") in (None, about.get("pipeline_tag"))
        ):
            found.append(about)
    return paged(call, found, int(query.get("limit", 0)))


@route("GET", "/api/{kind}/{repo}(?:/revision/{revision})?")
def repo_info(call: Call) -> Answer:
    repo = call.repo()
    return _about(call.hub, repo, call.commit(repo), full=True, sizes=call.flag("blobs"))


def _about(hub: Hub, repo: Repo, commit: str, *, full: bool, sizes: bool = False) -> dict[str, Any]:
    """What the API says of a repository at a commit; listings are not `full`, `sizes` adds those and the hashes of files."""
    tree = repo.trees[commit]
    card, _ = card_metadata(hub.text(tree.get("README.md")))
    library, licence = card.get("library_name"), card.get("license")
    about = {
        "_id": hashlib.md5(repo.id.encode()).hexdigest()[:24],
        **{"id": repo.id, "modelId": repo.id, "author": repo.namespace, "sha": commit},
        **{"lastModified": repo.commits[commit]["date"], "createdAt": repo.created, "downloads": 0, "likes": 0},
        **{"private": repo.private, "gated": repo.gated, "disabled": repo.disabled},
        **{"pipeline_tag": card.get("pipeline_tag"), "library_name": library},
        "tags": [*(card.get("tags") or []), *([library] if library else []), *([f"license:{licence}"] if licence else [])],
    }
    if full:
        about |= {"cardData": card, "config": _config(hub, repo, tree), "spaces": []}
        about["siblings"] = [{"rfilename": path, **(_sizes(entry) if sizes else {})} for path, entry in sorted(tree.items())]
        about["usedStorage"] = sum(entry["size"] for entry in tree.values())
    return {key: value for key, value in about.items() if value is not None}


def _config(hub: Hub, repo: Repo, tree: Tree) -> Any:
    """The content of a model's `config.json`; None if it has none that can be read."""
    try:
        return json.loads(hub.text(tree.get("config.json"))) if repo.kind == "models" else None
    except ValueError:
        return None


def _sizes(entry: Entry) -> dict[str, Any]:
    lfs = entry.get("lfs")
    return {"size": entry["size"], "blobId": entry["oid"], "lfs": lfs and {"sha256": lfs["oid"], **lfs}}


@route("GET HEAD", "/api/{kind}/[^/]+(?:/revision/[^/]+)?|/[^/]+(?:/resolve/.*)?")
def without_namespace(call: Call) -> Answer:
    """The Hub has a few such repositories, this one none."""
    raise Problem(404 if call.user() else 401, "Repository not found", "RepoNotFound")


@route("GET", "/api/{kind}/{repo}/auth-check")
def auth_check(call: Call) -> Answer:
    call.repo(files=True)
    return {}


@route("POST", "/api/validate-yaml")
def validate_yaml(call: Call) -> Answer:
    metadata, wrong = card_metadata(call.json()["content"])
    warnings = [] if metadata or wrong else [{"message": "empty or missing yaml metadata in repo card"}]
    return JSONResponse({"errors": [{"message": wrong}] if wrong else [], "warnings": warnings}, 400 if wrong else 200)


@route("GET HEAD", "/api/(?:agent-harnesses|telemetry/{path})")
def nothing_to_say(call: Call) -> Answer:
    return {}


@route("GET", "/api/{kind}/{repo}/refs")
def refs(call: Call) -> Answer:
    repo = call.repo()

    def listed(kind: str, table: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in table.items()]

    return {"branches": listed("heads", repo.heads), "tags": listed("tags", repo.tags), "converts": [], "pullRequests": []}


@route("POST DELETE", "/api/{kind}/{repo}/(?P<table>tag|branch)/{revision}")
def tag_or_branch(call: Call) -> Answer:
    """Create or delete. The path holds the name of a branch, but the revision that a new tag is put on."""
    repo, asked, name = call.repo(write=True), call.json(), call.params["revision"]
    is_tag = call.params["table"] == "tag"
    table = repo.tags if is_tag else repo.heads
    if call.request.method == "DELETE":
        if name == "main" and not is_tag:
            raise Problem(403, "The branch main cannot be deleted")
        if table.pop(name, None) is None:
            raise Problem(404, f"Reference {name} does not exist", "RevisionNotFound")
        return {}
    start = name if is_tag else asked.get("startingPoint") or "main"
    name = asked["tag"] if is_tag else name
    if name.startswith("refs/") and not name.startswith("refs/convert/"):  # the Hub's own branches, which tests make themselves
        raise Problem(400, f"Invalid reference: {name}")
    if name in table:
        raise Problem(409, f"Reference already exists: {name}")
    table[name] = call.commit(repo, start)
    return {}


@route("GET", "/api/{kind}/{repo}/commits/{revision}")
def commits(call: Call) -> Answer:
    repo = call.repo()
    return paged(call, list(repo.history(call.commit(repo))))


@route("POST", "/api/{kind}/{repo}/preupload/{revision}")
def preupload(call: Call) -> Answer:
    """How each file is to be uploaded, and its hash if there is one of that name: the client drops what does not change."""
    tree, asked, out = call.tree(call.repo(write=True)), call.json(), []
    ignored = [line.strip() for line in asked.get("gitIgnore", "").splitlines() if line.strip() and not line.startswith("#")]
    for file in asked["files"]:
        path, size, old = file["path"], file["size"], tree.get(file["path"])
        binary = b"\0" in base64.b64decode(file["sample"])
        named = any(fnmatch.fnmatch(path.split("/")[-1], pattern) for pattern in LFS_PATTERNS)
        mode = "lfs" if size > 0 and (size > call.hub.lfs_threshold or binary or named) else "regular"
        ignore = any(fnmatch.fnmatch(path, line + "*" if line.endswith("/") else line) for line in ignored)
        out.append({"path": path, "uploadMode": mode, "shouldIgnore": ignore, "oid": content_oid(old) if old else None})
    return {"files": out}


@route("POST", "/api/{kind}/{repo}/commit/{revision}")
def commit(call: Call) -> Answer:
    """A commit in lines of JSON: a header, then one line for each file that is added or deleted."""
    repo, branch = call.repo(write=True), call.params["revision"].removeprefix("refs/heads/")
    if call.request.query_params.get("create_pr"):
        raise Problem(501, "pull requests are not supported by the local hub")
    if branch not in repo.heads:
        raise Problem(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    tree, header = dict(repo.trees[repo.heads[branch]]), {}
    for line in call.body.splitlines():
        item = json.loads(line)
        if item["key"] == "header":
            header = item["value"]
        else:
            _change(call.hub, tree, item["key"], item["value"])
    if not repo.heads[branch].startswith(header.get("parentCommit") or ""):
        raise Problem(412, "A commit has happened since. Please refresh and try again.")
    title, message = header.get("summary", ""), header.get("description", "")
    id = repo.commit(tree, title, message, branch, call.login().name)
    url = f"{_page(call, repo.kind, repo.id)}/commit/{id}"
    return {"success": True, "commitOid": id, "commitUrl": url, "hookOutput": ""}


def _change(hub: Hub, tree: Tree, kind: str, value: dict[str, Any]) -> None:
    """Apply one line of a commit to a tree."""
    path = value["path"]
    if path.startswith("/") or ".." in path.split("/"):
        raise Problem(400, f"invalid path {path}")
    match kind:
        case "file":
            content = value["content"].encode()
            tree[path] = hub.add(base64.b64decode(content) if value.get("encoding") == "base64" else content)
        case "lfsFile":
            if not hub.blob(value["oid"]).is_file():
                raise Problem(400, f"LFS pointer pointed to a file that does not exist: {path}")
            tree[path] = hub.lfs_entry(value["oid"])
        case "deletedFile":
            if tree.pop(path, None) is None:
                raise Problem(404, "A file with this name doesn't exist", "EntryNotFound")
        case "deletedFolder":
            for name in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
                del tree[name]
        case _:
            raise Problem(400, f"unknown kind of change: {kind}")
