"""Where features come from: Inception-v3 as FID has it, the domain encoder, or any network of the user's.

A figure carries the extractor it was taken with: only with Inception-v3 is it called plain "fid".
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyclegan_hub.extractors import ENCODER, INCEPTION, UNHASHED, Extractor, FeatureError, check_images, device_of, weights_digest
from cyclegan_hub.inception import inception
from cyclegan_hub.models.encoder import SideEncoder
from cyclegan_hub.models.folders import ModelError

__all__ = [
    "Extractor", "FeatureError", "SideClassifier", "custom", "default", "domain_encoder", "from_text", "inception",
    "side_classifier", "weights_digest",
]  # fmt: skip

BUNDLED = Path(__file__).parents[1] / "pretrained" / "encoder"  # of a checkout; an installed package has none
_NAME = re.compile(r"[\w.:-]{1,80}")
_FORMS = "inception, inception:FILE, encoder, encoder:FOLDER or package.module:name"


def from_text(text: str, *, device: str | torch.device = "cpu") -> Extractor:
    """The extractor that a command line names: one of `_FORMS`.

    "inception" downloads its weights where they are not there yet. In "package.module:name" the name is a callable that takes
    images, a module, or what takes no argument and returns one of these. Raises FeatureError for anything else.
    """
    kind, colon, rest = text.partition(":")
    if not kind or (colon and not rest):
        raise FeatureError(f"extractor {text!r}: give {_FORMS}")
    if kind == "inception":
        return inception(Path(rest).expanduser() if rest else None, download=True, device=device)
    if kind == "encoder":
        return domain_encoder(Path(rest).expanduser() if rest else None, device=device)
    if not colon:
        raise FeatureError(f"extractor {text!r} is none: give {_FORMS}")
    return custom(_named(text, kind, rest), text, device=device)


def default(*, device: str | torch.device = "cpu") -> Extractor:
    """Inception-v3 where its weights already are. Raises FeatureError that says what to pass where they are not."""
    return inception(device=device)


def custom(
    module: Callable[[Tensor], Tensor] | nn.Module, name: str, *, batch_size: int = 64, device: str | torch.device | None = None
) -> Extractor:
    """An extractor of the user's: uint8 (N, 3, H, W) -> floats (N, D); a module is put into evaluation mode.

    The digest covers a module's weights and buffers, not its code. Raises FeatureError for what cannot be called, and for a
    name that is taken or would not fit into a metric's.
    """
    if not callable(module):
        raise FeatureError(f"extractor {name!r} is a {type(module).__name__}: give a module, or a function of images")
    if not _NAME.fullmatch(name) or name in (INCEPTION, ENCODER):
        raise FeatureError(f"extractor name {name!r}: give letters, digits and .:_- only, and neither {INCEPTION} nor {ENCODER}")
    if batch_size < 1:
        raise FeatureError(f"batch_size={batch_size}: give at least 1")
    state: Mapping[str, Tensor] = {}
    if isinstance(module, nn.Module):
        module = module.eval() if device is None else module.eval().to(device)
        state = module.state_dict()
    return Extractor(name, weights_digest(state)[:12] if state else UNHASHED, module, batch_size)


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


def _named(text: str, module: str, name: str) -> Any:
    """What `module:name` names: a module, a function of images, or what its factory returns."""
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeatureError(
            f"extractor {text!r} cannot be imported ({error}): check the name, and set PYTHONPATH to where it is"
        ) from error
    if not callable(found):
        raise FeatureError(f"extractor {text!r} is a {type(found).__name__}: name a module, or a function of images")
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a few built-in functions do not tell
        return found
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if required or isinstance(found, nn.Module):
        return found
    try:
        return found()
    except Exception as error:  # whatever the user's own code raises
        raise FeatureError(f"extractor {text!r} could not be built ({type(error).__name__}: {error})") from error
