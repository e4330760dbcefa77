"""publish.py for the methods beside CycleGAN: DCGAN and pix2pix runs as folders and as cards."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan_hub import DCGAN, PairedGenerator
from cyclegan_hub.free_images import FOLDER, SCENES
from cyclegan_hub.imaging import images
from cyclegan_hub.models.auto import from_pretrained
from cyclegan_hub.publishing.build import build
from cyclegan_hub.publishing.card import _CELL, _FACES, sample_images
from support.card_facts import metadata
from support.pixels import assert_same_pixels
from support.published_runs import CONFIG, WEIGHTS, contents, make_run, model, refusal


def holds(one: DCGAN | PairedGenerator, name: str, epoch: int) -> bool:
    """Whether a loaded model is that of an epoch."""
    own = model(epoch, name)
    equal = all(torch.equal(tensor, own.state_dict()[key]) for key, tensor in one.state_dict().items())
    return type(one) is type(own) and one.config == own.config and equal


@pytest.mark.parametrize("name", ["faces-dcgan-64", "pix2pix", "upscale-4x-cnn"])
def test_the_folder_of_a_run(tmp_path: Path, name: str) -> None:
    out = build(make_run(tmp_path / "run", 2, 10, best=2, name=name), tmp_path / "out", "user/x")
    found, names = contents(out), [f"epochs/epoch-{n:03d}/{file}" for n in (2, 10) for file in (CONFIG, WEIGHTS)]
    kind = type(model(0, name))
    pictures = ["samples.png", "example.png"] if kind.takes_pictures else ["samples.png"]
    assert sorted(found) == sorted([*names, CONFIG, WEIGHTS, "recipe.json", "metrics.json", *pictures, "README.md"])
    assert all(holds(from_pretrained(out, revision=f"epoch-{epoch:03d}"), name, epoch) for epoch in (2, 10))
    assert from_pretrained(out).epoch == 2
    card = found["README.md"].decode()
    assert f'{kind.__name__}.from_pretrained("user/x")' in card and "| kid | 1.429 | 0.2857 |" in card
    assert metadata(card)["pipeline_tag"] == kind._hub_mixin_info.model_card_data.pipeline_tag


def samples(one: DCGAN | PairedGenerator) -> Image.Image:
    return Image.open(io.BytesIO(sample_images(one)["samples.png"]))


def test_images_from_noise_are_shown_as_they_come() -> None:
    one = model(1, "faces-dcgan-64")
    grid, pixels = samples(one), one.image_size * 10  # 16 px as 160
    assert grid.mode == "RGB" and grid.size == (6 * (pixels + 4) + 4,) * 2
    for i, image in enumerate(one.sample(36, seed=0)):
        x, y = 4 + (i % 6) * (pixels + 4), 4 + (i // 6) * (pixels + 4)
        assert_same_pixels(grid.crop((x, y, x + pixels, y + pixels)), image.resize((pixels,) * 2, 0))
    assert samples(model(1, "faces-dcgan-64", widths=[4] * 6)).width == 6 * 164 + 4  # of 256 px


@pytest.mark.parametrize("name, columns", [("pix2pix", 2), ("colorize", 3), ("upscale-4x", 3), ("monet-pix2pix", 3)])
def test_pairs_are_shown_with_the_input_that_the_generator_sees(name: str, columns: int) -> None:
    one = model(1, name, labels=["ein", "aus ü"])
    grid, side = samples(one), _CELL + 4
    rows = 3 if name in ("colorize", "upscale-4x") else 4
    assert grid.width == columns * side + 4 and rows * side < grid.height < (rows + 1) * side
    source = FOLDER / _FACES[0] if rows == 3 else SCENES[0].path
    photo = images.square(images.decode(source, 3), 16)
    x = images.to_tensor(photo)[None]
    expected = [photo, images.to_pil(one.prepare(x)[0]), images.to_pil(one.restore(x)[0])]
    if columns == 2:
        expected = [photo, expected[2]]
    top = grid.height - rows * side
    for i, image in enumerate(expected):
        shown = grid.crop((4 + i * side, top, 164 + i * side, top + 160))
        assert_same_pixels(shown, image.resize((160, 160), Image.Resampling.NEAREST))
    assert samples(model(1, "upscale-4x", channels=1)).mode == "RGB"


def test_epochs_of_another_run(tmp_path: Path) -> None:
    run, other = make_run(tmp_path / "run", 2, name="colorize"), make_run(tmp_path / "other", 5)
    (other / "epochs" / "epoch-005").rename(run / "epochs" / "epoch-005")
    message = refusal(build, run, tmp_path / "out", "user/x")
    assert "epoch-005 is a CycleGenerator of not smiling, smiling, which the run of recipe.json (labels " in message
    assert message.endswith(" did not write: restore the folder from a copy of the run") and not (tmp_path / "out").exists()
