"""Writes an image set, from any source, as one file: `.npz`, `.parquet` or `.zip`."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from PIL import Image

from cyclegan_hub.data.files import RawImages, extension_of, read_file
from cyclegan_hub.data.load import notes_on_values
from cyclegan_hub.data.reading import NoFaceError
from cyclegan_hub.data.resolve import parse_source
from cyclegan_hub.data.sources import open_items
from cyclegan_hub.data.specs import DataError, Pair
from cyclegan_hub.domains import Eyes
from cyclegan_hub.errors import counted
from cyclegan_hub.faces import align, alignment, find_faces, own_side
from cyclegan_hub.files import atomic_path, readable
from cyclegan_hub.imaging import images
from cyclegan_hub.imaging.decoding import FORMATS, check_size, is_heif, probe_image
from cyclegan_hub.models.checks import check_eyes, check_value_range

_AT_A_TIME = 16  # images in memory while they are read
_GROUP_ROWS = 100  # of a Parquet row group, as `datasets` writes images
_GROUP_BYTES = 64 * 2**20
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}  # of Pillow's formats; the others are their own suffix

Encoded = Iterator[tuple[str, bytes, Image.Image]]  # name, encoded, decoded
Skipped = list[tuple[str, Exception]]  # names, and why they were left out
Peaks = list[tuple[int | None, bool]]  # the largest values of 16-bit images, and whether they are in colour


@dataclass(frozen=True)
class _Change:
    """How each image is changed; sides in px."""

    size: int | None = None  # of the centred square that is written; None: the image stays as it is
    channels: int = 3
    eyes: Eyes | None = None  # where those of an aligned face lie; None: the image stays as it is
    min_size: int | None = None
    value_range: tuple[int, int] | None = None  # of 16-bit images, as `images.decode` takes it

    @property
    def changes_pixels(self) -> bool:
        """Whether an encoded image cannot be copied as it is."""
        return self.size is not None or self.channels != 3 or self.eyes is not None or self.value_range is not None


def convert(
    spec: str,
    out: Path,
    *,
    size: int | None = None,
    channels: int = 3,
    force: bool = False,
    align_faces: Sequence[float] | None = None,
    min_size: int | None = None,
    value_range: tuple[int, int] | None = None,
) -> int:
    """Writes the images of `spec`, one image set as `parse_source` takes it, to `out`; returns the exit status.

    The suffix of `out` gives the format. `.npz`: one array `images`, uint8 (N, H, W, C), all of one size; writing needs little
    memory, reading N x H x W x C bytes. `.parquet`: a column `image` of the Hub's Image feature, in row groups of at most 100
    rows. `.zip`: image files.
    In `.parquet` and `.zip` an encoded image is copied unchanged, except where its pixels change: by `align_faces`
    (left x, left y, right x, right y: its largest face, rotated and scaled so that the eyes lie there in shares of the square's
    side), `size` (its centred square, or the aligned one, of `size` x `size` px; None: an aligned face keeps its own scale),
    `channels` 1 (grey) or `value_range` (as of `images.decode`). Then it is written as a PNG, and so is a row of an array.
    Files keep their names, except for the suffix; other images are numbered in the order of the source.
    An image is named on stderr and left out if it cannot be read, if `align_faces` finds no face, or if the shorter side (of an
    aligned face the side at its own scale) is below `min_size` px. The status is then 1, else 0. `out` appears only when it is
    complete.
    Raises DataError for another suffix, for an `out` that exists (without `force`), for images of two sizes in a `.npz`, if no
    image is left, and as `parse_source` and `open_items` do; FaceFinderError where faces cannot be found; OSError for the disk.
    """
    out = out.expanduser().resolve()
    options = _Change(size, channels, check_eyes(align_faces), min_size, check_value_range(value_range))
    write = _checked(out, options, force)
    source = parse_source(spec)
    if source.held_out is not None or isinstance(source.train, Pair):
        raise DataError(f"{spec} names two splits: convert writes one, leave out test_split")
    items = open_items(source.train)
    if not items:
        raise DataError(f"{spec} holds no image")
    for note in items.notes:
        print(note, file=sys.stderr)
    skipped: Skipped = []
    found: Peaks = []
    with atomic_path(out) as temporary:
        count = write(temporary, _read_images(items, options, skipped, found, encode=write is not _write_npz))
        if not count:
            fits = "has a face that is large enough" if align_faces else "is large enough" if min_size else "can be read"
            raise DataError(f"{spec}: no image of {len(items):,} {fits}")
    for note in notes_on_values(found, spec, options.value_range, "--value-range "):
        print(note, file=sys.stderr)
    without = f" ({sum(isinstance(error, NoFaceError) for _, error in skipped):,} without a face)" if align_faces else ""
    print(f"{counted(count)}, {len(skipped):,} skipped{without}: {out} ({counted(out.stat().st_size, 'byte')})")
    return 1 if skipped else 0


def _checked(out: Path, options: _Change, force: bool) -> Callable[[Path, Encoded], int]:
    """The function that writes this format. Raises DataError for an option with a wrong value."""
    writers = {".npz": _write_npz, ".parquet": _write_parquet, ".zip": _write_zip}
    if out.suffix.lower() not in writers:
        raise DataError(f"{out.name}: give a name that ends in one of {', '.join(writers)}")
    size, channels = options.size, options.channels
    if size is not None and not 1 <= size * size <= images.MAX_PIXELS:
        raise DataError(f"size {size}: give at least 1 and at most {int(images.MAX_PIXELS**0.5):,} px")
    if channels not in (1, 3):
        raise DataError(f"channels {channels}: give 3 for RGB or 1 for grey")
    if options.min_size is not None and options.min_size < 1:
        raise DataError(f"min size {options.min_size}: give at least 1 px")
    if options.eyes:
        find_faces(Image.new("RGB", (100, 100)))  # raises FaceFinderError now, not image by image
    if not out.parent.is_dir():
        raise DataError(f"{out}: there is no folder {out.parent}")
    if out.is_dir() or (out.exists() and not force):
        raise DataError(f"{out} exists: give another name{'' if out.is_dir() else ', or --force to replace it'}")
    return writers[out.suffix.lower()]


def _read_images(items: RawImages, options: _Change, skipped: Skipped, peaks: Peaks, *, encode: bool) -> Encoded:
    """The readable images in order, as (name, encoded bytes, decoded image); the others are added to `skipped`.

    Without `encode` the bytes are empty, and the names are those of log lines. Threads read a few images at a time.
    """
    from tqdm import tqdm

    names = _names(items, keep_suffixes=not options.changes_pixels)

    def prepare(index: int) -> tuple[str, bytes, Image.Image] | Exception:
        """An image, or the reason why it cannot be used."""
        try:
            raw = items.read(index)
            if isinstance(raw, Path):
                raw = read_file(raw)
            image = _changed(images.decode(raw, options.channels, name="", value_range=options.value_range), options)
        except (images.ImageError, OSError) as error:
            return error
        if encode and not options.changes_pixels and isinstance(raw, bytes):
            return names[index] or f"{index:06d}.{_suffix(raw)}", raw, image
        if known := probe_image(raw):
            peaks.append(known[1:])
        if not encode:
            return items.name(index), b"", image
        return names[index] or f"{index:06d}.png", images.png_bytes(image), image

    with (
        ThreadPoolExecutor(min(_AT_A_TIME, os.cpu_count() or 1)) as pool,
        tqdm(total=len(items), unit=" images", disable=None) as bar,
    ):
        for start in range(0, len(items), _AT_A_TIME):
            rows = range(start, min(start + _AT_A_TIME, len(items)))
            for row, found in zip(rows, pool.map(prepare, rows), strict=True):
                bar.update()
                if isinstance(found, Exception):
                    skipped.append((items.name(row), found))
                    reason = (found.strerror or type(found).__name__) if isinstance(found, OSError) else found
                    print(f"skipped {items.name(row)}: {reason}", file=sys.stderr)
                else:
                    yield found


def _changed(image: Image.Image, options: _Change) -> Image.Image:
    """A decoded image as it is to be written. Raises ImageError for one that is too small, NoFaceError for one without a face."""
    if options.eyes is None:
        _check_large_enough("it", image.size, options)
        return image if options.size is None else images.square(image, options.size)
    faces = find_faces(image)
    if not faces:
        raise NoFaceError("no face is found in it")
    own = round(alignment(faces[0], options.eyes, 1).scale)
    _check_large_enough("its aligned face", (own, own), options)
    side = options.size or own_side(faces[0], options.eyes)
    check_size(side, side, f"a face of {side} x {side}")
    return align(image, faces[0], options.eyes, side)


def _check_large_enough(what: str, size: tuple[int, int], options: _Change) -> None:
    if options.min_size is not None and min(size) < options.min_size:
        raise images.ImageError(f"{what} is {size[0]} x {size[1]} px, below {options.min_size} px")


def _names(items: RawImages, keep_suffixes: bool) -> list[str | None]:
    """The names of the written files, all different. None: numbers are used, because images have no names or unsafe ones."""
    own = items.names
    if own is None or any(name.startswith("/") or ".." in name.split("/") for name in own):
        return [None] * len(items)
    # A file's name need not be valid Unicode, but a zip's and Parquet's must be; a backslash would separate folders.
    names = [name if (spelled := readable(name)) == name else spelled.replace("\\", "_") for name in own]
    if keep_suffixes:
        return list(names)
    stems = [name[: len(name) - len(extension_of(name))] for name in names]
    return [f"{name}.png" for name in (stems if len(set(stems)) == len(names) else names)]


def _suffix(data: bytes) -> str:
    """The file suffix of an encoded image that has just been decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as header:
            kind = header.format or "png"
    except Exception:  # what Pillow alone cannot open: HEIC, and PNG files whose metadata `decode` leaves out
        kind = "heic" if is_heif(data) else "png"
    return _SUFFIXES.get(kind, kind.lower())


def _write_npz(path: Path, read: Encoded) -> int:
    """Writes pixels to a temporary file first, because the array's header comes before them and holds their number."""
    count, first = 0, ("", (0, 0))
    with TemporaryFile(dir=path.parent) as pixels, zipfile.ZipFile(path, "w") as archive:
        for name, _, image in read:
            count, first = count + 1, first if count else (name, image.size)
            if image.size != first[1]:
                sizes = [f"{width} x {height} px" for width, height in (first[1], image.size)]
                raise DataError(f"{first[0]} is {sizes[0]} and {name} {sizes[1]}: an .npz has one size, give --size N")
            array = np.asarray(image)
            pixels.write(array.tobytes())
        if count:
            pixels.seek(0)
            shape = (count, *array.shape[:2], array.shape[2] if array.ndim == 3 else 1)
            with archive.open("images.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
                shutil.copyfileobj(pixels, member, 2**20)
    return count


def _write_parquet(path: Path, read: Encoded) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    # What `datasets` and the Hub look for, to show the column as images.
    features = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})
    schema = pa.schema({"image": kind}, metadata={"huggingface": features})
    cells: list[dict[str, Any]] = []
    count, held = 0, 0
    # Encoded images do not compress, and are not repeated.
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:

        def flush() -> None:
            writer.write_table(pa.table({"image": pa.array(cells, kind)}, schema=schema))

        for name, data, _ in read:
            cells.append({"bytes": data, "path": name})
            count, held = count + 1, held + len(data)
            if len(cells) == _GROUP_ROWS or held >= _GROUP_BYTES:
                flush()
                cells, held = [], 0
        if cells:
            flush()
    return count


def _write_zip(path: Path, read: Encoded) -> int:
    count = 0
    with zipfile.ZipFile(path, "w") as archive:  # stored: encoded images do not compress
        for name, data, _ in read:
            archive.writestr(name, data)
            count += 1
    return count
