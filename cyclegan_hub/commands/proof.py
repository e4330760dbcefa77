"""Proof that an exported file works like its model: both get the same real pictures, and their results are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.commands.onnx_graph import ExportError
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.models.protocols import Model, Sampler, Translator
from cyclegan_hub.models.translate import translate_batch

FREE_IMAGES = Path(__file__).parent.parent / "free_images"
# In steps of 8-bit values (1/255 of the range): the largest difference that is accepted, and the largest mean difference.
LIMITS = {"fp32": (0.2, 0.2), "fp16": (6.0, 0.5)}
PICTURES = ("astronaut_face.jpg", "chelsea.jpg", "coffee.jpg")  # a square portrait and two landscape formats
LATENTS = 16
Run = Callable[[np.ndarray], np.ndarray]  # pictures (N, C, H, W) in [-1, 1], or latents (N, L) of a DCGAN -> results in [-1, 1]


@dataclass(frozen=True)
class Difference:
    """The largest and the mean difference between the results of an exported file and of the model, in 8-bit steps (1/255)."""

    of: str  # the input
    largest: float
    mean: float


def prove(model: Model, direction: str, run: Run, size: int | None) -> list[Difference]:
    """Compares a model with `run` on three pictures of different sizes (with `size`: their centred squares), or on 16 latents.

    Both networks get the pictures as they are and, where the direction's inputs are aligned faces, one of these as well. The
    model computes in fp32. Results are compared before they are rounded to 8 bits: rounding would hide small differences, and
    make others larger.
    """
    if isinstance(model, Sampler):
        z, network = model.latents(LATENTS, seed=0), model.network(direction)
        with torch.inference_mode():
            return [_compare(f"{LATENTS} latents of seed 0", network(z[:, :, None, None]), run(z.numpy()))]
    pictures = {}
    for name, times in zip(PICTURES, (1, 1.5, 2), strict=True):
        picture = images.decode(FREE_IMAGES / name, model.channels)
        picture = images.square(picture, size) if size else images.resize_short(picture, round(model.translate_size * times))
        pictures[f"{name} at {picture.width} x {picture.height} px"] = picture
    if (eyes := model.eyes[direction]) is not None:
        portrait, side = images.decode(FREE_IMAGES / PICTURES[0], model.channels), size or model.translate_size
        aligned = align(portrait, find_faces(portrait)[0], eyes, side)
        pictures[f"the face of {PICTURES[0]}, aligned at {side} x {side} px"] = aligned
    inputs = {of: images.to_tensor(picture)[None] for of, picture in pictures.items()}
    return [_compare(of, _by_torch(model, direction, x), run(x.numpy())) for of, x in inputs.items()]


def _by_torch(model: Translator, direction: str, x: Tensor) -> Tensor:
    return translate_batch(model.network(direction), model.input_of(x))


def _compare(of: str, expected: Tensor, found: np.ndarray) -> Difference:
    if tuple(expected.shape) != found.shape:
        raise AssertionError(f"{of}: the exported file gives {found.shape}, the model {tuple(expected.shape)}")
    apart = np.abs(found.clip(-1, 1) - expected.clamp(-1, 1).numpy()).astype(np.float64) * 127.5
    return Difference(of, float(apart.max()), float(apart.mean()))


def check(found: list[Difference], dtype: str) -> None:
    """Raises ExportError for a difference above the LIMITS of this dtype, or NaN."""
    largest, mean = LIMITS[dtype]
    for one in found:
        if not (one.largest <= largest and one.mean <= mean):
            raise ExportError(
                f"{one.of}: the exported file differs from the model by {one.largest:.3g}/255, {one.mean:.3g}/255 in the mean, "
                f"and {dtype} may by {largest:g} and {mean:g}: nothing was written"
                + (", give --dtype fp32" if dtype == "fp16" else "")
            )


def as_json(found: list[Difference], dtype: str) -> dict[str, Any]:
    """The content of a .proof.json: every difference, the limits, and the versions of the libraries."""
    largest, mean = LIMITS[dtype]
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return {
        "unit": "shares of 255 in the written picture, before rounding",
        "allowed": {"largest": largest, "mean": mean},
        "found": [asdict(one) for one in found],
        "versions": versions,
    }
