"""A small model whose two directions differ, pictures for it, and what its bare network makes of them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from cyclegan_hub import images
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import init_weights


def tiny(**changes: object) -> CycleGenerator:
    """A small model whose two directions differ and whose translations have contrast."""
    torch.manual_seed(0)
    model = CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16, "labels": ("day", "night")} | changes)
    init_weights(model, std=0.2)
    return model.eval()


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), np.random.default_rng(seed).bytes(width * height * bands))


def by_hand(network: nn.Module, image: Image.Image) -> Image.Image:
    """Straight through a network whose multiple the image's sides are."""
    with torch.no_grad():
        return images.to_pil(network(images.to_tensor(image)[None])[0])
