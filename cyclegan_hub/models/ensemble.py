"""Self-ensemble of a network that adds a change to its input: the mean change over shifted and mirrored copies. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclegan_hub.models.batches import Run

Pixels: TypeAlias = npt.NDArray[np.int16]

# (right, down, mirrored) of each copy, in px. The network halves its maps twice, so a shift by 4 px changes nothing inside.
COPIES = ((0, 0, False), (2, 2, True), (1, -1, False), (-1, 1, True))


def ensembled(run: Run) -> Run:
    """`run`, a network on images of one size, with the mean over `COPIES` of what it adds to each image.

    Stains and stray lines depend on where the network's grid falls and on which side is which; a smile does not. The image stays
    as sharp as it is, since only changes are averaged. As in Timofte et al. 2016 and Lim et al. 2017, section 3.4, for
    super-resolution; shifts as in Coifman and Donoho 1995.
    """

    def mean(images: Sequence[Image.Image]) -> list[Image.Image]:
        given = [np.asarray(image, np.int16) for image in images]
        sums: list[Pixels] = [np.zeros_like(pixels) for pixels in given]
        for right, down, mirrored in COPIES:
            copies = [_moved(pixels, right, down) for pixels in given]
            copies = [pixels[:, ::-1] if mirrored else pixels for pixels in copies]
            outputs = run([Image.fromarray(pixels.astype(np.uint8)) for pixels in copies])
            for total, copy, output in zip(sums, copies, outputs, strict=True):
                change = np.asarray(output, np.int16) - copy
                total += _moved(change[:, ::-1] if mirrored else change, -right, -down)
        results = [pixels + np.rint(total / len(COPIES)) for pixels, total in zip(given, sums, strict=True)]
        return [Image.fromarray(pixels.clip(0, 255).astype(np.uint8)) for pixels in results]

    return mean


def _moved(pixels: Pixels, right: int, down: int) -> Pixels:
    """Pixels moved by at most 2 px; what enters at the borders is mirrored."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, [(2, 2), (2, 2)] + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")
    return padded[2 - down : 2 - down + height, 2 - right : 2 - right + width]
