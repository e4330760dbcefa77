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


def test_the_result_is_there_and_in_sight(tab: Tab) -> None:
    assert tab.page.title() == "CycleGAN Hub"
    for name in ("#photo", "#swap", "#result", "#save", "#copy"):
        box = tab.page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= WIDE["height"], name
    assert min(tab.page.locator("#result img").bounding_box()[side] for side in ("width", "height")) > 480
    width, visible = tab.page.evaluate(SCROLL)
    assert width <= visible
    assert tab.page.get_by_role("heading", level=1).inner_text() == "Turn a photo into anime, a cartoon or a Monet painting."
    assert not tab.page.get_by_role("button", name="Take a photo").is_visible()  # there is no camera
    assert tab.page.locator("#examples button").all_inner_texts() == ["Eileen Collins", "Grace Hopper"]
    for insiders in ("Epoch", "epoch", "A to B", "Seed", "Truncation", "CycleGAN"):
        assert tab.page.get_by_text(insiders).locator("visible=true").count() == 0, insiders
    fonts = tab.page.evaluate("async () => (await document.fonts.ready, [...document.fonts].map((f) => f.family + f.status))")
    assert any("Source Sans Pro" in font and "loaded" in font for font in fonts)


def test_the_first_picture_takes_few_requests_and_none_is_made_for_it(browser: Any, app: App) -> None:
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda one: requests.append(one.url))
    page.goto(app.url, wait_until="commit")
    page.wait_for_function("() => document.querySelector('#result img')?.naturalWidth > 0")
    assert len([url for url in requests if not url.startswith("data:")]) <= 80
    context.close()


def test_a_link_opens_its_state(browser: Any, app: App) -> None:
    with Tab(browser, app, query="?model=monet&direction=b_to_a") as tab:
        playwright.expect(tab.page.get_by_label("Paint like Monet", exact=True)).to_be_checked()
        playwright.expect(tab.page.locator("#swap")).to_have_text("⇄ Photo to Monet")
        playwright.expect(tab.page.locator("#result")).to_contain_text("Monet → photo")
        tab.page.get_by_alt_text("Cliff at Pourville", exact=True).wait_for()
    with Tab(browser, app, query="?model=<b>none") as tab:
        tab.page.get_by_text("This page has no model “<b>none”.").wait_for()
        playwright.expect(tab.page.get_by_label("Anime", exact=True)).to_be_checked()


def test_copy(browser: Any, app: App) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with Tab(browser, app, permissions=allowed) as tab:
        tab.page.get_by_role("button", name="Copy").click()
        tab.page.locator("#told").get_by_text("Copied").wait_for()
        kinds = "async () => (await navigator.clipboard.read()).flatMap((one) => one.types)"
        assert tab.page.evaluate(kinds) == ["image/png"]
    with Tab(browser, app, script="Object.defineProperty(navigator, 'clipboard', {value: undefined})") as tab:
        tab.page.get_by_role("button", name="Copy").click()
        tab.page.locator("#told").get_by_text("does not let a page copy pictures: use Save").wait_for()


def test_upload(tab: Tab, photo: Path) -> None:
    before = tab.pixels()
    tab.upload(photo)
    assert tab.pixels() != before and tab.page.locator("#examples button.primary").count() == 0
    size = "[document.querySelector('#result img').naturalWidth, document.querySelector('#result img').naturalHeight]"
    assert tab.page.evaluate(size) == [512, 427]
    after = tab.sources()
    tab.page.get_by_role("button", name="Grace Hopper").click()
    tab.changed(after)
    assert tab.page.locator("#examples button.primary").all_inner_texts() == ["Grace Hopper"]
    tab.page.get_by_alt_text("Grace Hopper", exact=True).wait_for()


def test_choose_a_photo_opens_the_files(tab: Tab, photo: Path) -> None:
    before = tab.sources()
    with tab.page.expect_file_chooser() as chooser:
        tab.page.get_by_role("button", name="Choose a photo").click()
    chooser.value.set_files(str(photo))
    tab.translated_anyway(before)


def test_without_a_photograph_there_is_nothing_to_save(tab: Tab) -> None:
    tab.page.get_by_label("Remove Image").click()
    playwright.expect(tab.page.locator("#save")).to_be_disabled()
    playwright.expect(tab.page.locator("#copy")).to_be_disabled()
    assert tab.sources() == [] and tab.page.locator("#examples button.primary").count() == 0


def test_the_slider_follows_the_mouse(tab: Tab) -> None:
    page = tab.page
    tab.view("Compare")
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
    tab.unfold("Watch it learn")
    page, before, first = tab.page, tab.sources(), tab.pixels()
    number = page.locator("#epoch .number")
    playwright.expect(number).to_have_value("3")
    page.locator("#epoch .track").focus()
    page.keyboard.press("ArrowLeft")
    second = tab.changed(before)
    playwright.expect(number).to_have_value("2")
    pixels = tab.pixels()
    assert pixels != first
    page.keyboard.press("ArrowLeft")
    third = tab.changed(second)
    assert tab.pixels() not in (first, pixels)
    playwright.expect(number).to_have_value("1")
    page.keyboard.press("ArrowRight")
    tab.changed(third)
    playwright.expect(number).to_have_value("2")
    assert page.locator("#epoch .tick").all_inner_texts() == ["1", "2", "3"]


def test_what_is_no_number_changes_nothing(tab: Tab, app: App) -> None:
    tab.unfold("Watch it learn")
    before, number = tab.sources(), tab.page.locator("#epoch .number")
    for typed in ("", "text", "<b>", "-", "1e999x"):
        number.fill(typed)
        tab.page.keyboard.press("Enter")
        tab.settle()
        playwright.expect(number).to_have_value("3")
        assert tab.sources() == before and "Traceback" not in app.log.read_text()


def test_a_number_that_is_typed_is_the_nearest_epoch(tab: Tab, app: App) -> None:
    tab.unfold("Watch it learn")
    number, before = tab.page.locator("#epoch .number"), tab.sources()
    for typed, taken in (("0", "1"), ("1e9", "3"), ("-7", "1"), ("2.2", "2"), ("3", "3")):
        number.fill(typed)
        tab.page.keyboard.press("Tab")  # leaving the box is enough
        before = tab.changed(before)
        playwright.expect(number).to_have_value(taken)
        assert tab.page.evaluate("document.querySelector('#epoch .track').value") == str(int(taken) - 1)
        assert "Traceback" not in app.log.read_text()


def test_the_other_direction_and_back_by_keyboard(tab: Tab) -> None:
    page, before = tab.page, tab.sources()
    tab.choose("Paint like Monet")
    first = tab.changed(before)
    page.get_by_role("button", name="Monet to photo").press("Enter")
    second = tab.changed(first)
    page.get_by_alt_text("Cliff at Pourville", exact=True).wait_for()
    page.get_by_role("button", name="Photo to Monet").press("Enter")
    tab.changed(second)
    page.get_by_alt_text("Summer Palace", exact=True).wait_for()


def test_as_the_model_sees_it(tab: Tab) -> None:
    before, pixels = tab.sources(), tab.pixels()
    tab.unfold("Details")
    before = tab.sources()
    tab.page.get_by_label("As the model sees it (32 pixels)").check()
    between = tab.changed(before)
    assert tab.pixels() != pixels and all(".png" in source for source in between)
    tab.page.get_by_label("As the model sees it (32 pixels)").uncheck()
    tab.changed(between)
    assert tab.pixels() == pixels


def test_a_face_or_the_whole_photograph(tab: Tab, two_faces: Path) -> None:
    page = tab.page
    size = "[document.querySelector('#result img').naturalWidth, document.querySelector('#result img').naturalHeight]"
    first = tab.upload(two_faces)
    playwright.expect(page.locator("#faces img")).to_have_count(2)
    assert page.evaluate(size) == [512, 512] and not page.locator("#strength").is_visible()
    page.locator("#faces button").nth(1).click()
    second = tab.changed(first)
    page.locator("#notes").get_by_text("number 2 is taken").wait_for()
    page.locator("#part").get_by_label("Whole photograph").check()
    whole = tab.changed(second)
    assert page.evaluate(size) == [768, 450] and not page.locator("#faces").is_visible()
    page.get_by_role("button", name="Anime face to human face").click()  # whose input is no face
    tab.changed(whole)
    playwright.expect(page.locator("#part")).to_be_hidden()


def test_the_strength_by_keyboard(tab: Tab) -> None:
    page, before = tab.page, tab.sources()
    tab.choose("Cartoon avatar")
    full, pixels = tab.changed(before), tab.pixels()
    for key in ("Home", "End"):
        page.locator("#strength input[type=range]").focus()
        page.keyboard.press(key)
        full = tab.changed(full)
        assert tab.pixels() != pixels
        pixels = tab.pixels()
    tab.choose("Anime")
    tab.changed(full)
    playwright.expect(page.locator("#strength")).to_be_hidden()


def test_every_detail_and_that_they_stay_open(tab: Tab) -> None:
    page = tab.page
    page.get_by_alt_text("The result").wait_for()
    tab.unfold("Details")
    page.locator("#card").get_by_text("Epoch 3").first.wait_for()
    tab.view("There and back")
    page.get_by_alt_text("The reconstruction").wait_for()
    before = tab.sources()
    tab.choose("Paint like Monet")
    tab.changed(before)
    page.get_by_alt_text("The reconstruction").wait_for()
    tab.view("Colours")
    page.wait_for_selector("#histogram img")


SAVED = (
    ("JPEG, 512 px or more", ".jpg", (615, 512)),
    ("PNG at its own size", "-own-size.png", (38, 32)),
    ("Before and after in one JPEG, with a line below", "-pair.jpg", (1252, 572)),
    ("PNG, 512 px or more", ".png", (615, 512)),
)


def test_the_sizes_that_are_saved(tab: Tab, tmp_path: Path, photo: Path) -> None:
    page = tab.page
    tab.upload(photo)
    tab.unfold("Details")
    before = tab.sources()
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
    tab.unfold("Watch it learn")
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


def test_a_bad_file_is_a_message_without_markup_or_places_and_the_photograph_stays(tab: Tab, tmp_path: Path) -> None:
    bad, before = tmp_path / NAME, tab.pixels()
    bad.write_bytes(b"<html><script>alert(1)</script></html>")
    tab.page.set_input_files("#photo input[type=file]", str(bad))
    toast = tab.page.get_by_test_id("toast-body")
    toast.wait_for()
    text = toast.inner_text()
    assert "is not an image that can be read" in text and "/" not in text
    assert toast.locator("img").count() == 0 and tab.page.locator("img[src$='/x']").count() == 0
    tab.page.get_by_alt_text("Eileen Collins", exact=True).wait_for()
    shown = "() => document.querySelector('#photo img')?.naturalWidth"
    tab.page.wait_for_function(f"{shown} > 0")  # and it is no broken one
    playwright.expect(tab.page.locator("#result img")).to_have_count(1)
    tab.settle()
    assert tab.pixels() == before and tab.page.locator("#examples button.primary").all_inner_texts() == ["Eileen Collins"]


def test_no_face_keeps_the_photograph_and_says_what_to_do(tab: Tab, photo: Path) -> None:
    tab.page.set_input_files("#photo input[type=file]", str(photo))
    tab.page.get_by_text("No face was found").wait_for()
    playwright.expect(tab.page.locator("#save")).to_be_disabled()
    assert tab.page.locator("#photo img").count() == 1 and tab.sources() == []
    tab.page.get_by_role("button", name="Translate anyway").click()
    tab.changed([])
    playwright.expect(tab.page.locator("#save")).to_be_enabled()


def test_one_model_after_another(tab: Tab) -> None:
    page, before = tab.page, tab.sources()
    tab.choose("Paint like Monet")
    tab.changed(before)
    page.get_by_alt_text("Summer Palace", exact=True).wait_for()
    assert not page.get_by_role("button", name="Watch it learn").locator("visible=true").count()  # of one epoch only
    tab.unfold("Details")
    page.get_by_label("Keep the original size").wait_for()


def test_several_pictures(tab: Tab, tmp_path: Path, photo: Path) -> None:
    page = tab.page
    bad = tmp_path / NAME
    bad.write_bytes(b"<html>")
    page.get_by_role("tab", name="Several photos").click()
    page.locator("#files").wait_for()
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
