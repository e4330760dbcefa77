"""The page as axe-core sees it: nothing of ours keeps anybody from using it, in light and dark. gradio's own is listed here."""

from __future__ import annotations

import re
from typing import Any

from support import axe
from support.chromium import browser as browser
from support.page_in_chromium import MARKS, Tab
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


def test_everybody_can_use_every_tab(browser: Any, app: App) -> None:
    found = dict[axe.Violation, str]()
    with Tab(browser, app) as one:
        for model in ("anime", "faces"):  # one that translates, and one that samples
            one.page.locator(f"#model input[value={model}]").check(force=True)
            tabs = [tab for tab in one.page.get_by_role("tab").all() if tab.is_visible()]
            for tab in [None, *tabs]:
                if tab is not None and tab.is_visible():
                    tab.click()
                one.settle()
                for scheme in ("light", "dark"):
                    one.page.emulate_media(color_scheme=scheme)
                    one.page.wait_for_function(
                        "(dark) => document.body.classList.contains('dark') === dark", arg=scheme == "dark"
                    )
                    # Half faded is pale.
                    one.page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")
                    found |= {violation: f"{model}, {scheme}" for violation in axe.serious_violations(one.page)}
    assert [violation for violation in found if not of_gradio(violation)] == []
