"""A local server that speaks enough of the Hub's HTTP protocol for the real `huggingface_hub` and `datasets` clients.

    with Server(tmp_path, multipart_chunk=1_000_000) as server:
        server.hub.faults.append(Fault("/resolve/", method="GET", times=2, status=503, headers={"Retry-After": "1"}))
        subprocess.run([sys.executable, script], env=os.environ | client_environment(server, tmp_path / "home"))
        assert [entry.status for entry in server.hub.log] == ...

The client reads its endpoint when it is imported, hence the fresh process; `hub_client` connects the clients of this process.
A token of the user "user", of the organisation "org", is "hf_local".

It covers models, datasets and spaces; commits, tags, branches and their listings; LFS uploads in one and in several parts;
private and gated repositories and the errors that tell them apart; pagination; a CDN on another host; and faults. It does not
cover Xet, the Hub's chunked transfer, which the environment switches off: uploads to the real Hub take that path. Nor does
it cover pull requests, discussions, the dataset viewer with its Parquet conversions, Spaces that run, and quotas.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from support import local_hub_files  # noqa: F401  (registers its endpoints)
from support.local_hub_protocol import ROUTES
from support.local_hub_state import Call, Fault, Hub, LogEntry, Problem, User

__all__ = ["Fault", "Hub", "LogEntry", "Server", "User", "client_environment"]


class Server:
    """A Hub in a thread, on a free port of this machine (or `port`); `settings` are those of `Hub`, which is `hub`."""

    def __init__(self, root: Path, *, port: int = 0, **settings: Any) -> None:
        self.hub = Hub(root, **settings)
        # With the protocol named, as only then asyncio sets TCP_NODELAY: without it every call takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a stopped server can come back at its port at once
        self._socket.bind(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = partial(_serve, self.hub)
        config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the local hub did not start: see its log above")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def client_environment(server: Server, home: Path) -> dict[str, str]:
    """The variables with which a fresh Python process talks to the server, and keeps what it caches below `home`."""
    return {
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": next(iter(server.hub.tokens)),
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_DATASETS_CACHE": str(home / "datasets"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_ETAG_TIMEOUT": "5",  # seconds
        "HF_HUB_DOWNLOAD_TIMEOUT": "5",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


class _CutError(Exception):
    """As much of an answer is sent as a fault lets through."""


async def _serve(hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    scope["path"] = scope["raw_path"].decode()  # still quoted: a revision is one part of the path, `refs%2Fheads%2Fmain`
    request = Request(scope, receive)
    body = await request.body()
    response = None
    for fault in [fault for fault in hub.faults if fault.hits(request.method, scope["path"])]:
        fault.times -= 1
        await asyncio.sleep(fault.delay)
        if fault.cut_after is not None:
            send = _cut(send, fault.cut_after)
        if fault.status is not None:
            response = Response(fault.body, fault.status, fault.headers)
            break
    response = response or _answer(hub, request, body)
    hub.log.append(LogEntry(request.method, scope["path"], response.status_code, "authorization" in request.headers))
    try:
        await response(scope, receive, send)
    except _CutError:
        return  # and uvicorn closes the connection of an answer that is not complete (it logs that, rightly)


def _answer(hub: Hub, request: Request, body: bytes) -> Response:
    """The answer without any fault."""
    path = request.scope["path"]
    try:
        for methods, pattern, endpoint in ROUTES:
            if request.method in methods and (match := pattern.fullmatch(path)):
                params = {name: unquote(part) for name, part in match.groupdict("").items() if part}
                result = endpoint(Call(hub, request, body, {"kind": "models", **params}))
                if request.method not in ("GET", "HEAD"):
                    hub.save()
                return result if isinstance(result, Response) else JSONResponse(result)
        raise Problem(404, f"no such endpoint on the local hub: {request.method} {path}")
    except Problem as problem:
        return problem.response


def _cut(send: Send, limit: int) -> Send:
    """`send` until so many bytes of the body are sent, then raise _CutError."""
    left = limit

    async def limited(message: Message) -> None:
        nonlocal left
        if message["type"] != "http.response.body" or len(message.get("body", b"")) < left:
            left -= len(message.get("body", b""))
            await send(message)
            return
        await send({**message, "body": message.get("body", b"")[:left], "more_body": True})
        raise _CutError

    return limited
