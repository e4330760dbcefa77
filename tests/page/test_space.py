"""The repository as a Space: its front matter fits the pins, and the command in docs/publishing.md uploads it whole."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cyclegan_hub.serving.preview import NAME
from support.local_hub import LocalHub, client_environment
from support.training import ROOT, environment

README = (ROOT / "README.md").read_text("utf-8")
PUBLISHING = (ROOT / "docs/publishing.md").read_text("utf-8")


@pytest.fixture(scope="module")
def front_matter() -> dict[str, Any]:
    _, text, _ = README.split("---\n", 2)
    return yaml.safe_load(text)


def test_front_matter_is_what_a_space_needs(front_matter: dict[str, Any]) -> None:
    pins = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE))
    assert front_matter["sdk"] == "gradio"
    assert front_matter["sdk_version"] == pins["gradio"]
    assert front_matter["python_version"] in ("3.11", "3.12")  # a text: as a number 3.10 would be 3.1
    assert (ROOT / front_matter["app_file"]).is_file()
    assert len(front_matter["short_description"]) <= 60
    assert front_matter["license"] == "mit" and front_matter["title"] == NAME
    assert {"title", "emoji", "colorFrom", "colorTo", "tags", "models"} <= front_matter.keys()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git repository: the command uploads what is committed")
def test_the_command_that_is_shown_uploads_the_repository(tmp_path: Path) -> None:
    command = re.search(r"^(.*hf upload user/cyclegan .*--repo-type space)$", PUBLISHING, re.MULTILINE)[1]
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(tmp_path / "clone")], check=True)
    (tmp_path / "clone/.venv").mkdir()
    (tmp_path / "clone/.venv/big.bin").write_bytes(b"no part of a Space")
    tools = shutil.which("hf", path=str(Path(sys.executable).parent))
    assert tools, "hf comes with huggingface-hub"
    with LocalHub() as server:
        talk = environment(**client_environment(server, tmp_path / "home"))
        talk["PATH"] = f"{Path(tools).parent}:{talk['PATH']}"
        options = {"env": talk, "capture_output": True, "text": True, "timeout": 240, "cwd": tmp_path / "clone"}
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], **options)
        assert done.returncode == 0, done.stderr
        space = server.repos["spaces/user/cyclegan"]
        listed = space.trees[space.find("main")]
    tracked = subprocess.run(["git", "ls-files"], **options).stdout.split()
    assert {"README.md", "requirements.txt"} <= listed.keys()
    assert listed.keys() - {".gitattributes"} == set(tracked) - {".gitattributes"}
