"""page/: the panel of a model that samples, and translators of one direction."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from support.page_load import same
from support.page_module import models as models
from support.page_module import module as module
from support.page_module import page as page
from support.page_module import show

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


def test_each_kind_has_its_panel(page: Any) -> None:
    sampler, both, one = (page.choose(name) for name in ("faces", "monet", "colorize"))
    assert [update[page.sampling.panel]["visible"] for update in (sampler, both, one)] == [True, False, False]
    assert [update[page.translating]["visible"] for update in (sampler, both, one)] == [False, True, True]
    assert [update[page.direction]["visible"] for update in (sampler, both, one)] == [False, True, False]
    assert [update[page.one.tabs["back"]]["interactive"] for update in (both, one)] == [True, False]
    assert sampler[page.sampling.epoch]["value"] == 3 and sampler[page.sampling.epoch]["values"] == [1, 2, 3]
    assert one[page.one.view] == "pair"
    assert one[page.direction]["choices"] == [("face in grey → face", "a_to_b")] and page.one.view not in both


def test_a_panel_does_nothing_for_the_other_kind(page: Any) -> None:
    nothing = show(page, "pair", None, "faces", 1, direction="samples")
    assert nothing == {page.one.view: "pair"}
    assert page.sampling.show("between", "monet", 1, 3.0, 0, 16, 0, 1, 8) == {page.sampling.view: "between"}
    assert page.sampling.show("samples", None, 1, 3.0, 0, 16, 0, 1, 8) == {page.sampling.view: "samples"}


def test_one_direction_is_said(page: Any) -> None:
    update = show(page, "pair", None, "colorize", 1)
    notes = update[page.one.notes]
    assert "face in grey → face, one way only." in notes and "the colours are its own" in notes


def test_every_view_shows_its_own(page: Any, models: Path) -> None:
    panel, model = page.sampling, load(models / "faces", 2)
    pictures = model.sample(5, seed=7, truncation=0.5)
    for view in panel.tabs:
        update = panel.show(view, "faces", 2, 0.5, 7, 5, 3, 9, 4)
        assert update[panel.view] == view
        assert update[panel.truncation]["label"] == "Truncation 0.5: much alike, rarely odd"
        with zipfile.ZipFile(update[panel.zip]) as archive:
            names = archive.namelist()
            first = Image.open(io.BytesIO(archive.read(names[0])))
        match view:
            case "samples":
                assert update[panel.samples][0][1] == "Picture 1 of seed 7"
                assert all(same(a, b) for (a, _), b in zip(update[panel.samples], pictures, strict=True))
                assert "the same seed always gives the same" in update[panel.notes]
                assert names == [f"0{i}.png" for i in range(1, 6)] and same(first, pictures[0])
                assert Path(update[panel.png]).name == "faces-epoch-002-seed-7.png"
            case "between":
                assert [caption for _, caption in update[panel.between]] == ["Seed 3", "2 of 4", "3 of 4", "Seed 9"]
                assert same(update[panel.between][3][0], model.interpolate(3, 9, 4, truncation=0.5)[3])
                assert Path(update[panel.zip]).name == "faces-epoch-002-seeds-3-9.zip" and len(names) == 4
            case "epochs":
                assert [caption for _, caption in update[panel.epochs]] == ["Epoch 1", "Epoch 2", "Epoch 3 · last"]
                assert "The first 5 pictures of seed 7, by every epoch." in update[panel.notes]
                assert names == [f"epoch-00{i}.png" for i in (1, 2, 3)]
            case "card":
                assert "Epoch 2" in update[panel.card] and len(names) == 5


def test_the_end_of_the_slider_leaves_nothing_out(page: Any, models: Path) -> None:
    update = page.sampling.show("samples", "faces", 3, 3.0, 1, 1, 0, 1, 8)
    assert same(update[page.sampling.samples][0][0], load(models / "faces", 3).sample(1, seed=1)[0])
    assert update[page.sampling.truncation]["label"] == "Truncation: none, full variety"


@pytest.mark.parametrize(
    ("index", "seed", "told"), [(9, None, "There is no seed"), (1, None, "There is no seed"), (1, -1, "seed cannot be '-1'")]
)
def test_what_cannot_be_sampled_is_said(page: Any, index: int, seed: int | None, told: str) -> None:
    with pytest.raises(gr.Error) as error:
        page.sampling.show("samples", "faces", index, 3.0, seed, 16, 0, 1, 8)
    assert told in error.value.message and error.value.title == "Not generated"
