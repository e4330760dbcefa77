"""Faces followed from frame to frame, without trembling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyclegan_hub.faces.find import Face

# A move, in distances of the eyes: from AT_ONCE on it is followed at once, a smaller one by a smaller part, at least by CALM.
AT_ONCE, CALM = 0.25, 0.1
MISSED = 5  # frames without the face for which it is taken to be where it was


@dataclass(frozen=True)
class Track:
    """Where one face is: what is remembered from frame to frame."""

    face: Face  # its landmarks smoothed
    missed: int = 0  # frames since it was last found


def follow(track: Track | None, faces: Sequence[Face]) -> Track | None:
    """The track after a frame with these faces (the largest first): of the face that is nearest to where it was.

    Its landmarks are an exponential moving average, whose weight grows with the distance that it moved; after a jump it is the
    largest face, as it is. None if there is no face, or none for more than MISSED frames.
    """
    if track is None:
        return Track(faces[0]) if faces else None
    if not faces:
        return _without(track)
    nearest = min(faces, key=lambda face: _move(track.face, face))
    return _moved(track, nearest if _move(track.face, nearest) < 1 else faces[0])


def follow_all(tracks: Sequence[Track], faces: Sequence[Face]) -> list[Track]:
    """The tracks of all faces after a frame: each face continues the track nearest to it, within one distance of its eyes, or
    begins one. A track ends after more than MISSED frames without its face."""
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
    return replace(track, missed=track.missed + 1) if track.missed < MISSED else None


def _moved(track: Track, face: Face) -> Track:
    move = _move(track.face, face)
    if move >= AT_ONCE:
        return Track(face)
    weight = max(CALM, move / AT_ONCE)
    smoothed: Any = tuple(was + weight * (now - was) for was, now in zip(track.face.landmarks, face.landmarks, strict=True))
    return Track(replace(face, landmarks=smoothed))


def _move(before: Face, after: Face) -> float:
    """How far the eyes of a face moved, in distances of the eyes."""
    left, right = before.eyes
    return max(abs(now - was) for was, now in zip(before.eyes, after.eyes, strict=True)) / max(abs(right - left), 1)
