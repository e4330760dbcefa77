"""A saved model in its folder, and what loading says when it refuses one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cyclegan_hub.hub.mixin import StrictHubMixin
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.cycle_generator import CycleGenerator

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FIRST = "a_to_b.encoder.0.weight"
METADATA = {"recipe": "smile-64", "epoch": "5", "z": "ä", "a": "1", "m": "2", "q": "3", "commit": "0" * 40}


def tiny(**changes: Any) -> CycleGenerator:
    torch.manual_seed(0)
    return CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16} | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a saved model."""
    tiny().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def refusal(source: str | Path, kind: type[StrictHubMixin] = CycleGenerator, **options: Any) -> str:
    """What from_pretrained says, in one line, when it refuses."""
    with pytest.raises(ModelError) as error:
        kind.from_pretrained(source, **options)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and "Traceback" not in message
    return message


class Trap:
    """Pickled, it creates a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def digest(model: StrictHubMixin) -> str:
    """The hash of a model's files."""
    files = model.files(METADATA)
    return hashlib.sha256(files[CONFIG] + files[WEIGHTS]).hexdigest()
