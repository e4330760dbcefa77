"""Finds an extractor by its name: Inception-v3 as FID uses it, EfficientNet-lite1, the domain encoder, or a network of the user.

The name of a figure contains its extractor ("fid[encoder]"); only with Inception-v3 it is plain "fid".
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyclegan_hub.evaluation.domain_encoder import domain_encoder
from cyclegan_hub.evaluation.extractor import (
    ENCODER,
    IMAGENET,
    INCEPTION,
    UNHASHED,
    Extractor,
    FeatureError,
    weights_digest,
)
from cyclegan_hub.evaluation.imagenet import imagenet
from cyclegan_hub.evaluation.inception import inception

_NAME = re.compile(r"[\w.:-]{1,80}")
FORMS = "inception, inception:FILE, imagenet, encoder, encoder:FOLDER or package.module:name"


def from_text(text: str, *, device: str | torch.device = "cpu") -> Extractor:
    """The extractor that a command line names: one of `FORMS`.

    "inception" downloads its weights if they are not on this machine. In "package.module:name" the name is a function of images,
    a torch module, or a function without arguments that returns one of these. Raises FeatureError for any other text.
    """
    kind, colon, rest = text.partition(":")
    if not kind or (colon and not rest):
        raise FeatureError(f"extractor {text!r}: give {FORMS}")
    if kind == "inception":
        return inception(Path(rest).expanduser() if rest else None, download=True, device=device)
    if text == IMAGENET:
        return imagenet(device=device)
    if kind == "encoder":
        return domain_encoder(Path(rest).expanduser() if rest else None, device=device)
    if not colon:
        raise FeatureError(f"extractor {text!r} is none: give {FORMS}")
    return custom(_named(text, kind, rest), text, device=device)


def default(*, device: str | torch.device = "cpu") -> Extractor:
    """Inception-v3, if its weights are on this machine. Else raises FeatureError, which names the options."""
    return inception(device=device)


def custom(
    module: Callable[[Tensor], Tensor] | nn.Module, name: str, *, batch_size: int = 64, device: str | torch.device | None = None
) -> Extractor:
    """An extractor of the user's: uint8 (N, 3, H, W) -> floats (N, D); a module is put into evaluation mode.

    The digest covers a module's weights and buffers, not its code. Raises FeatureError if `module` cannot be called, and for a
    name that is taken or has other characters than a metric's name may have.
    """
    if not callable(module):
        raise FeatureError(f"extractor {name!r} is a {type(module).__name__}: give a module, or a function of images")
    if not _NAME.fullmatch(name) or name in (INCEPTION, ENCODER, IMAGENET):
        taken = f"not {INCEPTION}, {ENCODER} or {IMAGENET}"
        raise FeatureError(f"extractor name {name!r}: give letters, digits and .:_- only, and {taken}")
    if batch_size < 1:
        raise FeatureError(f"batch_size={batch_size}: give at least 1")
    state: Mapping[str, Tensor] = {}
    if isinstance(module, nn.Module):
        module = module.eval() if device is None else module.eval().to(device)
        state = module.state_dict()
    return Extractor(name, weights_digest(state)[:12] if state else UNHASHED, module, batch_size)


def _named(text: str, module: str, name: str) -> Any:
    """The object `module:name`; a function without required arguments is called, and its result returned."""
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeatureError(
            f"extractor {text!r} cannot be imported ({error}): check the name, and set PYTHONPATH to where it is"
        ) from error
    if not callable(found):
        raise FeatureError(f"extractor {text!r} is a {type(found).__name__}: name a module, or a function of images")
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a few built-in functions do not tell
        return found
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if required or isinstance(found, nn.Module):
        return found
    try:
        return found()
    except Exception as error:  # whatever the user's own code raises
        raise FeatureError(f"extractor {text!r} could not be built ({type(error).__name__}: {error})") from error
