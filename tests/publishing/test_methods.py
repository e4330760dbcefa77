"""publish.py for the methods beside CycleGAN: DCGAN and pix2pix runs as folders, as cards, and on a local Hub by epoch."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from PIL import Image

from cyclegan_hub import DCGAN, PairedGenerator
from cyclegan_hub.checkpoints import list_epochs, load
from cyclegan_hub.imaging import images
from cyclegan_hub.models.auto import from_pretrained
from cyclegan_hub.publishing.build import build
from cyclegan_hub.publishing.card import _CELL, _FACES, _SCENES, sample_images
from cyclegan_hub.publishing.push import push
from cyclegan_hub.recipes.methods import DCGANRecipe, domain_of, labels_of
from cyclegan_hub.recipes.presets import RECIPES
from support.card_facts import MOST_WORDS, above_the_fold
from support.hub_client import ConnectedHub, api
from support.hub_client import hub as hub
from support.hub_client import hub_server as hub_server
from support.pixels import assert_same_pixels
from support.published_runs import CONFIG, FREE_IMAGES, WEIGHTS, contents, refusal
from support.published_runs import make_run as cyclegan_run

METHODS = ("faces-dcgan-64", "monet-dcgan-64", "pix2pix", "colorize", "upscale-4x", "upscale-4x-cnn", "monet-pix2pix")


def model(name: str, epoch: int, **changes: object) -> DCGAN | PairedGenerator:
    """What a recipe trains, as small as it gets; another one for each epoch, the same each time."""
    torch.manual_seed(epoch)
    recipe = RECIPES[name]
    labels = labels_of(recipe)
    said = {"domain": domain_of(recipe, labels), "labels": list(labels), "epoch": epoch}
    if isinstance(recipe, DCGANRecipe):
        return DCGAN(**{"latent": 5, "widths": [4, 4]} | said | changes)
    network = {"width": 4, "blocks": 2, "generator": recipe.generator, "pairs": recipe.pairs, "image_size": 16}
    return PairedGenerator(**network | said | changes)


def make_run(folder: Path, name: str, *epochs: int, best: int | None = None) -> Path:
    """A run folder as train.py leaves it."""
    recipe = RECIPES[name]
    record = {"recipe": asdict(recipe), "labels": labels_of(recipe), "data": {"a": "folder mine/trainA"}, "seed": 0}
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(record))
    (folder / "history.jsonl").write_text('{"step": 10, "epoch": 1.0, "pairs_per_s": 2.0}\n')
    for epoch in epochs:
        path = folder / "epochs" / f"epoch-{epoch:03d}"
        path.mkdir(parents=True)
        for file, data in model(name, epoch).files({"epoch": str(epoch), "recipe": name}).items():
            (path / file).write_bytes(data)
    if best is not None:
        (direction,) = model(name, 0).directions
        values = {f"epoch-{epoch:03d}": {direction: {"kid[encoder]": epoch / 7}} for epoch in epochs}
        baselines = {"untranslated": {}, "floor": {direction: {"kid[encoder]": -0.5}}}
        told = {"best": f"epoch-{best:03d}", "rule": "least KID", "epochs": values, "baselines": baselines}
        (folder / "metrics.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_the_folder_of_a_run(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", name, 2, 10, best=2)
    out = build(run, tmp_path / "out", "user/x")
    found, names = contents(out), [f"epochs/epoch-{n:03d}/{file}" for n in (2, 10) for file in (CONFIG, WEIGHTS)]
    kind = type(model(name, 0))
    pictures = ["samples.png", "example.png"] if kind.takes_pictures else ["samples.png"]
    assert sorted(found) == sorted([*names, CONFIG, WEIGHTS, "recipe.json", "metrics.json", *pictures, "README.md"])
    for epoch in (2, 10):
        one = from_pretrained(out, revision=f"epoch-{epoch:03d}")
        assert type(one) is kind and one.config == model(name, epoch).config and one.epoch == epoch
        assert all(torch.equal(tensor, model(name, epoch).state_dict()[key]) for key, tensor in one.state_dict().items())
    assert from_pretrained(out).epoch == 2 and found[WEIGHTS] == found[f"epochs/epoch-002/{WEIGHTS}"]
    card = found["README.md"].decode()
    assert f'{kind.__name__}.from_pretrained("user/x")' in card and "| kid[encoder] | 1.429 | 0.2857 | -0.5 |" in card
    assert len(above_the_fold(card).split()) <= MOST_WORDS
    assert yaml.safe_load(card.split("---\n")[1])["pipeline_tag"] == kind._hub_mixin_info.model_card_data.pipeline_tag
    assert contents(build(run, out, "user/x")) == found  # again, over itself
    assert contents(build(run, tmp_path / "other", "user/x")) == found


@pytest.mark.parametrize("name", ["faces-dcgan-64", "colorize"])
def test_half_precision_and_chosen_epochs(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", name, 2, 5, 10)
    out = build(run, tmp_path / "out", "user/x", epochs=[2, 5], dtype="fp16")
    assert [epoch.name for epoch in list_epochs(out)] == ["epoch-002", "epoch-005"]
    one = load(out)
    assert one.epoch == 5 and one.stored_dtype == torch.float16
    for key, tensor in model(name, 5).state_dict().items():
        assert torch.equal(one.state_dict()[key], tensor.half().float() if tensor.is_floating_point() else tensor), key
    assert "stored as fp16" in (out / "README.md").read_text("utf-8")


def samples(one: DCGAN | PairedGenerator) -> Image.Image:
    return Image.open(io.BytesIO(sample_images(one)["samples.png"]))


def test_images_from_noise_are_shown_as_they_come() -> None:
    one = model("faces-dcgan-64", 1)
    grid, pixels = samples(one), one.image_size * 10  # 16 px as 160
    assert grid.mode == "RGB" and grid.size == (6 * (pixels + 4) + 4,) * 2
    for i, image in enumerate(one.sample(36, seed=0)):
        x, y = 4 + (i % 6) * (pixels + 4), 4 + (i // 6) * (pixels + 4)
        assert_same_pixels(grid.crop((x, y, x + pixels, y + pixels)), image.resize((pixels,) * 2, 0))
    assert samples(model("faces-dcgan-64", 1, widths=[4] * 6)).width == 6 * 164 + 4  # of 256 px


@pytest.mark.parametrize("name, columns", [("pix2pix", 2), ("colorize", 3), ("upscale-4x", 3), ("monet-pix2pix", 3)])
def test_pairs_are_shown_with_the_input_that_the_generator_sees(name: str, columns: int) -> None:
    one = model(name, 1, labels=["ein", "aus ü"])
    grid, side = samples(one), _CELL + 4
    rows = 3 if name in ("colorize", "upscale-4x") else 4
    assert grid.width == columns * side + 4 and rows * side < grid.height < (rows + 1) * side
    source = FREE_IMAGES / (_FACES if rows == 3 else _SCENES)[0]
    photo = images.square(images.decode(source, 3), 16)
    x = images.to_tensor(photo)[None]
    expected = [photo, images.to_pil(one.prepare(x)[0]), images.to_pil(one.restore(x)[0])]
    if columns == 2:
        expected = [photo, expected[2]]
    top = grid.height - rows * side
    for i, image in enumerate(expected):
        shown = grid.crop((4 + i * side, top, 164 + i * side, top + 160))
        assert_same_pixels(shown, image.resize((160, 160), Image.Resampling.NEAREST))
    assert samples(model("upscale-4x", 1, channels=1)).mode == "RGB"


@pytest.mark.parametrize("name", ["faces-dcgan-64", "colorize"])
def test_epochs_of_another_run(tmp_path: Path, name: str) -> None:
    run, other = make_run(tmp_path / "run", name, 2), cyclegan_run(tmp_path / "other", 5)
    (other / "epochs" / "epoch-005").rename(run / "epochs" / "epoch-005")
    message = refusal(build, run, tmp_path / "out", "user/x")
    assert "epoch-005 is a CycleGenerator of not smiling, smiling, which the run of recipe.json (labels " in message
    assert message.endswith(" did not write: restore the folder from a copy of the run") and not (tmp_path / "out").exists()


def test_a_record_of_another_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "faces-dcgan-64", 2)
    (run / "recipe.json").write_text(json.dumps(json.loads((run / "recipe.json").read_text()) | {"labels": ["a", "b"]}))
    assert "restore" in refusal(build, run, tmp_path / "out", "user/x")


# --- the Hub


def comes_back(tmp: Path, name: str) -> None:
    """Published by epoch, with the best on `main`, loaded by tag; and once more, which changes nothing."""
    kind, repo = type(model(name, 0)), f"user/{name}"
    folder = build(make_run(tmp / "run", name, 2, 10, best=10), tmp / "out", repo)
    pushed = push(folder, repo)
    assert pushed["main"] == pushed["epoch-010"] != pushed["epoch-002"]
    for revision, epoch in (("epoch-002", 2), ("epoch-010", 10), ("main", 10), (pushed["epoch-002"], 2)):
        one = kind.from_pretrained(repo, revision=revision)
        assert type(one) is kind and one.config == model(name, epoch).config, revision
        assert all(torch.equal(tensor, model(name, epoch).state_dict()[key]) for key, tensor in one.state_dict().items())
    assert [(epoch.name, epoch.best) for epoch in list_epochs(repo)] == [("epoch-002", False), ("epoch-010", True)]
    assert type(load(repo, 2)) is kind
    info = kind._hub_mixin_info.model_card_data
    there = api.model_info(repo)
    assert (there.library_name, there.pipeline_tag) == ("cyclegan_hub", info.pipeline_tag) and set(info.tags) <= set(there.tags)
    (result,) = ModelCard.load(repo).data.eval_results
    assert (result.metric_value, result.task_type) == (10 / 7, info.pipeline_tag)
    assert push(folder, repo) == pushed


@pytest.mark.slow
def test_a_dcgan_is_published_and_comes_back(hub: ConnectedHub, tmp_path: Path) -> None:
    comes_back(tmp_path, "faces-dcgan-64")
    one = DCGAN.from_pretrained("user/faces-dcgan-64", revision="epoch-002")
    assert_same_pixels(one.sample(2, seed=3)[1], model("faces-dcgan-64", 2).eval().sample(2, seed=3)[1])


@pytest.mark.slow
def test_a_pix2pix_is_published_and_comes_back(hub: ConnectedHub, tmp_path: Path) -> None:
    comes_back(tmp_path, "colorize")
    one = PairedGenerator.from_pretrained("user/colorize", revision="epoch-002")
    assert one.translate(Image.new("RGB", (20, 16))).size == (20, 16)


@pytest.mark.slow
def test_cards_without_an_evaluation_are_accepted(hub: ConnectedHub, tmp_path: Path) -> None:
    for name in METHODS:
        push(build(make_run(tmp_path / name, name, 2), tmp_path / f"{name}.out", f"user/{name}-card"), f"user/{name}-card")
        assert ModelCard.load(f"user/{name}-card").data.license_name == "not-stated"  # nothing was said of local files
