"""README.md, docs/ and train/: their commands parse, their Python runs, their links and file names exist."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyclegan_hub import cli
from cyclegan_hub.command_line import make_parser
from cyclegan_hub.evaluation.registry import METRICS
from cyclegan_hub.recipes.methods import override
from cyclegan_hub.recipes.presets import RECIPES, find
from cyclegan_hub.training.plan import changes_in
from support.training import ROOT, script

README = (ROOT / "README.md").read_text("utf-8").split("---\n", 2)[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [*DOCS, ROOT / "pretrained/README.md", *sorted((ROOT / "train/experiments").glob("*.md"))]
LAUNCHERS = ("accelerate", "python", "torchrun", "taskset", "cyclegan-hub")
CONSOLE = ("cyclegan-hub", "cyclegan_hub.cli", "cyclegan_hub.training")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of each command in a bash block that starts a program of ours; continued lines are joined."""
    for page in PAGES:
        for block in blocks(page.read_text("utf-8"), "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0] in LAUNCHERS:
                    yield str(page.relative_to(ROOT)), words


COMMANDS = list(commands())


def test_readme_is_short_and_shows_the_two_commands() -> None:
    assert 600 <= len(README.split()) <= 800
    assert {"make app", "make demo"} <= {line.split("  ")[0] for block in blocks(README, "bash") for line in block.splitlines()}


def test_the_documentation_can_be_read_to_its_end() -> None:
    assert sum(len(page.read_text("utf-8").split()) for page in DOCS) <= 12_500
    assert len((ROOT / "docs/results.md").read_text("utf-8").split()) <= 1_000


def test_the_page_of_the_command_line_is_that_of_the_parsers() -> None:
    """After a change: python train/command_docs.py."""
    docs = script("command_docs")
    assert docs.PAGE.read_text("utf-8") == docs.page()


def test_make_has_the_targets_that_are_shown() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        shown = re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(_code(page.read_text("utf-8"))), re.MULTILINE)
        assert set(shown) <= targets, page.name


def _code(text: str) -> list[str]:
    return [*blocks(text, "bash"), *re.findall(r"`[^`\n]+`", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:cyclegan_hub|docs|train|tests|pretrained|model_cards)/[\w./-]*)`", page.read_text("utf-8")):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def parsed(verb: str, arguments: list[str]) -> argparse.Namespace:
    """Arguments of a command, by its own parser. Raises SystemExit for a wrong one."""
    return make_parser(cli.COMMANDS[verb].module).parse_args(arguments)


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}-{i}" for i, (page, _) in enumerate(COMMANDS)])
def test_commands_parse(page: str, words: list[str]) -> None:
    """Every option, recipe and field of a command exists."""
    ours = next(i for i, word in enumerate(words) if word.startswith("train/") or word in CONSOLE)
    program, *arguments = [word for word in words[ours:] if word != "…"]
    if program == "cyclegan_hub.training":
        verb = "train"
    elif program in CONSOLE:
        verb, arguments = arguments[0], arguments[1:]
    else:
        assert (ROOT / program).is_file(), program
        verb = Path(program).stem
    if verb in cli.COMMANDS:
        found = parsed(verb, arguments)
        if verb == "train":
            override(find(found.recipe), dict(item.split("=", 1) for item in found.set))
    elif hasattr(module := script(str(Path(program).relative_to("train").with_suffix(""))), "add_arguments") and arguments:
        found = make_parser(module.__name__).parse_args(arguments)
        assert verb != "benchmark" or found.recipe in RECIPES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_is_python_and_imports_what_there_is(page: Path) -> None:
    for block in blocks(page.read_text("utf-8"), "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cyclegan_hub"):
                exec(compile(ast.Module([node], []), page.name, "exec"), {})


def test_functions_of_the_evaluation_page_run() -> None:
    (code,) = blocks((ROOT / "docs/evaluation.md").read_text("utf-8"), "python")
    exec(compile(code, "evaluation.md", "exec"), {})


def test_the_loop_that_is_shown_has_the_methods_of_the_loop() -> None:
    """The shortened loop in training.md calls only what the loop has."""
    text = (ROOT / "docs/training.md").read_text("utf-8")
    (shown,) = blocks(text[text.index("## One epoch") :], "python")
    loop = (ROOT / "cyclegan_hub/training/loop.py").read_text("utf-8")
    for name in re.findall(r"self\.([\w.]+)", shown):
        assert f"self.{name}" in loop, name


def test_every_metric_with_a_column_is_explained() -> None:
    text = (ROOT / "docs/evaluation.md").read_text("utf-8")
    assert [name for name, row in METRICS.items() if row.column and f"`{name}`" not in text] == []


def test_every_recipe_is_in_the_table_of_training() -> None:
    text = (ROOT / "docs/training.md").read_text("utf-8")
    table = "\n".join(re.findall(r"^\| `.*$", text[text.index("## Recipes") : text.index("## What a run leaves")], re.MULTILINE))
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) == set(RECIPES)


def test_the_rooms_are_those_of_the_architecture_test() -> None:
    """architecture.md has each room on its floor. The floors are read, not imported: no test imports another."""
    source = ast.parse((ROOT / "tests/test_architecture.py").read_text("utf-8"))
    names = {target.id: node.value for node in source.body if isinstance(node, ast.Assign) for target in node.targets}
    floors = {room: number for number, rooms in enumerate(ast.literal_eval(names["FLOORS"]), 1) for room in rooms}
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (ROOT / "docs/architecture.md").read_text("utf-8"), re.MULTILINE)
    shown = {room: int(floor) for floor, cell in rows for room in re.findall(r"`(\w+)(?:/|\.py)`", cell)}
    # The order is compared, not the numbers: a floor without a room in the table may be left out.
    assert shown.keys() == floors.keys()
    assert all((shown[a] < shown[b]) == (floors[a] < floors[b]) for a in shown for b in shown)


# ---------------------------------------------------------------------------------------------------------- train/runs/
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "train/runs").glob("*.sh")))
def test_a_run_script_is_how_the_bundled_model_was_trained(name: str, tmp_path: Path) -> None:
    """The script is run with a launcher that writes its arguments down; its last command gives the recorded recipe."""
    (tmp_path / "bin").mkdir()
    launcher = tmp_path / "bin/accelerate"
    launcher.write_text(
        f"#!{sys.executable}\nimport sys\nprint(*sys.argv[1:], 'END', sep='\\n', file=open('{tmp_path}/said', 'a'))\n"
    )
    launcher.chmod(0o755)
    (tmp_path / "data").mkdir()
    talk = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    shell = [str(ROOT / f"train/runs/{name}.sh"), "data", "--seed", "0"]  # a relative folder, and an option that is passed on
    subprocess.run(shell, cwd=tmp_path, env=talk, check=True, capture_output=True)
    *_, last, _ = (tmp_path / "said").read_text().split("END\n")
    words = last.splitlines()
    plan = parsed("train", words[words.index("train/train.py") + 1 :])
    recipe = override(find(plan.recipe), dict(item.split("=", 1) for item in plan.set))
    if plan.extend:
        recipe = override(recipe, changes_in(plan.extend.split(",")))
    record = json.loads((ROOT / f"pretrained/{name}/recipe.json").read_text("utf-8"))
    now = {field: getattr(recipe, field, None) for field in record["recipe"]}
    assert json.loads(json.dumps(now)) == record["recipe"]
    assert (plan.init, plan.data) == (record["init"], str(tmp_path / "data"))
    without = subprocess.run(shell[:1], cwd=tmp_path, env=talk, capture_output=True, text=True)
    assert without.returncode != 0 and f"train/runs/{name}.sh DATA" in without.stderr
