"""The record in metrics.json: what it reads and writes, and its tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyclegan_hub.evaluation.record import Metrics, read_metrics, write_metrics
from cyclegan_hub.hub.records import MetricsFileError

OLD = {  # of an early version: conditions at the top level, counts among the values
    "best": "epoch-010",
    "rule": "least KID, mean of both directions",
    "extractor": "side encoder",
    "n": 200,
    "epochs": {
        name: {"a_to_b": {"n": 200, "kid": kid}, "b_to_a": {"n": 190, "kid": 2 * kid, "note": "few"}}
        for name, kid in (("epoch-005", 0.5), ("epoch-010", 0.0123456))
    },
}
BUNDLED = sorted(path.parent.name for path in (Path(__file__).parents[2] / "pretrained").glob("*/recipe.json"))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"best": "epoch-001"}', '{"best": "epoch-001", "epochs": {}}', '{"best": "x", "epochs": {"x": {}}}',
     '{"best": "epoch-001", "epochs": {"epoch-001": {"a_to_b": 3}}}', '{"best": [], "epochs": {}}',
     '{"best": "main", "epochs": {"main": {}}, "baselines": {"floor": {"a_to_b": 3}}}',
     '{"best": "main", "epochs": {"main": {}}, "baselines": 3}'],
)  # fmt: skip
def test_metrics_of_another_form(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(MetricsFileError, match=r"metrics\.json is not of the form .*: evaluate again, or remove it$"):
        read_metrics(tmp_path / "metrics.json")


def test_an_old_file_is_read(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.json") is None
    (tmp_path / "metrics.json").write_text(json.dumps(OLD))
    found = read_metrics(tmp_path / "metrics.json")
    assert found is not None and (found.best, found.rule, found.extractor) == (OLD["best"], OLD["rule"], OLD["extractor"])
    assert found.other == {"n": 200} and found.epochs["epoch-005"] == {
        "a_to_b": {"n": 200, "kid": 0.5},
        "b_to_a": {"n": 190, "kid": 1.0},  # the note is no number
    }
    assert (found.baselines, found.protocol, found.classifier, found.notes) == ({}, {}, None, [])


@pytest.mark.parametrize("name", BUNDLED)
def test_what_was_read_is_written_unchanged(name: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "pretrained" / name / "metrics.json"
    found = read_metrics(path)
    assert found is not None and found.public == found
    assert json.loads(write_metrics(found, tmp_path).read_bytes()) == json.loads(path.read_bytes())


def test_conditions_of_another_type_are_left_out() -> None:
    found = Metrics.from_json({"best": "main", "epochs": {"main": {}}, "extractor": 3, "classifier": [], "notes": None})
    assert found == Metrics("main", {"main": {}})


def test_accuracy_is_that_of_the_target_domain() -> None:
    found = Metrics("main", {"main": {}}, classifier={"accuracy_a": 0.75, "accuracy_b": "?"})
    assert found.accuracy("b_to_a") == 0.75 and found.accuracy("a_to_b") is None
    assert Metrics("main", {"main": {}}).accuracy("a_to_b") is None


def test_a_table_has_the_chosen_epochs_and_the_baselines_with_values() -> None:
    baselines = {"untranslated": {}, "floor": {"samples": {"kid": 0.5}}}
    found = Metrics("epoch-002", {f"epoch-00{n}": {"samples": {"kid": n, "x": None}} for n in (1, 2)}, baselines)
    table = found.table("samples", ["epoch-002", "epoch-009"])
    assert table.lines == {"epoch-002": {"kid": 2, "x": None}, "epoch-009": {}, "floor": {"kid": 0.5}}
    assert table.names() == ["kid", "x"] and table.names(lambda row: True) == ["kid"]
    assert table.cells(["kid", "x"]) == [["2", "-"], ["", ""], ["0.5", ""]]
    assert found.arrows(["noise", "face"]) == {"samples": "samples: face"}
