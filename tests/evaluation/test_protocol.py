"""The protocol: the same values as the metrics computed one by one, baselines, notes, examples; the quick evaluation."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan_hub import CycleGenerator, metrics
from cyclegan_hub.evaluation.features import custom
from cyclegan_hub.evaluation.generate import translate
from cyclegan_hub.evaluation.protocol import Evaluation, evaluate
from cyclegan_hub.evaluation.quick import quick_metrics
from cyclegan_hub.evaluation.record import EvaluationError, Metrics, read_metrics, write_metrics
from cyclegan_hub.evaluation.registry import METRICS
from cyclegan_hub.imaging import images
from cyclegan_hub.models.inference import optimize_for_cpu

SIZE = 16


def pooled(x: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> (N, 12): mean colours of the quarters."""
    return torch.nn.functional.adaptive_avg_pool2d(x.float() / 255, 2).flatten(1)


class Bright:
    """Calls what is bright side B."""

    label = "brightness"

    def __call__(self, x: Tensor) -> Tensor:
        side_b = (x.float().mean((1, 2, 3)) - 127.5).sigmoid()
        return torch.stack([1 - side_b, side_b], 1)


EXTRACTOR = custom(pooled, "pooled")


def image_set(n: int, low: int, high: int, seed: int) -> Tensor:
    """Noise between two values: uint8 (n, 3, S, S)."""
    return torch.from_numpy(np.random.default_rng(seed).integers(low, high, (n, 3, SIZE, SIZE), dtype=np.uint8))


HELD = (image_set(10, 0, 140, 1), image_set(12, 110, 256, 2))
TRAIN = (image_set(30, 0, 140, 3), image_set(31, 110, 256, 4))


def model(epoch: int = 1, **changes: Any) -> CycleGenerator:
    torch.manual_seed(epoch)
    made = CycleGenerator(**{"width": 4, "blocks": 1, "image_size": SIZE, "epoch": epoch} | changes).eval()
    return optimize_for_cpu(made, exact=True)  # as an evaluation runs it: the same to rounding, which a figure may show


def broken() -> CycleGenerator:
    network = model()
    with torch.no_grad():
        next(network.b_to_a.parameters()).fill_(torch.nan)
    return network


@pytest.fixture(scope="module")
def found() -> Evaluation:
    epochs = {"epoch-001": lambda: model(1), "epoch-002": lambda: model(2)}
    return evaluate(epochs, HELD, TRAIN, EXTRACTOR, Bright(), protocol={"data_a": "noise"}, batch_size=3)


def test_figures_are_those_of_the_metrics(found: Evaluation) -> None:
    network, x, real = model(2), HELD[0], pooled(HELD[1])
    # The very pictures that are measured, in batches of the same size: with one pixel rounded otherwise values differ.
    outputs, kept = translate(network, x, "a_to_b", 3), translate(network, HELD[1], "a_to_b", 3)
    back = translate(network, outputs, "b_to_a", 3)
    y, values = pooled(outputs), found.metrics.epochs["epoch-002"]["a_to_b"]
    neighbours, supports = metrics.precision_recall(y, real), metrics.alpha_beta_authenticity(y, real)
    mmd, kid = metrics.mmd_interval(y, real), metrics.kid(y, real, subset_size=10)
    pairs = {name: [images.from_uint8(part) for part in both]
             for name, both in {"cycle": (x, back), "change": (x, outputs), "identity": (HELD[1], kept)}.items()}  # fmt: skip
    cycle, change = metrics.similarity(*pairs["cycle"]), metrics.similarity(*pairs["change"])
    colours, kept_content = metrics.colour_correlation(*pairs["change"]), metrics.content_kept(pooled(x), y)
    of_features = {
        "fid": metrics.fid(y, real),
        "kid": kid.mean,
        "kid_std": kid.spread,
        "kid_low": metrics.kid_interval(y, real).low,
        "kid_high": metrics.kid_interval(y, real).high,
        "mmd": 100 * mmd.value,
        "mmd_low": 100 * mmd.low,
        "mmd_high": 100 * mmd.high,
        "mifid": metrics.mifid(y, pooled(TRAIN[1])),
        **asdict(neighbours),
        **asdict(supports),
        "authenticity": metrics.alpha_beta_authenticity(y, pooled(TRAIN[1])).authenticity,
        "diversity": metrics.pairwise_diversity(y),
        "diversity_share": metrics.pairwise_diversity(y) / metrics.pairwise_diversity(real),
        "content_distance": kept_content.distance,
        "content_share": kept_content.share,
    }
    expected = {f"{name}[pooled]": value for name, value in of_features.items()} | {
        "neither": 0,
        "success": (outputs.float().mean((1, 2, 3)) > 127.5).double().mean().item(),
        "cycle_l1": cycle.l1,
        "cycle_psnr": cycle.psnr,
        "cycle_ssim": cycle.ssim,
        "input_output_l1": change.l1,
        "input_output_ssim": change.ssim,
        "colour_correlation": colours.mean,
        "inverted": colours.inverted,
        "identity_l1": metrics.similarity(*pairs["identity"]).l1,
    }
    relative, share = (values.pop(f"{name}[pooled]") for name in ("kid_relative", "mmd_share"))
    assert values.keys() == expected.keys()
    assert values == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert share == pytest.approx(expected["mmd[pooled]"] / found.metrics.baselines["untranslated"]["a_to_b"]["mmd[pooled]"])
    kids = [found.metrics.baselines[name]["a_to_b"]["kid[pooled]"] for name in ("floor", "untranslated")]
    assert relative == pytest.approx((expected["kid[pooled]"] - kids[0]) / (kids[1] - kids[0]))
    values |= {"kid_relative[pooled]": relative, "mmd_share[pooled]": share}
    assert {key.split("[")[0] for key in values} == METRICS.keys() - {"truth_l1", "truth_psnr", "truth_ssim", "others_l1"}


def test_baselines(found: Evaluation) -> None:
    raw, floor = (found.metrics.baselines[name]["b_to_a"] for name in ("untranslated", "floor"))
    a, b = map(pooled, HELD)
    assert raw["fid[pooled]"] == pytest.approx(metrics.fid(b, a))
    assert raw["success"] == 0 and floor["success"] == 1
    assert raw["cycle_l1"] == 0 and raw["cycle_psnr"] is None and raw["colour_correlation"] == pytest.approx(1)
    assert "cycle_l1" not in floor
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    drawn, rest = pooled(TRAIN[0])[order[:12]], pooled(TRAIN[0])[order[12:]]  # as many as there are B images to translate
    assert floor["fid[pooled]"] == pytest.approx(metrics.fid(drawn, a))
    assert floor["authenticity[pooled]"] == metrics.alpha_beta_authenticity(drawn, rest).authenticity
    assert floor["fid[pooled]"] < raw["fid[pooled]"] / 10
    assert any("untranslated, b_to_a: no cycle_psnr" in line for line in found.metrics.notes)


def test_the_floor_is_made_of_other_images_than_the_reference() -> None:
    """Where training images are measured in place of held-out ones."""
    measured, others = ([side[part] for side in TRAIN] for part in (slice(15), slice(15, 30)))

    def floor(train: list[Tensor]) -> tuple[dict[str, Any], list[str]]:
        metrics = evaluate({"main": model}, measured, train, EXTRACTOR).metrics
        return {way: values["fid[pooled]"] for way, values in metrics.baselines["floor"].items()}, metrics.notes

    expected, _ = floor(others)
    found, notes = floor([torch.cat(pair) for pair in zip(measured, others, strict=True)])
    assert found == pytest.approx(expected) and min(found.values()) > 0 and not [note for note in notes if "reference" in note]
    found, notes = floor(measured)
    assert max(found.values()) < min(expected.values())
    assert sum("these training images are the reference too" in note for note in notes) == 2


def test_form_protocol_and_repeat(found: Evaluation, tmp_path: Path) -> None:
    path = write_metrics(found.metrics, tmp_path / "new")
    assert read_metrics(path) == found.metrics and [p.name for p in path.parent.iterdir()] == ["metrics.json"]
    protocol = found.metrics.protocol
    counts = {"n_a": 10, "n_b": 12, "n_training_a": 30, "n_training_b": 31, "image_size": SIZE, "channels": 3, "data_a": "noise"}
    assert protocol | counts == protocol and "torch" in protocol["versions"]
    assert found.metrics.classifier == {"name": "brightness", "accuracy_a": 1, "accuracy_b": 1, "n_a": 10, "n_b": 12}
    assert found.metrics.extractor == "pooled (unhashed)"
    same = evaluate({"epoch-001": lambda: model(1)}, HELD, TRAIN, EXTRACTOR, Bright(), batch_size=3)
    assert same.metrics.epochs["epoch-001"] == found.metrics.epochs["epoch-001"]


def test_what_is_shown(found: Evaluation) -> None:
    shown = found.examples["epoch-002"]["b_to_a"]
    outputs = translate(model(2), HELD[1], "b_to_a", 3)
    reconstructions = translate(model(2), outputs[:9], "a_to_b", 3)[:8]
    assert torch.equal(shown.first, outputs[:8]) and torch.equal(shown.reconstructions, reconstructions)
    score = Bright()(outputs)[:, 0]
    assert shown.best.indices == score.argsort(descending=True, stable=True)[:8].tolist()
    assert shown.best.scores[0] == score.max() and shown.worst.scores[0] == score.min()
    assert torch.equal(shown.worst.outputs, outputs[shown.worst.indices])
    assert found.ranked_by == "probability of the target domain"
    assert shown.colours.shape == (3, 64) and shown.colours.sum(1) == pytest.approx(100)


def test_without_a_classifier_the_nearest_real_image_ranks() -> None:
    found = evaluate({"main": model}, HELD, TRAIN, EXTRACTOR)
    assert found.metrics.classifier is None and found.metrics.best == "main"
    assert "success" not in found.metrics.epochs["main"]["a_to_b"] and "distance" in found.ranked_by
    shown, outputs = found.examples["main"]["a_to_b"], translate(model(), HELD[0], "a_to_b")
    nearest = torch.cdist(pooled(outputs), pooled(HELD[1])).amin(1)
    assert shown.best.indices[0] == nearest.argmin() and shown.worst.scores[0] == pytest.approx(nearest.max().item(), rel=1e-4)


def test_an_epoch_of_nan_has_no_figures_and_is_not_the_best() -> None:
    found = evaluate({"epoch-001": model, "epoch-002": broken}, HELD, TRAIN, EXTRACTOR, Bright())
    assert found.metrics.best == "epoch-001" and "epoch-002" not in found.examples
    assert found.metrics.epochs["epoch-002"] == {
        d: {"kid_relative[pooled]": None, "mmd_share[pooled]": None} for d in CycleGenerator.directions
    }
    assert any(line.startswith("epoch-002: no values: the image holds NaN") for line in found.metrics.notes)


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_images_give_nulls_with_reasons(n: int, tmp_path: Path) -> None:
    few = (HELD[0][:n], HELD[1][:n])
    found = evaluate({"epoch-001": model}, few, few, EXTRACTOR, Bright())
    values = found.metrics.epochs["epoch-001"]["a_to_b"]
    assert values["precision[pooled]"] is None and values["cycle_l1"] > 0
    assert (values["kid[pooled]"] is None) == (n == 1)
    lines = [line for line in found.metrics.notes if line.startswith("epoch-001, a_to_b: no precision[pooled], recall")]
    assert len(lines) == 1 and "needs at least 4" in lines[0]
    assert Metrics.from_json(json.loads(write_metrics(found.metrics, tmp_path).read_bytes())) == found.metrics
    if n == 1:
        assert "could not be computed for any" in found.metrics.rule
        assert found.metrics.baselines["untranslated"]["a_to_b"]["others_l1"] is None


@pytest.mark.parametrize(
    ("epochs", "message"),
    [({}, "no epoch to evaluate"), ({"epoch-001": lambda: model(image_size=32)}, "epoch-001 was trained on 3 x 32 x 32 and"),
     ({"epoch-001": lambda: model(channels=1)}, "epoch-001 was trained on 1 x 16 x 16 and the held-out images are 3 x 16 x 16")],
)  # fmt: skip
def test_what_cannot_be_evaluated(epochs: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaluationError) as error:
        evaluate(epochs, HELD, TRAIN, EXTRACTOR)
    assert str(error.value).startswith(message)


def test_results_without_a_place(found: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"cannot write .*metrics\.json: .*--out"):
        write_metrics(found.metrics, tmp_path / "file")


# --- during training


def test_quick_figures_are_those_of_the_whole(found: Evaluation) -> None:
    network = model(2).train()
    values = quick_metrics(network, HELD, EXTRACTOR, Bright())
    assert network.training and network.a_to_b.training
    assert list(values) == ["kid[pooled]_a_to_b", "success_a_to_b", "kid[pooled]_b_to_a", "success_b_to_a", "score"]
    whole, raw = found.metrics.epochs["epoch-002"], found.metrics.baselines["untranslated"]
    for direction in CycleGenerator.directions:
        assert values[f"kid[pooled]_{direction}"] == pytest.approx(whole[direction]["kid[pooled]"], rel=1e-3)
        assert values[f"success_{direction}"] == pytest.approx(whole[direction]["success"], abs=0.11)  # one image, of 10 or 12
    shares = [whole[d]["kid[pooled]"] / raw[d]["kid[pooled]"] for d in CycleGenerator.directions]
    assert values["score"] == pytest.approx(sum(shares) / 2, rel=1e-3)


def test_quick_figures_that_do_not_exist_are_left_out() -> None:
    assert set(quick_metrics(broken(), HELD, EXTRACTOR)) == {"kid[pooled]_a_to_b"}
    assert set(quick_metrics(model(), (HELD[0][:1], HELD[1][:1]), EXTRACTOR, Bright())) == {"success_a_to_b", "success_b_to_a"}
