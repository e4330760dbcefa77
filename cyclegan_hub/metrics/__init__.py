"""How good translations are: pure functions of feature arrays (N, D) and of images (N, C, H, W).

Features may be NumPy arrays or tensors on any device; the arithmetic is float64 on the CPU, the results are plain floats or
frozen dataclasses of floats. Where features come from is not decided here: a metric is only as meaningful as its extractor.
"""

from __future__ import annotations

from cyclegan_hub.metrics.arrays import standardised
from cyclegan_hub.metrics.distances import fid, memorisation_distance, mifid
from cyclegan_hub.metrics.kernels import Interval, KernelDistance, kid, kid_interval, mmd, mmd_interval
from cyclegan_hub.metrics.neighbours import ContentKept, PrecisionRecall, content_kept, pairwise_diversity, precision_recall
from cyclegan_hub.metrics.pixels import ColourCorrelation, Similarity, colour_correlation, similarity
from cyclegan_hub.metrics.supports import AlphaBetaAuthenticity, alpha_beta_authenticity

__all__ = [
    "AlphaBetaAuthenticity",
    "ColourCorrelation",
    "ContentKept",
    "Interval",
    "KernelDistance",
    "PrecisionRecall",
    "Similarity",
    "alpha_beta_authenticity",
    "colour_correlation",
    "content_kept",
    "fid",
    "kid",
    "kid_interval",
    "memorisation_distance",
    "mifid",
    "mmd",
    "mmd_interval",
    "pairwise_diversity",
    "precision_recall",
    "similarity",
    "standardised",
]
