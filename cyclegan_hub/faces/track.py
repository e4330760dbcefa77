"""Faces followed from frame to frame, without trembling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyclegan_hub.faces.find import Face

# A move of the face, in distances of the eyes: from JUMP on it is followed at once, a smaller one smoothed.
JUMP, MIN_WEIGHT = 0.25, 0.1
MAX_MISSED = 5  # frames without the face for which its last place is used


@dataclass(frozen=True)
class Track:
    """Where one face is: what is remembered from frame to frame."""

    face: Face  # its landmarks smoothed
    missed: int = 0  # frames since it was last found


def follow(track: Track | None, faces: Sequence[Face]) -> Track | None:
    """The track after a frame with these faces (the largest first): of the face nearest to the last one.

    Its landmarks are an exponential moving average, whose weight grows with the distance that it moved. Where the nearest face
    moved by more than the distance of the eyes, the largest face is followed. None after more than MAX_MISSED frames without a
    face.
    """
    if track is None:
        return Track(faces[0]) if faces else None
    if not faces:
        return _without(track)
    nearest = min(faces, key=lambda face: _move(track.face, face))
    return _moved(track, nearest if _move(track.face, nearest) < 1 else faces[0])


def follow_all(tracks: Sequence[Track], faces: Sequence[Face]) -> list[Track]:
    """The tracks of all faces after a frame: each face continues the track nearest to it, within one distance of its eyes, or
    begins one. A track ends after more than MAX_MISSED frames without its face."""
    free, result = list(faces), []
    for track in tracks:
        nearest = min(free, key=lambda face: _move(track.face, face), default=None)
        if nearest is not None and _move(track.face, nearest) < 1:
            free.remove(nearest)
            result.append(_moved(track, nearest))
        elif kept := _without(track):
            result.append(kept)
    return [*result, *map(Track, free)]


def _without(track: Track) -> Track | None:
    return replace(track, missed=track.missed + 1) if track.missed < MAX_MISSED else None


def _moved(track: Track, face: Face) -> Track:
    move = _move(track.face, face)
    if move >= JUMP:
        return Track(face)
    weight = max(MIN_WEIGHT, move / JUMP)
    smoothed: Any = tuple(was + weight * (now - was) for was, now in zip(track.face.landmarks, face.landmarks, strict=True))
    return Track(replace(face, landmarks=smoothed))


def _move(before: Face, after: Face) -> float:
    """How far the eyes of a face moved, in distances of the eyes."""
    left, right = before.eyes
    return max(abs(now - was) for was, now in zip(before.eyes, after.eyes, strict=True)) / max(abs(right - left), 1)
