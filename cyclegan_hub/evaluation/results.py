"""The results of an evaluation: figures, example images for the report, and the file metrics.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.generate import Piles
from cyclegan_hub.files import write_atomic

SHOWN = 8  # images in a row of the report


class EvaluationError(UserError):
    """An evaluation that cannot be done as asked; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Ranked:
    """The outputs at one end of the ranking, the most extreme first, with the indices of their inputs and their scores."""

    indices: list[int]
    scores: list[float]
    outputs: Tensor  # uint8 (n, C, S, S)


@dataclass(frozen=True)
class Shown:
    """The images of one epoch and direction in a report, uint8: outputs of the first inputs (`first`), their ways back (`back`),
    the best and the worst outputs, the colours of all outputs (see `histogram`), and for samples those nearest to a training
    image, with that image (`copies`)."""

    first: Tensor
    back: Tensor | None
    best: Ranked
    worst: Ranked
    colours: np.ndarray
    copies: tuple[Ranked, Tensor] | None = None


@dataclass(frozen=True)
class Evaluation:
    """`metrics`: the content of metrics.json; `shown[epoch][direction]`: images; `ranked_by`: what best and worst mean."""

    metrics: dict[str, Any]
    shown: dict[str, dict[str, Shown]]
    held_out: Piles
    ranked_by: str
    paired: bool = False


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Writes `metrics.json` into `folder` atomically and returns its path. Raises EvaluationError if it cannot be written."""
    path = folder / "metrics.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(evaluation.metrics, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise EvaluationError(f"cannot write {path}: {error.strerror or error}. Free space, or give another --out") from error
    return path


def histogram(x: Tensor) -> np.ndarray:
    """uint8 (N, C, H, W) -> (C, 64): the share of the pixels of each channel in each of 64 ranges, in percent."""
    counts = [torch.bincount(channel.flatten().long() // 4, minlength=64) for channel in x.unbind(1)]
    return 100 * torch.stack(counts).double().numpy() / (x.numel() / x.shape[1])
