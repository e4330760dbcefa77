"""models/ensemble.py: what a network adds, as the mean over shifted and mirrored copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.models.ensemble import COPIES, ensembled
from support.pixels import pixels
from support.translations import LANDSCAPE, PORTRAIT, faces_model, tiny

Change = Callable[[np.ndarray], np.ndarray]


def changes(change: Change, *images: Image.Image) -> list[np.ndarray]:
    """What an ensemble of a network with this change adds to each image, (H, W, C) or (H, W)."""

    def run(inputs: Sequence[Image.Image]) -> list[Image.Image]:
        return [Image.fromarray((np.asarray(one) + change(np.asarray(one))).astype(np.uint8)) for one in inputs]

    return [pixels(after) - pixels(image) for after, image in zip(ensembled(run)(images), images, strict=True)]


def dark(mode: str = "RGB", seed: int = 0) -> Image.Image:
    size = (12, 16) if mode == "L" else (12, 16, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 120, size, np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_stain_at_one_place_of_the_network_is_a_quarter_as_strong(mode: str) -> None:
    def stain(x: np.ndarray) -> np.ndarray:
        result = np.zeros_like(x)
        result[6, 5] = 100
        return result

    (found,) = changes(stain, dark(mode))
    assert found.max() == 25 and (found.reshape(12, 16, -1)[..., 0] > 0).sum() == len(COPIES)


def test_a_change_that_follows_the_image_stays_as_it_is_and_the_images_keep_their_order() -> None:
    one, other = dark(seed=1), dark(seed=2)
    for image, found in zip((one, other), changes(lambda x: x // 2, one, other), strict=True):
        assert np.array_equal(found[2:-2, 2:-2], pixels(image)[2:-2, 2:-2] // 2)  # what enters at the borders is mirrored


def test_a_change_that_knows_left_from_right_is_shared_by_both() -> None:
    (found,) = changes(lambda x: np.broadcast_to(np.where(np.arange(16) < 8, 40, 0)[None, :, None], x.shape), dark())
    assert np.all(found[:, :5] == 20) and np.all(found[:, -5:] == 20)


def test_faces_of_a_model_with_the_skip_are_ensembled_and_nothing_else() -> None:
    faces = faces_model(skip=True)
    for options in ({}, {"detail": False}, {"whole": True}):
        single = pixels(faces.translate(PORTRAIT, ensemble=False, **options))
        assert np.array_equal(
            pixels(faces.translate(PORTRAIT, **options)), pixels(faces.translate(PORTRAIT, ensemble=True, **options))
        )
        assert not np.array_equal(pixels(faces.translate(PORTRAIT, **options)), single)
    for model, image in ((faces_model(), PORTRAIT), (tiny(skip=True, image_size=32), LANDSCAPE)):
        assert np.array_equal(pixels(model.translate(image)), pixels(model.translate(image, ensemble=False)))
    landscape = tiny(skip=True, image_size=32)
    assert not np.array_equal(pixels(landscape.translate(LANDSCAPE, ensemble=True)), pixels(landscape.translate(LANDSCAPE)))
