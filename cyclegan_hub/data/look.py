"""What is known of a pile once its images, or as many as are needed, have been looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cyclegan_hub.data.paired_images import PairItems
from cyclegan_hub.data.raw_images import RawImages
from cyclegan_hub.data.reading import Reading
from cyclegan_hub.data.scan import MIN_SIDE, ImageFacts, NoFace, Unreadable, listed, note_on_shapes, notes_on_values, scan
from cyclegan_hub.data.specs import DataError

MAX_UNREADABLE = 0.05  # more broken files than this mean the wrong folder or a broken download


@dataclass
class Look:
    """The images of a pile that have been looked at so far; those that cannot be used are not in `seen`."""

    items: RawImages | PairItems
    label: str
    reading: Reading
    image_size: int  # px; a smaller image is upscaled
    keep_size: int | None  # px of the pixels that are kept; None: none are
    seen: dict[int, ImageFacts] = field(default_factory=dict)  # by row, usable ones
    unreadable: list[Unreadable] = field(default_factory=list)
    tiny: list[int] = field(default_factory=list)
    no_face: list[int] = field(default_factory=list)
    chunks: list[tuple[list[int], Tensor]] = field(default_factory=list)  # rows and their pixels, uint8 (N, C, S, S)
    notes: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # of a look at a part: all rows but for copies, as they are chosen
    copies: int = 0  # of a look at a part: files that are copies of another, byte by byte

    def at(self, rows: Sequence[int]) -> None:
        """Look at these rows, ascending."""
        pixels = None
        if self.keep_size is not None:
            pixels = torch.empty(len(rows), self.reading.planes, self.keep_size, self.keep_size, dtype=torch.uint8)
            self.chunks.append((list(rows), pixels))
        size, target = self.keep_size or 0, None if pixels is None else pixels.numpy()

        def keep(position: int, image: Image.Image) -> None:
            assert target is not None
            np.copyto(target[position], self.reading.tensor(image, size).numpy())  # torch would start threads in each of ours

        for found in scan(self.items, rows, self.label, self.reading, None if pixels is None else keep):
            if isinstance(found, Unreadable):
                self.unreadable.append(found)
            elif isinstance(found, NoFace):
                self.no_face.append(found.row)
            elif found.short < MIN_SIDE:
                self.tiny.append(found.row)
            else:
                self.seen[found.row] = found

    def looked_at(self) -> int:
        """How many images were looked at."""
        return len(self.seen) + len(self.unreadable) + len(self.tiny) + len(self.no_face)

    def not_looked_at(self) -> int:
        """How many images no one needed to look at."""
        return len(self.items) - self.looked_at() - self.copies

    def unique(self) -> list[int]:
        """The first row of each content among the usable images, in file order."""
        first: dict[str, int] = {}
        for row in sorted(self.seen):
            first.setdefault(self.seen[row].hash, row)
        return list(first.values())

    def check(self, held_out: bool = False) -> None:
        """Add the lines for the log. Raises DataError if more than 5 % of the images cannot be read."""
        count, label = self.looked_at(), self.label
        why = [one.why for one in self.unreadable]
        if len(why) > MAX_UNREADABLE * count:
            raise DataError(f"side {label}: {len(why)} of {count} images cannot be read, e.g. {listed(why, 3)}")
        notes = [f"{label}: {note}" for note in self.items.notes]
        if why:
            notes.append(f"{label}: skipped {len(why)} unreadable images: {listed(why)}")
        if self.tiny:
            names = [self.items.name(row) for row in self.tiny]
            notes.append(f"{label}: skipped {len(names)} images with a side below {MIN_SIDE} px: {listed(names)}")
        if self.no_face:
            names = [self.items.name(row) for row in self.no_face]
            notes.append(f"{label}: left out {len(names)} of {count} images in which no face is found: {listed(names)}")
        if self.no_face and not self.seen:
            raise DataError(
                f"side {label}: no face is found in any of its {count} images: to train on them as they are, give "
                f"--set eyes_{label[0].lower()}=none" + (", or to a DCGAN --set eyes=none" if label[0] == "A" else "")
            )
        if not held_out:  # said once for a side, not again for its held-out split
            seen = list(self.seen.values())
            upscaled = sum(image.short < self.image_size for image in seen)
            if upscaled:
                notes.append(f"{label}: {upscaled} of {count} images are smaller than {self.image_size} px and will be upscaled")
            if self.reading.eyes is None:
                notes += note_on_shapes(seen, label, self.reading.fit)
            notes += notes_on_values(seen, label, self.reading.value_range)
        self.notes += notes
