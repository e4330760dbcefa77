"""Alpha-precision, beta-recall and authenticity, each against its own hand-counted points in the plane."""

from __future__ import annotations

import math

import pytest
import torch

from cyclegan_hub.metrics import AlphaBetaAuthenticity, alpha_beta_authenticity, arrays
from support.features import noise

# Ten points around (0, 0), which is their mean, at 1, 1, 1, 1, 2, 2, 3.6, 3.6, 4 and 8 from it: the radii of the supports at
# 0.1, 0.2, ..., 1. The last is the outlier that the support at 0.9 leaves out.
TEN = torch.tensor([[1, 0], [-1, 0], [0, 1], [0, -1], [2, 0], [-2, 0], [3, -2], [-3, -2], [0, -4], [0, 8]]).double()


@pytest.fixture(params=[1, 2**23], ids=["row by row", "at once"])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "BLOCK", request.param)


# --- alpha-precision


@pytest.mark.parametrize(
    ("alpha", "inside"),
    [
        (0.4, 0),  # radius 1
        (0.41, 1),  # radius 2: the smallest ball with at least 41 % holds 5 of 10, at 2, as does the next
        (0.6, 1),
        (0.8, 1),  # radius 3.6
        (0.9, 2),  # radius 4, its border included
        (0.91, 4),  # radius 8
        (1.0, 4),
    ],
)
def test_alpha_precision_counted_by_hand(alpha: float, inside: int) -> None:
    """Generated at 1.4, 4, 5, 8 and 9 from the real centre."""
    generated = torch.tensor([[1, 1], [4, 0], [0, 5], [0, -8], [0, 9]]).double()
    move = torch.tensor([10.0, -7.0]).double()
    assert alpha_beta_authenticity(generated + move, TEN + move, alpha=alpha).alpha_precision == inside / 5


def test_rounding_does_not_decide_what_lies_on_the_border() -> None:
    """(2.4, 3.2) is at 4 from the centre like (0, -4), however both are turned."""
    for angle in torch.arange(0, 6, 0.1).tolist():
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
        point = torch.tensor([[2.4, 3.2]], dtype=torch.float64)
        assert alpha_beta_authenticity(point @ turn, TEN @ turn, alpha=0.9).alpha_precision == 1


def test_integrated_alpha_precision_of_the_same_points() -> None:
    """The curve is 0 up to 0.4, 0.2 up to 0.8, 0.4 up to 0.9 and 0.8 up to 1: an area of 0.08 + 0.16 + 0.045 + 0.015 = 0.3."""
    generated = torch.tensor([[1, 1], [4, 0], [0, 5], [0, -8], [0, 9]])
    assert alpha_beta_authenticity(generated, TEN).integrated_alpha_precision == pytest.approx(1 - 2 * 0.3, rel=1e-12)


# --- beta-recall

# Balls of radius 1 around the first four, of 4.3 around the last. The first holds the outlier (0, 8) only, the second nothing,
# the third and fourth (0, -4), the latter on its border, the last several that are at 1 from the centre.
FIVE = torch.tensor([[0, 8.5], [0, 9.5], [0, -4], [0, -5], [1.5, 0]]).double()


@pytest.mark.parametrize(("beta", "recalled"), [(0.1, 1), (0.8, 1), (0.9, 3), (0.91, 4), (1.0, 4)])
def test_beta_recall_counted_by_hand(block: None, beta: float, recalled: int) -> None:
    assert alpha_beta_authenticity(TEN + 3, FIVE + 3, beta=beta).beta_recall == recalled / 5


def test_integrated_beta_recall_of_the_same_points() -> None:
    """The curve is 0.2 up to 0.8, 0.6 up to 0.9 and 0.8 up to 1: an area of 0.02 + 0.18 + 0.025 + 0.015 = 0.24."""
    assert alpha_beta_authenticity(TEN, FIVE).integrated_beta_recall == pytest.approx(1 - 2 * 0.24, rel=1e-12)


def test_beta_recall_asks_for_the_nearest_row_of_the_support() -> None:
    """Both real rows have the outlier (0, 8) nearest, and balls of 13; the first also holds rows of the support, the second none.

    The published code takes the nearest of all generated rows: it would count both or neither.
    """
    real = torch.tensor([[0.0, 7.0], [0.0, 20.0]])
    assert [alpha_beta_authenticity(TEN, real, beta=beta).beta_recall for beta in (0.1, 0.9, 1.0)] == [0.5, 0.5, 1.0]


def test_a_larger_k_has_larger_balls(block: None) -> None:
    """With k = 2 the ball of (0, 9.5) reaches (1.5, 0), and (0, 8) is in it: every real row is recalled."""
    assert alpha_beta_authenticity(TEN, FIVE, beta=1.0, k=2).beta_recall == 1.0


# --- authenticity

REAL = torch.tensor([[0, 0], [1, 0], [10, 0]]).double()  # at 1, 1 and 9 from the nearest other one


POINTS = [
    ((0.0, 0.0), 0),  # a copy
    ((0.0, 0.5), 0),
    ((0.0, 1.0), 0),  # as far, not farther
    ((0.0, 1.5), 1),
    ((0.5, 0.0), 0),  # two equally near
    ((10.0, 8.0), 0),  # farther than any of the above, but its nearest real row is a lonely one
    ((10.0, 9.5), 1),
]


def test_authenticity_counted_by_hand(block: None) -> None:
    for point, authentic in POINTS:
        assert alpha_beta_authenticity(torch.tensor([point]), REAL).authenticity == authentic, point
    assert alpha_beta_authenticity(torch.tensor([point for point, _ in POINTS]), REAL).authenticity == 2 / 7


def test_authenticity_asks_for_the_nearest_other_real_row_whatever_k_is() -> None:
    """(0, 1.5) is farther from (0, 0) than (1, 0) is, but not than (10, 0), the second nearest."""
    assert alpha_beta_authenticity(torch.tensor([[0, 1.5]]), REAL, k=2).authenticity == 1


def test_a_copy_of_a_repeated_real_image_is_not_authentic() -> None:
    real = torch.cat([noise(10, 300), noise(10, 300)]) + 5  # every nearest other real row is at 0
    assert alpha_beta_authenticity(real[3:8], real).authenticity == 0


# --- sets


@pytest.mark.parametrize("shape", [(40, 3), (12, 500)])
def test_identical_sets(shape: tuple[int, int]) -> None:
    """The support at i/n holds i of n rows; each row is in its own ball; nothing is authentic."""
    x = noise(*shape).numpy()
    result = alpha_beta_authenticity(x, x[::-1], alpha=0.5, beta=1.0)
    assert (result.alpha_precision, result.beta_recall, result.authenticity) == (0.5, 1, 0)
    assert result.integrated_alpha_precision == pytest.approx(1 - 1 / shape[0], rel=1e-12)


def test_disjoint_sets() -> None:
    x = noise(20, 5)
    result = alpha_beta_authenticity(x + 100, x)
    assert result == AlphaBetaAuthenticity(0.0, 0.0, 1.0, pytest.approx(0), pytest.approx(0))


def test_a_level_of_i_in_n_is_the_ith_row() -> None:
    """Although 0.07 * 100 is 7.000000000000001 in floating point."""
    n = 100
    real = torch.cat([torch.arange(1.0, n + 1), -torch.arange(1.0, n + 1)]).unsqueeze(1)  # mean 0, in pairs
    for i in (1, 7, 14, 28, 29, 55, 57, 99, 100):
        generated = torch.tensor([[i - 0.5], [i + 0.5]])
        assert alpha_beta_authenticity(generated, real, alpha=i / n).alpha_precision == 0.5


# --- the paper's worked example


def test_the_papers_example_counts_within_the_supports() -> None:
    """Ten real and ten generated rows whose counts are those of the paper's worked example at alpha = beta = 0.9.

    Real: a square, five rows close together at 20 from the mean, an outlier. Generated: one in the middle of the square, in the
    balls of all its corners and so the only one that is not authentic; seven more within 20; one at 25; an outlier.
    """
    close = [[20.0, y] for y in (-0.02, -0.01, 0.0, 0.01, 0.02)]
    real = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], *close, [-100.0, 0.0]])
    generated = torch.tensor([[0.0, y] for y in (0.0, 9.0, 10.0, 11.0, 12.0, -10.0, -11.0, -12.0, 25.0, -60.0)])
    found = alpha_beta_authenticity(generated, real, within_supports=True)
    assert (found.alpha_precision, found.beta_recall, found.authenticity) == pytest.approx((8 / 9, 4 / 9, 9 / 10))
    over_all = alpha_beta_authenticity(generated, real)
    assert (over_all.alpha_precision, over_all.beta_recall, over_all.authenticity) == pytest.approx((8 / 10, 4 / 10, 9 / 10))
