"""The domain encoder as an extractor of features and as a judge of which side a translation reads as."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cyclegan_hub.evaluation.extractor import (
    ENCODER,
    Extractor,
    FeatureError,
    check_images,
    device_of,
    weights_digest,
)
from cyclegan_hub.files import BUNDLED_ENCODER
from cyclegan_hub.hub.model_folder import ModelError
from cyclegan_hub.models.encoder import SideEncoder

BUNDLED = BUNDLED_ENCODER


def domain_encoder(folder: Path | None = None, *, device: str | torch.device = "cpu") -> Extractor:
    """The domain encoder in `folder`, as `train/encoder.py` writes it; None: the bundled one. Raises FeatureError without it."""
    encoder, digest, _ = _load_encoder(folder)
    return Extractor(ENCODER, digest[:12], _Encoded(encoder.to(device)), 256)


class _Encoded(nn.Module):
    """The encoder's features of uint8 images."""

    def __init__(self, encoder: SideEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.features(self.encoder.prepare(images))


@dataclass(frozen=True)
class SideClassifier:
    """Tells the sides of one domain apart, with how well it does so on images that nothing was trained on.

    `accuracy` holds the shares of held-out images it got right, "a" and "b", and "n", their number on both sides.
    """

    encoder: SideEncoder = field(repr=False)
    domain: str
    digest: str
    accuracy: dict[str, float]
    batch_size: int = 256

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 -> float32 (N,): how probable side B is; above 0.5 the image reads as B.

        Raises FeatureError for other images.
        """
        check_images(images)
        self.encoder.eval()
        device, parts = device_of(self.encoder), []
        with torch.inference_mode():
            for batch in images.split(self.batch_size):
                logits = self.encoder.side_logits(self.encoder.prepare(batch.to(device)), self.domain)
                parts.append(logits.float().softmax(1)[:, 1].cpu())
        return torch.cat(parts).clone()

    @property
    def labels(self) -> tuple[str, str]:
        """What it calls A and B."""
        return self.encoder.domains[self.domain]

    @property
    def label(self) -> str:
        """For protocol lines, with the held-out accuracy of both sides."""
        a, b, n = (self.accuracy[key] for key in ("a", "b", "n"))
        first, second = self.labels
        return f"encoder (sha256 {self.digest}), held out: {a:.1%} of {first}, {b:.1%} of {second} (n = {n:.0f})"


def side_classifier(domain: str, folder: Path | None = None, *, device: str | torch.device = "cpu") -> SideClassifier:
    """The classifier of a domain's sides in an encoder's folder; None: the bundled one.

    Raises FeatureError where the folder is missing or damaged, or does not know the domain.
    """
    encoder, digest, accuracy = _load_encoder(folder)
    if domain not in encoder.domains:
        raise FeatureError(
            f"the encoder does not know domain {domain!r}, only {', '.join(encoder.domains)}: train one with train/encoder.py "
            f"--data FOLDER --domain {domain} --labels A,B, and pass its folder"
        )
    return SideClassifier(encoder.to(device), domain, digest[:12], accuracy[domain])


def _load_encoder(folder: Path | None) -> tuple[SideEncoder, str, dict[str, dict[str, float]]]:
    """An encoder, the digest of its weights, and its held-out accuracy by domain, which must be of the same weights."""
    where = BUNDLED if folder is None else folder
    if not where.is_dir():
        reason = "this installation has no bundled encoder" if folder is None else f"{folder}: there is no such folder"
        raise FeatureError(
            f"{reason}; pass encoder:FOLDER, a folder that train/encoder.py wrote (a checkout has pretrained/encoder)"
        )
    try:
        encoder = SideEncoder.from_pretrained(where)
    except ModelError as error:
        raise FeatureError(str(error)) from error
    digest = weights_digest(encoder.state_dict())
    try:
        metrics = json.loads((where / "metrics.json").read_bytes())
        measured = str(metrics["sha256"])
        accuracy = {d: {key: float(metrics["accuracy"][d][key]) for key in ("a", "b", "n")} for d in encoder.domains}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FeatureError(
            f"{where}: metrics.json does not give the held-out accuracy ({type(error).__name__}: {error}): run train/encoder.py"
        ) from None
    if measured != digest:
        raise FeatureError(
            f"{where}: metrics.json was measured on other weights (sha256 {measured[:12]}) than those there ({digest[:12]}): "
            "fetch the whole folder again, or run train/encoder.py"
        )
    return encoder, digest, accuracy
