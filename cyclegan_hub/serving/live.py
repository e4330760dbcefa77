"""A face followed through the frames of a camera, without trembling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import Face, align
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.photos import scaled, search

SEARCH_SIZE = 320  # px of the longer side at which a frame is searched for faces
# A move of the face, in distances of the eyes: from JUMP on it is followed at once, a smaller one smoothed.
JUMP, MIN_WEIGHT = 0.25, 0.1
MAX_MISSED = 5  # frames without the face for which its last place is used


@dataclass(frozen=True)
class Track:
    """The face of one stream: what is kept from frame to frame."""

    face: Face  # its landmarks smoothed
    missed: int = 0  # frames since it was last found


class LiveFrame(NamedTuple):
    """One translated frame, RGB."""

    before: Image.Image  # the network's input
    after: Image.Image
    track: Track | None  # for the next frame; None: no face was found, and the centred square was translated


def prepare_frame(frame: Image.Image, eyes: Eyes | None, size: int, track: Track | None) -> tuple[Image.Image, Track | None]:
    """Returns (the network's input of `size` px: the face that is followed, or the centred square; the track)."""
    track = follow(track, find_in_frame(frame)) if eyes else None
    return align(frame, track.face, eyes, size) if track and eyes else images.square(frame, size), track


def find_in_frame(frame: Image.Image) -> list[Face]:
    """The faces of a frame, the largest first, found on a smaller copy."""
    small = frame.copy()
    small.thumbnail((SEARCH_SIZE, SEARCH_SIZE))
    return [scaled(face, frame.width / small.width) for face in search(small)]


def follow(track: Track | None, faces: Sequence[Face]) -> Track | None:
    """The track after a frame with these faces (the largest first): of the face nearest to the last one.

    Its landmarks are an exponential moving average, whose weight grows with the distance that it moved. Where the nearest face
    moved by more than the distance of the eyes, the largest face is followed. None after more than MAX_MISSED frames without a
    face.
    """
    if track is None:
        return Track(faces[0]) if faces else None
    if not faces:
        return replace(track, missed=track.missed + 1) if track.missed < MAX_MISSED else None
    nearest = min(faces, key=lambda face: _move(track.face, face))
    move = _move(track.face, nearest)
    if move >= JUMP:
        return Track(nearest if move < 1 else faces[0])
    weight = max(MIN_WEIGHT, move / JUMP)
    before = track.face.landmarks
    smoothed: Any = tuple(was + weight * (now - was) for was, now in zip(before, nearest.landmarks, strict=True))
    return Track(replace(nearest, landmarks=smoothed))


def _move(before: Face, after: Face) -> float:
    """How far the eyes of a face moved, in distances of the eyes."""
    left, right = before.eyes
    return max(abs(now - was) for was, now in zip(before.eyes, after.eyes, strict=True)) / max(abs(right - left), 1)
