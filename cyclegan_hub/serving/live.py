"""A face followed through the frames of a camera, without trembling."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from cyclegan_hub.domains import Eyes
from cyclegan_hub.faces import Face, align
from cyclegan_hub.faces.track import Track, follow
from cyclegan_hub.imaging import images
from cyclegan_hub.serving.photos import scaled, search

SEARCH_SIZE = 320  # px of the longer side at which a frame is searched for faces


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
