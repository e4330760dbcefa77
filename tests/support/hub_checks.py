"""What the checks against the local Hub share: its faults and log, something planted behind the client's back, short waits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from huggingface_hub import (
    CommitOperationAdd,
    HfApi,
    constants,
    file_download,
)
from huggingface_hub.utils import _http

from cyclegan_hub import CycleGenerator
from support.local_hub import Fault

fetch = build_opener(ProxyHandler({})).open  # by no proxy, whatever the environment says


def control(method: str = "GET", fault: Fault | None = None) -> dict[str, list[dict[str, Any]]]:
    """The server's faults and log: GET or DELETE them, or POST a fault."""
    data = json.dumps(asdict(fault)).encode() if fault else None
    with fetch(Request(f"{constants.ENDPOINT}/_control", data, method=method)) as answer:
        return json.load(answer)


def plant(path: str, **fault: Any) -> None:
    """Have the server do something wrong once."""
    control("POST", Fault(path, **fault))


api = HfApi()


waits: list[float] = []  # seconds that the client would have slept between two tries


def impatient() -> None:
    """Has the client wait a second for an answer, and note its pauses between tries instead of making them."""
    constants.HF_HUB_ETAG_TIMEOUT = constants.HF_HUB_DOWNLOAD_TIMEOUT = file_download._ETAG_RETRY_TIMEOUT = 1
    _http.time = SimpleNamespace(sleep=waits.append)


def commit(repo: str, one: CycleGenerator, tag: str | None = None) -> str:
    """Commits a model, and tags it."""
    add = [CommitOperationAdd(name, data) for name, data in one.files().items()]
    oid = api.create_commit(repo, add, commit_message="a model").oid
    if tag:
        api.create_tag(repo, tag=tag, revision=oid)
    return oid


def asked() -> list[str]:
    """Method and path of every request since the last look."""
    log = [f"{entry['method']} {entry['path']}" for entry in control()["log"]]
    control("DELETE")
    return log


@contextmanager
def fault(path: str, **what: Any) -> Iterator[None]:
    """Something that goes wrong for as long as this lasts."""
    plant(path, times=1000, **what)
    try:
        yield
    finally:
        control("DELETE")
