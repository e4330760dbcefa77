"""Colours as their ICC profile means them, in sRGB: what a screen shows and what every model here was trained on."""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms


def to_srgb(image: Image.Image) -> Image.Image:
    """`image` with the colours of its ICC profile converted to sRGB; a profile that is damaged or does not fit says nothing."""
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
    """What brings pictures of a mode from an ICC profile to sRGB; None where the profile is sRGB already."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "sRGB" in ImageCms.getProfileDescription(source):
        return None
    wanted = mode if mode == "RGBA" else "RGB"
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, wanted)
