"""The arguments of metrics: outputs of one direction, and the real images and features with which they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from cyclegan_hub.evaluation.extractor import Extractor


class Classifier(Protocol):
    """Tells side A, side B and (some classifiers) neither of them apart, such as `domain_encoder.SideClassifier`."""

    @property
    def label(self) -> str:
        """Its description in the protocol: name and hash of the weights."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """uint8 (N, C, H, W) -> (N, 2): the probabilities of side A and side B; the remainder to 1 is that of neither."""
        ...


@dataclass(frozen=True)
class Reference:
    """Features (N, D) of real images of the target side, with which the outputs of one direction are compared.

    Figures of quality use `held_out`, those that look for copies `training`. `seed` chooses subsets, `within_supports` says how
    alpha-precision and beta-recall are counted (see `metrics.alpha_beta_authenticity`).
    """

    extractor: Extractor
    held_out: Tensor
    training: Tensor
    seed: int
    within_supports: bool = False


@dataclass(frozen=True)
class Subject:
    """The outputs of one direction. A field that does not exist for a method is None; metrics that need it are left out.

    Images are uint8 (N, C, S, S). Rows of `inputs`, `outputs` and `back` (the outputs translated back) belong together; so do
    those of `target` (real images of the target side) and `identity` (the same images through the generator into that side).
    `truth`: the real outputs, for pairs. `others`: the inputs, if the inputs themselves are measured as a baseline.
    `answers` (N, 3): the classifier's probabilities of target side, source side and neither.
    """

    features: Tensor  # (N, D) of the outputs
    reference: Reference
    inputs_features: Tensor | None = None  # (N, D)
    inputs: Tensor | None = None
    outputs: Tensor | None = None
    back: Tensor | None = None
    target: Tensor | None = None
    identity: Tensor | None = None
    truth: Tensor | None = None
    others: Tensor | None = None
    answers: Tensor | None = None
