"""What the tests of train.py share: two sides of pictures, and the one line that an error is."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.training import demo_data


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 10)


def one_line(capsys) -> str:
    """What the user reads of an error: one line, no traceback."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]
