"""page/sharing.py: the HTML as a link preview reads it, without JavaScript; its picture; the page behind a path of a proxy."""

from __future__ import annotations

import http.server
import io
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.requests import Request

from cyclegan_hub.serving.preview import SIZE, Preview, description, title
from cyclegan_hub.serving.studio import Studio
from support.page_load import running_app, tiny_models

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

ONCE = ("title", "description", "og:title", "og:description", "og:image", "og:url", "og:type", "twitter:card")
PREFIX = "/models/cyclegan"


class Head(HTMLParser):
    """The tags of a page as a reader without JavaScript finds them: each name with its contents, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self.icons: list[str] = []
        self._in_title = False
        self.feed(page)

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = dict(given)
        self._in_title = tag == "title"
        if tag == "meta" and (name := attributes.get("property") or attributes.get("name")):
            self.found.setdefault(name, []).append(attributes["content"] or "")
        if tag == "link" and attributes.get("rel") == "icon":
            self.icons.append(attributes["href"] or "")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.found.setdefault("title", []).append(data)
            self._in_title = False


def read(page: httpx.Response) -> Head:
    assert page.status_code == 200 and int(page.headers.get("content-length", len(page.content))) >= 0
    return Head(page.text)


def picture_at(url: str) -> Image.Image:
    answer = httpx.get(url, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/jpeg"
    return Image.open(io.BytesIO(answer.content))


def test_every_tag_stands_once_and_says_what_is_served(web: httpx.Client) -> None:
    head = read(web.get("/"))
    assert Counter({name: len(head.found.get(name, [])) for name in ONCE}) == Counter(dict.fromkeys(ONCE, 1))
    assert max(map(len, head.found.values())) == 1
    assert not [text for texts in head.found.values() for text in texts if "radio" in text]
    assert head.found["og:title"] == ["Turn a photo into anime, a cartoon or a Monet painting, and more · CycleGAN Hub"]
    assert (
        "human face → anime face, celebrity photo → cartoon avatar, photo → Monet, noise → face"
        in head.found["og:description"][0]
    )
    assert head.found["og:description"] == head.found["description"]
    assert head.found["og:url"] == [f"{web.base_url}/"]


def test_the_icon_and_the_picture_are_ours(web: httpx.Client) -> None:
    head = read(web.get("/"))
    answer = web.get(f"/{head.icons[0]}")
    assert answer.headers["content-type"].startswith("image/svg") and answer.content.startswith(b"<svg")
    assert len(head.icons) == 1 and len(answer.content) < 600
    with picture_at(head.found["og:image"][0]) as image:
        assert image.format == "JPEG" and image.size == SIZE
        assert len(image.crop((0, 150, *SIZE)).getcolors(1 << 20)) > 1000  # there is more on it than text
    assert web.head("/").status_code == 200


@pytest.mark.parametrize(
    ("names", "shows"),
    [(["anime"], True), (["anime", "monet"], True), (["anime", "monet", "cartoon"], True), (["faces"], True), ([], False)],
    ids=lambda given: "-".join(given) if isinstance(given, list) else "",
)
def test_the_picture_of_whatever_is_served(names: list[str], shows: bool, tmp_path: Path) -> None:
    studio = Studio(str(tiny_models(tmp_path, dict.fromkeys(names, 0))), bundled=tmp_path)
    try:
        preview = Preview(studio)
        with Image.open(io.BytesIO(preview.jpeg())) as image:
            colours = image.crop((0, 150, *SIZE)).getcolors(1 << 20)
            assert image.size == SIZE and (colours is None or len(colours) > 50) == shows
        assert preview.jpeg() is preview.jpeg()
        assert title(studio.models()).endswith("CycleGAN Hub") and description(studio.models())
    finally:
        studio.close()


def test_a_model_that_cannot_be_loaded_is_left_out(tmp_path: Path) -> None:
    studio = Studio(str(tiny_models(tmp_path, {"anime": 0, "monet": 0})))
    (tmp_path / "anime/model.safetensors").write_bytes(b"no weights")
    with Image.open(io.BytesIO(Preview(studio).jpeg())) as image:
        assert image.size == SIZE
    studio.close()


def test_a_label_is_never_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclegan_hub.models.cycle_generator import CycleGenerator
    from cyclegan_hub.page.sharing import LinkTags

    labels = ('cat" onload="x', "dog & 'wolf'")
    CycleGenerator(width=4, blocks=1, image_size=32, labels=labels, domain="pets").save_pretrained(tmp_path / "pets")
    monkeypatch.setenv("SPACE_HOST", "user-pets.hf.space")
    tags, request = LinkTags(None, Studio(str(tmp_path))), Request({"type": "http", "headers": []})
    head = Head(tags.tagged('<head><meta charset="utf-8"><title>Gradio</title></head>', request))
    assert head.found["title"] == ["CycleGAN Hub"] and f"{labels[0]} → {labels[1]}" in head.found["og:description"][0]
    # On a Space the address that the page is asked at is not the one that others see.
    assert head.found["og:image"] == ["https://user-pets.hf.space/preview.jpg"]


# --- below a path


@contextmanager
def proxied(target: str, prefix: str) -> Iterator[str]:
    """The URL of a proxy that serves `target` below `prefix`, as nginx does: the path is stripped, the host passed on."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = target + self.path.removeprefix(prefix)
            with httpx.stream(self.command, url, headers=dict(self.headers), content=content, timeout=120) as answer:
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name not in ("transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                for part in answer.iter_raw():
                    self.wfile.write(part)
                    self.wfile.flush()

        do_GET = do_POST = do_HEAD = forward

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        finally:
            server.shutdown()


def test_below_a_path_page_picture_and_api_answer(models: Path, photo: Path, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    with running_app(tmp_path / "app", models, GRADIO_ROOT_PATH=PREFIX) as running, proxied(running.url, PREFIX) as url:
        page = httpx.get(f"{url}/", timeout=60)
        head = read(page)
        assert head.found["og:url"] == [f"{url}/"] and head.found["og:image"] == [f"{url}/preview.jpg"]
        assert len(head.found["og:title"]) == 1
        with picture_at(head.found["og:image"][0]) as image:
            assert image.size == SIZE
        assert httpx.get(f"{url}/{head.icons[0]}", timeout=60).content.startswith(b"<svg")
        client = Client(f"{url}/", verbose=False, download_files=str(tmp_path / "answers"))
        translated = client.predict(handle_file(photo), "anime", "a_to_b", 1, api_name="/translate")
        with Image.open(translated) as image:
            assert image.size == (38, 32)
