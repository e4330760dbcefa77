"""The command `evaluate`: real command lines on tiny models, with a tiny encoder, offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cyclegan_hub import DCGAN, CycleGenerator
from cyclegan_hub.checkpoints import list_epochs
from cyclegan_hub.cli import main
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.domains import HEAD
from cyclegan_hub.evaluation import inputs
from cyclegan_hub.evaluation.command import training_cost
from cyclegan_hub.evaluation.record import read_metrics
from cyclegan_hub.evaluation.registry import base_name
from support.encoders import encoder_folder
from support.pictures import folder
from support.training import no_plots as no_plots

LABELS = ("day", "night")


def model(epoch: int | None, labels: tuple[str, str] = LABELS, image_size: int = 16) -> CycleGenerator:
    torch.manual_seed(epoch or 0)
    return CycleGenerator(width=4, blocks=1, image_size=image_size, domain="smile", labels=labels, epoch=epoch)


def run_folder(path: Path, *epochs: int, record: dict[str, Any] | None = None) -> Path:
    for epoch in epochs:
        model(epoch).save_pretrained(path / "epochs" / f"epoch-{epoch:03d}")
    if record is not None:
        (path / "recipe.json").write_text(json.dumps(record))
    return path


def record(**changes: Any) -> dict[str, Any]:
    data = {"a": "folder faces/trainA, held out: folder faces/testA", "b": "folder faces/trainB, held out: folder faces/testB"}
    return {"recipe": {"max_images": None, "equal_sides": False}, "labels": list(LABELS), "data": data, "seed": 0} | changes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "faces"
    for name, seeds in {"trainA": range(12), "trainB": range(20, 33), "testA": range(40, 46), "testB": range(50, 57)}.items():
        folder(place / name, seeds)
    return place


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"encoder:{encoder_folder(tmp_path_factory.mktemp('encoders') / 'encoder')}"


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that explains an exit code of 2."""
    assert evaluate(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "reading" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def test_a_best_epoch_that_is_gone_is_chosen_anew(data: Path, encoder: str, tmp_path: Path) -> None:
    run = run_folder(tmp_path / "run", 1)
    (run / "metrics.json").write_text('{"best": "epoch-022"}')
    options = ("--data", data, "--extractor", encoder, "--classifier", "none", "--max-held-out", 5, "--max-train-images", 8)
    assert evaluate(run, *options) == 0
    found = read_metrics(run / "metrics.json")
    assert found is not None and found.best == "epoch-001"


def test_a_run_is_measured_where_it_lies(data: Path, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_folder(tmp_path / "run", 1, 2, 3, record=record(fingerprints={"a": "0", "b": "1"}))
    options = ("--data", data, "--extractor", encoder, "--classifier", encoder)
    assert evaluate(run, *options, "--epochs", "3,1", "--max-held-out", 5, "--max-train-images", 8) == 0
    found = read_metrics(run / "metrics.json")
    assert found is not None and list(found.epochs) == ["epoch-001", "epoch-003"]
    assert next(epoch.name for epoch in list_epochs(run) if epoch.best) == found.best
    assert {"fid[encoder]", "success", "cycle_ssim"} <= found.epochs["epoch-001"]["b_to_a"].keys()
    protocol = {"n_a": 5, "n_b": 5, "n_training_a": 8, "n_training_b": 8, "image_size": 16, "seed": 0, "precision": "fp32"}
    assert found.protocol | protocol == found.protocol
    assert found.protocol["data_a"] == record()["data"]["a"] and "faces_a" not in found.protocol
    assert found.protocol["training_data"].startswith("domain A and domain B: not the images")
    assert found.protocol["training_data"] in found.notes
    assert found.classifier["name"].endswith("; of degraded images 87.5% neither")
    printed = capsys.readouterr().out
    assert "day → night (n = 5, n = 5; encoder (sha256 " in printed and "peak memory" in printed and "untranslated" in printed
    assert "report.html" in printed and "epoch-003" in (run / "report.html").read_text("utf-8")
    more = ("--epochs", 1, "--max-held-out", 5, "--max-train-images", 8, "--out", tmp_path / "again", "--within-supports")
    assert evaluate(run, *options, *more) == 0
    again = read_metrics(tmp_path / "again" / "metrics.json")
    assert again is not None
    assert again.protocol["supports"].startswith("alpha-precision and beta-recall within the supports at 0.9")
    assert found.protocol["supports"] == "alpha-precision and beta-recall count all rows"
    for key, value in found.epochs["epoch-001"]["a_to_b"].items():
        assert base_name(key) in ("alpha_precision", "beta_recall") or again.epochs["epoch-001"]["a_to_b"][key] == value, key


def test_images_that_were_trained_on_are_measured_where_that_is_asked_for(
    data: Path, encoder: str, tmp_path: Path, no_plots: None, capsys: pytest.CaptureFixture
) -> None:
    """They are recognised as the run's own."""
    model(7).save_pretrained(tmp_path / "single")
    source, sides = inputs.open_source(str(tmp_path / "single"), "all", None, "single"), resolve(None, str(data), None, None)
    assert list(source.epochs) == ["epoch-007"]
    of_all = {letter: side.fingerprint for letter, side in zip("ab", inputs.read_data(sides, source, 0, 3), strict=True)}
    run = run_folder(tmp_path / "run", 1, record=record(recipe={"max_images": 5, "equal_sides": False}))
    source = inputs.open_source(str(run), "all", None, "run")
    read = inputs.read_images(sides, source, 0, (9, 9), shape=(16, 3), scaled=(24, 3), on_training=True)
    for held_out, train in ((read.held_out, read.train), (read.scaled.held_out, read.scaled.train)):
        assert [len(side) for side in held_out] == [5, 5]  # as many as the run was trained on, of 12 and 13
        assert all(torch.equal(*both) for both in zip(held_out, train, strict=True))
    own = {letter: side.fingerprint for letter, side in zip("ab", read.sides, strict=True)}
    assert own != of_all
    (run / "recipe.json").write_text(json.dumps(record(recipe={"max_images": 5, "equal_sides": False}, fingerprints=own)))
    options = ("--data", data, "--extractor", encoder, "--classifier", "none", "--size", 16)
    assert evaluate(run, *options, "--on-training", "--out", tmp_path / "out") == 0
    found = read_metrics(tmp_path / "out" / "metrics.json")
    assert found is not None and (found.protocol["n_a"], found.protocol["n_training_a"]) == (5, 5)
    assert found.protocol["reference"] == found.notes[0] == "images that were trained on, in place of held-out ones"
    assert found.protocol["training_data"] == "the run's own" and found.classifier is None
    assert not (run / "metrics.json").exists()
    assert evaluate(run, tmp_path / "single", *options, "--on-training", "--out", tmp_path) == 2  # each result goes to OUT/NAME
    assert "--on-training: give an --out of its own" in capsys.readouterr().err and not (run / "metrics.json").exists()


def test_a_model_apart_from_its_run_folder_is_measured_as_it_was_trained(tmp_path: Path) -> None:
    """As one of the Hub, whose repository holds the record of the run."""
    DCGAN(latent=4, widths=(4, 4)).save_pretrained(tmp_path / "run/epochs/epoch-001")
    (tmp_path / "run/recipe.json").write_text(json.dumps(record(recipe={"eyes": HEAD, "fit": "pad"}, data={"a": "folder x/y"})))
    source = inputs.open_source(str(tmp_path / "run/epochs/epoch-001"), "all", None, "one")
    assert source.record is None and source.recipe["fit"] == "pad" and source.eyes == (HEAD,)
    assert hash(source.eyes)  # sources whose faces lie alike share the images


@pytest.mark.usefixtures("no_plots")
def test_sources_side_by_side(data: Path, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = run_folder(tmp_path / "x" / "run", 1), run_folder(tmp_path / "y" / "run", 4)
    options = ("--data", data, "--extractor", encoder, "--out", tmp_path / "out")
    assert evaluate(first, second, *options) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["comparison.html", "comparison.md", "run", "run-2"]
    lines = (tmp_path / "out" / "comparison.md").read_text("utf-8").splitlines()
    assert [line.split(" |")[0] for line in lines if line.startswith("| run")] == ["| run, epoch-001", "| run-2, epoch-004"] * 2
    notes = read_metrics(tmp_path / "out" / "run" / "metrics.json").notes
    assert notes[0].startswith("no success: the encoder does not tell day from night")  # the bundled one, or there is none
    assert "run-2, epoch-004" in capsys.readouterr().out


def test_models_of_other_size_and_channels_stand_side_by_side(
    data: Path, encoder: str, tmp_path: Path, no_plots: None, capsys: pytest.CaptureFixture[str]
) -> None:
    small = run_folder(tmp_path / "small", 1, record=record(recipe={"name": "x", "cycle": 10, "batch_size": 2, "lr": 1}))
    (small / "history.jsonl").write_text('{"step": 10, "epoch": 1.0, "pairs_per_s": 0.01}\nbroken\n')
    torch.manual_seed(3)
    grey = CycleGenerator(channels=1, width=4, blocks=1, image_size=24, domain="smile", labels=LABELS, epoch=2)
    grey.save_pretrained(tmp_path / "grey" / "epochs" / "epoch-002")
    (tmp_path / "grey" / "recipe.json").write_text(json.dumps(record(recipe={"name": "y", "cycle": 5, "batch_size": 1, "lr": 1})))
    options = ("--data", data, "--extractor", encoder, "--classifier", encoder, "--size", 20)
    assert evaluate(small, tmp_path / "grey", *options, "--out", tmp_path / "out") == 0
    first, second = (read_metrics(tmp_path / "out" / name / "metrics.json") for name in ("small", "grey"))
    assert first is not None and second is not None
    assert first.protocol["size"] == second.protocol["size"] and first.protocol["size"].startswith("20 px, 3 channels")
    assert (first.protocol["image_size"], second.protocol["image_size"]) == (16, 24)
    for direction in CycleGenerator.directions:  # both are measured against the same real images
        key = "mmd[encoder]"
        assert first.baselines["floor"][direction][key] == second.baselines["floor"][direction][key]
    lines = (tmp_path / "out" / "comparison.md").read_text("utf-8").splitlines()
    assert "| hours | 0.56 | not recorded |" in lines and "| seen | 20 pairs | not recorded |" in lines
    assert "| cycle | 10 | 5 |" in lines and not any(line.startswith("| lr |") for line in lines)
    assert "not recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "five"], "--epochs 'five': give all, or numbers such as 5,10,20"),
        (["--epochs", "1,9"], "no epoch-009; epochs there: epoch-001"),
        (["--max-held-out", "0"], "--max-held-out 0: must be at least 1"),
        (["--on-training"], "--on-training: give an --out of its own, so that these do not replace the metrics of held-out"),
        (["--on-training", "--out", "RUN"], "--on-training: give an --out of its own, so that these do not replace the metrics"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
        (["--extractor", "nonsense"], "extractor 'nonsense' is unknown: give inception"),
        (["--extractor", "ENCODER", "--classifier", "eyes"], "--classifier 'eyes': give encoder, encoder:FOLDER or none"),
        (["--extractor", "ENCODER", "--classifier", "encoder:/nowhere"], "/nowhere: there is no such folder"),
        (["--extractor", "ENCODER", "--data", "/nowhere"], "--data /nowhere: there is no such folder"),
        (["--extractor", "ENCODER"], "run was trained on folder faces/trainA, held out: folder faces/testA and on folder "),
    ],
)
def test_what_is_refused(
    arguments: list[str], message: str, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_folder(tmp_path / "run", 1, record=record())
    arguments = [a.replace("ENCODER", encoder).replace("RUN", str(run)) for a in arguments]
    assert message in refused(capsys, run, *arguments)
    assert not (run / "metrics.json").exists()


def test_sources_that_are_none_or_cannot_be_compared(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "give a run folder or a model folder" in refused(capsys, tmp_path / "empty")
    model(1).save_pretrained(tmp_path / "one")
    model(1, labels=("summer", "winter")).save_pretrained(tmp_path / "two")
    assert refused(capsys, tmp_path / "one", "--extractor", "encoder").endswith(
        "does not say what it was trained on: give --data"
    )
    assert refused(capsys, tmp_path / "one", tmp_path / "two", "--data", data) == (
        "these cannot be compared (one: day → night, 16 px, 3 channels; two: summer → winter, 16 px, 3 channels): "
        "evaluate them apart"
    )
    (run_folder(tmp_path / "run", 1) / "recipe.json").write_text('{"data": 3}')
    assert "recipe.json is damaged (TypeError" in refused(capsys, tmp_path / "run")


def test_a_subset_is_a_seeded_choice_in_order() -> None:
    images = torch.arange(40, dtype=torch.uint8).view(10, 1, 2, 2)
    chosen = inputs.subsample(images, 4, 0)
    assert torch.equal(chosen, inputs.subsample(images, 4, 0)) and not torch.equal(chosen, inputs.subsample(images, 4, 1))
    assert torch.equal(inputs.subsample(list(images), 4, 0), chosen) and chosen[:, 0, 0, 0].int().diff().gt(0).all()
    assert torch.equal(inputs.subsample(images, 99, 0), images)


def test_the_cost_of_a_training_is_that_of_its_history(tmp_path: Path) -> None:
    assert training_cost(tmp_path, {}) == (None, None)
    history = tmp_path / "history.jsonl"
    history.write_text('{"step": 10, "pairs_per_s": 2.0}\n{"step": 20, "pairs_per_s": 4.0}\n')
    assert training_cost(tmp_path, {"batch_size": 4}) == (pytest.approx(30 / 3600), 80)
    history.write_text('{\n{"step": 20, "pairs_per_s": 4.0}\n')
    assert training_cost(tmp_path, {"batch_size": 4}) == (None, None)


def test_names_of_sources(tmp_path: Path) -> None:
    (tmp_path / "a" / "run").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    names = inputs.names_of([str(tmp_path / "run"), str(tmp_path / "a" / "run"), "user/run"])
    assert names == ["run", "run-2", "user--run"]
    (tmp_path / "run-2").mkdir()
    for folders, expected in (("run-2", "run"), ["run-2", "run"]), (("run", "a/run", "run-2"), ["run", "run-2", "run-2-2"]):
        assert inputs.names_of([str(tmp_path / folder) for folder in folders]) == expected
