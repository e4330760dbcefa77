"""The page in Debian's chromium: what one user does with mouse and keyboard. Without chromium it is skipped."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from support.chromium import WIDE, playwright
from support.chromium import browser as browser
from support.page_in_chromium import MARKS, SCROLL, SIZE, Tab
from support.page_load import NAME, App
from support.training import ROOT

pytestmark = MARKS
expect = playwright.expect

NO_CAMERA = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"


SAVED = (
    ("JPEG, 512 px or more", ".jpg", (512, 512)),
    ("PNG at its own size", "-own-size.png", (32, 32)),
    ("Before and after in one JPEG, with a line below", "-pair.jpg", (1048, 572)),
    ("PNG, 512 px or more", ".png", (512, 512)),
)


def test_the_result_its_copy_and_its_views(browser: Any, app: App, tmp_path: Path) -> None:
    with Tab(browser, app, script=NO_CAMERA, permissions=["clipboard-read", "clipboard-write"]) as tab:
        page = tab.page
        assert page.title() == "CycleGAN Hub" and len(tab.first) <= 80
        for name in ("#photo", "#swap", "#result", "#save", "#copy"):
            box = page.locator(name).bounding_box()
            assert box["y"] + box["height"] <= WIDE["height"], name
        assert min(page.locator("#result img").bounding_box()[side] for side in ("width", "height")) > 480
        width, visible = page.evaluate(SCROLL)
        assert width <= visible
        said = page.get_by_role("heading", level=1).inner_text()
        assert said == "Turn a photo into anime, a cartoon or a Monet painting, and more."
        assert not page.get_by_role("button", name="Take a photo").is_visible()  # there is no camera
        assert page.locator("#examples button").all_inner_texts() == ["Eileen Collins", "Grace Hopper"]
        for insiders in ("Epoch", "epoch", "A to B", "Seed", "Truncation", "CycleGAN"):
            assert page.get_by_text(insiders).locator("visible=true").count() == 0, insiders
        fonts = page.evaluate("async () => (await document.fonts.ready, [...document.fonts].map((f) => f.family + f.status))")
        assert any("Source Sans Pro" in font and "loaded" in font for font in fonts)

        page.get_by_role("button", name="Copy").click()
        page.locator("#told").get_by_text("Copied").wait_for()
        kinds = "async () => (await navigator.clipboard.read()).flatMap((one) => one.types)"
        assert page.evaluate(kinds) == ["image/png"]
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page.get_by_role("button", name="Copy").click()
        page.locator("#told").get_by_text("does not let a page copy pictures: use Save").wait_for()

        pixels = tab.pixels()
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
        tab.view("Result")

        tab.unfold("Details")
        page.locator("#card").get_by_text("Epoch 3").first.wait_for()
        before = tab.sources()
        page.get_by_label("As the model sees it (32 pixels)").check()
        before = tab.changed(before)
        assert tab.pixels() != pixels and all(".png" in source for source in before)
        page.get_by_label("As the model sees it (32 pixels)").uncheck()
        before = tab.changed(before)
        assert tab.pixels() == pixels
        for format, name, size in SAVED:
            page.locator("#format input").click()
            page.get_by_role("option", name=format).click()
            before = tab.changed(before)
            assert tab.download("#save", tmp_path / "saved") == f"anime-a_to_b-epoch-003{name}"
            assert Image.open(tmp_path / "saved").size == size

        tab.view("There and back")
        page.get_by_alt_text("The reconstruction").wait_for()
        before = tab.sources()
        tab.choose("Paint like Monet")
        tab.changed(before)
        page.get_by_alt_text("The reconstruction").wait_for()  # they stay open
        tab.view("Colours")
        page.wait_for_selector("#histogram img")


def test_one_photograph_after_another_and_several(browser: Any, app: App, photo: Path, two_faces: Path, tmp_path: Path) -> None:
    with Tab(browser, app) as tab:
        page, before = tab.page, tab.pixels()
        bad = tmp_path / NAME
        bad.write_bytes(b"<html><script>alert(1)</script></html>")
        page.set_input_files("#photo input[type=file]", str(bad))
        toast = page.get_by_test_id("toast-body")
        toast.wait_for()
        text = toast.inner_text()
        assert "is not an image that can be read" in text and "/" not in text
        assert toast.locator("img").count() == 0 and page.locator("img[src$='/x']").count() == 0
        page.get_by_alt_text("Eileen Collins", exact=True).wait_for()  # the photograph stays
        page.wait_for_function("() => document.querySelector('#photo img')?.naturalWidth > 0")  # and it is no broken one
        expect(page.locator("#result img")).to_have_count(1)
        tab.settle()
        assert tab.pixels() == before and page.locator("#examples button.primary").all_inner_texts() == ["Eileen Collins"]

        page.set_input_files("#photo input[type=file]", str(photo))  # without a face
        page.get_by_text("No face was found").wait_for()
        expect(page.locator("#save")).to_be_disabled()
        assert page.locator("#photo img").count() == 1 and tab.sources() == []
        page.get_by_role("button", name="Translate anyway").click()
        noise = tab.changed([])
        expect(page.locator("#save")).to_be_enabled()
        assert tab.pixels() != before and page.locator("#examples button.primary").count() == 0
        assert page.evaluate(SIZE) == [512, 427]
        page.get_by_role("button", name="Grace Hopper").click()
        hopper = tab.changed(noise)
        assert page.locator("#examples button.primary").all_inner_texts() == ["Grace Hopper"]
        page.get_by_alt_text("Grace Hopper", exact=True).wait_for()

        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose a photo").click()
        chooser.value.set_files(str(two_faces))
        first = tab.changed(hopper)
        expect(page.locator("#faces img")).to_have_count(2)
        assert page.evaluate(SIZE) == [512, 512] and not page.locator("#strength").is_visible()
        page.locator("#faces button").nth(1).click()
        second = tab.changed(first)
        page.locator("#notes").get_by_text("number 2 is taken").wait_for()
        page.locator("#part").get_by_label("Whole photograph").check()
        whole = tab.changed(second)
        assert page.evaluate(SIZE) == [768, 450] and not page.locator("#faces").is_visible()
        page.get_by_role("button", name="Anime face to human face").click()  # whose input is no face
        tab.changed(whole)
        expect(page.locator("#part")).to_be_hidden()

        page.get_by_label("Remove Image").click()
        expect(page.locator("#save")).to_be_disabled()
        expect(page.locator("#copy")).to_be_disabled()
        assert tab.sources() == [] and page.locator("#examples button.primary").count() == 0

        page.get_by_role("button", name="Human face to anime face").click()
        tab.settle()
        page.get_by_role("tab", name="Several photos").click()
        page.locator("#files").wait_for()
        files = [str(photo), str(ROOT / "cyclegan_hub/free_images/coffee.jpg"), str(bad)]
        page.set_input_files("#files input[type=file]", files)
        page.locator("#files").get_by_label("photo.png", exact=True).wait_for()  # its text is in two parts, with a space between
        tab.settle()
        page.locator("#batch-part").get_by_label("Face", exact=True).wait_for()
        page.get_by_role("button", name="Translate all").click()
        page.wait_for_selector("#batch img >> nth=1")
        notes = page.locator("#batch-notes")
        notes.get_by_text("2 of 3 translated.").wait_for()
        said = notes.inner_text().replace("photo.png, coffee.jpg", "coffee.jpg, photo.png")
        assert all(part in said for part in ("coffee.jpg, photo.png", "No face was found", "is not an image"))
        assert notes.locator("img").count() == 0
        tab.settle()
        tab.download("#zip", tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as zipped:
            assert sorted(zipped.namelist()) == ["coffee.png", "photo.png"]
            assert min(Image.open(zipped.open("photo.png")).size) == 512


def test_epochs_are_a_strip_and_a_slider_by_keyboard(browser: Any, app: App, tmp_path: Path) -> None:
    log = app.log.read_text()  # with other tests' requests
    with Tab(browser, app) as tab:
        page = tab.page
        tab.unfold("Watch it learn")
        page.wait_for_selector("#strip .thumbnail-item >> nth=3")
        tab.settle()
        boxes = [one.bounding_box() for one in page.locator("#strip .thumbnail-item img").all()]
        assert len(boxes) == 4 and all(box["width"] >= 199 for box in boxes) and len({round(box["y"]) for box in boxes}) == 1
        captions = page.locator("#strip .caption-label")
        below = [one.bounding_box()["y"] for one in captions.all()]
        assert all(y >= box["y"] + box["height"] - 1 for y, box in zip(below, boxes, strict=True))
        assert [text.split(" ·")[0] for text in captions.all_inner_texts()] == ["Input", "Epoch 1", "Epoch 2", "Epoch 3"]
        assert tab.download("#strip-png", tmp_path / "strip.png") == "anime-a_to_b-epochs.png"
        assert Image.open(tmp_path / "strip.png").width > 4 * 512

        number, before, pixels = page.locator("#epoch .number"), tab.sources(), tab.pixels()
        assert page.locator("#epoch .tick").all_inner_texts() == ["1", "2", "3"]
        for key, epoch in (("ArrowLeft", "2"), ("ArrowLeft", "1"), ("ArrowRight", "2")):
            page.locator("#epoch .track").focus()
            page.keyboard.press(key)
            before = tab.changed(before)
            expect(number).to_have_value(epoch)
            assert tab.pixels() != pixels
            pixels = tab.pixels()
        for typed in ("", "<b>", "1e999x"):  # what is no number changes nothing
            number.fill(typed)
            page.keyboard.press("Enter")
            tab.settle()
            expect(number).to_have_value("2")
            assert tab.sources() == before
        for typed, taken in (("-7", "1"), ("1e9", "3"), ("2.2", "2")):  # the nearest epoch
            number.fill(typed)
            page.keyboard.press("Tab")  # leaving the box is enough
            before = tab.changed(before)
            expect(number).to_have_value(taken)
            assert page.evaluate("document.querySelector('#epoch .track').value") == str(int(taken) - 1)
    assert "Traceback" not in app.log.read_text().removeprefix(log)


def test_one_model_after_another_from_a_link(browser: Any, app: App) -> None:
    with Tab(browser, app, query="?model=monet&direction=b_to_a") as tab:
        page = tab.page
        expect(page.get_by_label("Paint like Monet", exact=True)).to_be_checked()
        expect(page.locator("#result")).to_contain_text("Monet → photo")
        page.get_by_alt_text("Cliff at Pourville", exact=True).wait_for()
        before = tab.sources()
        page.get_by_role("button", name="Photo to Monet").press("Enter")  # the other direction by keyboard
        before = tab.changed(before)
        page.get_by_alt_text("Summer Palace", exact=True).wait_for()
        assert not page.get_by_role("button", name="Watch it learn").locator("visible=true").count()  # of one epoch only
        tab.unfold("Details")
        page.get_by_label("Keep the original size").wait_for()
        before = tab.sources()
        page.get_by_role("button", name="Monet to photo").press("Enter")
        before = tab.changed(before)
        tab.choose("Cartoon avatar")
        before, pixels = tab.changed(before), tab.pixels()
        for key in ("Home", "End"):
            page.locator("#strength input[type=range]").focus()
            page.keyboard.press(key)
            before = tab.changed(before)
            assert tab.pixels() != pixels
            pixels = tab.pixels()
        tab.choose("Anime")
        tab.changed(before)
        expect(page.locator("#strength")).to_be_hidden()
