"""The run folder: its identity, its lock, states as one file, epochs and history."""

from __future__ import annotations

import errno
import json
import math
import os
import pickle
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from cyclegan_hub.data.reading import EyePair, Landmarks
from cyclegan_hub.hub.records import HistoryError, epoch_name
from cyclegan_hub.training.run_folder import RunError, RunFolder, epochs_to_remove, pack, unpack

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


def test_kept_epochs_stay_spread_as_a_run_grows() -> None:
    kept: list[int] = []
    for epoch in range(1, 201):
        kept.append(epoch)
        for old in epochs_to_remove(kept, 20):
            kept.remove(old)
    gaps = [b - a for a, b in pairwise(kept)]
    assert len(kept) == 20 and kept[0] == 1 and kept[-1] == 200
    assert max(gaps) <= 32 and sorted(gaps)[len(gaps) // 2] >= 4


def test_names_of_epochs_sort() -> None:
    assert [epoch_name(n) for n in (5, 25, 1000)] == ["epoch-005", "epoch-025", "epoch-1000"]


def test_identity_is_compared_by_what_is_given(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check(IDENTITY)  # nothing is there yet, and nothing is written
    assert not folder.path.exists()
    folder.open(IDENTITY | {"fingerprints": {"a": "1"}})
    folder.close()
    folder.check(IDENTITY)  # before the images are read, their fingerprint is not known
    folder.check(IDENTITY | {"recipe": IDENTITY["recipe"] | {"snapshot_every": 1}})
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


def test_a_state_is_renamed_as_a_whole_and_the_older_one_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.open(IDENTITY)
    for step in (1, 2):
        folder.stage_state(step)
        folder.write_rank(step, 0, {"rank": 0})
        assert folder.latest_step() == (None if step == 1 else 1)
        folder.commit_state(step, {"step": step})
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-000000002"]
    assert folder.load_state(2, rank=0, world_size=1) == ({"step": 2}, {"rank": 0})
    with pytest.raises(RunError, match="saved by 1 process, now there are 2"):
        folder.load_state(2, rank=0, world_size=2)
    folder.stage_state(2)  # the same step again: what is there stays
    folder.write_rank(2, 0, {"rank": "other"})
    folder.commit_state(2, {"step": "other"})
    assert folder.load_state(2, rank=0, world_size=1) == ({"step": 2}, {"rank": 0})
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-000000002"]
    folder.close()


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
    def fails(code: int) -> Callable[..., None]:
        def flock(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        return flock

    folder = RunFolder(tmp_path)
    for code in (errno.ENOLCK, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS):
        monkeypatch.setattr("cyclegan_hub.files._noted", set())
        monkeypatch.setattr("fcntl.flock", fails(code))
        for _ in range(2):
            folder.open(IDENTITY)
            assert folder.record() == IDENTITY
            folder.close()
        assert capsys.readouterr().err == f"note: {tmp_path} cannot be locked: start no second training in it\n"
    monkeypatch.setattr("fcntl.flock", fails(errno.EIO))
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


def test_a_new_process_takes_the_first_ones_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open({"recipe": {}})
    folder.stage_state(3)
    folder.write_rank(3, 0, {"random": 1, "cuda": None, "data": {}, "trainer": "pools"})
    folder.commit_state(3, {"step": 3, "steps_per_epoch": 7})
    with pytest.raises(RunError, match="add --allow-process-change"):
        folder.load_state(3, 1, 2)
    _, own = folder.load_state(3, 1, 2, inexact=True)
    assert own == {"random": None, "cuda": None, "data": None, "trainer": "pools"}
    folder.close()


def test_landmarks_are_written_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, found = RunFolder(tmp_path), Landmarks({"x": None, "y": EyePair((3 + 4j, 9.5 + 4j))})
    run.write_landmarks(Landmarks())
    assert not (tmp_path / "landmarks.json").exists()  # of a run without faces
    run.write_landmarks(Landmarks({"x": None}))
    before = (tmp_path / "landmarks.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            run.write_landmarks(found)
    assert (tmp_path / "landmarks.json").read_bytes() == before
    run.write_landmarks(found)
    assert run.landmarks() == found and RunFolder(tmp_path / "new").landmarks() == Landmarks()


# ---------------------------------------------------------------------------------------------------- pack and unpack


def again(tree: Any, folder: Path) -> Any:
    (folder / "state").write_bytes(pack(tree))
    return unpack(folder / "state")


def assert_same(one: Any, other: Any) -> None:
    """Equal in type, value and order, down to a float's bits."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype and one.shape == other.shape and one.device == other.device
        as_bytes = [t.contiguous().flatten().view(torch.uint8) for t in (one, other)]
        assert torch.equal(*as_bytes)
    elif isinstance(one, dict):
        assert [(type(k), k) for k in one] == [(type(k), k) for k in other]
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, float):
        assert struct.pack("<d", one) == struct.pack("<d", other)
    else:
        assert one == other


PLAIN = [
    None, True, False, 0, -3, 2**80, "", "tag: $tensor", "üñ\u0000\n漢🙂", 0.1, -0.0, 1e-320, 1 / 3, 1.7976931348623157e308,
    math.inf, -math.inf, math.nan, [], (), {}, [[], ()], [1, 1.0, True, "1"], (1, [2, (3, None)]),
    {"a": 1, "b": {"c": [{}]}}, {0: "zero", 1: "one", "1": "text", -5: None}, {"$tensor": "000000", "$list": [1]},
    {True: 1, "x": 2},
]  # fmt: skip


@pytest.mark.parametrize("tree", PLAIN, ids=lambda tree: repr(tree)[:30].encode("ascii", "replace").decode())
def test_plain_trees_come_back_exactly(tree: Any, tmp_path: Path) -> None:
    assert_same(again(tree, tmp_path), tree)


TENSORS = {
    "fp32": torch.tensor([0.1, math.inf, -math.inf, math.nan, -0.0]),
    "fp64": torch.tensor([[1 / 3]], dtype=torch.float64),
    "bf16": torch.tensor([0.1, 3.0], dtype=torch.bfloat16),
    "fp16": torch.tensor([[0.1, 3.0]], dtype=torch.float16),
    "uint8": torch.arange(256, dtype=torch.uint8),
    "int64": torch.tensor([2**62, -1]),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(2.5),
    "no elements": torch.zeros(0, 3, 4),
    "a view": torch.arange(24.0).view(4, 6).t()[1::2],
    "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 5),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back_exactly(name: str, tmp_path: Path) -> None:
    assert_same(again(TENSORS[name], tmp_path), TENSORS[name])


def test_a_parameter_comes_back_as_its_values(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.rand(3))
    result = again({"weight": parameter}, tmp_path)["weight"]
    assert torch.equal(result, parameter) and not result.requires_grad


def test_tensors_that_share_memory(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    tree = {"whole": whole, "same": whole, "part": whole[2:4], "again": [whole.view(2, 3)]}
    result = again(tree, tmp_path)
    assert_same(result, tree)
    result["same"].fill_(-1.0)  # afterwards each is its own
    assert torch.equal(result["whole"], whole) and torch.equal(result["part"], whole[2:4])


def test_a_restored_tensor_may_be_written_to_and_outlives_its_file(tmp_path: Path) -> None:
    result = again(torch.ones(5000), tmp_path)
    before = (tmp_path / "state").read_bytes()
    result.mul_(3.0)
    assert (tmp_path / "state").read_bytes() == before
    (tmp_path / "state").unlink()
    assert result.sum() == 15000


def test_an_optimizer_continues_identically(tmp_path: Path) -> None:
    """Number keys, tuples (betas), flags and scalar tensors: what torch's own state_dicts are made of."""

    def trained(weight: Tensor, optimizer: torch.optim.Optimizer, steps: int) -> Tensor:
        for _ in range(steps):
            optimizer.zero_grad()
            (weight - 3).square().sum().backward()
            optimizer.step()
        return weight

    weight = torch.nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=(0.5, 0.999))
    trained(weight, optimizer, 3)
    saved = again({"weight": weight, "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}, tmp_path)
    assert_same(saved["optimizer"], optimizer.state_dict())
    other = torch.nn.Parameter(saved["weight"].clone())
    resumed = torch.optim.Adam([other], lr=9.9)
    resumed.load_state_dict(saved["optimizer"])
    assert torch.equal(trained(other, resumed, 5), trained(weight, optimizer, 5))
    torch.set_rng_state(saved["rng"])


class Foreign:
    pass


@pytest.mark.parametrize(
    "tree, name",
    [
        ({"a": [Foreign()]}, "Foreign"),
        ({1.5: "float key"}, "dict"),
        ({None: "no key"}, "dict"),
        ({"a": {1, 2}}, "set"),
        (b"bytes", "bytes"),
        (1j, "complex"),
        (len, "builtin_function_or_method"),
    ],
)
def test_other_types_are_refused(tree: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"cannot save a {name} in a run's state"):
        pack(tree)


def foreign(tree: Any) -> bytes:
    """A safetensors file whose metadata holds a tree that `pack` never writes."""
    return save({"000000": torch.zeros(1)}, metadata={"tree": tree if isinstance(tree, str) else json.dumps(tree)})


WHOLE = pack({"a": torch.arange(100.0), "b": [1, 2]})


BROKEN = {
    "empty": b"",
    "short": WHOLE[:-1],
    "header only": WHOLE[:100],
    "eight bytes": WHOLE[:8],
    "longer": WHOLE + b"\0",
    "zeros": b"\0" * 1000,
    "text": b"not a state at all, but long enough to be one",
    "a model's weights": save({"w": torch.zeros(2)}),
    "another's metadata": save({"w": torch.zeros(2)}, metadata={"format": "pt"}),
    "not JSON": foreign("{"),
    "missing tensor": foreign({"$tensor": "000001"}),
    "unknown node": foreign({"$set": []}),
    "two kinds": foreign({"$list": [], "$tuple": []}),
    "content of the wrong type": foreign({"$dict": 5}),
    "pairs that are none": foreign({"$dict": [[1, 2, 3]]}),
    "list as a key": foreign({"$dict": [[[1], 2]]}),
    "nested beyond reason": foreign("[" * 100_000 + "]" * 100_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_or_foreign_file_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rank-0.safetensors"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ValueError, match=r"rank-0.safetensors: not a saved state, or damaged") as error:
        unpack(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "none")


class Trap:
    """Pickled, it creates a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("how", ["pickle", "torch.save"])
def test_a_pickle_is_refused_and_never_run(how: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "executed", tmp_path / "state"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Trap(marker)))
    else:
        torch.save({"a": Trap(marker)}, path)
    with pytest.raises(ValueError, match="not a saved state"):
        unpack(path)
    assert not marker.exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())  # the trap itself works
        assert marker.exists()
