"""The Hub's clients of this process, connected to a local Hub for the length of a test.

    from support.hub_client import ConnectedHub, api, hub, hub_server

    def test_a_commit(hub: ConnectedHub) -> None:
        api.create_repo("user/x")
        with hub.fault("/commit/", status=503):
            ...
        assert hub.requests() == ["POST /api/models/user/x/commit/main"]

The clients read the environment when they are imported, so `connected` sets what they made of it. The server and its cache
last for a module; the connection lasts for a test.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem, close_session, constants, file_download, hf_api
from huggingface_hub.utils import _cache_manager, _http

from cyclegan_hub import CycleGenerator, checkpoints
from support.local_hub import Fault, LocalHub

api = hf_api.api  # the client's own, so that its endpoint is set once


class ConnectedHub(LocalHub):
    """The local Hub, and the clients' cache in `home`."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.home = home
        self.waits: list[float] = []  # seconds that the client would have slept between two tries

    def requests(self) -> list[str]:
        """Method and path of every request in the log, which is cleared."""
        found = list(self.log)
        self.log.clear()
        return found

    def plant(self, path: str, **fault: Any) -> None:
        """Makes the server fail once at this path (see `Fault`)."""
        self.faults.append(Fault(path, **fault))

    @contextmanager
    def fault(self, path: str, **fault: Any) -> Iterator[None]:
        """Makes the server fail at this path for the length of the block; afterwards the log is empty."""
        self.plant(path, times=1000, **fault)
        try:
            yield
        finally:
            self.faults.clear()
            self.log.clear()

    def gone(self) -> AbstractContextManager[None]:
        """Connects the clients to a port where nothing listens."""
        return connected("http://127.0.0.1:9", self.home)

    def offline(self) -> AbstractContextManager[None]:
        """Puts the clients into offline mode, for a `with` block."""
        return connected("http://127.0.0.1:9", self.home, offline=True)

    def token(self, token: str) -> Any:
        """Has the clients send another token, for a `with` block."""
        return patch.dict(os.environ, HF_TOKEN=token)


@contextmanager
def connected(
    url: str, home: Path, *, offline: bool = False, timeout: int = 5, waits: list[float] | None = None
) -> Iterator[None]:
    """Has `huggingface_hub` and `datasets` talk to `url` and cache below `home`; notes pauses between tries in `waits`."""
    import datasets  # before it could read the values below for good

    cache = str(home / "hub")
    values = {
        constants: {
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_URL_HOSTS": constants.HF_URL_HOSTS | {"127.0.0.1"},
            "HF_HUB_CACHE": cache,
            "HF_HUB_OFFLINE": offline,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_ETAG_TIMEOUT": timeout,
            "HF_HUB_DOWNLOAD_TIMEOUT": timeout,
        },
        _cache_manager: {"HF_HUB_CACHE": cache},
        _http: {"time": SimpleNamespace(sleep=([] if waits is None else waits).append)},
        file_download: {"_ETAG_RETRY_TIMEOUT": timeout, "time": SimpleNamespace(sleep=lambda _: None)},
        api: {"endpoint": url},
        datasets.config: {
            "HF_ENDPOINT": url,
            "HUB_DATASETS_URL": url + "/datasets/{repo_id}/resolve/{revision}/{path}",
            "HF_HUB_OFFLINE": offline,
            "HF_DATASETS_CACHE": home / "datasets",
            "DOWNLOADED_DATASETS_PATH": home / "datasets" / "downloads",
            "EXTRACTED_DATASETS_PATH": home / "datasets" / "downloads" / "extracted",
            "SLEEP_TIME_ON_THREADS_SHUTDOWN": 0,  # else 5 s after every pass over Parquet
        },
    }
    environment = {"HF_TOKEN": "hf_local", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    with ExitStack() as stack:
        stack.callback(_forget)
        for owner, own in values.items():
            for name, value in own.items():
                stack.enter_context(patch.object(owner, name, value))
        stack.enter_context(patch.dict(os.environ, environment))
        _forget()
        yield


def _forget() -> None:
    """Drops what the clients and the package remember of a Hub."""
    close_session()
    HfFileSystem.clear_instance_cache()
    checkpoints._KNOWN.clear()


@pytest.fixture(scope="module")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectedHub]:
    """A local Hub, and a cache for its clients."""
    with ConnectedHub(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture
def hub(request: pytest.FixtureRequest, hub_server: ConnectedHub) -> Iterator[ConnectedHub]:
    """The module's Hub, with the clients connected; HUB_TIMEOUT of the module: the seconds that they wait for an answer."""
    for record in (hub_server.faults, hub_server.log, hub_server.waits):
        record.clear()
    timeout = getattr(request.module, "HUB_TIMEOUT", 5)
    with connected(hub_server.url, hub_server.home, timeout=timeout, waits=hub_server.waits):
        yield hub_server


def commit(repo: str, model: CycleGenerator, tag: str | None = None) -> str:
    """Commits a model, and tags it."""
    added = [CommitOperationAdd(name, data) for name, data in model.files().items()]
    oid = api.create_commit(repo, added, commit_message="a model").oid
    if tag:
        api.create_tag(repo, tag=tag, revision=oid)
    return oid
