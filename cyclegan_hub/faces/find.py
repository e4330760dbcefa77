"""Face detection with five landmarks."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cyclegan_hub.faces.align import alignment, warp
from cyclegan_hub.faces.mtcnn import MTCNN

MAX_PIXELS = 4_000_000  # of the image that is searched; a larger one is reduced to it
# Side of the smallest face that is looked for: in px, and as a share of the root of the image's area.
SMALLEST, SMALLEST_SHARE = 24, 1 / 50
# The landmarks are placed again on an upright crop of the face and on its mirror image: eyes at these shares of its side, twice.
UPRIGHT, ROUNDS = (0.29, 0.36, 0.71, 0.36), 2

_LOCK = threading.Lock()
_FINDER: list[MTCNN] = []  # the one finder, once it is loaded


@dataclass(frozen=True)
class Face:
    """A face in px of its image; left and right are those of the image."""

    box: tuple[float, float, float, float]  # left, top, right, bottom; may reach beyond the image
    landmarks: tuple[complex, ...]  # x + iy: left eye, right eye, nose, left and right end of the mouth
    score: float  # how sure the finder is, from 0.7 to 1

    @property
    def eyes(self) -> tuple[complex, complex]:
        """The left and the right eye, x + iy."""
        return self.landmarks[0], self.landmarks[1]

    @property
    def side(self) -> float:
        """The longer side of its box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def find_faces(image: Image.Image) -> list[Face]:
    """The faces of a decoded image (mode L or RGB), the largest first; [] if there is none.

    It finds faces that are upright within about 45 degrees, of at least 24 px and a fiftieth of the root of the image's area.
    It may be called by several threads at once, each works on one core. Raises FaceFinderError where the finder cannot be loaded.
    """
    finder = _finder()
    image = image.convert("RGB")
    scale = min(1.0, math.sqrt(MAX_PIXELS / (image.width * image.height)))
    if scale < 1:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
    else:
        small = image
    found = finder.detect(small, max(SMALLEST, math.sqrt(small.width * small.height) * SMALLEST_SHARE))
    faces = []
    for box, score, points in zip(found.boxes, found.scores, found.landmarks, strict=True):
        landmarks = _refined(finder, image, (points[:, 0] + 1j * points[:, 1]) / scale)
        faces.append(Face(tuple((box / scale).tolist()), tuple(landmarks.tolist()), float(score)))
    return sorted(faces, key=lambda face: face.side, reverse=True)


def _finder() -> MTCNN:
    with _LOCK:
        if not _FINDER:
            _FINDER.append(MTCNN())
    return _FINDER[0]


@dataclass(frozen=True)
class _Level:
    """Eyes as far apart as in a frontal face of this distance from eyes to mouth; those of a profile are closer together."""

    eyes: tuple[complex, complex]

    @classmethod
    def of(cls, landmarks: np.ndarray) -> _Level:
        left, right = landmarks[:2]
        middle, along = (left + right) / 2, right - left
        apart = max(abs(along), 0.9 * abs(landmarks[3:].mean() - middle), 1.0)
        half = (along / abs(along) if along else 1.0) * apart / 2
        return cls((middle - half, middle + half))


def _refined(finder: MTCNN, image: Image.Image, landmarks: np.ndarray) -> np.ndarray:
    """Landmarks (5,), x + iy, more exact and hardly dependent on the face's tilt."""
    for _ in range(ROUNDS):
        to_image = alignment(_Level.of(landmarks), UPRIGHT, 48)
        crop = warp(image, to_image, (48, 48))
        landmarks = to_image.turn * finder.landmarks(crop) + to_image.shift
    return landmarks
