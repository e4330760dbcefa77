"""`cyclegan-hub export` of every network: both of torch's exporters, pix2pix with each of its rules, DCGAN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cyclegan_hub import FaceGenerator
from cyclegan_hub.export import onnx_export as command
from cyclegan_hub.export.onnx_export import Shape, to_onnx
from cyclegan_hub.models.generators import InstanceNorm2d, PlainCNN, ResNetGenerator, UNetGenerator
from support import tiny_models
from support.pictures import picture
from support.pixels import assert_same_pixels

onnx = pytest.importorskip("onnx", reason="the export needs: pip install 'cyclegan_hub[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")

from cyclegan_hub.models.onnx import OnnxError, OnnxGenerator  # noqa: E402

NETWORKS: dict[str, tuple[nn.Module, int]] = {
    "resnet": (ResNetGenerator(3, 4, 1, "resize", "zeros"), 4),
    "resnet-paper": (ResNetGenerator(3, 4, 1, "transpose", "reflect", 0.5), 4),
    "resnet-skip": (ResNetGenerator(3, 4, 1, "resize", "zeros", skip=True), 4),
    "unet": (UNetGenerator(1, 4, 4), 16),
    "cnn": (PlainCNN(3, 4, 3), 1),
}


def jitter(network: nn.Module) -> nn.Module:
    """Norms as after a training: with scales that are not 1 and biases that are not 0."""
    for module in network.modules():
        if isinstance(module, InstanceNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return network.eval()


@pytest.mark.parametrize("opset", [17, 18])  # below 18 torch's older exporter writes, from there on the newer one
@pytest.mark.parametrize("name", NETWORKS)
def test_both_exporters_write_what_the_network_computes_at_any_size(name: str, opset: int) -> None:
    network, multiple = NETWORKS[name]
    network = jitter(network)
    channels = 1 if name == "unet" else 3
    example = torch.rand(2, channels, 64, 96) * 2 - 1
    data = to_onnx(network, Shape(example, any_size=True, multiple=multiple), opset=opset, metadata={"a": "ä"})
    model = onnx.load_from_string(data)
    assert [one.version for one in model.opset_import if not one.domain] == [opset]
    assert next((one.key, one.value) for one in model.metadata_props) == ("cyclegan_hub.a", "ä")
    assert [one.key for one in model.metadata_props] == ["cyclegan_hub.a", "cyclegan_hub.sha256"]
    assert str(Path.home()) not in str(data) and b"site-packages" not in data
    norms = sum(isinstance(module, InstanceNorm2d) for module in network.modules())
    assert [node.op_type for node in model.graph.node].count("InstanceNormalization") == norms  # one fused operation each
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    for shape in ((1, channels, 32, 48), (3, channels, 80, 64)):
        x = torch.rand(shape) * 2 - 1
        with torch.inference_mode():
            expected = network(x).numpy()
        assert np.abs(session.run(None, {"x": x.numpy()})[0] - expected).max() < 1e-4


@pytest.mark.parametrize("pairs", ["given", "colorize", "upscale-4x", "repaint"])
@pytest.mark.parametrize("kind", ["unet", "cnn"])
def test_pix2pix_with_every_rule(pairs: str, kind: str, tmp_path: Path) -> None:
    # 16 channels, so that the layers hold enough weights to be stored in 16 bits
    model = tiny_models.paired(pairs=pairs, generator=kind, width=16, blocks=3, labels=("in", "out"))
    jitter(model).save_pretrained(tmp_path / "model")
    command.export(str(tmp_path / "model"), tmp_path / "x.onnx", dtype="fp16", opset=17)
    command.export(str(tmp_path / "model"), tmp_path / "x32.onnx", opset=17)
    generator = OnnxGenerator(tmp_path / "x32.onnx")
    for size in ((40, 50), (33, 21), (9, 8)):
        for resolution in (None, "original"):
            one, other = (network.translate(picture(0, size), resolution=resolution) for network in (generator, model))
            assert_same_pixels(one, other)
    assert (tmp_path / "x.onnx").stat().st_size < (tmp_path / "x32.onnx").stat().st_size


@pytest.mark.parametrize("opset", [17, 18])
def test_dcgan(opset: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = FaceGenerator(latent=8, widths=(8, 4, 4), domain="faces", epoch=3)
    model.save_pretrained(tmp_path / "faces")
    command.export(str(tmp_path / "faces"), tmp_path / "faces.onnx", opset=opset)
    generator = OnnxGenerator(tmp_path / "faces.onnx")
    z = model.latents(5, seed=7)
    for one, other in zip(generator.draw(z.numpy()), model.eval().draw(z), strict=True):
        assert_same_pixels(one, other)
    assert len(generator.sample(3, seed=1)) == 3
    assert_same_pixels(generator.sample(1, seed=1)[0], generator.sample(3, seed=1)[0])
    with pytest.raises(OnnxError, match="draws face images and translates none"):
        generator.translate(picture(0))
