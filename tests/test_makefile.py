"""The Makefile's set-up: which index torch comes from, by the machine, and what an installation prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.training import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

CPU = "https://download.pytorch.org/whl/cpu"
TORCH = re.search(r"^torch==\S+", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)[0]
# Stands for .venv/bin/python: notes what pip is asked for; whether an index answers is FOUND.
PYTHON = """#!/bin/sh
case " $* " in
*" -m pip "*) echo "$*" >> pip.log;;
*" -c "*) echo "$3" >> asked.log; exit "$FOUND";;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make reads, and a .venv whose python installs nothing."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    _program(tmp_path / ".venv/bin/python", PYTHON)
    return tmp_path


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make(clone: Path, *arguments: str, machine: str = "Linux x86_64", gpu: bool = False, found: bool = True) -> str:
    """What make prints on such a machine: `uname` and `nvidia-smi` are the test's own."""
    _program(clone / "programs/uname", f"#!/bin/sh\necho '{machine}'\n")
    if gpu:
        _program(clone / "programs/nvidia-smi", "#!/bin/sh\n")
    for name in ("sh", "grep", "touch", "test", "echo"):
        (clone / "programs" / name).symlink_to(shutil.which(name))
    talk = {"PATH": str(clone / "programs"), "FOUND": "0" if found else "1"}
    done = subprocess.run([shutil.which("make"), *arguments], cwd=clone, env=talk, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def torch_line(clone: Path) -> str:
    (line,) = [line for line in (clone / "pip.log").read_text().splitlines() if line.endswith(TORCH)]
    return line


@pytest.mark.parametrize(
    ("machine", "gpu", "index"),
    [
        ("Linux x86_64", False, CPU),
        ("Linux x86_64", True, None),
        ("Linux aarch64", False, None),
        ("Darwin arm64", False, None),
        ("Darwin x86_64", False, None),
    ],
)
def test_the_index_of_torch_is_that_of_the_machine(machine: str, gpu: bool, index: str | None, clone: Path) -> None:
    assert make(clone, ".venv/.torch", machine=machine, gpu=gpu) == ""
    assert ("--extra-index-url" in torch_line(clone)) == bool(index)
    assert torch_line(clone).endswith(f"--extra-index-url {index} {TORCH}" if index else f"--quiet {TORCH}")


@pytest.mark.parametrize("chosen", ["https://example.org/cu130", ""])
def test_another_index_can_be_named(chosen: str, clone: Path) -> None:
    make(clone, ".venv/.torch", f"TORCH_INDEX={chosen}", gpu=bool(chosen))
    assert torch_line(clone).endswith(f"--extra-index-url {chosen} {TORCH}" if chosen else f"--quiet {TORCH}")


def test_without_the_index_the_default_one_is_taken(clone: Path) -> None:
    said = make(clone, ".venv/.torch", found=False)
    assert said == f"{CPU} cannot be reached: torch comes from the default index, perhaps with gigabytes of CUDA packages\n"
    assert torch_line(clone).endswith(f"--quiet {TORCH}")
    assert (clone / "asked.log").read_text() == f"{CPU}/torch/\n"


def test_an_index_is_asked_by_a_real_request(clone: Path) -> None:
    _program(clone / ".venv/bin/python", PYTHON.replace('*" -c', f'*" -c "*) exec {sys.executable} "$@";; *" -c'))
    assert "http://127.0.0.1:9 cannot be reached: " in make(clone, ".venv/.torch", "TORCH_INDEX=http://127.0.0.1:9")


def test_install_tells_how_to_activate_it_and_nothing_else(clone: Path) -> None:
    assert make(clone, "install") == "installed; to activate: . .venv/bin/activate\n"
    *_, last = (clone / "pip.log").read_text().splitlines()
    assert last.endswith("--constraint .venv/constraints.txt --editable .[train,space,export,video,notebook]")
    pins = (clone / ".venv/constraints.txt").read_text().splitlines()
    assert TORCH in pins and all(re.fullmatch(r"[a-z0-9-]+==[\d.]+", pin) for pin in pins)
    (clone / "programs").rename(clone / "before")
    make(clone, ".venv/.app", ".venv/.train")
    assert (clone / "pip.log").read_text().splitlines()[-1] == last  # `install` holds what `app` needs


def test_app_tells_how_to_activate_the_environment_that_it_made(clone: Path) -> None:
    """The README's other commands are not found without."""
    assert make(clone, "app") == "for the commands, in another terminal: . .venv/bin/activate\n"
