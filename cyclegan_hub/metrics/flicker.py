"""How steady the translation of a video is."""

from __future__ import annotations

from torch import Tensor


def flicker(inputs: Tensor, outputs: Tensor) -> float:
    """By how much neighbouring translated frames differ, as a multiple of what their inputs differ by: mean L1 over mean L1.

    Frames (N, C, H, W) in their order, floats on one scale, N from 2. 1: as steady as the video itself; the excess over 1 is
    flicker, or contrast that the model adds. It says most on a slow pan over a still image, where all that changes is the place.
    Raises ValueError for shapes that differ, a single frame, and inputs that do not change at all.
    """
    if inputs.shape != outputs.shape or inputs.ndim != 4 or len(inputs) < 2:
        raise ValueError(
            f"frames of shapes {tuple(inputs.shape)} and {tuple(outputs.shape)}: give two equal ones (N, C, H, W), N from 2"
        )
    before, after = (frames.double().diff(dim=0).abs().mean().item() for frames in (inputs, outputs))
    if before == 0:
        raise ValueError("the inputs are one still image: give frames that change")
    return after / before
