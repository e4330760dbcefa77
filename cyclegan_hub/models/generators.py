"""Generators: images (N, C, H, W) in [-1, 1] -> images of the same shape in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from cyclegan_hub.models.noise import Noise

Kind = Literal["resnet", "unet", "unet-rectified", "unet-rectified-batch"]  # the last two: the original code's
Upsample = Literal["transpose", "resize"]
Padding = Literal["reflect", "zeros"]
EPS = 1e-5


class InstanceNorm2d(nn.Module):
    """Affine instance normalisation (Ulyanov et al. 2016), statistics always in fp32.

    Equal to `nn.InstanceNorm2d(channels, affine=True)` with the same parameter names, for maps of any size (of a 1x1
    map nothing but the bias remains). Written out because nothing in torch is fast everywhere. Eager, group normalisation
    with one channel a group is the quickest form; but in channels_last on a CPU its backward pass is 20 to 30 times slower
    than that of batch norm, image by image, and in fp32 it rounds five times as coarsely. Compiled, mean and variance fuse
    with what stands around them. Exported, it is ONNX's one operation of that name.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=EPS)
        # With weights of 16 bits torch's kernels for channels_last on a CPU have statistics of 16 bits.
        coarse = self.weight.dtype != torch.float32 and x.device.type == "cpu" and _is_channels_last(x)
        if coarse or torch.compiler.is_compiling() or x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return self.apply_statistics(x, *self.statistics(x))
        with torch.autocast(x.device.type, enabled=False):
            exact = torch.is_grad_enabled() or x.dtype == torch.float32
            if exact and x.device.type == "cpu" and _is_channels_last(x):
                each = [F.batch_norm(one, None, None, self.weight, self.bias, training=True, eps=EPS) for one in x.split(1)]
                return torch.cat(each)
            if x.dtype != self.weight.dtype and x.device.type != "cpu":  # only the CPU's kernel takes fp32 weights for bf16 maps
                return F.group_norm(x.float(), self.channels, self.weight, self.bias, EPS).to(x.dtype)
            return F.group_norm(x, self.channels, self.weight, self.bias, EPS)

    @staticmethod
    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and (biased) variance of each image and channel, (N, C, 1, 1) in fp32."""
        variance, mean = torch.var_mean(x.float(), dim=(2, 3), correction=0, keepdim=True)
        return mean, variance

    def apply_statistics(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """`x` normalised with the given statistics, in x's type. Tiles of one image share those of the whole."""
        scale = self.weight.float().view(1, -1, 1, 1) * torch.rsqrt(variance + EPS)
        shift = self.bias.float().view(1, -1, 1, 1) - mean * scale
        return (x.float() * scale + shift).to(x.dtype)


def _is_channels_last(x: Tensor) -> bool:
    """Not a layout that is both, as that of a single channel."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _norm(channels: int, noise: int | None) -> list[nn.Module]:
    """Instance norm; before it, noise with this number of its layer."""
    return [*([] if noise is None else [Noise(channels, noise)]), InstanceNorm2d(channels)]


class ResidualBlock(nn.Module):
    """x + F(x), two 3x3 convolutions with instance norm (Johnson et al. 2016, supplementary).

    `noise`: the number of the first of two noise inputs, one before each norm; None: there are none.
    """

    def __init__(self, channels: int, padding: Padding, dropout: float, noise: int | None = None) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=False),
            *_norm(channels, noise),
            # One place for both, so that the keys of a state are the same with dropout and without.
            nn.Sequential(nn.ReLU(True), nn.Dropout(dropout)) if dropout else nn.ReLU(True),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode=padding, bias=False),
            *_norm(channels, None if noise is None else noise + 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.layers(x)
        return x + added


def _up(inputs: int, outputs: int, upsample: Upsample, padding: Padding) -> list[nn.Module]:
    if upsample == "transpose":  # as in the papers
        return [nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)]
    # Odena et al. 2016: no checkerboard, since every output pixel gets the same number of contributions.
    return [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding, bias=False)]


class ResNetGenerator(nn.Module):
    """The generator of CycleGAN (Zhu et al. 2017, section 4 and appendix 7.2): c7s1-k, d2k, d4k, R4k x blocks, u2k, uk, c7s1-C.

    Height and width must be multiples of 4. `upsample` "transpose" is the paper's, "resize" resizes first and then
    convolves. `padding` holds inside (the blocks and the resized convolutions); the 7x7 ends always reflect. With `skip` the
    layers compute what to add to the input, and the sum is cut to [-1, 1]: for domains A and B that are alike. With `noise` the
    norms of blocks and decoder have a noise input each (`models/noise.py`): for textures, which would repeat on flat areas.
    """

    multiple = 4

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 9,
        upsample: Upsample = "resize",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        skip: bool = False,
        noise: bool = False,
    ) -> None:
        super().__init__()
        self.skip = skip
        w = width
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, w, 7, padding=3, padding_mode="reflect", bias=False), InstanceNorm2d(w), nn.ReLU(True),
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1, bias=False), InstanceNorm2d(2 * w), nn.ReLU(True),
            nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1, bias=False), InstanceNorm2d(4 * w), nn.ReLU(True),
        )  # fmt: skip
        places = [i if noise else None for i in range(2 * blocks + 2)]  # of the noise inputs, in the order of the layers
        self.body = nn.Sequential(*(ResidualBlock(4 * w, padding, dropout, places[2 * i]) for i in range(blocks)))
        self.decoder = nn.Sequential(
            *_up(4 * w, 2 * w, upsample, padding), *_norm(2 * w, places[-2]), nn.ReLU(True),
            *_up(2 * w, w, upsample, padding), *_norm(w, places[-1]), nn.ReLU(True),
            nn.Conv2d(w, channels, 7, padding=3, padding_mode="reflect"), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.output(x, self.decoder(self.body(self.encoder(x))))

    def output(self, x: Tensor, decoded: Tensor) -> Tensor:
        """The output image for the input `x`: the decoder's output, or with `skip` the sum of both."""
        if not self.skip:
            return decoded
        y = x + decoded
        if not self.training:
            return y.clamp(-1, 1)
        return y + (y.clamp(-1, 1) - y).detach()  # straight through: a clamp would stop the gradients of what is out of range


class UNetGenerator(nn.Module):
    """U-Net of 4x4 stride-2 convolutions with skips (Isola et al. 2017, appendix 6.1.1), for `blocks` halvings.

    Channels double from `width` up to 8 x width; the first layer and the innermost one have no norm (of a 1x1 map
    instance norm would leave nothing); the three up layers after the innermost one have dropout.
    Height and width must be multiples of 2**blocks. With `rectify_skips` ReLU acts on the skips as well, as in the original
    code, whose weights `cyclegan-hub import` reads; `norm` "batch" is for those of them that have it.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        blocks: int = 8,
        dropout: float = 0.5,
        rectify_skips: bool = False,
        norm: Literal["instance", "batch"] = "instance",
    ) -> None:
        super().__init__()
        self.multiple, self.rectify_skips = 2**blocks, rectify_skips
        normalised = nn.BatchNorm2d if norm == "batch" else InstanceNorm2d
        widths = [width * min(2**i, 8) for i in range(blocks)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, w in enumerate(widths):
            inner = 0 < i < blocks - 1
            self.down.append(
                nn.Sequential(
                    nn.Conv2d(widths[i - 1] if i else channels, w, 4, stride=2, padding=1, bias=not inner),
                    *([normalised(w)] if inner else []),
                    nn.LeakyReLU(0.2, True),
                )
            )
        for i in range(blocks - 1, 0, -1):  # from the innermost level outwards
            w = widths[i - 1]
            self.up.append(
                nn.Sequential(
                    # Beyond the innermost level the input is the level below and its skip, side by side.
                    nn.ConvTranspose2d(widths[i] * (1 if i == blocks - 1 else 2), w, 4, stride=2, padding=1, bias=False),
                    normalised(w),
                    *([nn.Dropout(dropout)] if dropout and i >= blocks - 3 else []),
                    nn.ReLU(True),
                )
            )
        self.head = nn.Sequential(
            nn.ConvTranspose2d(width * (2 if blocks > 1 else 1), channels, 4, stride=2, padding=1), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()
        for layer in self.up:
            x = torch.cat([layer(F.relu(x) if self.rectify_skips else x), skips.pop()], 1)
        y: Tensor = self.head(F.relu(x) if self.rectify_skips else x)
        return y


class DCGANGenerator(nn.Module):
    """Latents (N, L, 1, 1) -> images (N, C, S, S) in [-1, 1], S = 4 * 2 ** len(widths) (Radford et al. 2016, section 3).

    4x4 transposed convolutions without bias: the first without stride or padding, the others doubling the side; batch norm
    and ReLU between them, tanh at the end. `widths` are the channels after each but the last.
    """

    def __init__(self, channels: int = 3, latent: int = 100, widths: Sequence[int] = (256, 128, 64, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise((latent, *widths))):
            stride, padding = (2, 1) if i else (1, 0)
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
            ]  # fmt: skip
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        y: Tensor = self.layers(z)
        return y


class PlainCNN(nn.Module):
    """Adds a correction to its input: `layers` 3x3 convolutions of `width` channels, ReLU between (VDSR, Kim et al. 2016).

    What a plain network trained on L1 alone reaches, to compare others with. Any size.
    """

    multiple = 1

    def __init__(self, channels: int = 3, width: int = 64, layers: int = 8) -> None:
        super().__init__()
        widths = (channels, *[width] * (layers - 1), channels)
        convolutions = [nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in pairwise(widths)]
        self.layers = nn.Sequential(*(part for one in convolutions for part in (one, nn.ReLU(True))))[:-1]
        nn.init.normal_(convolutions[-1].weight, std=1e-3)  # it starts near the identity

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.layers(x)
        return y if self.training else y.clamp(-1, 1)  # a clamp would stop the gradients of what is out of range


def build_generator(
    kind: Kind,
    *,
    channels: int,
    width: int,
    blocks: int,
    upsample: Upsample,
    padding: Padding,
    dropout: float,
    skip: bool = False,
    noise: bool = False,
) -> ResNetGenerator | UNetGenerator:
    """The generator of that kind.

    Raises ValueError for a kind, upsampling or padding that does not exist, and for a U-Net with `skip` or `noise`.
    """
    for name, value, known in (("upsample", upsample, ("transpose", "resize")), ("padding", padding, ("reflect", "zeros"))):
        if value not in known:
            raise ValueError(f"{name}={value!r}: must be one of {', '.join(known)}")
    match kind:
        case "resnet":
            return ResNetGenerator(channels, width, blocks, upsample, padding, dropout, skip, noise)
        case "unet" | "unet-rectified" | "unet-rectified-batch":  # the latter two are those of the original code
            if skip:
                raise ValueError("skip=True: only with generator='resnet'; a U-Net has skips of its own")
            if noise:
                raise ValueError("noise=True: only with generator='resnet'")
            norm: Literal["instance", "batch"] = "batch" if kind.endswith("-batch") else "instance"
            return UNetGenerator(channels, width, blocks, dropout, rectify_skips=kind != "unet", norm=norm)
    raise ValueError(f"generator={kind!r}: must be one of resnet, unet")  # the others come from `cyclegan-hub import` alone


@torch.no_grad()
def init_weights(network: nn.Module, *, std: float, norm_mean: float = 1.0, block_std: float | None = None) -> None:
    """Fills a network in place as DCGAN does (Radford et al. 2016, section 3): convolutions N(0, std), biases 0,
    norm scales N(norm_mean, 0.02). `block_std` is for the convolutions of a U-Net's down and up blocks, where given.

    A layer whose weight is computed (spectral norm) stays as torch made it: writing to such a weight changes nothing. The last
    layer of a generator with `skip` starts ten times smaller, so that it begins near a copy of its input.
    """
    for name, module in network.named_modules():
        if is_parametrized(module):
            continue
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            in_block = name.startswith(("down.", "up."))
            nn.init.normal_(module.weight, 0.0, block_std if block_std is not None and in_block else std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, InstanceNorm2d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, norm_mean, 0.02)
            nn.init.zeros_(module.bias)
    if isinstance(network, ResNetGenerator) and network.skip:
        last = network.decoder[-2]
        assert isinstance(last, nn.Conv2d)
        last.weight.mul_(0.1)
