"""Computes each metric: functions of a `Subject` that return figures by their names in `metric_rows`.

A function raises ValueError, with the reason, if its figures cannot be computed; the value None gives no figure and no note.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from cyclegan_hub import images, metrics
from cyclegan_hub.evaluation.subject import Subject

SUBSET = 1000  # rows in a subset of KID, as in the paper
Found = Mapping[str, float | None]


def fid(s: Subject) -> Found:
    return {"fid": metrics.fid(s.features, s.reference.held_out)}


def kid(s: Subject) -> Found:
    """KID: the mean over subsets of min(1000, N) images."""
    found = metrics.kid(s.features, s.reference.held_out, subset_size=_most(s), seed=s.reference.seed)
    return {"kid": found.mean}


def kid_spread(s: Subject) -> Found:
    """The standard deviation of KID over the subsets; over subsets of half the images where one would hold them all."""
    most = _most(s)
    size = most // 2 if most == len(s.features) == len(s.reference.held_out) else most
    return {"kid_std": metrics.kid(s.features, s.reference.held_out, subset_size=size, seed=s.reference.seed).spread}


def _most(s: Subject) -> int:
    return min(SUBSET, len(s.features), len(s.reference.held_out))


def kid_ends(s: Subject) -> Found:
    found = metrics.kid_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"kid_low": found.low, "kid_high": found.high}


def mmd(s: Subject) -> Found:
    """MMD and its interval, times 100."""
    found = metrics.mmd_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"mmd": 100 * found.value, "mmd_low": 100 * found.low, "mmd_high": 100 * found.high}


def mifid(s: Subject) -> Found:
    return {"mifid": metrics.mifid(s.features, s.reference.training)}


def neighbours(s: Subject) -> Found:
    return asdict(metrics.precision_recall(s.features, s.reference.held_out))


def supports(s: Subject) -> Found:
    real, within = s.reference.held_out, s.reference.within_supports
    found = asdict(metrics.alpha_beta_authenticity(s.features, real, within_supports=within))
    return {name: found[name] for name in found if name != "authenticity"}


def authenticity(s: Subject) -> Found:
    return {"authenticity": metrics.alpha_beta_authenticity(s.features, s.reference.training).authenticity}


def diversity(s: Subject) -> Found:
    return {"diversity": metrics.pairwise_diversity(s.features)}


def diversity_share(s: Subject) -> Found:
    """The diversity of the outputs divided by that of the real held-out images."""
    real = metrics.pairwise_diversity(s.reference.held_out)
    if not real:
        raise ValueError("all real images have the same features: there is no diversity to compare with")
    return {"diversity_share": metrics.pairwise_diversity(s.features) / real}


def content(s: Subject) -> Found:
    assert s.inputs_features is not None
    found = metrics.content_kept(s.inputs_features, s.features)
    return {"content_distance": found.distance, "content_share": found.share}


def success(s: Subject) -> Found:
    """The share of outputs that the classifier takes for the target side, rather than for the source side or neither."""
    assert s.answers is not None
    return {
        "success": (s.answers.argmax(1) == 0).double().mean().item(),
        "neither": (s.answers.argmax(1) == 2).double().mean().item(),
    }


def cycle(s: Subject) -> Found:
    found = _similarity(s.inputs, s.back)
    return {"cycle_l1": found.l1, "cycle_psnr": found.psnr, "cycle_ssim": found.ssim}


def change(s: Subject) -> Found:
    found = _similarity(s.inputs, s.outputs)
    return {"input_output_l1": found.l1, "input_output_ssim": found.ssim}


def colours(s: Subject) -> Found:
    found = metrics.colour_correlation(*_floats(s.inputs, s.outputs))
    return {"colour_correlation": found.mean, "inverted": found.inverted}


def identity(s: Subject) -> Found:
    return {"identity_l1": _similarity(s.target, s.identity).l1}


def truth(s: Subject) -> Found:
    found = _similarity(s.truth, s.outputs)
    return {"truth_l1": found.l1, "truth_psnr": found.psnr, "truth_ssim": found.ssim}


def others(s: Subject) -> Found:
    """Mean L1 between an input and the next one: about the L1 of a way back that has lost its input. None for one image."""
    assert s.others is not None
    if len(s.others) < 2:
        return {"others_l1": None}
    x = images.from_uint8(s.others)
    return {"others_l1": (x - x.roll(1, 0)).abs().mean().item()}


def _similarity(x: Tensor | None, y: Tensor | None) -> metrics.Similarity:
    return metrics.similarity(*_floats(x, y))


def _floats(*parts: Any) -> tuple[Tensor, Tensor]:
    x, y = (images.from_uint8(part) for part in parts)
    return x, y
