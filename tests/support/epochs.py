"""A tiny model for each epoch, and what a reader is told of one that cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.hub.records import ModelError


def model(epoch: int, **changes: Any) -> CycleGenerator:
    torch.manual_seed(epoch)
    return CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16, "epoch": epoch} | changes)


def is_model(one: CycleGenerator, epoch: int) -> bool:
    own = model(epoch).state_dict()
    return one.config == model(epoch).config and all(torch.equal(x, own[name]) for name, x in one.state_dict().items())


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """What a reader is told, in one line."""
    with pytest.raises(ModelError) as error:
        action(*arguments, **options)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)
