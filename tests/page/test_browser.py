"""The page in Debian's chromium: what one user does with mouse and keyboard. Without chromium it is skipped."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.chromium import WIDE, playwright
from support.chromium import browser as browser
from support.page_in_chromium import MARKS, SCROLL, Tab
from support.page_in_chromium import app as app
from support.page_in_chromium import photo as photo
from support.page_in_chromium import two_faces as two_faces
from support.page_load import App
from support.page_module import NAME
from support.training import ROOT

pytestmark = MARKS

NO_CAMERA = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"


@pytest.fixture
def tab(browser: Any, app: App) -> Iterator[Tab]:
    """A tab of its own for each test: what one test leaves behind is nothing to the next, nor to its own second run."""
    with Tab(browser, app, script=NO_CAMERA) as one:
        yield one


# --- what one user does


def test_the_result_is_in_sight_and_no_camera_is_said(tab: Tab) -> None:
    assert tab.page.title() == "CycleGAN Hub"
    for name in ("#pair", "#epoch", "#save"):
        box = tab.page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= WIDE["height"], name
    width, visible = tab.page.evaluate(SCROLL)
    assert width <= visible
    tab.page.get_by_text("No camera was found").first.wait_for()
    assert tab.page.locator("#photo button[aria-label='Capture from camera']").count() == 0
    tab.page.get_by_text("This is an example").first.wait_for()
    assert tab.page.locator("#examples img").count() == 2
    fonts = tab.page.evaluate("async () => (await document.fonts.ready, [...document.fonts].map((f) => f.family + f.status))")
    assert any("Source Sans Pro" in font and "loaded" in font for font in fonts)


def test_upload(tab: Tab, photo: Path) -> None:
    before, after = tab.upload(photo)
    assert before != after and tab.page.locator("#notes").get_by_text("This is an example").count() == 0
    size = "[...document.querySelectorAll('#pair img')].map((one) => [one.naturalWidth, one.naturalHeight])"
    assert tab.page.evaluate(size) == [[512, 427], [512, 427]]


def test_the_slider_follows_the_mouse(tab: Tab) -> None:
    page = tab.page
    tab.view("Slider")
    page.wait_for_selector("#slider img >> nth=1")
    clipped = "document.querySelector('#slider img.fixed').style.clipPath"
    box, start = page.locator("#slider .content").bounding_box(), page.evaluate(clipped)
    middle, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle, y)
    page.mouse.down()
    page.mouse.move(middle - 60, y, steps=5)
    page.mouse.up()
    assert page.evaluate(clipped) != start


def test_epochs_by_keyboard(tab: Tab) -> None:
    page, before, first = tab.page, tab.sources(), tab.pixels()
    number = page.locator("#epoch .number")
    playwright.expect(number).to_have_value("3")
    page.locator("#epoch .track").focus()
    page.keyboard.press("ArrowLeft")
    second = tab.changed(before)
    playwright.expect(number).to_have_value("2")
    pixels = tab.pixels()
    assert pixels[0] == first[0] and pixels[1] != first[1]
    page.keyboard.press("ArrowLeft")
    third = tab.changed(second)
    assert tab.pixels()[1] not in (first[1], pixels[1])
    playwright.expect(number).to_have_value("1")
    page.keyboard.press("ArrowRight")
    tab.changed(third)
    playwright.expect(number).to_have_value("2")
    assert page.locator("#epoch .tick").all_inner_texts() == ["1", "2", "3"]


def test_what_is_no_number_changes_nothing(tab: Tab, app: App) -> None:
    before, number = tab.sources(), tab.page.locator("#epoch .number")
    for typed in ("", "text", "<b>", "-", "1e999x"):
        number.fill(typed)
        tab.page.keyboard.press("Enter")
        tab.settle()
        playwright.expect(number).to_have_value("3")
        assert tab.sources() == before and "Traceback" not in app.log.read_text()


def test_a_number_that_is_typed_is_the_nearest_epoch(tab: Tab, app: App) -> None:
    number, before = tab.page.locator("#epoch .number"), tab.sources()
    for typed, taken in (("0", "1"), ("1e9", "3"), ("-7", "1"), ("2.2", "2"), ("3", "3")):
        number.fill(typed)
        tab.page.keyboard.press("Tab")  # leaving the box is enough
        before = tab.changed(before)
        playwright.expect(number).to_have_value(taken)
        assert tab.page.evaluate("document.querySelector('#epoch .track').value") == str(int(taken) - 1)
        assert "Traceback" not in app.log.read_text()


def test_the_other_direction(tab: Tab) -> None:
    before = tab.sources()
    tab.page.get_by_label("anime face → human face").check()
    assert tab.changed(before)[1] != before[1]


def test_as_the_model_sees_it(tab: Tab) -> None:
    before, pixels = tab.sources(), tab.pixels()
    tab.page.get_by_label("As the model sees it (32 pixels)").check()
    between = tab.changed(before)
    assert tab.pixels() != pixels and all(".png" in source for source in between)
    tab.page.get_by_label("As the model sees it (32 pixels)").uncheck()
    tab.changed(between)
    assert tab.pixels() == pixels


def test_a_face_or_the_whole_photograph(tab: Tab, two_faces: Path) -> None:
    page = tab.page
    size = "[...document.querySelectorAll('#pair img')].map((one) => [one.naturalWidth, one.naturalHeight])"
    first = tab.upload(two_faces)
    playwright.expect(page.locator("#faces img")).to_have_count(2)
    assert page.evaluate(size) == [[512, 512]] * 2 and not page.locator("#strength").is_visible()
    page.locator("#faces button").nth(1).click()
    second = tab.changed(first)
    page.locator("#notes").get_by_text("number 2 is taken").wait_for()
    page.locator("#part").get_by_label("Whole photograph").check()
    whole = tab.changed(second)
    assert page.evaluate(size) == [[768, 450]] * 2 and not page.locator("#faces").is_visible()
    page.get_by_label("anime face → human face").check()  # whose input is no face
    tab.changed(whole)
    playwright.expect(page.locator("#part")).to_be_hidden()


def test_the_strength_by_keyboard(tab: Tab) -> None:
    page, before = tab.page, tab.sources()
    page.get_by_label("Cartoon", exact=True).check()
    full, pixels = tab.changed(before), tab.pixels()
    for key in ("Home", "End"):
        page.locator("#strength input[type=range]").focus()
        page.keyboard.press(key)
        full = tab.changed(full)
        now = tab.pixels()
        assert (now[0] == now[1]) == (key == "Home") and now[1] != pixels[1]
    page.get_by_label("Anime", exact=True).check()
    tab.changed(full)
    playwright.expect(page.locator("#strength")).to_be_hidden()


def test_every_view(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    page.get_by_alt_text("The picture before translation").first.wait_for()
    page.get_by_alt_text("The translation").first.wait_for()
    tab.view("Reconstruction")
    page.get_by_alt_text("The reconstruction").wait_for()
    tab.view("Colours")
    page.wait_for_selector("#histogram img")
    tab.view("About")
    page.locator("#card").get_by_text("Epoch 3").first.wait_for()


SAVED = (
    ("JPEG, 512 px or more", ".jpg", (615, 512)),
    ("PNG at its own size", "-own-size.png", (38, 32)),
    ("Before and after in one JPEG, with a line below", "-pair.jpg", (1252, 572)),
    ("PNG, 512 px or more", ".png", (615, 512)),
)


def test_the_sizes_that_are_saved(tab: Tab, tmp_path: Path, photo: Path) -> None:
    page, before = tab.page, tab.upload(photo)
    for format, name, size in SAVED:
        page.locator("#format input").click()
        page.get_by_role("option", name=format).click()
        before = tab.changed(before)
        with page.expect_download() as single:
            page.locator("#save").click()
        single.value.save_as(tmp_path / "saved")
        assert single.value.suggested_filename == f"anime-a_to_b-epoch-003{name}"
        found = Image.open(tmp_path / "saved").size
        assert abs(found[0] - size[0]) <= 10 and found[1] == size[1]


def test_all_epochs_are_one_strip(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    page.get_by_role("tab", name="All epochs", exact=True).first.click()
    page.wait_for_selector("#strip .thumbnail-item >> nth=3")
    tab.settle()
    boxes = [one.bounding_box() for one in page.locator("#strip .thumbnail-item img").all()]
    assert len(boxes) == 4 and all(box["width"] >= 199 for box in boxes) and len({round(box["y"]) for box in boxes}) == 1
    captions = [one.bounding_box() for one in page.locator("#strip .caption-label").all()]
    assert all(caption["y"] >= box["y"] + box["height"] - 1 for caption, box in zip(captions, boxes, strict=True))
    assert [text.split(" ·")[0] for text in page.locator("#strip .caption-label").all_inner_texts()] == [
        "Input", "Epoch 1", "Epoch 2", "Epoch 3"
    ]  # fmt: skip
    with page.expect_download() as png:
        page.locator("#strip-png").click()
    png.value.save_as(tmp_path / "strip.png")
    assert png.value.suggested_filename == "anime-a_to_b-epochs.png" and Image.open(tmp_path / "strip.png").width > 4 * 512
    with page.expect_download() as archive:
        page.locator("#strip-zip").click()
    archive.value.save_as(tmp_path / "strip.zip")
    assert "epoch-002.png" in zipfile.ZipFile(tmp_path / "strip.zip").namelist()


def test_a_bad_file_is_a_message_without_markup_or_places(tab: Tab, tmp_path: Path, photo: Path) -> None:
    bad = tmp_path / NAME
    bad.write_bytes(b"<html><script>alert(1)</script></html>")
    tab.upload(photo)
    tab.page.get_by_label("Remove Image").or_(tab.page.get_by_label("Clear")).first.click()
    tab.settle()
    tab.page.set_input_files("#photo input[type=file]", str(bad))
    toast = tab.page.get_by_test_id("toast-body")
    toast.wait_for()
    text = toast.inner_text()
    assert "is not an image that can be read" in text and "/" not in text
    assert toast.locator("img").count() == 0 and tab.page.locator("img[src$='/x']").count() == 0
    tab.page.wait_for_function("() => !document.querySelector('#pair img')")  # the result of the one before
    tab.page.get_by_label("Close").or_(tab.page.get_by_test_id("toast-close")).first.click()
    tab.page.get_by_label("Remove Image").or_(tab.page.get_by_label("Clear")).first.click()
    tab.changed([])


def test_one_model_after_another(tab: Tab) -> None:
    page, before = tab.page, tab.sources()
    page.get_by_label("Monet", exact=True).check()
    tab.changed(before)
    page.locator("#notes").get_by_text("a pavilion above a lake").wait_for()
    page.get_by_label("Keep the original size").wait_for()
    assert not page.locator("#epoch").is_visible() and page.get_by_label("photo → Monet").is_checked()


def test_several_pictures(tab: Tab, tmp_path: Path, photo: Path) -> None:
    page = tab.page
    bad = tmp_path / NAME
    bad.write_bytes(b"<html>")
    page.get_by_role("tab", name="Several pictures").click()
    page.set_input_files("#files input[type=file]", [str(photo), str(ROOT / "cyclegan_hub/free_images/coffee.jpg"), str(bad)])
    page.locator("#files").get_by_label("photo.png", exact=True).wait_for()  # its text is in two parts, with a space between
    tab.settle()
    page.locator("#batch-part").get_by_label("Face", exact=True).wait_for()
    page.get_by_role("button", name="Translate all").click()
    page.wait_for_selector("#batch img >> nth=1")
    notes = page.locator("#batch-notes")
    notes.get_by_text("2 of 3 translated.").wait_for()
    assert "coffee.jpg, photo.png" in notes.inner_text().replace("photo.png, coffee.jpg", "coffee.jpg, photo.png")
    assert (
        "No face was found" in notes.inner_text()
        and "is not an image" in notes.inner_text()
        and notes.locator("img").count() == 0
    )
    tab.settle()
    with page.expect_download() as archive:
        page.locator("#zip").click()
    archive.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as zipped:
        assert sorted(zipped.namelist()) == ["coffee.png", "photo.png"]
        assert min(Image.open(io.BytesIO(zipped.read("photo.png"))).size) == 512
