"""What the local test Hub answers about contents: listings of a tree, downloads, LFS uploads.

Written from the source of the client, huggingface_hub 2.4.0. Every endpoint raises Problem for an error answer.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import FileResponse, RedirectResponse, Response

from support.local_hub_protocol import Answer, paged, route
from support.local_hub_state import Call, Entry, Problem, Tree, content_oid


@route("GET", "/api/{kind}/{repo}/tree/{revision}(?:/{path})?")
def tree(call: Call) -> Answer:
    base = call.params.get("path", "").strip("/")
    found = _files_and_folders(call.tree(call.repo(files=True)), base, recursive=call.flag("recursive"))
    if base and not found:
        raise Problem(404, f"{base} does not exist", "EntryNotFound")
    return paged(call, found)


@route("POST", "/api/{kind}/{repo}/paths-info/{revision}")
def paths_info(call: Call) -> Answer:
    is_json = call.request.headers.get("content-type", "").startswith("application/json")
    wanted = call.json()["paths"] if is_json else parse_qs(call.body.decode()).get("paths", [])
    found = {entry["path"]: entry for entry in _files_and_folders(call.tree(call.repo()), recursive=True)}
    return [found[path.strip("/")] for path in wanted if path.strip("/") in found]


def _files_and_folders(tree: Tree, base: str = "", *, recursive: bool) -> list[Entry]:
    """What is below the folder `base` ("": all of it), as the API lists it; a folder comes before its files."""
    found: dict[str, Entry] = {}
    for path, entry in sorted(tree.items()):
        if base and not path.startswith(base + "/"):
            continue
        parts = path.split("/")
        first = base.count("/") + 2 if base else 1  # parts of the paths just below `base`
        for depth in range(first, len(parts) if recursive else min(len(parts), first + 1)):
            folder = "/".join(parts[:depth])
            oid = hashlib.sha1(folder.encode()).hexdigest()
            found.setdefault(folder, {"type": "directory", "oid": oid, "size": 0, "path": folder})
        if recursive or len(parts) == first:
            found[path] = {"type": "file", "path": path, **entry}
    return list(found.values())


@route("GET HEAD", "(?:/{kind})?/{repo}/(?:resolve|raw)/{revision}/{path}")
def resolve(call: Call) -> Answer:
    """The content of a file. X-Repo-Commit also comes with its absence, which the client then remembers."""
    repo, path = call.repo(files=True), call.params["path"]
    commit = call.commit(repo)
    if (entry := repo.trees[commit].get(path)) is None:
        raise Problem(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit})
    oid, kind = content_oid(entry), "text/plain; charset=utf-8"
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    if "lfs" in entry:
        headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-Etag": f'"{oid}"'}
        kind = "application/octet-stream"
        if call.hub.cdn_host:
            url = call.request.url.replace(hostname=call.hub.cdn_host, path=f"/_cdn/{oid}")
            return RedirectResponse(url.replace(query=f"name={quote(path.split('/')[-1])}&sig={_sign('get', oid)}"), 302, headers)
    return FileResponse(call.hub.blob(oid), headers={**headers, "ETag": f'"{oid}"'}, media_type=kind)


@route("GET HEAD", "/_cdn/{oid}")
def cdn(call: Call) -> Answer:
    """An LFS file by its signed address."""
    oid, query = call.params["oid"], call.request.query_params
    if call.request.headers.get("authorization") or query.get("sig") != _sign("get", oid):
        raise Problem(403, "signed URL only, and no credentials")
    headers = {"ETag": f'"{hashlib.md5(oid.encode()).hexdigest()}"'}  # not the file's own: the client must keep the linked one
    return FileResponse(call.hub.blob(oid), headers=headers, filename=query["name"], media_type="application/octet-stream")


def _sign(*parts: str) -> str:
    return hmac.new(b"local", "|".join(parts).encode(), "sha256").hexdigest()


@route("POST", "(?:/{kind})?/{repo}[.]git/info/lfs/objects/batch")
def lfs_batch(call: Call) -> Answer:
    """Where to upload each object, or nothing for one that is there. The client sends no token there: the URLs are signed."""
    call.repo(write=True)
    asked, chunk, out = call.json(), call.hub.multipart_chunk, []
    for wanted in asked["objects"]:
        oid, size, header = wanted["oid"], wanted["size"], {}
        item: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
        if not call.hub.blob(oid).is_file():
            url, query = f"{call.request.base_url}_lfs/{oid}", f"?size={size}&sig={_sign('put', oid, str(size))}"
            if chunk and size > chunk and "multipart" in asked.get("transfers", []):
                parts = range(1, -(-size // chunk) + 1)
                header = {"chunk_size": str(chunk), **{str(n): f"{url}/part/{n}{query}" for n in parts}}
            verify = {"href": f"{url}/verify{query}", "header": {}}
            item["actions"] = {"upload": {"href": url + query, "header": header}, "verify": verify}
        out.append(item)
    return {"transfer": "multipart" if chunk else "basic", "objects": out}


@route("PUT POST", "/_lfs/{oid}(?:/part/(?P<part>[0-9]+)|/(?P<verify>verify))?")
def lfs_object(call: Call) -> Answer:
    """PUT an object or one part of it, POST the list of its parts to have them put together, or POST to verify it is there."""
    oid, size = call.params["oid"], call.request.query_params.get("size", "")
    if call.request.query_params.get("sig") != _sign("put", oid, size):
        raise Problem(403, "bad signature")
    blob, data, parts = call.hub.blob(oid), call.body, []
    if "verify" in call.params:
        if not blob.is_file() or blob.stat().st_size != int(size):
            raise Problem(404, "object not found")
        return {}
    if "part" in call.params:
        call.hub.blob(f"{oid}.{call.params['part']}").write_bytes(data)
        return Response(headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"'})
    if call.request.method == "POST":
        parts = [call.hub.blob(f"{oid}.{part['partNumber']}") for part in call.json()["parts"]]
        data = b"".join(part.read_bytes() for part in parts)
    if len(data) != int(size) or hashlib.sha256(data).hexdigest() != oid:
        raise Problem(400, "sha256 or size mismatch")
    blob.write_bytes(data)
    for part in parts:
        part.unlink()
    return {}
