"""serving/studio.py and serving/catalog.py: models that sample, and translators of one direction."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from cyclegan_hub.imaging import images
from cyclegan_hub.models.dcgan import FaceGenerator
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
from cyclegan_hub.serving.catalog import find_models
from cyclegan_hub.serving.results import labelled_row, save_zip, sheet
from cyclegan_hub.serving.studio import Studio
from support.card_facts import facts
from support.messages import refusal
from support.pictures import picture
from support.pixels import assert_same_pixels, same_pixels
from support.served_models import translate
from support.tiny_models import folder, paired

METRICS = {
    "best": "epoch-002", "rule": "lowest KID", "extractor": "SideEncoder",
    "baselines": {"untranslated": {}, "floor": {"samples": {"kid[encoder]": 0.001}}},
    "epochs": {f"epoch-{n:03d}": {"samples": {"kid[encoder]": n / 100}} for n in (1, 2, 3)},
}  # fmt: skip
ABOVE_0 = "give a number above 0, such as 1, or leave it out."
DATA = {"data": {"a": "Parquet x/trainA.parquet"}}


def face(epoch: int | None, **changes: Any) -> FaceGenerator:
    torch.manual_seed(epoch or 0)
    return FaceGenerator(**{"widths": (8, 4), "domain": "faces", "epoch": epoch} | changes)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """faces with epochs 1, 2 (the best) and 3; grey ones of nothing known; colorize, upscale and edges; and a CycleGAN."""
    path = tmp_path_factory.mktemp("models")
    for epoch in (1, 2, 3):
        face(epoch).save_pretrained(path / "faces" / "epochs" / f"epoch-{epoch:03d}")
    (path / "faces" / "metrics.json").write_text(json.dumps(METRICS))
    note = {"data_note": {"text": "handwriting of my own", "licence": "cc0-1.0"}}
    (path / "faces" / "recipe.json").write_text(json.dumps(DATA | note))
    face(None, channels=1, domain="custom", labels=("digit",)).save_pretrained(path / "digits")
    paired().save_pretrained(path / "colorize")
    (path / "colorize" / "recipe.json").write_text(json.dumps(DATA))
    paired(pairs="upscale-4x", generator="cnn", labels=("small face", "face")).save_pretrained(path / "upscale")
    (path / "upscale" / "recipe.json").write_text(json.dumps({"data": facts("upscale-4x").run["data"]}))
    paired(pairs="given", domain="", labels=("edges", "shoes")).save_pretrained(path / "edges")
    folder(path / "smile")
    return path


@pytest.fixture(scope="module")
def studio(models: Path) -> Studio:
    return Studio(str(models))


# --- what there is


def test_the_catalog_says_what_each_is(studio: Studio) -> None:
    found = {choice.name: choice for choice in studio.models()}
    assert list(found) == ["smile", "faces", "colorize", "digits", "edges", "upscale"]
    assert [choice.kind for choice in found.values()] == ["cyclegan", "dcgan", "pix2pix", "dcgan", "pix2pix", "pix2pix"]
    assert [choice.name for choice in found.values() if choice.is_sampler] == ["faces", "digits"]
    assert found["faces"].directions == ("samples",) and found["edges"].directions == ("a_to_b",)
    assert (
        found["faces"].labels == ("face",)
        and found["faces"].image_size == 16
        and found["faces"].arrow("samples") == "noise → face"
    )
    assert [choice.name for choice in found.values() if choice.portraits] == ["smile", "colorize", "upscale"]
    assert not any(choice.faces for choice in found.values())  # none of them has eyes
    assert [choice.name for choice in found.values() if "CelebA" in choice.licence] == ["upscale"]  # as its record says
    assert found["faces"].licence == "handwriting of my own; licence cc0-1.0" and found["faces"].redistributable
    assert found["digits"].licence.startswith("not stated") and not found["digits"].redistributable
    assert [epoch.label for epoch in studio.model("faces").epochs] == ["Epoch 1", "Epoch 2 · best", "Epoch 3"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": ["a", "b"]}, "has no single label"), ({"widths": 5}, "no widths of images up to 4096"),
        ({"widths": [1] * 11}, "no widths of images up to 4096"), ({"model": []}, "describes a []"),
        ({"model": "SideEncoder"}, "'SideEncoder', which is not one of CycleGenerator, FaceGenerator, PairedGenerator"),
    ],
)  # fmt: skip
def test_a_damaged_config_is_named(models: Path, tmp_path: Path, changes: dict, told: str) -> None:
    face(1).save_pretrained(tmp_path / "faces" / "epochs" / "epoch-001")
    config = tmp_path / "faces" / "epochs" / "epoch-001" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    found = find_models(None, tmp_path)
    assert found.models == {} and told in found.status and str(tmp_path) not in found.status


def test_epochs_of_two_methods_in_one_place(tmp_path: Path) -> None:
    folder(tmp_path / "faces", 1)
    face(2).save_pretrained(tmp_path / "faces" / "epochs" / "epoch-002")
    studio = Studio(str(tmp_path))
    assert_same_pixels(studio.sample("faces", 1)[0], face(2).sample()[0])
    assert "Epoch 1 of faces cannot be loaded (it is a CycleGenerator" in refusal(studio.sample, "faces", 1, epoch=1)


def test_cards(studio: Studio) -> None:
    card = studio.card("faces", 1)
    for part in ("| metric | Epoch 1 | floor |", "### face\n", "16 x 16 pixels", "| kid[encoder] | 0.01 |", "noise → face:"):
        assert part in card
    assert "- face: Parquet x/trainA.parquet" in card
    card = studio.card("colorize")
    assert "### face in grey → face\n" in card and "A pix2pix" in card and "- face: Parquet x/trainA.parquet" in card
    for name in ("faces", "digits", "edges", "upscale"):
        assert "{{" not in studio.card(name) and "A CycleGAN" not in studio.card(name)


# --- samples


def test_samples_are_those_of_the_model(studio: Studio) -> None:
    samples = studio.sample("faces", 5, 7, 0.5, 1)
    for one, other in zip(samples, face(1).sample(5, seed=7, truncation=0.5), strict=True):
        assert_same_pixels(one, other)
    best = studio.sample("faces")
    assert len(best) == 16 and same_pixels(best[0], face(2).sample()[0])
    assert not same_pixels(studio.sample("faces", 2.0, 7)[0], studio.sample("faces", 2, 8)[0])
    (grey,) = studio.sample("digits", 1)
    assert_same_pixels(grey, face(None, channels=1).sample()[0].convert("RGB"))


def test_the_way_between_two_seeds(studio: Studio) -> None:
    samples = studio.interpolate("faces", 3, 9, 5, 1.0, 3)
    for one, other in zip(samples, face(3).interpolate(3, 9, 5, truncation=1.0), strict=True):
        assert_same_pixels(one, other)
    assert len(studio.interpolate("faces")) == 8


def test_every_epoch_gets_the_same_latents(studio: Studio, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    sheets = studio.sample_every_epoch("faces", 36, 4, progress=lambda *x: seen.append(x))
    assert seen == [(1, 3), (2, 3), (3, 3)] and [epoch.number for epoch, _ in sheets] == [1, 2, 3]
    for n, (_, drawn) in enumerate(sheets, 1):
        assert_same_pixels(drawn, sheet(face(n).sample(9, seed=4)))
    assert labelled_row([(epoch.label, picture) for epoch, picture in sheets]).width > 3 * sheets[0][1].width
    path = save_zip([(epoch.name, picture) for epoch, picture in sheets], tmp_path, "x.zip")
    with zipfile.ZipFile(path) as file:
        assert images.decode(file.read("epoch-003.png")) == sheets[2][1]


def test_a_sheet_is_about_square_and_its_pixels_are_kept() -> None:
    assert sheet([picture(i, (64, 64)) for i in range(9)]).size == (3 * 132 + 4,) * 2
    assert sheet([picture(i, (64, 64)) for i in range(2)]).size == (2 * 132 + 4, 132 + 4)
    one = sheet([picture(0, (64, 64))])
    assert one.getpixel((4, 4)) == one.getpixel((5, 5)) == picture(0, (64, 64)).getpixel((0, 0))
    assert sheet([picture(0, (200, 200))]).size == (208, 208)


@pytest.mark.parametrize(
    ("method", "name", "value", "told"),
    [
        *(("sample", "n", n, f"number of pictures cannot be '{n}': give a whole number from 1 to 36.")
          for n in (0, 37, 2.5, True)),
        *(("sample", "seed", seed, f"seed cannot be '{seed}': give a whole number from 0 to 2147483647.")
          for seed in (-1, 2**31, float("nan"))),
        ("sample", "seed", "<b>", "seed cannot be '\u2039b\u203a': give a whole number from 0 to 2147483647."),
        ("sample", "truncation", float("inf"), f"truncation cannot be 'inf': {ABOVE_0}"),
        *(("interpolate", "steps", n, f"number of steps cannot be '{n}': give a whole number from 2 to 16.") for n in (1, 17)),
        ("interpolate", "seed_a", -5, "first seed cannot be '-5': give a whole number from 0 to 2147483647."),
        ("interpolate", "seed_b", 1e300, "second seed cannot be '1e+300': give a whole number from 0 to 2147483647."),
        ("interpolate", "truncation", 0, f"truncation cannot be '0': {ABOVE_0}"),
    ],
)  # fmt: skip
def test_limits_are_told(studio: Studio, method: str, name: str, value: Any, told: str) -> None:
    assert refusal(getattr(studio, method), "faces", **{name: value}) == f"The {told}"


def test_what_a_model_does_not_do(studio: Studio, tmp_path: Path) -> None:
    told = "Faces generates pictures from seeds and translates none: ask it for samples."
    assert refusal(studio.open, picture(0), "faces") == told
    assert refusal(studio.translate_batch, [tmp_path / "x.png"], "faces", folder=tmp_path) == told
    for action in (studio.sample, studio.interpolate, studio.sample_every_epoch):
        assert refusal(action, "smile") == "Smile translates pictures and generates none: ask it for a translation."
    assert refusal(studio.sample, "faces", seed=None) == "There is no seed: give a whole number from 0 to 2147483647."
    assert refusal(studio.sample, "faces", epoch=9) == "Faces has no epoch '9'; there are: 1, 2, 3."


def test_too_little_memory(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(*_: Any, **__: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    monkeypatch.setattr(FaceGenerator, "sample", sample)
    assert refusal(studio.sample, "faces") == "So many pictures need more memory than there is here: give a smaller number."


# --- one direction


def test_one_direction(studio: Studio, tmp_path: Path) -> None:
    source, own = picture(0, (40, 50)), paired(pairs="given")
    result = translate(studio, source, "edges")
    assert result.before == images.resize_short(source, 32) and result.notes == ()
    assert_same_pixels(result.after, own.translate(source))
    assert refusal(translate, studio, source, "edges", "b_to_a") == "No direction 'b_to_a'; there is only a_to_b."
    assert refusal(translate, studio, source, "edges", reconstruct=True) == (
        "Edges translates one way only: there is no reconstruction."
    )
    assert [one.after for one in studio.every_epoch(studio.open(source, "edges"))] == [result.after]
    source.save(tmp_path / "x.png")
    assert studio.translate_batch([tmp_path / "x.png"], "edges", folder=tmp_path).done == 1
    original = translate(studio, source, "edges", original_size=True).after
    assert_same_pixels(original, own.translate(source, resolution="original"))


def test_before_is_what_the_model_is_given(studio: Studio) -> None:
    source = picture(0, (32, 32))
    result = translate(studio, source, "colorize")
    given = images.to_pil(PAIR_RULES["colorize"].input_of(images.to_tensor(source)[None])[0])
    assert result.before == source.convert("L").convert("RGB")
    assert_same_pixels(result.after, paired().translate(source))
    assert max(abs(a - b) for a, b in zip(result.before.tobytes(), given.tobytes(), strict=True)) <= 1
    assert "This model sees the picture in grey: the colours are its own." in result.notes


def test_an_enlarging_model_takes_a_small_picture(studio: Studio) -> None:
    source = picture(0, (40, 50))
    own = paired(pairs="upscale-4x", generator="cnn")
    result = translate(studio, source, "upscale")
    assert_same_pixels(result.after, own.translate(source))
    assert result.before.size == result.after.size == (32, 40)
    assert result.before == images.resize_short(source, 8).resize((32, 40))
    assert result.given == source and result.shown().before.size == result.shown().after.size == (410, 512)
    assert refusal(studio.live_frame, source, "upscale") == "Upscale enlarges small pictures and has no live view."
