"""The wheel: built, installed into an empty environment without an index, and used from there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

import cyclegan_hub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The python of an empty environment that holds our wheel alone."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # a copy: a build leaves folders behind
    for name in ("cyclegan_hub", "model_cards"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(tree)]
    subprocess.run(build, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    install = [*pip, "--python", str(python), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return python


def run(python: Path, *arguments: str) -> str:
    """Runs in an empty folder, with the dependencies of the test's environment but not its package: PYTHONPATH reads no .pth."""
    environment = {"PYTHONPATH": sysconfig.get_path("purelib"), "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, env=environment, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_imports_and_translates(installed: Path) -> None:
    code = """
import cyclegan_hub, importlib.resources
from PIL import Image
from cyclegan_hub import CycleGenerator
print(cyclegan_hub.__file__)
print(CycleGenerator(width=4, blocks=1, image_size=16).translate(Image.new("RGB", (20, 16))).size)
print(sorted(p.name for p in importlib.resources.files("cyclegan_hub.model_cards").iterdir() if p.name.endswith(".md")))
"""
    where, size, cards = run(installed, "-c", code).splitlines()
    assert Path(where).is_relative_to(installed.parent.parent)
    assert size == "(20, 16)"
    assert cards == str(sorted(p.name for p in (ROOT / "model_cards").glob("*.md")))


def test_a_clone_that_is_not_installed_works(installed: Path, tmp_path: Path) -> None:
    """As on a Space, which installs requirements.txt and starts app.py from the repository."""
    for name in ("cyclegan_hub", "model_cards"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import cyclegan_hub
from cyclegan_hub import CycleGenerator, cards
print(cyclegan_hub.__file__)
print((cards.TEMPLATES / "card.md").is_file(), CycleGenerator(width=4, blocks=1)._hub_mixin_info.model_card_template[:3])
"""
    where, *answers = run(installed, "-c", code).splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert answers == ["True ---"]


def test_console_script_knows_its_version(installed: Path) -> None:
    assert (
        run(installed, str(installed.parent / "cyclegan-hub"), "--version").strip() == f"cyclegan-hub {cyclegan_hub.__version__}"
    )


def test_pins_satisfy_the_ranges() -> None:
    """requirements.txt pins each dependency that pyproject.toml names for the Space, and nothing in a range contradicts it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    for requirement in project["dependencies"]:
        name, least = re.fullmatch(r"([a-z0-9-]+)>=([\d.]+)", requirement).groups()
        assert [int(n) for n in pins[name].split(".")] >= [int(n) for n in least.split(".")]
    assert next(iter(pins)) == "torch"  # installed first, so that no CUDA build comes along
