"""A run that is made longer, and one that goes on with another number of processes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cyclegan_hub.hub.records import read_run_record
from cyclegan_hub.recipes.methods import RecipeError
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.training.extension import extended, for_trainer, rate, with_rates
from cyclegan_hub.training.run_folder import RunError, RunFolder, unpack
from support.training import demo_data, train, weights

pytestmark = pytest.mark.slow

RECIPE = dataclasses.replace(RECIPES["smile-compact"], epochs=40, decay=0.5)
RECORD = {"recipe": json.loads(json.dumps(dataclasses.asdict(RECIPE)))}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 6)


def lr_of(out: Path) -> float:
    """The generators' learning rate in the newest state."""
    step = RunFolder(out).latest_step()
    return unpack(out / "state" / f"step-{step:09d}" / "shared.safetensors")["trainer"]["optimizers"]["generators"][
        "param_groups"
    ][0]["lr"]


# ----------------------------------------------------------------------------------------------------- the rule
def test_the_rate_is_that_of_a_run_planned_so() -> None:
    longer = dataclasses.replace(RECIPE, epochs=60)
    assert [rate(RECIPE, step, 10) for step in (0, 200, 300, 400)] == [1, 1, 0.5, 0]
    assert [rate(longer, step, 10) for step in (0, 200, 300, 400)] == [1, 1, 1, pytest.approx(2 / 3)]
    for step, words in ((100, "stays at 1 of lr"), (400, "goes from 0 to 0.667 of lr"), (350, "goes from 0.25 to 0.833 of lr")):
        recipe, steps = extended(RECIPE, RECORD, "epochs=60", step)
        assert f"extended at step {step} from 40 to 60 epochs: the learning rate {words}" in with_rates(recipe, steps, 10)
        assert with_rates(recipe, steps, 10) == ""  # noted once


def test_a_warm_up_keeps_its_length() -> None:
    recipe, steps = extended(RECIPE, RECORD, "epochs=80,decay=0.25", 100)
    assert (recipe.epochs, recipe.decay) == (80, 0.25)
    assert for_trainer(recipe, steps).identity_warmup * 80 == pytest.approx(RECIPE.identity_warmup * 40)
    assert for_trainer(RECIPE, []) is RECIPE


def test_the_first_command_and_the_extending_one_go_on_alike() -> None:
    recipe, steps = extended(RECIPE, RECORD, "epochs=60", 100)
    record = RECORD | {"extended": steps, "recipe": RECORD["recipe"] | {"epochs": 60}}
    assert extended(RECIPE, record, None, 300) == extended(RECIPE, record, "epochs=60", 300) == (recipe, steps)
    again, more = extended(RECIPE, record, "epochs=90", 300)
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
def test_what_extend_cannot_mean(text: str, record: dict | None, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        extended(RECIPE, record, text, 10)
    with pytest.raises(RecipeError, match=r"give epochs=N$"):
        extended(RECIPES["pix2pix"], {"recipe": {"epochs": 100}}, "decay=0.5", 10)


# ----------------------------------------------------------------------------------------------------- real runs
def test_a_finished_run_goes_on(data: Path, tmp_path: Path, capsys) -> None:
    run = ["--data", data, "--out", tmp_path / "run"]
    assert train(*run) == 0
    assert lr_of(tmp_path / "run") == 0
    assert train(*run, "--extend", "epochs=6", "--max-steps", 13) == 0
    assert "extended at step 12 from 4 to 6 epochs: the learning rate goes from 0 to 0.667 of lr" in capsys.readouterr().out
    assert lr_of(tmp_path / "run") == pytest.approx(2e-4 * 5 / 9)  # after step 13 of 18
    record = read_run_record(tmp_path / "run" / "recipe.json")
    assert record["recipe"]["epochs"] == 6
    assert record["extended"] == [
        {"step": 12, "from": {"epochs": 4, "decay": 0.5}, "to": {"epochs": 6, "decay": 0.5}, "rate": [0.0, 0.666667]}
    ]
    assert train(*run) == 0  # the first command goes on, too, and the history stays
    assert RunFolder(tmp_path / "run").latest_step() == 18
    assert read_run_record(tmp_path / "run" / "recipe.json") == record
    assert train(*run, "--extend", "epochs=5") == 2
    assert "epochs must be more than the 6 of this run" in capsys.readouterr().err
    assert train(*run, "--extend", "epochs=9", "--set", "lr=0.1") == 2  # nothing else may change with it
    assert "recipe.lr is 0.0002 there and 0.1 now" in capsys.readouterr().err


def test_extended_before_the_decay_it_is_the_run_that_was_planned_so(data: Path, tmp_path: Path) -> None:
    run = ["--data", data, "--set", "identity_warmup=0", "--set", "save_every=100"]
    assert train(*run, "--set", "epochs=5", "--out", tmp_path / "planned") == 0
    assert train(*run, "--out", tmp_path / "extended", "--max-steps", 5) == 0
    assert train(*run, "--out", tmp_path / "extended", "--extend", "epochs=5") == 0
    assert weights(tmp_path / "extended") == weights(tmp_path / "planned")


def test_another_number_of_processes_needs_the_users_word(data: Path, tmp_path: Path, capsys) -> None:
    """A state of two processes, acted by a second rank's file: resuming alone takes --allow-process-change, and is noted."""
    out = tmp_path / "run"
    assert train("--data", data, "--out", out, "--max-steps", 4) == 0
    (state,) = (out / "state").iterdir()
    (state / "rank-1.safetensors").write_bytes((state / "rank-0.safetensors").read_bytes())
    assert train("--data", data, "--out", out, "--max-steps", 6) == 2
    assert "launch as many as before, or add --allow-process-change" in capsys.readouterr().err
    assert train("--data", data, "--out", out, "--max-steps", 6, "--allow-process-change") == 0
    assert "resumed inexactly: 2 processes then, 1 now; a step has 2 pairs" in capsys.readouterr().err
    noted = [{"step": 4, "processes": [2, 1], "steps_per_epoch": 3}]
    assert json.loads((out / "recipe.json").read_text("utf-8"))["inexact_resumes"] == noted
    assert train("--data", data, "--out", out) == 0  # from here on as any run, with the epochs that it had
    assert RunFolder(out).latest_step() == 12
    assert json.loads((out / "recipe.json").read_text("utf-8"))["inexact_resumes"] == noted


def test_a_new_process_takes_the_first_ones_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open({"recipe": {}})
    folder.stage_state(3)
    folder.write_rank(3, 0, {"random": 1, "cuda": None, "data": {}, "trainer": "pools"})
    folder.commit_state(3, {"step": 3, "steps_per_epoch": 7})
    with pytest.raises(RunError, match="add --allow-process-change"):
        folder.load_state(3, 1, 2)
    _, own = folder.load_state(3, 1, 2, inexact=True)
    assert own == {"random": None, "cuda": None, "data": None, "trainer": "pools"}
    assert folder.steps_per_epoch(3) == 7
    folder.close()
