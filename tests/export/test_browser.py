"""The folder for the browser, in chromium against a local static server: upload, camera, epochs, what is missing, what is sent.

It needs the npm package onnxruntime-web in node_modules/ (`make node_modules/onnxruntime-web`), and is skipped without.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.export.browser import VERSION, _domain, _front_matter, _title, export_web, find_runtime
from cyclegan_hub.export.onnx_export import ExportError
from cyclegan_hub.export.winograd import WinogradConv2d, use_winograd
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.faces.mtcnn import WEIGHTS
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.noise import Noise
from cyclegan_hub.models.onnx import OnnxGenerator
from support import axe, tiny_models
from support.chromium import NEEDED, PHONE, WIDE, launched
from support.photos import TWO
from support.pictures import picture
from support.pixels import apart
from support.training import ROOT

pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
RUNTIME = ROOT / "node_modules" / "onnxruntime-web"
in_chromium = [
    pytest.mark.browser,
    pytest.mark.flaky(reruns=1),
    NEEDED,
    pytest.mark.skipif(not RUNTIME.is_dir(), reason=f"the browser export needs: npm install onnxruntime-web@{VERSION}"),
]
SCROLL = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
SIZE = 128
PORTRAIT = ROOT / "cyclegan_hub" / "free_images" / "astronaut_face.jpg"


@pytest.fixture(scope="module")
def source() -> Path:
    """The bundled model: what a browser makes of untrained noise says little."""
    return ROOT / "pretrained" / "smile"


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not RUNTIME.is_dir():
        pytest.skip(f"the browser export needs: npm install onnxruntime-web@{VERSION}")
    out = tmp_path_factory.mktemp("web") / "site"
    epochs = [int(path.name.removeprefix("epoch-")) for path in sorted((source / "epochs").iterdir())]
    export_web(str(source), out, epochs=[epochs[0], epochs[-1]], size=SIZE, runtime=str(RUNTIME))
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a camera that plays a portrait moving to and fro."""
    photo, frames = images.decode(PORTRAIT.parent / "astronaut.jpg").resize((480, 480)), []
    for i in range(80):
        frame, buffer = Image.new("RGB", (640, 480), (70, 80, 90)), io.BytesIO()
        frame.paste(photo, (60 + min(i, 80 - i) // 2, 0))
        frame.save(buffer, "JPEG", quality=95)
        frames.append(buffer.getvalue())
    clip = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    clip.write_bytes(b"".join(frames))
    with launched(f"--use-file-for-fake-video-capture={clip}") as chromium:
        yield chromium


class Server:
    """A static server on loopback; `isolated` sends the two headers that allow threads. It notes every request."""

    def __init__(self, folder: Path, isolated: bool) -> None:
        noted = self.requests = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                if isolated:
                    self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                    self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
                super().end_headers()

            def send_head(self) -> Any:
                noted.append((self.command, self.path, int(self.headers.get("Content-Length") or 0)))
                return super().send_head()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Tab:
    """An open page. At its end nothing has been sent, and nothing was asked for elsewhere."""

    def __init__(self, browser: Any, server: Server, viewport: dict[str, int] = WIDE, script: str = "", **options: Any) -> None:
        self.server = server
        self.context = browser.new_context(viewport=viewport, **options)
        self.sent: list[str] = []
        self.faults: list[str] = []
        self.context.on("request", self._note)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text) if "Content Security" in message.text else None)
        if script:
            self.page.add_init_script(script)
        self.page.goto(server.url)

    def _note(self, request: Any) -> None:
        if request.method != "GET" or request.post_data or not request.url.startswith((self.server.url, "data:", "blob:")):
            self.sent.append(f"{request.method} {request.url}")

    def ready(self) -> Tab:
        self.page.wait_for_selector("body[data-ready=yes]")
        return self

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.sent == [] and self.faults == []
            assert [one for one in self.server.requests if one[0] != "GET" or one[2]] == []

    def forget(self) -> None:
        """What the status said is gone, so that what comes next can be waited for."""
        self.page.evaluate("() => { document.getElementById('status').textContent = 'waiting' }")

    def translated(self) -> None:
        self.page.wait_for_function("() => /ranslated|^$/.test(document.getElementById('status').textContent)")

    def translate(self, name: str, data: bytes) -> None:
        self.forget()
        self.page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": data})
        self.translated()

    def shown(self, canvas: str) -> np.ndarray:
        url = self.page.evaluate(f"() => document.getElementById('{canvas}').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), int)


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def expected(source: Path, image: Image.Image, direction: str, epoch: str | None, **options: Any) -> np.ndarray:
    model = CycleGenerator.from_pretrained(source, revision=epoch)
    return np.asarray(model.translate(image, direction, SIZE, **options), int)


def photographs() -> list[Image.Image]:
    """A portrait, one tilted and cut off by the border, and a face far from the middle of a larger photograph."""
    whole = images.decode(PORTRAIT.parent / "astronaut.jpg")
    large = Image.new("RGB", (900, 700), (90, 110, 120))
    large.paste(whole.resize((450, round(450 * whole.height / whole.width))), (400, 200))
    tilted = whole.rotate(17, Image.Resampling.BICUBIC)
    return [images.decode(PORTRAIT), tilted.crop((0, 0, round(0.6 * tilted.width), round(0.7 * tilted.height))), large]


class TestInChromium:
    pytestmark = in_chromium

    def test_a_face_is_what_python_makes_of_it(self, site: Path, source: Path, browser: Any) -> None:
        """Found, aligned, translated at the photograph's own scale, and put back."""
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        best = next((one["name"] for one in epochs if one["best"]), epochs[0]["name"])
        model = CycleGenerator.from_pretrained(source, revision=best)
        with Server(site, False) as server, Tab(browser, server).ready() as tab:
            for photo in photographs():
                tab.translate("a.png", encoded(photo))
                assert "No face" not in tab.page.inner_text("#status")
                want = expected(source, photo, "a_to_b", best)
                after, before = tab.shown("after"), tab.shown("before")
                assert after.shape == want.shape and np.abs(after - want).max() <= 4
                apart = np.abs(before - np.asarray(align(photo, find_faces(photo)[0], model.eyes["a_to_b"], len(before)), int))
                assert apart.max() <= 3 and (apart > 1).mean() < 1e-3
            tab.forget()
            tab.page.check("#whole")
            tab.translated()
            for photo in photographs():
                tab.translate("a.png", encoded(photo))
                want = expected(source, photo, "a_to_b", best, face="all", whole=True)
                assert np.abs(tab.shown("before") - np.asarray(photo, int)).max() == 0
                assert np.abs(tab.shown("after") - want).max() <= 4

    @pytest.mark.parametrize("isolated", [True, False], ids=["threads", "one thread"])
    def test_without_a_face_it_is_the_square(self, isolated: bool, site: Path, source: Path, browser: Any) -> None:
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        best = next((one["name"] for one in epochs if one["best"]), epochs[0]["name"])
        cup = images.decode(PORTRAIT.parent / "coffee.jpg")
        with Server(site, isolated) as server, Tab(browser, server).ready() as tab:
            threads = int(tab.page.get_attribute("#about", "data-threads"))
            assert (threads > 1) == (isolated and (tab.page.evaluate("() => navigator.hardwareConcurrency") > 2))
            for size in ((200, 150), (128, 128), (71, 90)):
                small = cup.resize(size)
                square = images.square(small, SIZE)
                tab.translate("a.png", encoded(small))
                assert "No face was found" in tab.page.inner_text("#status")
                assert np.abs(tab.shown("before") - np.asarray(square, int)).max() <= 1
                assert np.abs(tab.shown("after") - expected(source, square, "a_to_b", best, face="none")).max() <= 3
            tab.forget()
            tab.page.click("#turn")
            tab.translated()
            assert tab.page.inner_text("#from") == "smiling"
            assert np.abs(tab.shown("after") - expected(source, square, "b_to_a", best, face="none")).max() <= 3

    def test_the_slider_shows_the_other_epochs(self, site: Path, source: Path, browser: Any) -> None:
        image = images.decode(PORTRAIT)
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        with Server(site, True) as server, Tab(browser, server, PHONE).ready() as tab:
            tab.translate("a.png", encoded(image))
            for i, epoch in enumerate(epochs):
                tab.forget()
                tab.page.fill("#epoch", str(i))
                tab.translated()
                assert tab.page.inner_text("#number").startswith(str(epoch["number"]))
                assert np.abs(tab.shown("after") - expected(source, image, "a_to_b", epoch["name"])).max() <= 4
            wide, seen = tab.page.evaluate(SCROLL)
            assert wide <= seen

    def test_the_camera_follows_a_face_and_stops(self, site: Path, browser: Any, capsys: pytest.CaptureFixture) -> None:
        with Server(site, True) as server, Tab(browser, server, permissions=["camera"]).ready() as tab:
            tab.page.click("#camera")
            tab.page.wait_for_function("() => /Live: [1-9]/.test(document.getElementById('status').textContent)")
            first, places = tab.shown("before"), []
            for _ in range(5):
                tab.page.wait_for_timeout(600)
                (face, *_) = find_faces(Image.fromarray(tab.shown("before").astype(np.uint8)))
                places.append([part for eye in face.eyes for part in (eye.real, eye.imag)])
            said = tab.page.inner_text("#status")
            assert np.ptp(places, axis=0).max() < 6  # px of 128: it lies still, though it moves by 20 on the camera
            assert np.abs(tab.shown("before") - first).max() > 10 and tab.shown("after").std() > 5
            assert "mirrored" in (tab.page.get_attribute("#after", "class") or "")
            with capsys.disabled():
                print(f"\nin chromium, 128 px, {tab.page.get_attribute('#about', 'data-threads')} threads: {said}")
            with tab.page.expect_download() as download:
                tab.page.click("#save")
            with Image.open(download.value.path()) as saved:
                assert saved.size == (512, 512) and download.value.suggested_filename == "smile-a_to_b.png"
            tab.page.click("#camera")
            tab.page.wait_for_function("() => document.getElementById('status').textContent === 'Stopped.'")
            assert tab.page.inner_text("#camera") == "Start camera"

    def test_a_refused_camera_is_one_sentence(self, site: Path, browser: Any) -> None:
        refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
        with Server(site, True) as server, Tab(browser, server, script=refuse).ready() as tab:
            tab.page.click("#camera")
            assert "The camera cannot be used (NotAllowedError)" in tab.page.wait_for_selector("#problem:visible").inner_text()

    def test_what_is_no_picture(self, site: Path, browser: Any) -> None:
        with Server(site, True) as server, Tab(browser, server).ready() as tab:
            tab.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"text"})
            assert "cannot show this file" in tab.page.wait_for_selector("#problem:visible").inner_text()
            tab.translate("b.png", encoded(picture(0)))
            assert tab.page.is_hidden("#problem")

    @pytest.mark.parametrize("missing", ["manifest.json", "worker.js", "runtime/ort-wasm-simd-threaded.wasm", "models"])
    def test_a_missing_file_is_named(self, missing: str, site: Path, browser: Any, tmp_path: Path) -> None:
        shutil.copytree(site, tmp_path / "site")
        gone = tmp_path / "site" / missing
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        with Server(tmp_path / "site", True) as server, Tab(browser, server) as tab:
            if missing == "models" or missing.startswith("runtime"):  # the runtime reads its file with the first model
                tab.ready().translate("a.png", encoded(picture(0)))
            said = tab.page.wait_for_selector("#problem:visible").inner_text()
            assert "\n" not in said
            assert {"models": "models/a_to_b", "runtime/ort-wasm-simd-threaded.wasm": "wasm"}.get(missing, missing) in said

    def test_it_opens_with_its_example_translated(self, site: Path, source: Path, browser: Any, tmp_path: Path) -> None:
        """By the model, and before there is one."""
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        best = next((one["name"] for one in epochs if one["best"]), epochs[0]["name"])
        free = PORTRAIT.parent / "examples"
        with Server(site, False) as server, Tab(browser, server).ready() as tab:
            want = expected(source, images.decode(free / "grace_hopper.jpg"), "a_to_b", best)
            assert np.abs(tab.shown("after") - want).max() <= 4 and not tab.page.is_disabled("#save")
            tab.forget()
            tab.page.click("#turn")  # to a direction with another example
            tab.translated()
            want = expected(source, images.decode(free / "astronaut.jpg"), "b_to_a", best)
            assert np.abs(tab.shown("after") - want).max() <= 4
            tab.translate("a.png", encoded(images.decode(PORTRAIT)))
            assert tab.page.text_content("#credit") == ""
        shutil.copytree(site, tmp_path / "site")
        shutil.rmtree(tmp_path / "site/models")
        with Server(tmp_path / "site", False) as server, Tab(browser, server).ready() as tab:
            want = np.asarray(images.decode(site / "examples/after.jpg"), int)
            assert np.abs(tab.shown("after") - want).max() <= 2

    def test_the_strength(self, site: Path, source: Path, browser: Any) -> None:
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        best = next((one["name"] for one in epochs if one["best"]), epochs[0]["name"])
        photo, cup = images.decode(PORTRAIT), images.decode(PORTRAIT.parent / "coffee.jpg").resize((SIZE, SIZE))
        with Server(site, False) as server, Tab(browser, server).ready() as tab:
            for image, part, options in (
                (photo, "#face", {}),
                (cup, "#face", {"face": "none"}),
                (photo, "#whole", {"face": "all", "whole": True}),
            ):
                tab.forget()
                tab.page.check(part)
                if part == "#whole":  # of the photograph before
                    tab.translated()
                tab.translate("a.png", encoded(image))
                for strength in (0, 0.5, 1.5):
                    tab.forget()
                    tab.page.fill("#strength", str(strength))
                    tab.translated()
                    assert tab.page.inner_text("#share") == str(strength)
                    want = expected(source, image, "a_to_b", best, strength=strength, **options)
                    assert np.abs(tab.shown("after") - want).max() <= 5
                    assert (np.abs(tab.shown("after") - tab.shown("before")).max() == 0) == (strength == 0)
                tab.forget()
                tab.page.fill("#strength", "1")
                tab.translated()

    def test_of_several_faces_one_is_chosen_by_keyboard(self, site: Path, source: Path, browser: Any) -> None:
        epochs = json.loads((site / "manifest.json").read_text())["epochs"]
        best = next((one["name"] for one in epochs if one["best"]), epochs[0]["name"])
        with Server(site, False) as server, Tab(browser, server).ready() as tab:
            assert tab.page.is_hidden("#faces")
            tab.translate("two.png", encoded(TWO))
            assert tab.page.locator("#faces canvas").count() == 2
            tab.page.get_by_label("Face 1 of 2").focus()
            tab.forget()
            tab.page.keyboard.press("ArrowRight")
            tab.translated()
            assert tab.page.is_checked("#faces label:nth-of-type(2) input")
            assert np.abs(tab.shown("after") - expected(source, TWO, "a_to_b", best, face=1)).max() <= 4
            tab.forget()
            tab.page.check("#whole")
            tab.translated()
            assert tab.page.is_hidden("#faces")
            tab.translate("one.png", encoded(images.decode(PORTRAIT)))
            tab.forget()
            tab.page.check("#face")
            tab.translated()
            assert tab.page.is_hidden("#faces")

    @axe.NEEDED
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
    def test_everybody_can_use_it(self, viewport: dict[str, int], scheme: str, site: Path, browser: Any) -> None:
        with Server(site, False) as server, Tab(browser, server, viewport, color_scheme=scheme).ready() as tab:
            tab.translate("two.png", encoded(TWO))
            tab.page.click("summary")
            assert axe.serious_violations(tab.page) == []
            result, given, actions = (tab.page.locator(f"#{name}").bounding_box() for name in ("result", "input", "actions"))
            if viewport is PHONE:  # the result first, at full width
                assert result["y"] < actions["y"] < given["y"] and result["width"] > 350
            wide, seen = tab.page.evaluate(SCROLL)
            assert wide <= seen

    def test_an_old_browser(self, site: Path, browser: Any) -> None:
        with Server(site, True) as server, Tab(browser, server, script="delete window.WebAssembly") as tab:
            assert "too old for this page" in tab.page.wait_for_selector("#problem:visible").inner_text()

    def test_screenshots_can_be_looked_at(self, site: Path, browser: Any) -> None:
        """With CYCLEGAN_HUB_SCREENSHOTS=folder they are left there."""
        import os

        folder = os.environ.get("CYCLEGAN_HUB_SCREENSHOTS")
        if not folder:
            pytest.skip("CYCLEGAN_HUB_SCREENSHOTS names no folder")
        with Server(site, True) as server:
            for name, viewport, scheme in (("wide", WIDE, "light"), ("phone", PHONE, "dark")):
                with Tab(browser, server, viewport, color_scheme=scheme).ready() as tab:
                    tab.translate("a.png", encoded(images.decode(PORTRAIT)))
                    tab.page.screenshot(path=Path(folder) / f"web-{name}.png", full_page=True)
                    tab.page.click("#camera")
                    tab.page.wait_for_function("() => /Live: [1-9]/.test(document.getElementById('status').textContent)")
                    tab.page.wait_for_timeout(2000)
                    tab.page.screenshot(path=Path(folder) / f"web-{name}-live.png", full_page=True)


# ----------------------------------------------------------------------------------------------------
# The folder for the browser, without a browser: the graph, the files, the runtime, and what cannot be done.


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_winograd_is_the_same_convolution(padding: str) -> None:
    import torch

    conv = nn.Conv2d(16, 20, 3, padding=1, padding_mode=padding, bias=False)
    x = torch.randn(1, 16, 12, 20)
    assert torch.allclose(WinogradConv2d(conv)(x), conv(x), atol=1e-4)
    network = use_winograd(ResNetGenerator(3, 8, 2, "resize", padding))
    assert sum(isinstance(module, WinogradConv2d) for module in network.modules()) == 4 + 2  # of the blocks, and of resizing


@pytest.fixture
def fake_runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (folder / name).write_bytes(b"x")
    return folder


def test_a_model_with_noise(fake_runtime: Path, tmp_path: Path) -> None:
    """The noise of the whole image's grid, with folded resizing and Winograd's convolutions."""
    model = tiny_models.model(None, noise=True)
    for module in model.modules():
        if isinstance(module, Noise):
            nn.init.normal_(module.weight, 0, 0.3)
    model.save_pretrained(tmp_path / "m")
    export_web(str(tmp_path / "m"), tmp_path / "site", runtime=str(fake_runtime))
    one = picture(0, (32, 32))
    for direction in model.directions:
        made = OnnxGenerator(tmp_path / "site" / "models" / f"{direction}.onnx")
        assert apart(made.translate(one), model.eval().translate(one, direction, face="none")) <= 2  # weights of 16 bits
    proof = json.loads((tmp_path / "site" / "proof.json").read_text())
    assert all(one["largest"] < 2 for model in proof.values() for one in model["found"])


def test_the_folder(fake_runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny_models.folder(tmp_path / "m", 1, 2, 5)
    assert (
        main(
            ["export", str(tmp_path / "m"), str(tmp_path / "site"), "--web", "--epochs", "5", "1", "--runtime", str(fake_runtime)]
        )
        == 0
    )
    site = tmp_path / "site"
    files = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    models = [f"models/{direction}-epoch-00{n}.onnx" for direction in ("a_to_b", "b_to_a") for n in (1, 5)]
    runtime = [f"runtime/{path.name.replace('.mjs', '.js')}" for path in fake_runtime.iterdir()]  # not all hosts know .mjs
    page = [
        "README.md", "_headers", "app.js", "faces.js", "favicon.svg", "index.html", "manifest.json", "opened.js", "pixels.js",
        "proof.json", "style.css", "worker.js", *(f"examples/{name}.jpg" for name in ("after", "before", "grace_hopper")),
    ]  # fmt: skip
    assert files == sorted([*models, *runtime, *page])
    manifest = json.loads((site / "manifest.json").read_text("utf-8"))
    assert [epoch["number"] for epoch in manifest["epochs"]] == [1, 5] and manifest["size"] == 32
    proved = json.loads((site / "proof.json").read_text())
    assert sorted(proved) == models
    assert all(one["largest"] <= 6 and one["mean"] <= 0.5 for entry in proved.values() for one in entry["found"])
    policy = (site / "index.html").read_text("utf-8").partition('Policy" content="')[2].partition('"')[0]
    assert "default-src &#x27;none&#x27;" in policy and "http" not in policy
    readme = (site / "README.md").read_text("utf-8")
    front = yaml.safe_load(readme.split("---\n")[1])
    assert (front["title"], front["sdk"], front["emoji"]) == ("Make them smile", "static", "🎭")
    assert front["short_description"] == "not smiling ↔ smiling, in your browser" and "models" not in front
    assert front["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    text = (site / "index.html").read_text("utf-8")
    assert "<title>Make them smile</title>" in text and text.count('content="not smiling ↔ smiling, in your own browser') == 2
    assert f"{sum((site / name).stat().st_size for name in files):,} bytes" in capsys.readouterr().out


def test_the_front_matter_of_a_users_own_model() -> None:
    """Any label is text in YAML, and a description is no longer than the Hub shows."""
    labels = ("cat: 'tabby' #1", "a dog of whatever breed, age and colour it may happen to have")
    arrow = " ↔ ".join(labels)
    manifest = {"title": _title(None, labels), "license": "own terms", "source": "https://huggingface.co/user/pets"}
    front = yaml.safe_load("\n".join(_front_matter(manifest, arrow)))
    assert front["title"] == "cat: 'tabby' #1 → a dog of whatever breed, age and colour it may happen to have"
    assert front["short_description"] == "Images translated in your browser"
    assert (front["license"], front["license_name"], front["models"]) == ("other", "own-terms", ["user/pets"])


def test_the_example_of_a_users_own_model(fake_runtime: Path, tmp_path: Path) -> None:
    tiny_models.paired(pairs="given", labels=("sketch", "cat")).save_pretrained(tmp_path / "m")
    picture(1, (2100, 1400)).save(tmp_path / "mine.png")
    export_web(str(tmp_path / "m"), tmp_path / "site", size=16, runtime=str(fake_runtime), example=tmp_path / "mine.png")
    manifest = json.loads((tmp_path / "site/manifest.json").read_text("utf-8"))
    example = manifest["examples"]["a_to_b"]
    sizes = {name: Image.open(tmp_path / "site" / example[name]).size for name in ("file", "before", "after")}
    assert sizes == {"file": (1024, 683), "before": (16, 16), "after": (16, 16)} and example["credit"] == ""
    assert manifest["title"] == "sketch → cat"


def test_the_finder_is_there_where_faces_are_aligned(fake_runtime: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    CycleGenerator(width=4, blocks=1, image_size=32, eyes_a=(0.3, 0.4, 0.7, 0.4)).save_pretrained(tmp_path / "m")
    export_web(str(tmp_path / "m"), tmp_path / "site", runtime=str(fake_runtime))
    manifest = json.loads((tmp_path / "site/manifest.json").read_text("utf-8"))
    assert manifest["eyes"] == {"a_to_b": [0.3, 0.4, 0.7, 0.4], "b_to_a": None}
    assert manifest["skip"] == {"a_to_b": False, "b_to_a": False}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "site/faces").iterdir()}
    assert {name: found[name] for name in WEIGHTS} == WEIGHTS
    assert "MIT" in (tmp_path / "site/faces/LICENSE").read_text("utf-8")


def test_a_runtime_by_address(tmp_path: Path) -> None:
    tiny_models.folder(tmp_path / "m")
    cdn = "https://cdn.example/npm/onnxruntime-web@1.30.0/dist"
    export_web(str(tmp_path / "m"), tmp_path / "site", runtime=cdn)
    assert not (tmp_path / "site/runtime").exists()
    text = (tmp_path / "site/index.html").read_text("utf-8")
    assert (
        "https://cdn.example blob:" in text and json.loads((tmp_path / "site/manifest.json").read_text())["runtime"] == f"{cdn}/"
    )


@pytest.mark.parametrize("pairs", ["colorize", "upscale-4x", "repaint"])
def test_a_rule_of_pix2pix_is_in_the_graph(pairs: str, fake_runtime: Path, tmp_path: Path) -> None:
    tiny_models.paired(pairs=pairs, labels=("in", "out")).save_pretrained(tmp_path / "m")
    export_web(str(tmp_path / "m"), tmp_path / "site", size=16, runtime=str(fake_runtime))
    assert list(json.loads((tmp_path / "site/manifest.json").read_text())["epochs"][0]["files"]) == ["a_to_b"]


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    fake_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tiny_models.folder(tmp_path / "m", 1)
    monkeypatch.chdir(tmp_path)
    there = ["--runtime", str(fake_runtime)]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for out, given, said in (
        ("site", [], f"npm install onnxruntime-web@{VERSION}"),
        ("site", ["--runtime", str(tmp_path / "m")], "does not hold onnxruntime-web"),
        ("site", ["--runtime", "http://x.example/"], "starts with https://"),
        ("site", [*there, "--webgpu"], "does not hold onnxruntime-web"),
        ("full", there, "is not empty"),
        ("site", [*there, "--epochs", "7"], "no epoch 7; epochs there: 1"),
        ("site", [*there, "--size", "30"], "multiples of 4"),
        ("site", [*there, "--opset", "18"], "--opset is not for --web"),
        ("site", [*there, "--example", "full/mine.txt"], "mine.txt"),
        ("no/site", there, "there is no folder"),
    ):
        assert main(["export", "m", out, "--web", *given]) == 2
        error = capsys.readouterr().err
        assert said in error and error.startswith("error: ") and error.count("\n") == 1
    assert main(["export", "m", "x.onnx", "--epochs", "1"]) == 2
    assert "--epochs is for --web" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_another_version_of_the_runtime_is_refused(tmp_path: Path) -> None:
    dist = tmp_path / "node_modules/onnxruntime-web/dist"
    dist.mkdir(parents=True)
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (dist / name).write_bytes(b"x")
    (dist.parent / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    with pytest.raises(ExportError, match=rf"is onnxruntime-web 1\.2\.3, and {VERSION} was tested"):
        find_runtime(str(tmp_path))
    (dist.parent / "package.json").write_text(json.dumps({"version": VERSION}))
    assert find_runtime(str(tmp_path)).origin_text == f"onnxruntime-web {VERSION}"


def test_the_title_of_a_users_own_model_is_its_labels() -> None:
    assert _title(_domain("smile", DOMAINS["smile"].labels), DOMAINS["smile"].labels) == "Make them smile"
    for name in ("smile", "", "pets"):
        assert _title(_domain(name, ("cat", "dog")), ("cat", "dog")) == "cat → dog"


def test_the_runtime_is_copied_under_names_that_every_host_knows(tmp_path: Path) -> None:
    source = tmp_path / "dist"
    source.mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (source / name).write_bytes(b"1")
    (tmp_path / "site").mkdir()
    find_runtime(str(source)).copy(tmp_path / "site")
    names = sorted(path.name for path in (tmp_path / "site" / "runtime").iterdir())
    assert names == ["ort-wasm-simd-threaded.js", "ort-wasm-simd-threaded.wasm", "ort.wasm.min.js"]


@pytest.mark.browser
@NEEDED
def test_opened_as_a_file_and_without_a_camera_it_says_why(site: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"file://{site}/index.html")
    page.wait_for_selector("#problem", state="visible")
    assert "opened as a file and needs a web server" in page.inner_text("#problem") and page.inner_text("#status") == ""
    gone = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
    with Server(site, isolated=False) as server, Tab(browser, server, script=gone) as tab:
        tab.ready()
        assert tab.page.is_disabled("#camera") and tab.page.inner_text("#camera-note") == "This browser gives no page a camera."
