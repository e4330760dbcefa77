"""What a command trains, and what may change when a run is resumed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import counted
from cyclegan_hub.hub.records import read_run_record
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.command import parse
from cyclegan_hub.training.plan import Plan, apply_extension, counts_text, keep_warmup, make_plan, record_learning_rates
from cyclegan_hub.training.run_folder import RunError, RunFolder
from support.pictures import sides
from support.training import demo_data, train, weights

SMILE, HEAD = DOMAINS["smile"].a.eyes, DOMAINS["faces"].a.eyes
GIVEN, OWN = "0.3,0.5,0.7,0.5", (0.3, 0.5, 0.7, 0.5)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    parts = {"trainA": range(4), "trainB": range(10, 14), "testA": range(20, 24), "testB": range(30, 34)}
    return sides(tmp_path / "data", (40, 40), **parts)


def plan(data: Path, *arguments: object, recipe: str = "smile-compact") -> Plan:
    return make_plan(parse([recipe, "--data", str(data), "--out", str(data.parent / "run"), *map(str, arguments)]))


def eyes(given: Plan) -> tuple[Any, ...]:
    names = ("eyes",) if given.recipe.method == "dcgan" else ("eyes_a", "eyes_b")
    return tuple(getattr(given.recipe, name) for name in names)


def start(given: Plan) -> Path:
    """Starts the run, and returns its record."""
    run = RunFolder(given.out)
    run.open(given.identity)
    run.close()
    return given.out / "recipe.json"


@pytest.mark.parametrize(
    ("recipe", "arguments", "expected"),
    [
        ("smile-compact", [], (SMILE, SMILE)),
        ("smile-compact", ["--labels", "not smiling,smiling"], (SMILE, SMILE)),
        ("smile-compact", ["--labels", "day,night"], (None, None)),
        ("smile-compact", ["--labels", "day,night", "--set", f"eyes_a={GIVEN}"], (OWN, None)),
        ("smile-compact", ["--set", "eyes_a=none"], (None, SMILE)),
        ("monet-compact", [], (None, None)),
        ("faces-dcgan-64", [], (HEAD,)),
        ("faces-dcgan-64", ["--labels", "face"], (HEAD,)),
        ("faces-dcgan-64", ["--labels", "cat"], (None,)),
        ("faces-dcgan-64", ["--labels", "cat", "--set", f"eyes={GIVEN}"], (OWN,)),
    ],
)
def test_labels_of_ones_own_turn_the_domains_eyes_off(
    data: Path, recipe: str, arguments: list[str], expected: tuple[Any, ...]
) -> None:
    first = plan(data, *arguments, recipe=recipe)
    assert eyes(first) == expected
    start(first)  # the same command resumes it
    again = plan(data, *arguments, recipe=recipe)
    assert (again.recipe, again.labels, again.sources, again.identity) == (
        first.recipe, first.labels, first.sources, first.identity,
    )  # fmt: skip


@pytest.mark.parametrize(("recipe", "field"), [("smile-compact", "eyes_a"), ("faces-dcgan-64", "eyes")])
def test_a_run_from_before_the_eyes_stays_unaligned(data: Path, recipe: str, field: str) -> None:
    path = start(plan(data, recipe=recipe))
    record = json.loads(path.read_text())
    record["recipe"] = {name: value for name, value in record["recipe"].items() if not name.startswith("eyes")}
    path.write_text(json.dumps(record))
    assert set(eyes(plan(data, recipe=recipe))) == set(eyes(plan(data, "--set", f"{field}=none", recipe=recipe))) == {None}
    with pytest.raises(RunError, match=rf"holds another run: recipe\.{field} is None there and \[0\.3, 0\.5, 0\.7, 0\.5\] now"):
        plan(data, "--set", f"{field}={GIVEN}", recipe=recipe)


def test_one_of_anything_is_in_the_singular() -> None:
    assert counts_text("a", {"found": 1, "kept": 1}) == "domain A: 1 of 1 image to train on"
    assert counts_text("b", {"found": 3, "duplicates": 1, "kept": 1, "held_out": 1}) == (
        "domain B: 1 of 3 images to train on; 1 duplicate, 1 held out"
    )
    assert counts_text("a", {"found": 0, "kept": 0, "held_out": 64}) == "domain A: streamed; 64 held out"
    assert [counted(n, "process", "have") for n in (0, 1, 1200)] == ["0 processes have", "1 process has", "1,200 processes have"]


def test_a_run_of_the_former_own_cycle_is_refused_in_one_line(tmp_path: Path) -> None:
    """Until 2026-11-30 the field meant the other cycle; such a record lacks the key that says which."""
    arguments = parse(["anime-128", "--out", str(tmp_path / "run")])
    path = start(make_plan(arguments))
    make_plan(arguments)  # the same run of today
    record = json.loads(path.read_text())
    assert record["recipe"]["own_cycle"] is True and record.pop("own_cycle") == "ends"
    path.write_text(json.dumps(record))
    for arguments.set in ([], ["own_cycle=false"]):
        with pytest.raises(RunError, match=r"^[^\n]*own_cycle=true when that meant .* give another folder with --out$"):
            make_plan(arguments)
    assert json.loads(path.read_text()) == record
    found = read_run_record(path)
    assert found and found["recipe"]["own_cycle"] == "begins"  # as its card has it
    # One that was trained on both cycles resumes.
    path.write_text(json.dumps(record | {"recipe": record["recipe"] | {"own_cycle": False}}))
    make_plan(arguments)
    arguments.set = []
    with pytest.raises(RunError, match=r"recipe\.own_cycle is False there and True now"):
        make_plan(arguments)


# ---------------------------------------------------------------------------------------------------- extensions
RECIPE = dataclasses.replace(RECIPES["smile-compact"], epochs=40, decay=0.5)
RECORD = {"recipe": json.loads(json.dumps(dataclasses.asdict(RECIPE)))}


@pytest.mark.parametrize(
    ("step", "rates", "message"),
    [
        (100, [1, 1], "stays at 1 of lr"),
        (350, [0.25, 0.833333], "goes from 0.25 to 0.833 of lr"),
        (400, [0, 0.666667], "goes from 0 to 0.667 of lr"),
    ],
)
def test_the_learning_rate_is_that_of_a_run_planned_with_so_many_epochs(step: int, rates: list[float], message: str) -> None:
    recipe, extensions = apply_extension(RECIPE, RECORD, "epochs=60", step)
    text = record_learning_rates(recipe, extensions, 10)
    assert f"extended at step {step} from 40 to 60 epochs: the learning rate {message}" in text
    assert extensions[-1]["rate"] == rates
    assert record_learning_rates(recipe, extensions, 10) == ""  # recorded once


def test_a_warm_up_keeps_its_length() -> None:
    recipe, extensions = apply_extension(RECIPE, RECORD, "epochs=80,decay=0.25", 100)
    assert (recipe.epochs, recipe.decay) == (80, 0.25)
    assert keep_warmup(recipe, extensions).identity_warmup * 80 == pytest.approx(RECIPE.identity_warmup * 40)
    assert keep_warmup(RECIPE, []) is RECIPE


def test_the_first_command_and_the_extending_one_resume_alike() -> None:
    recipe, extensions = apply_extension(RECIPE, RECORD, "epochs=60", 100)
    record = RECORD | {"extended": extensions, "recipe": RECORD["recipe"] | {"epochs": 60}}
    expected = (recipe, extensions)
    assert apply_extension(RECIPE, record, None, 300) == apply_extension(RECIPE, record, "epochs=60", 300) == expected
    again, more = apply_extension(RECIPE, record, "epochs=90", 300)
    assert again.epochs == 90 and [one["from"]["epochs"] for one in more] == [40, 60]


def test_an_extension_changes_loss_weights_also_of_a_run_that_was_extended_before_it_could() -> None:
    before = [{"step": 100, "from": {"epochs": 20, "decay": 0.0}, "to": {"epochs": 40, "decay": 0.5}, "rate": [1.0, 1.0]}]
    record, first = RECORD | {"extended": before}, dataclasses.replace(RECIPE, epochs=20, decay=0.0)
    recipe, extensions = apply_extension(first, record, "epochs=60,cycle=5,cycle_a=1,identity_b=3", 300)
    assert (recipe.epochs, recipe.decay, recipe.cycle, recipe.cycle_a, recipe.identity_b) == (60, 0.5, 5, 1, 3)
    changed = record_learning_rates(recipe, extensions, 10)
    assert changed.endswith("planned with 60 epochs; cycle from 10 to 5; cycle_a from none to 1; identity_b from 0 to 3")
    assert apply_extension(first, record, "epochs=40,cycle=2", 300)[0].cycle == 2  # in the epochs that are left
    weights = {"cycle": 5.0, "cycle_a": 1.0, "identity_b": 3.0}
    record |= {"extended": extensions, "recipe": RECORD["recipe"] | {"epochs": 60} | weights}
    for text in (None, "epochs=60,cycle=5,cycle_a=1,identity_b=3"):
        assert apply_extension(first, record, text, 400) == (recipe, extensions)


@pytest.mark.parametrize(
    ("text", "record", "message"),
    [
        ("epochs=60", None, "there is no run in --out yet: start one with --set epochs=60"),
        ("epochs=30", RECORD, "epochs must be at least the 40 of this run"),
        (
            "decay=0.2",
            RECORD,
            "give epochs=N, and with it, if they change, decay, cycle, cycle_a, identity_a, identity_b, droplets, source_neg",
        ),
        ("epochs=60,lr=0.1", RECORD, "give epochs=N, and with it"),
        ("60", RECORD, "give epochs=N"),
        ("epochs=many", RECORD, "epochs='many': must be a whole number"),
    ],
)
def test_a_wrong_extension_is_one_clear_line(text: str, record: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        apply_extension(RECIPE, record, text, 10)
    with pytest.raises(RecipeError, match=r"give epochs=N$"):
        apply_extension(RECIPES["pix2pix"], {"recipe": {"epochs": 100}}, "decay=0.5", 10)


# ----------------------------------------------------------------------------------------------------- real runs
@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_data(tmp_path_factory, 6)


def learning_rate(out: Path) -> float:
    """The generators' learning rate in the newest state."""
    shared, _ = RunFolder(out).load_state(RunFolder(out).latest_step() or 0, 0, 1)
    return float(shared["trainer"]["optimizers"]["generators"]["param_groups"][0]["lr"])


@pytest.mark.slow
def test_a_finished_run_is_extended(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--data", demo, "--out", tmp_path / "run", "--set", "steps_per_epoch=1", "--set", "save_every=100"]
    assert train(*run) == 0
    assert learning_rate(tmp_path / "run") == 0
    assert train(*run, "--extend", "epochs=6", "--max-steps", 5) == 0
    assert "extended at step 4 from 4 to 6 epochs: the learning rate goes from 0 to 0.667 of lr" in capsys.readouterr().out
    assert learning_rate(tmp_path / "run") == pytest.approx(2e-4 / 3)  # after step 5 of 6
    record = read_run_record(tmp_path / "run" / "recipe.json")
    assert record and record["recipe"]["epochs"] == 6
    same = {
        "decay": 0.5,
        "cycle": 10.0,
        "cycle_a": None,
        "identity_a": 1.0,
        "identity_b": 1.0,
        "droplets": 0.0,
        "source_negatives": 0.5,
    }
    step = {"step": 4, "from": {"epochs": 4} | same, "to": {"epochs": 6} | same, "rate": [0.0, 0.666667]}
    assert record["extended"] == [step]
    assert train(*run) == 0  # the first command resumes it, too, and the record stays
    assert RunFolder(tmp_path / "run").latest_step() == 6
    assert read_run_record(tmp_path / "run" / "recipe.json") == record
    assert train(*run, "--extend", "epochs=9", "--set", "lr=0.1") == 2  # nothing else may change with it
    assert "recipe.lr is 0.0002 there and 0.1 now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_extended_before_the_decay_is_the_run_that_was_planned_so(demo: Path, tmp_path: Path) -> None:
    settings = ("identity_warmup=0", "save_every=100", "steps_per_epoch=1")
    run = ["--data", demo, *(part for setting in settings for part in ("--set", setting))]
    assert train(*run, "--set", "epochs=5", "--out", tmp_path / "planned") == 0
    assert train(*run, "--out", tmp_path / "extended", "--max-steps", 2) == 0
    assert train(*run, "--out", tmp_path / "extended", "--extend", "epochs=5") == 0
    assert weights(tmp_path / "extended") == weights(tmp_path / "planned")
