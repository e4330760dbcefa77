"""What train/encoder.py writes beside the weights: their held-out accuracy as JSON, and the model card."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from cyclegan_hub import __version__
from cyclegan_hub.evaluation.extractor import weights_digest
from cyclegan_hub.models.encoder import SideEncoder


@dataclass(frozen=True)
class Training:
    """What a card says about a run. `counts` and `accuracy` by domain; `sources` a line for each side, without directories."""

    command: str
    licence: str
    about: Sequence[str]
    sources: dict[str, tuple[str, str]]
    counts: dict[str, tuple[int, int]]  # images trained on, of A and of B
    accuracy: dict[str, dict[str, float]]
    steps: int
    seed: int
    precision: str
    seconds: float


def files(encoder: SideEncoder, training: Training) -> dict[str, bytes]:
    """The content of an encoder's folder. metrics.json names the weights it was measured on, so that no other pass for them."""
    metrics = {
        "sha256": weights_digest(encoder.state_dict()),
        "accuracy": training.accuracy,
        "training": {"steps": training.steps, "seed": training.seed, "images": training.counts, "data": training.sources},
    }
    text = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    return encoder.files(dtype=torch.float16) | {"metrics.json": text.encode(), "README.md": card(encoder, training).encode()}


def card(encoder: SideEncoder, training: Training) -> str:
    """The model card."""
    rows, data = [], []
    for name, (first, second) in encoder.domains.items():
        scores, counts = training.accuracy[name], training.counts[name]
        rows += [
            f"| {name} | A: {first} | {counts[0]:,} | {scores['a']:.1%} of {scores['n_a']} |",
            f"| {name} | B: {second} | {counts[1]:,} | {scores['b']:.1%} of {scores['n_b']} |",
        ]
        data += [f"- {name}, {side}: {source}" for side, source in zip("AB", training.sources[name], strict=True)]
    weights = sum(p.numel() for p in encoder.parameters())
    precision = "float32" if training.precision == "no" else training.precision
    machine = f"{_processor()}, {torch.get_num_threads()} thread(s), {precision}, torch {torch.__version__}"
    return "\n".join([
        "---", "license: other", f"license_name: {json.dumps(training.licence, ensure_ascii=False)}",
        "library_name: cyclegan_hub", "tags: [image-classification, cyclegan]", "---", "",
        "# Domain encoder", "",
        f"A small CNN ({weights:,} weights, stored as float16) that tells the sides of domains apart. cyclegan_hub takes "
        "features from it where Inception-v3 is not to be had, and lets it judge which side a translation reads as.",
        f"Weights sha256 {weights_digest(encoder.state_dict())[:12]}; figures taken with it are called `fid[encoder]`, never "
        "FID, and compare only with figures of the same hash.", "",
        "## Held-out accuracy", "",
        "The share of held-out images of each side that is taken for its own side rather than the domain's other one:", "",
        "| domain | side | trained on | right |", "|---|---|---|---|", *rows, "",
        "## Data", "", *data, *([""] if training.about else []), *training.about, "",
        f"Licence: {training.licence}. No image is in this folder.", "",
        "## Limits", "",
        "It knows these domains, at 64 px, from these sets: a set that differs otherwise than in its subject (crop, camera, "
        "compression) is told apart by that too. A translation can please it without looking right: look at the pictures, and at "
        "the share of untranslated inputs that it already takes for the target side.", "",
        "## Training", "",
        f"`{training.command}`, {training.steps:,} steps, seed {training.seed}, {training.seconds:.0f} s on {machine}; "
        f"cyclegan_hub {__version__}, {datetime.now(UTC):%Y-%m-%d}.", "",
    ])  # fmt: skip


def _processor() -> str:
    """The processor's name, where the system tells it."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
