"""DCGAN and pix2pix from the command line to the metrics: trained, resumed and evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub import DCGAN, PairedGenerator
from cyclegan_hub.checkpoints import list_epochs, load
from support.encoders import encoder_folder
from support.training import demo_data, history, run_train, script, weights
from support.training import no_plots as no_plots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plots")]

SMALL = ["epochs=2", "snapshot_every=1", "save_every=1", "log_every=1", "max_images=none", "steps_per_epoch=2"]
DCGAN_FIELDS = ["image_size=16", "gen_channels=4,4", "disc_channels=4,4", "latent=8", "batch_size=4"]
PAIRS = ["image_size=16", "load_size=20", "width=4", "blocks=2", "disc_channels=4,4", "batch_size=2"]


def train(recipe: str, fields: list[str], *arguments: object) -> int:
    settings = [part for field in [*fields, *SMALL] for part in ("--set", field)]
    return run_train(recipe, *settings, *arguments)


def dcgan(*arguments: object) -> int:
    return train("monet-dcgan-64", DCGAN_FIELDS, *arguments, "--labels", "square")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return demo_data(tmp_path_factory, 12)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return encoder_folder(tmp_path_factory.mktemp("encoders") / "encoder")


@pytest.fixture(scope="module")
def samples(tmp_path_factory, data) -> Path:
    """A DCGAN of the squares, with light evaluations."""
    out = tmp_path_factory.mktemp("runs") / "dcgan"
    assert dcgan("--data", data, "--out", out, "--set", "evaluate_every=1") == 0
    return out


def pairs(folder: Path, count: int = 8, width: int = 48) -> Path:
    """Pictures of two halves: noise, and its negative."""
    folder.mkdir(parents=True)
    for i in range(count):
        left = np.random.default_rng(i).integers(0, 256, (24, -(-width // 2), 3), dtype=np.uint8)
        Image.fromarray(np.concatenate([left, 255 - left], 1)[:, :width]).save(folder / f"{i}.png")
    return folder


def evaluate(run: Path, encoder: Path, *arguments: object) -> dict:
    options = ["--extractor", f"encoder:{encoder}", "--classifier", "none", "--epochs", "2", *map(str, arguments)]
    assert script("evaluate").main([str(run), *options]) == 0
    return json.loads((run / "metrics.json").read_text())


def test_a_dcgan_has_the_run_folder_of_every_run(samples: Path) -> None:
    assert [epoch.name for epoch in list_epochs(samples)] == ["epoch-001", "epoch-002"]
    model = load(samples, 2)
    assert isinstance(model, DCGAN) and (model.image_size, model.labels, model.epoch) == (16, ("square",), 2)
    record = json.loads((samples / "recipe.json").read_text())
    assert list(record["data"]) == ["a"] and record["labels"] == ["square"] and "trainB" in record["data"]["a"]
    evaluations = [line for line in history(samples) if "event" in line]
    assert len(evaluations) == 2 and all("score" in line for line in evaluations)
    assert DCGAN.from_pretrained(samples / "best").epoch in (1, 2)
    first, *rest = [line for line in history(samples) if "event" not in line]
    assert {"loss_d", "loss_g", "d_x", "d_gz", "d_gz_after", "diversity"} < set(first)
    assert all("loss_d" in line for line in rest)
    with Image.open(samples / "samples" / "epoch-001.png") as grid:
        assert min(grid.size) > 100


def test_a_resumed_dcgan_equals_one_that_was_never_stopped(samples: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for stop in (3, 4):
        assert dcgan("--data", data, "--out", out, "--max-steps", stop) == 0
    assert weights(out) == weights(samples)
    assert history(out) == [line for line in history(samples) if "event" not in line]


def test_a_dcgan_is_measured_by_its_samples(samples: Path, data: Path, encoder: Path, capsys) -> None:
    metrics = evaluate(samples, encoder, "--data", data)
    assert metrics["baselines"]["untranslated"] == {} and list(metrics["baselines"]["floor"]) == ["samples"]
    label = next(key for key in metrics["baselines"]["floor"]["samples"] if key.startswith("kid"))
    for figures in metrics["epochs"].values():
        assert list(figures) == ["samples"] and label in figures["samples"]
        keys = {key.split("[")[0] for key in figures["samples"]}
        assert {"fid", "alpha_precision", "beta_recall", "authenticity", "diversity"} <= keys and "cycle_l1" not in keys
    assert metrics["rule"] == f"least {label}; of equals the latest"
    assert metrics["protocol"]["n_samples"] == metrics["protocol"]["n_a"] and "n_b" not in metrics["protocol"]
    assert metrics["protocol"]["training_data"] == "the run's own"
    report = (samples / "report.html").read_text()
    assert "samples: square" in report and "Memorised?" in report
    assert "samples: square" in capsys.readouterr().out
    (samples / "metrics.json").unlink()


def test_pairs_that_are_made(data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert train("upscale-4x-cnn", PAIRS, "--data", data, "--out", out, "--labels", "disc,square") == 0
    model = load(out)
    assert isinstance(model, PairedGenerator) and model.image_size == 16
    metrics = evaluate(out, encoder, "--data", data)
    figures = metrics["epochs"]["epoch-002"]["a_to_b"]
    assert figures["truth_l1"] > 0 and figures["truth_psnr"] > 0
    assert metrics["baselines"]["untranslated"]["a_to_b"]["truth_l1"] > 0 and metrics["rule"].startswith("least truth_l1")


def test_pairs_of_two_halves(encoder: Path, tmp_path: Path) -> None:
    pairs(tmp_path / "data" / "train")
    pairs(tmp_path / "data" / "test", 4)
    fields = ["flip=false", "load_size=none"]
    assert (
        train("pix2pix", PAIRS + fields, "--data", tmp_path / "data", "--out", tmp_path / "run", "--set", "evaluate_every=2") == 0
    )
    metrics = evaluate(tmp_path / "run", encoder, "--data", tmp_path / "data")
    assert metrics["protocol"]["n_a"] == metrics["protocol"]["n_b"] == 4
    assert metrics["baselines"]["untranslated"]["a_to_b"]["truth_l1"] > 0.4  # noise against its negative
    assert load(tmp_path / "run").labels == ("input", "output")


def test_samples_stand_beside_translations_into_the_same(samples: Path, data: Path, encoder: Path, tmp_path: Path) -> None:
    """The three methods in one table: photos into paintings, and paintings from noise."""
    cycle = ["image_size=16", "load_size=20", "width=4", "blocks=1", "disc_channels=4,4", "pool_size=0", "diffaugment=",
             "crop_size=none", "discriminator=patch", "adversarial=lsgan", "evaluate_every=2"]  # fmt: skip
    for name, recipe, fields in (("cycle", "monet-compact", cycle), ("pix2pix", "monet-pix2pix", PAIRS)):
        assert train(recipe, fields, "--data", data, "--labels", "disc,square", "--out", tmp_path / name) == 0
    (line,) = [line for line in history(tmp_path / "cycle") if line.get("event") == "evaluation"]
    assert "score" in line and not [name for name in line if name.startswith("success")]  # of these labels there is no classifier
    sources = [str(tmp_path / "cycle"), str(samples), str(tmp_path / "pix2pix")]
    options = ["--extractor", f"encoder:{encoder}", "--classifier", "none", "--epochs", "2", "--out", str(tmp_path / "all")]
    options += ["--data", str(data)]
    assert script("evaluate").main([*sources, *options]) == 0
    there, back = (tmp_path / "all" / "comparison.md").read_text().split("## ")[1:3]
    assert [name in there for name in ("cycle", "dcgan", "pix2pix")] == [True] * 3
    assert [name in back for name in ("| cycle", "| dcgan", "| pix2pix")] == [True, False, False]
    found = {name: json.loads((tmp_path / "all" / name / "metrics.json").read_text()) for name in ("cycle", "dcgan", "pix2pix")}
    assert {metrics["protocol"]["training_data"] for metrics in found.values()} == {"the run's own"}
    figures = found["pix2pix"]["epochs"]["epoch-002"]  # learned from one side, applied to the other: there is no truth
    assert "truth_l1" not in figures["a_to_b"] and "input_output_l1" in figures["a_to_b"] and "b_to_a" not in figures
