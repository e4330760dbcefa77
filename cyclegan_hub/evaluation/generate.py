"""Makes the outputs that an evaluation measures, as 8-bit images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.imaging import images
from cyclegan_hub.models.protocols import PairedTranslator, Sampler, Translator
from cyclegan_hub.models.translate import translate_batch

ImageSets = tuple[Tensor, ...]  # uint8 (N, C, S, S) of A and of B, or of the one image set
SAMPLES_SEED = 1  # of the latents that are measured; sample grids show those of seed 0


@dataclass(frozen=True)
class Generated:
    """Results of one direction, uint8 (N, C, S, S). Only a model with two directions has `reconstruction` (the outputs translated
    back) and `identity` (real images of the target domain through the same generator)."""

    outputs: Tensor
    reconstruction: Tensor | None = None
    identity: Tensor | None = None


def generate(
    model: Translator | Sampler, direction: str, inputs: Tensor | None, target: Tensor, count: int, *, batch_size: int
) -> Generated:
    """The outputs of a direction, all uint8 (N, C, S, S). For "samples", which has no inputs, it makes `count` images.

    Inputs of pairs go into the generator unchanged, since they are prepared already. Raises images.ImageError if outputs hold
    NaN.
    """
    if isinstance(model, Sampler):
        return Generated(_stacked(model.sample(count, seed=SAMPLES_SEED, batch_size=batch_size)))
    assert inputs is not None
    if model.measured_by == "pairs":
        return Generated(run_in_batches(model, inputs, direction, batch_size))
    outputs = translate(model, inputs, direction, batch_size)
    opposite = "b_to_a" if direction == "a_to_b" else "a_to_b"
    if opposite not in model.directions:
        return Generated(outputs)
    return Generated(outputs, translate(model, outputs, opposite, batch_size), translate(model, target, direction, batch_size))


def translate(model: Translator, x: Tensor, direction: str, batch_size: int = 16) -> Tensor:
    """uint8 (N, C, H, W), aligned where the model's inputs are -> uint8 (N, C, H, W). Raises ImageError if they hold NaN."""
    return _outputs(model.network(direction), x, batch_size, model.input_of)


def run_in_batches(model: Translator, prepared: Tensor, direction: str, batch_size: int = 16) -> Tensor:
    """Inputs of the network itself, uint8 (N, C, S, S) -> outputs uint8 (N, C, S, S)."""
    return _outputs(model.network(direction), prepared, batch_size, lambda x: x)


def _outputs(network: nn.Module, x: Tensor, batch_size: int, before: Callable[[Tensor], Tensor]) -> Tensor:
    starts = range(0, len(x), batch_size)
    return _rounded(torch.cat([translate_batch(network, before(images.from_uint8(x[i : i + batch_size]))) for i in starts]))


def inputs_and_targets(model: PairedTranslator, x: Tensor) -> tuple[Tensor, Tensor]:
    """(inputs, targets), uint8 (N, C, S, S) each. `x`: pairs (N, 2 C, S, S), or targets alone."""
    if model.rule.derived:
        return _rounded(model.prepare(images.from_uint8(x))), x
    channels = x.shape[1] // 2
    return x[:, :channels], x[:, channels:]


def resize(x: Tensor, size: int | None, channels: int | None = None) -> Tensor:
    """uint8 (N, C, H, W) -> uint8 (N, channels, size, size), resized by the bicubic filter with antialiasing.

    None leaves size or channels as they are; grey is repeated for three channels.
    """
    if channels is not None and x.shape[1] < channels:
        x = x.expand(-1, channels, -1, -1)
    if size is None or x.shape[-2:] == (size, size):
        return x
    parts = [
        images.to_uint8(F.interpolate(images.from_uint8(x[i : i + 64]), (size, size), mode="bicubic", antialias=True))
        for i in range(0, len(x), 64)
    ]
    return torch.cat(parts)


def _rounded(x: Tensor) -> Tensor:
    """(N, C, H, W) in [-1, 1] -> uint8, as in a PNG. Raises images.ImageError for NaN."""
    return _stacked([images.to_pil(one) for one in x])


def _stacked(pil_images: Sequence[Any]) -> Tensor:
    """PIL images of one size -> uint8 (N, C, H, W)."""
    return torch.stack([images.to_uint8_tensor(image) for image in pil_images])
