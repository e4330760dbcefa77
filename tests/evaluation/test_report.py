"""The results for people: text, tables, comparisons, and a report in one file that loads nothing from the network."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan_hub import CycleGenerator
from cyclegan_hub.evaluation import report
from cyclegan_hub.evaluation.protocol import Evaluation, Examples, Ranked, histogram
from cyclegan_hub.evaluation.record import Metrics

LABELS = ("<b>day</b> & $x$", "night|noon")
EPOCHS = ("epoch-005", "epoch-010")


def values_of(kid: float | None, **more: float | None) -> dict[str, float | None]:
    return {"kid[encoder]": kid, "success": 0.5, **more}


def metrics(best: str = "epoch-010", **changes: Any) -> Metrics:
    values = dict(zip(EPOCHS, (0.25, 0.0123456), strict=True))
    return Metrics.from_json({
        "best": best,
        "rule": "least <kid>",
        "extractor": "encoder (sha256 0123456789ab)",
        "protocol": {"n_a": 9, "n_b": 4, "resize": "<script>alert(1)</script>"},
        "classifier": {"name": "brightness", "accuracy_a": 0.75, "accuracy_b": 1.0, "n_a": 9, "n_b": 4},
        "baselines": {"untranslated": {d: values_of(70.5, cycle_psnr=None) for d in CycleGenerator.directions},
                      "floor": {d: {"kid[encoder]": -0.01} for d in CycleGenerator.directions}},
        "epochs": {name: {d: values_of(kid, cycle_psnr=20.0) for d in CycleGenerator.directions} for name, kid in values.items()},
        "notes": ["untranslated: no <cycle_psnr>"],
    } | changes)  # fmt: skip


def image_set(n: int, seed: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, channels, 16, 16), dtype=np.uint8))


def evaluated(channels: int = 3, **changes: Any) -> Evaluation:
    held_out = image_set(9, 0, channels), image_set(4, 1, channels)

    def shown(x: torch.Tensor, seed: int) -> Examples:
        y = image_set(len(x), seed, channels)
        ranked = Ranked([2, 0], [0.75, 0.5], y[[2, 0]])
        return Examples(y[:8], x[:8], ranked, ranked, histogram(y))

    pictures = {
        name: {d: shown(x, i) for d, x in zip(CycleGenerator.directions, held_out, strict=True)} for i, name in enumerate(EPOCHS)
    }
    return Evaluation(metrics(**changes), pictures, held_out, "probability of the target domain")


class Page(HTMLParser):
    """What a page holds, checked to be closed properly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[Image.Image] = []
        self.alt: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "img":
            data = base64.b64decode((values["src"] or "").removeprefix("data:image/png;base64,"), validate=True)
            self.images.append(Image.open(io.BytesIO(data)))
            self.alt.append(values["alt"] or "")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_report_is_whole_and_alone(tmp_path: Path, channels: int) -> None:
    path = report.write_report(evaluated(channels), LABELS, "<run>", tmp_path / "new")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    text = path.read_text("utf-8")
    page = Page(text)
    assert all(link.startswith("data:image/png;base64,") for link in page.links) and len(page.images) == 9
    assert not page.tags & {"script", "link", "iframe", "object", "b", "run"} and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    for words in ("<run>: <b>day</b> & $x$ ↔ night|noon", "least <kid>", "<script>alert(1)</script>", "n_a = 9, n_b = 4",
                  "n_b = 4, n_a = 9", "untranslated: no <cycle_psnr>", "brightness", "0.01235", "floor"):  # fmt: skip
        assert words in page.text, words
    assert any(alt.startswith("Worst outputs of epoch-010, by probability of the target domain") for alt in page.alt)


def test_a_report_without_classifier_curves_or_pictures(tmp_path: Path) -> None:
    one = {"main": {d: {"kid[encoder]": None} for d in CycleGenerator.directions}}
    nothing = Evaluation(metrics("main", epochs=one, classifier=None, notes=[]), {}, (image_set(2, 0), image_set(2, 1)), "")
    page = Page(report.write_report(nothing, ("A", "B"), "run", tmp_path).read_text("utf-8"))
    assert page.images == [] and "Notes" not in page.text and "Over the epochs" not in page.text
    assert "classifier name\nnone" in page.text


def test_tables() -> None:
    table = metrics().table("a_to_b")
    rows = table.rows("epoch", best="epoch-010")
    assert rows[0] == ["epoch", "kid", "success"]
    assert rows[1:] == [["epoch-005", "0.25", "0.5"], ["epoch-010 *", "0.01235", "0.5"], ["untranslated", "70.5", "0.5"],
                        ["floor", "-0.01", ""]]  # fmt: skip
    whole = table.rows("epoch", every=True)
    assert whole[0] == ["epoch", "kid[encoder]", "success", "cycle_psnr"] and whole[3] == ["untranslated", "70.5", "0.5", "-"]
    assert report.as_text(rows[:2]).splitlines() == ["epoch       kid  success", "epoch-005  0.25      0.5"]
    assert report.as_markdown(rows[:2]).splitlines()[1:] == ["| --- | --: | --: |", "| epoch-005 | 0.25 | 0.5 |"]


def test_summary() -> None:
    text = report.summary(metrics(), ("day", "night"))
    for words in ("day → night (n = 9, n = 4; encoder (sha256 0123456789ab))", "night → day (n = 4, n = 9; ",
                  "classifier: brightness; right on 0.75 of the day, 1 of the night that are held out here",
                  "best: epoch-010 (least <kid>)", "note: untranslated: no <cycle_psnr>"):  # fmt: skip
        assert words in text, words


def test_a_comparison(tmp_path: Path) -> None:
    results = {"one": metrics(), "two|<i>": metrics("epoch-005")}
    found = report.compare(results, ("day", "night"))
    assert found["day → night"][1:3] == [["one, epoch-010", "0.01235", "0.5"], ["two|<i>, epoch-005", "0.25", "0.5"]]
    assert [row[0] for row in found["night → day"][3:]] == ["untranslated", "floor"]
    markdown, html = report.write_comparison(results, LABELS, tmp_path)
    lines = markdown.read_text("utf-8").splitlines()
    assert (
        "| two\\|&lt;i&gt;, epoch-005 | 0.25 | 0.5 |" in lines
        and "- n_a: 9" in lines
        and "- one: epoch-010: least &lt;kid&gt;" in lines
    )
    page = Page(html.read_text("utf-8"))
    assert "i" not in page.tags and "two|<i>, epoch-005" in page.text and page.links == []


def test_curves_show_what_is_there() -> None:
    arrows = metrics().arrows(("a", "b"))
    plotted = report.curves(metrics(), arrows)
    assert plotted == report.curves(metrics(), arrows) and Image.open(io.BytesIO(plotted)).format == "PNG"
    moved, gap = metrics(), metrics()
    moved.baselines["floor"]["a_to_b"]["kid[encoder]"] = 0.1
    gap.epochs["epoch-005"]["a_to_b"]["kid[encoder]"] = None
    assert len({plotted, report.curves(moved, arrows), report.curves(gap, arrows)}) == 3
    assert report.curves(metrics(epochs={"epoch-010": metrics().epochs["epoch-010"]}), arrows) is None
    broken = {name: {direction: {} for direction in arrows} for name in ("epoch-005", "epoch-010")}  # all outputs held NaN
    assert report.curves(metrics(epochs=broken), arrows) is None


def test_grids_hold_the_images() -> None:
    x = torch.full((2, 3, 64, 64), 10, dtype=torch.uint8)
    y = torch.full((2, 3, 64, 64), 200, dtype=torch.uint8)
    picture = Image.open(io.BytesIO(report.ranking(x, Ranked([1, 0], [0.5, 0.25], y))))
    counts = dict((colour, n) for n, colour in picture.getcolors(1 << 24))
    # A few more in the letters' soft edges.
    assert all(0 <= counts[v, v, v] - 2 * 128 * 128 < 100 for v in (10, 200))
    large = Image.open(io.BytesIO(report.ranking(x.repeat(1, 1, 4, 4), Ranked([0], [0.5], y[:1].repeat(1, 1, 4, 4)))))
    assert 0 <= dict((colour, n) for n, colour in large.getcolors(1 << 24))[10, 10, 10] - 128 * 128 < 100
