"""The API takes pictures as data: URLs, within the limits; it fetches no other URL, and opens no file of this machine."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

from gradio.processing_utils import async_move_files_to_cache  # noqa: E402

from cyclegan_hub.imaging import decoding, images  # noqa: E402
from cyclegan_hub.page import components  # noqa: E402
from support.pictures import encoded  # noqa: E402


def received(component: Any, sent: Any) -> Any:
    """What an endpoint gets of what a client sends, as gradio prepares it."""
    moved = asyncio.run(async_move_files_to_cache(sent, component, check_in_upload_folder=True))
    return component.preprocess(component.data_model.model_validate(moved, context={"validate_meta": True}))


def opened(url: str | None) -> str | None:
    """A URL as the file of /translate; as one of those of /translate_batch it is the same."""
    sent = {"path": None, "url": url}
    batch, path = received(components.Files(), [sent, sent]), received(components.PhotoInput(), sent)
    assert batch == ([path] * 2 if path else [])
    return path


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
    for component in (components.PhotoInput(), components.Files()):
        sent = {"url": "HTTP://example.org/x.png"}
        with pytest.raises(gr.Error, match="Upload the picture: this page fetches nothing from other places"):
            received(component, [sent] if isinstance(component, components.Files) else sent)
    assert opened(None) is None and opened("") is None


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "file"}}, {"meta": {}}])
def test_a_path_that_is_not_an_upload_is_refused(meta: dict[str, Any], tmp_path: Path) -> None:
    """gradio checks that a path is an upload only where `meta` says that it is one."""
    (tmp_path / "private.png").write_bytes(encoded(1))
    sent = {"path": str(tmp_path / "private.png"), **meta}
    for component, value in ((components.PhotoInput(), sent), (components.Files(), [sent])):
        with pytest.raises(ValueError, match="needs 'meta'"):
            received(component, value)
