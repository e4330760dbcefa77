"""The figures of one set of translations: of their features, of their pixels, and what a classifier says of them.

What cannot be computed is None, and a note says why: one figure that does not exist takes none of the others with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from cyclegan_hub import images, metrics
from cyclegan_hub.evaluation.extractor import Extractor

SUBSET = 1000  # rows in a subset of KID, as in the paper
Figures = dict[str, float | None]


class Classifier(Protocol):
    """Tells side A from side B, such as `features.SideClassifier`."""

    @property
    def label(self) -> str:
        """Its name and weights' hash, for protocol lines."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """uint8 (N, C, H, W) -> (N,): how probable side B is."""
        ...


@dataclass
class Notes:
    """Why figures are missing, a line each."""

    lines: list[str] = field(default_factory=list)

    def attempt(self, where: str, names: Sequence[str], compute: Callable[[], Sequence[float]]) -> Figures:
        """The values of `compute` by name; None where it raises ValueError or a value is not finite, with a line that says so."""
        try:
            values = compute()
        except ValueError as error:
            self.lines.append(f"{where}: no {', '.join(names)}: {error}")
            return dict.fromkeys(names)
        figures: Figures = {}
        for name, value in zip(names, values, strict=True):
            figures[name] = float(value) if math.isfinite(value) else None
            if figures[name] is None:
                self.lines.append(f"{where}: no {name}: its value is {value}, which two equal images give")
        return figures


@dataclass(frozen=True)
class Reference:
    """What one direction's translations are measured against: features of real images of the target side, (N, D).

    Figures of quality are taken against `held_out`; those that ask for copies, against `training`.
    """

    extractor: Extractor
    held_out: Tensor
    training: Tensor
    seed: int

    def figures(self, generated: Tensor, where: str, notes: Notes, training: Tensor | None = None) -> Figures:
        """The figures of generated features (N, D). `training` replaces the training features."""
        training = self.training if training is None else training
        found: Figures = {}

        def add(names: Sequence[str], compute: Callable[[], Sequence[float]]) -> None:
            found.update(notes.attempt(where, [self.extractor.metric(name) for name in names], compute))

        add(["fid"], lambda: [metrics.fid(generated, self.held_out)])
        add(["kid"], lambda: [self.kid(generated)])
        add(["kid_std"], lambda: [self.kid_spread(generated)])
        add(["mifid"], lambda: [metrics.mifid(generated, training)])

        def neighbours() -> Sequence[float]:
            p = metrics.precision_recall(generated, self.held_out)
            return p.precision, p.recall, p.density, p.coverage

        def supports() -> Sequence[float]:
            s = metrics.alpha_beta_authenticity(generated, self.held_out)
            return s.alpha_precision, s.beta_recall, s.integrated_alpha_precision, s.integrated_beta_recall

        add(["precision", "recall", "density", "coverage"], neighbours)
        add(["alpha_precision", "beta_recall", "integrated_alpha_precision", "integrated_beta_recall"], supports)
        add(["authenticity"], lambda: [metrics.alpha_beta_authenticity(generated, training).authenticity])
        add(["diversity"], lambda: [metrics.pairwise_diversity(generated)])
        return found

    def kid(self, generated: Tensor) -> float:
        """KID with subsets of min(1000, N), the mean."""
        return metrics.kid(generated, self.held_out, subset_size=self._most(generated), seed=self.seed).mean

    def kid_spread(self, generated: Tensor) -> float:
        """KID's spread over those subsets; where one of them is everything, over subsets of half of it, or it would be 0."""
        most = self._most(generated)
        size = most // 2 if most == len(generated) == len(self.held_out) else most
        return metrics.kid(generated, self.held_out, subset_size=size, seed=self.seed).spread

    def _most(self, generated: Tensor) -> int:
        return min(SUBSET, len(generated), len(self.held_out))


def of_pixels(inputs: Tensor, outputs: Tensor, back: Tensor, target: Tensor, kept: Tensor, where: str, notes: Notes) -> Figures:
    """Cycle, input against output, and identity, of uint8 images (N, C, H, W).

    `back` are the outputs translated back; `kept` is what the generator into the target side makes of `target`, real images of
    that side. L1 is on the scale of [-1, 1].
    """
    x, z = (images.from_uint8(v) for v in (inputs, back))

    def cycle() -> Sequence[float]:
        s = metrics.similarity(x, z)
        return s.l1, s.psnr, s.ssim

    def identity() -> Sequence[float]:
        return [metrics.similarity(images.from_uint8(target), images.from_uint8(kept)).l1]

    return {
        **notes.attempt(where, ["cycle_l1", "cycle_psnr", "cycle_ssim"], cycle),
        **of_change(inputs, outputs, where, notes),
        **notes.attempt(where, ["identity_l1"], identity),
    }


def of_change(inputs: Tensor, outputs: Tensor, where: str, notes: Notes) -> Figures:
    """Input against output, uint8 (N, C, H, W) both."""
    x, y = (images.from_uint8(v) for v in (inputs, outputs))

    def change() -> Sequence[float]:
        s = metrics.similarity(x, y)
        return s.l1, s.ssim

    def colours() -> Sequence[float]:
        c = metrics.colour_correlation(x, y)
        return c.mean, c.inverted

    return {
        **notes.attempt(where, ["input_output_l1", "input_output_ssim"], change),
        **notes.attempt(where, ["colour_correlation", "inverted"], colours),
    }


def of_truth(outputs: Tensor, target: Tensor, where: str, notes: Notes) -> Figures:
    """Outputs against the real ones that belong to them, uint8 (N, C, H, W) both: L1 on the scale of [-1, 1], PSNR, SSIM."""

    def truth() -> Sequence[float]:
        s = metrics.similarity(images.from_uint8(target), images.from_uint8(outputs))
        return s.l1, s.psnr, s.ssim

    return notes.attempt(where, ["truth_l1", "truth_psnr", "truth_ssim"], truth)


def others_l1(inputs: Tensor) -> float | None:
    """Mean L1 between an input and the next one: about what a way back reaches that has lost its input. None for one image."""
    if len(inputs) < 2:
        return None
    x = images.from_uint8(inputs)
    return (x - x.roll(1, 0)).abs().mean().item()


def towards_target(classifier: Classifier, outputs: Tensor, direction: str) -> Tensor:
    """(N,): how probable the target side is for each uint8 image, 0 to 1."""
    side_b = classifier(outputs)
    return 1 - side_b if direction == "b_to_a" else side_b


def success(probability: Tensor) -> float:
    """The share of translations that the classifier calls the target side: more probable than the source side."""
    return (probability > 0.5).double().mean().item()


def nearest_to(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """(N,), (N,): how far each row is from the nearest real one, and which that is."""
    return torch.cdist(generated.double(), real.double()).min(1)


def distance_to(generated: Tensor, real: Tensor) -> Tensor:
    """(N,): from each row to the nearest real one."""
    return nearest_to(generated, real)[0]
