"""Adversarial losses as functions of logits, and the image pool."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Adversarial = Literal["lsgan", "bce", "hinge"]


def discriminator_loss(kind: Adversarial, logits: tuple[Tensor, ...], real: bool) -> Tensor:
    """The discriminators' loss of logits (a tuple of (N, 1, h, w), one for each scale) of real or fake images, in fp32; a mean.

    "lsgan": squared distance to 1 or 0 (Mao et al. 2017, as in CycleGAN, section 4). "bce": binary cross entropy of
    the sigmoid, computed on the logits (Goodfellow et al. 2014). "hinge": how far a logit falls short of 1 or exceeds -1 (Lim
    and Ye 2017, "Geometric GAN").
    Raises ValueError for another kind.
    """
    match kind:
        case "lsgan":
            scales = [(x.float() - float(real)).square().mean() for x in logits]
        case "bce":
            # -log sigmoid(x) for real, -log(1 - sigmoid(x)) for fake
            scales = [F.softplus(-x.float() if real else x.float()).mean() for x in logits]
        case "hinge":
            scales = [F.relu(1 - x.float() if real else 1 + x.float()).mean() for x in logits]
        case _:
            raise ValueError(f"adversarial={kind!r}: must be one of lsgan, bce, hinge")
    return torch.stack(scales).mean()


def generator_loss(kind: Adversarial, logits: tuple[Tensor, ...]) -> Tensor:
    """The generators' adversarial loss of the logits of fake images, in fp32: how far these are from "real".

    With "bce" this is the non-saturating form of Goodfellow et al. 2014. With "hinge" it is -D, whose gradient does not vanish
    where the discriminator is certain.
    """
    if kind == "hinge":
        return torch.stack([-x.float().mean() for x in logits]).mean()
    return discriminator_loss(kind, logits, real=True)


def mean_score(kind: Adversarial, logits: tuple[Tensor, ...]) -> Tensor:
    """The discriminator's mean output on the scale where 1 is real and 0 is fake: D(x) of the papers' plots.

    With "hinge", whose margins are 1 and -1, these are mapped to 1 and 0.
    """
    match kind:
        case "bce":
            scales = [torch.sigmoid(x.float()).mean() for x in logits]
        case "hinge":
            scales = [(x.float().mean() + 1) / 2 for x in logits]
        case _:
            scales = [x.float().mean() for x in logits]
    return torch.stack(scales).mean()


def auc(real: tuple[Tensor, ...], fake: tuple[Tensor, ...]) -> Tensor:
    """The share of pairs in which the real image has a higher mean logit than the generated one; ties count half.

    1: the discriminator tells them apart; 1/2: it guesses. `real` and `fake` are the logits of one step, (N, ...) for each
    scale. The mean over many steps, even of one image each, is the area under the ROC curve. A scalar, fp32.
    """
    x, y = (torch.stack([scale.float().reshape(len(scale), -1).mean(1) for scale in logits]).mean(0) for logits in (real, fake))
    return ((x[:, None] > y).float() + 0.5 * (x[:, None] == y).float()).mean()


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the batch of Pearson's correlation between two images (N, C, H, W), over all pixels and channels.

    Below 0, dark has become bright: the colour inversion that CycleGANs may learn early. A constant image counts as 0.
    """
    x, y = (v.float().flatten(1) - v.float().flatten(1).mean(1, keepdim=True) for v in (x, y))
    # `eps` is the smallest norm: above the rounding error of a constant image, below one pixel one level off (2/255).
    return F.cosine_similarity(x, y, dim=1, eps=1e-3).mean()


class ImagePool:
    """The history of generated images that a discriminator is shown (Shrivastava et al. 2017; CycleGAN, section 4).

    Until it holds `size` images, each is stored and returned; after that each one is, with probability 1/2, swapped for a
    random stored one. With size 0 images pass through. Random numbers come from torch's global state on the CPU.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def query(self, images: Tensor) -> Tensor:
        """A batch (N, C, H, W), detached, of which some are older images."""
        images = images.detach()
        if not self.size:
            return images
        shown = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image.clone())
            elif torch.rand(()).item() < 0.5:
                i = int(torch.randint(self.size, ()).item())
                self.images[i], image = image.clone(), self.images[i]
            shown.append(image)
        return torch.stack(shown)

    def state_dict(self) -> dict[str, Any]:
        return {"images": torch.stack(self.images)} if self.images else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.images = list(state["images"].unbind()) if state else []
