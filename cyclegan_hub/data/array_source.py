"""Images as one NumPy array in a `.npz`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cyclegan_hub.data.raw_images import Raw, RawImages, Stream, not_streamed
from cyclegan_hub.data.specs import DataError, Files


@dataclass
class ArrayItems(RawImages):
    """Rows of a uint8 or uint16 array (N, H, W, C) or (N, H, W)."""

    kind: ClassVar[str] = "npz"
    endings: ClassVar[tuple[str, ...]] = (".npz",)
    array: npt.NDArray[Any]

    @classmethod
    def open(cls, source: Files) -> Self:
        """Read the array named `images`, or the only one. Raises DataError for anything but images of 8 or 16 bits."""
        path: Path = source.paths[0]
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = list(arrays.files)
                name = "images" if "images" in names else names[0] if len(names) == 1 else None
                array = None if name is None else arrays[name]
        except (ValueError, OSError, zipfile.BadZipFile, AttributeError, TypeError) as error:
            raise DataError(f"{path.name} cannot be read as plain arrays (pickled objects are refused): {error}") from error
        if array is None:
            raise DataError(f"{path.name} holds the arrays {', '.join(names) or '(none)'}: name the one to read 'images'")
        if array.dtype not in (np.uint8, np.uint16) or not (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3, 4))):
            raise DataError(
                f"{path.name} holds {array.dtype} of shape {array.shape}: give uint8 (0 to 255) or uint16 as (N, H, W) "
                "or (N, H, W, 1|3|4)"
            )
        return cls(array)

    @classmethod
    def stream(cls, source: Files) -> Stream:
        """Refused: an array is in memory as a whole."""
        raise not_streamed(source)

    def __len__(self) -> int:
        return len(self.array)

    def name(self, index: int) -> str:
        return f"row {index}"

    def read(self, index: int) -> Raw:
        pixels: npt.NDArray[Any] = self.array[index]
        return pixels
