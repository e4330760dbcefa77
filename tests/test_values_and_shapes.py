"""What is said of values and shapes that training would otherwise change in silence, and the fields that decide on them."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.data.batches import open_batches
from cyclegan_hub.data.reading import Reading
from cyclegan_hub.data.resolve import resolve, resolve_pairs
from cyclegan_hub.data.sides import Side, load_sides
from cyclegan_hub.data.specs import DataError
from cyclegan_hub.imaging import images
from cyclegan_hub.recipes.methods import RecipeError, override
from cyclegan_hub.recipes.presets import RECIPES
from support.pictures import encoded, folder, picture
from support.pixels import assert_equal_pixels, assert_same_pixels, pixels, same_pixels


def load(path: Path, **options: object) -> tuple[Side, ...]:
    return load_sides(*resolve(None, str(path), None, None), **({"image_size": 20} | options))


def scans(path: Path, largest: int, count: int = 6, format: str = "PNG") -> Path:
    """Grey files of 16 bits with values up to `largest`."""
    path.mkdir(parents=True)
    for i in range(count):
        values = np.random.default_rng([i, largest]).integers(0, largest + 1, (20, 20)).astype(np.uint16)
        values[0, 0] = largest
        Image.fromarray(values).save(path / f"{i}.{format.lower()}")
    return path


@pytest.mark.parametrize(("largest", "white"), [(4080, 4095), (1000, 1023), (16000, 16383)])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_dark_16_bit_images_are_warned_of_and_the_range_sets_them(tmp_path: Path, largest: int, white: int, format: str) -> None:
    scans(tmp_path / "trainA", largest, format=format)
    folder(tmp_path / "trainB", range(5))
    a, b = load(tmp_path, channels=1)
    (note,) = [note for note in a.notes if "16 bits" in note]
    assert f"A: the greatest value of its 6 images of 16 bits is {largest:,} of 65,535" in note
    assert f"--set value_range=0,{white}" in note and not any("16 bits" in note for note in b.notes)
    assert int(a.train.max()) <= 255 * largest // 65535 + 1
    bright = load(tmp_path, channels=1, value_range=(0, white))[0]
    assert int(bright.train.max()) > 200 and bright.fingerprint != a.fingerprint


def test_full_16_bit_images_are_not_warned_of(tmp_path: Path) -> None:
    scans(tmp_path / "trainA", 65535)
    folder(tmp_path / "trainB", range(5))
    assert not any("16 bits" in note for note in load(tmp_path)[0].notes)


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
        found = studio.translate(source, "scan")
        assert np.abs(pixels(found.before.convert("L")) - RAMP).max() <= 1
        assert_same_pixels(found.after, model.translate(data))
    batch = studio.translate_batch([tmp_path / "scan.png"], "scan", folder=tmp_path)
    assert_equal_pixels(batch.pictures[0][1], found.after)


@pytest.mark.slow
def test_an_exported_file_reads_with_the_models_range(of_12_bits: tuple[CycleGenerator, Path, bytes], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    from cyclegan_hub.export.onnx_export import export
    from cyclegan_hub.models.onnx import OnnxGenerator

    model, models, data = of_12_bits
    export(str(models / "scan"), tmp_path / "scan.onnx")
    exported = OnnxGenerator(tmp_path / "scan.onnx")
    assert exported.value_range == (0, 4095)
    assert_same_pixels(exported.translate(data), model.translate(data))
    assert not same_pixels(exported.translate(data), exported.translate(images.decode(data)))  # what it would be without


def test_the_static_page_refuses_16_bits_where_a_range_is_set(
    of_12_bits: tuple[CycleGenerator, Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="the export needs: pip install 'cyclegan_hub[export]'")
    from cyclegan_hub.export.browser import export_web

    export_web(str(of_12_bits[1] / "scan"), tmp_path / "site", runtime="https://cdn.example/npm/onnxruntime-web@1.30.0/dist")
    assert json.loads((tmp_path / "site" / "manifest.json").read_text("utf-8"))["value_range"] == [0, 4095]
    assert "the page refuses them" in capsys.readouterr().out
    assert "manifest.value_range && (await isDeep(file))" in (tmp_path / "site" / "app.js").read_text("utf-8")


def test_arrays_of_16_bits_are_read_warned_of_and_take_a_range(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4081, (8, 20, 20)).astype(np.uint16)
    np.savez(tmp_path / "trainA.npz", images=values)
    np.savez(tmp_path / "trainB.npz", np.random.default_rng(1).integers(0, 4081, (8, 20, 20, 3)).astype(np.uint16))
    a, b = load(tmp_path)
    assert [any("of 16 bits is 4,0" in note and "value_range=0,4095" in note for note in side.notes) for side in (a, b)] == [
        True
    ] * 2
    assert int(a.train.max()) <= 16
    assert all(int(side.train.max()) > 240 for side in load(tmp_path, value_range=(0, 4095)))
    alpha = np.array([[[0, 65535], [4095, 65535], [2000, 0]]], np.uint16)
    assert np.asarray(images.decode(alpha, 1, value_range=(0, 4095))).tolist() == [[0, 255, 255]]


def test_a_range_that_is_set_and_fits_is_not_asked_for_again(tmp_path: Path) -> None:
    scans(tmp_path / "trainA", 4080)
    folder(tmp_path / "trainB", range(5))
    assert not any("16 bits" in note for note in load(tmp_path, value_range=(0, 4095))[0].notes)
    (note,) = [note for note in load(tmp_path, value_range=(-1000, 60000))[0].notes if "16 bits" in note]
    assert "is 4,080 of 60,000" in note and "value_range=-1000,4095" in note


def test_pairs_of_16_bits_are_warned_of_too(tmp_path: Path) -> None:
    scans(tmp_path / "trainA", 4080)
    (tmp_path / "trainB").mkdir()
    for i in range(6):
        picture(i, (20, 20)).save(tmp_path / "trainB" / f"{i}.png")
    (side,) = load_sides(*resolve_pairs(str(tmp_path), None, None), image_size=20, halves=True)
    assert any("of 16 bits is 4,080 of 65,535" in note for note in side.notes)


def test_floats_outside_0_to_1_are_read_with_a_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1000.0, -300.0, 400.0, 900.5]], np.float32)).save(tmp_path / "ct.tiff")
    with pytest.raises(images.ImageError, match=r"from -1000 to 900.* without NaN, or give a value range"):
        images.decode(tmp_path / "ct.tiff")
    assert np.asarray(images.decode(tmp_path / "ct.tiff", 1, value_range=(-1000, 400))).tolist() == [[0, 128, 255, 255]]
    Image.fromarray(np.array([[np.nan]], np.float32)).save(tmp_path / "nan.tiff")
    with pytest.raises(images.ImageError, match="NaN"):
        images.decode(tmp_path / "nan.tiff", value_range=(0, 9))


def test_convert_warns_of_dark_images_and_takes_the_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cyclegan_hub.cli import main

    scans(tmp_path / "ct", 4080)
    assert main(["convert", str(tmp_path / "ct"), str(tmp_path / "dark.npz"), "--channels", "1"]) == 0
    assert "is 4,080 of 65,535, so they are almost black: say what is white with --value-range 0,4095" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "ct"), str(tmp_path / "ct.npz"), "--value-range", "0,4095"]) == 0
    assert "16 bits" not in capsys.readouterr().err
    assert int(np.load(tmp_path / "ct.npz")["images"].max()) > 250 > 20 > int(np.load(tmp_path / "dark.npz")["images"].max())
    with pytest.raises(SystemExit):
        main(["convert", str(tmp_path / "ct"), str(tmp_path / "x.npz"), "--value-range", "5"])
    assert "--value-range" in capsys.readouterr().err


def deep(values: list[int]) -> bytes:
    """A PNG of 16 bits a channel in colour, one row, as Pillow cannot write it."""
    pixels = np.repeat(np.array(values, ">u2"), 3).tobytes()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", len(values), 20, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + pixels for _ in range(20)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_colour_of_16_bits_is_read_by_its_high_byte_and_said(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    for i in range(6):
        (tmp_path / "trainA" / f"{i}.png").write_bytes(deep([0, 257 * i, 4080] * 10))
    folder(tmp_path / "trainB", range(5))
    (note,) = [note for note in load(tmp_path)[0].notes if "16 bits" in note]
    assert "6 images of 16 bits in colour is 3,855 of 65,535" in note and "8 bits, 4,095 as white" in note
    with pytest.raises(
        images.ImageError, match="16 bits a channel in colour, where a value range cannot be used: save it in grey"
    ):
        images.decode(deep([0, 4000] * 10), value_range=(0, 4095))
    assert images.decode(deep([0, 65535] * 10)).getpixel((1, 0)) == (255, 255, 255)


def test_one_grey_side_is_said_and_two_channel_counts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "trainA").mkdir()
    for i in range(4):
        picture(i, mode="L").save(tmp_path / f"trainA/{i}.png")
    folder(tmp_path / "trainB", range(10, 14))
    assert any("A is grey and B in colour: both are read with 3 channels" in note for note in load(tmp_path)[0].notes)
    assert not any("grey" in note for note in load(tmp_path, channels=1)[0].notes)
    with pytest.raises(RecipeError, match=r"channels='1,3': both domains are read alike: give 1 \(both grey\) or 3 \(both RGB\)"):
        override(RECIPES["smile"], {"channels": "1,3"})


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """30 x 20 px on side A, squares on side B."""
    folder(tmp_path / "trainA", range(6), (30, 20))
    folder(tmp_path / "trainB", range(10, 16))
    return tmp_path


@pytest.mark.parametrize(
    ("fit", "said"),
    [("crop", "centred squares are taken"), ("stretch", "distorted"), ("pad", "black at two sides"), ("random-crop", "random")],
)
def test_images_that_are_not_square_are_said_once(wide: Path, fit: str, said: str) -> None:
    a, b = load(wide, fit=fit)
    (note,) = [note for note in a.notes if "not square" in note]
    assert "A: 6 of 6 images are not square" in note and said in note and "fit=crop|random-crop|stretch|pad" in note
    assert not any("not square" in note for note in b.notes)


def test_each_fit_makes_squares(wide: Path) -> None:
    image = images.decode(wide / "trainA/0000.png")
    x = np.asarray(image)
    made = {
        fit: np.asarray(images.to_pil(images.from_uint8(Reading(fit=fit).tensor(image, 20))))
        for fit in ("crop", "stretch", "pad")
    }
    assert np.array_equal(made["crop"], x[:, 5:25])
    assert np.array_equal(made["stretch"], np.asarray(image.resize((20, 20), Image.Resampling.LANCZOS)))
    assert (made["pad"][:3] == 0).all() and (made["pad"][-3:] == 0).all() and made["pad"][5:15].any()
    with pytest.raises(DataError, match="fit='squash': give crop, random-crop, stretch, pad"):
        Reading(fit="squash")


@pytest.mark.parametrize("lazy", [False, True])
def test_random_crops_differ_from_epoch_to_epoch_and_repeat(wide: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool) -> None:
    if lazy:
        from cyclegan_hub.data import sides as module

        monkeypatch.setattr(module, "CACHE_BYTES", 0)

    def epochs() -> list[torch.Tensor]:
        sources = resolve(None, str(wide), None, None)
        batches = open_batches(*sources, image_size=20, batch_size=5, seed=0, fit="random-crop")
        return [torch.cat([batch["a"] for batch in batches.epoch(epoch)]) for epoch in range(4)]

    drawn = epochs()
    assert all(torch.equal(a, b) for a, b in zip(drawn, epochs(), strict=True)) and drawn[0].shape == (5, 3, 20, 20)
    wholes = [np.asarray(images.decode(path)) for path in sorted((wide / "trainA").iterdir())]
    places = set()
    for x in torch.cat(drawn):
        square = x.permute(1, 2, 0).numpy()
        found = [left for whole in wholes for left in range(11) if np.array_equal(whole[:, left : left + 20], square)]
        assert len(found) == 1  # each is a square out of one of the images, at its full height
        places.update(found)
    assert len(places) > 3


def test_a_held_out_image_is_its_centre_with_random_crops(wide: Path) -> None:
    folder(wide / "testA", [50], (30, 20))
    folder(wide / "testB", [51])
    a, _ = load(wide, fit="random-crop")
    whole = np.asarray(images.decode(encoded(50, (30, 20))))
    assert np.array_equal(a.held_out[0].permute(1, 2, 0).numpy(), whole[:, 5:25])


def test_the_fields_are_checked() -> None:
    recipe = override(RECIPES["smile"], {"fit": "pad", "value_range": "0,4095"})
    assert recipe.load_options() | {"fit": "pad", "value_range": (0, 4095)} == recipe.load_options()
    for wrong in ("4095", "5,5", "9,1", "0,1,2"):
        with pytest.raises(RecipeError, match="value_range="):
            override(RECIPES["smile"], {"value_range": wrong})
    with pytest.raises(RecipeError, match="fit='squash': must be one of crop, random-crop, stretch, pad"):
        override(RECIPES["smile"], {"fit": "squash"})
