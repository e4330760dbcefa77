"""The page in Debian's chromium: what a person does with mouse, keyboard, camera and phone. Without chromium it is skipped.

One browser and one page server for all of it; every request that the page makes is noted, and none may leave the machine.
"""

from __future__ import annotations

import io
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.page_load import App, running_app, tiny_models
from support.pictures import encoded
from support.training import ROOT

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.flaky(reruns=2),  # on a machine busy with other tests a click can come before the page is ready for it
    pytest.mark.skipif(CHROMIUM is None, reason="the browser tests need chromium: apt-get install chromium"),
]

OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NO_CAMERA = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})"
SCROLL = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
PIXELS = """() => [...document.querySelectorAll('#pair img')].map((image) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [16, 16];
    canvas.getContext('2d').drawImage(image, 0, 0, 16, 16);
    return canvas.toDataURL();
})"""
NAME = "<img src=x onerror=alert(1)>.png"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    models = tiny_models(tmp_path_factory.mktemp("models"), {"anime": 3, "monet": 0, "faces": 3})
    with running_app(tmp_path_factory.mktemp("app"), models) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


class Tab:
    """An open page, with what it asked for and what it complained of."""

    def __init__(self, browser: Any, app: App, viewport: dict[str, int] = WIDE, script: str = "", **options: Any) -> None:
        self.context = browser.new_context(viewport=viewport, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(dialog.message), dialog.dismiss()))
        if script:
            self.page.add_init_script(script)
        self.page.goto(app.url)
        self.page.wait_for_selector("#pair img >> nth=1")
        self.settle()

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            away = [url for url in self.requests if not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", url)]
            assert away == [] and self.faults == []

    def sources(self) -> list[str]:
        """The addresses of the two pictures, before and after."""
        return self.page.eval_on_selector_all("#pair img", "all => all.map((one) => one.src)")

    def pixels(self) -> list[str]:
        """What the two pictures show: the address of a picture is another one each time, its pixels are not."""
        return self.page.evaluate(PIXELS)

    def settle(self) -> None:
        """Waits until nothing is being worked on."""
        self.page.wait_for_timeout(150)  # what was just done reaches the server first
        self.page.wait_for_function("() => !document.querySelector('.generating, .wrap.translucent:not(.hide), .progress-text')")

    def changed(self, before: list[str]) -> list[str]:
        """Waits for another translation than that of `before`, and returns the new addresses."""
        self.page.wait_for_function(
            "(old) => { const now = document.querySelectorAll('#pair img'); return now.length > 1 && ![...now].some("
            "(one) => !one.complete) && [...now].map((one) => one.src).join() !== old }",
            arg=",".join(before),
        )
        self.settle()
        return self.sources()

    def upload(self, path: Path) -> list[str]:
        """Gives a picture, and returns the addresses of the two that are shown then."""
        before = self.sources()
        self.page.set_input_files("#photo input[type=file]", str(path))
        return self.translated_anyway(before)

    def translated_anyway(self, before: list[str]) -> list[str]:
        """As `changed`; where no face is in the picture that was given, as in noise, the page is told to go on."""
        self.page.wait_for_function(
            "(old) => document.querySelector('#anyway')?.offsetParent || (document.querySelectorAll('#pair img').length > 1 && "
            "[...document.querySelectorAll('#pair img')].map((one) => one.src).join() !== old)",
            arg=",".join(before),
        )
        self.settle()
        if self.page.locator("#anyway").is_visible():
            self.page.locator("#anyway").click()
        return self.changed(before)

    def drawn(self, gallery: str, before: list[str], count: int) -> list[str]:
        """Waits for that many pictures in a gallery, all others than those of `before`, and returns their addresses."""
        found = f"[...document.querySelectorAll('#{gallery} .thumbnail-lg img')]"
        self.page.wait_for_function(
            f"([old, count]) => {{ const now = {found}; return now.length === count && now.every((one) => one.complete) &&"
            " now.map((one) => one.src).join() !== old }",
            arg=[",".join(before), count],
        )
        self.settle()
        return self.page.evaluate(f"{found}.map((one) => one.src)")

    def view(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).first.click()
        self.settle()


@pytest.fixture
def tab(browser: Any, app: App) -> Iterator[Tab]:
    """A tab of its own for each test: what one test leaves behind is nothing to the next, nor to its own second run."""
    with Tab(browser, app, script=NO_CAMERA) as one:
        yield one


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(1, (48, 40)))
    return path


# --- what one visitor does


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


def test_every_view(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    page.get_by_alt_text("The picture before translation").first.wait_for()
    page.get_by_alt_text("The translation").first.wait_for()
    tab.view("And back")
    page.get_by_alt_text("The way back").wait_for()
    tab.view("Colours")
    page.wait_for_selector("#histogram img")
    tab.view("About")
    page.locator("#card").get_by_text("Epoch 3").first.wait_for()


SAVED = (
    ("JPEG, 512 px or more", ".jpg", (615, 512)),
    ("PNG at the model's own size", "-own-size.png", (38, 32)),
    ("Before and after in one JPEG, with a line below", "-pair.jpg", (1252, 572)),
    ("PNG, 512 px or more", ".png", (615, 512)),
)


def test_the_sizes_that_are_saved(tab: Tab, tmp_path: Path, photo: Path) -> None:
    page, before = tab.page, tab.upload(photo)
    for way, name, size in SAVED:
        page.locator("#way input").click()
        page.get_by_role("option", name=way).click()
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
    page.get_by_role("button", name="Translate all").click()
    page.wait_for_selector("#batch img >> nth=1")
    notes = page.locator("#batch-notes")
    notes.get_by_text("2 of 3 translated.").wait_for()
    assert "is not an image" in notes.inner_text() and notes.locator("img").count() == 0
    tab.settle()
    with page.expect_download() as archive:
        page.locator("#zip").click()
    archive.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as zipped:
        assert sorted(zipped.namelist()) == ["coffee.png", "photo.png"]
        assert min(Image.open(io.BytesIO(zipped.read("photo.png"))).size) == 512


# --- other visitors


def test_a_photograph_of_an_iphone(browser: Any, app: App, tmp_path: Path) -> None:
    writer = pytest.importorskip("pillow_heif", reason="the tests' HEIC files need pillow-heif: pip install pillow-heif")
    path = tmp_path / "IMG_0001.HEIC"
    writer.from_pillow(Image.effect_noise((120, 90), 60).convert("RGB")).save(path)
    with Tab(browser, app) as tab:
        first = tab.sources()
        tab.page.get_by_label("Monet", exact=True).check()
        tab.changed(first)
        tab.upload(path)
        given = "document.querySelector('#photo img')?.naturalWidth"
        tab.page.wait_for_function(f"() => {given} === 120")  # a copy: the browser itself cannot show this format
        assert tab.page.get_by_test_id("toast-body").count() == 0


def test_a_photo_by_the_camera(browser: Any, app: App) -> None:
    with Tab(browser, app, permissions=["camera"]) as tab:
        before = tab.sources()
        assert tab.page.get_by_text("No camera was found").count() == 0
        tab.page.get_by_label("Capture from camera").click()
        tab.page.locator("#photo").get_by_title("grant webcam access").click()
        capture = tab.page.locator("#photo").get_by_label("capture photo")
        capture.wait_for()
        tab.page.wait_for_function("() => document.querySelector('#photo video')?.videoWidth > 0")
        capture.click()
        assert tab.translated_anyway(before)[0] != before[0]


def start_camera(tab: Tab) -> None:
    tab.page.get_by_role("tab", name="Live", exact=True).click()
    tab.page.locator("#camera-live").get_by_title("grant webcam access").click()
    tab.page.locator("#camera-live").get_by_title("start recording").click()


def test_the_live_stream(browser: Any, app: App, tmp_path: Path) -> None:
    stopped = "() => document.querySelector('#camera-live [title=\"start recording\"]')"
    with Tab(browser, app, permissions=["camera"]) as tab:
        page = tab.page
        start_camera(tab)
        page.wait_for_selector("#live-result img >> nth=1")
        page.locator("#live-notes").get_by_text("frames a second, at 32 x 32 pixels.").wait_for()
        seen, until = set(), time.monotonic() + 3
        while time.monotonic() < until:
            seen.add(page.locator("#live-result img").first.get_attribute("src"))
        words = page.locator("#live-notes p").inner_text()
        print(f"live, tiny model: {words} {len(seen) / 3:.1f} pictures a second reached the page")
        assert len(seen) > 2
        files = [path for path in app.temporary.rglob("*") if path.is_file()]
        page.wait_for_timeout(500)
        assert [path for path in app.temporary.rglob("*") if path.is_file()] == files  # nothing of a stream is kept
        page.get_by_role("button", name="Take a still").click()
        with page.expect_download() as still:
            page.wait_for_selector("#still-save:not([disabled])")
            page.locator("#still-save").click()
        still.value.save_as(tmp_path / "still.png")
        assert Image.open(tmp_path / "still.png").size == (2 * 512 + 24, 512 + 16)
        page.get_by_role("tab", name="One picture", exact=True).click()
        page.wait_for_function(stopped)
        page.wait_for_timeout(300)
        last = page.locator("#live-result img").first.get_attribute("src")
        page.wait_for_timeout(500)
        assert page.locator("#live-result img").first.get_attribute("src") == last
    assert "Traceback" not in app.log.read_text()


def test_a_camera_that_is_taken_away_and_one_that_is_refused(browser: Any, app: App) -> None:
    with Tab(browser, app, permissions=["camera"]) as tab:
        start_camera(tab)
        tab.page.wait_for_selector("#live-result img >> nth=1")
        tab.page.evaluate(
            "document.querySelector('#camera-live video').srcObject.getTracks().forEach((one) => {"
            " one.stop(); one.dispatchEvent(new Event('ended')); })"
        )
        tab.page.locator("#live-hint").get_by_text("The camera was taken away").wait_for()
        tab.page.wait_for_function("() => document.querySelector('#camera-live [title=\"start recording\"]')")
    refused = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    with Tab(browser, app, script=refused) as tab:
        tab.page.get_by_role("tab", name="Live", exact=True).click()
        tab.page.locator("#camera-live").get_by_title("grant webcam access").click()
        tab.page.locator("#live-hint").get_by_text("The camera was refused: allow it").wait_for()
        assert tab.page.locator("#live-result img").count() == 0
    with Tab(browser, app):  # and the page still serves
        pass
    assert "Traceback" not in app.log.read_text()


def test_a_phone_in_the_dark(browser: Any, app: App, photo: Path) -> None:
    with Tab(browser, app, PHONE, color_scheme="dark", has_touch=True, is_mobile=True) as tab:
        before, after = (tab.page.locator("#pair img").nth(i).bounding_box() for i in (0, 1))
        assert before["y"] == after["y"] and before["x"] + before["width"] <= after["x"]  # side by side
        assert after["y"] + after["height"] <= PHONE["height"]  # and whole on the first screen
        for name in ("One picture", "All epochs", "Several pictures", "Live"):
            assert tab.page.get_by_role("tab", name=name).first.is_visible()  # none of them behind a menu
        tab.page.get_by_label("Monet", exact=True).check()  # a radio button is there though its circle is not shown
        tab.settle()
        tab.page.get_by_label("Anime", exact=True).check()
        tab.settle()
        tab.upload(photo)
        width, visible = tab.page.evaluate(SCROLL)
        assert visible == PHONE["width"] and width <= visible
        assert tab.page.evaluate("document.body.classList.contains('dark')")
        shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        assert max(tab.page.evaluate(shade)) < 60
        before = tab.sources()
        box = tab.page.locator("#epoch .track").bounding_box()
        tab.page.locator("#epoch .track").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
        tab.changed(before)
        playwright.expect(tab.page.locator("#epoch .number")).to_have_value("2")


def test_a_model_that_draws(browser: Any, app: App, tmp_path: Path) -> None:
    with Tab(browser, app) as tab:
        page = tab.page
        page.on("console", lambda message: tab.faults.append(message.text) if message.type == "error" else None)
        page.get_by_label("Faces", exact=True).check()
        first = tab.drawn("samples", [], 16)
        assert not page.locator("#photo").is_visible() and not page.locator("#direction").is_visible()
        page.get_by_alt_text("Picture 16 of seed 0").wait_for()
        assert min(page.eval_on_selector_all("#samples img", "all => all.map((one) => one.clientWidth)")) > 100
        for name in ("#samples", "#draw-epoch", "#truncation", "#draw-png"):
            box = page.locator(name).bounding_box()
            assert box["y"] + box["height"] <= WIDE["height"], name

        page.locator("#seed .track").focus()  # everything by keyboard
        page.keyboard.press("ArrowRight")
        second = tab.drawn("samples", first, 16)
        page.get_by_alt_text("Picture 1 of seed 1").wait_for()
        page.locator("#truncation input[type=range]").focus()
        page.keyboard.press("Home")
        third = tab.drawn("samples", second, 16)
        playwright.expect(page.locator("#truncation label span").first).to_have_text("Truncation 0.1: much alike, rarely odd")
        page.locator("#draw-epoch .track").focus()
        page.keyboard.press("ArrowLeft")
        fourth = tab.drawn("samples", third, 16)
        playwright.expect(page.locator("#draw-epoch .number")).to_have_value("2")
        page.get_by_role("button", name="Another seed").press("Enter")
        fifth = tab.drawn("samples", fourth, 16)
        page.locator("#seed .number").fill("2147483647")  # every seed that the API takes
        page.keyboard.press("Enter")
        sixth = tab.drawn("samples", fifth, 16)
        page.locator("#seed .number").fill("junk")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#seed .number")).to_have_value("2147483647")
        page.locator("#seed .number").fill("1e300")
        page.keyboard.press("Tab")
        playwright.expect(page.locator("#seed .number")).to_have_value("2147483647")
        tab.settle()
        assert page.eval_on_selector_all("#samples .thumbnail-lg img", "all => all.map((one) => one.src)") == sixth

        page.get_by_role("tab", name="Between two seeds").press("Enter")
        between = tab.drawn("between", [], 8)
        page.locator("#seed-b input").fill("5")
        assert tab.drawn("between", between, 8)[0] == between[0]
        page.get_by_alt_text("Seed 5").wait_for()
        with page.expect_download() as archive:
            page.locator("#draw-zip").click()
        archive.value.save_as(tmp_path / "all.zip")
        assert archive.value.suggested_filename == "faces-epoch-002-seeds-0-5.zip"
        assert len(zipfile.ZipFile(tmp_path / "all.zip").namelist()) == 8
        tab.view("All epochs")
        tab.drawn("sheets", [], 3)
        page.get_by_alt_text("Epoch 3 · last").wait_for()
        tab.view("About")
        page.locator("#draw-card").get_by_text("Epoch 2").first.wait_for()

        page.get_by_label("Anime", exact=True).check()  # and back to one that translates
        page.wait_for_selector("#pair img >> nth=1")
        assert not page.locator("#drawing").is_visible()


def test_drawing_on_a_phone_in_the_dark(browser: Any, app: App) -> None:
    with Tab(browser, app, PHONE, color_scheme="dark", has_touch=True, is_mobile=True) as tab:
        tab.page.get_by_label("Faces", exact=True).check()
        tab.drawn("samples", [], 16)
        width, visible = tab.page.evaluate(SCROLL)
        assert visible == PHONE["width"] and width <= visible
        assert min(tab.page.eval_on_selector_all("#samples img", "all => all.map((one) => one.clientWidth)")) > 96
