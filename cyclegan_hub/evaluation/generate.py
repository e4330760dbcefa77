"""What the models of each method make of held-out images, as 8-bit pictures: what an evaluation measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.cycle_generator import CycleGenerator, Direction
from cyclegan_hub.models.face_generator import FaceGenerator
from cyclegan_hub.models.paired_generator import PairedGenerator
from cyclegan_hub.models.translate import translate_batch

Piles = tuple[Tensor, ...]  # of A and of B, or of the one pile
SAMPLES_SEED = 1  # of the latents that are measured; sample grids show those of seed 0


@dataclass(frozen=True)
class Made:
    """Of one direction: outputs uint8 (N, C, S, S); only of a CycleGAN these translated back, and what the same generator
    makes of its own target side."""

    outputs: Tensor
    back: Tensor | None = None
    kept: Tensor | None = None


def make(
    model: Model, direction: str, inputs: Tensor | None, target: Tensor, count: int, *, paired: bool, batch_size: int
) -> Made:
    """The outputs of a direction ("samples" has no inputs: `count` images are drawn). uint8 (N, C, S, S) all.

    `paired`: inputs are those that belong to the targets, and go through the generator as they are.
    Raises images.ImageError if outputs hold NaN.
    """
    match model:
        case FaceGenerator():
            return Made(_pixels(model.sample(count, seed=SAMPLES_SEED, batch_size=batch_size)))
        case PairedGenerator():
            assert inputs is not None
            if paired:
                return Made(_through(model, inputs, batch_size))
            return Made(_pixels(model.translate(list(inputs), direction, "original", batch_size)))
    opposite: Direction = "b_to_a" if direction == "a_to_b" else "a_to_b"
    outputs = translate(model, inputs, direction, batch_size)
    return Made(outputs, translate(model, outputs, opposite, batch_size), translate(model, target, direction, batch_size))


def translate(model: CycleGenerator, x: Tensor, direction: Direction, batch_size: int = 16) -> Tensor:
    """uint8 (N, C, H, W) -> uint8 (N, C, H, W), as `model.translate` gives them. Raises ImageError if they hold NaN."""
    return _pixels(model.translate(list(x), direction, resolution="original", batch_size=batch_size))


def in_and_out(model: PairedGenerator, pile: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and targets, uint8 (N, C, S, S) each, of pairs (N, 2 C, S, S) or of targets that inputs are made of."""
    return pile.chunk(2, 1) if model.pairs == "given" else (_rounded(model.prepare(images.from_uint8(pile))), pile)


def _through(model: PairedGenerator, inputs: Tensor, batch_size: int) -> Tensor:
    parts = [translate_batch(model.generator, images.from_uint8(part)) for part in inputs.split(batch_size)]
    return _rounded(torch.cat(parts))


def _rounded(x: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> uint8, as a PNG holds it. Raises images.ImageError for NaN."""
    return _pixels([images.to_pil(one) for one in x])


def _pixels(pictures: list[Any]) -> Tensor:
    return torch.stack([images.to_uint8_tensor(picture) for picture in pictures])
