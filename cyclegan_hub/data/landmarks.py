"""Where the eyes of training images are: found once, kept with the run by content hash."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from cyclegan_hub import images
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.faces import find_faces

FILE = "landmarks.json"  # in a run folder


class NoFaceError(images.ImageError):
    """An image in which no face is found, where one is needed."""


@dataclass(frozen=True)
class EyePair:
    """Two eyes, left and right as they are seen, x + iy in px of their image."""

    eyes: tuple[complex, complex]

    def flat(self) -> list[float]:
        """x, y, x, y."""
        return [part for eye in self.eyes for part in (eye.real, eye.imag)]


@dataclass
class Landmarks:
    """The eyes of the largest face of each image that was searched, by the image's content hash; None where no face was found.

    Any number of threads may ask. Given to a run that is resumed, it makes the images what they were, whatever the processor.
    """

    found: dict[str, EyePair | None] = field(default_factory=dict)

    def of(self, image: Image.Image, digest: str | None = None, name: str = "this image") -> EyePair:
        """The eyes in a decoded image, whose content hash may be given. Raises NoFaceError, of `name`, and FaceFinderError."""
        digest = digest or images.content_hash(image)
        if digest not in self.found:
            faces = find_faces(image)
            self.found[digest] = EyePair(faces[0].eyes) if faces else None
        if (pair := self.found[digest]) is None:
            raise NoFaceError(f"no face is found in {name}")
        return pair

    def dumps(self) -> bytes:
        """A JSON object: content hash -> [x, y, x, y] in px, or null."""
        return json.dumps({key: pair and pair.flat() for key, pair in sorted(self.found.items())}).encode()

    @classmethod
    def read(cls, folder: Path) -> Landmarks:
        """Those of a run folder; none yet where it has no `landmarks.json`. Raises DataError if that is damaged."""
        path = folder / FILE
        return cls.loads(path.read_bytes()) if path.is_file() else cls()

    @classmethod
    def loads(cls, data: bytes) -> Landmarks:
        """What `dumps` wrote. Raises DataError for anything else."""
        try:
            found = {
                str(key): None if eyes is None else EyePair((complex(eyes[0], eyes[1]), complex(eyes[2], eyes[3])))
                for key, eyes in json.loads(data).items()
            }
        except (ValueError, TypeError, IndexError, KeyError, AttributeError):
            raise DataError("landmarks.json of the run is damaged: restore it, or delete it to find the faces again") from None
        return cls(found)
