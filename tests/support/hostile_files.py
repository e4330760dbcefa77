"""Pictures that are none, are larger than they say, or are valid in an unusual way."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(width: int = 24, height: int = 16) -> Image.Image:
    """A smooth RGB picture with no symmetry, so that every turn of it differs."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (255 * x / width, 255 * y / height, 255 * x * y / (width * height))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file made by hand: its header claims what it is told."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in ((b"IHDR", header), *chunks, (b"IEND", b"")))


def hostile() -> dict[str, bytes]:
    jpeg, plain = saved(picture(64, 64), "JPEG"), saved(picture(64, 64), "PNG")
    return {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": plain[: len(plain) // 2],
        "header-only.png": plain[:33],
        "truncated.webp": saved(picture(64, 64), "WEBP")[:-40],
        "truncated.gif": saved(picture(64, 64), "GIF")[:900],
        "page.png": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        "script.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        "empty.png": b"",
        "noise.jpg": np.random.default_rng(0).bytes(4000),
        "corrupt.png": plain[:60] + bytes(200) + plain[260:],
    }
