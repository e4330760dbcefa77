"""hub/records.py: recipe.json and the best epoch; damage is one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cyclegan_hub.hub.records import MetricsFileError, RunRecordError, chosen_in, read_run_record

RECORD = {"recipe": {"name": "x"}, "labels": ["a", "b"], "data": {"a": "folder x", "b": "folder y"}, "seed": 0, "later": 1}


def test_a_record_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    assert read_run_record(path) is None
    path.write_text(json.dumps(RECORD))
    assert read_run_record(path, needs=("recipe", "labels", "data")) == RECORD
    path.write_text('{"data": {"a": "pairs"}}')
    assert read_run_record(path) == {"data": {"a": "pairs"}}
    with pytest.raises(RunRecordError, match=r"recipe\.json is damaged \(KeyError: 'labels, recipe'\): restore it"):
        read_run_record(path, needs=("recipe", "labels"))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "[" * 100_000, '{"recipe": []}', '{"labels": "ab"}', '{"labels": []}', '{"labels": [1]}', '{"data": 3}',
     '{"data": {}}', '{"data": ["a"]}', '{"data": {"b": ""}}', '{"data": {"a": 1}}', '{"data": {"a": "", "c": ""}}', "\udcff",
     '{"data_note": "mine"}', '{"data_note": {"limits": "none"}}', '{"hardware": "a computer"}'],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_a_damaged_record_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunRecordError) as error:
        read_run_record(tmp_path / "recipe.json")
    assert f"{tmp_path / 'recipe.json'} is damaged (" in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_best_epoch_is_the_one_that_metrics_json_names(tmp_path: Path) -> None:
    for name in ("epoch-005", "epoch-010"):
        (tmp_path / "epochs" / name).mkdir(parents=True)
    path = tmp_path / "metrics.json"
    assert chosen_in(tmp_path) == "epoch-010"
    path.write_text('{"best": "epoch-005"}')
    assert chosen_in(tmp_path) == "epoch-005"
    for text in ("{", "[]", "{}", '{"best": ["epoch-005"]}'):
        path.write_text(text)
        with pytest.raises(MetricsFileError, match=r"metrics\.json is not one of ours \(.*\): evaluate again, or remove it"):
            chosen_in(tmp_path)
