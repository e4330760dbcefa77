from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cyclegan_hub.data import load as loading
from cyclegan_hub.data.batches import UnpairedBatches
from cyclegan_hub.data.load import DomainImages
from cyclegan_hub.data.reading import Batching
from cyclegan_hub.data.resolve import resolve
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.data.streaming import StreamingBatches
from support.loading import load_domains, open_batches
from support.pictures import sides


def domain(count: int) -> DomainImages:
    """A domain whose image `i` is one pixel of value `i`."""
    train = torch.arange(count, dtype=torch.uint8).reshape(count, 1, 1, 1)
    return DomainImages(train, train[:1], str(count), {"kept": count}, [f"{count} images"])


def numbers(batches: UnpairedBatches, epoch: int, key: str = "a", start: int = 0) -> list[int]:
    """Which images an epoch shows, in order."""
    return [int(x) for batch in batches.epoch(epoch, start) for x in batch[key].flatten()]


def batches(a: int = 24, b: int = 10, batch_size: int = 4, seed: int = 0, **options) -> UnpairedBatches:
    return UnpairedBatches((domain(a), domain(b)), Batching(batch_size, **options), seed)


@pytest.mark.parametrize(("a", "b", "larger"), [(24, 10, "a"), (10, 24, "b"), (24, 24, "a"), (24, 24, "b")])
def test_an_epoch_is_one_pass_over_the_larger_domain(a: int, b: int, larger: str) -> None:
    found = batches(a, b)
    assert found.steps_per_epoch == 6
    for epoch in range(3):
        assert sorted(numbers(found, epoch, larger)) == list(range(24))
    assert numbers(found, 0, larger) != numbers(found, 1, larger) != sorted(numbers(found, 1, larger))
    assert set(next(found.epoch(0))) == {"a", "b"}  # copies are marked with `balance` only


def test_the_last_batch_is_filled_up_from_another_permutation() -> None:
    found = batches(a=22)
    for epoch in range(3):
        shown = numbers(found, epoch)
        assert len(shown) == 24 == 4 * found.steps_per_epoch
        assert sorted(shown[:22]) == list(range(22)) and len(set(shown[22:])) == 2
    assert all(batch["a"].shape == (4, 1, 1, 1) for batch in found.epoch(0))


def test_a_batch_larger_than_a_domain_repeats_its_passes() -> None:
    shown = numbers(batches(a=3, b=2, batch_size=8), 0)
    assert [sorted(shown[i : i + 3]) for i in (0, 3)] == [[0, 1, 2]] * 2 and len(shown) == 8


@pytest.mark.parametrize(("steps", "streams"), [(None, {"b": 10}), (5, {"a": 24, "b": 10})])
def test_passes_over_other_than_the_larger_domain_go_on_across_epochs(steps: int | None, streams: dict[str, int]) -> None:
    found = batches(steps_per_epoch=steps)
    for key, count in streams.items():
        stream = [x for epoch in range(6) for x in numbers(found, epoch, key)]
        passes = [tuple(stream[i : i + count]) for i in range(0, 120, count)]
        assert all(sorted(one) == list(range(count)) for one in passes) and len(set(passes)) == len(passes)


def test_the_order_follows_from_the_seed_and_differs_between_domains() -> None:
    found = batches(24, 24, seed=1)
    assert numbers(found, 0, "a") == numbers(batches(24, 7, seed=1), 0, "a")  # whatever the other domain is
    assert numbers(found, 0, "a") != numbers(found, 0, "b") and numbers(found, 2) != numbers(batches(24, 24, seed=2), 2)


@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 7}, {"balance": True}])
def test_every_step_can_be_resumed_at(options: dict) -> None:
    whole = [list(batches(**options).epoch(epoch)) for epoch in range(2)]
    for epoch, start in ((0, 3), (1, 0), (1, 5)):
        again = list(batches(**options).epoch(epoch, start))
        assert len(again) == len(whole[epoch]) - start
        for one, other in zip(again, whole[epoch][start:], strict=True):
            assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert list(batches(**options).epoch(0, batches(**options).steps_per_epoch)) == []


@pytest.mark.parametrize("balance", [False, True])
def test_two_processes_share_out_each_epoch(balance: bool) -> None:
    parts = [batches(rank=rank, world_size=2, balance=balance) for rank in range(2)]
    alone = batches(batch_size=8, balance=balance)
    assert parts[0].steps_per_epoch == alone.steps_per_epoch == 3
    for epoch in range(2):
        for first, second, both in zip(*(x.epoch(epoch) for x in (*parts, alone)), strict=True):
            for key in both:
                assert torch.equal(torch.cat([first[key], second[key]]), both[key])
        assert sorted(numbers(parts[0], epoch) + numbers(parts[1], epoch)) == list(range(24))


@pytest.mark.parametrize(("small", "copies"), [(10, {1, 2}), (24, {0}), (12, {1}), (1, {23})])
def test_balance_brings_the_smaller_domain_to_parity_with_marked_copies(small: int, copies: set[int]) -> None:
    found = batches(24, small, balance=True)
    shown: list[Counter] = []
    for epoch in range(2):
        originals, extra = Counter(), Counter({i: 0 for i in range(small)})
        for batch in found.epoch(epoch):
            assert batch["b_copy"].dtype == torch.bool and batch["b_copy"].shape == (4,) and not batch["a_copy"].any()
            for image, is_copy in zip(batch["b"].flatten().tolist(), batch["b_copy"].tolist(), strict=True):
                (extra if is_copy else originals)[image] += 1
        assert originals == Counter(range(small)) and set(extra.values()) == copies and extra.total() == 24 - small
        assert sorted(numbers(found, epoch, "a")) == list(range(24))
        shown.append(extra)
    assert small != 10 or shown[0] != shown[1]  # other images get the second copy


def test_the_number_of_workers_changes_neither_order_nor_random_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CACHE_BYTES", 0)
    data = sides(tmp_path, trainA=range(9), trainB=range(20, 26))
    a, b = load_domains(resolve(None, str(data), None, None), image_size=16)
    assert not isinstance(a.train, Tensor)
    before = torch.get_rng_state()
    epochs = [list(UnpairedBatches((a, b), Batching(2, workers=workers), 0).epoch(0, 1)) for workers in (0, 2)]
    assert len(epochs[0]) == len(epochs[1]) > 1 and epochs[0][0]["a"].shape == (2, 3, 16, 16)
    for one, other in zip(*epochs, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("a", "b"))
    assert torch.equal(torch.get_rng_state(), before)


def test_there_is_no_state_and_a_streaming_one_is_refused() -> None:
    found = batches()
    assert found.state_dict() == {}
    found.load_state_dict({})
    with pytest.raises(DataError, match="streaming"):
        found.load_state_dict({"a": {}, "b": {}})


def test_the_notes_and_counts_of_domains_are_passed_on() -> None:
    found = batches(3, 2)
    assert found.fingerprints == {"a": "3", "b": "2"} and found.notes == ["3 images", "2 images"]
    assert found.counts == {"a": {"kept": 3}, "b": {"kept": 2}} and torch.equal(found.held_out[1], domain(2).held_out)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"seed": -1}, {"rank": 1}, {"rank": -1, "world_size": 2}, {"steps_per_epoch": 0}]
)
def test_impossible_numbers_are_refused(options: dict) -> None:
    with pytest.raises(DataError, match=str(next(iter(options.values())))):
        batches(**options)


@pytest.mark.parametrize(("epoch", "start"), [(-1, 0), (0, -1), (0, 7)])
def test_a_step_outside_the_epoch_is_refused(epoch: int, start: int) -> None:
    with pytest.raises(DataError, match="have 6 steps"):
        batches().epoch(epoch, start)


def test_open_batches_takes_either_way(tmp_path: Path) -> None:
    data = sides(tmp_path, trainA=range(12), trainB=range(20, 26), testA=[40], testB=[50])
    sources = resolve(None, str(data), None, None)
    options = dict(image_size=16, batch_size=3, seed=0)
    in_memory = open_batches(sources, **options, load_size=18, equal_sides=True, balance=True)
    assert isinstance(in_memory, UnpairedBatches) and in_memory.steps_per_epoch == 2
    assert next(in_memory.epoch(0))["a"].shape == (3, 3, 18, 18) and in_memory.held_out[0].shape == (1, 3, 16, 16)
    assert isinstance(open_batches(sources, **options, streaming=True, steps_per_epoch=2, workers=4), StreamingBatches)
    for name, value in {"balance": True, "equal_sides": True, "max_images": 3}.items():
        with pytest.raises(DataError, match=name):
            open_batches(sources, **options, streaming=True, steps_per_epoch=2, **{name: value})
