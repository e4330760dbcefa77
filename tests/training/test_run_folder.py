"""The run folder: its identity, its lock, states as one file, epochs and history."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from cyclegan_hub.data.reading import EyePair, Landmarks
from cyclegan_hub.hub.records import HistoryError
from cyclegan_hub.recipes.methods import RESUMABLE_FIELDS
from cyclegan_hub.training.run_folder import RunError, RunFolder, epochs_to_remove, pack, unpack
from support.saved_models import Trap

IDENTITY = {"recipe": {"name": "x", "lr": 2e-4, "snapshot_every": 5}, "labels": ["a", "b"], "seed": 0}


@pytest.mark.parametrize(
    ("epochs", "keep", "removed"),
    [
        ([1, 2, 3], 3, []),
        ([1, 2, 3, 4], 3, [2]),  # 2 and 3 leave the same gap: the earlier one is removed
        ([5, 10, 15, 20, 25], 4, [10]),
        ([1, 10, 11, 20], 3, [10]),
        ([1, 2, 3, 4, 5], 2, [2, 3, 4]),
    ],
)
def test_epochs_to_remove_keeps_the_first_and_the_last(epochs: list[int], keep: int, removed: list[int]) -> None:
    assert sorted(epochs_to_remove(epochs, keep)) == removed


@pytest.mark.parametrize(
    ("metrics", "kept"), [('{"best": "epoch-002"}', [1, 2, 5]), ('{"best": "epoch-009"}', [1, 3, 5]), ("{", [1, 3, 5])]
)
def test_the_best_epoch_by_an_evaluation_stays(tmp_path: Path, metrics: str, kept: list[int]) -> None:
    folder = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        folder.write_epoch(epoch, {"config.json": b"{}"}, keep=3)
    (tmp_path / "metrics.json").write_text(metrics)
    for epoch in (4, 5):
        folder.write_epoch(epoch, {"config.json": b"{}"}, keep=3)
    assert folder.epochs() == kept
    folder.write_epoch(6, {"config.json": b"{}"}, keep=2)
    assert folder.epochs() == ([1, 2, 6] if 2 in kept else [1, 6])


def test_kept_epochs_stay_spread_as_a_run_grows() -> None:
    kept: list[int] = []
    for epoch in range(1, 201):
        kept.append(epoch)
        for old in epochs_to_remove(kept, 20):
            kept.remove(old)
    gaps = [b - a for a, b in pairwise(kept)]
    assert len(kept) == 20 and kept[0] == 1 and kept[-1] == 200
    assert max(gaps) <= 32 and sorted(gaps)[len(gaps) // 2] >= 4


def test_identity_is_compared_by_what_is_given(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check(IDENTITY)  # nothing is there yet, and nothing is written
    assert not folder.path.exists()
    folder.open(IDENTITY | {"fingerprints": {"a": "1"}})
    folder.close()
    folder.check(IDENTITY)  # before the images are read, their fingerprint is not known
    changed = IDENTITY | {"fingerprints": {"a": "1"}, "recipe": IDENTITY["recipe"] | dict.fromkeys(RESUMABLE_FIELDS, 7)}
    folder.open(changed)
    folder.close()
    assert folder.record() == changed
    with pytest.raises(RunError, match=r"images of domain A have changed .*fingerprint 1 then, 2 now"):
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


def save_state(folder: RunFolder, step: int, own: Any, shared: Any) -> None:
    folder.stage_state(step)
    folder.write_rank(step, 0, own)
    folder.commit_state(step, shared)


def test_a_state_is_renamed_as_a_whole_and_the_older_one_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    save_state(folder, 1, {"rank": 0}, {"step": 1})
    folder.stage_state(2)
    assert folder.latest_step() == 1
    own = {"random": 1, "cuda": None, "data": {}, "trainer": "pools"}
    save_state(folder, 2, own, {"step": 2})
    save_state(folder, 2, {"rank": "other"}, {"step": "other"})  # the same step again: what is there stays
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-000000002"]
    assert folder.load_state(2, rank=0, world_size=1) == ({"step": 2}, own)
    with pytest.raises(RunError, match=r"saved by 1 process, now there are 2: .* add --allow-process-change"):
        folder.load_state(2, rank=1, world_size=2)
    _, found = folder.load_state(2, rank=1, world_size=2, inexact=True)  # a new process takes the first one's
    assert found == own | {"random": None, "data": None}


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
    (tmp_path / "history.jsonl").write_bytes(b'{"step": 1}\n\xff\xfe\n{"step": 3}\n')
    with pytest.raises(HistoryError, match="line 2 is damaged"):
        folder.history()


def test_a_folder_has_one_trainer_at_a_time(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path), RunFolder(tmp_path)
    first.open(IDENTITY)
    with pytest.raises(RunError, match=r"another process is training in .*: wait for it, or give another folder with --out"):
        second.open(IDENTITY)
    first.close()
    second.open(IDENTITY)
    second.close()


def test_a_file_system_without_locks_is_trained_on_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(code: int) -> None:
        monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError(code, os.strerror(code))))

    folder = RunFolder(tmp_path)
    for code in (errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS):
        fail(code)
        monkeypatch.setattr("cyclegan_hub.files._noted", set())
        for _ in range(2):
            folder.open(IDENTITY)
            assert folder.record() == IDENTITY
            folder.close()
        assert capsys.readouterr().err == f"note: {tmp_path} cannot be locked: start no second training in it\n"
    fail(errno.EIO)
    with pytest.raises(RunError, match=r"cannot write to .*: Input/output error"):
        folder.open(IDENTITY)


@pytest.mark.parametrize("call", ["rename", "replace", "open"])
def test_what_the_file_system_cannot_do_is_found_out_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A folder is renamed after an epoch, a file replaced and appended to: each is tried when the run is opened."""
    real = getattr(Path, call)

    def refuse(path: Path, *given: object, **named: object) -> object:
        if call == "open" and (not given or given[0] != "a"):
            return real(path, *given, **named)
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(Path, call, refuse)
    folder = RunFolder(tmp_path)
    with pytest.raises(RunError, match=r"cannot write to .*: Operation not supported"):
        folder.open(IDENTITY)
    folder.close()
    assert not list(tmp_path.glob(".try*"))


def test_landmarks_are_written_where_there_are_new_ones(tmp_path: Path) -> None:
    run, found = RunFolder(tmp_path), Landmarks({"x": None, "y": EyePair((3 + 4j, 9.5 + 4j))})
    run.write_landmarks(Landmarks())
    assert not (tmp_path / "landmarks.json").exists()  # of a run without faces
    run.write_landmarks(Landmarks({"x": None}))
    run.write_landmarks(found)
    run.write_landmarks(Landmarks({"z": None}))
    assert run.landmarks() == found and RunFolder(tmp_path / "new").landmarks() == Landmarks()


# ---------------------------------------------------------------------------------------------------- pack and unpack
def assert_same(one: Any, other: Any) -> None:
    """Equal in type, value and order, down to a float's bits."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert (one.dtype, one.shape, one.device) == (other.dtype, other.shape, other.device)
        assert torch.equal(*(t.contiguous().flatten().view(torch.uint8) for t in (one, other)))
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert repr(one) == repr(other)


WHOLE = torch.arange(24.0)
TREE = {
    "plain": [None, True, False, -3, 2**80, "", "tag: $tensor", "üñ\u0000\n漢🙂", [], (), {}],
    "nested": [[1, 1.0, True, "1"], (1, [2, (3, None)])],
    "floats": [0.1, -0.0, 1e-320, 1 / 3, 1.7976931348623157e308, math.inf, -math.inf, math.nan],
    "keys": {0: "zero", "1": "text", 1: "one", -5: {"c": [{}]}, "$tensor": "000000", "$list": [1]},
    "fp32": torch.tensor([0.1, math.inf, -math.inf, math.nan, -0.0]),
    "fp64": torch.tensor([[1 / 3]], dtype=torch.float64),
    "halves": (torch.tensor([0.1, 3.0], dtype=torch.bfloat16), torch.tensor([[0.1, 3.0]], dtype=torch.float16)),
    "whole": (torch.arange(256, dtype=torch.uint8), torch.tensor([2**62, -1]), torch.tensor([True, False])),
    "shapes": [torch.tensor(2.5), torch.zeros(0, 3, 4), torch.tensor([[1.0], [2.0]]).expand(2, 5)],
    "shared": [WHOLE, WHOLE, WHOLE[2:4], WHOLE.view(4, 6).t()[1::2]],
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
}  # fmt: skip


def test_a_tree_comes_back_exactly_and_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(pack(TREE | {"parameter": torch.nn.Parameter(WHOLE)}))
    found = unpack(path)
    path.unlink()
    parameter = found.pop("parameter")
    assert not parameter.requires_grad and torch.equal(parameter, WHOLE)
    assert_same(found, TREE)
    found["shared"][0].fill_(-1.0)  # afterwards each is its own
    assert torch.equal(found["shared"][1], WHOLE)


@pytest.mark.parametrize(
    ("tree", "name"), [({"a": [object()]}, "object"), ({1.5: ""}, "dict"), ({"a": {1}}, "set"), (1j, "complex")]
)
def test_other_types_are_refused(tree: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"cannot save a {name} in a run's state"):
        pack(tree)


def foreign(tree: Any) -> bytes:
    """A safetensors file whose metadata holds a tree that `pack` never writes."""
    return save({"000000": torch.zeros(1)}, metadata={"tree": tree if isinstance(tree, str) else json.dumps(tree)})


PACKED = pack({"a": torch.arange(100.0), "b": [1, 2]})
BROKEN = {
    "empty": b"",
    "short": PACKED[:-1],
    "header only": PACKED[:100],
    "longer": PACKED + b"\0",
    "zeros": b"\0" * 1000,
    "a model's weights": save({"w": torch.zeros(2)}),
    "another's metadata": save({"w": torch.zeros(2)}, metadata={"format": "pt"}),
    "not JSON": foreign("{"),
    "missing tensor": foreign({"$tensor": "000001"}),
    "unknown node": foreign({"$set": []}),
    "two kinds": foreign({"$list": [], "$tuple": []}),
    "content of the wrong type": foreign({"$dict": 5}),
    "list as a key": foreign({"$dict": [[[1], 2]]}),
    "nested beyond reason": foreign("[" * 100_000 + "]" * 100_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_or_foreign_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rank-0.safetensors"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"^[^\n]*rank-0.safetensors: not a saved state, or damaged[^\n]*$"):
        unpack(path)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "state"
    for write in (lambda: path.write_bytes(pickle.dumps(Trap(marker))), lambda: torch.save({"a": Trap(marker)}, path)):
        write()
        with pytest.raises(ValueError, match="not a saved state"):
            unpack(path)
        assert not marker.exists()
