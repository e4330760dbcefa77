"""What metrics refuse: one line each, which names the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan_hub.metrics import (
    alpha_beta_authenticity,
    colour_correlation,
    content_kept,
    fid,
    kid,
    memorisation_distance,
    mifid,
    mmd,
    mmd_interval,
    pairwise_diversity,
    precision_recall,
    similarity,
)
from support.features import noise

FIVE = noise(5, 3)
ZERO_ROW = FIVE.clone().index_fill_(0, torch.tensor([2]), 0)
INFINITE = torch.zeros(5, 3).index_fill_(0, torch.tensor([1, 2, 3]), torch.inf)
IMAGES = torch.rand(2, 3, 16, 16)


OF_FEATURES = [fid, mifid, lambda x, y: kid(x, y, subset_size=2), mmd, precision_recall, alpha_beta_authenticity]


@pytest.mark.parametrize("metric", OF_FEATURES)
@pytest.mark.parametrize(
    ("generated", "real", "message"),
    [
        (noise(0, 3), FIVE, "generated has 0 rows: .* needs at least [124]"),
        (FIVE, noise(1, 3), "(real|training) has 1 row: .* needs at least [24]"),
        (FIVE, noise(5, 4), "generated has 3 features a row and (real|training) 4: take both from one extractor"),
        (noise(5), FIVE, r"generated has shape \(5,\): give features \(N, D\)"),
        (noise(5, 0), noise(5, 0), r"generated has shape \(5, 0\)"),
        (FIVE.log(), FIVE, r"generated: row 0 and \d more holds NaN or infinity"),
        (FIVE, INFINITE, "(real|training): row 1 and 2 more holds NaN"),
        (np.array([["a", "b"]] * 5), noise(5, 2), "generated holds values of type <U1: give real features"),
        (FIVE * 1j, FIVE, "generated holds complex numbers"),
    ],
)
def test_features(metric: Callable[..., object], generated: Any, real: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(generated, real)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kid(noise(300, 3), noise(300, 3)), r"generated has 300 rows: KID with subset_size=1000 \(pass a smaller one\)"),
        (lambda: kid(FIVE, FIVE, subsets=0, subset_size=2), "subsets=0, subset_size=2: give at least 1 subset"),
        (lambda: kid(FIVE, FIVE, subset_size=1), "at least 2 rows"),
        (lambda: mmd(noise(3, 2), torch.ones(4, 2)), "more than half of the pairs of rows are equal"),
        (lambda: mmd_interval(FIVE, FIVE, resamples=1), "resamples=1: give at least 2"),
        (lambda: mifid(FIVE, torch.cat([FIVE, noise(5, 3, seed=1)])), "every generated row is a copy of a training row"),
        (lambda: memorisation_distance(ZERO_ROW, FIVE), "generated: row 2 is all zeros"),
        (lambda: mifid(FIVE, ZERO_ROW), "training: row 2 is all zeros"),
        (
            lambda: precision_recall(noise(3, 2), noise(9, 2)),
            "generated has 3 rows: the k=3 nearest of the others needs",
        ),
        (lambda: precision_recall(FIVE, FIVE, k=0), "k=0: give at least 1"),
        (lambda: pairwise_diversity(noise(1, 4)), "features has 1 row: a pair needs at least 2"),
        (lambda: content_kept(FIVE, FIVE[:4]), "5 inputs and 4 outputs"),
        (lambda: content_kept(torch.ones(3, 2), torch.ones(3, 2)), "all inputs have the same features"),
        (lambda: alpha_beta_authenticity(FIVE, noise(3, 3), k=3), "real has 3 rows: .*k=3 needs at least 4"),
        (lambda: alpha_beta_authenticity(FIVE, FIVE, k=0), "k=0: give at least 1"),
        (lambda: alpha_beta_authenticity(FIVE, FIVE, alpha=0.0), r"alpha=0.0: give a level in \(0, 1\]"),
        (lambda: alpha_beta_authenticity(FIVE, FIVE, beta=90), r"beta=90: give a level in \(0, 1\]"),
        (lambda: similarity(IMAGES[..., :10], IMAGES[..., :10]), "images of 16 x 10 pixels: SSIM needs sides of at least 11"),
    ],
)
def test_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("metric", [similarity, colour_correlation])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (IMAGES, IMAGES[..., :12], r"shapes \(2, 3, 16, 16\) and \(2, 3, 16, 12\): give two equal ones"),
        (IMAGES[:0], IMAGES[:0], "N from 1"),
        (IMAGES[0], IMAGES[0], r"give two equal ones \(N, C, H, W\)"),
        (IMAGES, 2 * IMAGES, "the second images hold values from .* give floats in"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), IMAGES, "the first images are torch.uint8: give floats"),
        (IMAGES, torch.full((2, 3, 16, 16), math.nan), "image 0 of the second images holds NaN"),
    ],
)
def test_images(metric: Callable[[Tensor, Tensor], object], x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(x, y)
