"""A run folder kept from an earlier version can still be resumed, evaluated, extended and published.

`support/kept_run.py` says how it was made. A failure here means that runs of users break too: fix the package, not the folder.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from support.encoders import encoder_folder
from support.kept_run import (
    END,
    EXPECTED,
    PLACES,
    RUN,
    STOPPED,
    difference,
    find_nothing_again,
    finder,
    header,
    losses_after,
    make_data,
    moved,
    names_in_state,
    train,
)
from support.training import no_plots as no_plots

# Relative. Processors sum fp32 in different orders, so losses differ by about 1e-7 at first. After six steps they were within
# 1e-5 of each other with SSE4.1, AVX2, AVX-512, two threads, and without oneDNN. Each part of the state was taken away once: the
# moments of either optimizer, the pools, the random numbers, the steps of the trainer and of the moving averages. That moved some
# loss, or the moving averages, by 2e-2 or more.
TOLERANCE = 1e-3
# Fields that its recipe did not have, with what they imply.
LATER = {"noise": False, "minibatch_deviation": False, "cycle_a": None, "droplets": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("kept") / "data")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the kept run."""
    return shutil.copytree(RUN, tmp_path / "run")


@pytest.fixture(scope="module")
def resumed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that the same command has trained to the end of its schedule, without a face finder."""
    path = shutil.copytree(RUN, tmp_path_factory.mktemp("resumed") / "run")
    with finder(find_nothing_again):
        assert train(data, path) == 0
    return path


def expected() -> dict[str, Any]:
    return json.loads(EXPECTED.read_text())


def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "recipe.json").read_text("utf-8"))


# ------------------------------------------------------------------------------------------------------ resume
def test_it_resumes_to_the_losses_that_it_had(resumed: Path) -> None:
    assert difference(losses_after(resumed, STOPPED), expected()["losses"]) < TOLERANCE
    assert moved(resumed, 2, 4) == pytest.approx(expected()["moved"], rel=TOLERANCE)  # the published moving averages
    assert (resumed / "history.jsonl").read_bytes().startswith((RUN / "history.jsonl").read_bytes())  # resumed, not restarted
    assert [path.name for path in (resumed / "state").iterdir()] == [f"step-{END:09d}"]
    assert sorted(path.name for path in (resumed / "epochs").iterdir()) == [f"epoch-{n:03d}" for n in (1, 2, 3, 4)]
    for file in (path.relative_to(RUN) for path in (RUN / "epochs").rglob("*.*")):
        assert (resumed / file).read_bytes() == (RUN / file).read_bytes()
    assert (resumed / "landmarks.json").read_bytes() == (RUN / "landmarks.json").read_bytes()


def test_names_in_its_files_do_not_change(resumed: Path) -> None:
    assert set(record(resumed)["recipe"]) == set(record(RUN)["recipe"]) | set(LATER)
    assert set(record(resumed)) == set(record(RUN))
    for old, new in (("epochs/epoch-002", "epochs/epoch-004"), ("last", "last")):
        before, after = (header(path / "model.safetensors") for path in (RUN / old, resumed / new))
        assert before.pop("__metadata__").keys() == after.pop("__metadata__").keys()
        assert {name: (x["dtype"], x["shape"]) for name, x in before.items()} == {
            name: (x["dtype"], x["shape"]) for name, x in after.items()
        }
        configs = [json.loads((path / "config.json").read_text()) for path in (RUN / old, resumed / new)]
        assert configs[0].keys() == configs[1].keys()
    before, after = names_in_state(RUN), names_in_state(resumed)
    of_libraries = {"param_groups", "schedulers", "ema"}  # a later torch or diffusers may add keys there
    assert [place for place in before if place not in after] == []
    assert [place for place in after if place not in before and not of_libraries & set(place)] == []
    assert [place for place, kind in before.items() if "[" in kind and after[place] != kind] == []  # dtypes and shapes


# ----------------------------------------------------------------------------------- evaluate, extend, publish
def test_it_is_evaluated(run: Path, data: Path, tmp_path: Path, no_plots: None) -> None:
    extractor = f"encoder:{encoder_folder(tmp_path / 'encoder')}"
    options = ["--data", str(data), "--extractor", extractor, "--classifier", "none", "--size", "32"]
    with finder(find_nothing_again):
        assert main(["evaluate", str(run), *options]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert list(metrics["epochs"]) == ["epoch-001", "epoch-002"] and metrics["best"] in metrics["epochs"]
    for figures in metrics["epochs"].values():
        assert all(math.isfinite(figures[direction]["kid[encoder]"]) for direction in ("a_to_b", "b_to_a"))
    protocol = metrics["protocol"]
    assert [protocol[name] for name in ("n_a", "n_b", "n_training_a", "n_training_b")] == [3, 3, 8, 7]
    assert protocol["training_data"] == "the run's own"  # the fingerprints match
    assert protocol["faces_a"].startswith("aligned, eyes at 0.350, 0.450, 0.650, 0.450 of the side; 0 without a face")


def test_it_is_extended(run: Path, data: Path) -> None:
    with finder(find_nothing_again):
        assert train(data, run, "--extend", "epochs=6,decay=0.5", "--max-steps", STOPPED + 1) == 0
    before, after = record(RUN), record(run)
    same = {
        "decay": 0.5,
        "cycle": 10.0,
        "cycle_a": None,
        "identity_a": 1.0,
        "identity_b": 1.0,
        "droplets": 0.0,
        "source_negatives": 0.5,
    }
    step = {"step": STOPPED, "from": {"epochs": 4, **same}, "to": {"epochs": 6, **same}, "rate": [0.75, 1.0]}
    assert after.pop("extended") == [step] and after["recipe"] == before["recipe"] | LATER | {"epochs": 6}
    assert {name: after[name] for name in ("labels", "data", "seed", "init", "fingerprints")} == {
        name: before[name] for name in ("labels", "data", "seed", "init", "fingerprints")
    }
    assert [line["step"] for line in losses_after(run, STOPPED)] == [STOPPED + 1]


def test_it_is_published(resumed: Path, tmp_path: Path) -> None:
    out = tmp_path / "published"
    assert main(["publish", str(resumed), "user/kept", "--dry-run", "--out", str(out)]) == 0
    model = CycleGenerator.from_pretrained(out)
    assert model.epoch == 4 and model.labels == ("not smiling", "smiling")
    assert model.config["eyes_a"] == list(PLACES) and model.eyes == {"a_to_b": PLACES, "b_to_a": None}
    for name, tensor in CycleGenerator.from_pretrained(resumed / "epochs/epoch-004").state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert len([*(out / "epochs").iterdir()]) == 4
    files = [path for path in out.rglob("*") if path.is_file()]
    digests = json.loads((RUN / "landmarks.json").read_text())
    assert "landmarks.json" not in {path.name for path in files} and len(digests) == 8 + 3
    assert not any(digest.encode() in path.read_bytes() for path in files for digest in digests)
