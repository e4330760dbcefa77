"""The registry of metrics: it is complete, in one order, and every table reads it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cyclegan_hub import metrics
from cyclegan_hub.evaluation import registry
from cyclegan_hub.evaluation.features import custom
from cyclegan_hub.evaluation.registry import METRICS, Metric, Reference, Subject, classify, measure
from support.features import noise

EXTRACTOR = custom(lambda x: x.float().mean((2, 3)), "means")


def subject() -> Subject:
    """Every field there, of noise."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8, generator=generator)
    features = [torch.randn(6, 4, generator=generator) for _ in range(4)]
    reference = Reference(EXTRACTOR, features[0], features[1], seed=0)
    every = dict.fromkeys(("inputs", "outputs", "reconstruction", "target", "identity", "truth", "others"), pixels)
    return Subject(features[2], reference, features[3], probabilities=torch.eye(3).repeat(2, 1), **every)


def test_every_row_is_computed_or_related_to_one_that_is() -> None:
    found = measure(subject(), "here", [])
    names = {registry.base_name(key) for key in found}
    assert names == {row.name for row in METRICS.values() if row.compute}
    assert all((row.compute is None) == (row.relate is not None) for row in METRICS.values())
    assert {row.of for row in METRICS.values() if row.relate} <= names
    assert found["success"] == found["neither"] == pytest.approx(1 / 3)


def test_a_metric_whose_needs_are_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Metric("sharp", "sharpness", "larger is better", lambda s: {"sharp": 0.123456}, ("outputs",), format=".1%")
    monkeypatch.setitem(METRICS, "sharp", row)
    assert measure(subject(), "here", [])["sharp"] == 0.123456
    assert "sharp" not in measure(replace(subject(), outputs=None), "here", [])
    assert registry.format_value("sharp", 0.123456) == "12.3%"


def test_copies_of_training_images() -> None:
    training, notes = noise(31, 12), []
    values = measure(Subject(training[:9], Reference(EXTRACTOR, noise(12, 12, seed=1), training, seed=0)), "here", notes)
    assert values["authenticity[means]"] == 0 and values["mifid[means]"] is None and values["fid[means]"] is not None
    assert [line.split(": ")[1] for line in notes] == ["no mifid[means]"] and "copy" in notes[0]


@pytest.mark.parametrize("within", [False, True])
def test_supports_are_counted_as_the_reference_asks(within: bool) -> None:
    x, real = noise(20, 3) + 1, noise(20, 3, seed=1)
    subject = Subject(x, Reference(EXTRACTOR, real, real, 0, within_supports=within))
    expected = metrics.alpha_beta_authenticity(x, real, within_supports=within)
    values = measure(subject, "here", [])
    assert values["alpha_precision[means]"] == expected.alpha_precision and values["beta_recall[means]"] == expected.beta_recall
    # The spread of KID is not 0 where one subset would hold everything.
    assert values["kid_std[means]"] == metrics.kid(x, real, subset_size=10).spread > 0
    assert values["kid[means]"] == pytest.approx(metrics.kid(x, real, subset_size=20).mean)


def test_a_note_says_why_a_value_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"low": math.nan, "high": math.nan, "psnr": math.inf}
    of_both = Metric("", "", "", lambda subject: values)
    monkeypatch.setattr(registry, "METRICS", {name: replace(of_both, name=name) for name in values})
    notes: list[str] = []
    assert measure(subject(), "x", notes) == dict.fromkeys(values)
    assert notes == [
        "x: no low, high: too few images, or equal ones, leave no finite value",
        "x: no psnr: two equal images leave no finite value",
    ]


def test_values_as_text() -> None:
    assert registry.format_value("kid[encoder]", 0.0123456) == "0.01235"
    assert registry.format_value("kid", None) == "-" and registry.format_value("kid", None, "") == ""
    assert registry.format_value("n", 200) == "200" and registry.format_value("of another version", 0.5) == "0.5"
    assert registry.column_heading("of_another[encoder]") == "of another"


def test_success_has_an_axis_of_its_own() -> None:
    names = ["kid[encoder]_a_to_b", "success_a_to_b", "kid[encoder]_b_to_a", "success_b_to_a", "score"]
    found = registry.panels(names)
    assert found == {
        "held out": ["kid[encoder]_a_to_b", "kid[encoder]_b_to_a", "score"],
        "held out: success": ["success_a_to_b", "success_b_to_a"],
    }
    assert registry.panels([]) == {} and METRICS["success"].limits == (0, 1)


def test_neither_is_no_success() -> None:
    answers = torch.tensor([[0.1, 0.6], [0.1, 0.2], [0.6, 0.3]])  # what is left is neither
    there, back = (classify(lambda x: answers, torch.zeros(3), direction) for direction in ("a_to_b", "b_to_a"))
    assert there[0].tolist() == pytest.approx([0.6, 0.1, 0.3]) and there.argmax(1).tolist() == [0, 2, 1]
    assert back[2].tolist() == pytest.approx([0.6, 0.3, 0.1])
