"""The page in Debian's chromium: other users, with an iPhone's photograph, a camera, a phone, or a model that samples."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.chromium import PHONE, WIDE, playwright
from support.chromium import browser as browser
from support.page_in_chromium import MARKS, SCROLL, Tab
from support.page_load import App

pytestmark = MARKS
expect = playwright.expect


def test_the_camera_for_a_photo_and_as_a_live_stream(browser: Any, app: App, tmp_path: Path) -> None:
    stopped, log = "() => document.querySelector('#camera-live [title=\"start recording\"]')", app.log.read_text()

    def files() -> list[Path]:
        return [path for path in app.temporary.rglob("*") if path.is_file()]

    with Tab(browser, app, permissions=["camera"]) as tab:
        page, before = tab.page, tab.sources()
        start, stop = (page.get_by_role("button", name=name, exact=True) for name in ("Start", "Stop"))
        page.get_by_role("button", name="Take a photo").click()
        capture = page.locator("#photo").get_by_label("capture photo")
        capture.wait_for()
        page.wait_for_function("() => document.querySelector('#photo video')?.videoWidth > 0")
        capture.click()
        assert tab.translated_anyway(before)[0] != before[0]

        tab.view("Live camera")
        start.click()
        stop.wait_for()
        live = page.locator("#live-result img").first
        live.wait_for()
        page.locator("#live-notes").get_by_text("frames a second, at 32 x 32 pixels.").wait_for()
        for _ in range(3):
            old = live.get_attribute("src")
            page.wait_for_function("(old) => document.querySelector('#live-result img')?.src !== old", arg=old)
        kept = files()
        page.wait_for_timeout(500)
        assert files() == kept  # nothing of a stream is kept
        page.get_by_role("button", name="Take a still").click()
        page.wait_for_selector("#still-save:not([disabled])")
        tab.download("#still-save", tmp_path / "still.png")
        assert Image.open(tmp_path / "still.png").size == (2 * 512 + 24, 512 + 16)
        page.get_by_role("tab", name="One photo", exact=True).click()
        page.wait_for_function(stopped)
        page.wait_for_timeout(300)
        last = live.get_attribute("src")
        page.wait_for_timeout(500)
        assert live.get_attribute("src") == last

        tab.view("Live camera")
        start.click()
        stop.wait_for()
        page.evaluate(
            "document.querySelector('#camera-live video').srcObject.getTracks().forEach((one) => {"
            " one.stop(); one.dispatchEvent(new Event('ended')); })"
        )
        page.locator("#live-hint").get_by_text("The camera was taken away").wait_for()
        page.wait_for_function(stopped)
    refused = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    with Tab(browser, app, script=refused) as tab:
        tab.view("Live camera")
        tab.page.get_by_role("button", name="Start", exact=True).click()
        tab.page.locator("#live-hint").get_by_text("The camera was refused: allow it").wait_for()
        assert tab.page.locator("#live-result img").count() == 0
    assert "Traceback" not in app.log.read_text().removeprefix(log)  # other tests' requests are in the log too


def test_a_phone_in_the_dark(browser: Any, app: App, tmp_path: Path) -> None:
    with Tab(browser, app, PHONE, color_scheme="dark", has_touch=True, is_mobile=True) as tab:
        page = tab.page
        box = page.locator("#result img").bounding_box()
        assert box["width"] > 340 and box["y"] + box["height"] <= PHONE["height"]  # whole on the first screen
        assert box["y"] < page.locator("#photo").bounding_box()["y"]
        for name in ("One photo", "Several photos", "Live camera"):
            assert page.get_by_role("tab", name=name).first.is_visible()  # none of them behind a menu
        assert page.evaluate("document.body.classList.contains('dark')")
        shade = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        assert max(page.evaluate(shade)) < 60
        tab.unfold("Watch it learn")
        before, box = tab.sources(), page.locator("#epoch .track").bounding_box()
        page.locator("#epoch .track").click(position={"x": box["width"] / 2, "y": box["height"] / 2})
        before = tab.changed(before)
        expect(page.locator("#epoch .number")).to_have_value("2")
        tab.choose("Faces from noise")  # a radio button is there though its circle is not shown
        tab.sampled("samples", [], 16)
        width, visible = page.evaluate(SCROLL)
        assert visible == PHONE["width"] and width <= visible
        assert min(page.eval_on_selector_all("#samples img", "all => all.map((one) => one.clientWidth)")) > 72
        tab.choose("Paint like Monet")
        tab.changed(before)

        writer = pytest.importorskip("pillow_heif", reason="the tests' HEIC files need pillow-heif: pip install pillow-heif")
        writer.from_pillow(Image.effect_noise((120, 90), 60).convert("RGB")).save(tmp_path / "IMG_0001.HEIC")
        tab.upload(tmp_path / "IMG_0001.HEIC")  # as an iPhone takes it
        shown = "() => document.querySelector('#photo img')?.naturalWidth === 120"
        page.wait_for_function(shown)  # a copy: the browser itself cannot show this format
        assert page.get_by_test_id("toast-body").count() == 0
        width, visible = page.evaluate(SCROLL)
        assert visible == PHONE["width"] and width <= visible


def test_a_model_that_samples(browser: Any, app: App, tmp_path: Path) -> None:
    with Tab(browser, app) as tab:
        page = tab.page
        page.on("console", lambda message: tab.faults.append(message.text) if message.type == "error" else None)
        page.get_by_label("Faces from noise", exact=True).check()
        first = tab.sampled("samples", [], 16)
        assert not page.locator("#photo").is_visible() and not page.locator("#swap").is_visible()
        page.get_by_alt_text("Picture 16 of seed 0").wait_for()
        assert min(page.eval_on_selector_all("#samples img", "all => all.map((one) => one.clientWidth)")) > 100
        for name in ("#samples", "#another", "#sampling-png"):
            box = page.locator(name).bounding_box()
            assert box["y"] + box["height"] <= WIDE["height"], name
        tab.unfold("Watch it learn")
        tab.sampled("sheets", [], 3)
        page.get_by_alt_text("Epoch 3 · last").wait_for()
        tab.unfold("Details")
        page.locator("#sampling-card").get_by_text("Epoch 3").first.wait_for()
        first = tab.sampled("samples", [], 16)

        page.locator("#seed .track").focus()  # everything by keyboard
        page.keyboard.press("ArrowRight")
        second = tab.sampled("samples", first, 16)
        page.get_by_alt_text("Picture 1 of seed 1").wait_for()
        page.locator("#truncation input[type=range]").focus()
        page.keyboard.press("Home")
        third = tab.sampled("samples", second, 16)
        expect(page.locator("#truncation label span").first).to_have_text("Truncation 0.1: much alike, rarely odd")
        page.locator("#sampling-epoch .track").focus()
        page.keyboard.press("ArrowLeft")
        fourth = tab.sampled("samples", third, 16)
        expect(page.locator("#sampling-epoch .number")).to_have_value("2")
        page.get_by_role("button", name="New faces").press("Enter")
        fifth = tab.sampled("samples", fourth, 16)
        page.locator("#seed .number").fill("2147483647")  # every seed that the API takes
        page.keyboard.press("Enter")
        sixth = tab.sampled("samples", fifth, 16)
        page.locator("#seed .number").fill("junk")
        page.keyboard.press("Enter")
        expect(page.locator("#seed .number")).to_have_value("2147483647")
        page.locator("#seed .number").fill("1e300")
        page.keyboard.press("Tab")
        expect(page.locator("#seed .number")).to_have_value("2147483647")
        tab.settle()
        assert page.eval_on_selector_all("#samples .thumbnail-lg img", "all => all.map((one) => one.src)") == sixth

        page.get_by_role("tab", name="Between two seeds").press("Enter")
        between = tab.sampled("between", [], 8)
        page.locator("#seed-b input").fill("5")
        assert tab.sampled("between", between, 8)[0] == between[0]
        page.get_by_alt_text("Seed 5").wait_for()
        assert tab.download("#between-zip", tmp_path / "all.zip") == "faces-epoch-002-seeds-0-5.zip"
        assert len(zipfile.ZipFile(tmp_path / "all.zip").namelist()) == 8
        tab.view("About this model")
        page.locator("#sampling-card").get_by_text("Epoch 2").first.wait_for()

        page.get_by_label("Anime", exact=True).check()  # and back to one that translates
        page.wait_for_selector("#result img")
        assert not page.locator("#sampling").is_visible()
