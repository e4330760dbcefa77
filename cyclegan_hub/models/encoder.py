"""The domain encoder: a small CNN that classifies images of all domains, for features and to evaluate translations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.imaging import images


class SideEncoder(nn.Module, StrictHubMixin, library_name="cyclegan_hub", tags=["image-classification", "cyclegan"]):
    """Classifies images of `domains`, e.g. {"smile": ["not smiling", "smiling"], "monet": ["photo", "Monet"]}.

    `widths` are the channels of its stages, each of which halves the image; batch norm and ReLU after every convolution, a
    second convolution in the stages between the first and the last. The head sees the last stage's mean over the pixels.
    Domains are ordered by their names; each has K = 3 answers: A, B, and neither of the two (noise, an early or broken output,
    anything else), or with `neither` False only A and B. `image_size` is the side of its inputs, in pixels.
    """

    # Encoders from before the third answer.
    _since: ClassVar[Mapping[int, Mapping[str, Any]]] = {2: {"neither": False}}

    def __init__(
        self,
        domains: Mapping[str, Sequence[str]],
        widths: Sequence[int] = (32, 64, 128, 256),
        image_size: int = 64,
        neither: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(domains, Mapping) or not domains:
            raise ValueError(f"domains={domains!r}: give the labels of A and B of at least one domain, by its name")
        for name, labels in domains.items():
            if isinstance(labels, str) or len(labels) != 2 or not all(isinstance(label, str) and label for label in labels):
                raise ValueError(f"labels {labels!r} of domain {name!r}: give two, of A and of B")
        if len(widths) < 2 or any(type(n) is not int or n < 1 for n in (*widths, image_size)) or image_size < 2 ** len(widths):
            raise ValueError(
                f"widths={widths!r}, image_size={image_size!r}: give at least two widths of at least 1, and an image that "
                f"can be halved as often"
            )
        # By name, since config.json is written with sorted keys.
        self.domains = {name: (domains[name][0], domains[name][1]) for name in sorted(domains)}
        self.image_size = image_size
        self.answers = 3 if neither else 2
        inputs = (3, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *_convolution(below, width, 5 if i == 0 else 3, stride=2),
                *(_convolution(width, width, 3) if 0 < i < len(widths) - 1 else ()),
            )
            for i, (below, width) in enumerate(zip(inputs, widths, strict=True))
        )
        self.head = nn.Linear(widths[-1], self.answers * len(self.domains))
        self.register_buffer("spread", torch.ones(sum(widths)))

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(domain, label) of each column of `logits`; the third answer's label is "neither"."""
        return [(name, label) for name, labels in self.domains.items() for label in (*labels, "neither")[: self.answers]]

    def prepare(self, x: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 -> float32 (N, 3, S, S) in [-1, 1], S the image size, resized by torch's antialiased
        bicubic filter (Pillow's, without its rounding); grey is repeated, what is not square is squashed."""
        y = images.from_uint8(x)
        if y.shape[-2:] != (self.image_size, self.image_size):
            size = (self.image_size, self.image_size)
            y = F.interpolate(y, size, mode="bicubic", align_corners=False, antialias=True).clamp(-1, 1)
        return y.expand(-1, 3, -1, -1)

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> (N, D): the mean over the pixels of every stage, D = sum of the widths, each divided by its
        spread over the training images (`fit_spread`).

        All stages, since training makes the last one blind to what does not separate A and B: under a checkerboard of +-8 grey
        levels the bundled encoder's last stage puts paintings at 1.41 times the Fréchet distance of untouched ones, all of them
        at 2.15 times.
        """
        return self._pooled(x) / self.get_buffer("spread")

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> (N, K x domains)."""
        logits: Tensor = self.head(self._pooled(x)[:, -self.head.in_features :])
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def answer_logits(self, x: Tensor, domain: str) -> Tensor:
        """(N, 3, S, S) in [-1, 1] -> (N, K): A, B and, if it has that answer, neither. Raises ValueError for a domain that it was
        not trained on."""
        if domain not in self.domains:
            raise ValueError(f"the encoder does not know domain {domain!r}; it knows {', '.join(self.domains)}")
        start = self.answers * list(self.domains).index(domain)
        return self.logits(x)[:, start : start + self.answers]

    def fit_spread(self, pooled: Tensor) -> None:
        """Sets `spread` to the standard deviation of the columns of `pooled` (N, D), features of training images.

        A constant column keeps 1.
        """
        spread = pooled.std(0)
        self.get_buffer("spread").copy_(torch.where(spread > 1e-4, spread, 1.0))

    def _pooled(self, x: Tensor) -> Tensor:
        means = []
        for stage in self.stages:
            x = stage(x)
            means.append(x.float().mean((2, 3)))
        return torch.cat(means, 1)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(True)
