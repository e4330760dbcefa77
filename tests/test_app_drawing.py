"""The page's drawing panel and its endpoints, on models that draw and on translators of one direction."""

from __future__ import annotations

import importlib
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from cyclegan_hub.checkpoints import load
from cyclegan_hub.serving.studio import Studio
from support.page_load import LOCAL, App, call, same, tiny_models, upload
from support.page_module import app as app
from support.page_module import web as web
from support.pictures import encoded
from support.tiny_models import paired
from support.training import ROOT

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tiny_models(tmp_path_factory.mktemp("models"), {"faces": 3, "monet": 0})
    paired().save_pretrained(path / "colorize")
    return path


@pytest.fixture
def page(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("app").Page(Studio(str(models)))


# --- events


def test_each_kind_has_its_panel(page: Any) -> None:
    draws, both, one = (page.choose(name) for name in ("faces", "monet", "colorize"))
    assert [update[page.sampling.panel]["visible"] for update in (draws, both, one)] == [True, False, False]
    assert [update[page.translating]["visible"] for update in (draws, both, one)] == [False, True, True]
    assert [update[page.direction]["visible"] for update in (draws, both, one)] == [False, True, False]
    assert [update[page.one.tabs["back"]]["interactive"] for update in (both, one)] == [True, False]
    assert draws[page.sampling.epoch]["value"] == 3 and draws[page.sampling.epoch]["values"] == [1, 2, 3]
    assert one[page.one.view] == "pair"
    assert one[page.direction]["choices"] == [("face in grey → face", "a_to_b")] and page.one.view not in both


def test_a_panel_does_nothing_for_the_other_kind(page: Any) -> None:
    nothing = page.one.show(False, "pair", None, "faces", "samples", 1, "face", 1, False, False, "png", False, 0)
    assert nothing == {page.one.view: "pair"}
    assert page.sampling.show("between", "monet", 1, 3.0, 0, 16, 0, 1, 8) == {page.sampling.view: "between"}
    assert page.sampling.show("samples", None, 1, 3.0, 0, 16, 0, 1, 8) == {page.sampling.view: "samples"}


def test_one_direction_is_said(page: Any) -> None:
    update = page.one.show(False, "pair", None, "colorize", "a_to_b", 1, "face", 1, False, False, "png", False, 0)
    notes = update[page.one.notes]
    assert "face in grey → face, one way only." in notes and "the colours are its own" in notes


def test_every_view_shows_its_own(page: Any, models: Path) -> None:
    drawing, model = page.sampling, load(models / "faces", 2)
    pictures = model.sample(5, seed=7, truncation=0.5)
    for view in drawing.tabs:
        update = drawing.show(view, "faces", 2, 0.5, 7, 5, 3, 9, 4)
        assert update[drawing.view] == view
        assert update[drawing.truncation]["label"] == "Truncation 0.5: much alike, rarely odd"
        with zipfile.ZipFile(update[drawing.zip]) as archive:
            names = archive.namelist()
            first = Image.open(io.BytesIO(archive.read(names[0])))
        match view:
            case "samples":
                assert update[drawing.samples][0][1] == "Picture 1 of seed 7"
                assert all(same(a, b) for (a, _), b in zip(update[drawing.samples], pictures, strict=True))
                assert "the same seed always gives the same" in update[drawing.notes]
                assert names == [f"0{i}.png" for i in range(1, 6)] and same(first, pictures[0])
                assert Path(update[drawing.png]).name == "faces-epoch-002-seed-7.png"
            case "between":
                assert [caption for _, caption in update[drawing.between]] == ["Seed 3", "2 of 4", "3 of 4", "Seed 9"]
                assert same(update[drawing.between][3][0], model.interpolate(3, 9, 4, truncation=0.5)[3])
                assert Path(update[drawing.zip]).name == "faces-epoch-002-seeds-3-9.zip" and len(names) == 4
            case "epochs":
                assert [caption for _, caption in update[drawing.epochs]] == ["Epoch 1", "Epoch 2", "Epoch 3 · last"]
                assert "The first 5 pictures of seed 7, drawn by every epoch." in update[drawing.notes]
                assert names == [f"epoch-00{i}.png" for i in (1, 2, 3)]
            case "card":
                assert "Epoch 2" in update[drawing.card] and len(names) == 5


def test_the_end_of_the_slider_leaves_nothing_out(page: Any, models: Path) -> None:
    update = page.sampling.show("samples", "faces", 3, 3.0, 1, 1, 0, 1, 8)
    assert same(update[page.sampling.samples][0][0], load(models / "faces", 3).sample(1, seed=1)[0])
    assert update[page.sampling.truncation]["label"] == "Truncation: none, all it can draw"


@pytest.mark.parametrize(
    ("index", "seed", "told"), [(9, None, "There is no seed"), (1, None, "There is no seed"), (1, -1, "seed cannot be '-1'")]
)
def test_what_cannot_be_drawn_is_said(page: Any, index: int, seed: int | None, told: str) -> None:
    with pytest.raises(gr.Error) as error:
        page.sampling.show("samples", "faces", index, 3.0, seed, 16, 0, 1, 8)
    assert told in error.value.message and error.value.title == "Not drawn"


# --- endpoints


def test_gradio_client(app: App, models: Path, tmp_path: Path) -> None:
    from gradio_client import Client

    client = Client(app.url, verbose=False, download_files=str(tmp_path / "answers"))
    domains = {one["name"]: one for one in client.predict(api_name="/domains")}
    assert [one["kind"] for one in domains.values()] == ["cyclegan", "dcgan", "pix2pix"]
    assert domains["faces"]["directions"] == ["samples"] and domains["colorize"]["directions"] == ["a_to_b"]
    model = load(models / "faces", 1)
    drawn = client.predict("faces", 3, 7, 0.5, 1, api_name="/sample")
    assert all(same(Image.open(one["image"]), b) for one, b in zip(drawn, model.sample(3, seed=7, truncation=0.5), strict=True))
    assert [one["caption"] for one in drawn] == ["1 of 3", "2 of 3", "3 of 3"]
    assert len(client.predict("faces", api_name="/sample")) == 16
    between = client.predict("faces", 3, 9, 5, 1.0, 1, api_name="/interpolate")
    assert same(Image.open(between[2]["image"]), model.interpolate(3, 9, 5, truncation=1.0)[2])
    assert len(client.predict("faces", api_name="/interpolate")) == 8


@pytest.mark.parametrize(
    ("endpoint", "arguments", "message"),
    [
        ("sample", ("faces", 37, 0, None, None), "The number of pictures cannot be '37': give a whole number from 1 to 36."),
        ("sample", ("faces", 2.5, 0, None, None), "The number of pictures cannot be '2.5': give a whole number from 1 to 36."),
        ("sample", ("faces", 1, -1, None, None), "The seed cannot be '-1': give a whole number from 0 to 2147483647."),
        ("sample", ("faces", 1, 2**31, None, None), "The seed cannot be '2147483648': give a whole number from 0 to"),
        ("sample", ("faces", 1, 0, 0, None), "The truncation cannot be '0': give a number above 0"),
        ("sample", ("faces", 1, 0, None, 77), "Faces has no epoch '77'; there are: 1, 2, 3."),
        ("sample", ("monet", 1, 0, None, None), "Monet translates pictures and draws none: ask it for a translation."),
        ("interpolate", ("faces", 0, 1, 17, None, None), "The number of steps cannot be '17': give a whole number from 2 to 16."),
        ("interpolate", ("faces", 0, "x", 8, None, None), "The second seed cannot be 'x': give a whole number from 0 to"),
        ("interpolate", ("colorize", 0, 1, 8, None, None), "Colorize translates pictures and draws none"),
    ],
)
def test_limits_are_one_clear_sentence(web: httpx.Client, endpoint: str, arguments: tuple, message: str) -> None:
    with pytest.raises(RuntimeError) as error:
        call(web, endpoint, *arguments)
    assert message in str(error.value) and not any(part in str(error.value) for part in LOCAL)


def test_what_translates_is_told_from_what_draws(web: httpx.Client) -> None:
    photo = upload(web, "photo.png", encoded(1, (40, 40)))
    with pytest.raises(RuntimeError, match="Faces draws pictures from seeds and translates none: ask it for samples"):
        call(web, "translate", photo, "faces", "a_to_b", None)
    with pytest.raises(RuntimeError, match="No direction 'b_to_a'; there is only a_to_b"):
        call(web, "translate", photo, "colorize", "b_to_a", None)
    assert call(web, "translate", photo, "colorize", "a_to_b", None)[0]["url"]


def test_what_is_left_out_by_plain_http_is_the_usual(web: httpx.Client) -> None:
    assert len(call(web, "sample", "faces", None, None, None, None)[0]) == 16
    assert len(call(web, "interpolate", "faces", None, None, None, None, None)[0]) == 8


def test_nothing_was_logged(app: App) -> None:
    assert not any(word in app.log.read_text() for word in ("Traceback", "LEFT THE MACHINE", "ASKED FOR"))
