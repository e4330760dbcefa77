"""Pairs for pix2pix: how an input is derived from its target. No torch on import.

A rule is a deterministic function of tensors, so that the same one serves in training, in a published model and in the
evaluation. To add one, write a row here and its name into `Pix2PixRecipe.pairs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's mode "L"


@dataclass(frozen=True)
class PairRule:
    """How the input of a pair is derived from its target; with `derived` False the pairs are given as they are."""

    name: str
    description: str = ""  # of the input, for cards
    input_label: str = ""  # label of the input, with {} for the label of the target; "": the label of the other domain
    usage: str = "Give it a whole image: its input is made by the rule above."  # the input of `translate`, for cards
    derived: bool = True
    grey: bool = False  # the colours are removed
    needs_colours: bool = False  # grey images leave nothing to learn
    scale: int = 1  # the size is divided by this, and multiplied again by bicubic interpolation
    enlarges: bool = False  # `translate` takes the small image and returns it `scale` times as large
    has_truth: bool = True  # False: learned from one domain and applied to the other, so there is no real output to compare with

    def input_of(self, target: Tensor) -> Tensor:
        """Targets (N, C, H, W) in [-1, 1] -> inputs of the same shape and range; H and W are multiples of `scale`."""
        import torch.nn.functional as F  # here, because recipes are read without torch

        x = grey(target) if self.grey else target
        return enlarge(F.avg_pool2d(x, self.scale), self.scale) if self.scale > 1 else x

    def label_of_input(self, target: str) -> str:
        """The label of the input for that of the target; "" where the rule has none."""
        return self.input_label.format(target)


def grey(x: Tensor) -> Tensor:
    """Luma in every channel: (N, C, H, W) -> (N, C, H, W); an image of one channel stays."""
    if x.shape[1] == 1:
        return x
    weights = x.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).expand_as(x)


def enlarge(x: Tensor, scale: int) -> Tensor:
    """(N, C, h, w) -> (N, C, scale h, scale w), bicubic, kept in [-1, 1]."""
    import torch.nn.functional as F

    return F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False).clamp(-1, 1)


PAIR_RULES: dict[str, PairRule] = {
    rule.name: rule
    for rule in (
        PairRule("given", usage="Give it images like the inputs it was trained on.", derived=False),
        PairRule(
            "colorize",
            description="the image without its colours (BT.601 luma)",
            input_label="{} in grey",
            usage="Give it a whole image, with or without colours: its input is made by the rule above.",
            grey=True,
            needs_colours=True,
        ),
        PairRule(
            "upscale-4x",
            description="the image at a quarter of its size (means of 4x4 pixels), enlarged again (bicubic)",
            input_label="small {}",
            usage="Give it the small image: the result is four times as large.",
            scale=4,
            enlarges=True,
        ),
        # Neither colour nor brushwork is left: the inputs made from paintings resemble those made from photos.
        PairRule(
            "repaint",
            description="the image without its colours, at a quarter of its size and enlarged again (bicubic)",
            grey=True,
            scale=4,
            has_truth=False,
        ),
    )
}
