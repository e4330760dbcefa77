"""Numbers that stand in more than one file: each is written by hand at most once, and what repeats it is checked here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from support.training import ROOT

TRANSLATING = ["smile", "anime", "cartoon", "monet"]
COLUMNS = {"mmd[imagenet]": "mmd[imagenet]", "kid[imagenet]": "kid[imagenet]", "success": "success",
           "content share": "content_share[imagenet]", "diversity share": "diversity_share[imagenet]",
           "precision": "precision[imagenet]", "recall": "recall[imagenet]", "fid[encoder]": "fid[encoder]",
           "kid[encoder]": "kid[encoder]", "alpha-precision": "alpha_precision[encoder]", "beta-recall": "beta_recall[encoder]",
           "authenticity": "authenticity[encoder]", "diversity": "diversity[encoder]"}  # fmt: skip


def metrics(name: str) -> dict:
    return json.loads((ROOT / f"pretrained/{name}/metrics.json").read_text("utf-8"))


def tables(text: str) -> Iterator[list[list[str]]]:
    """Every Markdown table as its rows of cells, the line below the heads left out."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [row for row in rows if not set("".join(row)) <= {"-", ":"}]


def agrees(printed: str, value: float) -> bool:
    """Whether a number as a table prints it (48.15, 92.5 %) is this one, to the last digit that is shown."""
    number = printed.split(" (")[0].removesuffix(" %").removesuffix("%")
    shown = 100 * value if "%" in printed else value
    return abs(float(number) - shown) <= 0.5000001 * 10.0 ** -len(number.partition(".")[2])


@pytest.mark.parametrize("name", [*TRANSLATING, "faces"])
def test_the_tables_of_the_bundled_models_are_their_metrics(name: str) -> None:
    section = (ROOT / "pretrained/README.md").read_text("utf-8").split(f"\n## {name}: ")[1].split("\n## ")[0]
    found, checked = metrics(name), 0
    for direction, (heads, *rows) in zip(("a_to_b", "b_to_a"), tables(section), strict=False):
        way = "samples" if name == "faces" else direction
        for first, *cells in rows:
            epoch = re.search(r"epoch (\d+)", first)
            baseline = {"untranslated": "untranslated", "real against real": "floor"}.get(first, "")
            values = found["epochs"][f"epoch-{int(epoch[1]):03d}"][way] if epoch else found["baselines"][baseline][way]
            for head, cell in zip(heads[1:], cells, strict=True):
                if cell and values.get(COLUMNS[head]) is not None:
                    assert agrees(cell, values[COLUMNS[head]]), f"{heads[0]}, {first}, {head}: {cell}"
                    checked += 1
    assert checked > 25


def test_untranslated_images_have_one_distance_everywhere() -> None:
    """The measure's own table, and the last column of the table of projected discriminators."""
    expected = {}
    for name in TRANSLATING:
        of = metrics(name)["baselines"]["untranslated"]
        expected[name] = " / ".join(f"{of[way]['mmd[imagenet]']:.1f}" for way in ("a_to_b", "b_to_a"))
    quality = next(rows for rows in tables((ROOT / "docs/quality.md").read_text("utf-8")) if sorted(rows[0]) == sorted(expected))
    assert dict(zip(*quality, strict=True)) == expected
    projected = next(rows for rows in tables((ROOT / "docs/experiments.md").read_text("utf-8")) if rows[0][-1] == "untranslated")
    assert {row[0]: row[-1] for row in projected[1:]} == {name: expected[name] for name in ("anime", "monet")}


def test_the_table_of_discriminators_is_the_one_of_its_experiment() -> None:
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}  # by run and epoch, A to B and then B to A
    for heads, *lines in tables((ROOT / "docs/experiments/projected.md").read_text("utf-8")):
        for line in lines:
            row = dict(zip(heads, line, strict=True))
            rows.setdefault((row["run"], row["epoch"]), []).append(row)
    shown = next(t for t in tables((ROOT / "docs/quality.md").read_text("utf-8")) if t[0][-1] == "content share")
    assert len(shown) == 13
    for domain, kind, skip, first, second, success, content in shown[1:]:
        run = f"{domain}-{kind.strip('`')}{'-skip' if skip == 'yes' else ''}"
        for cell, epoch, key in (
            (first, "epoch-002", "mmd[imagenet]"),
            (second, "epoch-004", "mmd[imagenet]"),
            (success, "epoch-004", "success"),
            (content, "epoch-004", "content_share[imagenet]"),
        ):
            for printed, row in zip(cell.strip("*").split(" / "), rows[run, epoch], strict=True):
                assert agrees(printed, float(row[key])), f"{run}, {epoch}, {key}: {printed}"


def test_agrees_to_the_last_digit_that_is_shown() -> None:
    assert agrees("48.15 (46.27 to 49.90)", 48.1518) and agrees("92.5 %", 0.925) and agrees("48.2", 48.15) and agrees("1 %", 0.01)
    assert not agrees("48.1", 48.1518) and not agrees("100 %", 0.99) and not agrees("93.0%", 0.925)
