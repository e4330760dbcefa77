"""The local test Hub against the real client. What goes through Xet on the real Hub is not covered."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, ModelCard, errors

from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.local_hub import Fault, LogEntry, Server

LFS_PART = 100_000  # bytes
HUB_SETTINGS = {"lfs_threshold": 50_000, "multipart_chunk": LFS_PART, "page": 3}
fetch = build_opener(ProxyHandler({})).open  # by no proxy, whatever the environment says


def requests(hub: ConnectedHub, method: str, part_of_path: str) -> list[LogEntry]:
    """The log's entries of such requests."""
    return [entry for entry in hub.log if entry.method == method and part_of_path in entry.path]


def upload(repo: str, path: str, content: bytes, **options: Any) -> str:
    """Commit one file, and return the commit's hash."""
    return api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=repo, **options).oid


def download(repo: str, path: str, **options: Any) -> bytes:
    """The content of a file, by way of the client's cache."""
    return Path(api.hf_hub_download(repo, path, **options)).read_bytes()


def status(error: pytest.ExceptionInfo[errors.HfHubHTTPError]) -> int:
    """The status the server answered."""
    return error.value.response.status_code


def test_commits_tags_and_branches(hub: ConnectedHub) -> None:
    api.create_repo("user/refs")
    first = upload("user/refs", "epoch.txt", b"5", commit_message="epoch 5", commit_description="the fifth")
    api.create_tag("user/refs", tag="epoch-005", tag_message="the fifth epoch")
    api.create_branch("user/refs", branch="try/this", revision="epoch-005")
    second = upload("user/refs", "epoch.txt", b"10", commit_message="epoch 10")
    third = upload("user/refs", "epoch.txt", b"11", revision="try/this")
    expected = {"main": b"10", "epoch-005": b"5", "try/this": b"11", "refs/heads/main": b"10", first: b"5", second[:8]: b"10"}
    assert {revision: download("user/refs", "epoch.txt", revision=revision) for revision in expected} == expected
    refs = api.list_repo_refs("user/refs")
    assert {tag.name: tag.target_commit for tag in refs.tags} == {"epoch-005": first}
    assert {branch.name: branch.target_commit for branch in refs.branches} == {"main": second, "try/this": third}
    commits = api.list_repo_commits("user/refs")
    assert [commit.title for commit in commits] == ["epoch 10", "epoch 5", "initial commit"]
    assert [commit.commit_id for commit in commits][:2] == [second, first] and commits[1].message == "the fifth"
    upload("user/refs", "epoch.txt", b"10")
    assert len(api.list_repo_commits("user/refs")) == 3, "a commit that changes nothing"
    with pytest.raises(errors.HfHubHTTPError) as error:
        api.create_tag("user/refs", tag="epoch-005")
    assert status(error) == 409
    api.create_tag("user/refs", tag="epoch-005", exist_ok=True)
    with pytest.raises(errors.HfHubHTTPError) as error:
        upload("user/refs", "late.txt", b"", parent_commit=first)
    assert status(error) == 412
    api.delete_tag("user/refs", tag="epoch-005")
    api.delete_branch("user/refs", branch="try/this")
    refs = api.list_repo_refs("user/refs")
    assert [ref.name for ref in refs.tags + refs.branches] == ["main"]


def test_files_are_added_copied_deleted_and_listed(hub: ConnectedHub, tmp_path: Path) -> None:
    api.create_repo("user/files")
    operations = [CommitOperationAdd(path, path.encode()) for path in ("a/b/one.txt", "a/two.bin", "a c/three.txt", "four.txt")]
    api.create_commit("user/files", operations, commit_message="add")
    api.create_commit(
        "user/files",
        [CommitOperationCopy("a/two.bin", "copy.bin"), CommitOperationDelete("four.txt"), CommitOperationDelete("a c/")],
        commit_message="change",
    )
    (tmp_path / "up/x").mkdir(parents=True)
    (tmp_path / "up/x/empty.bin").write_bytes(b"")
    (tmp_path / "up/x/old.log").write_text("not to be published")
    (tmp_path / "up/.gitignore").write_text("# logs\n*.log\n")
    api.upload_folder(repo_id="user/files", folder_path=tmp_path / "up")
    expected = [".gitattributes", ".gitignore", "a/b/one.txt", "a/two.bin", "copy.bin", "x/empty.bin"]
    assert sorted(api.list_repo_files("user/files")) == expected
    assert [entry.path for entry in api.list_repo_tree("user/files", "a")] == ["a/b", "a/two.bin"]
    assert [entry.path for entry in api.get_paths_info("user/files", ["a/b", "copy.bin", "none"])] == ["a/b", "copy.bin"]
    folder = Path(api.snapshot_download("user/files", allow_patterns="a/*", local_dir=tmp_path / "down"))
    assert sorted(path.name for path in folder.rglob("*.*") if ".cache" not in path.parts) == ["one.txt", "two.bin"]
    assert (folder / "a/two.bin").read_bytes() == download("user/files", "copy.bin") == b"a/two.bin"
    info = api.model_info("user/files", files_metadata=True)
    sizes = {file.rfilename: (file.size, file.lfs is not None) for file in info.siblings or []}
    assert sizes["copy.bin"] == (9, True) and sizes["a/b/one.txt"] == (11, False) and sizes["x/empty.bin"] == (0, False)


def test_large_files_are_uploaded_once_in_parts(hub: ConnectedHub) -> None:
    api.create_repo("user/lfs")
    one, several = os.urandom(LFS_PART // 2 + 1), os.urandom(3 * LFS_PART + 1)
    hub.log.clear()
    upload("user/lfs", "one.dat", one)
    assert len(requests(hub, "PUT", "/_lfs/")) == 1 and not requests(hub, "PUT", "/part/")
    upload("user/lfs", "a folder/several.dat", several)
    assert len(requests(hub, "PUT", "/part/")) == 4
    upload("user/lfs", "copy.dat", several)
    assert len(requests(hub, "PUT", "/_lfs/")) == 5, "the same content is not uploaded again"
    assert not any(entry.authorized for entry in requests(hub, "PUT", "/_lfs/")), "a token was sent to the storage"
    assert download("user/lfs", "one.dat") == one and download("user/lfs", "a folder/several.dat") == several


def test_another_host_serves_large_files_without_a_token(hub: ConnectedHub, tmp_path: Path) -> None:
    with Server(tmp_path, cdn_host="localhost") as server:
        there = HfApi(server.url, token="hf_local")
        there.create_repo("user/cdn", private=True)
        there.upload_file(path_or_fileobj=b"weights", path_in_repo="my model.bin", repo_id="user/cdn")
        assert Path(there.hf_hub_download("user/cdn", "my model.bin")).read_bytes() == b"weights"
        assert [e.authorized for e in server.hub.log if e.method == "GET" and e.path.startswith("/_cdn/")] == [False]
        with pytest.raises(HTTPError, match="403"):
            fetch(server.url + next(e.path for e in server.hub.log if e.path.startswith("/_cdn/")))  # without the signature


def test_repositories_are_listed_by_pages_and_described_by_their_card(hub: ConnectedHub) -> None:
    for number in range(7):
        api.create_repo(f"org/m{number}")
    assert len(list(api.list_models(author="org"))) == 7 and len(list(api.list_models(author="org", limit=5))) == 5
    card = ModelCard("---\nlicense: mit\ntags: [cyclegan]\nlibrary_name: cyclegan_hub\npipeline_tag: image-to-image\n---\nText")
    card.push_to_hub("org/m3")
    assert ModelCard.load("org/m3").data.to_dict() == card.data.to_dict()
    assert [model.id for model in api.list_models(filter="cyclegan")] == ["org/m3"]
    info = api.model_info("org/m3")
    assert (info.library_name, info.pipeline_tag) == ("cyclegan_hub", "image-to-image") and "license:mit" in (info.tags or [])
    with pytest.raises(ValueError, match="YAML"):
        upload("org/m3", "README.md", b"---\ntags: [open\n---\n")
    api.delete_repo("org/m3")
    assert [model.id for model in api.list_models(filter="cyclegan")] == []
    api.create_repo("org/m1", repo_type="space", space_sdk="gradio")
    upload("org/m1", "app.py", b"print()", repo_type="space")
    assert download("org/m1", "app.py", repo_type="space") == b"print()"
    assert api.list_repo_files("org/m1") == [".gitattributes"], "a model and a Space of one name are two repositories"


def test_what_is_missing_is_told_apart(hub: ConnectedHub) -> None:
    api.create_repo("user/there")
    upload("user/there", "a.txt", b"a")
    for missing in ("user/nowhere", "nowhere"):
        for ask in (api.model_info, api.snapshot_download, lambda repo, **options: download(repo, "a.txt", **options)):
            for token, code in ((None, 404), (False, 401)):
                with pytest.raises(errors.RepositoryNotFoundError) as error:
                    ask(missing, token=token)
                assert status(error) == code
    for ask in (api.model_info, api.snapshot_download, lambda repo, revision: download(repo, "a.txt", revision=revision)):
        with pytest.raises(errors.RevisionNotFoundError):
            ask("user/there", revision="epoch-999")
    with pytest.raises(errors.EntryNotFoundError) as error:
        download("user/there", "b.txt")
    assert not isinstance(error.value, errors.LocalEntryNotFoundError)
    with pytest.raises(errors.LocalEntryNotFoundError):
        download("user/there", "c.txt", local_files_only=True)


def test_private_and_gated_repositories_are_closed(hub: ConnectedHub) -> None:
    for repo in ("org/private", "org/gated"):
        api.create_repo(repo)
        upload(repo, "config.json", b"{}")
    api.update_repo_settings("org/private", private=True)
    api.update_repo_settings("org/gated", gated="manual")
    for token, code in (("hf_read", 404), (False, 401)):
        with pytest.raises(errors.RepositoryNotFoundError) as error:
            api.model_info("org/private", token=token)
        assert status(error) == code and not isinstance(error.value, errors.GatedRepoError)
    for token, code in (("hf_read", 403), (False, 401)):
        assert api.model_info("org/gated", token=token).gated == "manual"
        for ask in (api.snapshot_download, lambda repo, token: download(repo, "config.json", token=token)):
            with pytest.raises(errors.GatedRepoError) as error:
                ask("org/gated", token=token)
            assert status(error) == code
    assert download("org/private", "config.json") == download("org/gated", "config.json") == b"{}"


def test_tokens_are_checked(hub: ConnectedHub) -> None:
    assert api.whoami()["name"] == "user" and api.whoami(token="hf_read")["name"] == "reader"
    api.create_repo("user/mine")
    refused = {
        401: (lambda: api.model_info("user/mine", token="hf_wrong"), lambda: api.whoami(token="hf_wrong")),
        403: (lambda: api.create_repo("other/x"), lambda: upload("user/mine", "a.txt", b"a", token="hf_read")),
    }
    for code, calls in refused.items():
        for call in calls:
            with pytest.raises(errors.HfHubHTTPError) as error:
                call()
            assert status(error) == code and not isinstance(error.value, errors.RepositoryNotFoundError)


def test_busy_and_broken_servers(hub: ConnectedHub) -> None:
    api.create_repo("user/faults")
    hub.log.clear()
    hub.plant("/preupload/", status=503, headers={"Retry-After": "0"})
    upload("user/faults", "a.txt", b"a")
    assert [entry.status for entry in requests(hub, "POST", "/preupload/")] == [503, 200], "uploads are tried again"
    hub.plant("/api/models/user/faults$", status=429, headers={"ratelimit": '"api";r=0;t=7'})
    with pytest.raises(errors.HfHubHTTPError, match="Retry after 7") as error:
        api.model_info("user/faults")
    assert status(error) == 429
    hub.plant("/commit/main$", status=500)
    with pytest.raises(errors.HfHubHTTPError) as error:
        upload("user/faults", "b.txt", b"b")
    assert status(error) == 500
    assert "b.txt" not in api.list_repo_files("user/faults"), "a refused commit did something"
    assert download("user/faults", "a.txt") == b"a"
    hub.plant("/resolve/", method="HEAD", status=503)
    assert download("user/faults", "a.txt") == b"a", "what is in the cache survives a broken server"
    hub.plant("/resolve/", method="HEAD", delay=1.5)
    assert download("user/faults", "a.txt", etag_timeout=0.2) == b"a", "and a slow one"
    assert not any(fault.times for fault in hub.server.hub.faults)


def test_a_download_that_is_cut_off_is_resumed(hub: ConnectedHub) -> None:
    content = os.urandom(300_000)
    api.create_repo("user/cut")
    upload("user/cut", "model.bin", content)
    hub.log.clear()
    hub.plant("/resolve/.*model[.]bin", method="GET", cut_after=200_000)
    assert download("user/cut", "model.bin") == content
    assert len(requests(hub, "GET", "model.bin")) == 2


def test_repositories_outlive_the_server_and_a_stopped_one_refuses(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        ask = json.dumps({"name": "kept"}).encode()
        fetch(Request(f"{server.url}/api/repos/create", ask, {"Authorization": "Bearer hf_local"}, method="POST")).close()
        before = server.hub.repos
    with pytest.raises(URLError, match="refused"):
        fetch(server.url)
    with Server(tmp_path, port=int(server.url.split(":")[-1])) as server:
        assert server.hub.repos == before and list(before) == ["models/user/kept"]
        with fetch(f"{server.url}/user/kept/resolve/main/.gitattributes") as file:
            assert b"*.safetensors filter=lfs" in file.read()
        assert [(entry.method, entry.status, entry.authorized) for entry in server.hub.log] == [("GET", 200, False)]


def test_faults_hit_what_they_name_as_often_as_they_say(tmp_path: Path) -> None:
    def answer(path: str) -> int:
        try:
            return fetch(server.url + path).status
        except HTTPError as error:
            return error.code

    with Server(tmp_path) as server:
        server.hub.faults.append(Fault("models$", method="GET", times=2, status=500))
        paths = ("/api/models", "/api/spaces", "/api/models", "/api/models")
        assert [answer(path) for path in paths] == [500, 200, 500, 200]
        assert answer("/api/unheard-of") == 404
        server.hub.faults.append(Fault("", delay=0.01, status=429))
        assert [answer("/api/models"), answer("/api/models")] == [429, 200]
