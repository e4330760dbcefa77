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
from support.page_module import NAME, saved, served, show
from support.page_module import models as models
from support.page_module import module as module
from support.page_module import page as page
from support.photos import TWO
from support.pictures import encoded, picture
from support.training import ROOT

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

from cyclegan_hub.page.translation_panel import Choices, Kept  # noqa: E402

# --- events


def request(**query: str) -> Any:
    return SimpleNamespace(query_params=query)


def test_what_the_page_shows_is_there_when_it_is_built(page: Any, models: Path) -> None:
    config = {one["props"].get("elem_id"): one["props"] for one in page.demo.get_config_file()["components"]}
    assert [name for _, name in config["model"]["choices"]] == ["anime", "monet", "faces", "colorize"]
    assert config["model"]["value"] == "anime" and config["swap"]["value"] == "⇄ Anime face to human face"
    assert "Turn a photo into anime or a Monet painting, and more." in config["head"]["value"]
    example = EXAMPLES["anime", "a_to_b"][0].path
    assert Path(config["photo"]["value"]["path"]).read_bytes() == example.read_bytes()
    after = served(models / "anime", 3).translate(example)
    assert same(Image.open(config["save"]["value"]["path"]), after.resize((512, 512), Image.Resampling.LANCZOS))
    shown = Image.open(config["result"]["value"]["path"])
    assert shown.size == (512, 512) and config["copy"]["interactive"] and config["save"]["interactive"]
    slider = config["epoch"]
    assert slider["props"]["values"] == [1, 2, 3] and slider["value"] == 3 and slider["props"]["best"] == -1
    # And nothing of it changes when it is opened.
    assert set(page.open(request())) == {page.one.epoch, page.live.epoch}
    # Nor when the browser selects the first tabs: what came of that late took the place of the state of a link.
    assert set(page.one.look("anime", *Choices(), view="result")) == {page.one.epoch}
    assert set(page.one.look("anime", *Choices(), detail="card")) == {page.one.epoch}
    assert page.one.result in page.one.look("anime", *Choices(), view="compare")
    # What a visitor does not see at once is not sent at once.
    hidden = ("card", "format", "slider", "strip", "faces", "files", "batch", "samples", "original", "pixels", "seed-a")
    assert [name for name in hidden if config[name]["visible"]] == []


def test_a_link_opens_its_state_and_what_is_unknown_is_left_out(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Info", told.append)
    update = page.open(request(model="monet", direction="b_to_a"))
    assert update[page.model]["value"] == "monet" and update[page.direction] == "b_to_a"
    assert update[page.swap]["value"] == "⇄ Photo to Monet" and update[page.one.result]["label"] == "Monet → photo"
    update = page.open(request(direction="b_to_a"))
    assert update[page.model]["value"] == "anime" and update[page.direction] == "b_to_a"
    update = page.open(request(model="faces"))
    assert not update[page.translating]["visible"] and len(update[page.sampling.samples]["value"]) == 16
    assert told == []
    assert page.one.photo not in page.open(request(model=NAME)) and NAME not in told[0] and "no model" in told[0]
    update = page.open(request(model="monet", direction="up"))
    assert update[page.direction] == "a_to_b" and "no direction" in told[1] and len(told) == 2


def test_other_models_than_when_the_page_was_built(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "temporary"))
    page = module.Page(Studio(str(tiny_models(tmp_path / "one", {"monet": 0}))))
    page.studio = page.one.studio = page.several.studio = Studio(str(tiny_models(tmp_path / "other", {"anime": 0})))
    update = page.open(request())
    assert update[page.model]["choices"] == [("Anime", "anime")] and "into anime." in update[page.head]
    assert update[page.one.result]["value"]
    page.studio = Studio(str(tmp_path / "temporary"))
    update = page.open(request())
    assert not update[page.body]["visible"] and "There are no models yet" in update[page.status]


def test_a_page_without_models_and_one_of_a_sampler(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "temporary"))
    (tmp_path / "none").mkdir()
    page = module.Page(Studio(str(tmp_path / "none"), bundled=tmp_path / "none"))
    assert not page.body.visible and page.one.photo.value is None
    page = module.Page(Studio(str(tiny_models(tmp_path / "models", {"faces": 2}))))
    assert page.sampling.panel.visible and not page.translating.visible and len(page.sampling.samples.value) == 16
    assert page.sampling.another.value == "New faces" and "Faces from noise." in page.head.value
    assert list(page.open(request())) == [page.sampling.epoch]


def test_one_epoch_has_no_slider_and_only_monet_its_own_size(page: Any) -> None:
    anime, monet = (page.choose(name, *Choices()._replace(opened=True)) for name in ("anime", "monet"))
    assert not monet[page.one.watch]["visible"] and not monet[page.several.epoch]["visible"]
    assert (anime[page.one.part]["visible"], anime[page.one.original]["visible"]) == (True, False)
    assert (monet[page.one.part]["visible"], monet[page.one.original]["visible"]) == (False, True)


def test_the_other_direction(page: Any) -> None:
    update = page.turn("monet", *Choices(photo=str(EXAMPLES["monet", "a_to_b"][0].path)))
    assert update[page.direction] == "b_to_a" and update[page.one.photo]["value"] == str(EXAMPLES["monet", "b_to_a"][0].path)
    assert update[page.swap]["value"] == "⇄ Photo to Monet" and update[page.one.save]["interactive"]
    update = page.turn("colorize", *Choices())
    assert update[page.direction] == "a_to_b" and not update[page.swap]["visible"]


def test_every_view_shows_its_own(page: Any, models: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    model = served(models / "anime", 2)
    after = model.translate(photo, face="none")
    large = after.resize((512, 427), Image.Resampling.NEAREST)
    for view in ("result", "compare"):
        for detail in page.one.tabs:
            update = show(page, photo, "anime", 2, format="own", pixels=True, view=view, opened=True, detail=detail)
            assert saved(update).name == "anime-a_to_b-epoch-002-own-size.png" and same(Image.open(saved(update)), after)
            assert same(Image.open(update["result"]["value"]), large)
            if view == "compare":
                assert same(Image.open(update["slider"]["value"][1]), large) and update["slider"]["visible"]
            match detail:
                case "card":
                    assert "Epoch 2" in update["card"]["value"]
                case "back":
                    back = model.translate(after, "b_to_a", "original").resize((512, 427), Image.Resampling.NEAREST)
                    assert same(Image.open(update["cycle 2"]["value"]), back)
                case "colours":
                    assert update["histogram"]["value"].width > 100
    assert {"card", "histogram", "slider", "format"} & set(show(page, photo, "anime", 2)) == set()  # folded: nothing is made


def test_what_is_shown_is_as_sharp_as_the_file(page: Any, tmp_path: Path) -> None:
    picture(1, (700, 500)).save(tmp_path / "photo.png")
    update = show(page, tmp_path / "photo.png", "monet", 1, view="compare")
    before, after = (Image.open(one) for one in update["slider"]["value"])
    assert before.size == after.size == Image.open(update["result"]["value"]).size == (700, 500)
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(picture(1, (700, 500))).astype(int))
    assert difference.mean() < 6  # a JPEG of high quality, of noise
    assert Image.open(saved(update)).size == (720, 512)


@pytest.mark.parametrize(
    ("format", "name", "kind"),
    [("png", ".png", "PNG"), ("jpeg", ".jpg", "JPEG"), ("pair", "-pair.jpg", "JPEG"), ("own", "-own-size.png", "PNG")],
)
def test_formats_of_a_saved_result(page: Any, tmp_path: Path, format: str, name: str, kind: str) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    path = saved(show(page, tmp_path / "photo.png", "anime", 1, format=format))
    assert path.name == f"anime-a_to_b-epoch-001{name}" and Image.open(path).format == kind


def test_the_strip_shows_the_input_and_every_epoch(page: Any, models: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    one, choices = page.one, Choices(str(tmp_path / "photo.png"), anyway=True)
    assert one.show_strip(False, "anime", *choices) == {one.strip: gr.skip()}
    update = one.show_strip(True, "anime", *choices)
    strip = update[one.strip]["value"]
    assert [label.split(" ·")[0] for _, label in strip] == ["Input", "Epoch 1", "Epoch 2", "Epoch 3"]
    assert all(Image.open(path).size == (512, 427) for path, _ in strip)
    assert Image.open(update[one.strip_png]["value"]).width > 4 * 512
    with zipfile.ZipFile(update[one.strip_zip]["value"]) as archive:
        assert {"strip.png", "input.png", *(f"epoch-00{i}.png" for i in (1, 2, 3))} == set(archive.namelist())
        assert same(
            Image.open(io.BytesIO(archive.read("epoch-002.png"))),
            served(models / "anime", 2).translate(tmp_path / "photo.png", face="none"),
        )


# --- the state: everything follows from the model, the photograph and its result


@pytest.mark.parametrize(("model", "direction"), [("anime", "a_to_b"), ("monet", "a_to_b"), ("monet", "b_to_a")])
def test_an_example_is_chosen_and_named(page: Any, model: str, direction: str) -> None:
    first, *_ = examples = EXAMPLES[model, direction]
    update = page.turn(model, None, "b_to_a" if direction == "a_to_b" else "a_to_b")
    buttons = [update[button] for button in page.one.examples]
    assert update[page.one.photo] == gr.update(value=str(first.path), alt_text=first.name)
    assert [one["value"] for one in buttons if one["visible"]] == [one.name for one in examples]
    assert [one["variant"] for one in buttons if one["visible"]] == ["primary", *["secondary"] * (len(examples) - 1)]
    update = page.one.choose_example(1, model, *Choices(direction=direction))
    assert update[page.one.examples[1]]["variant"] == "primary" and update[page.one.examples[0]]["variant"] == "secondary"


def test_a_direction_without_a_free_picture_asks_for_one(page: Any) -> None:
    update = page.turn("anime", *Choices(photo=str(EXAMPLES["anime", "a_to_b"][0].path)))
    assert update[page.one.photo]["value"] is None and "no free picture" in update[page.one.notes]["value"]
    assert not update[page.one.save]["interactive"] and not update[page.one.copy]["interactive"]


def test_a_photograph_of_the_user_stays_and_no_example_is_chosen_beside_it(page: Any, tmp_path: Path) -> None:
    one, photo = page.one, tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    update = one.give("monet", *Choices(str(photo), kept=Kept.of(EXAMPLES["monet", "a_to_b"][0].path)))
    assert [update[button].get("variant") for button in one.examples if update[button]["visible"]] == ["secondary"] * 4
    assert one.photo not in update and update[one.save]["interactive"] and update[one.kept] == Kept.of(photo)
    assert list(one.give("monet", *Choices(str(photo), kept=Kept.of(photo)))) == [one.epoch]  # which is shown already
    assert list(one.give("monet", *Choices(None, kept=Kept.of(photo)))) == [one.epoch]  # another one is being uploaded
    update = page.turn("monet", *Choices(str(photo)))
    assert update[one.photo]["value"] == str(photo) and update[one.save]["interactive"]
    assert page.choose("anime", *Choices(str(photo)))[one.photo]["value"] == str(photo)
    update = one.clear("monet", *Choices(None, kept=Kept.of(photo)))
    assert update[one.result]["value"] is None and not update[one.save]["interactive"] and update[one.kept] is None


def test_a_file_that_is_none_is_told_and_the_photograph_before_stays(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda message, **_: told.append(message))
    example, bad = EXAMPLES["anime", "a_to_b"][0].path, tmp_path / "x.png"
    bad.write_bytes(b"<html>")
    update = page.one.give("anime", *Choices(str(bad), kept=Kept.of(example)))
    assert set(update) == {page.one.photo, page.one.epoch} and update[page.one.photo] == str(example)
    assert "'x.png' is not an image that can be read" in told[0] and str(tmp_path) not in told[0]
    assert page.one.give("anime", *Choices(str(bad)))[page.one.photo] is None


def test_own_size(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (72, 64)))
    results = [show(page, tmp_path / "photo.png", "monet", 1, original=own, format="own") for own in (False, True)]
    assert [Image.open(saved(one)).size for one in results] == [(36, 32), (72, 64)]


def test_an_epoch_that_has_gone_is_the_nearest_one(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encoded(1, (48, 40)))
    for asked, taken in ((9, 3), (0, 1), (10**9, 3)):
        update = show(page, tmp_path / "photo.png", "anime", asked)
        assert update["epoch"]["value"] == taken and f"epoch-00{taken}" in saved(update).name
    assert "value" not in show(page, tmp_path / "photo.png", "anime", 2)["epoch"]  # else a slider that is dragged jumps back


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
    update = show(page, tmp_path / "photo.png", "monet", 1)
    assert "of monet cannot be loaded" in update["notes"]["value"] and str(tmp_path) not in update["notes"]["value"]
    assert update["result"]["value"] is None and not update["save"]["interactive"] and not update["go_on"]["visible"]


def test_a_photograph_that_browsers_cannot_show_gets_a_copy(page: Any, tmp_path: Path) -> None:
    picture(1, (40, 30)).save(tmp_path / "photo.tiff")
    update = page.one.give("monet", *Choices(str(tmp_path / "photo.tiff")))
    assert Image.open(update[page.one.photo]["value"]).format == "JPEG"


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
    one, photo = page.one, tmp_path / "photo.png"
    photo.write_bytes(encoded(1, (48, 40)))
    for part in ("face", "whole"):
        update = show(page, photo, "anime", 1, fresh=True, part=part)
        assert "No face was found" in update["notes"]["value"] and "choose another photo" in update["notes"]["value"]
        assert update["go_on"]["visible"] and update["result"]["value"] is None and not update["save"]["interactive"]
        assert update["photo"]["value"] == str(photo)
        asked = Choices(str(photo), part=part, epoch=1, format="own")
        assert one.show_strip(True, "anime", *asked)[one.strip]["value"] is None
        update = one.go_on_anyway("anime", *asked)
        assert update[one.result]["value"] and not update[one.go_on]["visible"] and update[one.notes]["value"] == ""
        assert update[one.anyway] is True and Image.open(update[one.save]["value"]).size == (38, 32)


def test_a_face_is_aligned_or_put_back(page: Any, models: Path) -> None:
    one, example = page.one, EXAMPLES["anime", "a_to_b"][0].path  # of Eileen Collins
    update = show(page, example, "anime", 2, fresh=True, format="own", view="compare")
    assert update["part"]["visible"] and not update["faces"]["visible"]
    assert same(Image.open(saved(update)), served(models / "anime", 2).translate(example))
    assert [Image.open(path).size for path in update["slider"]["value"]] == [(512, 512)] * 2
    update = show(page, example, "anime", 2, part="whole", format="own")
    assert same(Image.open(saved(update)), served(models / "anime", 2).translate(example, whole=True))
    update = one.show_strip(True, "anime", *Choices(str(example), part="whole"))
    assert all(Image.open(path).height == 512 for path, _ in update[one.strip]["value"])
    other = show(page, example, "anime", 2, fresh=True, direction="b_to_a", part="whole", format="own")
    assert not other["part"]["visible"] and Image.open(saved(other)).size == (32, 32)


def test_of_several_faces_one_is_chosen_or_all_are_put_back(page: Any, models: Path, tmp_path: Path) -> None:
    model = served(models / "anime", 3)
    TWO.save(tmp_path / "two.png")
    for face in (0, 1):
        update = show(page, tmp_path / "two.png", "anime", 3, anyway=False, face=face, format="own")
        assert update["faces"]["visible"] and len(update["faces"]["value"]) == 2 and update["faces"]["selected_index"] == face
        assert same(Image.open(saved(update)), model.translate(TWO, face=face))
    update = show(page, tmp_path / "two.png", "anime", 3, anyway=False, face=1, part="whole", format="own")
    assert not update["faces"]["visible"] and same(Image.open(saved(update)), model.translate(TWO, face="all", whole=True))


def test_the_strength_of_a_model_with_the_skip(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = module.Page(Studio(str(tiny_models(tmp_path / "models", {"cartoon": 0, "anime": 0}))))
    cartoon, anime = page.choose("cartoon"), page.choose("anime")
    for panel in (page.one, page.several):
        assert [one[panel.strength]["visible"] for one in (cartoon, anime)] == [True, False]
    example = EXAMPLES["anime", "a_to_b"][0].path
    none = show(page, example, "cartoon", 1, part="whole", strength=0, format="own")
    assert same(Image.open(saved(none)), Image.open(example))
    half, full = (Image.open(saved(show(page, example, "cartoon", 1, strength=one, format="own"))) for one in (0.5, 1))
    assert half.size == full.size and not same(half, full)
    assert show(page, example, "anime", 1, strength=0.5)["save"]["value"]  # left over from the other model: means nothing


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
            assert same(Image.open(io.BytesIO(archive.read("astronaut.png"))), model.translate(example, whole=whole))
    assert [panel.open("anime", one)[panel.part]["visible"] for one in ("a_to_b", "b_to_a")] == [True, False]


# --- live


def frame(seed: int) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(encoded(seed, (64, 48), 'JPEG')).decode()}"


def face() -> str:
    content = EXAMPLES["anime", "a_to_b"][0].path.read_bytes()
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def test_a_live_frame_is_translated_and_nothing_is_written(page: Any, models: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    shown, notes, track, pace = page.live.show(frame(1), "anime", "a_to_b", 2, None, None)
    assert shown.count("<img") == shown.count("data:image/jpeg;base64,") == 1 and "Starting" in notes
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
    assert [key for key, examples in EXAMPLES.items() if len(examples) < 2] == [("anime", "b_to_a")]


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
