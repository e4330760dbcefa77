"""Distances, precision and recall, diversity and content, against single differences, loops and values worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan_hub.metrics import PrecisionRecall, arrays, content_kept, pairwise_diversity, precision_recall, standardised
from support.features import noise

# --- distances


def exact(x: Tensor, y: Tensor) -> Tensor:
    return (x.unsqueeze(1) - y).square().sum(2).sqrt()


def whole(x: Tensor, y: Tensor, **options: bool) -> Tensor:
    return torch.cat([d for _, d in arrays.distances(x, y, **options)])


@pytest.mark.parametrize("block", [1, 100, 2**23])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("spread", [1.0, 1e-6])
def test_distances_are_right_to_within_the_tie(monkeypatch: pytest.MonkeyPatch, block: int, offset: float, spread: float) -> None:
    """Far from 0, in two tight heaps, with copies: where a matrix product alone loses all digits."""
    monkeypatch.setattr(arrays, "BLOCK", block)
    y = noise(30, 16) * spread + offset
    y[15:] += 1
    x = torch.cat([noise(20, 16, seed=1) * spread + offset, y[10:13]])
    found = whole(x, y)
    torch.testing.assert_close(found, exact(x, y), rtol=arrays.TIE / 2, atol=0 if offset == 0 else 1e-10)
    assert [found[20 + i, 10 + i].item() for i in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("block", [1, 70, 2**23])
def test_distance_to_itself_is_infinite_and_only_that(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(arrays, "BLOCK", block)
    x = noise(25, 4)
    x[7] = x[3]
    found = whole(x, x, same=True)
    assert found.isinf().equal(torch.eye(25).bool())
    assert found[3, 7] == found[7, 3] == 0
    torch.testing.assert_close(found.fill_diagonal_(0), exact(x, x), rtol=1e-9, atol=0)


def test_no_block_holds_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK", 800)
    sizes = [d.numel() for _, d in arrays.distances(noise(30, 2), noise(40, 2, seed=1))]
    assert len(sizes) == 2 and max(sizes) <= arrays.BLOCK and sum(sizes) == 30 * 40


# --- precision, recall, density, coverage


def looped(generated: list[list[float]], real: list[list[float]], k: int) -> PrecisionRecall:
    def radius(points: list[list[float]], i: int) -> float:
        return sorted(math.dist(points[i], p) for j, p in enumerate(points) if j != i)[k - 1]

    n, m = range(len(generated)), range(len(real))
    in_real = [[math.dist(generated[j], real[i]) <= radius(real, i) for i in m] for j in n]
    in_generated = [[math.dist(generated[j], real[i]) <= radius(generated, j) for i in m] for j in n]
    return PrecisionRecall(
        precision=sum(map(any, in_real)) / len(n),
        recall=sum(any(row[i] for row in in_generated) for i in m) / len(m),
        density=sum(map(sum, in_real)) / (k * len(n)),
        coverage=sum(any(row[i] for row in in_real) for i in m) / len(m),
    )


@pytest.mark.parametrize("block, k, dimensions", [(1, 1, 2), (64, 3, 50), (2**23, 3, 2)])
def test_precision_recall_is_the_loop_over_all_pairs(
    monkeypatch: pytest.MonkeyPatch, block: int, k: int, dimensions: int
) -> None:
    monkeypatch.setattr(arrays, "BLOCK", block)
    generated, real = noise(18, dimensions) * 1.1 + 0.2, noise(23, dimensions, seed=1)
    assert precision_recall(generated, real, k) == looped(generated.tolist(), real.tolist(), k)


def test_precision_recall_of_identical_sets() -> None:
    """Each row lies in its own ball and on the border of those it is the k-th neighbour of: k + 1 rows in each of N balls."""
    x = noise(40, 100).numpy()
    assert precision_recall(x, x[::-1], k=3) == PrecisionRecall(precision=1.0, recall=1.0, density=4 / 3, coverage=1.0)


def test_copies_of_one_repeated_image_are_inside_its_ball_of_radius_0() -> None:
    result = precision_recall(torch.full((5, 3), 0.1), torch.full((6, 3), 0.1))
    assert (result.precision, result.recall, result.coverage) == (1, 1, 1)


# --- diversity


def test_diversity_is_the_mean_over_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK", 40)
    x = noise(17, 30)
    assert pairwise_diversity(x) == pytest.approx(np.mean([math.dist(a, b) for a, b in itertools.combinations(x, 2)]), rel=1e-9)
    assert pairwise_diversity(torch.full((9, 2048), 0.1)) == 0


def test_the_caller_s_arrays_are_left_as_they_were() -> None:
    x, y = noise(10, 3), noise(12, 3, seed=1)
    before = x.clone(), y.clone()
    precision_recall(x, y)
    pairwise_diversity(x)
    assert x.equal(before[0])
    assert y.equal(before[1])


# --- content


def test_content_kept_by_hand() -> None:
    """Inputs 0 and 2 in the one feature: a deviation of sqrt(2); outputs 1 and 2 have moved by 1 and 0, a pair is 2 apart."""
    found = content_kept(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [2.0]]))
    scale = 2**0.5 + 1e-3
    assert found.distance == pytest.approx(0.5 / scale) and found.share == pytest.approx(0.25)


def test_a_copy_keeps_everything_and_another_image_nothing() -> None:
    x = noise(60, 5)
    assert content_kept(x, x).share == 0
    assert content_kept(x, x.roll(1, 0)).share == pytest.approx(1, abs=0.15)


def test_standardised_by_the_real_ones_and_clipped() -> None:
    real = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    found = standardised(torch.tensor([[2.0, 5.0], [100.0, 4.0]]), real)
    assert found.tolist() == [[0.0, 0.0], [6.0, -6.0]]
