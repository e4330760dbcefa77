"""cyclegan-hub import: weights in the layout of the original code give the outputs that a plain torch network gives with them.

The networks below are written out by that layout as its repository documents it (models/networks.py): unnamed sequences whose
places are the keys, instance norm without weights, biases in front of it, ReLU on the whole concatenation of a U-Net.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from cyclegan_hub import CycleGenerator
from cyclegan_hub.checkpoints import load
from cyclegan_hub.cli import main
from support.saved_models import Trap

RELU, LEAKY = nn.ReLU(), nn.LeakyReLU(0.2)


class Block(nn.Module):
    def __init__(self, width: int, dropout: bool) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        other = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*half, RELU, *([nn.Dropout(0.5)] if dropout else []), *other)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResNet(nn.Module):
    def __init__(self, blocks: int = 6, width: int = 8, channels: int = 3, dropout: bool = False, affine: bool = False) -> None:
        super().__init__()

        def norm(outputs: int) -> nn.Module:
            return nn.InstanceNorm2d(outputs, affine=affine)

        w = width
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(channels, w, 7), norm(w), RELU,
            nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), norm(2 * w), RELU,
            nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1), norm(4 * w), RELU,
            *(Block(4 * w, dropout) for _ in range(blocks)),
            nn.ConvTranspose2d(4 * w, 2 * w, 3, stride=2, padding=1, output_padding=1), norm(2 * w), RELU,
            nn.ConvTranspose2d(2 * w, w, 3, stride=2, padding=1, output_padding=1), norm(w), RELU,
            nn.ReflectionPad2d(3), nn.Conv2d(w, channels, 7), nn.Tanh(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class UNetBlock(nn.Module):
    """A down and an up convolution around the next block, and its input beside what comes out of them."""

    def __init__(
        self,
        outer: int,
        inner: int,
        inputs: int | None,
        inside: UNetBlock | None,
        norm: type[nn.Module],
        end: bool,
        dropout: bool,
    ) -> None:
        super().__init__()
        self.end, bias = end, norm is nn.InstanceNorm2d
        down = nn.Conv2d(outer if inputs is None else inputs, inner, 4, stride=2, padding=1, bias=bias)
        up = nn.ConvTranspose2d(
            inner if inside is None else 2 * inner, outer, 4, stride=2, padding=1, bias=bias or end
        )  # the first level's has a bias in either case
        if end:
            parts = [down, inside, RELU, up, nn.Tanh()]
        elif inside is None:
            parts = [LEAKY, down, RELU, up, norm(outer)]
        else:
            parts = [LEAKY, down, norm(inner), inside, RELU, up, norm(outer), *([nn.Dropout(0.5)] if dropout else [])]
        self.model = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.end else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, depth: int = 5, width: int = 4, channels: int = 3, batch: bool = False, dropout: bool = False) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if batch else nn.InstanceNorm2d
        block = UNetBlock(8 * width, 8 * width, None, None, norm, False, False)
        for _ in range(depth - 5):
            block = UNetBlock(8 * width, 8 * width, None, block, norm, False, dropout)
        for factor in (4, 2, 1):
            block = UNetBlock(factor * width, 2 * factor * width, None, block, norm, False, False)
        self.model = UNetBlock(channels, width, channels, block, norm, True, False)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def random(network: nn.Module, seed: int) -> nn.Module:
    """The network with weights that leave no part of it without effect, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else 0.1 * noise if tensor.ndim == 4 else noise)
    return network.eval()


def saved(path: Path, network: nn.Module) -> Path:
    torch.save(network.state_dict(), path)
    return path


def imported(tmp_path: Path, one: nn.Module, other: nn.Module, *options: str) -> CycleGenerator:
    paths = [str(saved(tmp_path / f"latest_net_G_{side}.pth", network)) for side, network in (("A", one), ("B", other))]
    assert main(["import", *paths, str(tmp_path / "out"), "--labels", "horse,zebra", *options]) == 0
    return load(tmp_path / "out")


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: ResNet(3),
    "with dropout": lambda: ResNet(2, dropout=True),
    "grey": lambda: ResNet(2, channels=1),
    "instance norm with weights": lambda: ResNet(3, affine=True),
    "U-Net": UNet,
    "U-Net of seven halvings with batch norm": lambda: UNet(7, width=2, batch=True, dropout=True),
}


@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_those_of_the_original_network(tmp_path: Path, name: str) -> None:
    one, other = (random(NETWORKS[name](), seed) for seed in (1, 2))
    model = imported(tmp_path, one, other)
    side = 128 if "seven" in name else 64
    x = torch.rand(2, model.channels, side, side, generator=torch.Generator().manual_seed(3)) * 2 - 1
    for direction, network in (("a_to_b", one), ("b_to_a", other)):
        expected = network(x)
        assert expected.std() > 0.05  # not all of it lost in tanh's ends
        assert (model(x, direction) - expected).abs().max() < 1e-4, direction  # rounding, of layers that enlarge it
    assert model.labels == ("horse", "zebra") and model.image_size == 256


def test_the_folder_is_one_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = imported(tmp_path, random(ResNet(3), 1), random(ResNet(3), 2), "--size", "128", "--domain", "x")
    assert "horse -> zebra and back, resnet of 3 blocks and width 8, 3 channels" in capsys.readouterr().out
    assert (model.image_size, model.domain, model.stored_dtype) == (128, "x", torch.float32)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert model.translate(Image.new("RGB", (40, 30))).size == (171, 128)


def test_old_files_and_those_from_several_gpus(tmp_path: Path) -> None:
    """Statistics that instance norm saved before PyTorch 0.4 and never used; DataParallel's prefix; a file without a zip."""
    network = random(ResNet(2), 1)
    state = OrderedDict((f"module.{name}", tensor) for name, tensor in network.state_dict().items())
    state |= {f"module.model.2.{name}": torch.ones(8) for name in ("running_mean", "running_var")}
    for side in "AB":
        torch.save(state, tmp_path / f"{side}.pth", _use_new_zipfile_serialization=False)
    paths = [str(tmp_path / "A.pth"), str(tmp_path / "B.pth")]
    assert main(["import", *paths, str(tmp_path / "out"), "--labels", "a,b"]) == 0
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert (load(tmp_path / "out")(x) - network(x)).abs().max() < 1e-4


def changed(tensors: dict[str, Tensor | None]) -> dict[str, Tensor]:
    """The state of a ResNet with other tensors; None removes one."""
    return {name: tensor for name, tensor in {**ResNet(2).state_dict(), **tensors}.items() if tensor is not None}


ZEROS, ONES = torch.zeros, torch.ones
WRONG: dict[str, tuple[object, str]] = {
    "another network": (nn.Linear(2, 2).state_dict(), "holds weight, bias: neither the ResNet nor the U-Net"),
    "a discriminator": ({"model.0.weight": ZEROS(64, 3, 4, 4), "model.0.bias": ZEROS(64)}, "neither the ResNet nor the U-Net"),
    "one too few": (changed({"model.4.weight": None}), "no model.4.weight there"),
    "one too many": (changed({"x": ZEROS(1)}), "unknown weights x: "),
    "another shape": (
        changed({"model.7.weight": ZEROS(32, 8, 3, 3)}),
        "model.7.weight is (32, 8, 3, 3) torch.float32, where (32, 16, 3, 3) is expected",
    ),
    "a ResNet with batch norm": (
        changed({"model.2.weight": ONES(8), "model.2.running_var": ONES(8)}), "a ResNet with batch norm: only those with",
    ),
    "CUT's": (changed({"model.7.filt": ONES(1)}), "blurred down- and upsampling"),
    "no blocks": (ResNet(0).state_dict(), "a ResNet without blocks"),
    "3 channels of 1": (
        changed({"model.1.weight": ZEROS(8, 1, 7, 7)}), "makes 3 channels of 1: ours have the same number on both sides",
    ),
    "no table": ([ZEROS(1)], "no table of tensors by name"),
    "no tensors": ({"epoch": 5}, "no table of tensors by name"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_unknown_layout_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    content, message = WRONG[what]
    torch.save(content, tmp_path / "x.pth")
    assert main(["import", str(tmp_path / "x.pth"), str(tmp_path / "x.pth"), str(tmp_path / "out"), "--labels", "a,b"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'x.pth'}: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["a trap", "text", "nothing", "a pointer", "missing"])
def test_a_file_that_holds_no_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    path, marker = tmp_path / "x.pth", tmp_path / "executed"
    match what:
        case "a trap":
            torch.save({"model.1.weight": Trap(marker)}, path)
        case "text":
            path.write_text("<html>404</html>")
        case "nothing":
            path.touch()
        case "a pointer":
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4711\n")
    assert main(["import", str(path), str(path), str(tmp_path / "out"), "--labels", "a,b"]) == 2
    error = capsys.readouterr().err
    expected = {"a pointer": "run `git lfs pull`", "missing": "cannot be read (No such file or directory)"}
    assert error.count("\n") == 1 and expected.get(what, "or more than tensors, which is never loaded") in error
    assert not marker.exists() and not (tmp_path / "out").exists()


def test_mistakes_of_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = str(saved(tmp_path / "x.pth", ResNet(2))), str(saved(tmp_path / "y.pth", ResNet(3)))
    assert main(["import", path, other, str(tmp_path / "out"), "--labels", "a,b"]) == 2
    error = capsys.readouterr().err
    assert f"{path}: resnet of 2 blocks" in error and f"{other}: resnet of 3 blocks" in error and "same network" in error
    (tmp_path / "out").mkdir()
    assert main(["import", path, path, str(tmp_path / "out"), "--labels", "a,b"]) == 2
    assert f"{tmp_path / 'out'} is there already: give another name" in capsys.readouterr().err
