"""The published model of a folder or repository, of the class that its own config names."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.hub.repository import fetch
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.dcgan import DCGAN
from cyclegan_hub.models.paired_generator import PairedGenerator
from cyclegan_hub.models.protocols import Model

__all__ = ["KINDS", "Model", "from_pretrained"]

KINDS: dict[str, type[Model]] = {kind.config_kind(): kind for kind in (CycleGenerator, DCGAN, PairedGenerator)}


def from_pretrained(
    pretrained_model_name_or_path: str | Path,
    *,
    force_download: bool = False,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    revision: str | None = None,
    map_location: str | torch.device = "cpu",
) -> Model:
    """As `CycleGenerator.from_pretrained`, for any of the three classes. Raises ModelError for a config of none of them."""
    fetched = fetch(
        pretrained_model_name_or_path, revision=revision, token=token, cache_dir=cache_dir, force_download=force_download,
        local_files_only=local_files_only,
    )  # fmt: skip
    try:
        kind = json.loads(fetched.config)["model"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{fetched.where}: config.json is not one of ours ({type(error).__name__}: {error})") from None
    if kind not in KINDS:
        raise ModelError(f"{fetched.where}: config.json describes a {kind!r}, which is not one of {', '.join(KINDS)}")
    return KINDS[kind].load_from(fetched, map_location)
