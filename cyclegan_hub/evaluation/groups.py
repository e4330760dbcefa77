"""How well groups of photographs are translated: the record that `train/groups.py` adds to metrics.json, and the card shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms
from torch import Tensor

from cyclegan_hub.domains import Eyes
from cyclegan_hub.evaluation.record import Metrics
from cyclegan_hub.hub.records import MetricsFileError
from cyclegan_hub.imaging import images

KEY = "groups"  # of metrics.json
WORSE = 4 / 3  # a group is worse if its distance is more than this many times that of its counterpart
# Squares of the cheeks, in distances of the eyes: how far outside and below of each eye their centres lie, and half their side.
OUTSIDE, BELOW, HALF = 0.05, 0.65, 0.15


@dataclass(frozen=True)
class Group:
    """A part of the held-out photographs of A, with the distance of its translations to all real images of B."""

    split: str  # what tells it from its counterpart: "skin", "glasses"
    name: str  # "darker half"
    n: int
    distance: float
    low: float  # of the 95 % interval of the distance
    high: float
    untranslated: float  # the distance of the photographs themselves
    by_eye: str = ""  # how many convinced, such as "7 of 16"


@dataclass(frozen=True)
class GroupTable:
    """The groups of one epoch and direction, measured by one metric."""

    epoch: str
    direction: str
    metric: str
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, metrics: Metrics | None) -> GroupTable | None:
        """The table in a model's metrics; None without one. Raises MetricsFileError for one of another form."""
        content = metrics.other.get(KEY) if metrics else None
        if content is None:
            return None
        try:
            groups = tuple(Group(**group) for group in content["groups"])
            return cls(content["epoch"], content["direction"], content["metric"], groups)
        except (KeyError, TypeError) as error:
            raise MetricsFileError(f"metrics.json: groups cannot be read ({error}): run train/groups.py again") from None

    def to_json(self) -> dict[str, Any]:
        """Its form in metrics.json."""
        return asdict(self) | {"groups": [asdict(group) for group in self.groups]}

    @property
    def worse(self) -> list[Group]:
        """The groups whose distance is more than a third above that of another one of the same split."""
        return [
            one for one in self.groups
            if any(one.split == other.split and one.distance > WORSE * max(other.distance, 0) for other in self.groups)
        ]  # fmt: skip


def typology_angles(faces: Tensor, eyes: Eyes) -> list[float]:
    """The individual typology angle of each aligned face, uint8 (N, 3, S, S), in degrees: larger is lighter.

    The median over both cheeks of arctan((L* - 50) / b*) in CIELAB (Chardon et al. 1991). It is the photograph's: it holds the
    light and the camera as well as the skin. Raises ValueError for grey images.
    """
    if faces.shape[1] != 3:
        raise ValueError("grey images have no typology angle: give colour ones")
    return [_angle(images.to_pil(images.from_uint8(face)), eyes) for face in faces]


def _angle(face: Image.Image, eyes: Eyes) -> float:
    side = face.width
    left, right = complex(eyes[0], eyes[1]) * side, complex(eyes[2], eyes[3]) * side
    across = right - left
    angles = []
    for eye, outwards in ((left, -OUTSIDE), (right, OUTSIDE)):
        centre, half = eye + across * complex(outwards, BELOW), abs(across) * HALF
        box = (centre.real - half, centre.imag - half, centre.real + half, centre.imag + half)
        lightness, _, yellow = _lab(face.crop(box))
        angles.append(np.degrees(np.arctan2(lightness - 50, yellow)).ravel())
    return float(np.median(np.concatenate(angles)))


def _lab(image: Image.Image) -> npt.NDArray[np.float64]:
    """L*, a* and b* (3, H, W) of an sRGB image."""
    converted = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB")
    assert converted is not None  # only with inPlace
    lightness, red, yellow = (np.asarray(band, np.float64) for band in converted.split())
    return np.stack([lightness / 255 * 100, red - 128, yellow - 128])


def halves(values: Sequence[float]) -> tuple[list[int], list[int]]:
    """The indices of the lower and of the upper half of some values; of an odd number the upper half has one more.

    Raises ValueError for a value that is not finite.
    """
    if not all(map(math.isfinite, values)):
        raise ValueError("a value is not finite")
    order = sorted(range(len(values)), key=lambda i: values[i])
    return sorted(order[: len(order) // 2]), sorted(order[len(order) // 2 :])
