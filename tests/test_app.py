"""app.py: what its events return, and its endpoints as gradio_client and curl use them, with no way off the machine."""

from __future__ import annotations

import base64
import importlib
import io
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.models.inference import fast
from cyclegan_hub.serving.examples import EXAMPLES, FREE
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio
from support.page_load import GUARD, LOCAL, App, call, running_app, same, tiny_models, upload
from support.pictures import encoded, picture
from support.training import ROOT, environment

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

NAME = "<img src=x onerror=alert(1)>.png"


def served(where: Path, epoch: int) -> Any:
    """A model as the page runs it in fp32."""
    return fast(load(where, epoch), exact=True)


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
    slider = update[page.one.epoch]
    assert slider["values"] == [1, 2, 3] and slider["value"] == 3 and slider["visible"] and slider["best"] == -1
    assert "webcam" in update[page.one.photo]["sources"] and update[page.one.no_camera] == ""
    update = page.open(camera=False)
    assert "webcam" not in update[page.one.photo]["sources"] and "No camera" in update[page.one.no_camera]


def test_one_epoch_has_no_slider_and_only_monet_its_own_size(page: Any) -> None:
    anime, monet = page.choose("anime"), page.choose("monet")
    assert not monet[page.one.epoch]["visible"] and not monet[page.several.epoch]["visible"]
    assert (anime[page.one.crop]["visible"], anime[page.one.original]["visible"]) == (True, False)
    assert (monet[page.one.crop]["visible"], monet[page.one.original]["visible"]) == (False, True)


def show(page: Any, view: str, photo: Path | None, domain: str, epoch: int, fresh: bool = False, **options: Any) -> Any:
    given = {"crop": False, "original": False, "pixels": False, "way": "png", "anyway": True, "face": 0} | options
    return page.one.show(fresh, view, str(photo) if photo else None, domain, "a_to_b", epoch, *given.values())


def test_every_view_shows_its_own(page: Any, models: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    model, one = served(models / "anime", 2), page.one
    after = model.translate(photo)
    for view in one.tabs:
        update = show(page, view, photo, "anime", 2, way="own", pixels=True)
        if view == "card":
            assert "Epoch 2" in update[one.card]
            continue
        assert update[one.view] == view and "example" not in update[one.notes]
        assert Path(update[one.save]).name == "anime-a_to_b-epoch-002-own-size.png"
        assert same(Image.open(update[one.save]), after)
        large = after.resize((512, 427), Image.Resampling.NEAREST)
        match view:
            case "slider":
                assert same(Image.open(update[one.slider][1]), large)
            case "pair":
                assert same(Image.open(update[one.pair[1]]), large)
            case "back":
                back = model.translate(after, "b_to_a", "original")
                assert same(Image.open(update[one.cycle[2]]), back.resize((512, 427), Image.Resampling.NEAREST))
            case "colours":
                assert update[one.histogram].width > 100


def test_what_is_shown_is_as_sharp_as_the_file(page: Any, tmp_path: Path) -> None:
    picture(1, (700, 500)).save(tmp_path / "photo.png")
    update = show(page, "pair", tmp_path / "photo.png", "monet", 1)
    before, after = (Image.open(update[one]) for one in page.one.pair)
    assert before.size == after.size == (700, 500)
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(picture(1, (700, 500))).astype(int))
    assert difference.mean() < 6  # a JPEG of high quality, of noise
    assert Image.open(update[page.one.save]).size == (720, 512)


@pytest.mark.parametrize(
    ("way", "name", "kind"),
    [("png", ".png", "PNG"), ("jpeg", ".jpg", "JPEG"), ("pair", "-pair.jpg", "JPEG"), ("own", "-own-size.png", "PNG")],
)
def test_ways_to_keep_a_result(page: Any, tmp_path: Path, way: str, name: str, kind: str) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    path = Path(show(page, "pair", tmp_path / "photo.png", "anime", 1, way=way)[page.one.save])
    assert path.name == f"anime-a_to_b-epoch-001{name}" and Image.open(path).format == kind


def test_the_strip_shows_the_input_and_every_epoch(page: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    one = page.one
    update = one.show_strip(str(tmp_path / "photo.png"), "anime", "a_to_b", False, True, 0)
    assert [label.split(" ·")[0] for _, label in update[one.strip]] == ["Input", "Epoch 1", "Epoch 2", "Epoch 3"]
    assert all(Image.open(path).size == (512, 427) for path, _ in update[one.strip])
    assert Image.open(update[one.strip_png]).width > 4 * 512
    with zipfile.ZipFile(update[one.strip_zip]) as archive:
        assert {"strip.png", "input.png", *(f"epoch-00{i}.png" for i in (1, 2, 3))} == set(archive.namelist())
        assert same(
            Image.open(io.BytesIO(archive.read("epoch-002.png"))), served(models / "anime", 2).translate(tmp_path / "photo.png")
        )


@pytest.mark.parametrize(
    ("domain", "direction", "shows"),
    [("anime", "a_to_b", "Grace Hopper"), ("anime", "b_to_a", "an anime face"), ("monet", "a_to_b", "a pavilion above a lake")],
)
def test_without_a_picture_an_example_is_shown_and_named(page: Any, domain: str, direction: str, shows: str) -> None:
    update = page.one.show(True, "pair", None, domain, direction, 1, False, False, False, "png", False, 0)
    assert f"This is an example, {shows}" in update[page.one.notes].replace("the computer scientist ", "")
    assert all(Path(path).is_file() for path, _ in update[page.one.examples])


def test_a_small_face_is_cut_out_and_a_picture_without_one_waits(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    one = page.one
    update = show(page, "pair", EXAMPLES["smile", "b_to_a"][0].path, "anime", 1, fresh=True)
    assert update[one.crop] is True and "so it was cut out" in update[one.notes] and not update[one.faces]["visible"]
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    update = show(page, "pair", tmp_path / "photo.png", "anime", 1, fresh=True)
    assert "No face was found" in update[one.notes] and update[one.go_on]["visible"] and update[one.pair[1]] is None
    assert one.show_strip(str(tmp_path / "photo.png"), "anime", "a_to_b", False, False, 0)[one.strip] is None
    update = show(page, "pair", tmp_path / "photo.png", "anime", 1, anyway=True)
    assert update[one.pair[1]] and not update[one.go_on]["visible"]


def test_own_size(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (72, 64)))
    saved = [
        show(page, "pair", tmp_path / "photo.png", "monet", 1, original=own, way="own")[page.one.save] for own in (False, True)
    ]
    assert [Image.open(path).size for path in saved] == [(36, 32), (72, 64)]


def test_an_epoch_that_has_gone_is_the_nearest_one(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    for asked, taken in ((9, 3), (0, 1), (10**9, 3)):
        update = show(page, "pair", tmp_path / "photo.png", "anime", asked)
        assert update[page.one.epoch]["value"] == taken and f"epoch-00{taken}" in update[page.one.save]


@pytest.mark.parametrize("sent", [None, "", "junk", [5], {}, float("nan"), float("inf"), -5, 1e300, "1e9", 2.6, True])
def test_whatever_is_sent_as_an_epoch_or_a_seed_is_a_number(page: Any, sent: Any) -> None:
    for slider, most in ((page.one.epoch, 2**31 - 1), (page.sampling.seed, 2**31 - 1)):
        number = slider.preprocess(sent)
        assert isinstance(number, int) and 0 <= number <= most


def test_a_model_that_vanishes_is_one_sentence(
    module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "temporary"))
    shutil.copytree(models, tmp_path / "models")
    page = module.Page(Studio(str(tmp_path / "models")))
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(gr.Error) as error:
        show(page, "pair", tmp_path / "photo.png", "monet", 1)
    assert "of monet cannot be loaded" in error.value.message and str(tmp_path) not in error.value.message


def test_a_photograph_that_browsers_cannot_show_gets_a_copy(page: Any, tmp_path: Path) -> None:
    picture(1, (40, 30)).save(tmp_path / "photo.tiff")
    assert Image.open(page.one.displayable(str(tmp_path / "photo.tiff"))).format == "JPEG"
    picture(1, (40, 30)).save(tmp_path / "photo.png")
    assert page.one.displayable(str(tmp_path / "photo.png")) == gr.skip() and page.one.displayable(None) == gr.skip()


def test_a_visitor_who_leaves_during_a_batch_leaves_nothing(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    request, panel = SimpleNamespace(session_hash="visitor"), page.several

    def left(*_: Any, **__: Any) -> None:
        panel.gone(request)

    before = sorted(tmp_path.rglob("*.zip"))
    with pytest.raises(gr.Error) as error:
        files = [str(tmp_path / "photo.png")] * 3
        panel.show(files, "anime", "a_to_b", "epoch-001", False, "png", request, progress=left)
    assert "The page was closed" in error.value.message and sorted(tmp_path.rglob("*.zip")) == before
    assert not panel._left and not panel._working


def frame(seed: int) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(seed, (64, 48), 'JPEG')).decode()}"


def test_a_live_frame_is_translated_and_nothing_is_written(page: Any, models: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    shown, notes, pace = page.live.show(frame(1), "anime", "a_to_b", 2, None)
    assert shown.count('<img alt="What') == 2 and shown.count("data:image/jpeg;base64,") == 2 and "Starting" in notes
    shown, notes, pace = page.live.show(frame(2), "anime", "a_to_b", 2, pace)
    assert "frames a second, at 32 x 32 pixels." in notes and pace[1] > 0
    assert sorted(tmp_path.rglob("*")) == before and page.live.show(None, "anime", "a_to_b", 2, pace)[2] is None
    still = Image.open(page.live.take(frame(1), "anime", "a_to_b", 2)["value"])
    assert still.size == (2 * 512 + 24, 512 + 16)
    for broken in ("data:image/jpeg;base64,!", "data:,", "http://127.0.0.1/x.png"):
        with pytest.raises(gr.Error) as error:
            page.live.show(broken, "anime", "a_to_b", 2, None)
        assert "camera's picture cannot be read" in error.value.message


def test_files_of_the_page(module: Any) -> None:
    from cyclegan_hub.page import components

    assert {path.suffix for path in components.HERE.iterdir() if path.is_file()} == {".py", ".html", ".css", ".js"}  # no .pyi


def test_every_example_is_there_and_attributed() -> None:
    text = (FREE / "ATTRIBUTION.md").read_text("utf-8")
    shown = {example.file for examples in EXAMPLES.values() for example in examples}
    found = {str(path.relative_to(FREE)) for path in FREE.rglob("*") if path.suffix in (".jpg", ".png")}
    assert shown <= found
    for name in found:
        assert f"`{name}`" in text and (FREE / name).stat().st_size < 100_000 and max(Image.open(FREE / name).size) <= 768
    domains = {name for name, domain in DOMAINS.items() if domain.b}
    assert {key for key in EXAMPLES} == {(name, direction) for name in domains for direction in ("a_to_b", "b_to_a")}


def test_messages_are_escaped_and_the_unexpected_stays_untold(capfd: pytest.CaptureFixture[str]) -> None:
    from cyclegan_hub.page.answers import as_html, explain_errors

    secret = f"/tmp/upload/{NAME}"

    def known() -> None:
        raise ServingError(f"{NAME} is no picture")

    def unknown() -> None:
        raise KeyError(secret)

    with pytest.raises(gr.Error) as error:
        explain_errors(known)()
    assert error.value.message == "&lt;img src=x onerror=alert(1)&gt;.png is no picture"
    with pytest.raises(gr.Error) as error:
        explain_errors(unknown)()
    assert error.value.message.startswith("Something went wrong here")
    logged = capfd.readouterr().err
    assert "test_app.py" in logged and "KeyError" in logged and NAME not in logged and "upload" not in logged
    assert as_html([NAME, ""]) == "<p>&lt;img src=x onerror=alert(1)&gt;.png</p>"


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
        assert same(Image.open(answer), served(models / "anime", epoch).translate(photo, "b_to_a"))
    gallery, archive = client.predict(
        [handle_file(photo), handle_file(broken)], "anime", "a_to_b", 2, api_name="/translate_batch"
    )
    with zipfile.ZipFile(archive) as zipped:
        (name,) = (name for name in zipped.namelist() if name.endswith(".png"))
        assert same(Image.open(io.BytesIO(zipped.read(name))), served(models / "anime", 2).translate(photo))
    assert [one["caption"] for one in gallery] == ["photo.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("landscape", "a_to_b"), "No domain 'landscape'; there are: anime, monet."),
        (("anime", "sideways"), "No direction 'sideways'; there are a_to_b and b_to_a."),
        (("anime", "a_to_b", 77), "Anime has no epoch '77'; there are: 1, 2, 3."),
    ],
)
def test_what_there_is_not_is_as_html(web: httpx.Client, arguments: tuple, message: str) -> None:
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


@pytest.mark.slow
def test_no_models_and_a_stop(tmp_path: Path) -> None:
    with running_app(tmp_path / "app", None) as app, httpx.Client(base_url=app.url, timeout=60) as client:
        assert call(client, "domains")[0] == []
        upload(client, "private.png", encoded(1))
        assert [path for path in app.temporary.rglob("private.png") if path.is_file()]
        app.process.send_signal(signal.SIGTERM)
        assert app.process.wait(60) == 0, app.log.read_text()
        assert [path for path in app.temporary.rglob("*") if path.is_file()] == []


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
    for wrong in ("x", "0", "70000", "-1"):
        with pytest.raises(module.UserError, match="give a number from 1 to 65535"):
            module.free_port("127.0.0.1", wrong)


def test_the_start_says_where_and_how_to_stop(app: App) -> None:
    printed = app.log.read_text()
    assert f"Open {app.url} in a browser. Stop with Ctrl+C." in printed and "Serving the models of the folder" in printed


def test_a_full_queue_says_so_and_what_was_given_is_deleted(
    module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(module, "WAITING", 1)
    page = module.Page(Studio(str(models)), delete_after=(1, 1))
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
