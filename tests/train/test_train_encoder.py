"""train/encoder/train_encoder.py on generated images: what it learns, writes, reproduces and refuses."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.evaluation import features
from cyclegan_hub.evaluation.registry import classify
from cyclegan_hub.imaging import images
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.training.launch import make_accelerator
from support.training import one_line, script

pytestmark = pytest.mark.slow

STEPS = 4
train_encoder, encoder_fit = script("encoder/train_encoder"), script("encoder/encoder_fit")
early_samples, degradations = script("encoder/early_samples"), script("encoder/degradations")


@pytest.fixture(scope="module", autouse=True)
def small_steps():
    """Six images of each side, small early models of three steps; before `trained`, which has the scope of the module too."""
    random_recipe = early_samples._random_recipe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_samples, "_random_recipe", lambda size: replace(random_recipe(size), width=4, blocks=1))
        patch.setattr(encoder_fit, "SIDE_BATCH", 6)
        patch.setattr(early_samples, "SNAPSHOTS", (0, 1, 3))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Discs and squares: trainA, trainB, testA, testB."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    script("demo_data").make(folder, images=60, size=64)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "encoder"
    assert run("--data", data, *OWN, "--out", out, "--about", "- generated here") == 0
    return out


def run(*arguments: object, steps: int = STEPS) -> int:
    return train_encoder.main(["--steps", str(steps), *map(str, arguments)])


OWN = ("--domain", "shapes", "--labels", "disc,square")


def test_a_domain_of_your_own_is_learned_and_measured(data, trained) -> None:
    classifier = features.side_classifier("shapes", trained)
    assert classifier.labels == ("disc", "square")
    assert classifier.accuracy["n"] == 12
    held_out = [read_images(data / f"test{side}") for side in "AB"]
    answers = [classify(classifier, x, way) for x, way in zip(held_out, ("b_to_a", "a_to_b"), strict=True)]
    shares = [float((own.argmax(1) == 0).float().mean()) for own in answers]
    assert shares == pytest.approx([classifier.accuracy["a"], classifier.accuracy["b"]])
    network = SideEncoder.from_pretrained(trained)
    assert network.stored_dtype == torch.float16
    assert network.spread.min() > 0 and network.spread.unique().numel() > 100


def test_its_accuracy_rises(data, tmp_path, capsys) -> None:
    assert run("--data", data, *OWN, "--out", tmp_path / "e", steps=60) == 0
    scores = json.loads((tmp_path / "e" / "metrics.json").read_text())["accuracy"]["shapes"]
    assert scores["a"] + scores["b"] > 1.7
    assert "step 60/60: loss" in capsys.readouterr().out


def read_images(folder: Path) -> torch.Tensor:
    return torch.stack([images.to_uint8_tensor(images.decode(path)) for path in sorted(folder.iterdir())])


def test_card_and_metrics_record_the_training_and_no_path(data, trained) -> None:
    card = (trained / "README.md").read_text()
    metrics = json.loads((trained / "metrics.json").read_text())
    for text in ("| shapes | A: disc | 60 |", "| shapes | B: square | 45 |", "- generated here", "--data shapes=shapes"):
        assert text in card
    assert metrics["training"]["images"] == {"shapes": [60, 45]}
    scores = metrics["accuracy"]["shapes"]
    assert 0 <= scores["linear_a"] <= 1 and f"{scores['linear_b']:.1%}" in card
    assert metrics["sha256"][:12] in card
    for path in trained.iterdir():
        assert str(data.parent).encode() not in path.read_bytes()


def test_same_command_and_seed_give_the_same_weights(data, trained, tmp_path) -> None:
    for name, seed in (("again", 0), ("other", 1)):
        assert run("--data", data, *OWN, "--out", tmp_path / name, "--seed", seed) == 0
        same = (tmp_path / name / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()
        assert same == (seed == 0)


def test_several_domains_share_one_encoder(data, tmp_path) -> None:
    two = ("--data", f"smile={data}", "--data", f"own={data}", "--labels", "own=disc,square")
    assert run(*two, "--out", tmp_path / "two", steps=1) == 0
    network = SideEncoder.from_pretrained(tmp_path / "two")
    assert network.domains == {"own": ("disc", "square"), "smile": DOMAINS["smile"].labels}


def smoothed(row: list[float], target: int) -> float:
    """Cross-entropy with labels smoothed by 0.1."""
    p, k = torch.tensor(row).log_softmax(0), len(row)
    return float(-(0.9 * p[target] + 0.1 / k * p.sum()))


def test_losses_of_all_sides_and_of_the_classes_of_the_own_domain() -> None:
    logits = torch.tensor([[[3.0, 1.0, 0.5], [0.0, 0.0, 4.0]], [[0.0, 0.0, 1.0], [2.0, 5.0, -1.0]]])
    expected = smoothed([3.0, 1.0, 0.0, 0.0], 0) + smoothed([0.0, 0.0, 2.0, 5.0], 3)
    assert float(encoder_fit.side_loss(logits, torch.tensor([0, 3]))) == pytest.approx(expected / 2, rel=1e-5)
    domains, classes = torch.tensor([0, 1]), torch.tensor([encoder_fit.NEITHER, 0])
    expected = smoothed([3.0, 1.0, 0.5], 2) + smoothed([2.0, 5.0, -1.0], 0)
    assert float(encoder_fit.class_loss(logits, domains, classes)) == pytest.approx(expected / 2, rel=1e-5)


def test_early_samples_are_outputs_of_both_directions(monkeypatch) -> None:
    """At the requested size, whatever size the models work at; more steps change them; the datasets are not changed."""
    monkeypatch.setattr(early_samples, "SNAPSHOTS", (0, 4))
    pair = [torch.full((5, 3, 36, 36), value, dtype=torch.uint8) for value in (40, 220)]
    accelerator = make_accelerator()
    torch.manual_seed(3)
    y = early_samples.early_training_samples(pair, 3, 32, accelerator)
    assert y.dtype == torch.uint8 and y.shape == (3 * 2 * 2 * early_samples.SAMPLE_SIZE, 3, 32, 32)
    first, later = y.float().view(3, 2, -1, 3, 32, 32).unbind(1)
    assert ((first - later).abs().mean((1, 2, 3, 4)) > 1).all()
    torch.manual_seed(3)
    assert torch.equal(early_samples.early_training_samples(pair, 3, 32, accelerator), y)
    assert all(len(x.unique()) == 1 for x in pair)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "smile", "--steps", "0"], "--steps 0: must be at least 1"),
        (["--data", "own=DATA"], "domain 'own' has no labels"),
        (["--data", "DATA"], "give NAME=FOLDER, or the folder alone with --domain NAME"),
        (["--data", "own=DATA", "--labels", "day,day"], "give two different names"),
        (["--data", "own=DATA", "--labels", "mine=day,night"], "give two different names"),
        (["--data", "smile=DATA", "--data", "smile=DATA"], "a domain is named twice"),
        (["--data", "smile=DATA/nowhere"], "there is no such folder"),
        (["--data", "own=DATA", "--labels", "disc,square", "--init", "TRAINED"], "an encoder of shapes, not of own"),
    ],
)
def test_wrong_commands_are_one_line(arguments: list[str], complaint: str, data, trained, tmp_path, capsys) -> None:
    given = [text.replace("DATA", str(data)).replace("TRAINED", str(trained)) for text in arguments]
    assert run(*given, "--out", tmp_path / "out") == 2
    assert complaint in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_known_domain_alone_means_its_hub_datasets() -> None:
    args = argparse.Namespace(data=["monet"], domain=None, labels=[])
    (domain,) = train_encoder.find_domains(args)
    assert domain.labels == DOMAINS["monet"].labels
    assert domain.sources[0].train.dataset == DOMAINS["monet"].a.dataset


@pytest.mark.parametrize("degrade", [degradations.slightly_degraded, degradations.heavily_degraded, encoder_fit.jitter])
def test_degradations_keep_shape_and_range_and_change_every_image(degrade) -> None:
    torch.manual_seed(0)
    x = torch.rand(64, 3, 24, 20) * 2 - 1
    y = degrade(x)
    assert y.shape == x.shape and y.min() >= -1 and y.max() <= 1
    change = (x - y).abs().mean((1, 2, 3))
    assert change.min() > 0
    assert (change.mean() > 0.2) == (degrade is degradations.heavily_degraded)
