"""The page in Debian's chromium: tabs that note what they ask for, which may not leave the machine, and what they complain of.

Without chromium, gradio or playwright the tests that import this are skipped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.chromium import NEEDED, WIDE
from support.page_load import App

pytest.importorskip("gradio", reason="the page needs gradio: pip install -r requirements.txt")

MARKS = [  # of every file of browser tests: pytestmark = MARKS
    pytest.mark.browser,
    pytest.mark.flaky(reruns=2),  # on a machine busy with other tests a click can come before the page is ready for it
    NEEDED,
]

SCROLL = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
SIZE = "[document.querySelector('#result img').naturalWidth, document.querySelector('#result img').naturalHeight]"
PIXELS = """() => [...document.querySelectorAll('#result img')].map((image) => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [16, 16];
    canvas.getContext('2d').drawImage(image, 0, 0, 16, 16);
    return canvas.toDataURL();
})"""


class Tab:
    """An open page."""

    def __init__(
        self, browser: Any, app: App, viewport: dict[str, int] = WIDE, script: str = "", query: str = "", **options: Any
    ) -> None:
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
        self.page.goto(f"{app.url}/{query}", wait_until="commit")
        self.page.wait_for_function("() => document.querySelector('#result img')?.naturalWidth > 0")
        self.first = [url for url in self.requests if not url.startswith("data:")]  # what the first picture took
        self.page.wait_for_load_state()
        self.settle()

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.context.close()
        if kind is None:
            away = [url for url in self.requests if not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", url)]
            assert away == [] and self.faults == []

    def sources(self) -> list[str]:
        """The address of the result, in a list; an empty one without a result."""
        return self.page.eval_on_selector_all("#result img", "all => all.map((one) => one.src)")

    def pixels(self) -> list[str]:
        """What the result shows: the address of a picture is another one each time, its pixels are not."""
        return self.page.evaluate(PIXELS)

    def settle(self) -> None:
        """Waits until nothing is being worked on."""
        self.page.wait_for_timeout(150)  # what was just done reaches the server first
        self.page.wait_for_function("() => !document.querySelector('[data-testid=status-tracker]:not(.hide, .hidden)')")

    def changed(self, before: list[str], images: str = "#result img", count: int = 1) -> list[str]:
        """Waits for that many images with other addresses than `before`, and returns the new ones."""
        self.page.wait_for_function(
            "([old, images, count]) => { const now = [...document.querySelectorAll(images)]; return now.length === count"
            " && now.every((one) => one.complete) && now.map((one) => one.src).join() !== old }",
            arg=[",".join(before), images, count],
        )
        self.settle()
        return self.page.eval_on_selector_all(images, "all => all.map((one) => one.src)")

    def sampled(self, gallery: str, before: list[str], count: int) -> list[str]:
        return self.changed(before, f"#{gallery} .thumbnail-lg img", count)

    def upload(self, path: Path) -> list[str]:
        """Gives a picture, and returns the address of the result that is shown then."""
        before = self.sources()
        self.page.set_input_files("#photo input[type=file]", str(path))
        return self.translated_anyway(before)

    def translated_anyway(self, before: list[str]) -> list[str]:
        """As `changed`; where no face is in the picture that was given, as in noise, the page is told to go on."""
        self.page.wait_for_function(
            "(old) => document.querySelector('#anyway')?.offsetParent || (document.querySelectorAll('#result img').length > 0 && "
            "[...document.querySelectorAll('#result img')].map((one) => one.src).join() !== old)",
            arg=",".join(before),
        )
        self.settle()
        if self.page.locator("#anyway").is_visible():
            self.page.locator("#anyway").click()
        return self.changed(before)

    def choose(self, model: str) -> None:
        """Chooses a model by what it does."""
        self.page.get_by_label(model, exact=True).check()

    def unfold(self, name: str) -> None:
        """Opens one of the folded parts."""
        self.page.get_by_role("button", name=name).locator("visible=true").click()
        self.settle()

    def view(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).first.click()
        self.settle()

    def download(self, button: str, path: Path) -> str:
        """Saves what a button downloads, and returns the name that it has."""
        with self.page.expect_download() as started:
            self.page.locator(button).click()
        started.value.save_as(path)
        return started.value.suggested_filename
