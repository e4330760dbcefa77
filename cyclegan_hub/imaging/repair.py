"""Repair of image files whose metadata or last bytes are damaged, so that Pillow reads them."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageChops

PNG, JPEG, END_OF_IMAGE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd9"
MAX_PROFILE = 16 * 2**20  # bytes of an unpacked ICC profile; those of printers have one or two million
# Of the chunks that a decoder may ignore only these change how the image looks; eXIf holds its orientation.
_VISIBLE = (b"tRNS", b"eXIf", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs")


def png_without_metadata(data: bytes) -> tuple[bytes, bytes | None]:
    """A PNG file without its other metadata, damaged or not, and its ICC profile (None: it has no intact one).

    Chunks that hold the image are left as they are, damaged or not. So is everything from the first chunk on that reaches
    beyond the file.
    """
    kept, profile, place = [PNG], None, len(PNG)
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        name, end = data[place + 4 : place + 8], place + 12 + length
        if end > len(data):
            break
        critical = not name[:1].islower()  # a lower-case first letter says that a decoder may ignore it
        whole = critical or zlib.crc32(data[place + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if name == b"iCCP" and whole and profile is None:
            profile = _unpacked_profile(data[place + 8 : end - 4])
        if critical or name == b"tRNS" or (name in _VISIBLE and whole):
            kept.append(data[place:end])
        place = end
        if name == b"IEND":
            return b"".join(kept), profile
    kept.append(data[place:])
    return b"".join(kept), profile


def _unpacked_profile(chunk: bytes) -> bytes | None:
    """The profile of an iCCP chunk: a name, a zero, the method 0, then zlib's stream."""
    _, _, packed = chunk.partition(b"\0")
    unpack = zlib.decompressobj()
    try:
        profile = unpack.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpack.eof else None


def jpeg_that_lacks_its_end(data: bytes) -> Image.Image | None:
    """The image of a JPEG file of which only the end marker is missing, loaded; None if any of the image is missing too.

    A decoder fills up what is missing from the bits that it finds before the end marker. So the file is decoded with three
    different fillings: where the image was whole, they are never read and the three are equal.
    """
    body = data.rstrip(b"\xff")  # the marker may be cut in half
    try:
        attempts = [Image.open(io.BytesIO(body + filling + END_OF_IMAGE), formats=("JPEG",)) for filling in _FILLINGS]
        if attempts[0].info.get("progressive") and not _has_all_scans(body):
            return None
        for image in attempts:
            image.load()
        equal = all(ImageChops.difference(attempts[0], other).getbbox() is None for other in attempts[1:])
    except Exception:  # as everywhere on foreign bytes
        return None
    return attempts[0] if equal else None


_FILLINGS = (b"", b"\x55" * 64, b"\x3c\xa5" * 32)


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a progressive JPEG (ITU-T T.81, annex G) reach the last bit of every coefficient."""
    components: list[int] = []
    done: set[tuple[int, int]] = set()
    place = 2
    while (place := data.find(b"\xff", place)) >= 0 and place + 4 <= len(data):
        marker = data[place + 1]
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD9:  # stuffing, filling, restarts: no segment follows
            place += 2 if marker != 0xFF else 1
            continue
        (length,) = struct.unpack(">H", data[place + 2 : place + 4])
        segment = data[place + 4 : place + 2 + length]
        if marker == 0xC2:  # frame: 1 byte of precision, 2 x 2 of size, then the count of components, 3 bytes each
            components = [segment[6 + 3 * i] for i in range(segment[5])]
        elif marker == 0xDA:  # scan: count of components, 2 bytes each, first and last coefficient, bits
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            if bits & 15 == 0:
                done |= {(segment[1 + 2 * i], k) for i in range(count) for k in range(first, last + 1)}
        place += 2 + length
    return bool(components) and all((component, k) in done for component in components for k in range(64))
