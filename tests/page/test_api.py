"""page/api.py and app.py: endpoints as gradio_client and curl use them, without a network, and the start and stop."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.serving.studio import Studio
from support.page_load import GUARD, LOCAL, NAME, App, Load, call, drive, running_app, same, served, upload
from support.photos import TWO
from support.pictures import encoded
from support.pixels import apart
from support.training import ROOT, environment

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


# --- endpoints


@pytest.fixture(scope="module")
def client(app: App, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from gradio_client import Client

    return Client(app.url, verbose=False, download_files=str(tmp_path_factory.mktemp("answers")))


def zipped(path: str) -> dict[str, Image.Image]:
    """The images in a zip."""
    with zipfile.ZipFile(path) as archive:
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


def test_gradio_client(client: Any, models: Path, photo: Path, tmp_path: Path) -> None:
    from gradio_client import handle_file

    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name: [one["parameter_name"] for one in given["parameters"]] for name, given in endpoints.items()} == {
        "/translate": ["image", "domain", "direction", "epoch", "face", "whole", "strength"],
        "/translate_batch": ["files", "domain", "direction", "epoch", "face", "whole", "strength"],
        "/sample": ["domain", "n", "seed", "truncation", "epoch"],
        "/interpolate": ["domain", "seed_a", "seed_b", "steps", "truncation", "epoch"],
        "/epochs": ["domain"],
        "/domains": [],
    }
    assert all(one["description"] for one in endpoints.values())
    domains = client.predict(api_name="/domains")
    assert [(one["name"], one["kind"], one["labels"], one["directions"], one["faces"], one["skip"]) for one in domains] == [
        ("anime", "cyclegan", ["human face", "anime face"], ["a_to_b", "b_to_a"], True, False),
        ("cartoon", "cyclegan", ["celebrity photo", "cartoon avatar"], ["a_to_b", "b_to_a"], True, True),
        ("monet", "cyclegan", ["photo", "Monet"], ["a_to_b", "b_to_a"], False, False),
        ("faces", "dcgan", ["face"], ["samples"], False, False),
        ("colorize", "pix2pix", ["face in grey", "face"], ["a_to_b"], False, False),
    ]
    assert [one["epoch"] for one in client.predict("anime", api_name="/epochs")] == [1, 2, 3]
    assert [one["epoch"] for one in client.predict("monet", api_name="/epochs")] == [None]
    for arguments, epoch in ((("anime", "b_to_a", 1), 1), (("anime", "b_to_a"), 3)):
        answer = client.predict(handle_file(photo), *arguments, api_name="/translate")
        assert same(Image.open(answer), served(models / "anime", epoch).translate(photo, "b_to_a"))
    (tmp_path / "broken.png").write_bytes(b"<html>")
    files = [handle_file(photo), handle_file(tmp_path / "broken.png")]
    gallery, archive = client.predict(files, "anime", "a_to_b", 2, api_name="/translate_batch")
    assert [one["caption"] for one in gallery] == list(zipped(archive)) == ["photo.png"]
    assert same(zipped(archive)["photo.png"], served(models / "anime", 2).translate(photo, face="none"))


def test_a_face_by_every_option(client: Any, models: Path, two_faces: Path) -> None:
    from gradio_client import handle_file

    two, model = handle_file(two_faces), served(models / "anime", 2)
    for given, options in (
        ((), {}),  # as clients of before options were there
        (("1",), {"face": 1}),
        (("none",), {"face": "none"}),
        (("", True), {"whole": True}),
        (("all", True, 1), {"face": "all", "whole": True}),
    ):
        answer = client.predict(two, "anime", "a_to_b", 2, *given, api_name="/translate")
        assert apart(Image.open(answer), model.translate(TWO, **options)) <= 1, given
    _, archive = client.predict([two], "anime", "a_to_b", 2, "all", True, api_name="/translate_batch")
    assert same(zipped(archive)["two.png"], model.translate(TWO, face="all", whole=True))


def test_samples_and_interpolations(client: Any, models: Path) -> None:
    model = load(models / "faces", 1)
    samples = client.predict("faces", 3, 7, 0.5, 1, api_name="/sample")
    for one, expected in zip(samples, model.sample(3, seed=7, truncation=0.5), strict=True):
        assert same(Image.open(one["image"]), expected)
    assert [one["caption"] for one in samples] == ["1 of 3", "2 of 3", "3 of 3"]
    assert len(client.predict("faces", api_name="/sample")) == 16
    between = client.predict("faces", 3, 9, 5, 1.0, 1, api_name="/interpolate")
    assert same(Image.open(between[2]["image"]), model.interpolate(3, 9, 5, truncation=1.0)[2])
    assert len(client.predict("faces", api_name="/interpolate")) == 8


def test_what_is_left_out_by_plain_http_is_the_usual(web: httpx.Client, photo: Path) -> None:
    assert len(call(web, "sample", "faces", None, None, None, None)[0]) == 16
    assert len(call(web, "interpolate", "faces", None, None, None, None, None)[0]) == 8
    given = upload(web, "photo.png", photo.read_bytes())
    for values in (("colorize", "a_to_b", None), ("anime", "a_to_b", 2), ("anime", "a_to_b", 2, None, None, None)):
        assert call(web, "translate", given, *values)[0]["url"]
    assert "No face was found, and this model knows only faces" in warned(web, "translate", given, "anime", "a_to_b", 2)
    assert "photo.png: No face was found" in warned(web, "translate_batch", [given], "anime", "a_to_b", 2)


def warned(web: httpx.Client, endpoint: str, *data: Any) -> str:
    """The events of a call, as a page of gradio gets them: with its warnings."""
    (index,) = (one["id"] for one in web.get("/config").json()["dependencies"] if one["api_name"] == endpoint)
    web.post("/gradio_api/queue/join", json={"data": data, "session_hash": "s", "fn_index": index}).raise_for_status()
    return web.get("/gradio_api/queue/data", params={"session_hash": "s"}).text


def refused(web: httpx.Client, endpoint: str, *data: Any) -> str:
    """The message of a call that is refused: without a place on this machine, and without markup."""
    with pytest.raises(RuntimeError) as error:
        call(web, endpoint, *data)
    message = str(error.value)
    assert not any(part in message for part in (*LOCAL, "<"))
    return message


HOSTILE = {NAME: b"<html><script>alert(1)</script></html>", "../../etc/passwd.png": b"root:x:0:0"}


def test_a_refusal_is_one_clear_sentence(web: httpx.Client, photo: Path) -> None:
    given = upload(web, "photo.png", photo.read_bytes())
    for endpoint, arguments, message in (
        ("translate", (given, "anime", "a_to_b", 2, "7"), "face=7: no face is found"),
        ("translate", (given, "anime", "a_to_b", 2, "auto", False, "x"), "strength='x': give a number from 0"),
        ("translate", (given, "landscape", "a_to_b", None), "No domain 'landscape'; there are: anime, cartoon, monet, faces"),
        ("interpolate", ("faces", 0, "x", 8, None, None), "The second seed cannot be 'x': give a whole number from 0 to"),
    ):
        assert message in refused(web, endpoint, *arguments)
    for name, content in HOSTILE.items():
        given = upload(web, name, content)
        assert "not an image" in refused(web, "translate", given, "anime", "a_to_b", None)
        assert "None of the files could be translated" in refused(web, "translate_batch", [given], "anime", "a_to_b", None)
    assert web.get("/").status_code == 200


def test_an_address_is_not_fetched_and_no_other_file_is_read(web: httpx.Client) -> None:
    refused = r'^\{"error": null\}$'  # by gradio, before our function: one that read the file would say that it is no image
    for path, told in (("http://127.0.0.1:9/x.png", "Upload the picture: this page fetches nothing"), ("/etc/passwd", refused)):
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        for endpoint, photo in (("translate", given), ("translate_batch", [given])):
            with pytest.raises(RuntimeError, match=told):
                call(web, endpoint, photo, "anime", "a_to_b", None)
    for path in ("/etc/passwd", str(ROOT / "README.md")):
        assert web.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_too_large_a_file_is_refused(web: httpx.Client) -> None:
    answer = web.post("/gradio_api/upload", files={"files": ("large.png", bytes(64 * 2**20 + 1))})
    assert answer.status_code == 413 and "maximum allowed size" in answer.text


@pytest.mark.slow
def test_twenty_requests_by_ten_clients(app: App) -> None:
    """`make load` does the same with 30 of them and 200 requests. The models are more than the cache keeps."""
    before = app.log.read_text()
    load = drive(app.url, clients=10, requests=20)
    assert load.errors == [] and app.process.poll() is None and "Traceback" not in app.log.read_text().removeprefix(before)
    assert len(load.seconds) + load.refused == 20 and len(load.seconds) >= 10
    load = Load([float(i) for i in range(101)])
    assert (load.percentile(50), load.percentile(95)) == (50, 95)


def test_nothing_left_the_machine_and_nothing_was_logged(app: App, web: httpx.Client) -> None:
    call(web, "translate", upload(web, "private.png", encoded(5)), "anime", "a_to_b", None)
    log = app.log.read_text()
    assert [word for word in ("LEFT THE MACHINE", "ASKED FOR", "private", "photo", *HOSTILE) if word in log] == []
    assert web.get("/config").json()["analytics_enabled"] is False
    for host, word in (("192.0.2.1", "LEFT THE MACHINE"), ("example.org", "ASKED FOR")):  # and leaving is noticed
        code = f"{GUARD}\nsocket.create_connection(({host!r}, 9), timeout=1)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1 and word in done.stderr


# --- the process


def test_import_is_light() -> None:
    absent = ["accelerate", "datasets", "diffusers", "kornia", "matplotlib"]
    code = f"import app, sys, os\nprint([m for m in {absent!r} if m in sys.modules], os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] PASSIVE"


DEAD = "127.0.0.1:9"  # where nothing listens


@pytest.mark.slow
def test_the_page_starts_behind_proxies_without_models_and_stops(tmp_path: Path) -> None:
    """gradio asks the page's own address, which no proxy knows; and its client refuses socks://, whatever it asks."""
    # In lower case, which decides: an empty variable in lower case would switch off the one in capitals.
    proxies = {"http_proxy": f"http://{DEAD}", "https_proxy": f"socks5://{DEAD}", "all_proxy": f"socks://{DEAD}"}
    with running_app(tmp_path / "app", None, None, **proxies, NO_PROXY="", no_proxy="") as app:
        assert f"Open {app.url} in a browser. Stop with Ctrl+C." in app.log.read_text()
        with httpx.Client(base_url=app.url, timeout=60) as client:
            assert call(client, "domains")[0] == []
            upload(client, "private.png", encoded(1))
        assert [path for path in app.temporary.rglob("private.png") if path.is_file()]
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(60) == 0, app.log.read_text()
        assert [path for path in app.temporary.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "localhost,::1"),
        ({"NO_PROXY": "hub.local, ::1"}, "hub.local,::1,localhost"),
        ({"NO_PROXY": "upper", "no_proxy": "lower"}, "lower,localhost,::1"),
        ({"no_proxy": "*"}, "*,localhost,::1"),
    ],
)
def test_hosts_without_a_proxy_are_added(
    before: dict[str, str], after: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, before.get(name, ""))
    module.bypass_proxies("localhost", "::1")
    module.bypass_proxies("localhost")
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (after, after)


def test_models_that_are_not_there(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("CYCLEGAN_HUB_MODELS", "no/such/folder")
    try:
        with pytest.raises(SystemExit, match="CYCLEGAN_HUB_MODELS: models 'no/such/folder': no such folder"):
            module.main()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_port_that_is_taken_is_one_line_and_without_a_name_the_next_is_taken(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(module.UserError, match=f"GRADIO_SERVER_PORT={port}: that port is taken: stop what uses it"):
            module.free_port("127.0.0.1", str(port))
        monkeypatch.setattr(module, "FIRST_PORT", port)
        assert port < module.free_port("127.0.0.1", None) < port + module.PORTS
        monkeypatch.setattr(module, "PORTS", 1)
        with pytest.raises(module.UserError, match="is free: give one in GRADIO_SERVER_PORT"):
            module.free_port("127.0.0.1", None)
    assert module.free_port("127.0.0.1", str(port)) == port
    for wanted in ("7860", None):
        with pytest.raises(module.UserError, match=r"^GRADIO_SERVER_NAME=no\.such\.host\.invalid: cannot listen there "):
            module.free_port("no.such.host.invalid", wanted)
    monkeypatch.setattr(module, "_refusal", lambda *_: PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(module.UserError, match="GRADIO_SERVER_PORT=80: this user may not listen there: give 1024 or more"):
        module.free_port("127.0.0.1", "80")
    for wrong in ("x", "0", "70000", "-1"):
        with pytest.raises(module.UserError, match="give a number from 1 to 65535"):
            module.free_port("127.0.0.1", wrong)


def test_a_full_queue_says_so_and_what_was_given_is_deleted(
    module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(module, "WAITING", 1)
    page, released = module.Page(Studio(str(models)), delete_after=(3, 1)), threading.Event()
    _, url, _ = module.launch(page, prevent_thread_lock=True, server_name="127.0.0.1")
    page.studio._worker.submit(released.wait)  # nothing is translated meanwhile: four at work, and one waits
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            photo = upload(client, "private.png", encoded(1))
            codes: list[int] = []
            while 503 not in codes and len(codes) < 20:
                answer = client.post("/gradio_api/call/translate", json={"data": [photo, "anime", "a_to_b", None]})
                codes.append(answer.status_code)
                time.sleep(0.1)
            assert codes[:5] == [200] * 5 and codes[-1] == 503 and "Queue is full" in answer.text
            released.set()
            until = time.monotonic() + 60
            while [*tmp_path.rglob("private.png"), *tmp_path.rglob("image.png")]:
                assert time.monotonic() < until, "uploads or results are still there"
                time.sleep(0.2)
    finally:
        released.set()
        page.demo.close()
