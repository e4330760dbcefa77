"""app.py: what its events return, and its endpoints as gradio_client and curl use them, with no way off the machine."""

from __future__ import annotations

import importlib
import io
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio
from support.page_load import GUARD, LOCAL, App, call, running_app, same, tiny_models, upload
from support.pictures import encoded, picture
from support.training import ROOT, environment

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

NAME = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"), {"anime": 3, "monet": 0})


@pytest.fixture(scope="module")
def app(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running_app(tmp_path_factory.mktemp("app"), models) as running:
        yield running


@pytest.fixture(scope="module")
def web(app: App) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=app.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def module() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module("app")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture
def page(module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return module.Page(Studio(str(models)))


# --- events


def test_opening_offers_what_there_is(page: Any) -> None:
    update = page.open(camera=True)
    assert update[page.domain]["choices"] == [("Anime", "anime"), ("Monet", "monet")]
    assert update[page.direction]["choices"] == [("human face → anime face", "a_to_b"), ("anime face → human face", "b_to_a")]
    assert update[page.epoch]["maximum"] == update[page.epoch]["value"] == 3 and update[page.epoch]["visible"]
    assert update[page.epoch]["label"].startswith("Epoch 3")
    assert "webcam" in update[page.photo]["sources"] and update[page.no_camera] == ""
    update = page.open(camera=False)
    assert "webcam" not in update[page.photo]["sources"] and "No camera" in update[page.no_camera]


def test_one_epoch_has_no_slider_and_only_monet_its_own_size(page: Any) -> None:
    anime, monet = page.choose("anime"), page.choose("monet")
    assert not monet[page.epoch]["visible"] and not monet[page.batch_epoch]["visible"]
    assert (anime[page.crop]["visible"], anime[page.original]["visible"]) == (True, False)
    assert (monet[page.crop]["visible"], monet[page.original]["visible"]) == (False, True)


def test_every_view_shows_its_own(page: Any, models: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    model = load(models / "anime", 2)
    after = model.translate(photo)
    for view in page.tabs:
        update = page.show(view, str(photo), "anime", "a_to_b", 2, False, False)
        assert update[page.view] == view and update[page.epoch]["label"] == "Epoch 2" and "example" not in update[page.notes]
        assert Path(update[page.save]).name == "anime-a_to_b-epoch-002.png"
        assert same(Image.open(update[page.save]), after)
        match view:
            case "slider":
                assert same(update[page.slider][1], after) and update[page.slider][0].size == after.size
            case "pair":
                assert same(update[page.pair[1]], after)
            case "back":
                assert same(update[page.cycle[2]], model.translate(after, "b_to_a", "original"))
            case "epochs":
                assert [label.split(" ·")[0] for _, label in update[page.gallery]] == ["Epoch 1", "Epoch 2", "Epoch 3"]
                assert same(update[page.gallery][1][0], after)
                assert Image.open(update[page.row_png]).width > 3 * after.width
                with zipfile.ZipFile(update[page.row_zip]) as archive:
                    assert {f"epoch-00{i}.png" for i in (1, 2, 3)} <= set(archive.namelist())
            case "colours":
                assert update[page.histogram].width > 100
            case "card":
                assert "Epoch 2" in update[page.card]


def test_without_a_picture_an_example_is_shown_and_named(page: Any) -> None:
    update = page.show("slider", None, "anime", "a_to_b", 1, False, False)
    assert "This is an example, the face of the astronaut" in update[page.notes]


def test_own_size(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (72, 64)))
    sizes = [
        page.show("pair", str(tmp_path / "photo.png"), "monet", "a_to_b", 1, False, original)[page.pair[1]].size
        for original in (False, True)
    ]
    assert sizes == [(36, 32), (72, 64)]


def test_an_epoch_that_has_gone_is_said(page: Any) -> None:
    with pytest.raises(gr.Error) as error:
        page.show("slider", None, "anime", "a_to_b", 9, False, False)
    assert "reload the page" in error.value.message


def test_files_of_the_page(module: Any) -> None:
    from cyclegan_hub.page import components as parts

    assert set(module.EXAMPLES) == {path.name for path in module.FREE.glob("*.jpg")}
    assert {path.suffix for path in parts.HERE.iterdir() if path.is_file()} == {".py", ".html", ".css"}  # gradio writes no .pyi


def test_messages_are_escaped_and_the_unexpected_stays_untold(capfd: pytest.CaptureFixture[str]) -> None:
    from cyclegan_hub.page.answers import answered, said

    secret = f"/tmp/upload/{NAME}"

    def known() -> None:
        raise ServingError(f"{NAME} is no picture")

    def unknown() -> None:
        raise KeyError(secret)

    with pytest.raises(gr.Error) as error:
        answered(known)()
    assert error.value.message == "&lt;img src=x onerror=alert(1)&gt;.png is no picture"
    with pytest.raises(gr.Error) as error:
        answered(unknown)()
    assert error.value.message.startswith("Something went wrong here")
    logged = capfd.readouterr().err
    assert "test_app.py" in logged and "KeyError" in logged and NAME not in logged and "upload" not in logged
    assert said([NAME, ""]) == "<p>&lt;img src=x onerror=alert(1)&gt;.png</p>"


# --- endpoints


def test_gradio_client(app: App, models: Path, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    photo, broken = tmp_path / "photo.png", tmp_path / "broken.png"
    photo.write_bytes(encoded(3, (50, 40)))
    broken.write_bytes(b"<html>")
    client = Client(app.url, verbose=False, download_files=str(tmp_path / "answers"))
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(endpoints) == {"/translate", "/translate_batch", "/sample", "/interpolate", "/epochs", "/domains"}
    assert all(one["description"] for one in endpoints.values())

    domains = client.predict(api_name="/domains")
    assert [(one["name"], one["labels"]) for one in domains] == [
        ("anime", ["human face", "anime face"]),
        ("monet", ["photo", "Monet"]),
    ]
    assert [one["epoch"] for one in client.predict("anime", api_name="/epochs")] == [1, 2, 3]
    assert [one["epoch"] for one in client.predict("monet", api_name="/epochs")] == [None]
    for arguments, epoch in ((("anime", "b_to_a", 1), 1), (("anime", "b_to_a"), 3)):
        answer = client.predict(handle_file(photo), *arguments, api_name="/translate")
        assert same(Image.open(answer), load(models / "anime", epoch).translate(photo, "b_to_a"))
    gallery, archive = client.predict(
        [handle_file(photo), handle_file(broken)], "anime", "a_to_b", 2, api_name="/translate_batch"
    )
    with zipfile.ZipFile(archive) as zipped:
        (name,) = (name for name in zipped.namelist() if name.endswith(".png"))
        assert same(Image.open(io.BytesIO(zipped.read(name))), load(models / "anime", 2).translate(photo))
    assert [one["caption"] for one in gallery] == ["photo.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("landscape", "a_to_b"), "No domain 'landscape'; there are: anime, monet."),
        (("anime", "sideways"), "No direction 'sideways'; there are a_to_b and b_to_a."),
        (("anime", "a_to_b", 77), "Anime has no epoch '77'; there are: 1, 2, 3."),
    ],
)
def test_what_there_is_not_is_said(web: httpx.Client, arguments: tuple, message: str) -> None:
    photo = upload(web, "photo.png", encoded(1))
    with pytest.raises(RuntimeError) as error:
        call(web, "translate", photo, *arguments, *([None] if len(arguments) == 2 else []))
    assert message in str(error.value)


def hostile() -> dict[str, bytes]:
    """Files that are not what they are called, or more than they seem."""
    jpeg = encoded(1, (64, 48), "JPEG")
    bomb = bytearray(encoded(1, (8, 8)))
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # width and height in the header
    return {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "bomb.png": bytes(bomb),
        "empty.png": b"",
        NAME: b"<html><script>alert(1)</script></html>",
        "vector.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "../../etc/passwd.png": b"root:x:0:0",
    }


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_file_is_one_clear_sentence(web: httpx.Client, name: str) -> None:
    photo = upload(web, name, hostile()[name])
    with pytest.raises(RuntimeError) as error:
        call(web, "translate", photo, "anime", "a_to_b", None)
    text = str(error.value)
    assert any(word in text for word in ("damaged", "not an image", "pixels")), text
    assert not any(part in text for part in LOCAL) and "<" not in text
    with pytest.raises(RuntimeError, match="None of the files could be translated"):
        call(web, "translate_batch", [photo], "anime", "a_to_b", None)
    assert web.get("/").status_code == 200


def test_an_address_is_not_fetched_and_no_other_file_is_read(web: httpx.Client) -> None:
    for path in ("http://127.0.0.1:9/x.png", "https://example.org/x.png"):
        for endpoint in ("translate", "translate_batch"):
            photo = {"path": path, "meta": {"_type": "gradio.FileData"}}
            with pytest.raises(RuntimeError, match="Upload the picture: this page fetches nothing"):
                call(web, endpoint, photo if endpoint == "translate" else [photo], "anime", "a_to_b", None)
    for path in ("/etc/passwd", str(ROOT / "README.md")):
        with pytest.raises(RuntimeError):
            call(web, "translate", {"path": path, "meta": {"_type": "gradio.FileData"}}, "anime", "a_to_b", None)
        assert web.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_too_large_a_file_is_refused(web: httpx.Client) -> None:
    answer = web.post("/gradio_api/upload", files={"files": ("large.png", bytes(64 * 2**20 + 1))})
    assert answer.status_code == 413 and "maximum allowed size" in answer.text


def test_nothing_left_the_machine_and_nothing_was_logged(app: App, web: httpx.Client) -> None:
    call(web, "translate", upload(web, "private.png", encoded(5)), "anime", "a_to_b", None)
    log = app.log.read_text()
    assert not any(word in log for word in ("LEFT THE MACHINE", "ASKED FOR", "private", "photo", *hostile()))
    assert web.get("/config").json()["analytics_enabled"] is False


def test_leaving_would_have_been_noticed() -> None:
    for host, word in (("192.0.2.1", "LEFT THE MACHINE"), ("example.org", "ASKED FOR")):
        code = f"{GUARD}\nsocket.create_connection(({host!r}, 9), timeout=1)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 1 and word in done.stderr


# --- the process


def test_import_is_light() -> None:
    absent = ["accelerate", "datasets", "diffusers", "kornia", "matplotlib", "dlib"]
    code = f"import app, sys, os\nprint([m for m in {absent!r} if m in sys.modules], os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] PASSIVE"


def test_no_models_and_a_stop(tmp_path: Path) -> None:
    with running_app(tmp_path / "app", None) as app, httpx.Client(base_url=app.url, timeout=60) as client:
        assert call(client, "domains")[0] == []
        upload(client, "private.png", encoded(1))
        assert [path for path in app.temporary.rglob("private.png") if path.is_file()]
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(60) == 0
        assert [path for path in app.temporary.rglob("*") if path.is_file()] == []


def test_models_that_are_not_there(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("CYCLEGAN_HUB_MODELS", "no/such/folder")
    try:
        with pytest.raises(SystemExit, match="CYCLEGAN_HUB_MODELS: models 'no/such/folder': no such folder"):
            module.main()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_full_queue_says_so_and_what_was_given_is_deleted(
    module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(module, "WAITING", 1)
    page = module.Page(Studio(str(models)), kept=(1, 1))
    _, url, _ = module.launch(page, prevent_thread_lock=True, server_name="127.0.0.1")
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            photo = upload(client, "private.png", encoded(1))
            body = {"data": [photo, "anime", "a_to_b", None]}
            with page.studio._forward:  # nothing is translated meanwhile: four at work, and one waits
                codes: list[int] = []
                while 503 not in codes and len(codes) < 20:
                    answer = client.post("/gradio_api/call/translate", json=body)
                    codes.append(answer.status_code)
                    time.sleep(0.1)
            assert codes[:5] == [200] * 5 and codes[-1] == 503 and "Queue is full" in answer.text
            until = time.monotonic() + 30
            while [*tmp_path.rglob("private.png"), *tmp_path.rglob("image.png")]:
                assert time.monotonic() < until, "uploads or results are still there"
                time.sleep(0.2)
    finally:
        page.demo.close()


def test_same_tells_pictures_apart() -> None:
    assert same(picture(1), picture(1)) and not same(picture(1), picture(2)) and not same(picture(1), picture(1, (9, 9)))
