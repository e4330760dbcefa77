"""How alike two images are, pixel by pixel: L1, PSNR, SSIM and the correlation of their colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_BLOCK = 2**18  # pixel values compared at once: 2 MiB; SSIM holds some fifteen maps of that size
_WINDOW, _DEVIATION = 11, 1.5  # SSIM's Gaussian, in pixels, and below its constants for images in [0, 1]: Wang et al. 2004
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class Similarity:
    """Means over images. `l1` is on the scale of [-1, 1] (0 to 2, as the losses), `psnr` in dB, `ssim` in [-1, 1]."""

    l1: float
    psnr: float
    ssim: float


@dataclass(frozen=True)
class ColourCorrelation:
    """`mean` over images in [-1, 1]; `inverted` is the share of images below 0, where dark has become bright."""

    mean: float
    inverted: float


def similarity(x: Tensor, y: Tensor) -> Similarity:
    """How alike the images of two batches (N, C, H, W) in [-1, 1] are, one by one.

    Between an input and its reconstruction it is the cycle consistency, between an input and its translation the input-output
    similarity, between a target image and the output of the generator into its domain the identity error (`l1`).
    PSNR is the mean over images, infinite as soon as two are equal. SSIM (Wang et al. 2004, section III: an 11 x 11 Gaussian
    window of deviation 1.5, each channel by itself) is that of the images in [0, 1], where its luminance term is meaningful, with
    borders reflected as in torchmetrics.
    Raises ValueError for different shapes, no image, sides below 11 pixels, NaN or values outside [-1, 1].
    """
    _check(x, y)
    if min(x.shape[-2:]) < _WINDOW:
        raise ValueError(f"images of {x.shape[-2]} x {x.shape[-1]} pixels: SSIM needs sides of at least {_WINDOW}")
    absolute, noise, structure = [], [], []
    for a, b in _blocks(x, y):
        absolute.append((a - b).abs().flatten(1).mean(1))
        noise.append((a - b).square().flatten(1).mean(1))
        structure.append(_ssim((a + 1) / 2, (b + 1) / 2))
    psnr = 10 * torch.log10(4 / torch.cat(noise))  # 4: the range of [-1, 1] squared
    return Similarity(torch.cat(absolute).mean().item(), psnr.mean().item(), torch.cat(structure).mean().item())


def _ssim(a: Tensor, b: Tensor) -> Tensor:
    """(N,): the structural similarity of images (N, C, H, W) in [0, 1], in float64.

    Not torchmetrics' function, whose float64 values these are: a CPU convolves float64 18 times as slowly as float32, and in
    float32 a flat image is wrong by 3e-4. Two matrix products blur float64 as fast as that.
    """
    rows, columns = (_blur(side) for side in a.shape[-2:])
    mean_a, mean_b, square_a, square_b, product = (rows.T @ v @ columns for v in (a, b, a * a, b * b, a * b))
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    variances = (square_a - mean_a**2) + (square_b - mean_b**2)
    return (luminance * (2 * (product - mean_a * mean_b) + _C2) / (variances + _C2)).flatten(1).mean(1)


def _blur(side: int) -> Tensor:
    """(side, side) float64: what each pixel of a line (first axis) gives to each of the blurred line, borders reflected."""
    half = _WINDOW // 2
    weights = torch.exp(-((torch.arange(_WINDOW, dtype=torch.float64) - half) ** 2) / (2 * _DEVIATION**2))
    line = torch.nn.functional.pad(torch.eye(side, dtype=torch.float64)[None], (half, half), mode="reflect")[0]
    return line.unfold(1, _WINDOW, 1) @ (weights / weights.sum())


def colour_correlation(x: Tensor, y: Tensor) -> ColourCorrelation:
    """Pearson's correlation between two images over all pixels and channels, for batches (N, C, H, W) in [-1, 1].

    Between inputs and translations: below 0 it shows the colour inversion that CycleGANs fall into early. A constant image
    has no correlation and counts as 0. Raises ValueError as `similarity` does, but for small images.
    """
    _check(x, y)
    values = []
    for a, b in _blocks(x, y):
        a, b = (v.flatten(1) - v.flatten(1).mean(1, keepdim=True) for v in (a, b))
        # `eps` is the least norm: above what rounding leaves of a constant image, below one pixel one level off (2/255).
        values.append(torch.nn.functional.cosine_similarity(a, b, dim=1, eps=1e-3))
    each = torch.cat(values)
    return ColourCorrelation(each.mean().item(), (each < 0).double().mean().item())


def _check(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.ndim != 4 or not x.numel():
        raise ValueError(f"images of shapes {tuple(x.shape)} and {tuple(y.shape)}: give two equal ones (N, C, H, W), N from 1")
    for name, v in (("first", x), ("second", y)):
        if not v.is_floating_point():
            raise ValueError(f"the {name} images are {v.dtype}: give floats in [-1, 1]")
        broken = v.isnan().flatten(1).any(1).nonzero().flatten().tolist()
        if broken:
            raise ValueError(f"image {broken[0]} of the {name} images holds NaN: the generator or its input is broken")
        low, high = v.min().item(), v.max().item()
        if low < -1 or high > 1:
            raise ValueError(f"the {name} images hold values from {low:g} to {high:g}: give floats in [-1, 1]")


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both batches, a few images at a time, as float64 on the CPU."""
    step = max(1, _BLOCK // x[0].numel())
    for i in range(0, len(x), step):
        yield x[i : i + step].detach().cpu().double(), y[i : i + step].detach().cpu().double()
