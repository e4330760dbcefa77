"""Many clients at once against the page: `make load` prints errors, p50 and p95.

Without `--url` it starts `app.py` itself, over models as large as those of the compact recipes, but untrained: weights take the
same time whatever they hold. Also what the tests of the page share: small models, and the page in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from support.pictures import encoded
from support.pixels import same_pixels
from support.training import ROOT, environment

LABELS = {
    "anime": ("human face", "anime face"), "cartoon": ("celebrity photo", "cartoon avatar"), "monet": ("photo", "Monet"),
}  # fmt: skip
EYES = (0.35, 0.45, 0.65, 0.45)
FACES: dict[str, dict[str, Any]] = {"anime": {"eyes_a": EYES}, "cartoon": {"eyes_a": EYES, "skip": True}}
DRAWS = ("faces",)  # what is a DCGAN in `tiny_models`
# A process that may connect to this machine only, and the page in it.
GUARD = """
import ipaddress, runpy, socket, sys
connect = socket.socket.connect
def guarded(self, address):
    if self.family != socket.AF_UNIX and not ipaddress.ip_address(address[0]).is_loopback:
        print("LEFT THE MACHINE", address, file=sys.stderr, flush=True)
        raise OSError("no way out")
    return connect(self, address)
lookup = socket.getaddrinfo
def local(host, *arguments, **options):
    if host not in (None, "", "localhost", "127.0.0.1", "0.0.0.0", "::1", "192.0.2.1"):
        print("ASKED FOR", host, file=sys.stderr, flush=True)
        raise socket.gaierror("no names here")
    return lookup(host, *arguments, **options)
socket.socket.connect, socket.getaddrinfo = guarded, local
"""
GUARDED = f"""{GUARD}
sys.path.insert(0, ".")
runpy.run_path("app.py", run_name="__main__")
"""


LOCAL = ("/tmp", "/root", "/home", "Traceback", "gradio", ".py")  # what a message must not hold
NAME = "<img src=x onerror=alert(1)>.png"  # of a file


def tiny_models(folder: Path, domains: dict[str, int], **changes: Any) -> Path:
    """A folder of untrained models: of each domain that many epochs, or a single model for 0."""
    import torch

    from cyclegan_hub.models.cycle_generator import CycleGenerator
    from cyclegan_hub.models.dcgan import DCGAN

    size = {"width": 4, "blocks": 1, "image_size": 32} | changes
    for domain, epochs in domains.items():
        for epoch in range(1, epochs + 1) or [0]:
            torch.manual_seed(100 + epoch)
            own = {"domain": domain, "epoch": epoch or None}
            if domain in DRAWS:
                model = DCGAN(widths=(8, 4, 4), **own)
            else:
                model = CycleGenerator(**size, labels=LABELS[domain], **FACES.get(domain, {}), **own)
            model.save_pretrained(folder / domain / (f"epochs/epoch-{epoch:03d}" if epoch else ""))
    return folder


def served(where: Path, epoch: int | None) -> Any:
    """A model as the page runs it in fp32."""
    from cyclegan_hub.checkpoints import load
    from cyclegan_hub.models.inference import optimize_for_cpu

    return optimize_for_cpu(load(where, epoch), exact=True)


def same(a: Image.Image, b: Image.Image) -> bool:
    return same_pixels(a.convert("RGB"), b.convert("RGB"))


@dataclass
class App:
    """A running page."""

    url: str
    process: subprocess.Popen
    log: Path  # everything it printed
    temporary: Path  # where it keeps uploads and results


@contextmanager
def running_app(folder: Path, models: Path | None, script: str | None = GUARDED, **variables: str) -> Iterator[App]:
    """`python app.py` on a free port, over `models`, with everything it writes in `folder`; None: without any models."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    temporary, log = folder / "temporary", folder / "app.log"
    temporary.mkdir(parents=True)
    (folder / "none").mkdir()
    talk = environment(
        GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT=str(port), CYCLEGAN_HUB_MODELS=str(models or folder / "none"),
        TMPDIR=str(temporary), **variables,
    )  # fmt: skip
    talk.pop("GRADIO_TEMP_DIR", None)
    command = [sys.executable, *(["-c", script] if script else ["app.py"])]
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=talk, stdout=out, stderr=subprocess.STDOUT)
    app = App(f"http://127.0.0.1:{port}", process, log, temporary)
    try:
        for _ in range(1200):
            if process.poll() is not None:
                raise RuntimeError(f"app.py ended:\n{log.read_text()}")
            try:
                if httpx.get(app.url, timeout=30).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield app
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def call(client: httpx.Client, endpoint: str, *data: Any) -> Any:
    """One named endpoint by plain HTTP, as with curl. Raises httpx.HTTPStatusError (503: the queue is full) or RuntimeError."""
    posted = client.post(f"/gradio_api/call/{endpoint}", json={"data": list(data)})
    posted.raise_for_status()
    answer = client.get(f"/gradio_api/call/{endpoint}/{posted.json()['event_id']}").text
    event, text = answer.rstrip().rsplit("event: ", 1)[1].split("\ndata: ", 1)
    if event != "complete":
        raise RuntimeError(text)
    return json.loads(text)


def upload(client: httpx.Client, name: str, content: bytes) -> dict[str, Any]:
    """A file as `call` takes it."""
    posted = client.post("/gradio_api/upload", files={"files": (name, content)})
    posted.raise_for_status()
    return {"path": posted.json()[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}


@dataclass
class Load:
    """What came of it."""

    seconds: list[float] = field(default_factory=list)  # of each that was answered, from upload to picture
    refused: int = 0  # by the full queue
    errors: list[str] = field(default_factory=list)

    def percentile(self, share: int) -> float:
        """Seconds within which `share` percent were answered."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[share - 1]


def drive(url: str, clients: int, requests: int) -> Load:
    """`requests` by `clients` at once: translations of a picture of its own each, or samples; and fetching the result."""
    load = Load()
    with httpx.Client(base_url=url, timeout=60) as client:
        domains = {one["name"]: one for one in call(client, "domains")[0]}
        epochs = {name: [e["epoch"] for e in call(client, "epochs", name)[0]] for name in domains}

    def one(client: httpx.Client, i: int) -> None:
        domain = list(epochs)[i % len(epochs)]
        directions, epoch = domains[domain]["directions"], epochs[domain][i % len(epochs[domain])]
        start = time.perf_counter()
        if directions == ["samples"]:
            picture = call(client, "sample", domain, 16, i, None, epoch)[0][0]["image"]
        else:
            photo = upload(client, f"{i}.png", encoded(i, (96, 80)))
            picture = call(client, "translate", photo, domain, directions[i % len(directions)], epoch)[0]
        client.get(picture["url"]).raise_for_status()
        load.seconds.append(time.perf_counter() - start)

    def many(first: int) -> None:
        with httpx.Client(base_url=url, timeout=300) as client:
            for i in range(first, requests, clients):
                try:
                    one(client, i)
                except httpx.HTTPStatusError as error:
                    if error.response.status_code == 503:
                        load.refused += 1
                    else:
                        load.errors.append(f"{error}: {error.response.text[:200]}")
                except Exception as error:  # whatever it is, it counts
                    load.errors.append(f"{type(error).__name__}: {error}")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(many, range(clients)))
    return load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--url", help="of a page that runs already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.url:
            load = drive(options.url, options.clients, options.requests)
        else:
            threads = str(os.cpu_count())
            models = tiny_models(folder / "models", {"anime": 3, "monet": 0}, width=24, blocks=6, image_size=64)
            with running_app(folder / "app", models, script=None, OMP_NUM_THREADS=threads) as app:
                load = drive(app.url, options.clients, options.requests)
    print(f"{options.requests} requests by {options.clients} clients: {len(load.seconds)} answered, {load.refused} refused "
          f"by the full queue, {len(load.errors)} errors")  # fmt: skip
    if len(load.seconds) > 1:
        print(f"p50 {load.percentile(50):.2f} s, p95 {load.percentile(95):.2f} s")
    print(*load.errors[:10], sep="\n")
    return 1 if load.errors or not load.seconds else 0


if __name__ == "__main__":
    sys.exit(main())
