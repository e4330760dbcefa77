"""A small model whose two directions differ, pictures for it, and what its bare network makes of them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from cyclegan_hub.imaging import images
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.generators import init_weights
from support.photos import photo, scaled

EYES = (0.3, 0.45, 0.7, 0.45)  # of `faces_model`
PORTRAIT, LANDSCAPE = photo("examples/grace_hopper_face"), photo("rocket")  # 320 px, eyes 72 px apart; 320 x 214 px, no face


def tiny(**changes: object) -> CycleGenerator:
    """A small model whose two directions differ and whose translations have contrast."""
    torch.manual_seed(0)
    model = CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16, "labels": ("day", "night")} | changes)
    init_weights(model, std=0.2)
    return model.eval()


def faces_model(**changes: object) -> CycleGenerator:
    """A to B takes faces, B to A any image."""
    return tiny(**{"image_size": 32, "eyes_a": EYES} | changes)


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), np.random.default_rng(seed).bytes(width * height * bands))


def by_hand(network: nn.Module, image: Image.Image) -> Image.Image:
    """Straight through a network whose multiple the image's sides are."""
    with torch.no_grad():
        return images.to_pil(network(images.to_tensor(image)[None])[0])


def transparent(image: Image.Image) -> Image.Image:
    result = image.convert("RGBA")
    result.putalpha(Image.linear_gradient("L").resize(image.size))
    return result


def two_faces() -> Image.Image:
    """A landscape with two portraits in it, the smaller one at the left."""
    image = scaled(LANDSCAPE, 1.5)
    image.paste(scaled(PORTRAIT, 0.35), (10, 20))
    image.paste(scaled(photo("astronaut_face"), 1.1), (230, 60))
    return image
