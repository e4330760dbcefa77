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
from support.pictures import folder
from support.training import NO_FACES, TINY, demo_data, script, train, weights

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
    """Starts the run, as a version did that knew no eyes, or as today's does."""
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
def test_the_same_command_resumes_with_the_same_eyes(data: Path, arguments: list[str]) -> None:
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
def test_a_run_from_before_the_eyes_stays_unaligned(data: Path, recipe: str) -> None:
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


def test_one_of_anything_is_in_the_singular() -> None:
    assert counts_text("a", {"found": 1, "kept": 1}) == "domain A: 1 of 1 image to train on"
    assert counts_text("b", {"found": 3, "duplicates": 1, "kept": 1, "held_out": 1}) == (
        "domain B: 1 of 3 images to train on; 1 duplicate, 1 held out"
    )
    assert counts_text("a", {"found": 0, "kept": 0, "held_out": 64}) == "domain A: streamed; 64 held out"
    assert [counted(n, "process", "have") for n in (0, 1, 1200)] == ["0 processes have", "1 process has", "1,200 processes have"]


@pytest.mark.slow
def test_a_run_from_before_the_eyes_is_trained_on(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The images have no faces: it resumes only without alignment, by the same command as then or one that turns it off."""
    run = ["--data", str(data), "--out", str(tmp_path / "old")]
    main = script("train").main
    assert main([*TINY, *run, "--max-steps", "1"]) == 0
    path = tmp_path / "old/recipe.json"
    record = json.loads(path.read_text())
    del record["recipe"]["eyes_a"], record["recipe"]["eyes_b"]
    path.write_text(json.dumps(record))
    assert main([*DEMO, *run, "--max-steps", "2"]) == 0
    assert RunFolder(tmp_path / "old").latest_step() == 2
    assert not (tmp_path / "old/landmarks.json").exists()
    assert main([*TINY, *run, "--max-steps", "3"]) == 0
    capsys.readouterr()
    assert main([*DEMO, "--data", str(data), "--out", str(tmp_path / "new"), "--max-steps", "1"]) != 0
    assert "no face is found in any of its 4 images" in capsys.readouterr().err


def test_a_run_of_the_former_own_cycle_is_refused_in_one_line(tmp_path: Path) -> None:
    """Until 2026-11-30 the field meant the other cycle; such a record lacks the key that says which."""
    arguments = parse(["anime-128", "--out", str(tmp_path / "run")])
    plan = make_plan(arguments)
    folder = RunFolder(plan.out)
    folder.open(plan.identity)
    folder.close()
    make_plan(arguments)  # the same run of today
    path = folder.path / "recipe.json"
    record = json.loads(path.read_text())
    assert record["recipe"]["own_cycle"] is True and record.pop("own_cycle") == "ends"
    path.write_text(json.dumps(record))
    before = path.read_bytes()
    for changes in ([], ["own_cycle=false"]):
        arguments.set = changes
        with pytest.raises(RunError, match=r"own_cycle=true when that meant .* give another folder with --out") as refused:
            make_plan(arguments)
        assert "\n" not in str(refused.value) and path.read_bytes() == before
    assert read_run_record(path)["recipe"]["own_cycle"] == "begins"  # as its card has it
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


@pytest.mark.parametrize(
    ("text", "record", "message"),
    [
        ("epochs=60", None, "there is no run in --out yet: start one with --set epochs=60"),
        ("epochs=30", RECORD, "epochs must be more than the 40 of this run"),
        ("decay=0.2", RECORD, "give epochs=N, and decay=SHARE to change it"),
        ("epochs=60,lr=0.1", RECORD, "give epochs=N, and decay=SHARE"),
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
    """An epoch of three steps."""
    return demo_data(tmp_path_factory, 6)


def learning_rate(out: Path) -> float:
    """The generators' learning rate in the newest state."""
    shared, _ = RunFolder(out).load_state(RunFolder(out).latest_step() or 0, 0, 1)
    return float(shared["trainer"]["optimizers"]["generators"]["param_groups"][0]["lr"])


@pytest.mark.slow
def test_a_finished_run_is_extended(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--data", demo, "--out", tmp_path / "run"]
    assert train(*run) == 0
    assert learning_rate(tmp_path / "run") == 0
    assert train(*run, "--extend", "epochs=6", "--max-steps", 13) == 0
    assert "extended at step 12 from 4 to 6 epochs: the learning rate goes from 0 to 0.667 of lr" in capsys.readouterr().out
    assert learning_rate(tmp_path / "run") == pytest.approx(2e-4 * 5 / 9)  # after step 13 of 18
    record = read_run_record(tmp_path / "run" / "recipe.json")
    assert record and record["recipe"]["epochs"] == 6
    assert record["extended"] == [
        {"step": 12, "from": {"epochs": 4, "decay": 0.5}, "to": {"epochs": 6, "decay": 0.5}, "rate": [0.0, 0.666667]}
    ]
    assert train(*run) == 0  # the first command resumes it, too, and the record stays
    assert RunFolder(tmp_path / "run").latest_step() == 18
    assert read_run_record(tmp_path / "run" / "recipe.json") == record
    assert train(*run, "--extend", "epochs=9", "--set", "lr=0.1") == 2  # nothing else may change with it
    assert "recipe.lr is 0.0002 there and 0.1 now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_extended_before_the_decay_is_the_run_that_was_planned_so(demo: Path, tmp_path: Path) -> None:
    run = ["--data", demo, "--set", "identity_warmup=0", "--set", "save_every=100"]
    assert train(*run, "--set", "epochs=5", "--out", tmp_path / "planned") == 0
    assert train(*run, "--out", tmp_path / "extended", "--max-steps", 5) == 0
    assert train(*run, "--out", tmp_path / "extended", "--extend", "epochs=5") == 0
    assert weights(tmp_path / "extended") == weights(tmp_path / "planned")


@pytest.mark.slow
def test_another_number_of_processes_has_to_be_allowed(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state of two processes, faked by a second rank's file, is resumed by one."""
    out = tmp_path / "run"
    assert train("--data", demo, "--out", out, "--max-steps", 4) == 0
    (state,) = (out / "state").iterdir()
    (state / "rank-1.safetensors").write_bytes((state / "rank-0.safetensors").read_bytes())
    assert train("--data", demo, "--out", out, "--max-steps", 6) == 2
    assert "was saved by 2 processes, now there is 1: launch as many as before, or add --allow" in capsys.readouterr().err
    assert train("--data", demo, "--out", out, "--max-steps", 6, "--inexact-resume") == 0  # the option's former name
    assert "resumed inexactly: 2 processes then, 1 now; a step has 2 pairs" in capsys.readouterr().err
    noted = [{"step": 4, "processes": [2, 1], "steps_per_epoch": 3}]
    assert json.loads((out / "recipe.json").read_text("utf-8"))["inexact_resumes"] == noted
    assert train("--data", demo, "--out", out) == 0  # from here on as any run, with the epochs that it had
    assert RunFolder(out).latest_step() == 12
    assert json.loads((out / "recipe.json").read_text("utf-8"))["inexact_resumes"] == noted
