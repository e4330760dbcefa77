"""The domain encoder as an extractor of features, and as a classifier that tells the two sides of a domain apart."""

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
    """The domain encoder in `folder`, as its training writes it; None: the bundled one. Raises FeatureError without it."""
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
    """Tells the sides of one domain apart; its accuracy was measured on held-out images.

    `accuracy` holds "a" and "b", the shares of held-out images of each side that it got right (0 to 1); "n", the number of these
    images; and for an encoder with a third answer "neither", the share of heavily degraded images that it takes for neither side.
    """

    encoder: SideEncoder = field(repr=False)
    domain: str
    digest: str
    accuracy: dict[str, float]
    batch_size: int = 256

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 -> float32 (N, 2): how probable side A and side B are; what is left of 1 is neither.

        Raises FeatureError for other images.
        """
        check_images(images)
        self.encoder.eval()
        device, parts = device_of(self.encoder), []
        with torch.inference_mode():
            for i in range(0, len(images), self.batch_size):
                x = self.encoder.prepare(images[i : i + self.batch_size].to(device))
                parts.append(self.encoder.answer_logits(x, self.domain).float().softmax(1)[:, :2].cpu())
        return torch.cat(parts).clone()

    @property
    def labels(self) -> tuple[str, str]:
        """Its labels of A and B."""
        return self.encoder.domains[self.domain]

    @property
    def label(self) -> str:
        """Its description in the protocol, which has its accuracy on the very images beside it, not that of its own card."""
        neither = f"; of degraded images {self.accuracy['neither']:.1%} neither" if "neither" in self.accuracy else ""
        return f"encoder (sha256 {self.digest}){neither}"


def side_classifier(domain: str, folder: Path | None = None, *, device: str | torch.device = "cpu") -> SideClassifier:
    """The classifier of a domain's sides in an encoder's folder; None: the bundled one.

    Raises FeatureError where the folder is missing or damaged, or does not know the domain.
    """
    encoder, digest, accuracy = _load_encoder(folder)
    if domain not in encoder.domains:
        raise FeatureError(
            f"the encoder does not know domain {domain!r}, only {', '.join(encoder.domains)}: train one with `cyclegan-hub "
            f"encoder --data FOLDER --domain {domain} --labels A,B --out FOLDER`, and pass that folder"
        )
    return SideClassifier(encoder.to(device), domain, digest[:12], accuracy[domain])


def classifier_for(text: str | None, labels: tuple[str, ...], *, device: str | torch.device = "cpu") -> SideClassifier | None:
    """The classifier of a command line: "encoder" or None (the bundled one), "encoder:FOLDER", or "none" (returns None).

    The sides are found by their labels, not by the domain's name: a model of other data may have the domain of the recipe it was
    trained with. Raises FeatureError if the encoder does not know these sides.
    """
    kind, _, rest = (text or "encoder").partition(":")
    if kind == "none":
        return None
    if kind != "encoder":
        raise FeatureError(f"--classifier {text!r}: give encoder, encoder:FOLDER or none")
    folder = Path(rest).expanduser() if rest else None
    where = folder or BUNDLED
    known = SideEncoder.from_pretrained(where).domains if where.is_dir() else {}
    domain = next((name for name, sides in known.items() if sides == labels), None)
    if known and domain is None:
        sides = "; ".join(f"{a} and {b}" for a, b in known.values())
        raise FeatureError(f"the encoder does not tell {labels[0]} from {labels[-1]}, only {sides}: train one with "
                           "`cyclegan-hub encoder` and pass --classifier encoder:FOLDER, or pass --classifier none")  # fmt: skip
    return side_classifier(domain or "", folder, device=device)


def _load_encoder(folder: Path | None) -> tuple[SideEncoder, str, dict[str, dict[str, float]]]:
    """Returns (encoder, SHA-256 of its weights, its held-out accuracy by domain). Raises FeatureError if one is missing."""
    where = BUNDLED if folder is None else folder
    if not where.is_dir():
        reason = "this installation has no bundled encoder" if folder is None else f"{folder}: there is no such folder"
        raise FeatureError(
            f"{reason}; pass encoder:FOLDER, a folder that `cyclegan-hub encoder` wrote (a checkout has pretrained/encoder)"
        )
    try:
        encoder = SideEncoder.from_pretrained(where)
    except ModelError as error:
        raise FeatureError(str(error)) from error
    digest = weights_digest(encoder.state_dict())
    try:
        metrics = json.loads((where / "metrics.json").read_bytes())
        measured = str(metrics["sha256"])
        needed = ("a", "b", "n", "neither")[: 4 if encoder.answers > 2 else 3]
        accuracy = {d: {key: float(metrics["accuracy"][d][key]) for key in needed} for d in encoder.domains}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FeatureError(
            f"{where}: metrics.json does not give the held-out accuracy ({type(error).__name__}: {error}): "
            "run `cyclegan-hub encoder`"
        ) from None
    if measured != digest:
        raise FeatureError(
            f"{where}: metrics.json was measured on other weights (sha256 {measured[:12]}) than those there ({digest[:12]}): "
            "fetch the whole folder again, or run `cyclegan-hub encoder`"
        )
    return encoder, digest, accuracy
