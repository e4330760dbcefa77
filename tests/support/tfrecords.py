"""TFRecord shards, written out byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

from support.pictures import encoded


def crc32c(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def delimited(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def example(**features: bytes | list[bytes] | int | float) -> bytes:
    """A serialized `tf.train.Example`; `__` in a name stands for `/`."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, int):
            kind = delimited(3, delimited(1, varint(value)))  # int64_list, packed
        elif isinstance(value, float):
            kind = delimited(2, varint(1 << 3 | 5) + struct.pack("<f", value))  # float_list, not packed
        else:
            values = value if isinstance(value, list) else [value]
            kind = delimited(1, b"".join(delimited(1, one) for one in values))
        entries += delimited(1, delimited(1, name.replace("__", "/").encode()) + delimited(2, kind))
    return delimited(1, entries)


def monet(seed: int, size: tuple[int, int] = (20, 20)) -> bytes:
    """A record as in Kaggle's competition "I'm Something of a Painter Myself"."""
    return record(example(image=encoded(seed, size, "JPEG"), image_name=b"7a2b", target=b"monet"))


def shard(path: Path, seeds: range | list[int], size: tuple[int, int] = (20, 20)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(monet(seed, size) for seed in seeds))
    return path
