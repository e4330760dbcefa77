"""README.md: its commands and its Python run in their order, as in a fresh clone with an empty home and without a network.

The running environment stands for what `make install` and pip would bring; `make app` and `make demo` have tests of their own
(tests/page/, tests/train/test_demo.py). The training is the README's command with networks of a test's size.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cyclegan_hub.checkpoints import list_epochs
from support.training import ROOT, TINY

INSTALLS = ("make", "python3 -m venv", "pip install")  # and what they are followed by in the same line
SMALL = [*TINY[1:], "--set", "epochs=1", "--set", "max_images=8"]  # without the recipe's name
# Runs all in one process, since each alone would import torch again.
RUN = """
import json, runpy, sys
from cyclegan_hub.cli import main
for program, *words in json.loads(sys.argv[1]):
    if words[0] == "-c":
        exec(words[1], {})
    elif program == "cyclegan-hub":
        assert main(words) == 0, words
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
"""


def steps() -> list[list[str]]:
    """The words of each command of the README, in its order; a Python block is `python -c BLOCK`."""
    found = []
    for language, block in re.findall(r"^```(bash|python)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S):
        if language == "python":
            found.append(["python", "-c", block])
            continue
        found += [shlex.split(line, comments=True) for line in block.splitlines() if not line.startswith(INSTALLS)]
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository's files under another path, into which commands may write."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith((".", "runs", "node_modules")):
            (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.slow
def test_every_command_runs_in_a_fresh_clone(clone: Path, tmp_path: Path) -> None:
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CYCLEGAN_HUB", "XDG_"))}
    own = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(clone)}
    own |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    every = [[*words, *SMALL] if words[1] == "train" else words for words in steps()]
    assert [words[1] for words in every] == ["-c", "translate", "train/demo_data.py", "train", "publish"]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(every)], cwd=clone, env=kept | own,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (clone / "smile.png").stat().st_size > 1000
    photographs = {path.stem for path in (ROOT / "cyclegan_hub/free_images").glob("*.jpg")}
    assert {path.stem for path in (clone / "paintings").iterdir()} >= photographs
    published = Path(done.stdout.splitlines()[-1].rpartition(": ")[0])
    assert [epoch.name for epoch in list_epochs(published)] == ["epoch-001"] and (published / "README.md").is_file()
    made = {path.name for path in clone.iterdir() if not path.is_symlink()}
    assert made == {"smile.png", "paintings", "my", "runs"}
