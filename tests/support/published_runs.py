"""A run folder as a training leaves it, and what publishing makes of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from cyclegan_hub import DCGAN, CycleGenerator, PairedGenerator
from cyclegan_hub.cli import main
from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.repository import MODEL
from cyclegan_hub.recipes.methods import CycleGANRecipe, DCGANRecipe, domain_of, labels_of
from support.card_facts import recipe_of

CONFIG, WEIGHTS = MODEL


def model(epoch: int, name: str = "smile", seed: int = 0, **changes: Any) -> Any:
    """What a recipe (or the first of a domain) trains, as small as it gets; the same each time."""
    torch.manual_seed(seed + epoch)
    recipe = recipe_of(name)
    labels = labels_of(recipe)
    told = {"domain": domain_of(recipe, labels), "labels": list(labels), "epoch": epoch}
    match recipe:
        case CycleGANRecipe():
            return CycleGenerator(**{"width": 4, "blocks": 1, "image_size": 16} | told | changes)
        case DCGANRecipe():
            return DCGAN(**{"latent": 5, "widths": [4, 4]} | told | changes)
    network = {"width": 4, "blocks": 2, "generator": recipe.generator, "pairs": recipe.pairs, "image_size": 16}
    return PairedGenerator(**network | told | changes)


def make_run(folder: Path, *epochs: int, best: int | None = None, seed: int = 0, name: str = "smile") -> Path:
    """A run folder as train.py leaves it, on local files."""
    recipe, directions = recipe_of(name), model(0, name).directions
    data = {side: f"folder mine/train{side.upper()}" for side in "ab"[: len(directions)]}
    record = {"recipe": asdict(recipe), "labels": labels_of(recipe), "data": data, "seed": 0}
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(record))
    (folder / "history.jsonl").write_text('{"step": 10, "epoch": 1.0, "pairs_per_s": 2.0}\n')
    for epoch in epochs:
        metadata = {"epoch": str(epoch), "recipe": recipe.name, "ema": "0.999", "cyclegan_hub": "0.1.0"}
        for file, content in model(epoch, name, seed).files(metadata).items():
            path = folder / "epochs" / f"epoch-{epoch:03d}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    if best is not None:
        kid = {epoch: dict(zip(directions, ({"kid": epoch / 7}, {"kid": 0.5}), strict=False)) for epoch in epochs}
        values = {f"epoch-{epoch:03d}": values for epoch, values in kid.items()}
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
