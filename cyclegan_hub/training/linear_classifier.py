"""A logistic regression on principal components: the plain classifier that the encoder's accuracy is compared with."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

COMPONENTS = 64  # principal components of the pixels, each scaled to unit deviation over the training images
PENALTY = 1e-2  # of the squared weights


def linear_accuracy(
    train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], prepare: Callable[[Tensor], Tensor]
) -> tuple[float, float]:
    """The shares in [0, 1] of the held-out images of A and of B that a linear classifier takes for their own side.

    `prepare` turns uint8 (N, 3, H, W) into (N, 3, S, S), S the same for all. The components are those of both training sides
    together; each side counts equally, however many images it has. Random numbers from torch's global generator.
    """
    pixels = [torch.cat([prepare(part).flatten(1) for part in side.split(256)]) for side in (*train, *held_out)]
    x = torch.cat(pixels[:2])
    mean = x.mean(0)
    _, _, axes = torch.pca_lowrank(x - mean, q=min(COMPONENTS, len(x), x.shape[1]), center=False, niter=4)
    scale = ((x - mean) @ axes).std(0).clamp(min=1e-6)
    a, b, *others = [(side - mean) @ axes / scale for side in pixels]
    weights = torch.zeros(axes.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        sides = F.softplus(_logits(a, weights)).mean() + F.softplus(-_logits(b, weights)).mean()
        value: Tensor = sides / 2 + PENALTY * weights[:-1].square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        of_a, of_b = (_logits(side, weights) > 0 for side in others)
    return int((~of_a).sum()) / len(of_a), int(of_b.sum()) / len(of_b)


def _logits(x: Tensor, weights: Tensor) -> Tensor:
    """Of side B; the last weight is the bias."""
    return x @ weights[:-1] + weights[-1]
