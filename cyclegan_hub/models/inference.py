"""How published models run on this machine's CPU, for the page, the command line and the evaluation alike."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub import free_images
from cyclegan_hub.errors import UserError
from cyclegan_hub.imaging import images
from cyclegan_hub.models.protocols import Translator
from cyclegan_hub.models.translate import translate_batch

Precision = Literal["fp32", "bf16"]
VARIABLE = "CYCLEGAN_HUB_PRECISION"  # "fp32" or "bf16" instead of what the processor suggests
# Accepted differences of bf16 from fp32, in shares of 255: the mean, and the 99.9th percentile.
MEAN, MOST = 0.5, 6.0
_IMAGE = free_images.FOLDER / "astronaut_face.jpg"
_SIDE = 128  # px, at most, of the image that models are compared on
M = TypeVar("M")


@dataclass(frozen=True)
class Decision:
    """How models run on the CPU of this machine: the `precision` where exactness is not promised, and why."""

    precision: Precision
    why: str

    def __str__(self) -> str:
        return f"channels_last, folded resizing, {self.precision} ({self.why})"


@cache
def choose_precision() -> Decision:
    """The decision for this machine. Raises UserError for an invalid value of CYCLEGAN_HUB_PRECISION."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "fp32", "bf16"):
        raise UserError(f"{VARIABLE}={asked!r}: give fp32 or bf16, or unset it")
    if asked:
        return Decision("bf16" if asked == "bf16" else "fp32", f"{VARIABLE} says so")
    if _has("_is_amx_tile_supported"):
        return Decision("bf16", "the processor has AMX")
    if _has("_is_avx512_bf16_supported"):
        return Decision("bf16", "the processor has AVX-512 with bf16")
    return Decision("fp32", "the processor has no instructions for bf16")


def _has(question: str) -> bool:
    ask = getattr(torch.cpu, question, None)  # torch has no public name for it
    return bool(ask is not None and ask())


def optimize_for_cpu(model: M, *, exact: bool = False) -> M:
    """A copy of a Translator, prepared to run fast on this machine's CPU; it must not be trained or saved.

    `exact` keeps fp32, equal to the model to 0.01/255: for metrics, cards and wherever exactness is promised. Else bf16 is used
    where the processor has it, as long as it stays within 0.5/255 in the mean and 6/255 for 99.9 % of the values on a bundled
    image; otherwise fp32. A model on another device, a Sampler and an OnnxGenerator are returned unchanged.
    """
    if not isinstance(model, Translator) or not isinstance(model, nn.Module) or next(model.parameters()).device.type != "cpu":
        return model
    made: Any = copy.deepcopy(model)
    fold_upsampling(made.eval().requires_grad_(False))
    made.to(memory_format=torch.channels_last)
    if exact or choose_precision().precision == "fp32":
        return cast(M, made)
    quick = copy.deepcopy(made)
    for module in quick.modules():  # norms stay in fp32, as their statistics always are
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | FoldedUpsample):
            module.to(torch.bfloat16)
    return cast(M, quick if within_bounds(made, quick) else made)


def within_bounds(exact: Translator, quick: Translator) -> bool:
    """Whether the outputs of `quick` differ from those of `exact` by no more than the bounds above, in every direction."""
    side = min(exact.image_size, _SIDE)
    x = images.to_tensor(images.square(images.decode(_IMAGE, exact.channels), side))[None]
    for direction in exact.directions:
        expected, found = (translate_batch(one.network(direction), x) for one in (exact, quick))
        apart = (found.clamp(-1, 1) - expected.clamp(-1, 1)).abs().flatten() * 127.5
        if not (apart.mean() <= MEAN and apart.quantile(0.999) <= MOST):  # written so that NaN fails too
            return False
    return True


# Resizing and the convolution after it as one operation: the same result with less than half of the multiplications.


class FoldedUpsample(nn.Module):
    """`nn.Upsample(scale_factor=2)` followed by a 3x3 `nn.Conv2d` with padding 1, as one transposed convolution.

    Each pixel is repeated 2x2 times and the kernel is slid over that, so its taps that meet the same pixel can be added up
    beforehand: 4 taps of a 4x4 kernel are left for each output pixel where the 3x3 kernel had 9. Exact except for rounding.
    (N, C, H, W) -> (N, O, 2H, 2W).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(_added_taps(conv.weight.detach()), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
        # Reflecting the enlarged image by one pixel repeats the outermost pixel of the small image.
        self.reflects = conv.padding_mode == "reflect"

    def forward(self, x: Tensor) -> Tensor:
        return _upsampled(x, self.weight, self.bias, self.reflects)


class UpsamplingConv2d(nn.Conv2d):
    """A `FoldedUpsample` that can be trained: the weight is that of the 3x3 convolution, and is folded at each call."""

    def forward(self, x: Tensor) -> Tensor:
        return _upsampled(x, _added_taps(self.weight), self.bias, self.padding_mode == "reflect")


def _added_taps(weight: Tensor) -> Tensor:
    """(O, I, 3, 3) of a convolution -> (I, O, 4, 4) of the transposed one with stride 2."""
    taps = weight.flip(2, 3).transpose(0, 1)
    a, b, c, d = (F.pad(taps, (left, 1 - left, top, 1 - top)) for top in (0, 1) for left in (0, 1))
    return a + b + c + d


def _upsampled(x: Tensor, weight: Tensor, bias: Tensor | None, reflects: bool) -> Tensor:
    if reflects:
        if torch.compiler.is_compiling():
            # On a CPU inductor expects this pad's gradient in another memory layout than it has, and fails (torch 2.13).
            x = torch.cat((x[:, :, :1], x, x[:, :, -1:]), 2)
            x = torch.cat((x[..., :1], x, x[..., -1:]), 3)
        else:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    return F.conv_transpose2d(x, weight, bias, stride=2, padding=3 if reflects else 1)


def prepare_for_training(network: nn.Module) -> nn.Module:
    """Makes a step of eager training faster, in place and by the same mathematics; returns the network.

    Its parameters and the names in its state stay. Resizing is folded into the convolution after it, and on a CPU images go in
    channels_last, which all layers keep.
    """
    for layers, i, conv in _places(network):
        layers[i] = nn.Identity()
        conv.__class__ = UpsamplingConv2d  # the same module with another forward: optimisers and hooks may hold it
    network.register_forward_pre_hook(_channels_last)
    return network


def _channels_last(module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *more = arguments
    if x.device.type != "cpu" or torch.compiler.is_compiling():  # a compiler chooses layouts itself
        return arguments
    return (x.contiguous(memory_format=torch.channels_last), *more)


def fold_upsampling(network: nn.Module) -> nn.Module:
    """Replaces, in place, every resizing by 2 that a 3x3 convolution follows; returns the network, for inference only."""
    for layers, i, conv in _places(network):
        layers[i], layers[i + 1] = nn.Identity(), FoldedUpsample(conv)
    return network


def _places(network: nn.Module) -> list[tuple[nn.Sequential, int, nn.Conv2d]]:
    """Each resizing that folds into the convolution after it: the layers, its index there, the convolution."""
    found = []
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for i in range(len(layers) - 1):
                up, conv = layers[i], layers[i + 1]
                if isinstance(up, nn.Upsample) and isinstance(conv, nn.Conv2d) and _folds(up, conv):
                    found.append((layers, i, conv))
    return found


def _folds(up: nn.Upsample, conv: nn.Conv2d) -> bool:
    return up.scale_factor in (2, 2.0) and up.mode == "nearest" and is_plain_3x3(conv)


def is_plain_3x3(conv: nn.Conv2d) -> bool:
    """Whether it is a 3x3 convolution of stride 1 and padding 1, by zeros or reflection, of all channels."""
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return shape == ((3, 3), (1, 1), (1, 1), (1, 1), 1) and conv.padding_mode in ("zeros", "reflect")
