"""Fréchet distances between two sets of features: FID and MiFID."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cyclegan_hub.metrics.arrays import Features, blocks, pair

_COPY = 1e-12  # a mean cosine distance below this is rounding: every row is a copy


def fid(generated: Features, real: Features) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features, (N, D) and (M, D); 0 or more, smaller is closer.

    |mean difference|² + trace(S + T - 2 (S T)^(1/2)) with unbiased covariances S and T (Heusel et al. 2017, section 4). It is
    plain "FID" only with Inception-v3 features. It is right for any N and M from 2, also for N < D, where the covariances are
    singular; but its expectation falls with N and M, the more so the larger D is. Compare values of equal N and M only, and with
    a few hundred images read `kid` beside it. Raises ValueError as `arrays.pair` does.
    """
    return _frechet(*pair(generated, real, "real", (2, 2), "a covariance"))


def _frechet(x: Tensor, y: Tensor) -> float:
    a, b = (v - v.mean(0) for v in (x, y))
    a, b = (_factor(v) / math.sqrt(len(rows) - 1) for v, rows in ((a, x), (b, y)))
    # S = a'a and T = b'b, so the roots of the eigenvalues of S T are the singular values of a b'. These keep all their digits
    # where S T is singular; a matrix root does not, nor do the eigenvalues of the product.
    root = torch.linalg.svdvals(a @ b.T).sum()
    means = (x.mean(0) - y.mean(0)).square().sum()
    return max(0.0, float(means + a.square().sum() + b.square().sum() - 2 * root))  # equal sets may round to below 0


def _factor(centred: Tensor) -> Tensor:
    """A matrix r with r'r = centred' centred, of min(N, D) rows."""
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def memorisation_distance(generated: Features, training: Features) -> float:
    """Mean over GENERATED rows of the least 1 - |cos| to any training row: 0 (all are copies) to 1.

    As Kaggle defines it for MiFID (Bai et al. 2021). The mean is not over the training rows: one generated copy of each
    training image among many new ones would then count as full memorisation.
    Raises ValueError as `arrays.pair` does, and for a row of zeros, which has no direction.
    """
    return _memorisation(*pair(generated, training, "training", (1, 1), "a nearest training image"))


def _memorisation(x: Tensor, y: Tensor) -> float:
    a, b = _directions(x, "generated"), _directions(y, "training")
    cosines = torch.cat([(a[block] @ b.T).abs().amax(1) for block in blocks(len(a), len(b))])
    return max(0.0, (1 - cosines).mean().item())  # a copy may round to below 0


def _directions(x: Tensor, name: str) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if not norms.all():
        raise ValueError(f"{name}: row {int(norms.argmin())} is all zeros and has no direction: leave that image out")
    return x / norms


def mifid(generated: Features, training: Features, threshold: float = 0.1) -> float:
    """Memorisation-informed FID as Kaggle scores it: `fid` / d, with d = `memorisation_distance` if below `threshold`, else 1.

    `training` are the images that were trained on, which FID is taken against too. torchmetrics 1.9 averages d over
    the training rows instead. Raises ValueError as these two do, and where d is 0, which leaves no finite value.
    """
    x, y = pair(generated, training, "training", (2, 2), "a covariance")
    d = _memorisation(x, y)
    if d < min(_COPY, threshold):
        raise ValueError("every generated row is a copy of a training row: MiFID divides by their distance, 0; look at fid")
    return _frechet(x, y) / (d if d < threshold else 1.0)
