"""The Space: translations side by side, samples, a slider over the epochs, a live camera, batches, an API.

The page is `cyclegan_hub/page/`; `cyclegan_hub/serving/` does its work, without gradio. CYCLEGAN_HUB_MODELS chooses the
models (a folder, "user" or "user/repository" of the Hub; without it those in `pretrained/`), GRADIO_SERVER_NAME and
GRADIO_SERVER_PORT where it listens, GRADIO_ROOT_PATH the path below which a proxy serves it.
"""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads make each other wait on small machines

import errno
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio


@contextmanager
def without_proxies() -> Iterator[None]:
    """Hides the proxy variables: where one names a proxy that gradio's client cannot use, gradio does not even start."""
    names = [name for name in os.environ if name.lower() in ("all_proxy", "http_proxy", "https_proxy")]
    hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


with without_proxies():
    from cyclegan_hub.page import components, sharing
    from cyclegan_hub.page.page import Page

WAITING = 64  # requests in the queue; the next one is told that it is full
FIRST_PORT, PORTS = 7860, 100  # without GRADIO_SERVER_PORT it listens on the first free one of these


def bypass_proxies(*hosts: str) -> None:
    """Adds hosts to those that this process asks without the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY.

    Both spellings are set: of NO_PROXY and no_proxy, clients read the lower-case one where there are both.
    """
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    entries = [entry.strip() for entry in known.split(",") if entry.strip()]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(dict.fromkeys([*entries, *hosts]))


def launch(page: Page, **options: Any) -> Any:
    """Serves the page; gradio reads GRADIO_SERVER_NAME. Uploads are limited to the size that `images.decode` takes."""
    # As it starts, gradio requests the page from itself, at the host where it listens (at localhost for 0.0.0.0).
    bypass_proxies("localhost", "127.0.0.1", "::1", *filter(None, [options.get("server_name")]))
    page.demo.queue(max_size=WAITING, default_concurrency_limit=4)
    with without_proxies():
        # _frontend: else gradio gives up where its own first request takes more than 3 seconds, as on a busy machine.
        return page.demo.launch(
            _frontend=False,
            theme=components.theme(), head=components.head(), max_file_size=images.MAX_BYTES,
            favicon_path=str(sharing.FAVICON), app_kwargs=sharing.app_options(page.studio),
            show_error=False, share=False, ssr_mode=False,
            quiet=True, footer_links=["api"], run_history=False, enable_monitoring=False, mcp_server=find_spec("mcp") is not None,
            **options,
        )  # fmt: skip


def free_port(host: str, wanted: str | None) -> int:
    """The port to listen on: `wanted` (GRADIO_SERVER_PORT) if it is free, without it the first free one from FIRST_PORT on.

    Raises UserError for a port that is not one or is taken, where no port is free, and for a host that is not this machine.
    """
    if wanted:
        if not wanted.isdecimal() or not 0 < int(wanted) < 65536:
            raise UserError(f"GRADIO_SERVER_PORT={wanted}: give a number from 1 to 65535")
        if error := _refusal(host, int(wanted)):
            reason = "that port is taken: stop what uses it, or give another"
            if error.errno == errno.EACCES:
                reason = "this user may not listen there: give 1024 or more"
            raise UserError(f"GRADIO_SERVER_PORT={wanted}: {reason}")
        return int(wanted)
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if not _refusal(host, port):
            return port
    raise UserError(f"no port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} is free: give one in GRADIO_SERVER_PORT")


def _refusal(host: str, port: int) -> OSError | None:
    """Why a server cannot listen at a port; None if it can. Raises UserError where that is because of the host."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As servers do: a connection that just ended does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"GRADIO_SERVER_NAME={host}: cannot listen there ({error.strerror}): give an address of this machine, or 0.0.0.0"
            ) from None
        return error
    return None


def main() -> None:
    if threading.current_thread() is threading.main_thread():  # which alone may handle signals
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that a stopped server deletes uploads, too
    host = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    try:
        studio = Studio(os.environ.get("CYCLEGAN_HUB_MODELS") or None)
        port = free_port(host, os.environ.get("GRADIO_SERVER_PORT"))
    except ServingError as error:
        sys.exit(f"CYCLEGAN_HUB_MODELS: {error}")
    except UserError as error:
        sys.exit(f"error: {error}")
    with tempfile.TemporaryDirectory(prefix="cyclegan_hub-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = Page(studio)
        launch(page, server_name=host, server_port=port, prevent_thread_lock=True)
        shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
        print(f"{studio.status()}\nOpen http://{shown}:{port} in a browser. Stop with Ctrl+C.", flush=True)
        try:
            page.demo.block_thread()
        finally:
            studio.close()
            page.demo.close(verbose=False)  # a server thread that still works while Python ends can abort the process


if __name__ == "__main__":
    if threading.current_thread() is threading.main_thread():
        main()
    else:  # `gradio app.py` runs this file again in a thread when it changes, and takes what is called `demo`
        reloaded = Page(Studio(os.environ.get("CYCLEGAN_HUB_MODELS") or None))
        launch(reloaded)
        demo = reloaded.demo
