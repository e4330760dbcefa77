"""Untrained generators of the smallest size, in folders as a run or a publication leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from cyclegan_hub import CycleGenerator
from cyclegan_hub.models.paired_generator import PairedGenerator


def model(epoch: int | None, **changes: Any) -> CycleGenerator:
    """Another one for each epoch, the same each time."""
    torch.manual_seed(epoch or 0)
    labels = ("not smiling", "smiling")
    return CycleGenerator(
        **{"width": 4, "blocks": 1, "image_size": 32, "domain": "smile", "labels": labels, "epoch": epoch} | changes
    )


def folder(path: Path, *epochs: int, metrics: dict[str, Any] | None = None, **changes: Any) -> Path:
    """A folder with these epochs; with none, of a single model."""
    for epoch in epochs:
        model(epoch, **changes).save_pretrained(path / "epochs" / f"epoch-{epoch:03d}")
    if not epochs:
        model(None, **changes).save_pretrained(path)
    if metrics is not None:
        (path / "metrics.json").write_text(json.dumps(metrics))
    return path


def measured(best: int, *epochs: int, **more: Any) -> dict[str, Any]:
    """metrics.json as evaluation writes it: the KID of each epoch is a hundredth of its number."""
    values = {f"epoch-{n:03d}": {d: {"kid[encoder]": n / 100, "n": 200} for d in ("a_to_b", "b_to_a")} for n in epochs}
    return {"best": f"epoch-{best:03d}", "rule": "lowest KID", "extractor": "SideEncoder", "epochs": values} | more


def paired(**changes: Any) -> PairedGenerator:
    torch.manual_seed(0)
    options = {
        "width": 4,
        "blocks": 2,
        "image_size": 32,
        "domain": "faces",
        "labels": ("face in grey", "face"),
        "pairs": "colorize",
    }
    return PairedGenerator(**options | changes)
