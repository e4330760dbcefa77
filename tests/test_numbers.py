"""Measured numbers in the documentation: generated from metrics.json, or checked against it where they stand a second time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from support.training import ROOT, script

TRANSLATORS = {"smile": 1000, "anime": 500, "cartoon": 500, "monet": 500}  # pairs of an epoch
DIRECTIONS = ("a_to_b", "b_to_a")
EXPERIMENTS = ROOT / "train/experiments"


def metrics(name: str) -> dict:
    return json.loads((ROOT / f"pretrained/{name}/metrics.json").read_text("utf-8"))


def tables(text: str) -> Iterator[list[list[str]]]:
    """Every Markdown table as its rows of cells, without the line below the header."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        yield [row for row in rows if not set("".join(row)) <= {"-", ":"}]


def agrees(printed: str, value: float) -> bool:
    """Whether a number as a table prints it (48.15, 92.5 %) is this one, to the last digit that is shown."""
    number = printed.split(" (")[0].removesuffix(" %").removesuffix("%")
    shown = 100 * value if "%" in printed else value
    return abs(float(number) - shown) <= 0.5000001 * 10.0 ** -len(number.partition(".")[2])


def untranslated(name: str) -> str:
    of = metrics(name)["baselines"]["untranslated"]
    return " / ".join(f"{of[direction]['mmd[imagenet]']:.1f}" for direction in DIRECTIONS)


def test_the_tables_of_results_are_generated() -> None:
    gallery = script("gallery")
    text = (ROOT / "docs/results.md").read_text("utf-8")
    shown = text.split(gallery.BEGIN)[1].split(gallery.END)[0]
    assert shown.strip() == gallery.table(gallery.model_folders(ROOT / "pretrained")), "run python train/gallery.py"


def test_the_table_of_bundled_models_has_the_counts_and_dates_of_their_metrics() -> None:
    (rows,) = tables((ROOT / "pretrained/README.md").read_text("utf-8"))
    for row in rows[1:]:
        found = metrics(re.match(r"\[(\w+)\]", row[0])[1])["protocol"]
        sides = ("a", "b") if "n_b" in found else ("a",)
        trained = " + ".join(f"{found[f'n_training_{side}']:,}" for side in sides)
        held_out = " + ".join(f"{found[f'n_{side}']:,}" for side in sides)
        assert row[3].startswith(f"{trained} ({held_out}), ") and row[4] == found["date"], row[0]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_distances_during_the_trainings_are_those_of_the_published_epochs(name: str) -> None:
    section = (EXPERIMENTS / "bundled-models.md").read_text("utf-8").split(f"\n### {name}\n")[1].split("\n### ")[0]
    rows, checked = next(tables(section)), 0
    for pairs, *cells in rows[1:]:
        epoch = f"epoch-{int(pairs.split(', ')[0].replace(',', '')) // TRANSLATORS[name]:03d}"
        for direction, printed in zip(DIRECTIONS, cells, strict=False):
            if epoch in metrics(name)["epochs"]:
                assert agrees(printed, metrics(name)["epochs"][epoch][direction]["mmd[imagenet]"]), (pairs, direction)
                checked += 1
    assert checked >= 6


def test_untranslated_images_have_one_distance_everywhere() -> None:
    text = (EXPERIMENTS / "projected.md").read_text("utf-8")
    assert f"Untranslated: anime {untranslated('anime')}, monet {untranslated('monet')};" in text
    for name, domain in (("anime-table", "anime"), ("anime-settings", "anime"), ("cartoon-epochs", "cartoon"),
                         ("monet-steps", "monet"), ("smile-models", "smile")):  # fmt: skip
        heads, *rows = next(tables((EXPERIMENTS / f"{name}.md").read_text("utf-8")))
        row = next(row for row in rows if row[0] == "untranslated")
        first = next(number for number, head in enumerate(heads) if head.startswith("mmd[imagenet]"))
        assert " / ".join(row[first : first + 2]) == untranslated(domain), name


def test_agrees_to_the_last_digit_that_is_shown() -> None:
    assert agrees("48.15 (46.27 to 49.90)", 48.1518) and agrees("92.5 %", 0.925) and agrees("48.2", 48.15) and agrees("1 %", 0.01)
    assert not agrees("48.1", 48.1518) and not agrees("100 %", 0.99) and not agrees("93.0%", 0.925)
