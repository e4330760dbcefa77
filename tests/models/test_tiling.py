"""tiling.py: tiles that share their statistics give what the whole picture gives; tiles that do not would not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cyclegan_hub.models.generators import ResNetGenerator, init_weights
from cyclegan_hub.models.tiling import translate_in_tiles

LEVEL = 2 / 255  # one of the 255 steps of a pixel, in [-1, 1]


def network(
    upsample: str = "resize", padding: str = "reflect", channels: int = 3, blocks: int = 2, skip: bool = False
) -> ResNetGenerator:
    torch.manual_seed(0)
    generator = ResNetGenerator(channels, 8, blocks, upsample, padding, skip=skip)
    init_weights(generator, std=0.2)
    return generator.eval()


def pictures(*shape: int) -> Tensor:
    """Noise on a slope (N, C, H, W) in [-1, 1]: no two places have the same statistics."""
    slope = torch.linspace(-0.8, 0.8, shape[-1]) * torch.linspace(0.2, 1.0, shape[-2])[:, None]
    return (slope + 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)


@pytest.mark.parametrize(
    "upsample, padding, shape, skip",
    [
        ("resize", "reflect", (2, 3, 132, 260), False),
        ("transpose", "reflect", (1, 3, 64, 68), False),
        ("resize", "zeros", (1, 3, 200, 8), False),
        ("transpose", "zeros", (1, 3, 132, 196), False),
        ("resize", "reflect", (1, 3, 132, 196), True),
    ],
)
@torch.no_grad()
def test_tiles_are_the_whole(upsample: str, padding: str, shape: tuple[int, ...], skip: bool) -> None:
    generator, x = network(upsample, padding, skip=skip), pictures(*shape)
    if skip:
        generator.decoder[-2].bias.fill_(0.5)  # many sums leave [-1, 1]
    whole = generator(x)
    assert whole.std() > 0.1 and (not skip or (whole == 1).float().mean() > 0.02)
    assert (translate_in_tiles(generator, x, tile=64) - whole).abs().max() < 1e-4  # what rounding leaves


@pytest.mark.parametrize("tile", [4, 13, 512])
@torch.no_grad()
def test_any_size_of_tile(tile: int) -> None:
    generator, x = network(channels=1, blocks=1), pictures(1, 1, 20, 28)
    torch.testing.assert_close(translate_in_tiles(generator, x, tile=tile), generator(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype, levels", [(torch.bfloat16, 1.0), (torch.float16, 0.3), (torch.float64, 1e-4)])
@torch.no_grad()
def test_other_precisions(dtype: torch.dtype, levels: float) -> None:
    generator, x = network().to(dtype), pictures(1, 3, 72, 100).to(dtype)
    tiled, whole = translate_in_tiles(generator, x, tile=32), generator(x)
    assert tiled.dtype == whole.dtype == dtype
    difference = (tiled - whole).abs().double()  # of convolutions that may sum in another order, at another size
    assert difference.mean() < levels * LEVEL and difference.max() < 20 * levels * LEVEL


@torch.no_grad()
def test_the_ends_only_ever_see_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is for: no map at full size is larger than a tile and its halo."""
    generator, x, largest = network(), pictures(1, 3, 256, 320), 0

    def watch(_: object, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal largest
        largest = max(largest, inputs[0].numel() // inputs[0].shape[1], output.numel() // output.shape[1])

    for end in (generator.encoder, generator.decoder):
        for layer in end:
            layer.register_forward_hook(watch)
    translate_in_tiles(generator, x, tile=64)
    halo = 16  # 4 positions of the decoder at a quarter of the size
    assert largest <= (64 + 2 * halo) ** 2 < 256 * 320


def test_sides_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="size=30"):
        translate_in_tiles(network(), pictures(1, 3, 30, 64), tile=32)
