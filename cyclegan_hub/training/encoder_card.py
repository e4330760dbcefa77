"""What the encoder's training writes beside the weights: their held-out accuracy as JSON, and the model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import torch
from huggingface_hub import ModelCard, ModelCardData

from cyclegan_hub import __version__
from cyclegan_hub.evaluation.features import weights_digest
from cyclegan_hub.machine import processor
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.templates import render_markdown


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
    """The model card: metadata for the Hub, then Markdown."""
    rows: list[tuple[str, ...]] = []
    for name, labels in encoder.domains.items():
        scores, counts = training.accuracy[name], training.counts[name]
        for side, label, count in zip("ab", labels, counts, strict=True):
            right = f"{scores[side]:.1%} of {scores[f'n_{side}']:g}"
            both = tuple(f"{scores[key]:.1%}" if side == "b" else "" for key in ("slight", "neither", "young"))
            rows.append((name, f"{side.upper()}: {label}", f"{count:,}", right, f"{scores[f'linear_{side}']:.1%}", *both))
    sources = [
        (f"{name}, {side}", source) for name, two in training.sources.items() for side, source in zip("AB", two, strict=True)
    ]
    precision = "float32" if training.precision == "no" else training.precision
    info = type(encoder)._hub_mixin_info.model_card_data
    metadata = ModelCardData(
        library_name=info.library_name, tags=list(info.tags or []), license="other", license_name=training.licence
    )
    text = render_markdown(
        "encoder_card.md",
        weights=f"{sum(p.numel() for p in encoder.parameters()):,}",
        digest=weights_digest(encoder.state_dict())[:12],
        rows=rows, sources=sources, training=training, steps=f"{training.steps:,}", seconds=f"{training.seconds:.0f}",
        machine=f"{_device()}, {torch.get_num_threads()} thread(s), {precision}, torch {torch.__version__}",
        version=__version__, date=f"{datetime.now(UTC):%Y-%m-%d}",
    )  # fmt: skip
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{text}"))


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
