"""HEIC and HEIF, the format of iPhone photographs, if the optional decoder is installed (`pip install pi-heif`). Reads only."""

from __future__ import annotations

import io

from PIL import Image

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


def is_heif(data: bytes) -> bool:
    """Whether a file says that it is HEIC or HEIF (ISO/IEC 23008-12); AVIF, which Pillow reads itself, is neither."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS and b"avif" not in data[8:32]


def open_heif(data: bytes) -> Image.Image | None:
    """The main picture of such a file, not decoded yet, as `PIL.Image.open` gives it; None where there is no decoder.

    Raises SyntaxError for a file that is damaged.
    """
    try:
        from pi_heif import HeifImageFile
    except ImportError:
        return None
    # Not `register_heif_opener`: it would open this format to every use of Pillow in the process.
    picture: Image.Image = HeifImageFile(io.BytesIO(data))
    return picture
