"""Flicker against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from cyclegan_hub.metrics.flicker import flicker

FRAMES = torch.tensor([0.0, 0.1, 0.3, 0.2]).view(4, 1, 1, 1).expand(4, 3, 2, 2)  # changes: 0.1, 0.2, 0.1


def test_a_steady_translation_is_1_and_twice_the_contrast_is_2() -> None:
    assert flicker(FRAMES, FRAMES - 0.5) == pytest.approx(1)
    assert flicker(FRAMES, 2 * FRAMES) == pytest.approx(2)


def test_what_jumps_back_and_forth_counts() -> None:
    noise = torch.tensor([0.1, -0.1, 0.1, -0.1]).view(4, 1, 1, 1)  # changes of -0.1, +0.4, -0.3 instead
    assert flicker(FRAMES, FRAMES + noise) == pytest.approx((0.1 + 0.4 + 0.3) / 0.4)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (FRAMES[:1], FRAMES[:1], "N from 2"),
        (FRAMES, FRAMES[:3], "give two equal ones"),
        (FRAMES[:1].expand(4, 3, 2, 2), FRAMES, "one still image"),
    ],
)
def test_what_has_no_flicker(inputs: torch.Tensor, outputs: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flicker(inputs, outputs)
