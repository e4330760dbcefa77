"""The value range of 16-bit images: published with a model, used by the page and exported files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.imaging import images
from support.pictures import scans
from support.pixels import assert_equal_pixels, assert_same_pixels, pixels, same_pixels


def test_the_range_is_published_with_the_model_and_used_by_it(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16), 2000, np.uint16)).save(buffer, "PNG")
    torch.manual_seed(0)
    model = CycleGenerator(width=4, blocks=1, image_size=16, value_range=(0, 4095))
    model.save_pretrained(tmp_path / "model")
    loaded = CycleGenerator.from_pretrained(tmp_path / "model")
    assert loaded.value_range == (0, 4095)
    as_it_should_be = loaded.translate(Image.new("RGB", (16, 16), (125,) * 3))
    assert_equal_pixels(loaded.translate(buffer.getvalue()), as_it_should_be)
    for wrong in ((0,), (5, 5), "0,4095", (0, 1.5)):
        with pytest.raises(ValueError, match="value_range="):
            CycleGenerator(width=4, blocks=1, value_range=wrong)


RAMP = np.add.outer(np.arange(16), np.arange(16)) * 8 + 3  # 3 to 243; times 273 / 17 it is the same share of 4,095


@pytest.fixture
def of_12_bits(tmp_path: Path) -> tuple[CycleGenerator, Path, bytes]:
    """A model whose 16-bit images are white at 4,095, its folder, and such a file: a ramp."""
    torch.manual_seed(0)
    model = CycleGenerator(width=4, blocks=1, image_size=16, labels=("ct", "mr"), value_range=(0, 4095)).eval()
    model.save_pretrained(tmp_path / "models" / "scan")
    buffer = io.BytesIO()
    Image.fromarray((RAMP * 273 // 17).astype(np.uint16)).save(buffer, "PNG")
    return model, tmp_path / "models", buffer.getvalue()


def test_the_page_reads_with_the_models_range(of_12_bits: tuple[CycleGenerator, Path, bytes], tmp_path: Path) -> None:
    from cyclegan_hub.serving.studio import Studio

    model, models, data = of_12_bits
    (tmp_path / "scan.png").write_bytes(data)
    studio = Studio(str(models))
    for source in (data, tmp_path / "scan.png"):
        found = studio.translate(studio.open(source, "scan"))
        assert np.abs(pixels(found.before.convert("L")) - RAMP).max() <= 1
        assert_same_pixels(found.after, model.translate(data))
    batch = studio.translate_batch([tmp_path / "scan.png"], "scan", folder=tmp_path)
    assert_equal_pixels(batch.thumbnails[0][1], found.after)


@pytest.mark.slow
def test_an_exported_file_reads_with_the_models_range(of_12_bits: tuple[CycleGenerator, Path, bytes], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    from cyclegan_hub.export.onnx_export import export
    from cyclegan_hub.models.onnx import OnnxGenerator

    model, models, data = of_12_bits
    export(str(models / "scan"), tmp_path / "scan.onnx", opset=17)  # by torch's older exporter, which is faster
    exported = OnnxGenerator(tmp_path / "scan.onnx")
    assert exported.value_range == (0, 4095)
    assert_same_pixels(exported.translate(data), model.translate(data))
    assert not same_pixels(exported.translate(data), exported.translate(images.decode(data)))  # what it would be without


def test_convert_warns_of_dark_images_and_takes_the_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cyclegan_hub.cli import main

    scans(tmp_path / "ct", 4080)
    assert main(["convert", str(tmp_path / "ct"), str(tmp_path / "dark.npz"), "--channels", "1"]) == 0
    assert (
        "is 4,080 of 65,535, so they are almost black: set the white value with --value-range 0,4095" in capsys.readouterr().err
    )
    assert main(["convert", str(tmp_path / "ct"), str(tmp_path / "ct.npz"), "--value-range", "0,4095"]) == 0
    assert "16 bits" not in capsys.readouterr().err
    assert int(np.load(tmp_path / "ct.npz")["images"].max()) > 250 > 20 > int(np.load(tmp_path / "dark.npz")["images"].max())
    with pytest.raises(SystemExit):
        main(["convert", str(tmp_path / "ct"), str(tmp_path / "x.npz"), "--value-range", "5"])
    assert "--value-range" in capsys.readouterr().err
