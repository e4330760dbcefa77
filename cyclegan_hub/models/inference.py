"""How a published model runs on this machine: decided once, and used by the page, the command line and the evaluation alike."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import torch
from torch import nn

from cyclegan_hub import images
from cyclegan_hub.errors import UserError
from cyclegan_hub.models.folding import fold_upsampling, to_bf16
from cyclegan_hub.models.protocols import Translator
from cyclegan_hub.models.translate import translate_batch

Precision = Literal["fp32", "bf16"]
VARIABLE = "CYCLEGAN_HUB_PRECISION"  # "fp32" or "bf16" instead of what the processor suggests
# Of a bf16 result against fp32, in shares of 255: the mean, and what 99.9 % of the values stay within.
MEAN, MOST = 0.5, 6.0
_PICTURE = Path(__file__).parent.parent / "free_images" / "astronaut_face.jpg"
_SIDE = 128  # px that a model is tried at, at most
M = TypeVar("M")


@dataclass(frozen=True)
class Decision:
    """How models run on the CPU of this machine: `precision` where exactness was not promised, and why."""

    precision: Precision
    why: str

    def __str__(self) -> str:
        return f"channels_last, folded resizing, {self.precision} ({self.why})"


@cache
def decide() -> Decision:
    """The decision for this machine. Raises UserError for a value of CYCLEGAN_HUB_PRECISION that there is not."""
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


def fast(model: M, *, exact: bool = False) -> M:
    """A copy of a model that translates, prepared to run fast on this machine's CPU; not to be trained or saved any more.

    `exact` keeps fp32, equal to the model to 0.01/255: for metrics, cards and wherever exactness is promised. Else bf16 is used
    where the processor has it, as long as it stays within 0.5/255 in the mean and 6/255 for 99.9 % of the values on a bundled
    picture; a model that does not gets fp32. Returned as it is: a model on another device, one that draws, an OnnxGenerator.
    """
    if not isinstance(model, Translator) or not isinstance(model, nn.Module) or next(model.parameters()).device.type != "cpu":
        return model
    made = _prepared(model)
    if exact or decide().precision == "fp32":
        return made
    quick: Any = copy.deepcopy(made)
    to_bf16(quick)
    return quick if within_bounds(cast(Translator, made), quick) else made


def _prepared(model: M) -> M:
    made: Any = copy.deepcopy(model)
    fold_upsampling(made.eval().requires_grad_(False))
    return made.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]  # a module returns itself


def within_bounds(exact: Translator, quick: Translator) -> bool:
    """Whether `quick` does what `exact` does, within the bounds that bf16 may take, in every direction."""
    side = min(exact.image_size, _SIDE)
    x = images.to_tensor(images.square(images.decode(_PICTURE, exact.channels), side))[None]
    for direction in exact.directions:
        expected, found = (translate_batch(one.network(direction), x) for one in (exact, quick))
        apart = (found.clamp(-1, 1) - expected.clamp(-1, 1)).abs().flatten() * 127.5
        if not (apart.mean() <= MEAN and apart.quantile(0.999) <= MOST):  # written so that NaN fails too
            return False
    return True
