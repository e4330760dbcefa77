"""The registry of metrics: whole, in one order, and everything that shows figures reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cyclegan_hub.evaluation import rows
from cyclegan_hub.evaluation.features import custom
from cyclegan_hub.evaluation.rows import METRICS, Metric, Notes, Reference, Subject, answers_for, measure


def subject() -> Subject:
    """Every field there, of noise."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (6, 3, 12, 12), dtype=torch.uint8, generator=generator)
    features = [torch.randn(6, 4, generator=generator) for _ in range(4)]
    reference = Reference(custom(lambda x: x.float().mean((2, 3)), "means"), features[0], features[1], seed=0)
    every = dict.fromkeys(("inputs", "outputs", "back", "target", "identity", "truth", "others"), pixels)
    return Subject(features[2], reference, features[3], answers=torch.eye(3).repeat(2, 1), **every)


def test_every_row_is_computed_or_related_to_one_that_is() -> None:
    found = measure(subject(), "here", Notes())
    names = {rows.base_name(key) for key in found}
    assert names == {row.name for row in METRICS.values() if row.compute}
    assert all((row.compute is None) == (row.relate is not None) for row in METRICS.values())
    assert {row.of for row in METRICS.values() if row.relate} <= names
    assert found["success"] == found["neither"] == pytest.approx(1 / 3)


def test_a_new_metric_is_a_row_and_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Metric("sharp", "sharpness", "larger is better", lambda s: {"sharp": 0.123456}, ("outputs",), written=".1%", curve=True)
    monkeypatch.setitem(METRICS, "sharp", row)
    assert measure(subject(), "here", Notes())["sharp"] == 0.123456
    assert "sharp" not in measure(replace(subject(), outputs=None), "here", Notes())
    both = {"a_to_b": {"sharp": 0.123456, "kid[means]": 0.5}}
    metrics = {"best": "epoch-001", "epochs": {"epoch-001": both}, "baselines": {}}
    assert rows.table(metrics, "a_to_b") == [["epoch", "kid", "sharpness"], ["epoch-001 *", "0.5", "12.3%"]]


def test_figures_as_text() -> None:
    assert rows.written("kid[encoder]", 0.0123456) == "0.01235"
    assert rows.written("kid", None) == "-" and rows.written("kid", None, "") == ""
    assert rows.written("n", 200) == "200" and rows.written("of another version", 0.5) == "0.5"
    assert rows.column_heading("of_another[encoder]") == "of another"


def test_success_has_an_axis_of_its_own() -> None:
    names = ["kid[encoder]_a_to_b", "success_a_to_b", "kid[encoder]_b_to_a", "success_b_to_a", "score"]
    found = rows.panels(names)
    assert found == {
        "held out": ["kid[encoder]_a_to_b", "kid[encoder]_b_to_a", "score"],
        "held out: success": ["success_a_to_b", "success_b_to_a"],
    }
    assert rows.panels([]) == {} and METRICS["success"].limits == (0, 1)


def test_what_is_neither_side_is_no_success() -> None:
    class Unsure:
        label = "unsure"

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.1, 0.6], [0.1, 0.2], [0.6, 0.3]])  # what is left is neither

    answers = answers_for(Unsure(), torch.zeros(3, 3, 2, 2, dtype=torch.uint8), "a_to_b")
    assert answers[0].tolist() == pytest.approx([0.6, 0.1, 0.3]) and answers.argmax(1).tolist() == [0, 2, 1]
    back = answers_for(Unsure(), torch.zeros(3, 3, 2, 2, dtype=torch.uint8), "b_to_a")
    assert back[2].tolist() == pytest.approx([0.6, 0.3, 0.1])
