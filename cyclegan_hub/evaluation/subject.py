"""What a metric may look at: the outputs of one direction, and the real images and features that they are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from cyclegan_hub.evaluation.extractor import Extractor


class Classifier(Protocol):
    """Tells side A from side B and, if it can, from what is neither, such as `domain_encoder.SideClassifier`."""

    @property
    def label(self) -> str:
        """Its name and weights' hash, for protocol lines."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """uint8 (N, C, H, W) -> (N, 2): how probable side A and side B are; what is left of 1 is neither."""
        ...


@dataclass(frozen=True)
class Reference:
    """What one direction's outputs are measured against: features (N, D) of real images of the target side.

    Figures of quality are taken against `held_out`; those that ask for copies, against `training`. `seed` is that of subsets,
    `within_supports` how alpha-precision and beta-recall are counted (see `metrics.alpha_beta_authenticity`).
    """

    extractor: Extractor
    held_out: Tensor
    training: Tensor
    seed: int
    within_supports: bool = False


@dataclass(frozen=True)
class Subject:
    """The outputs of one direction. What a method does not have is None, and so are the metrics that need it.

    Pixels are uint8 (N, C, S, S), rows belong together: `inputs`, what they were translated to (`outputs`), that translated back
    (`back`); `target`, real images of the target side, and what the generator into that side makes of them (`identity`).
    `truth` are the real outputs of pairs, `others` the inputs where the inputs themselves are measured as a baseline.
    `answers` (N, 3) holds how probable the classifier finds the target side, the source side, and neither.
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
