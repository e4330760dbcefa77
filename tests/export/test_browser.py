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
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from cyclegan_hub.export.browser import VERSION, _front_matter, export_web
from cyclegan_hub.export.winograd import WinogradConv2d, use_winograd
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.faces.mtcnn import WEIGHTS
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.images import png_bytes
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.noise import Noise
from cyclegan_hub.models.onnx import OnnxGenerator
from support import axe, photos, tiny_models
from support.chromium import NEEDED, PHONE, WIDE, launched
from support.pictures import picture
from support.pixels import apart, pixels
from support.training import ROOT

pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
RUNTIME = ROOT / "node_modules" / "onnxruntime-web"
in_chromium = [
    pytest.mark.browser,
    pytest.mark.flaky(reruns=1),
    NEEDED,
    pytest.mark.skipif(not RUNTIME.is_dir(), reason=f"the browser export needs: npm install onnxruntime-web@{VERSION}"),
]
SIZE = 128
SOURCE = ROOT / "pretrained" / "smile"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first and the last epoch of the bundled model: what a browser makes of untrained noise says little."""
    if not RUNTIME.is_dir():
        pytest.skip(f"the browser export needs: npm install onnxruntime-web@{VERSION}")
    out = tmp_path_factory.mktemp("web") / "site"
    epochs = [int(path.name.removeprefix("epoch-")) for path in sorted((SOURCE / "epochs").iterdir())]
    export_web(str(SOURCE), out, epochs=[epochs[0], epochs[-1]], size=SIZE, runtime=str(RUNTIME))
    return out


@pytest.fixture(scope="module")
def epochs(site: Path) -> list[dict[str, Any]]:
    """Those of the manifest, the one that the page opens with first."""
    there = json.loads((site / "manifest.json").read_text())["epochs"]
    return sorted(there, key=lambda one: not one["best"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a camera that plays a portrait moving to and fro."""
    photo, frames = photos.photo("astronaut").resize((480, 480)), []
    for i in range(80):
        frame, buffer = Image.new("RGB", (640, 480), (70, 80, 90)), io.BytesIO()
        frame.paste(photo, (60 + min(i, 80 - i) // 2, 0))
        frame.save(buffer, "JPEG", quality=95)
        frames.append(buffer.getvalue())
    clip = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    clip.write_bytes(b"".join(frames))
    with launched(f"--use-file-for-fake-video-capture={clip}") as chromium:
        yield chromium


Request = tuple[str, str, int]  # method, path, bytes of the body


@contextmanager
def served(folder: Path, isolated: bool) -> Iterator[tuple[str, list[Request]]]:
    """The URL of a static server on loopback, and its requests; `isolated` sends the two headers that allow threads."""
    requests: list[Request] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            if isolated:
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def send_head(self) -> Any:
            requests.append((self.command, self.path, int(self.headers.get("Content-Length") or 0)))
            return super().send_head()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", requests
        server.shutdown()


class Tab:
    """An open page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def do(self, action: str, *arguments: Any) -> None:
        """An action of the page, until its result is there. What the status said before is gone."""
        self.page.evaluate("() => { document.getElementById('status').textContent = 'waiting' }")
        getattr(self.page, action)(*arguments)
        self.page.wait_for_function("() => /ranslated|^$/.test(document.getElementById('status').textContent)")

    def translate(self, image: Image.Image) -> None:
        self.do("set_input_files", "#file", {"name": "a.png", "mimeType": "image/png", "buffer": png_bytes(image)})

    def shown(self, canvas: str) -> np.ndarray:
        url = self.page.evaluate(f"() => document.getElementById('{canvas}').toDataURL('image/png')")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"), int)

    def differs(self, wanted: Any, canvas: str = "after") -> int:
        """The largest difference of what is shown."""
        assert self.shown(canvas).shape == np.shape(wanted)
        return int(np.abs(self.shown(canvas) - pixels(wanted)).max())

    def problem(self) -> str:
        return self.page.wait_for_selector("#problem:visible").inner_text()


@contextmanager
def opened(
    browser: Any, folder: Path, isolated: bool = False, script: str = "", ready: bool = True, viewport: Any = WIDE, **options: Any
) -> Iterator[Tab]:
    """The page of a folder. At its end nothing has been sent, and nothing was asked for elsewhere."""
    sent, faults = [], []

    def note(request: Any) -> None:
        if request.method != "GET" or request.post_data or not request.url.startswith((url, "data:", "blob:")):
            sent.append(f"{request.method} {request.url}")

    with served(folder, isolated) as (url, requests):
        context = browser.new_context(viewport=viewport, **options)
        try:
            context.on("request", note)
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
            page.add_init_script(script)
            page.goto(url)
            if ready:
                page.wait_for_selector("body[data-ready=yes]")
            yield Tab(page)
        finally:
            context.close()
    assert sent == [] and faults == [] and [one for one in requests if one[0] != "GET" or one[2]] == []


@functools.cache
def model(epoch: str) -> CycleGenerator:
    return CycleGenerator.from_pretrained(SOURCE, revision=epoch)


def expected(image: Image.Image, epoch: dict[str, Any], direction: str = "a_to_b", **options: Any) -> Image.Image:
    return model(epoch["name"]).translate(image, direction, SIZE, **options)


def photographs() -> list[Image.Image]:
    """A portrait, one tilted and cut off by the border, and a face far from the middle of a larger photograph."""
    whole = photos.photo("astronaut")
    large = Image.new("RGB", (900, 700), (90, 110, 120))
    large.paste(whole.resize((450, round(450 * whole.height / whole.width))), (400, 200))
    tilted = whole.rotate(17, Image.Resampling.BICUBIC)
    return [photos.photo("astronaut_face"), tilted.crop((0, 0, round(0.6 * tilted.width), round(0.7 * tilted.height))), large]


class TestInChromium:
    pytestmark = in_chromium

    def test_a_face_is_what_python_makes_of_it(self, site: Path, epochs: list[dict], browser: Any) -> None:
        """Found, aligned, translated at the photograph's own scale, and put back."""
        eyes = model(epochs[0]["name"]).eyes["a_to_b"]
        with opened(browser, site) as tab:
            for photo in photographs():
                tab.translate(photo)
                assert "No face" not in tab.page.inner_text("#status")
                assert tab.differs(expected(photo, epochs[0])) <= 4
                before = tab.shown("before")
                apart = np.abs(before - pixels(align(photo, find_faces(photo)[0], eyes, len(before))))
                assert apart.max() <= 3 and (apart > 1).mean() < 1e-3
            tab.do("check", "#whole")
            for photo in photographs():
                tab.translate(photo)
                assert tab.differs(photo, "before") == 0
                assert tab.differs(expected(photo, epochs[0], face="all", whole=True)) <= 4

    def test_without_a_face_it_is_the_square(self, site: Path, epochs: list[dict], browser: Any) -> None:
        with opened(browser, site) as tab:
            assert tab.page.get_attribute("#about", "data-threads") == "1"
            tab.page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"text"})
            assert "cannot show this file" in tab.problem()
            for size in ((200, 150), (71, 90)):
                small = photos.photo("coffee").resize(size)
                square = images.square(small, SIZE)
                tab.translate(small)
                assert "No face was found" in tab.page.inner_text("#status") and tab.page.is_hidden("#problem")
                assert tab.differs(square, "before") <= 1
                assert tab.differs(expected(square, epochs[0], face="none")) <= 3
            tab.do("click", "#turn")
            assert tab.page.inner_text("#from") == "smiling"
            assert tab.differs(expected(square, epochs[0], "b_to_a", face="none")) <= 3
            refuse = "() => Promise.reject(new DOMException('no', 'NotAllowedError'))"
            tab.page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refuse} }}")
            tab.page.click("#camera")
            assert "The camera cannot be used (NotAllowedError)" in tab.problem()

    def test_the_slider_shows_the_other_epochs(self, site: Path, epochs: list[dict], browser: Any) -> None:
        image = photos.photo("astronaut_face")
        with opened(browser, site, True, viewport=PHONE) as tab:
            threads = int(tab.page.get_attribute("#about", "data-threads"))
            assert (threads > 1) == (tab.page.evaluate("() => navigator.hardwareConcurrency") > 2)
            tab.translate(image)
            for i, epoch in enumerate(sorted(epochs, key=lambda one: one["number"])):
                tab.do("fill", "#epoch", str(i))
                assert tab.page.inner_text("#number").startswith(str(epoch["number"]))
                assert tab.differs(expected(image, epoch)) <= 4

    def test_the_camera_follows_a_face_and_stops(self, site: Path, browser: Any) -> None:
        script = (
            "const media = navigator.mediaDevices, open = media.getUserMedia.bind(media); window.cameras = 0;"
            "media.getUserMedia = (wanted) => { window.cameras++; return open(wanted); };"
        )
        with opened(browser, site, True, script=script, permissions=["camera"]) as tab:
            tab.page.evaluate("for (let i = 0; i < 2; i++) document.getElementById('camera').click()")  # an impatient user
            tab.page.wait_for_function("() => /Live: [1-9]/.test(document.getElementById('status').textContent)")
            first, places = tab.shown("before"), []
            for _ in range(5):
                tab.page.wait_for_timeout(600)
                (face, *_) = find_faces(Image.fromarray(tab.shown("before").astype(np.uint8)))
                places.append([part for eye in face.eyes for part in (eye.real, eye.imag)])
            assert np.ptp(places, axis=0).max() < 6  # px of 128: it lies still, though it moves by 20 on the camera
            assert tab.differs(first, "before") > 10 and tab.shown("after").std() > 5
            assert "mirrored" in (tab.page.get_attribute("#after", "class") or "")
            with tab.page.expect_download() as download:
                tab.page.click("#save")
            with Image.open(download.value.path()) as saved:
                assert saved.size == (512, 512) and download.value.suggested_filename == "smile-a_to_b.png"
            tab.page.click("#camera")
            tab.page.wait_for_function("() => document.getElementById('status').textContent === 'Stopped.'")
            assert tab.page.inner_text("#camera") == "Start camera" and tab.page.evaluate("window.cameras") == 1

    @pytest.mark.parametrize("missing", ["manifest.json", "worker.js", "runtime/ort-wasm-simd-threaded.wasm", "models"])
    def test_a_missing_file_is_named(self, missing: str, site: Path, browser: Any, tmp_path: Path) -> None:
        shutil.copytree(site, tmp_path / "site", copy_function=os.link)
        gone = tmp_path / "site" / missing
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        late = missing == "models" or missing.startswith("runtime")  # the runtime reads its file with the first model
        with opened(browser, tmp_path / "site", ready=late) as tab:
            if late:
                tab.translate(picture(0))
            named = {"models": "models/a_to_b", "runtime/ort-wasm-simd-threaded.wasm": "wasm"}.get(missing, missing)
            assert named in tab.problem() and "\n" not in tab.problem()

    def test_it_opens_with_its_example_translated(self, site: Path, epochs: list[dict], browser: Any, tmp_path: Path) -> None:
        """By the model, and before there is one."""
        with opened(browser, site) as tab:
            assert tab.differs(expected(photos.photo("examples/grace_hopper"), epochs[0])) <= 5
            assert not tab.page.is_disabled("#save")
            tab.do("click", "#turn")  # to a direction with another example
            assert tab.differs(expected(photos.photo("examples/astronaut"), epochs[0], "b_to_a")) <= 5
            tab.translate(photos.photo("astronaut_face"))
            assert tab.page.text_content("#credit") == ""
        shutil.copytree(site, tmp_path / "site", ignore=shutil.ignore_patterns("models"), copy_function=os.link)
        with opened(browser, tmp_path / "site") as tab:
            assert tab.differs(images.decode(site / "examples/after.jpg")) <= 2

    def test_the_strength_and_another_face_chosen_by_keyboard(self, site: Path, epochs: list[dict], browser: Any) -> None:
        photo, cup = photos.photo("astronaut_face"), photos.photo("coffee").resize((SIZE, SIZE))
        whole = {"face": "all", "whole": True}
        with opened(browser, site) as tab:
            for image, part, options in ((photo, "#face", {}), (cup, "#face", {"face": "none"}), (photo, "#whole", whole)):
                if part == "#whole":
                    tab.do("check", part)
                tab.translate(image)
                for strength in (0, 0.5, 1.5):
                    tab.do("fill", "#strength", str(strength))
                    assert tab.page.inner_text("#share") == str(strength)
                    assert tab.differs(expected(image, epochs[0], strength=strength, **options)) <= 5
                    assert (tab.differs(tab.shown("before")) == 0) == (strength == 0)
                tab.do("fill", "#strength", "1")
            assert tab.page.is_hidden("#faces")
            tab.do("check", "#face")
            tab.translate(photos.TWO)
            assert tab.page.locator("#faces canvas").count() == 2
            tab.page.get_by_label("Face 1 of 2").focus()
            tab.do("press", "*:focus", "ArrowRight")
            assert tab.page.is_checked("#faces label:nth-of-type(2) input")
            assert tab.differs(expected(photos.TWO, epochs[0], face=1)) <= 4
            tab.do("check", "#whole")
            assert tab.page.is_hidden("#faces")
            tab.translate(photos.photo("astronaut_face"))
            tab.do("check", "#face")
            assert tab.page.is_hidden("#faces")

    @axe.NEEDED
    @pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "dark"), (PHONE, "light")], ids=["wide", "phone"])
    def test_everybody_can_use_it(self, viewport: dict[str, int], scheme: str, site: Path, browser: Any) -> None:
        with opened(browser, site, viewport=viewport, color_scheme=scheme) as tab:
            tab.translate(photos.TWO)
            tab.page.click("summary")
            for other in (scheme, "light" if scheme == "dark" else "dark"):
                tab.page.emulate_media(color_scheme=other)
                assert axe.serious_violations(tab.page) == []
            result, given, actions = (tab.page.locator(f"#{name}").bounding_box() for name in ("result", "input", "actions"))
            if viewport is PHONE:  # the result first, at full width
                assert result["y"] < actions["y"] < given["y"] and result["width"] > 350
            wide, seen = tab.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= seen

    def test_what_a_browser_cannot_do_is_one_sentence(self, site: Path, browser: Any) -> None:
        with opened(browser, site, script="delete window.WebAssembly", ready=False) as tab:
            assert "too old for this page" in tab.problem()
        page = browser.new_page()
        page.goto(f"file://{site}/index.html")
        assert "opened as a file and needs a web server" in Tab(page).problem() and page.inner_text("#status") == ""
        gone = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
        with opened(browser, site, script=gone) as tab:
            assert tab.page.is_disabled("#camera")
            assert tab.page.inner_text("#camera-note") == "This browser gives no page a camera."


# ----------------------------------------------------------------------------------------------------
# The folder for the browser, without a browser: the graph, the files, the runtime, and what cannot be done.


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_winograd_is_the_same_convolution(padding: str) -> None:
    conv = nn.Conv2d(16, 20, 3, padding=1, padding_mode=padding, bias=False)
    x = torch.randn(1, 16, 12, 20)
    assert torch.allclose(WinogradConv2d(conv)(x), conv(x), atol=1e-4)
    network = use_winograd(ResNetGenerator(3, 8, 2, "resize", padding))
    assert sum(isinstance(module, WinogradConv2d) for module in network.modules()) == 4 + 2  # of the blocks, and of resizing


@pytest.fixture
def fake_runtime(tmp_path: Path) -> Path:
    (tmp_path / "runtime/dist").mkdir(parents=True)
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (tmp_path / "runtime/dist" / name).write_bytes(b"x")
    (tmp_path / "runtime/package.json").write_text(json.dumps({"version": VERSION}))
    return tmp_path / "runtime"


def test_the_folder(fake_runtime: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny_models.folder(tmp_path / "m", 1, 2, 5)
    site = tmp_path / "site"
    options = ["--web", "--epochs", "5", "1", "--runtime", str(fake_runtime)]
    assert main(["export", str(tmp_path / "m"), str(site), *options]) == 0
    files = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    models = [f"models/{direction}-epoch-00{n}.onnx" for direction in ("a_to_b", "b_to_a") for n in (1, 5)]
    runtime = [f"runtime/{path.name.replace('.mjs', '.js')}" for path in fake_runtime.glob("dist/*")]  # not all hosts know .mjs
    page = [
        "README.md", "_headers", "app.js", "faces.js", "favicon.svg", "index.html", "manifest.json", "opened.js", "pixels.js",
        "proof.json", "style.css", "worker.js",
        *(f"examples/{name}.jpg" for name in ("after", "astronaut", "before", "grace_hopper")),
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
    said = capsys.readouterr().out
    assert f"{sum((site / name).stat().st_size for name in files):,} bytes" in said and f"onnxruntime-web {VERSION}" in said


def test_the_front_matter_of_a_users_own_model() -> None:
    """Any label is text in YAML, and a description is no longer than the Hub shows."""
    labels = ("cat: 'tabby' #1", "a dog of whatever breed, age and colour it may happen to have")
    arrow = " ↔ ".join(labels)
    manifest = {"title": " → ".join(labels), "license": "own terms", "source": "https://huggingface.co/user/pets"}
    front = yaml.safe_load("\n".join(_front_matter(manifest, arrow)))
    assert front["title"] == "cat: 'tabby' #1 → a dog of whatever breed, age and colour it may happen to have"
    assert front["short_description"] == "Images translated in your browser"
    assert (front["license"], front["license_name"], front["models"]) == ("other", "own-terms", ["user/pets"])
    free = yaml.safe_load("\n".join(_front_matter(manifest | {"license": "cc-by-4.0"}, arrow)))
    assert free["license"] == "cc-by-4.0" and "license_name" not in free


def test_a_painter_without_a_free_painting_opens_one_direction(fake_runtime: Path, tmp_path: Path) -> None:
    tiny_models.folder(tmp_path / "m", domain="cezanne", labels=DOMAINS["cezanne"].labels)
    export_web(str(tmp_path / "m"), tmp_path / "site", size=16, runtime=str(fake_runtime))
    examples = json.loads((tmp_path / "site/manifest.json").read_text("utf-8"))["examples"]
    assert list(examples) == ["a_to_b"] and examples["a_to_b"]["file"] == "examples/china.jpg"


def test_a_users_own_example_and_a_rule_of_pix2pix(fake_runtime: Path, tmp_path: Path) -> None:
    """The rule is in the graph, or the file would differ from the model."""
    tiny_models.paired(pairs="upscale-4x", labels=("sketch", "cat")).save_pretrained(tmp_path / "m")
    picture(1, (2100, 1400)).save(tmp_path / "mine.png")
    export_web(str(tmp_path / "m"), tmp_path / "site", size=16, runtime=str(fake_runtime), example=tmp_path / "mine.png")
    manifest = json.loads((tmp_path / "site/manifest.json").read_text("utf-8"))
    assert list(manifest["epochs"][0]["files"]) == ["a_to_b"] and manifest["title"] == "sketch → cat"
    example = manifest["examples"]["a_to_b"]
    sizes = {name: Image.open(tmp_path / "site" / example[name]).size for name in ("file", "before", "after")}
    assert sizes == {"file": (1024, 683), "before": (16, 16), "after": (64, 64)} and example["credit"] == ""


def test_a_model_with_noise_eyes_and_a_value_range_and_a_runtime_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The noise of the whole image's grid, with folded resizing and Winograd's convolutions; the finder; what 16 bits get."""
    model = tiny_models.model(None, noise=True, eyes_a=(0.3, 0.4, 0.7, 0.4), value_range=(0, 4095))
    for module in model.modules():
        if isinstance(module, Noise):
            nn.init.normal_(module.weight, 0, 0.3)
    model.save_pretrained(tmp_path / "m")
    site, cdn = tmp_path / "site", "https://cdn.example/npm/onnxruntime-web@1.30.0/dist"
    export_web(str(tmp_path / "m"), site, runtime=cdn)
    one = picture(0, (32, 32))
    for direction in model.directions:
        made = OnnxGenerator(site / "models" / f"{direction}.onnx")
        found, expected = (network.translate(one, direction, face="none") for network in (made, model.eval()))
        assert apart(found, expected) <= 2  # weights of 16 bits
    manifest = json.loads((site / "manifest.json").read_text("utf-8"))
    assert manifest["eyes"] == {"a_to_b": [0.3, 0.4, 0.7, 0.4], "b_to_a": None}
    assert manifest["skip"] == {"a_to_b": False, "b_to_a": False}
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (site / "faces").iterdir()}
    assert {name: digests[name] for name in WEIGHTS} == WEIGHTS
    assert "MIT" in (site / "faces/LICENSE").read_text("utf-8")
    assert not (site / "runtime").exists() and manifest["runtime"] == f"{cdn}/"
    assert "https://cdn.example blob:" in (site / "index.html").read_text("utf-8")
    assert manifest["value_range"] == [0, 4095] and "the page refuses them" in capsys.readouterr().out
    assert "manifest.value_range && (await isDeep(file))" in (site / "app.js").read_text("utf-8")


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    fake_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tiny_models.folder(tmp_path / "m", 1)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(fake_runtime, tmp_path / "other")
    (tmp_path / "other/package.json").write_text(json.dumps({"version": "1.2.3"}))
    there = ["--runtime", str(fake_runtime)]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for out, given, said in (
        ("site", [], f"npm install onnxruntime-web@{VERSION}"),
        ("site", ["--runtime", str(tmp_path / "m")], "does not hold onnxruntime-web"),
        ("site", ["--runtime", "other"], f"is onnxruntime-web 1.2.3, and {VERSION} was tested"),
        ("site", ["--runtime", "http://x.example/"], "starts with https://"),
        ("site", [*there, "--webgpu"], "does not hold onnxruntime-web"),
        ("full", there, "is not empty"),
        ("site", [*there, "--epochs", "7"], "no epoch 7; epochs there: 1"),
        ("site", [*there, "--size", "30"], "multiples of 4"),
        ("site", [*there, "--example", "full/mine.txt"], "mine.txt"),
        ("no/site", there, "there is no folder"),
    ):
        assert main(["export", "m", out, "--web", *given]) == 2
        error = capsys.readouterr().err
        assert said in error and error.startswith("error: ") and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
