"""The page as axe-core sees it: nothing of ours keeps anybody from using it, in light and dark. gradio's own is listed here."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support import axe
from support.chromium import WIDE
from support.chromium import browser as browser
from support.page_in_chromium import MARKS
from support.page_in_chromium import app as app
from support.page_load import App

pytestmark = [*MARKS, axe.NEEDED]

# What gradio's own components do: (rule, pattern in the element's HTML, what it is).
GRADIOS = (
    ("label-content-name-mismatch", '<button class="upload-container ', "an upload's label is not its text"),
    ("label-content-name-mismatch", 'aria-label="Thumbnail \\d+ of', "a gallery's button has the caption beside its label"),
    ("aria-prohibited-attr", '<div [^>]*aria-label="Empty value"', "an empty gallery is a div with a label"),
)


def of_gradio(one: axe.Violation) -> bool:
    return any(one.rule == rule and re.search(pattern, one.element) for rule, pattern, _ in GRADIOS)


def settle(page: Any) -> None:
    page.wait_for_timeout(300)  # what was just done reaches the server first
    page.wait_for_function("() => !document.querySelector('.generating, .wrap.translucent:not(.hide), .progress-text')")
    page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")  # half faded is pale


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_every_tab(scheme: str, browser: Any, app: App) -> None:
    context = browser.new_context(viewport=WIDE, color_scheme=scheme)
    page, found = context.new_page(), dict[axe.Violation, str]()
    page.goto(app.url)
    page.wait_for_selector("#model input")
    for model in ("anime", "faces"):  # one that translates, and one that samples
        page.locator(f"#model input[value={model}]").check(force=True)
        settle(page)
        tabs = [tab for tab in page.get_by_role("tab").all() if tab.is_visible()]
        for tab in [None, *tabs]:
            if tab is not None and tab.is_visible():
                tab.click()
                settle(page)
            found |= {one: model for one in axe.serious_violations(page)}
    context.close()
    assert [one for one in found if not of_gradio(one)] == []
