"""The API takes a picture as a data: URL, within the limits, and fetches no other URL."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

from cyclegan_hub.imaging import decoding, images  # noqa: E402
from cyclegan_hub.page import components  # noqa: E402
from support.pictures import encoded  # noqa: E402


def opened(url: str | None) -> str | None:
    return components.PhotoInput().preprocess(SimpleNamespace(path=None, url=url))


def test_a_data_url_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(3, (40, 30))
    for url in (f"data:image/png;base64,{base64.b64encode(data).decode()}", f"DATA:;base64,{base64.b64encode(data).decode()}"):
        path = opened(url)
        assert path is not None and images.decode(path).tobytes() == images.decode(data).tobytes()
    monkeypatch.setattr(components, "MAX_BYTES", 300)
    with pytest.raises(gr.Error, match="more than 300 bytes"):
        opened(f"data:image/png;base64,{'A' * 500}")
    assert decoding.MAX_BYTES > 300


def test_a_damaged_one_is_named_and_another_url_is_not_fetched() -> None:
    with pytest.raises(gr.Error, match=r"data: URL is not in base64"):
        opened("data:image/png;base64,not*base64")
    for url in ("https://example.org/x.png", "HTTP://example.org/x.png"):
        with pytest.raises(gr.Error, match="Upload the picture: this page fetches nothing from other places"):
            opened(url)
    assert opened(None) is None and opened("") is None
