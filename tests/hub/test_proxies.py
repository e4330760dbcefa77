"""Requests to the Hub go through its client's session: they obey the proxy variables and its certificates."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, errors, set_client_factory
from huggingface_hub.utils._http import default_client_factory  # what it has unless one is set

from cyclegan_hub import CycleGenerator, checkpoints
from cyclegan_hub.data.resolve import resolve_one
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub import repository
from cyclegan_hub.publishing import push
from cyclegan_hub.serving.studio import Studio
from support.hub_client import ConnectedHub, api, commit, connected
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.tiny_models import model

http = import_module(errors.Response.__module__.split(".")[0])  # httpx or httpx2, by the client's version
VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def proxy(hub: ConnectedHub, monkeypatch: pytest.MonkeyPatch) -> ConnectedHub:
    """The module's Hub, which answers for every host; no variable names it yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return hub


@pytest.mark.parametrize("variable", [name for name in VARIABLES if "https" not in name.lower()])
def test_a_model_is_loaded_through_the_proxy(
    variable: str, proxy: ConnectedHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """hub.example has no address: what arrives came through the proxy."""
    repo = f"user/{variable.swapcase()}-{variable}"
    api.create_repo(repo)
    commit(repo, model(1), "epoch-001")
    monkeypatch.setenv(variable, proxy.url)
    with connected("http://hub.example", tmp_path):
        CycleGenerator.from_pretrained(repo)
        assert list(repository.refs_of(repo).epochs) == ["epoch-001"]
        repository.check_reachable()
    asked = proxy.requests()
    assert f"GET http://hub.example/api/models/{repo}/refs" in asked and "HEAD http://hub.example/" in asked
    assert any(line.startswith("GET http://hub.example/") and line.endswith("/model.safetensors") for line in asked)


@pytest.mark.parametrize("variable", [name for name in VARIABLES if "http_" not in name.lower()])
def test_https_goes_through_the_proxy(
    variable: str, proxy: ConnectedHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    with connected("https://hub.example", tmp_path):
        with pytest.raises(http.ProxyError):
            repository.refs_of("user/x")
        with pytest.raises(ConnectionError):
            repository.check_reachable()
    assert proxy.requests() == ["CONNECT hub.example:443"] * 2


def test_the_users_client_is_asked(hub: ConnectedHub) -> None:
    """`set_client_factory` is the Hub client's place for certificates: each request of ours is made by what it returns."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(f"{request.method} {request.url.path}")
        return http.Response(200, json={"branches": [], "tags": []})

    set_client_factory(lambda: http.Client(transport=http.MockTransport(answer)))
    try:
        repository.refs_of("user/x")
        repository.check_reachable()
    finally:
        set_client_factory(default_client_factory)
    assert seen == ["GET /api/models/user/x/refs", "HEAD /"]


UNUSABLE = [
    ("socks://me:secret@127.0.0.1:9", "cannot be used: write it as http://HOST:PORT or socks5://HOST:PORT, or unset it"),
    ("socks5://me:secret@127.0.0.1:9", "cannot be used without socksio: pip install socksio, or unset it"),
    ("http://me:secret@host:port", "cannot be used: write it as http://HOST:PORT or socks5://HOST:PORT, or unset it"),
]


@pytest.mark.parametrize(("url", "message"), UNUSABLE)
def test_a_proxy_that_cannot_be_used_is_named(
    url: str, message: str, proxy: ConnectedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By everything that asks the Hub, in one line, without the proxy's password; the page serves its own models meanwhile."""
    monkeypatch.setenv("ALL_PROXY", url)
    monkeypatch.setitem(sys.modules, "socksio", None)
    close_session()  # the client's, which is made at the first request
    (dataset,) = resolve_one(None, "a", "user/images", None, None)
    for ask in (
        lambda: CycleGenerator.from_pretrained("user/new"),
        lambda: checkpoints.list_epochs("user/new"),
        lambda: push.check("user/new"),
        lambda: open_items(dataset.train),
    ):
        with pytest.raises(UserError) as caught:
            ask()
        line = str(caught.value)
        assert f"the proxy in ALL_PROXY {message}" in line and len(line.splitlines()) == 1 and "secret" not in line
    status = Studio("user").status()
    assert f"The proxy in ALL_PROXY {message}." in status and "bundled with this page" in status
