"""Bytes, arrays, PIL images <-> tensors in [-1, 1]; only this file knows the pixel range. "Decoded": mode "L" or "RGB"."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from cyclegan_hub.errors import UserError

MAX_BYTES = 64 * 2**20  # largest file that is read
MAX_PIXELS = 64_000_000  # largest width x height; the header is asked, before any pixel is decoded

ImageSource = bytes | bytearray | memoryview | str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

# Only these of Pillow's parsers run on foreign bytes: no Ghostscript (EPS), no rarely exercised format.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")  # JPEG takes MPO along
# What brings the values 2 to 8 of tag 0x0112 upright (EXIF 2.32, section 4.6.4).
_T = Image.Transpose
_UPRIGHT = {2: _T.FLIP_LEFT_RIGHT, 3: _T.ROTATE_180, 4: _T.FLIP_TOP_BOTTOM, 5: _T.TRANSPOSE}
_UPRIGHT |= {6: _T.ROTATE_270, 7: _T.TRANSVERSE, 8: _T.ROTATE_90}


class ImageError(UserError):
    """An image that cannot be taken; the message is one sentence, safe to show, without any directory."""


def decode(source: ImageSource, channels: int = 3, *, name: str | None = None) -> Image.Image:
    """The picture a person would see in `source`, as a new PIL image of mode "RGB" (`channels` 3) or "L" (1).

    `source` is a file's bytes, a path, a PIL image (of an animation: the frame it stands at), an array (H, W) or (H, W, C) of
    uint8 or of floats in [0, 1] with C 1 to 4 (2 and 4: the last is alpha), or a tensor (C, H, W) of uint8 or of floats in
    [-1, 1] with C 1 or 3. `name` is what errors call it (its last path component); default: the file's name. EXIF orientation
    is applied, transparency composited on white, of an animated file the first frame taken. 16-bit pixels (mode "I;16", and
    "I", which Pillow's readers fill with 16-bit values) are divided by 257; mode "F" must lie in [0, 1]. Colour profiles are
    not applied, metadata is dropped. Raises ImageError for anything else: another type or format, damaged or truncated data,
    more than MAX_BYTES or MAX_PIXELS, values out of range or NaN.
    """
    if channels not in (1, 3):
        raise ImageError(f"channels={channels!r}: give 3 for RGB or 1 for grey")
    label = _label(source, name)
    if isinstance(source, str | os.PathLike):
        source = _read(Path(source), label)
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, np.ndarray):
        image = _from_array(source, label)
    elif isinstance(source, Tensor):
        image = _from_tensor(source, label)
    elif isinstance(source, bytes | bytearray | memoryview):
        image = _open(bytes(source), label)
    else:
        raise ImageError(f"{label} is of type {type(source).__name__}: give bytes, a path, a PIL image, an array or a tensor")
    _check_size(image.width, image.height, label)
    try:
        image.load()
        image = _flatten(_upright(image), label).convert("L" if channels == 1 else "RGB")
    except ImageError:
        raise
    except Exception:  # on foreign bytes Pillow raises OSError, SyntaxError, struct.error, zlib.error, IndexError, ...
        raise ImageError(f"{label} is damaged or cut short: save or download it again") from None
    image.info = {}  # or a later save or conversion would bring orientation or transparency back
    return image


def halves(image: Image.Image, name: str = "this image") -> tuple[Image.Image, Image.Image]:
    """The left and the right half of a decoded picture: how pairs are kept in one file. Raises ImageError for an odd width."""
    if image.width % 2:
        raise ImageError(f"{name} is {image.width} x {image.height}: a pair is one picture of two halves of the same size")
    middle = image.width // 2
    return image.crop((0, 0, middle, image.height)), image.crop((middle, 0, image.width, image.height))


def _label(source: object, name: str | None) -> str:
    """What an error calls `source`: the last path component, escaped and shortened."""
    text = name if name is not None else os.fsdecode(source) if isinstance(source, str | os.PathLike) else ""
    base = text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
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


def _open(data: bytes, label: str) -> Image.Image:
    if len(data) > MAX_BYTES:
        raise ImageError(f"{label} has more than {MAX_BYTES:,} bytes: save it smaller")
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    # The warning is an exception only where warnings are errors. Filtering it here would change global state under other threads.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{label} has more than {MAX_PIXELS:,} pixels: make it smaller") from None
    except Exception:  # as in decode
        raise ImageError(
            f"{label} is not an image that can be read: give a JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF or PPM"
        ) from None


def _check_size(width: int, height: int, label: str) -> None:
    if not 1 <= width * height <= MAX_PIXELS:
        raise ImageError(f"{label} is {width} x {height} pixels: give one of between 1 and {MAX_PIXELS:,} pixels")


def _from_array(array: np.ndarray, label: str, low: int = 0) -> Image.Image:
    if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4):
        raise ImageError(f"{label} is an array of shape {array.shape}: give (H, W) or (H, W, C) with C from 1 to 4")
    _check_size(array.shape[1], array.shape[0], label)
    if array.dtype.kind == "f":
        least, most = float(array.min()), float(array.max())
        if not (least >= low and most <= 1):  # written so that NaN fails too
            raise ImageError(f"{label} holds values from {least:g} to {most:g}: floats must lie in [{low}, 1], without NaN")
        array = np.rint((array.astype(np.float32) - low) * (255 / (1 - low))).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"{label} holds values of type {array.dtype}: give uint8 or floats")
    return Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)


def _from_tensor(x: Tensor, label: str) -> Image.Image:
    if x.ndim != 3 or x.shape[0] not in (1, 3):
        raise ImageError(f"{label} is a tensor of shape {tuple(x.shape)}: give (C, H, W) with C 1 or 3")
    x = x.detach().float() if x.is_floating_point() else x  # NumPy has no bfloat16
    return _from_array(x.cpu().permute(1, 2, 0).contiguous().numpy(), label, low=-1)


def _upright(image: Image.Image) -> Image.Image:
    """`image` turned as its EXIF orientation says; an EXIF block that cannot be parsed says nothing."""
    # Not ImageOps.exif_transpose: it also writes the whole block anew, and fails on odd tags that are not the orientation.
    try:
        transpose = _UPRIGHT.get(image.getexif().get(0x0112))
    except Exception:
        return image
    return image if transpose is None else image.transpose(transpose)


def _flatten(image: Image.Image, label: str) -> Image.Image:
    """`image` with 8 bits a channel and without transparency, in a mode Pillow converts to "L" and "RGB" by itself."""
    if image.mode == "F":
        return _from_array(np.asarray(image), label)
    if image.mode.startswith("I"):
        array = np.asarray(image).astype(np.int32)
        if array.min() < 0 or array.max() > 65535:
            raise ImageError(f"{label} holds integers from {array.min()} to {array.max()}: give 8 or 16 bits a channel")
        transparent = array == image.info.get("transparency", -1)  # PNG's one transparent value
        return Image.fromarray(np.where(transparent, 255, (array + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # Pillow has no conversion from La to RGBA
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode in ("1", "L") else image.convert("RGB")


def resize_short(image: Image.Image, size: int) -> Image.Image:
    """A decoded image, its shorter side resized (Lanczos) to `size` pixels, aspect kept. ImageError above MAX_PIXELS."""
    width, height = (round(side * size / min(image.size)) for side in image.size)
    _check_size(width, height, f"an image of {image.width} x {image.height} with its shorter side resized to {size}")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def square(image: Image.Image, size: int) -> Image.Image:
    """The centred square of a decoded image as `size` x `size` pixels (Lanczos), without a long strip in between."""
    _check_size(size, size, "the square")
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def to_uint8_tensor(image: Image.Image) -> Tensor:
    """A decoded image as uint8 (C, H, W), C 1 for "L" and 3 for "RGB". Raises ImageError for another mode."""
    if image.mode not in ("L", "RGB"):
        raise ImageError(f"an image of mode {image.mode} is not decoded: pass it through images.decode first")
    return torch.from_numpy(np.array(image)).view(image.height, image.width, -1).permute(2, 0, 1).contiguous()


def from_uint8(x: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [-1, 1] (0 -> -1, 255 -> 1). Raises ImageError for another dtype."""
    if x.dtype != torch.uint8:
        raise ImageError(f"a tensor of {x.dtype} does not hold 8-bit pixels: give uint8")
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Floats (any shape and precision) in [-1, 1] -> uint8, clamped: the inverse of `from_uint8`. NaN is not looked for."""
    if not x.is_floating_point():
        raise ImageError(f"a tensor of {x.dtype} is not in [-1, 1]: give floats")
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_tensor(image: Image.Image) -> Tensor:
    """A decoded image as float32 (C, H, W) in [-1, 1]."""
    return from_uint8(to_uint8_tensor(image))


def to_pil(x: Tensor) -> Image.Image:
    """Floats (C, H, W) in [-1, 1] (clamped) -> "L" (C 1) or "RGB" (C 3). Raises ImageError for another shape or NaN."""
    if x.isnan().any():
        raise ImageError("the image holds NaN: its generator or its input is broken")
    return _from_tensor(to_uint8(x), "the image")


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """(N, C, H, W) padded at the right and bottom up to multiples; crop back with `[..., :h, :w]`.

    By reflection while there are pixels left to reflect (side - 1 of them), then by repeating the last of these.
    """
    for axis in (-2, -1):
        side = x.shape[axis]
        index = torch.arange(side + -side % multiple, device=x.device)
        x = x.index_select(axis, torch.where(index < side, index, (2 * (side - 1) - index).clamp(min=0)))
    return x


def content_hash(image: Image.Image) -> str:
    """BLAKE2b (32 hex digits) of a decoded image's mode, size and pixels: equal pixels, equal hash, whatever the file."""
    x = to_uint8_tensor(image)
    return hashlib.blake2b(str(tuple(x.shape)).encode() + x.numpy().tobytes(), digest_size=16).hexdigest()


def png_bytes(image: Image.Image) -> bytes:
    """The image as a PNG file without metadata: equal pixels give equal bytes under one version of Pillow."""
    clean, buffer = image.copy(), io.BytesIO()
    clean.info = {}  # Pillow would write a colour profile found there
    clean.save(buffer, "PNG")
    return buffer.getvalue()
