"""Set before anything imports torch or a Hub client: quiet threads, no telemetry, no network."""

from __future__ import annotations

import os
import tempfile

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_NUM_THREADS"] = "1"  # the tests run two at a time, and their networks are small
os.environ["CYCLEGAN_HUB_PRECISION"] = "fp32"  # the same results on every processor
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="cyclegan_hub-tests-")
for _name in [name for name in os.environ if name.startswith(("ACCELERATE_", "HF_TOKEN"))]:
    del os.environ[_name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with trainings or the browser first: one of them at the end would leave the other process idle."""
    long = {item.path for item in items if any(item.get_closest_marker(name) for name in ("slow", "browser"))}
    items.sort(key=lambda item: item.path not in long)
