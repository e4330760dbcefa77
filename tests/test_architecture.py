"""Walls 1 and 2: imports point down only, and every heavy library has one owner. Read with `ast`, lazy imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Rooms from the ground up: a module imports from its own room or from one listed before it. train/ and app.py come last.
ROOMS = (
    ("domains",),
    ("recipe_fields", "recipes", "labels"),
    ("files", "state"),
    ("images",),
    ("specs", "tfrecord", "items", "sources", "paired", "sides", "streaming", "data", "convert"),
    ("augment", "pairs"),
    ("models",),
    ("plots",),
    ("losses",),
    ("metrics",),
    ("extractors", "inception", "features"),
    ("figures", "best", "outputs", "light", "evaluation"),
    ("trainers",),
    ("runs",),
    ("checkpoints",),
    ("cards", "sample_grid"),
    ("publish",),
    ("bulk",),
    ("faces",),
    ("choices", "catalog", "downloads", "inputs", "panel", "samples", "shelf", "serving"),
    ("report_plots", "report"),
    ("results", "inspection", "translation"),
    ("cli",),
    ("train",),
    ("page",),
    ("app",),
)
OWNERS = {
    "gradio": {"app", "page"},
    "accelerate": {"train"},
    "datasets": {"data room"},
    "pyarrow": {"data room"},
    "diffusers": {"trainers"},
    "kornia": {"augment"},
    "matplotlib": {"plots", "report_plots"},
    "torchmetrics": {"metrics"},
    "scipy": {"metrics"},
    "huggingface_hub": {"models.hub", "models.fetch", "checkpoints", "cards", "publish", "catalog"},
    "jinja2": {"cards"},
    "dlib": {"faces"},
    "torch_fidelity": {"inception"},
    "onnx": {"export"},
    "onnxruntime": {"export"},
    "torchvision": set(),  # there is no CPU build of it to go with the pinned torch
    "pickle": set(),
}
FLOOR = {module: floor for floor, room in enumerate(ROOMS) for module in room}
DATA_ROOM = set(ROOMS[4])


def sources() -> dict[str, str]:
    """Dotted name of each module of ours -> its text; "train.x" for scripts, "" for the package itself."""
    found = {}
    for path in sorted((ROOT / "cyclegan_hub").rglob("*.py")):
        parts = path.relative_to(ROOT / "cyclegan_hub").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    for path in sorted((ROOT / "train").glob("*.py")):
        found[f"train.{path.stem}"] = path.read_text("utf-8")
    return found


def imported(text: str, known: set[str]) -> Iterator[str]:
    """Every module that is imported, at the top or inside a function; `from package import module` counts as the module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("cyclegan_hub.") in known else str(node.module)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level  # relative: refused, since it hides the floor


def violations(modules: dict[str, str]) -> list[str]:
    """What breaks wall 1 or wall 2, a line each."""
    broken = []
    for name, text in modules.items():
        room = name.split(".")[0]
        if name and room not in FLOOR:
            broken.append(f"{name}: belongs to no room of ROOMS")
            continue
        for target in imported(text, set(modules)):
            head, *rest = target.split(".")
            if head.startswith(".") or not head:
                broken.append(f"{name}: relative import")
            elif head == "cyclegan_hub" and rest and name and FLOOR[rest[0]] > FLOOR[room]:
                broken.append(f"{name} imports upwards: {target}")
            elif head in OWNERS:
                owners = OWNERS[head]
                if not ({name, room} & owners or ("data room" in owners and room in DATA_ROOM)):
                    broken.append(f"{name} imports {head}, which belongs to {sorted(owners) or 'nobody'}")
    return broken


def test_walls_hold() -> None:
    assert violations(sources()) == []


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("images", "from cyclegan_hub import trainers", "images imports upwards: cyclegan_hub.trainers"),
        ("losses", "def f():\n    from cyclegan_hub.runs import RunFolder", "losses imports upwards: cyclegan_hub.runs"),
        ("recipes", "import cyclegan_hub.models.hub as hub", "recipes imports upwards: cyclegan_hub.models.hub"),
        ("augment", "import matplotlib.pyplot as plt", "augment imports matplotlib, which belongs to ['plots', 'report_plots']"),
        ("models.cycle_generator", "import huggingface_hub", "models.cycle_generator imports huggingface_hub, which belongs to"),
        ("runs", "def f():\n    from accelerate import Accelerator", "runs imports accelerate, which belongs to ['train']"),
        ("train.train", "import pickle", "train.train imports pickle, which belongs to nobody"),
        ("domains", "from .recipes import RECIPES", "domains: relative import"),
        ("attic", "x = 1", "attic: belongs to no room"),
    ],
)
def test_planted_violation_is_caught(name: str, text: str, complaint: str) -> None:
    found = violations(sources() | {name: text})
    assert len(found) == 1
    assert found[0].startswith(complaint)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import cyclegan_hub.recipes", ["torch", "numpy", "PIL"]),
        ("import cyclegan_hub.domains", ["torch"]),
        ("import cyclegan_hub", ["torch"]),
        ("from cyclegan_hub import CycleGenerator", ["accelerate", "datasets", "diffusers", "kornia", "matplotlib"]),
        ("import cyclegan_hub.cli", ["torch", "datasets"]),
    ],
)
def test_import_stays_light(statement: str, absent: list[str]) -> None:
    code = f"{statement}\nimport sys\nprint([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_attributes_are_lazy_and_listed() -> None:
    import cyclegan_hub

    assert "CycleGenerator" in dir(cyclegan_hub)
    with pytest.raises(AttributeError, match="no attribute 'CycleGANerator'"):
        _ = cyclegan_hub.CycleGANerator


def test_no_script_shadows_a_module_of_a_dependency() -> None:
    """train/ comes first on sys.path when a script in it is launched."""
    from importlib.metadata import packages_distributions

    taken = set(packages_distributions()) | set(sys.stdlib_module_names)
    assert {path.stem for path in (ROOT / "train").glob("*.py")} & taken == set()


def test_nothing_is_unpickled() -> None:
    for name, text in sources().items():
        for forbidden in ("torch.load(", "pickle.load", "allow_pickle=True", "weights_only=False", "trust_remote_code=True"):
            assert forbidden not in text, f"{name} contains {forbidden}"
