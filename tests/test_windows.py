"""What is only found out on Windows, as far as it can be acted out here: modules that it lacks, and its consoles' encoding."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from pathlib import Path

import pytest

from cyclegan_hub.errors import UserError, exit_code
from support.training import ROOT, TINY, demo_data, environment

MISSING = ("fcntl", "grp", "pwd", "resource", "termios")  # modules of the standard library that are POSIX only
LABELS = "日,night → day"


def top_level_imports(path: Path) -> set[str]:
    """Names of the modules that a file imports as soon as it is imported itself."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    return names


def test_no_module_of_ours_needs_posix_to_be_imported() -> None:
    files = [*(ROOT / "cyclegan_hub").rglob("*.py"), *(ROOT / "train").glob("*.py"), ROOT / "app.py"]
    assert {path.name: found for path in files if (found := top_level_imports(path) & set(MISSING))} == {}


@pytest.mark.slow
def test_two_steps_without_posix_modules_on_a_cp1252_console(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    data, out = demo_data(tmp_path_factory, 4), tmp_path / "run"
    code = f"""
import sys
for name in {MISSING!r}:
    sys.modules[name] = None  # importing it raises ImportError
from cyclegan_hub.cli import main
print("ready")
code = main({["train", *TINY, "--data", str(data), "--out", str(out), "--max-steps", "2", "--labels", LABELS]!r})
code = code or main({["train", *TINY, "--data", str(data), "--out", str(out), "--dry-run", "--labels", LABELS]!r})
sys.exit(code)
"""
    variables = environment(PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=variables, timeout=240)
    text = done.stdout.decode("cp1252")
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert "step 2 of" in text and "labels: ? -> night -> day" in text and "peak memory" not in text


def test_what_a_console_cannot_show_gets_plain_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = [io.TextIOWrapper(io.BytesIO(), encoding="cp1252", newline="\n") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", printed[0])
    monkeypatch.setattr(sys, "stderr", printed[1])

    def command() -> int:
        print("photo → Monet, Dvořák")
        raise UserError("日本: give A ↔ B")

    assert exit_code(command) == 2
    for stream in printed:
        stream.flush()
    assert printed[0].buffer.getvalue().decode("cp1252") == "photo -> Monet, Dvorák\n"
    assert printed[1].buffer.getvalue().decode("cp1252") == "error: ??: give A <-> B\n"
