"""Bytes, arrays, PIL images -> the image as a person sees it, at any size. No torch here. "Decoded": mode "L" or "RGB"."""

from __future__ import annotations

import functools
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np
from PIL import Image, ImageCms, ImageOps

from cyclegan_hub.errors import UserError
from cyclegan_hub.files import base_name, is_lfs_pointer
from cyclegan_hub.imaging import repair

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 64 * 2**20  # largest file that is read
MAX_PIXELS = 64_000_000  # largest width x height; the header is asked, before any pixel is decoded

Source: TypeAlias = "bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | np.ndarray | Tensor"

# Only these of Pillow's parsers run on foreign bytes (no Ghostscript, which is EPS), with their file extensions. TGA comes last:
# its files do not begin with a signature.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),  # takes MPO along
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
# File signatures: what begins so and cannot be opened is a damaged image, not something else.
_SIGNATURES = (repair.PNG, repair.JPEG, b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# Files with these extensions count as images wherever a folder is listed. HEIC that cannot be decoded is an error, not left out.
IMAGE_ENDINGS = (*(ending for endings in FORMATS.values() for ending in endings), ".heic", ".heif", ".hif")
# The operations that turn the values 2 to 8 of tag 0x0112 upright (EXIF 2.32, section 4.6.4).
_T = Image.Transpose
_UPRIGHT = {2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE}
_UPRIGHT |= {6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90}
_DAMAGED = "is damaged or cut short: save or download it again"


class ImageError(UserError):
    """An image that cannot be taken; the message is one sentence, safe to show, without any directory."""


def decode(
    source: Source, channels: int = 3, *, name: str | None = None, value_range: tuple[int, int] | None = None
) -> Image.Image:
    """The image as a person sees it in `source`, as a new PIL image of mode "RGB" (`channels` 3) or "L" (1).

    `source` is a file's bytes, a path, a PIL image (of an animation: the frame it stands at), an array (H, W) or (H, W, C)
    of uint8, uint16 or floats in [0, 1] with C 1 to 4 (2 and 4: the last is alpha), or a tensor (C, H, W) of uint8 or floats in
    [-1, 1] with C 1 or 3. `name` is what errors call it (its last path component); default: the file's name.

    EXIF orientation is applied, transparency composited on white, of an animated file the first frame taken, colours converted
    from the file's ICC profile to sRGB. Grey 16-bit pixels (modes "I;16" and "I") are divided by 257, or with `value_range`
    (darkest, brightest), such as (0, 4095), brought from there to 0 to 255, clipped; so are pixels of mode "F", which else must
    lie in [0, 1]. Images of 8 bits stay as they are. Of files with 16 bits a channel in colour only the high byte can be read:
    with a `value_range` they are refused. Metadata is dropped; damaged or very large, it does no harm, nor does a JPEG's missing
    end marker. HEIC is read where pi-heif is installed.

    Raises ImageError for anything else: another type or format, damaged or truncated data, more than MAX_BYTES or MAX_PIXELS,
    values out of range or NaN.
    """
    return decode_with_alpha(source, channels, name=name, value_range=value_range)[0]


def decode_with_alpha(
    source: Source, channels: int = 3, *, name: str | None = None, value_range: tuple[int, int] | None = None
) -> tuple[Image.Image, Image.Image | None]:
    """The result of `decode`, and the alpha channel (mode "L", of the same size); None where every pixel is opaque."""
    if channels not in (1, 3):
        raise ImageError(f"channels={channels!r}: give 3 for RGB or 1 for grey")
    label = label_of(source, name)
    if isinstance(source, str | os.PathLike):
        source = _read(Path(source), label)
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, np.ndarray):
        image = from_array(source, label, value_range=value_range)
    elif isinstance(source, bytes | bytearray | memoryview):
        image = _from_bytes(bytes(source), label, value_range is None)
    elif "torch" in sys.modules and isinstance(source, sys.modules["torch"].Tensor):  # there is none before torch is imported
        image = from_tensor(source, label)
    else:
        raise ImageError(f"{label} is of type {type(source).__name__}: give bytes, a path, a PIL image, an array or a tensor")
    check_size(image.width, image.height, label)
    try:
        image.load()
        upright = _upright(image)
        alpha = _alpha(upright)
        image = _flatten(to_srgb(upright), label, value_range).convert("L" if channels == 1 else "RGB")
    except ImageError:
        raise
    except Exception:  # on foreign bytes Pillow raises OSError, SyntaxError, struct.error, zlib.error, IndexError, ...
        raise ImageError(f"{label} {_DAMAGED}") from None
    image.info = {}  # or a later save or conversion would bring orientation or transparency back
    return image, alpha


def halves(image: Image.Image, name: str = "this image") -> tuple[Image.Image, Image.Image]:
    """The left and the right half of a decoded image: how pairs are kept in one file. Raises ImageError for an odd width."""
    if image.width % 2:
        raise ImageError(f"{name} is {image.width} x {image.height}: a pair is one image of two halves of the same size")
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height)), image.crop((middle, 0, image.width, image.height))


def label_of(source: object, name: str | None) -> str:
    """The name of `source` in errors: the last path component, escaped and shortened."""
    base = base_name(name if name is not None else os.fsdecode(source) if isinstance(source, str | os.PathLike) else "")
    base = base if len(base) <= 48 else f"{base[:32]}...{base[-13:]}"
    return repr(base) if base else "this image"


def _read(path: Path, label: str) -> bytes:
    try:
        if not path.is_file():  # also keeps pipes and devices out, which never end
            raise ImageError(f"{label} is not a file: give the path of an image")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one too many is enough for _open to refuse it
    except OSError:
        raise ImageError(f"{label} cannot be read: check that the file exists and that you may read it") from None


def _from_bytes(data: bytes, label: str, deep_colour: bool) -> Image.Image:
    """The image in a file of any of the formats, loaded; errors call it `label`. `deep_colour`: may colours have 16 bits."""
    if len(data) > MAX_BYTES:
        raise ImageError(f"{label} has more than {MAX_BYTES:,} bytes: save it smaller")
    profile = None
    if data.startswith(repair.PNG):
        data, profile = repair.png_without_metadata(data)
    image = _open(data, label)
    if not deep_colour and is_deep_colour(image):
        raise ImageError(
            f"{label} has 16 bits a channel in colour, where a value range cannot be used: save it in grey or 8 bits"
        )
    check_size(image.width, image.height, label)
    try:
        image.load()
    except Exception:  # as in decode
        repaired = repair.jpeg_that_lacks_its_end(data) if data.startswith(repair.JPEG) else None
        if repaired is None:
            raise ImageError(f"{label} {_DAMAGED}") from None
        image = repaired
    if profile:
        image.info["icc_profile"] = profile
    return image


def _open(data: bytes, label: str) -> Image.Image:
    if heif := is_heif(data):
        try:
            from pi_heif import HeifImageFile
        except ImportError:
            needed = "which needs pi-heif: pip install pi-heif, or save it as a JPEG"
            raise ImageError(f"{label} is a HEIC photograph, {needed}") from None
    try:
        # Not `register_heif_opener`: it would open this format to every use of Pillow in the process.
        opened: Image.Image = HeifImageFile(io.BytesIO(data)) if heif else Image.open(io.BytesIO(data), formats=tuple(FORMATS))
        return opened
    # The warning is an exception only where warnings are errors. Filtering it here would change global state under other threads.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{label} has more than {MAX_PIXELS:,} pixels: make it smaller") from None
    except Exception:  # as in decode
        if heif or data.startswith(_SIGNATURES):
            raise ImageError(f"{label} {_DAMAGED}") from None
        if is_lfs_pointer(data):
            raise ImageError(f"{label} is a Git-LFS pointer, not the image: run `git lfs pull` in the clone it lies in") from None
        known = "JPEG, PNG, WebP, AVIF, HEIC, GIF, BMP, TIFF, JPEG 2000, PPM or TGA"
        raise ImageError(f"{label} is not an image that can be read: give a {known}") from None


def has_several_frames(source: bytes | Path) -> bool:
    """Whether a file is an animation or has several pages, of which `decode` takes the first. False for what cannot be read.

    Photographs that carry a preview or a depth map as a second image (MPO, HEIC) count as one.
    """
    if isinstance(source, Path) and not source.is_file():  # as in _read
        return False
    try:  # only the head is read, and of an animation the second frame's
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source), formats=tuple(FORMATS)) as image:
            return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # as in decode, whose error names the cause
        return False


def looks_like_image(file: BinaryIO) -> bool:
    """Whether a file that can be sought in begins as an image that `decode` may read; only its head is read."""
    head = file.read(32)
    file.seek(0)
    if head.startswith((repair.PNG, repair.JPEG)) or is_heif(head):
        return True  # whatever is wrong with its metadata
    try:
        # Without TGA: almost any bytes could begin one.
        Image.open(file, formats=[name for name in FORMATS if name != "TGA"])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True  # an image, which decoding will refuse with its reason
    except Exception:  # as in decode
        return False
    return True


def check_size(width: int, height: int, label: str) -> None:
    """Raises ImageError, with `label`, for an image without a pixel or with more than MAX_PIXELS."""
    if not 1 <= width * height <= MAX_PIXELS:
        raise ImageError(f"{label} is {width} x {height} pixels: give one of between 1 and {MAX_PIXELS:,} pixels")


def from_array(array: np.ndarray, label: str, low: int = 0, value_range: tuple[int, int] | None = None) -> Image.Image:
    """(H, W) or (H, W, C) of uint8, uint16 (see `decode`), or floats in [`low`, 1], as an image; errors call it `label`."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise ImageError(f"{label} is an array of shape {array.shape}: give (H, W) or (H, W, C) with C from 1 to 4")
    check_size(array.shape[1], array.shape[0], label)
    if array.dtype.kind == "f":
        least, most = float(array.min()), float(array.max())
        if not (least >= low and most <= 1):  # written so that NaN fails too
            option = ", or give a value range" if low == 0 and np.isfinite(array).all() else ""
            where = f"floats must lie in [{low}, 1], without NaN{option}"
            raise ImageError(f"{label} holds values from {least:g} to {most:g}: {where}")
        array = np.rint((array.astype(np.float32) - low) * (255 / (1 - low))).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = brought_to_8_bits(array, value_range)
    elif array.dtype != np.uint8:
        raise ImageError(f"{label} holds values of type {array.dtype}: give uint8, uint16 or floats")
    return Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)


def from_tensor(x: Tensor, label: str) -> Image.Image:
    """A tensor, as `decode` takes it, as an image; errors call it `label`."""
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ImageError(f"{label} is a tensor of shape {tuple(x.shape)}: give (C, H, W) with C 1 or 3")
    x = x.detach().float() if x.is_floating_point() else x  # NumPy has no bfloat16
    return from_array(x.cpu().permute(1, 2, 0).contiguous().numpy(), label, low=-1)


def _upright(image: Image.Image) -> Image.Image:
    """`image` turned by its EXIF orientation; an EXIF block that cannot be parsed is ignored."""
    # Not ImageOps.exif_transpose: it also writes the whole block again, and fails on odd tags that are not the orientation.
    try:
        transpose = _UPRIGHT.get(image.getexif().get(0x0112, 1))
    except Exception:
        return image
    return image if transpose is None else image.transpose(transpose)


def _alpha(image: Image.Image) -> Image.Image | None:
    """The alpha channel; None where there is none, or it hides nothing."""
    if image.mode == "F" or image.mode.startswith("I") or not image.has_transparency_data:
        return None
    alpha = (image.convert("LA") if image.mode == "La" else image).convert("RGBA").getchannel("A")
    return None if alpha.getextrema()[0] == 255 else alpha


def _flatten(image: Image.Image, label: str, value_range: tuple[int, int] | None) -> Image.Image:
    """`image` with 8 bits a channel and without transparency, in a mode Pillow converts to "L" and "RGB" by itself."""
    if image.mode == "F":
        floats = np.asarray(image)
        if value_range is not None and np.isfinite(floats).all():
            return Image.fromarray(brought_to_8_bits(floats, value_range))
        return from_array(floats, label)
    if image.mode.startswith("I"):
        array = np.asarray(image).astype(np.int32)
        if value_range is not None:
            return Image.fromarray(brought_to_8_bits(array, value_range))
        if array.min() < 0 or array.max() > 65535:
            raise ImageError(
                f"{label} holds integers from {array.min()} to {array.max()}: give 8 or 16 bits a channel, or a value range"
            )
        transparent = array == image.info.get("transparency", -1)  # PNG's one transparent value
        return Image.fromarray(np.where(transparent, 255, (array + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # Pillow has no conversion from La to RGBA
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in ("1", "L") else image.convert("RGB")


def resize_short(image: Image.Image, size: int) -> Image.Image:
    """A decoded image, its shorter side resized (Lanczos) to `size` pixels, aspect kept. ImageError above MAX_PIXELS."""
    width, height = (round(side * size / min(image.size)) for side in image.size)
    check_size(width, height, f"an image of {image.width} x {image.height} with its shorter side resized to {size}")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def square(image: Image.Image, size: int) -> Image.Image:
    """The centred square of a decoded image as `size` x `size` pixels (Lanczos), without a long strip in between."""
    check_size(size, size, "the square")
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def png_bytes(image: Image.Image) -> bytes:
    """The image as a PNG file without metadata: equal pixels give equal bytes under one version of Pillow."""
    clean, buffer = image.copy(), io.BytesIO()
    clean.info = {}  # Pillow would write a colour profile found there
    clean.save(buffer, "PNG")
    return buffer.getvalue()


# ICC profiles: every model here was trained on sRGB, the colours of a screen.


def to_srgb(image: Image.Image) -> Image.Image:
    """`image` with the colours of its ICC profile converted to sRGB; a profile that is damaged or does not fit is ignored."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("L", "P", "RGB", "RGBA", "CMYK"):
        return image
    if image.mode == "P" or (image.mode == "RGB" and "transparency" in image.info):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    try:
        transform = _transform(profile, image.mode)
        converted = image if transform is None else ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of images of a mode from an ICC profile to sRGB; None where the profile is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(source):
        return None
    wanted = mode if mode == "RGBA" else "RGB"
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, wanted)


def brought_to_8_bits(array: np.ndarray, value_range: tuple[int, int] | None) -> np.ndarray:
    """Integers or finite floats (H, W) or (H, W, C) as uint8: `value_range` (None: 0 and 65,535) becomes 0 and 255, clipped.

    Of 2 and 4 channels the last is alpha, which the range leaves alone: 65,535 is opaque.
    """
    low, high = value_range or (0, 65535)
    numbers = array.astype(np.float64 if array.dtype.kind == "f" else np.int32)
    found = np.rint((numbers.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] in (2, 4) and value_range is not None:
        found[:, :, -1] = brought_to_8_bits(array[:, :, -1], None)
    return found


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image, opened and not loaded, has 16 bits a channel in colour, of which Pillow reads the high byte only."""
    return image.mode in ("RGB", "RGBA", "LA", "CMYK") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def probe_image(raw: bytes | Path | np.ndarray | Image.Image) -> tuple[str, int | None, bool] | None:
    """Returns (Pillow's mode of an image; its largest value if it has 16 bits, else None; whether it has 16 bits in colour).

    None for a file that Pillow alone cannot open, such as HEIC and those that `decode` repairs. A PIL image may hold its largest
    value as `info["peak"]`.
    """
    if isinstance(raw, np.ndarray):
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[raw.shape[2] if raw.ndim == 3 else 1]
        colours = raw[..., :-1] if mode in ("LA", "RGBA") else raw
        return mode, int(colours.max()) if raw.dtype == np.uint16 else None, False
    if isinstance(raw, Image.Image):
        return raw.mode, raw.info.get("peak"), False
    try:
        with Image.open(io.BytesIO(raw) if isinstance(raw, bytes) else raw, formats=tuple(FORMATS)) as file:
            if is_deep_colour(file):
                return file.mode, 257 * int(np.asarray(file.convert("RGB")).max()), True
            return file.mode, int(np.asarray(file).max()) if file.mode.startswith("I") else None, False
    except Exception:  # on foreign bytes Pillow raises OSError, SyntaxError, ValueError, struct.error, ...
        return None


# HEIC and HEIF, the format of iPhone photographs, where the optional decoder is installed.
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")


def is_heif(data: bytes) -> bool:
    """Whether the header of a file is that of HEIC or HEIF (ISO/IEC 23008-12); AVIF, which Pillow reads itself, is neither."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS and b"avif" not in data[8:32]
