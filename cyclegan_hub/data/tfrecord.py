"""Reads the encoded image of each `tf.train.Example` in TFRecord files, without TensorFlow or protobuf.

A file is one record after another: its length (uint64, little endian), the length's masked CRC-32C (uint32), the data, their
masked CRC-32C (tensorflow/core/lib/io/record_writer.h). Both CRCs are checked: that of the length when records are listed
(12 bytes of each are read), that of the data when a record is read. Every length is compared with the size of the file or of the
message before it is used, so that a hostile file costs no more time and memory than an honest one of its size.
"""

from __future__ import annotations

import functools
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np
import numpy.typing as npt

from cyclegan_hub.data.files import ImageSource, Raw, Stream
from cyclegan_hub.data.specs import DataError, Files
from cyclegan_hub.imaging.decoding import ImageError

MAX_RECORD_BYTES = 65 * 2**20  # decoding.MAX_BYTES, and room for the record's other fields
MAX_FIELDS = 10_000  # of one record; more are not an image with its labels
IMAGE_FEATURES = ("image", "image/encoded", "image_raw")
_FILE_NAME = re.compile(r"\.tfrec(ords?)?(-\d+-of-\d+)?$", re.ASCII | re.IGNORECASE)
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_KINDS = {1: "bytes", 2: "float", 3: "int64"}  # the three lists of a tf.train.Feature
_TRIED = 10  # first records: one of them must hold an image
_HEADER = struct.Struct("<QI")
_BLOCK = 256  # bytes; the tables of a block take 256 KiB (4-byte entries), about the size of a core's level-2 cache


def offsets(path: Path) -> Iterator[int]:
    """The start of each record, in bytes from the start of the file; the data are not read.

    Raises DataError, which names the file and the byte, where a record is cut short or its length damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}") from error
    with file:
        size, offset = os.fstat(file.fileno()).st_size, 0
        while offset < size:
            length = _length(file, offset, size, path.name)
            yield offset
            offset += _HEADER.size + length + 4


def image_at(path: Path, offset: int) -> bytes:
    """The encoded image in the record that starts at `offset`, as `image_in` finds it.

    Raises DataError, which names the file and the byte, if the record is damaged, too large or without an image.
    """
    where = f"{path.name}, record at byte {offset}"
    with path.open("rb") as file:
        length = _length(file, offset, os.fstat(file.fileno()).st_size, path.name)
        if length > MAX_RECORD_BYTES:
            raise DataError(f"{where}: it has {length:,} bytes, and at most {MAX_RECORD_BYTES:,} are read")
        data = file.read(length)
        if file.read(4) != _masked_crc(data):
            raise DataError(f"{where}: its CRC does not fit its data: download the file again")
    try:
        return image_in(data)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def check(paths: Sequence[Path]) -> None:
    """Raises DataError if none of the first ten records holds an image; files without records are accepted."""
    first: DataError | None = None
    records = ((path, offset) for path in paths for offset in offsets(path))
    for record in islice(records, _TRIED):
        try:
            image_at(*record)
            return
        except DataError as error:
            first = first or error
    if first is not None:
        raise first


def image_in(example: bytes) -> bytes:
    """The image of a serialized `tf.train.Example`: one of IMAGE_FEATURES, else the only feature that is a JPEG or PNG.

    Raises ValueError, which lists the features, if not exactly one could be the image, and for bytes that are not an Example.
    """
    found = _features(memoryview(example))
    values = {name: value for name, (_, value) in found.items() if value is not None}
    for name in IMAGE_FEATURES:
        if name in values:
            return bytes(values[name])
    encoded = [name for name, value in values.items() if bytes(value[:8]).startswith(_MAGIC)]
    if len(encoded) == 1:
        return bytes(values[encoded[0]])
    listed = ", ".join(f"{name[:40]!r} ({kind})" for name, (kind, _) in islice(found.items(), 20)) or "none"
    count = f"{len(encoded)} features that are a JPEG or PNG" if encoded else "no feature that is one JPEG or PNG"
    raise ValueError(f"{count}, and none called {', '.join(IMAGE_FEATURES)}; its features: {listed}")


def _features(example: memoryview) -> dict[str, tuple[str, memoryview | None]]:
    """The features of an Example by name: (kind of their list, its value if it is a bytes list of exactly one, else None).

    Example.features = 1, Features.feature = 1 (a map: key = 1, value = 2), Feature.bytes_list = 1, BytesList.value = 1
    (tensorflow/core/example/feature.proto). If a field or key comes twice, the last one counts, as in protobuf.
    """
    budget = iter(range(MAX_FIELDS))
    found: dict[str, tuple[str, memoryview | None]] = {}
    for number, features in _fields(example, budget):
        for inner, entry in _fields(features, budget) if number == 1 else ():
            if inner == 1:
                pair = dict(_fields(entry, budget))
                lists = dict(_fields(pair.get(2, memoryview(b"")), budget))
                kind = next(reversed(lists), 0)
                values = [value for key, value in islice(_fields(lists[1], budget), 2) if key == 1] if kind == 1 else []
                name = str(pair.get(1, b""), "utf-8", "replace")
                found[name] = (_KINDS.get(kind, "empty"), values[0] if len(values) == 1 else None)
    return found


def _fields(message: memoryview, budget: Iterator[int]) -> Iterator[tuple[int, memoryview]]:
    """(number, content) of the length-delimited fields of a protobuf message; fields that hold a number are left out.

    Each field takes one item from `budget`. Raises ValueError for a malformed message and for an empty budget.
    """
    at = 0
    while at < len(message):
        if next(budget, None) is None:
            raise ValueError(f"it has more than {MAX_FIELDS:,} fields, which no image has")
        tag, at = _varint(message, at)
        start, kind = at, tag & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            length, start = _varint(message, at)
            at = start + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"it is not a tf.train.Example (a field of type {kind})")
        if at > len(message):
            raise ValueError("it is not a tf.train.Example (a field is longer than what is left)")
        if kind == 2:
            yield tag >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Returns (the protobuf varint at position `at`, the position after it)."""
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("it is not a tf.train.Example (a number does not end)")


def _length(file: BinaryIO, offset: int, size: int, name: str) -> int:
    """The length in bytes of the data of the record at `offset`; `size` is that of the file. Leaves the file at the data."""
    file.seek(offset)
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise DataError(f"{name} is cut short in the record at byte {offset}: download the file again")
    length: int = _HEADER.unpack(header)[0]
    if header[8:] != _masked_crc(header[:8]):
        packed = " (it is compressed: unpack it first)" if offset == 0 and header[:2] in (b"\x1f\x8b", b"\x78\x9c") else ""
        raise DataError(f"{name}: no record starts at byte {offset}, the CRC of its length does not fit{packed}")
    if length > size - offset - _HEADER.size - 4:
        raise DataError(f"{name} is cut short: the record at byte {offset} has {length:,} bytes, the file {size:,} in all")
    return length


def _masked_crc(data: bytes) -> bytes:
    """The masked CRC-32C of `data`, 4 bytes as in the file. The mask is for data that contain a CRC themselves."""
    crc = crc32c(data)
    return ((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def crc32c(data: bytes) -> int:
    """The CRC-32C (Castagnoli; RFC 3720, section 12.1) of `data`, a block of 256 bytes at a time.

    A CRC is linear: each byte of a block adds a value that depends on the byte and its place, and the CRC of the block is the
    exclusive or of these values. The CRC of the data before is combined with the first four bytes of the block.
    """
    tables, places, (first, second, third, fourth), last = _tables()
    state, head = 0xFFFFFFFF, len(data) % _BLOCK
    for byte in data[:head]:
        state = state >> 8 ^ last[(state ^ byte) & 255]
    blocks = np.frombuffer(data[head:], np.uint8).reshape(-1, _BLOCK)
    for start in range(0, len(blocks), 256):
        added = tables.take(blocks[start : start + 256] + places)
        for block in np.bitwise_xor.reduce(added, axis=1).tolist():
            state = block ^ first[state & 255] ^ second[state >> 8 & 255] ^ third[state >> 16 & 255] ^ fourth[state >> 24]
    return state ^ 0xFFFFFFFF


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], list[list[int]], list[int]]:
    """Returns (what each byte adds at each place, flat (65536,); start of each place in it; first four places; last place)."""
    last: npt.NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        last = last >> np.uint32(1) ^ (last & np.uint32(1)) * np.uint32(0x82F63B78)  # the polynomial, reversed
    rows = [last]
    for _ in range(_BLOCK - 1):  # one place earlier, which is as if a zero byte followed
        rows.append(rows[-1] >> 8 ^ last[rows[-1] & 255])
    rows.reverse()
    return np.concatenate(rows), np.arange(_BLOCK) * 256, [row.tolist() for row in rows[:4]], last.tolist()


@dataclass
class TFRecordItems(ImageSource):
    """The records of TFRecord files, read one at a time; each takes 16 bytes of memory, whatever the size of its image."""

    kind: ClassVar[str] = "TFRecord"
    extensions: ClassVar[tuple[str, ...]] = (".tfrec",)
    sharded: ClassVar[bool] = True
    paths: tuple[Path, ...]
    positions: npt.NDArray[np.int64]  # (N, 2): index in `paths`, and start of the record in bytes

    @classmethod
    def matches(cls, path: Path) -> bool:
        """`x.tfrec`, `x.tfrecord`, `x.tfrecords`, and `x.tfrecord-00000-of-00002`, as TensorFlow Datasets writes them."""
        return _FILE_NAME.search(path.name) is not None

    @classmethod
    def open(cls, source: Files) -> Self:
        """List the records. Raises DataError for a file that is cut short or damaged, and for records without an image."""
        paths = source.paths
        found = [np.fromiter(offsets(path), np.int64) for path in paths]
        check(paths)
        shards = np.repeat(np.arange(len(paths)), [len(one) for one in found])
        return cls(paths, np.stack([shards, np.concatenate(found)], axis=1))

    @classmethod
    def stream(cls, source: Files) -> Stream:
        """Record after record, without listing them first."""
        import datasets

        check(source.paths)
        columns = datasets.Features(image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")})
        options = {"paths": [str(path) for path in source.paths]}
        return Stream(datasets.IterableDataset.from_generator(_cells, columns, gen_kwargs=options), "image", [])

    def __len__(self) -> int:
        return len(self.positions)

    def name(self, index: int) -> str:
        shard, offset = self.positions[index]
        return f"byte {offset} of {self.paths[shard].name}"

    def read(self, index: int) -> Raw:
        shard, offset = self.positions[index]
        try:
            return image_at(self.paths[shard], int(offset))
        except DataError as error:
            raise ImageError(str(error)) from error


def _cells(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The images of TFRecord files as rows of a column `image`, one at a time; a damaged record gives empty bytes.

    Raises DataError where a file is cut short.
    """
    for path in map(Path, paths):
        for offset in offsets(path):
            try:
                data = image_at(path, offset)
            except DataError:
                data = b""  # decoding then counts the row as unreadable
            yield {"image": {"bytes": data, "path": f"byte {offset} of {path.name}"}}
