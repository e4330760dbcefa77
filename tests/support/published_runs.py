"""A run folder as a training leaves it, and what publishing makes of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.repository import MODEL
from cyclegan_hub.recipes.presets import RECIPES
from support.training import ROOT

CONFIG, WEIGHTS = MODEL

FREE_IMAGES = ROOT / "cyclegan_hub" / "free_images"


def model(epoch: int, seed: int = 0, **changes: Any) -> CycleGenerator:
    torch.manual_seed(seed + epoch)
    arguments = {"width": 4, "blocks": 1, "image_size": 16, "domain": "smile", "labels": DOMAINS["smile"].labels}
    return CycleGenerator(**arguments | {"epoch": epoch} | changes)


def make_run(folder: Path, *epochs: int, best: int | None = None, seed: int = 0, domain: str = "smile") -> Path:
    """A run folder as train.py leaves it."""
    recipe = next(recipe for recipe in RECIPES.values() if recipe.domain == domain)
    labels = DOMAINS[domain].labels
    data = {"a": "folder mine/trainA", "b": "folder mine/trainB"}
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps({"recipe": asdict(recipe), "labels": labels, "data": data, "seed": 0}))
    (folder / "history.jsonl").write_text('{"step": 10, "epoch": 1.0, "pairs_per_s": 2.0}\n')
    for epoch in epochs:
        path = folder / "epochs" / f"epoch-{epoch:03d}"
        path.mkdir(parents=True)
        metadata = {"epoch": str(epoch), "recipe": recipe.name, "ema": "0.999", "cyclegan_hub": "0.1.0"}
        for name, data in model(epoch, seed, domain=domain, labels=labels).files(metadata).items():
            (path / name).write_bytes(data)
    if best is not None:
        values = {f"epoch-{epoch:03d}": {"a_to_b": {"kid": epoch / 7}, "b_to_a": {"kid": 0.5}} for epoch in epochs}
        told = {"best": f"epoch-{best:03d}", "rule": "least KID", "extractor": "side encoder", "epochs": values}
        (folder / "metrics.json").write_text(json.dumps(told))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(action: Any, *arguments: Any, **options: Any) -> str:
    """What a publisher is told, in one line."""
    with pytest.raises(UserError) as error:
        action(*arguments, **options)
    assert len(str(error.value).splitlines()) == 1, str(error.value)
    return str(error.value)


def published(*arguments: object) -> int:
    return main(["publish", *map(str, arguments)])
