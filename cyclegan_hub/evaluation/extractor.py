"""An extractor: images -> features, with a name and a hash that are recorded with each figure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cyclegan_hub.errors import UserError

UNHASHED = "unhashed"
INCEPTION, ENCODER, IMAGENET = "inception-v3", "encoder", "imagenet"  # the names of our own


class FeatureError(UserError):
    """Features that cannot be computed as asked; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Extractor:
    """Images -> features, with a name and the hash of its weights, which are recorded with each figure.

    `digest` is the first 12 hex digits of `weights_digest`, or "unhashed" without weights. `network` takes uint8 (N, 3, H, W) on
    the device of its weights and returns floats (N, D).
    """

    name: str
    digest: str
    network: Callable[[Tensor], Tensor] = field(repr=False)
    batch_size: int = 64
    remark: str = ""  # a warning that is shown with its figures

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C 1 or 3 (grey is repeated), any H and W -> float32 (N, D) on the CPU, without a gradient.

        Raises FeatureError for other images, and where the network does not give finite floats (N, D).
        """
        check_images(images)
        images = images.expand(-1, 3, -1, -1)
        if isinstance(self.network, nn.Module):
            self.network.eval()
        device = device_of(self.network)
        parts: list[Tensor] = []
        with torch.inference_mode():
            for i in range(0, len(images), self.batch_size):
                batch = images[i : i + self.batch_size]
                found = self.network(batch.to(device))
                self._check(found, len(batch), parts[0].shape[1] if parts else None)
                parts.append(found.float().cpu())
        return torch.cat(parts).clone()  # a copy, because autograd cannot use an inference tensor

    def _check(self, found: Any, count: int, width: int | None) -> None:
        if not isinstance(found, Tensor):
            raise FeatureError(f"extractor {self.name} gave a {type(found).__name__}: it must give a tensor (N, D)")
        shape = tuple(found.shape)
        if (
            found.ndim != 2
            or len(found) != count
            or not shape[1]
            or not found.is_floating_point()
            or width not in (None, shape[1])
        ):
            wanted = f"({count}, {width or 'D'})"
            raise FeatureError(
                f"extractor {self.name} gave {found.dtype} {shape} for {count} images: it must give floats {wanted}"
            )
        if not found.isfinite().all():
            raise FeatureError(f"extractor {self.name} gave NaN or infinity: its weights or its arithmetic are broken")

    def metric(self, name: str) -> str:
        """The name of a figure of these features: "fid" for Inception-v3, else for example "fid[encoder]"."""
        return name if self.name == INCEPTION else f"{name}[{self.name}]"

    @property
    def label(self) -> str:
        """Its description in the protocol: "encoder (sha256 0123456789ab)", with the remark."""
        remark = f"; {self.remark}" if self.remark else ""
        return f"{self.name} ({self.digest if self.digest == UNHASHED else f'sha256 {self.digest}'}{remark})"


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (64 hex digits) of names, shapes and values as float32, so that it does not depend on how weights are stored."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def check_images(images: Tensor) -> None:
    """Raises FeatureError unless images are uint8 (N, C, H, W) with C 1 or 3, and at least one."""
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        what = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise FeatureError(f"the images are {what}: give uint8 (N, C, H, W) with C 1 or 3")
    if not images.numel():
        raise FeatureError(f"the images are of shape {tuple(images.shape)}: give at least one")


def device_of(network: Any) -> torch.device:
    """The device of a module's weights; the CPU for a function."""
    tensors = (t for group in (network.parameters(), network.buffers()) for t in group) if isinstance(network, nn.Module) else ()
    return next((t.device for t in tensors), torch.device("cpu"))
