"""Inception-v3 as FID uses it: torch-fidelity's network and weights, without torchvision and without unpickling."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from cyclegan_hub.evaluation.extractor import INCEPTION, Extractor, FeatureError, weights_digest

# The original network of Heusel et al. 2017, as torch-fidelity converted it: torchmetrics and pytorch-fid use the same file.
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def inception(path: Path | None = None, *, download: bool = False, device: str | torch.device = "cpu") -> Extractor:
    """Inception-v3 as FID uses it: torch-fidelity's network, 2,048 features after the last pooling; it resizes images itself.

    The weights are read from `path`, else from torch's cache; if they are not there, `download` fetches them once (91 MiB).
    The file is read only if its SHA-256 is the known one. Raises FeatureError without the library or the weights.
    """
    network = _fid_network()  # first, because without it the download would be useless
    where = path or Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]
    if not where.is_file():
        if path is not None:
            raise FeatureError(f"{path}: there is no such file; pass {where.name} from {URL}")
        if not download:
            raise FeatureError(
                "the weights of Inception-v3 are not on this machine: pass --extractor inception to download them once "
                f"({URL}), --extractor inception:FILE if you have that file, or --extractor encoder"
            )
        _download(where)
    with where.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise FeatureError(
            f"{where} has the SHA-256 {found[:12]}…, not {SHA256[:12]}…: it is another file or cut short, and was "
            f"not read; remove it and pass {URL.rpartition('/')[2]}"
        )
    # The file is there, so this downloads nothing; only tensors are taken out of it.
    state = torch.hub.load_state_dict_from_url(
        URL, model_dir=str(where.parent), file_name=where.name, map_location="cpu", weights_only=True
    )
    module = network(state).to(device)
    return Extractor(INCEPTION, weights_digest(state)[:12], _Pool3(module), 32)


class _Pool3(nn.Module):
    """Takes the one tensor out of the tuple that torch-fidelity's network returns."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network(images)[0]
        return features


def _fid_network() -> Callable[[Mapping[str, Tensor]], nn.Module]:
    """Builds torch-fidelity's Inception-v3 with given weights.

    The library's __init__ imports torchvision, which only its other extractors need. So that this works without torchvision, the
    module is imported without that __init__. Its class would download and unpickle weights; here it gets tensors instead.
    """
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch_fidelity"}
    spec = importlib.util.find_spec("torch_fidelity")
    if spec is None or spec.submodule_search_locations is None:
        raise FeatureError("Inception-v3 needs torch-fidelity: pip install --no-deps torch-fidelity, or pass --extractor encoder")
    for name in before:
        del sys.modules[name]
    package = ModuleType("torch_fidelity")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["torch_fidelity"] = package
    try:
        source = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        build = source.FeatureExtractorInceptionV3
    except (ImportError, AttributeError) as error:
        raise FeatureError(
            f"this torch-fidelity cannot be used ({error}): pip install --no-deps 'torch-fidelity>=0.4,<0.5'"
        ) from error
    finally:  # so that other code does not find the package without its __init__
        for name in [name for name in sys.modules if name.partition(".")[0] == "torch_fidelity"]:
            del sys.modules[name]
        sys.modules.update(before)

    def network(state: Mapping[str, Tensor]) -> nn.Module:
        setattr(source, "load_state_dict_from_url", lambda *_, **__: state)  # noqa: B010 (of our own copy of that file)
        built: nn.Module = build(INCEPTION, ["2048"])
        return built

    return network


def _download(where: Path) -> None:
    """Fetches Inception-v3's weights; a file appears under that name only when its hash is right."""
    where.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL, str(where), hash_prefix=SHA256)
    except (OSError, RuntimeError) as error:
        raise FeatureError(
            f"the weights of Inception-v3 could not be downloaded from {URL} ({error}): fetch that file elsewhere and pass "
            "inception:FILE, or pass --extractor encoder"
        ) from error
