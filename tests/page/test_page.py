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

from cyclegan_hub.checkpoints import load
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.free_images import EXAMPLES, FOLDER
from cyclegan_hub.serving.messages import ServingError
from cyclegan_hub.serving.studio import Studio
from support.page_load import NAME, same, served, tiny_models
from support.pictures import encoded, picture
from support.pixels import apart
from support.training import ROOT

gr = pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

from cyclegan_hub.page.components import HERE, as_html, explain_errors  # noqa: E402
from cyclegan_hub.page.sampling_panel import Settings  # noqa: E402
from cyclegan_hub.page.translation_panel import Choices, Kept  # noqa: E402

COLLINS = EXAMPLES["anime", "a_to_b"][0].path  # the first example of anime


def request(**query: str) -> Any:
    return SimpleNamespace(query_params=query, session_hash="user")


def silent(*_: Any, **__: Any) -> None:
    """For gr.Progress."""


def show(page: Any, upload: Path, model: str, epoch: int, fresh: bool = False, **changes: Any) -> Any:
    """The properties of the components of the first tab for a photograph, by name."""
    choices = Choices(str(upload), epoch=epoch, **{"anyway": True} | changes)
    return page.one.props(page.studio.model(model), choices, fresh)


def saved(props: Any) -> Path:
    """The file that the save button has."""
    return Path(props["save"]["value"])


def zipped(update: dict[str, Any]) -> dict[str, Image.Image]:
    """The images in a zip that a button has."""
    with zipfile.ZipFile(update["value"]) as archive:
        return {name: Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist()}


# --- the page as it opens


def test_what_the_page_shows_is_there_when_it_is_built(page: Any, models: Path) -> None:
    config = {one["props"].get("elem_id"): one["props"] for one in page.demo.get_config_file()["components"]}
    assert [name for _, name in config["model"]["choices"]] == ["anime", "cartoon", "monet", "faces", "colorize"]
    assert config["model"]["value"] == "anime" and config["swap"]["value"] == "⇄ Anime face to human face"
    assert "Turn a photo into anime, a cartoon or a Monet painting, and more." in config["head"]["value"]
    assert Path(config["photo"]["value"]["path"]).read_bytes() == COLLINS.read_bytes()
    after = served(models / "anime", 3).translate(COLLINS)
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
    assert not update[page.translating]["visible"] and len(update[page.sampling.shown]["value"]) == 16
    assert told == []
    assert page.one.photo not in page.open(request(model=NAME)) and NAME not in told[0] and "no model" in told[0]
    update = page.open(request(model="monet", direction="up"))
    assert update[page.direction] == "a_to_b" and "no direction" in told[1] and len(told) == 2


def test_pages_of_other_models(module: Any, written: Path, tmp_path: Path) -> None:
    page = module.Page(Studio(str(tiny_models(tmp_path / "one", {"monet": 0}))))
    page.studio = page.one.studio = page.several.studio = Studio(str(tiny_models(tmp_path / "other", {"anime": 0})))
    update = page.open(request())  # other ones than when it was built
    assert update[page.model]["choices"] == [("Anime", "anime")] and "into anime." in update[page.head]
    assert update[page.one.result]["value"]
    (tmp_path / "none").mkdir()
    page.studio = Studio(str(tmp_path / "none"))
    update = page.open(request())
    assert not update[page.body]["visible"] and "There are no models yet" in update[page.status]
    page = module.Page(Studio(str(tmp_path / "none"), bundled=tmp_path / "none"))
    assert not page.body.visible and page.one.photo.value is None
    page = module.Page(Studio(str(tiny_models(tmp_path / "models", {"faces": 2}))))
    assert page.sampling.panel.visible and not page.translating.visible and len(page.sampling.shown.value) == 16
    assert page.sampling.another.value == "New faces" and "Faces from noise." in page.head.value
    assert list(page.open(request())) == [page.sampling.epoch]


# --- models and directions


def test_each_kind_has_its_panel(page: Any) -> None:
    sampler, both, one = (page.choose(name) for name in ("faces", "monet", "colorize"))
    assert [update[page.sampling.panel]["visible"] for update in (sampler, both, one)] == [True, False, False]
    assert [update[page.translating]["visible"] for update in (sampler, both, one)] == [False, True, True]
    assert [update[page.swap]["visible"] for update in (sampler, both, one)] == [False, True, False]
    assert [update[page.one.tabs["back"]]["interactive"] for update in (both, one)] == [True, False]
    assert sampler[page.sampling.epoch]["value"] == 3 and sampler[page.sampling.epoch]["values"] == [1, 2, 3]
    assert sampler[page.sampling.another]["value"] == "New faces" and len(sampler[page.sampling.shown]["value"]) == 16
    assert "face in grey → face, one way only." in one[page.one.notes]["value"]
    # And does nothing for the other kind.
    for panel, values, names in ((page.one, Choices(), ("faces",)), (page.sampling, Settings(), ("monet", None))):
        for name in names:
            assert panel.show(name, *values) == {panel.epoch: gr.skip()}
            assert panel.show_strip(True, name, *values) == {panel.strip: gr.skip()}


def test_parts_of_a_model(page: Any) -> None:
    """One epoch has no slider; only faces are aligned, only other pictures are translated at their own size."""
    options = Choices()._replace(opened=True)
    anime, cartoon, monet = (page.choose(name, *options) for name in ("anime", "cartoon", "monet"))
    assert [one[page.one.watch]["visible"] for one in (anime, monet)] == [True, False] and not monet[page.several.epoch][
        "visible"
    ]
    for part, shown in (("part", [True, True, False]), ("strength", [False, True, False])):
        for panel in (page.one, page.several):
            assert [one[getattr(panel, part)]["visible"] for one in (anime, cartoon, monet)] == shown
    assert [one[page.one.original]["visible"] for one in (anime, monet)] == [False, True]


@pytest.mark.parametrize(("model", "direction"), [("anime", "a_to_b"), ("anime", "b_to_a"), ("monet", "b_to_a")])
def test_the_other_direction_has_an_example_which_is_chosen_and_named(page: Any, model: str, direction: str) -> None:
    first, *_ = examples = EXAMPLES[model, direction]
    update = page.turn(model, None, "b_to_a" if direction == "a_to_b" else "a_to_b")
    assert update[page.direction] == direction and update[page.one.save]["interactive"]
    buttons = [update[button] for button in page.one.examples]
    assert update[page.one.photo] == gr.update(value=str(first.path), alt_text=first.name)
    assert [one["value"] for one in buttons if one["visible"]] == [one.name for one in examples]
    assert [one["variant"] for one in buttons if one["visible"]] == ["primary", *["secondary"] * (len(examples) - 1)]
    update = page.one.choose_example(1, model, *Choices(direction=direction))
    assert update[page.one.examples[1]]["variant"] == "primary" and update[page.one.examples[0]]["variant"] == "secondary"


def test_a_model_of_one_direction_stays(page: Any) -> None:
    update = page.turn("colorize", *Choices())
    assert update[page.direction] == "a_to_b" and not update[page.swap]["visible"]


# --- a photograph and its result


def test_every_view_shows_its_own(page: Any, models: Path, photo: Path) -> None:
    model = served(models / "anime", 2)
    after = model.translate(photo, face="none")
    large = after.resize((512, 427), Image.Resampling.NEAREST)
    for view, detail in (("result", "card"), ("compare", "back"), ("compare", "colours")):
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


def test_an_epoch_that_has_gone_is_the_nearest_one(page: Any, photo: Path) -> None:
    for asked, taken in ((9, 3), (0, 1), (10**9, 3)):
        update = show(page, photo, "anime", asked)
        assert update["epoch"]["value"] == taken and f"epoch-00{taken}" in saved(update).name
    assert "value" not in show(page, photo, "anime", 2)["epoch"]  # else a slider that is dragged jumps back


@pytest.mark.parametrize("sent", [None, "", "junk", [5], {}, float("nan"), float("inf"), -5, 1e300, "1e9", 2.6, True])
def test_whatever_is_sent_as_an_epoch_or_a_seed_is_a_number(page: Any, sent: Any) -> None:
    for slider in (page.one.epoch, page.sampling.seed):
        number = slider.preprocess(sent)
        assert isinstance(number, int) and 0 <= number <= 2**31 - 1


def test_the_strip_shows_the_input_and_every_epoch(page: Any, models: Path, photo: Path) -> None:
    one, choices = page.one, Choices(str(photo), anyway=True)
    assert one.show_strip(False, "anime", *choices) == {one.strip: gr.skip()}
    whole = one.show_strip(True, "anime", *Choices(str(COLLINS), part="whole"))[one.strip]["value"]
    assert all(Image.open(path).height == 512 for path, _ in whole)
    update = one.show_strip(True, "anime", *choices)
    strip = update[one.strip]["value"]
    assert [label.split(" ·")[0] for _, label in strip] == ["Input", "Epoch 1", "Epoch 2", "Epoch 3"]
    assert all(Image.open(path).size == (512, 427) for path, _ in strip)
    assert Image.open(update[one.strip_png]["value"]).width > 4 * 512
    files = zipped(update[one.strip_zip])
    assert set(files) == {"strip.png", "input.png", *(f"epoch-00{i}.png" for i in (1, 2, 3))}
    assert same(files["epoch-002.png"], served(models / "anime", 2).translate(photo, face="none"))


def test_a_photograph_of_the_user_stays_and_no_example_is_chosen_beside_it(page: Any, photo: Path, tmp_path: Path) -> None:
    one = page.one
    update = one.give("monet", *Choices(str(photo), kept=Kept.of(EXAMPLES["monet", "a_to_b"][0].path)))
    assert [update[button].get("variant") for button in one.examples if update[button]["visible"]] == ["secondary"] * 4
    assert one.photo not in update and update[one.save]["interactive"] and update[one.kept]["value"] == Kept.of(photo)
    assert list(one.give("monet", *Choices(str(photo), kept=Kept.of(photo)))) == [one.epoch]  # which is shown already
    assert list(one.give("monet", *Choices(None, kept=Kept.of(photo)))) == [one.epoch]  # another one is being uploaded
    update = page.turn("monet", *Choices(str(photo)))
    assert update[one.photo]["value"] == str(photo) and update[one.save]["interactive"]
    assert page.choose("anime", *Choices(str(photo)))[one.photo]["value"] == str(photo)
    update = one.clear("monet", *Choices(None, kept=Kept.of(photo)))
    assert update[one.result]["value"] is None and not update[one.save]["interactive"] and update[one.kept]["value"] is None
    assert not update[one.copy]["interactive"] and "Give a picture of yours" in update[one.notes]["value"]
    assert one.photo not in update
    picture(1, (40, 30)).save(tmp_path / "photo.tiff")  # which browsers cannot show
    assert Image.open(one.give("monet", *Choices(str(tmp_path / "photo.tiff")))[one.photo]["value"]).format == "JPEG"


def test_a_file_that_is_none_is_told_and_the_photograph_before_stays(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda message, **_: told.append(message))
    bad = tmp_path / "x.png"
    bad.write_bytes(b"<html>")
    update = page.one.give("anime", *Choices(str(bad), kept=Kept.of(COLLINS)))
    assert set(update) == {page.one.photo, page.one.epoch} and update[page.one.photo] == str(COLLINS)
    assert "'x.png' is not an image that can be read" in told[0] and str(tmp_path) not in told[0]
    assert page.one.give("anime", *Choices(str(bad)))[page.one.photo] is None


def test_a_model_that_vanishes_is_one_sentence(module: Any, models: Path, written: Path, photo: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    page = module.Page(Studio(str(tmp_path / "models")))
    shutil.rmtree(tmp_path / "models")
    update = show(page, photo, "monet", 1)
    assert "of monet cannot be loaded" in update["notes"]["value"] and str(tmp_path) not in update["notes"]["value"]
    assert update["result"]["value"] is None and not update["save"]["interactive"] and not update["go_on"]["visible"]


# --- faces


def test_a_picture_without_a_face_waits(page: Any, photo: Path) -> None:
    one = page.one
    for part in ("face", "whole"):
        update = show(page, photo, "anime", 1, fresh=True, part=part)
        assert "No face was found" in update["notes"]["value"] and "choose another photo" in update["notes"]["value"]
        assert update["go_on"]["visible"] and update["result"]["value"] is None and not update["save"]["interactive"]
        assert update["photo"]["value"] == str(photo)
        asked = Choices(str(photo), part=part, epoch=1, format="own")
        assert one.show_strip(True, "anime", *asked)[one.strip]["value"] is None
        update = one.look("anime", *asked, anyway=True)
        assert update[one.result]["value"] and not update[one.go_on]["visible"] and update[one.notes]["value"] == ""
        assert update[one.anyway]["value"] is True and Image.open(update[one.save]["value"]).size == (38, 32)


@pytest.mark.parametrize(
    ("given", "model", "choices", "options"),
    [
        ("one", "anime", {}, {}),
        ("one", "anime", {"strength": 0.5}, {}),  # left over from another model: means nothing
        ("one", "anime", {"part": "whole"}, {"whole": True}),
        ("one", "anime", {"part": "whole", "direction": "b_to_a"}, {"direction": "b_to_a"}),  # whose input is no face
        ("two", "anime", {"face": 1}, {"face": 1}),
        ("two", "anime", {"face": 1, "part": "whole"}, {"face": "all", "whole": True}),
        ("one", "cartoon", {"strength": 0.5}, {"strength": 0.5}),
        ("one", "cartoon", {"part": "whole", "strength": 0}, {"whole": True, "strength": 0}),
        ("noise", "monet", {"original": True}, {"resolution": "original"}),
    ],
)
def test_what_is_chosen_reaches_the_model(
    page: Any, models: Path, photo: Path, two_faces: Path, given: str, model: str, choices: dict, options: dict
) -> None:
    file = {"one": COLLINS, "two": two_faces, "noise": photo}[given]
    update = show(page, file, model, 3, fresh=True, **{"anyway": False, "format": "own", **choices})
    if given == "two":
        update = show(page, file, model, 3, **{"anyway": False, "format": "own", **choices})
        part = choices.get("part", "face") == "face"
        assert update["faces"]["visible"] == part and update["faces"]["selected_index"] == (1 if part else None)
    else:
        assert not update["faces"]["visible"]
        assert update["part"]["visible"] == (model != "monet" and "direction" not in choices)
    expected = served(models / model, 3 if model == "anime" else None).translate(file, **options)
    assert apart(Image.open(saved(update)), expected) <= 1


# --- several photographs


def test_a_batch_with_and_without_faces(page: Any, models: Path, photo: Path) -> None:
    panel, model = page.several, served(models / "anime", 1)
    for part, whole in (("face", False), ("whole", True)):
        files = [str(COLLINS), str(photo)]
        _, notes, archive = panel.show(files, "anime", "a_to_b", "epoch-001", part, 1, "own", request(), progress=silent)
        assert "2 of 2 translated." in notes and "photo.png: No face was found" in notes
        assert same(zipped(archive)["astronaut.png"], model.translate(COLLINS, whole=whole))
    assert [panel.open("anime", one)[panel.part]["visible"] for one in ("a_to_b", "b_to_a")] == [True, False]


def test_a_user_who_leaves_during_a_batch_leaves_nothing(page: Any, photo: Path, written: Path) -> None:
    panel, before = page.several, sorted(written.rglob("*.zip"))
    with pytest.raises(gr.Error, match="The page was closed"):
        files = [str(photo)] * 3
        panel.show(
            files, "anime", "a_to_b", "epoch-001", "face", 1, "png", request(), progress=lambda *_, **__: panel.gone(request())
        )
    assert sorted(written.rglob("*.zip")) == before and not panel._left and not panel._working


# --- live


def frame(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"


def test_a_live_frame_is_translated_and_nothing_is_written(page: Any, written: Path) -> None:
    noise, face, before = frame(encoded(1, (64, 48), "JPEG")), frame(COLLINS.read_bytes()), sorted(written.rglob("*"))
    shown, notes, track, pace = page.live.show(noise, "anime", "a_to_b", 2, None, None)
    assert shown.count("<img") == shown.count("data:image/jpeg;base64,") == 1 and "Starting" in notes
    assert track is None and "No face is found: the middle" in notes
    assert "No face" not in page.live.show(noise, "anime", "b_to_a", 2, None, None)[1]
    shown, notes, track, pace = page.live.show(face, "anime", "a_to_b", 2, track, pace)
    assert "frames a second, at 32 x 32 pixels." in notes and pace[1] > 0 and track is not None and "No face" not in notes
    assert page.live.show(face, "anime", "a_to_b", 2, track, pace)[2] == track
    assert sorted(written.rglob("*")) == before and page.live.show(None, "anime", "a_to_b", 2, track, pace)[2:] == (None, None)
    still = Image.open(page.live.take(face, "anime", "a_to_b", 2, track)["value"])
    assert still.size == (2 * 512 + 24, 512 + 16)
    with pytest.raises(gr.Error, match="no frame yet: start the camera first"):
        page.live.take(None, "anime", "a_to_b", 2, track)
    for broken in ("data:image/jpeg;base64,!", "data:,", "http://127.0.0.1/x.png"):
        with pytest.raises(gr.Error, match="camera's picture cannot be read"):
            page.live.show(broken, "anime", "a_to_b", 2, None, None)


# --- samples


def test_the_samples_and_every_detail(page: Any, models: Path) -> None:
    panel, model = page.sampling, load(models / "faces", 2)
    pictures = model.sample(5, seed=7, truncation=0.5)
    settings = Settings(2, 0.5, 7, 5, 3, 9, 4)
    update = panel.show("faces", *settings)
    assert update[panel.truncation]["label"] == "Truncation 0.5: much alike, rarely odd"
    shown = update[panel.shown]["value"]
    assert shown[0][1] == "Picture 1 of seed 7" and all(same(a, b) for (a, _), b in zip(shown, pictures, strict=True))
    files = zipped(update[panel.zip])
    assert list(files) == [f"0{i}.png" for i in range(1, 6)] and same(files["01.png"], pictures[0])
    assert Path(update[panel.save]["value"]).name == "faces-epoch-002-seed-7.png"
    assert panel.card not in update and panel.between not in update  # folded: nothing is made

    update = panel.look("faces", *settings, opened=True)
    assert "Epoch 2" in update[panel.card]["value"] and panel.shown not in update  # nor anew when it is opened
    update = panel.look("faces", *settings, opened=True, detail="between")
    between = update[panel.between]["value"]
    assert [caption for _, caption in between] == ["Seed 3", "2 of 4", "3 of 4", "Seed 9"]
    assert same(between[3][0], model.interpolate(3, 9, 4, truncation=0.5)[3])
    png, archive = (update[panel.named[f"between_{kind}"]] for kind in ("png", "zip"))
    assert Path(archive["value"]).name == "faces-epoch-002-seeds-3-9.zip" and len(zipped(archive)) == 4
    assert Image.open(png["value"]).width > 4 * 16

    assert panel.show_strip(False, "faces", *settings) == {panel.strip: gr.skip()}
    update = panel.show_strip(True, "faces", *settings)
    assert [caption for _, caption in update[panel.strip]["value"]] == ["Epoch 1", "Epoch 2", "Epoch 3 · last"]
    assert list(zipped(update[panel.strip_zip])) == [f"epoch-00{i}.png" for i in (1, 2, 3)]


def test_the_end_of_the_slider_leaves_nothing_out(page: Any, models: Path) -> None:
    update = page.sampling.show("faces", *Settings(3, 3.0, 1, 1))
    assert same(update[page.sampling.shown]["value"][0][0], load(models / "faces", 3).sample(1, seed=1)[0])
    assert update[page.sampling.truncation]["label"] == "Truncation: none, full variety"


@pytest.mark.parametrize(("seed", "told"), [(None, "There is no seed"), (-1, "seed cannot be '-1'")])
def test_what_cannot_be_sampled_is_said(page: Any, seed: int | None, told: str) -> None:
    with pytest.raises(gr.Error, match=told) as error:
        page.sampling.show("faces", *Settings(1, 3.0, seed))
    assert error.value.title == "Not generated"


# --- around it


def test_no_pyi_files_are_written(page: Any) -> None:
    assert {path.suffix for path in HERE.iterdir() if path.is_file()} == {".py", ".html", ".css", ".js"}


def test_every_example_is_there_and_attributed() -> None:
    text = (FOLDER / "ATTRIBUTION.md").read_text("utf-8")
    found = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.suffix in (".jpg", ".png")}
    for name in found:
        assert f"`{name}`" in text and (FOLDER / name).stat().st_size < 100_000 and max(Image.open(FOLDER / name).size) <= 768
    domains = {name for name, domain in DOMAINS.items() if domain.b and (ROOT / f"pretrained/{name}").is_dir()}
    assert set(EXAMPLES) == {(name, direction) for name in domains for direction in ("a_to_b", "b_to_a")}
    for examples in EXAMPLES.values():
        assert len(examples) >= 2
        for example in examples:
            owner, _, terms = example.credit.rstrip(")").partition(" (")
            row = text.partition(f"`examples/{example.file}`")[2].partition("\n")[0]
            assert example.path.is_file() and terms in row
            assert "as above" in row or all(word in row for word in owner.split(", ")[0].removeprefix("Google's ").split())


def test_messages_are_escaped_and_the_unexpected_stays_untold(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(gr.Error) as error:
        explain_errors(fail)(ServingError(f"{NAME} is no picture"))
    assert error.value.message == "&lt;img src=x onerror=alert(1)&gt;.png is no picture" and error.value.title == "Not translated"
    with pytest.raises(gr.Error, match="Something went wrong here"):
        explain_errors(fail)(KeyError(f"/tmp/upload/{NAME}"))
    logged = capfd.readouterr().err
    assert "test_page.py" in logged and "KeyError" in logged and NAME not in logged and "upload" not in logged
    assert as_html([NAME, ""]) == "<p>&lt;img src=x onerror=alert(1)&gt;.png</p>"
