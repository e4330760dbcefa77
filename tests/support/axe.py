"""axe-core, which finds what keeps people with a screen reader, a keyboard or weak eyes from using a page."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from support.training import ROOT

VERSION = "4.14.1"  # of the npm package axe-core: what a rule finds changes with it
_SCRIPT = ROOT / "node_modules/axe-core/axe.min.js"
NEEDED = pytest.mark.skipif(not _SCRIPT.is_file(), reason="axe-core is missing: make node_modules/onnxruntime-web installs it")


class Violation(NamedTuple):
    """A rule, and the element that breaks it."""

    rule: str
    element: str  # the beginning of its HTML
    place: str  # a CSS selector
    summary: str


def serious_violations(page: Any) -> list[Violation]:
    """What axe-core finds serious or critical on an open page."""
    page.evaluate(_SCRIPT.read_text("utf-8"))  # by the debugger, so that a content security policy does not matter
    found = page.evaluate("async () => JSON.stringify((await axe.run(document, {resultTypes: ['violations']})).violations)")
    return [
        Violation(rule["id"], node["html"][:200], " ".join(map(str, node["target"])), " ".join(node["failureSummary"].split()))
        for rule in json.loads(found)
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
