"""page/: what its events return."""

from __future__ import annotations

import base64
import io
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.photos import EXAMPLES, FREE
from cyclegan_hub.serving.studio import Studio
from support.page_load import same, tiny_models
from support.page_module import NAME, served, show
from support.page_module import models as models
from support.page_module import module as module
from support.page_module import page as page
from support.photos import TWO
from support.pictures import encoded, picture
from support.training import ROOT

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")


# --- events


def test_opening_offers_what_there_is(page: Any) -> None:
    update = page.open(camera=True)
    assert update[page.model]["choices"] == [(name.capitalize(), name) for name in ("anime", "monet", "faces", "colorize")]
    assert update[page.direction]["choices"] == [("human face → anime face", "a_to_b"), ("anime face → human face", "b_to_a")]
    slider = update[page.one.epoch]
    assert slider["values"] == [1, 2, 3] and slider["value"] == 3 and slider["visible"] and slider["best"] == -1
    assert "webcam" in update[page.one.photo]["sources"] and update[page.one.no_camera] == ""
    update = page.open(camera=False)
    assert "webcam" not in update[page.one.photo]["sources"] and "No camera" in update[page.one.no_camera]


def test_one_epoch_has_no_slider_and_only_monet_its_own_size(page: Any) -> None:
    anime, monet = page.choose("anime"), page.choose("monet")
    assert not monet[page.one.epoch]["visible"] and not monet[page.several.epoch]["visible"]
    assert (anime[page.one.part]["visible"], anime[page.one.original]["visible"]) == (True, False)
    assert (monet[page.one.part]["visible"], monet[page.one.original]["visible"]) == (False, True)


def test_every_view_shows_its_own(page: Any, models: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    model, one = served(models / "anime", 2), page.one
    after = model.translate(photo, face="none")
    for view in one.tabs:
        update = show(page, view, photo, "anime", 2, format="own", pixels=True)
        if view == "card":
            assert "Epoch 2" in update[one.card]
            continue
        assert update[one.view] == view and "example" not in update[one.notes]
        assert Path(update[one.save]).name == "anime-a_to_b-epoch-002-own-size.png"
        assert same(Image.open(update[one.save]), after)
        large = after.resize((512, 427), Image.Resampling.NEAREST)
        match view:
            case "slider":
                assert same(Image.open(update[one.slider][1]), large)
            case "pair":
                assert same(Image.open(update[one.pair[1]]), large)
            case "back":
                back = model.translate(Image.open(update[one.save]), "b_to_a", "original")
                assert same(Image.open(update[one.cycle[2]]), back.resize((512, 427), Image.Resampling.NEAREST))
            case "colours":
                assert update[one.histogram].width > 100


def test_what_is_shown_is_as_sharp_as_the_file(page: Any, tmp_path: Path) -> None:
    picture(1, (700, 500)).save(tmp_path / "photo.png")
    update = show(page, "pair", tmp_path / "photo.png", "monet", 1)
    before, after = (Image.open(update[one]) for one in page.one.pair)
    assert before.size == after.size == (700, 500)
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(picture(1, (700, 500))).astype(int))
    assert difference.mean() < 6  # a JPEG of high quality, of noise
    assert Image.open(update[page.one.save]).size == (720, 512)


@pytest.mark.parametrize(
    ("format", "name", "kind"),
    [("png", ".png", "PNG"), ("jpeg", ".jpg", "JPEG"), ("pair", "-pair.jpg", "JPEG"), ("own", "-own-size.png", "PNG")],
)
def test_formats_of_a_saved_result(page: Any, tmp_path: Path, format: str, name: str, kind: str) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    path = Path(show(page, "pair", tmp_path / "photo.png", "anime", 1, format=format)[page.one.save])
    assert path.name == f"anime-a_to_b-epoch-001{name}" and Image.open(path).format == kind


def test_the_strip_shows_the_input_and_every_epoch(page: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    one = page.one
    update = one.show_strip(str(tmp_path / "photo.png"), "anime", "a_to_b", "face", 1, True, 0)
    assert [label.split(" ·")[0] for _, label in update[one.strip]] == ["Input", "Epoch 1", "Epoch 2", "Epoch 3"]
    assert all(Image.open(path).size == (512, 427) for path, _ in update[one.strip])
    assert Image.open(update[one.strip_png]).width > 4 * 512
    with zipfile.ZipFile(update[one.strip_zip]) as archive:
        assert {"strip.png", "input.png", *(f"epoch-00{i}.png" for i in (1, 2, 3))} == set(archive.namelist())
        assert same(
            Image.open(io.BytesIO(archive.read("epoch-002.png"))),
            served(models / "anime", 2).translate(tmp_path / "photo.png", face="none"),
        )


@pytest.mark.parametrize(
    ("domain", "direction", "shows"),
    [("anime", "a_to_b", "Grace Hopper"), ("anime", "b_to_a", "an anime face"), ("monet", "a_to_b", "a pavilion above a lake")],
)
def test_without_a_picture_an_example_is_shown_and_named(page: Any, domain: str, direction: str, shows: str) -> None:
    update = show(page, "pair", None, domain, 1, fresh=True, direction=direction)
    assert f"This is an example, {shows}" in update[page.one.notes].replace("the computer scientist ", "")
    assert all(Path(path).is_file() for path, _ in update[page.one.examples])


def test_own_size(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (72, 64)))
    saved = [
        show(page, "pair", tmp_path / "photo.png", "monet", 1, original=own, format="own")[page.one.save] for own in (False, True)
    ]
    assert [Image.open(path).size for path in saved] == [(36, 32), (72, 64)]


def test_an_epoch_that_has_gone_is_the_nearest_one(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    for asked, taken in ((9, 3), (0, 1), (10**9, 3)):
        update = show(page, "pair", tmp_path / "photo.png", "anime", asked)
        assert update[page.one.epoch]["value"] == taken and f"epoch-00{taken}" in update[page.one.save]


@pytest.mark.parametrize("sent", [None, "", "junk", [5], {}, float("nan"), float("inf"), -5, 1e300, "1e9", 2.6, True])
def test_whatever_is_sent_as_an_epoch_or_a_seed_is_a_number(page: Any, sent: Any) -> None:
    for slider, most in ((page.one.epoch, 2**31 - 1), (page.sampling.seed, 2**31 - 1)):
        number = slider.preprocess(sent)
        assert isinstance(number, int) and 0 <= number <= most


def test_a_model_that_vanishes_is_one_sentence(
    module: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "temporary"))
    shutil.copytree(models, tmp_path / "models")
    page = module.Page(Studio(str(tmp_path / "models")))
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    shutil.rmtree(tmp_path / "models")
    with pytest.raises(gr.Error) as error:
        show(page, "pair", tmp_path / "photo.png", "monet", 1)
    assert "of monet cannot be loaded" in error.value.message and str(tmp_path) not in error.value.message


def test_a_photograph_that_browsers_cannot_show_gets_a_copy(page: Any, tmp_path: Path) -> None:
    picture(1, (40, 30)).save(tmp_path / "photo.tiff")
    assert Image.open(page.one.displayable(str(tmp_path / "photo.tiff"))).format == "JPEG"
    picture(1, (40, 30)).save(tmp_path / "photo.png")
    assert page.one.displayable(str(tmp_path / "photo.png")) == gr.skip() and page.one.displayable(None) == gr.skip()


def test_a_user_who_leaves_during_a_batch_leaves_nothing(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    request, panel = SimpleNamespace(session_hash="user"), page.several

    def left(*_: Any, **__: Any) -> None:
        panel.gone(request)

    before = sorted(tmp_path.rglob("*.zip"))
    with pytest.raises(gr.Error) as error:
        files = [str(tmp_path / "photo.png")] * 3
        panel.show(files, "anime", "a_to_b", "epoch-001", "face", 1, "png", request, progress=left)
    assert "The page was closed" in error.value.message and sorted(tmp_path.rglob("*.zip")) == before
    assert not panel._left and not panel._working


# --- faces


def test_a_picture_without_a_face_waits(page: Any, tmp_path: Path) -> None:
    one = page.one
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    for part in ("face", "whole"):
        update = show(page, "pair", tmp_path / "photo.png", "anime", 1, fresh=True, part=part)
        assert "No face was found" in update[one.notes] and update[one.go_on]["visible"] and update[one.pair[1]] is None
        assert one.show_strip(str(tmp_path / "photo.png"), "anime", "a_to_b", part, 1, False, 0)[one.strip] is None
        update = show(page, "pair", tmp_path / "photo.png", "anime", 1, anyway=True, part=part, format="own")
        assert update[one.pair[1]] and not update[one.go_on]["visible"] and "No face" not in update[one.notes]
        assert Image.open(update[one.save]).size == (38, 32)


def test_a_face_is_aligned_or_put_back(page: Any, models: Path) -> None:
    one, example = page.one, EXAMPLES["anime", "a_to_b"][0].path  # of Grace Hopper
    update = show(page, "pair", example, "anime", 2, fresh=True, anyway=False, format="own")
    assert update[one.part]["visible"] and not update[one.faces]["visible"]
    assert same(Image.open(update[one.save]), served(models / "anime", 2).translate(example))
    assert Image.open(update[one.pair[0]]).size == Image.open(update[one.pair[1]]).size == (512, 512)
    update = show(page, "pair", example, "anime", 2, anyway=False, part="whole", format="own")
    assert same(Image.open(update[one.save]), served(models / "anime", 2).translate(example, whole=True))
    update = one.show_strip(str(example), "anime", "a_to_b", "whole", 1, False, 0)
    assert all(Image.open(path).height == 600 for path, _ in update[one.strip])
    other = show(page, "pair", example, "anime", 2, fresh=True, direction="b_to_a", part="whole", format="own")
    assert not other[one.part]["visible"] and Image.open(other[one.save]).size == (32, 38)


def test_of_several_faces_one_is_chosen_or_all_are_put_back(page: Any, models: Path, tmp_path: Path) -> None:
    one, model = page.one, served(models / "anime", 3)
    TWO.save(tmp_path / "two.png")
    for face in (0, 1):
        update = show(page, "pair", tmp_path / "two.png", "anime", 3, anyway=False, face=face, format="own")
        assert update[one.faces]["visible"] and len(update[one.faces]["value"]) == 2
        assert same(Image.open(update[one.save]), model.translate(TWO, face=face))
    update = show(page, "pair", tmp_path / "two.png", "anime", 3, anyway=False, face=1, part="whole", format="own")
    assert not update[one.faces]["visible"] and same(Image.open(update[one.save]), model.translate(TWO, face="all", whole=True))


def test_the_strength_of_a_model_with_the_skip(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = module.Page(Studio(str(tiny_models(tmp_path / "models", {"cartoon": 0, "anime": 0}))))
    cartoon, anime = page.choose("cartoon"), page.choose("anime")
    for panel in (page.one, page.several):
        assert [one[panel.strength]["visible"] for one in (cartoon, anime)] == [True, False]
    example = EXAMPLES["anime", "a_to_b"][0].path
    none = show(page, "pair", example, "cartoon", 1, anyway=False, part="whole", strength=0, format="own")
    assert same(Image.open(none[page.one.save]), Image.open(example))
    half, full = (
        Image.open(show(page, "pair", example, "cartoon", 1, strength=strength, format="own")[page.one.save])
        for strength in (0.5, 1)
    )
    assert half.size == full.size and not same(half, full)
    assert show(page, "pair", example, "anime", 1, strength=0.5)[page.one.save]  # left over from the other model: means nothing


def test_a_batch_with_and_without_faces(page: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    example, panel = EXAMPLES["anime", "a_to_b"][0].path, page.several
    request, model = SimpleNamespace(session_hash="user"), served(models / "anime", 1)
    for part, whole in (("face", False), ("whole", True)):
        files = [str(example), str(tmp_path / "photo.png")]
        _, notes, zipped = panel.show(
            files, "anime", "a_to_b", "epoch-001", part, 1, "own", request, progress=lambda *_, **__: None
        )
        assert "2 of 2 translated." in notes and "photo.png: No face was found" in notes
        with zipfile.ZipFile(zipped["value"]) as archive:
            assert same(Image.open(io.BytesIO(archive.read("grace_hopper.png"))), model.translate(example, whole=whole))
    assert panel.offer("anime", "a_to_b")["visible"] and not panel.offer("anime", "b_to_a")["visible"]


# --- live


def frame(seed: int) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(seed, (64, 48), 'JPEG')).decode()}"


def face() -> str:
    content = EXAMPLES["anime", "a_to_b"][0].path.read_bytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def test_a_live_frame_is_translated_and_nothing_is_written(page: Any, models: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    shown, notes, track, pace = page.live.show(frame(1), "anime", "a_to_b", 2, None, None)
    assert shown.count('<img alt="What') == 2 and shown.count("data:image/jpeg;base64,") == 2 and "Starting" in notes
    assert track is None and "No face is found: the middle" in notes
    assert "No face" not in page.live.show(frame(1), "anime", "b_to_a", 2, None, None)[1]
    shown, notes, track, pace = page.live.show(face(), "anime", "a_to_b", 2, track, pace)
    assert "frames a second, at 32 x 32 pixels." in notes and pace[1] > 0 and track is not None and "No face" not in notes
    assert page.live.show(face(), "anime", "a_to_b", 2, track, pace)[2] == track
    assert sorted(tmp_path.rglob("*")) == before and page.live.show(None, "anime", "a_to_b", 2, track, pace)[2:] == (None, None)
    still = Image.open(page.live.take(face(), "anime", "a_to_b", 2, track)["value"])
    assert still.size == (2 * 512 + 24, 512 + 16)
    for broken in ("data:image/jpeg;base64,!", "data:,", "http://127.0.0.1/x.png"):
        with pytest.raises(gr.Error) as error:
            page.live.show(broken, "anime", "a_to_b", 2, None, None)
        assert "camera's picture cannot be read" in error.value.message


# --- around it


def test_files_of_the_page(module: Any) -> None:
    from cyclegan_hub.page import components

    assert {path.suffix for path in components.HERE.iterdir() if path.is_file()} == {".py", ".html", ".css", ".js"}  # no .pyi


def test_every_example_is_there_and_attributed() -> None:
    text = (FREE / "ATTRIBUTION.md").read_text("utf-8")
    shown = {example.file for examples in EXAMPLES.values() for example in examples}
    found = {str(path.relative_to(FREE)) for path in FREE.rglob("*") if path.suffix in (".jpg", ".png")}
    assert shown <= found
    for name in found:
        assert f"`{name}`" in text and (FREE / name).stat().st_size < 100_000 and max(Image.open(FREE / name).size) <= 768
    domains = {name for name, domain in DOMAINS.items() if domain.b and (ROOT / f"pretrained/{name}").is_dir()}
    assert {key for key in EXAMPLES} == {(name, direction) for name in domains for direction in ("a_to_b", "b_to_a")}


def test_messages_are_escaped_and_the_unexpected_stays_untold(capfd: pytest.CaptureFixture[str]) -> None:
    from cyclegan_hub.page.components import as_html, explain_errors

    secret = f"/tmp/upload/{NAME}"

    def known() -> None:
        raise ServingError(f"{NAME} is no picture")

    def unknown() -> None:
        raise KeyError(secret)

    with pytest.raises(gr.Error) as error:
        explain_errors(known)()
    assert error.value.message == "&lt;img src=x onerror=alert(1)&gt;.png is no picture"
    with pytest.raises(gr.Error) as error:
        explain_errors(unknown)()
    assert error.value.message.startswith("Something went wrong here")
    logged = capfd.readouterr().err
    assert "test_page.py" in logged and "KeyError" in logged and NAME not in logged and "upload" not in logged
    assert as_html([NAME, ""]) == "<p>&lt;img src=x onerror=alert(1)&gt;.png</p>"
