"""Where the faces of a picture are, if the optional detector is installed (`pip install dlib-bin`), and a crop around one."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cyclegan_hub.domains import FACE_SHARE

DETECT_AT = 640  # px of the longer side; the detector finds faces of 80 px and more, an eighth of it
MOST_ENLARGED = 4  # beyond that there is nothing in a picture to be found
LIFT = 0.13  # in boxes, how far a face's centre lies below the picture's: 0.57 of the height (as FACE_SHARE was measured)

_LOCK = threading.Lock()
_DETECTOR: list[Any] = []  # the one detector once it is made; it keeps buffers, so one thread at a time


class Box(NamedTuple):
    """A rectangle in pixels of a picture, `right` and `bottom` outside; a detected one may reach over the picture's border."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def side(self) -> int:
        """The longer of its sides."""
        return max(self.right - self.left, self.bottom - self.top)


def find_faces(image: Image.Image) -> list[Box] | None:
    """The frontal faces in a decoded image (of HOG features, Dalal and Triggs 2005), the largest first; [] if there is none.

    None where there is no detector: not installed, or it does not work here. Never raises.
    """
    scale = min(DETECT_AT / max(image.size), MOST_ENLARGED)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    with _LOCK:
        try:
            if not _DETECTOR:
                import dlib

                _DETECTOR.append(dlib.get_frontal_face_detector())
            found = _DETECTOR[0](np.asarray(small), 0)
        except Exception:  # ImportError, or whatever a foreign library does: a page without face detection is still a page
            return None
    boxes = [Box(*(round(x / scale) for x in (r.left(), r.top(), r.right() + 1, r.bottom() + 1))) for r in found]
    return sorted(boxes, key=lambda box: box.side, reverse=True)


def crop(image: Image.Image, box: Box, share: float = FACE_SHARE) -> Image.Image:
    """The square around a face that shows as much of the head as training images do, moved or shrunk into the picture.

    `share` is how much of the square's side the face's box takes.
    """
    side = max(1, min(round(box.side / share), *image.size))
    left = (box.left + box.right - side) // 2
    top = (box.top + box.bottom - side) // 2 - round(box.side * LIFT)
    left, top = (min(max(0, start), room - side) for start, room in zip((left, top), image.size, strict=True))
    return image.crop((left, top, left + side, top + side))


def closer(image: Image.Image, share: float) -> Image.Image:
    """The part of a square that was cropped with FACE_SHARE in which the face takes `share`; the same square for FACE_SHARE."""
    side, centre = round(FACE_SHARE * image.width), round((0.5 + LIFT * FACE_SHARE) * image.height)
    left, top = (image.width - side) // 2, centre - side // 2
    return crop(image, Box(left, top, left + side, top + side), share)
