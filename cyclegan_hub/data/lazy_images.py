"""Training images that are decoded when they are asked for, and how such images come into memory at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cyclegan_hub import images
from cyclegan_hub.data.reading import Readable, Reading, random_square
from cyclegan_hub.data.scan import in_threads
from cyclegan_hub.data.specs import DataError


@dataclass
class LazyImages:
    """Some images of a pile: `[i]` is a uint8 tensor (C, size, size), the same each time."""

    items: Readable
    rows: npt.NDArray[np.int64]  # positions in `items`
    size: int
    reading: Reading
    _uncropped: list[Tensor] = field(default_factory=list, repr=False)  # all of them, after `fill`

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self._tensor(index, self.reading.centred())

    def at_random(self, index: int, random: np.random.Generator) -> Tensor:
        """An image to train on, uint8 (C, size, size): with the fit "random-crop" a square at a place drawn from `random`."""
        if self.reading.fit != "random-crop":
            return self[index]
        whole = self._uncropped[index] if self._uncropped else self._tensor(index, self.reading)
        return random_square(whole, self.size, random)

    def fill(self) -> None:
        """Decode all images for `at_random` now, and keep them in memory."""
        self._uncropped = in_threads(lambda i: self._tensor(i, self.reading), range(len(self)), "decoding")

    @property
    def in_memory(self) -> bool:
        """Whether they were filled."""
        return bool(self._uncropped)

    def _tensor(self, index: int, reading: Reading) -> Tensor:
        row = int(self.rows[index])
        try:
            return reading.tensor(reading.decode(self.items, row), self.size)
        except (images.ImageError, OSError) as error:
            raise DataError(f"{self.items.name(row)} was readable at the start and is no more: {error}") from error


def decoded(lazy: LazyImages) -> Tensor:
    """All of its images, decoded in threads: uint8 (N, C, S, S)."""
    pixels = torch.empty(len(lazy), *lazy[0].shape, dtype=torch.uint8)
    target = pixels.numpy()  # plain copies: torch would start its own threads in each of ours

    def decode(i: int) -> None:
        np.copyto(target[i], lazy[i].numpy())

    in_threads(decode, range(len(lazy)), "decoding")
    return pixels


def gathered(chunks: list[tuple[list[int], Tensor]], rows: Sequence[int]) -> Tensor:
    """The images of some rows, ascending, out of chunks (rows, uint8 (N, C, S, S)), which are emptied: uint8 (M, C, S, S)."""
    if len(chunks) == 1:
        have, pixels = chunks.pop()
        position = {row: i for i, row in enumerate(have)}
        for new, row in enumerate(rows):  # in place: rows ascend, and a second copy might not fit
            if new != position[row]:
                pixels[new] = pixels[position[row]]
        return pixels[: len(rows)]
    train = torch.empty(len(rows), *chunks[0][1].shape[1:], dtype=torch.uint8)
    new_of = {row: new for new, row in enumerate(rows)}
    while chunks:
        have, pixels = chunks.pop()
        for i, row in enumerate(have):
            if row in new_of:
                train[new_of[row]] = pixels[i]
    return train
