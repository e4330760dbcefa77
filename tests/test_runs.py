"""The run folder's own rules; test_train.py and test_kill.py show them in real runs."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from cyclegan_hub.hub.records import HistoryError, epoch_name, read_run_record
from cyclegan_hub.training.command import parse
from cyclegan_hub.training.plan import make_plan
from cyclegan_hub.training.run_folder import RunError, RunFolder, epochs_to_remove

IDENTITY = {"recipe": {"name": "x", "lr": 2e-4, "snapshot_every": 5}, "labels": ["a", "b"], "seed": 0}


@pytest.mark.parametrize(
    ("epochs", "keep", "dropped"),
    [
        ([1, 2, 3], 3, []),
        ([1, 2, 3, 4], 3, [2]),  # 2 and 3 are missed alike: the earlier goes
        ([5, 10, 15, 20, 25], 4, [10]),
        ([1, 10, 11, 20], 3, [10]),
        ([1, 2, 3, 4, 5], 2, [2, 3, 4]),
    ],
)
def test_epochs_to_remove_keeps_the_first_and_the_last(epochs: list[int], keep: int, dropped: list[int]) -> None:
    assert sorted(epochs_to_remove(epochs, keep)) == dropped


def test_kept_epochs_stay_spread_as_a_run_goes_on() -> None:
    kept: list[int] = []
    for epoch in range(1, 201):
        kept.append(epoch)
        for old in epochs_to_remove(kept, 20):
            kept.remove(old)
    gaps = [b - a for a, b in pairwise(kept)]
    assert len(kept) == 20 and kept[0] == 1 and kept[-1] == 200
    assert max(gaps) <= 32 and sorted(gaps)[len(gaps) // 2] >= 4


def test_names_sort_and_grow() -> None:
    assert [epoch_name(n) for n in (5, 25, 1000)] == ["epoch-005", "epoch-025", "epoch-1000"]


def test_identity_is_compared_by_what_is_given(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check(IDENTITY)  # nothing there yet, and nothing is made
    assert not folder.path.exists()
    folder.open(IDENTITY | {"fingerprints": {"a": "1"}})
    folder.close()
    folder.check(IDENTITY)  # before the images are read, their fingerprint is not known
    folder.check(IDENTITY | {"recipe": IDENTITY["recipe"] | {"snapshot_every": 1}})
    with pytest.raises(RunError, match=r"images of side A have changed .*fingerprint 1 then, 2 now"):
        folder.check(IDENTITY | {"fingerprints": {"a": "2"}})
    with pytest.raises(RunError, match=r"recipe\.new is None there and 3 now"):
        folder.check(IDENTITY | {"recipe": IDENTITY["recipe"] | {"new": 3}})
    # A field that came later, at the value under which nothing changes, is no other run; at another value it is.
    folder.check(IDENTITY | {"recipe": IDENTITY["recipe"] | {"skip": False, "discriminator": "patch"}})
    with pytest.raises(RunError, match=r"recipe\.skip is None there and True now"):
        folder.check(IDENTITY | {"recipe": IDENTITY["recipe"] | {"skip": True}})
    for damaged in ("{", "[]"):
        (folder.path / "recipe.json").write_text(damaged)
        with pytest.raises(RunError, match=r"recipe\.json is damaged"):
            folder.check(IDENTITY)


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


def test_state_appears_whole_and_the_older_one_goes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.open(IDENTITY)
    for step in (1, 2):
        folder.stage_state(step)
        folder.write_rank(step, 0, {"rank": 0})
        assert folder.latest_step() == (None if step == 1 else 1)
        folder.commit_state(step, {"step": step})
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-000000002"]
    assert folder.load_state(2, rank=0, world_size=1) == ({"step": 2}, {"rank": 0})
    with pytest.raises(RunError, match="saved by 1 processes, now there are 2"):
        folder.load_state(2, rank=0, world_size=2)
    folder.stage_state(2)  # the same step again: what is there stays
    folder.write_rank(2, 0, {"rank": "other"})
    folder.commit_state(2, {"step": "other"})
    assert folder.load_state(2, rank=0, world_size=1) == ({"step": 2}, {"rank": 0})
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-000000002"]
    folder.close()


def test_history_grows_is_trimmed_and_names_a_damaged_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.history() == []
    folder.append_history([{"step": 1}, {"step": 2}])
    folder.append_history([{"step": 3}])
    folder.trim_history(2)
    assert folder.history() == [{"step": 1}, {"step": 2}]
    (tmp_path / "history.jsonl").write_text(json.dumps({"step": 1}) + '\n{"st\n' + json.dumps({"step": 3}) + "\n")
    with pytest.raises(HistoryError, match="line 2 is damaged"):
        folder.history()
