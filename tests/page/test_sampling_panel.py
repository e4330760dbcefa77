"""page/: the panel of a model that samples, and translators of one direction."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.serving.photos import FREE
from support.page_load import same
from support.page_module import models as models
from support.page_module import module as module
from support.page_module import page as page
from support.page_module import show

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

from cyclegan_hub.page.sampling_panel import Settings  # noqa: E402
from cyclegan_hub.page.translation_panel import Choices  # noqa: E402


def test_each_kind_has_its_panel(page: Any) -> None:
    sampler, both, one = (page.choose(name) for name in ("faces", "monet", "colorize"))
    assert [update[page.sampling.panel]["visible"] for update in (sampler, both, one)] == [True, False, False]
    assert [update[page.translating]["visible"] for update in (sampler, both, one)] == [False, True, True]
    assert [update[page.swap]["visible"] for update in (sampler, both, one)] == [False, True, False]
    assert [update[page.one.tabs["back"]]["interactive"] for update in (both, one)] == [True, False]
    assert sampler[page.sampling.epoch]["value"] == 3 and sampler[page.sampling.epoch]["values"] == [1, 2, 3]
    assert sampler[page.sampling.another]["value"] == "New faces" and len(sampler[page.sampling.samples]["value"]) == 16


def test_a_panel_does_nothing_for_the_other_kind(page: Any) -> None:
    assert page.one.show("faces", *Choices()) == {page.one.epoch: gr.skip()}
    assert page.one.show_strip(True, "faces", *Choices()) == {page.one.strip: gr.skip()}
    for name in ("monet", None):
        assert page.sampling.show(name, *Settings()) == {page.sampling.epoch: gr.skip()}
        assert page.sampling.show_more(True, name, *Settings()) == {page.sampling.epochs: gr.skip()}


def test_one_direction_is_said(page: Any) -> None:
    notes = show(page, FREE / "coffee.jpg", "colorize", 1)["notes"]["value"]
    assert "face in grey → face, one way only." in notes and "the colours are its own" in notes


def names_in(path: str) -> tuple[list[str], Image.Image]:
    """The names of the images in a zip, and the first image."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return names, Image.open(io.BytesIO(archive.read(names[0])))


def test_the_samples_and_every_detail(page: Any, models: Path) -> None:
    panel, model = page.sampling, load(models / "faces", 2)
    pictures = model.sample(5, seed=7, truncation=0.5)
    settings = Settings(2, 0.5, 7, 5, 3, 9, 4)
    update = panel.show("faces", *settings)
    assert update[panel.truncation]["label"] == "Truncation 0.5: much alike, rarely odd"
    shown = update[panel.samples]["value"]
    assert shown[0][1] == "Picture 1 of seed 7" and all(same(a, b) for (a, _), b in zip(shown, pictures, strict=True))
    names, first = names_in(update[panel.zip]["value"])
    assert names == [f"0{i}.png" for i in range(1, 6)] and same(first, pictures[0])
    assert Path(update[panel.png]["value"]).name == "faces-epoch-002-seed-7.png"
    assert panel.card not in update and panel.between not in update  # folded: nothing is made

    assert "Epoch 2" in panel.look("faces", *settings, opened=True)[panel.card]["value"]
    update = panel.look("faces", *settings, opened=True, detail="between")
    between = update[panel.between]["value"]
    assert [caption for _, caption in between] == ["Seed 3", "2 of 4", "3 of 4", "Seed 9"]
    assert same(between[3][0], model.interpolate(3, 9, 4, truncation=0.5)[3])
    png, archive = (update[one]["value"] for one in panel.between_saves)
    assert Path(archive).name == "faces-epoch-002-seeds-3-9.zip" and len(names_in(archive)[0]) == 4 and Image.open(png).width > 4

    assert panel.show_more(False, "faces", *settings) == {panel.epochs: gr.skip()}
    update = panel.show_more(True, "faces", *settings)
    assert [caption for _, caption in update[panel.epochs]["value"]] == ["Epoch 1", "Epoch 2", "Epoch 3 · last"]
    assert names_in(update[panel.epochs_saves[1]]["value"])[0] == [f"epoch-00{i}.png" for i in (1, 2, 3)]


def test_the_end_of_the_slider_leaves_nothing_out(page: Any, models: Path) -> None:
    update = page.sampling.show("faces", *Settings(3, 3.0, 1, 1))
    assert same(update[page.sampling.samples]["value"][0][0], load(models / "faces", 3).sample(1, seed=1)[0])
    assert update[page.sampling.truncation]["label"] == "Truncation: none, full variety"


@pytest.mark.parametrize(
    ("index", "seed", "told"), [(9, None, "There is no seed"), (1, None, "There is no seed"), (1, -1, "seed cannot be '-1'")]
)
def test_what_cannot_be_sampled_is_said(page: Any, index: int, seed: int | None, told: str) -> None:
    with pytest.raises(gr.Error) as error:
        page.sampling.show("faces", *Settings(index, 3.0, seed))
    assert told in error.value.message and error.value.title == "Not generated"
