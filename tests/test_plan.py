"""training/plan.py: which eyes a command trains with, in new runs and in those that were recorded before there were any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.training.command import parse
from cyclegan_hub.training.plan import Plan, make_plan
from cyclegan_hub.training.run_folder import RunError, RunFolder
from support.pictures import folder
from support.training import NO_FACES, TINY, script

SMILE = DOMAINS["smile"].a.eyes
OWN = "0.3,0.5,0.7,0.5"
DEMO = [TINY[0], *(part for setting in TINY[2::2] if setting not in NO_FACES for part in ("--set", setting))]  # with its own eyes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for part, first in (("trainA", 0), ("trainB", 10), ("testA", 20), ("testB", 30)):
        folder(tmp_path / "data" / part, range(first, first + 4), (40, 40))
    return tmp_path / "data"


def plan(data: Path, *arguments: object, recipe: str = "smile-compact") -> Plan:
    return make_plan(parse([recipe, "--data", str(data), "--out", str(data.parent / "run"), *map(str, arguments)]))


def eyes(given: Plan) -> tuple[Any, ...]:
    names = ("eyes",) if given.recipe.method == "dcgan" else ("eyes_a", "eyes_b")
    return tuple(getattr(given.recipe, name) for name in names)


def recorded(given: Plan, without: bool) -> None:
    """Begins the run, as a package did that knew no eyes, or as today's does."""
    run = RunFolder(given.out)
    run.open(given.identity)
    run.close()
    path = given.out / "recipe.json"
    record = json.loads(path.read_text())
    if without:
        record["recipe"] = {name: value for name, value in record["recipe"].items() if not name.startswith("eyes")}
    path.write_text(json.dumps(record))


def test_labels_of_ones_own_turn_the_domains_eyes_off(data: Path) -> None:
    assert eyes(plan(data)) == (SMILE, SMILE) == eyes(plan(data, "--labels", "not smiling,smiling"))
    assert eyes(plan(data, "--labels", "day,night")) == (None, None)
    own = (0.3, 0.5, 0.7, 0.5)
    assert eyes(plan(data, "--labels", "day,night", "--set", f"eyes_a={OWN}")) == (own, None)
    assert eyes(plan(data, "--labels", "day,night", "--set", f"eyes_a={OWN}", "--set", f"eyes_b={OWN}")) == (own, own)
    assert eyes(plan(data, "--set", "eyes_a=none")) == (None, SMILE)
    assert eyes(plan(data, recipe="monet-compact")) == (None, None)
    head = DOMAINS["faces"].a.eyes
    assert eyes(plan(data, recipe="faces-dcgan-64")) == (head,) == eyes(plan(data, "--labels", "face", recipe="faces-dcgan-64"))
    assert eyes(plan(data, "--labels", "cat", recipe="faces-dcgan-64")) == (None,)
    assert eyes(plan(data, "--labels", "cat", "--set", f"eyes={OWN}", recipe="faces-dcgan-64")) == (own,)


@pytest.mark.parametrize("arguments", [[], ["--labels", "day,night"], ["--set", "eyes_a=none"], ["--set", f"eyes_b={OWN}"]])
def test_the_same_command_goes_on_with_the_same_eyes(data: Path, arguments: list[str]) -> None:
    first = plan(data, *arguments)
    recorded(first, without=False)
    again = plan(data, *arguments)
    assert (again.recipe, again.labels, again.sources, again.identity) == (
        first.recipe,
        first.labels,
        first.sources,
        first.identity,
    )
    with pytest.raises(RunError, match=r"recipe\.eyes_a is .* there and \[0\.1, 0\.5, 0\.9, 0\.5\] now"):
        plan(data, *arguments, "--set", "eyes_a=0.1,0.5,0.9,0.5")


@pytest.mark.parametrize("recipe", ["smile-compact", "anime-compact", "faces-dcgan-64"])
def test_a_run_of_before_goes_on_unaligned(data: Path, recipe: str) -> None:
    recorded(plan(data, recipe=recipe), without=True)
    assert set(eyes(plan(data, recipe=recipe))) == {None}
    field = "eyes" if recipe == "faces-dcgan-64" else "eyes_a"
    assert set(eyes(plan(data, "--set", f"{field}=none", recipe=recipe))) == {None}
    with pytest.raises(RunError, match=rf"holds another run: recipe\.{field} is None there and \[0\.3, 0\.5, 0\.7, 0\.5\] now"):
        plan(data, "--set", f"{field}={OWN}", recipe=recipe)


def test_wrong_eyes_name_the_rule(data: Path) -> None:
    for arguments in ([], ["--labels", "day,night"]):
        with pytest.raises(RecipeError, match=r"^eyes_a=\(0\.7, 0\.5, 0\.3, 0\.5\): must be none, or the left and the right eye"):
            plan(data, *arguments, "--set", "eyes_a=0.7,0.5,0.3,0.5")
    with pytest.raises(RecipeError, match=r"'eyes' is no field of a CycleGANRecipe; fields: .*eyes_a, eyes_b"):
        plan(data, "--set", "eyes=none")
    with pytest.raises(RecipeError, match="'eyes_a' is no field of a Pix2PixRecipe"):
        plan(data, "--set", "eyes_a=none", recipe="colorize")


@pytest.mark.slow
def test_a_run_of_before_is_trained_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The images have no faces: it goes on only if they are not aligned, by the same command as then, or one that says so."""
    run = ["--data", str(data), "--out", str(tmp_path / "old")]
    train = script("train").main
    assert train([*TINY, *run, "--max-steps", "1"]) == 0
    path = tmp_path / "old/recipe.json"
    record = json.loads(path.read_text())
    del record["recipe"]["eyes_a"], record["recipe"]["eyes_b"]
    path.write_text(json.dumps(record))
    assert train([*DEMO, *run, "--max-steps", "2"]) == 0
    assert RunFolder(tmp_path / "old").latest_step() == 2
    assert not (tmp_path / "old/landmarks.json").exists()
    assert train([*TINY, *run, "--max-steps", "3"]) == 0
    capsys.readouterr()
    assert train([*DEMO, "--data", str(data), "--out", str(tmp_path / "new"), "--max-steps", "1"]) != 0
    assert "no face is found in any of its 4 images" in capsys.readouterr().err
