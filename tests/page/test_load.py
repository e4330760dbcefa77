"""The page under several clients at once; `make load` does the same with 30 of them and 200 requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.page_load import Load, drive, running_app, tiny_models

pytestmark = pytest.mark.slow

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


def test_twenty_requests_by_ten_clients(tmp_path: Path) -> None:
    models = tiny_models(tmp_path / "models", {"anime": 6, "monet": 0, "faces": 2})  # more than the cache keeps
    with running_app(tmp_path / "app", models) as app:
        load = drive(app.url, clients=10, requests=20)
        assert load.errors == []
        assert len(load.seconds) + load.refused == 20 and len(load.seconds) >= 10
        assert app.process.poll() is None and "Traceback" not in app.log.read_text()


def test_percentiles() -> None:
    load = Load([float(i) for i in range(101)])
    assert (load.percentile(50), load.percentile(95)) == (50, 95)
