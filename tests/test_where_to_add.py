"""CONTRIBUTING.md names at most two files for each kind of addition; a metric and a domain are added that way, in memory."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cyclegan_hub import CycleGenerator, templates
from cyclegan_hub.domains import DOMAINS, Domain, ImageSet
from cyclegan_hub.evaluation import report
from cyclegan_hub.evaluation.features import custom
from cyclegan_hub.evaluation.protocol import evaluate
from cyclegan_hub.evaluation.registry import METRICS, SMALLER, Metric, Subject
from cyclegan_hub.publishing.card import limits_template
from cyclegan_hub.recipes.presets import RECIPES
from cyclegan_hub.serving.catalog import find_models
from cyclegan_hub.training.command import parse
from cyclegan_hub.training.plan import make_plan
from support.tiny_models import folder
from support.training import ROOT

SIZE = 16
ROWS = re.findall(r"^\| (an? [\w ]+) \| .+ \| (`.+`) \|$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE)
WANTED = {
    "a domain", "a recipe", "a loss", "a metric", "a data source", "a Hub error", "a page tab", "an export format",
}  # fmt: skip


def test_every_kind_of_addition_has_at_most_two_files() -> None:
    files = {what: re.findall(r"`([^`]+)`", cell) for what, cell in ROWS}
    assert files.keys() == WANTED
    for what, places in files.items():
        assert 1 <= len(places) <= 2, what
        assert [place for place in places if not (ROOT / place).exists()] == [], what


def noise(n: int, seed: int) -> Tensor:
    """Random images, uint8 (n, 3, S, S)."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (n, 3, SIZE, SIZE), dtype=np.uint8))


def test_a_metric_is_a_row_and_a_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def redness(s: Subject) -> dict[str, float | None]:
        """Mean of the first channel, 0 to 1."""
        assert s.outputs is not None
        return {"redness": s.outputs[:, 0].double().mean().item() / 255}

    row = Metric("redness", "red", SMALLER, redness, needs=("outputs",), format=".1%")
    monkeypatch.setitem(METRICS, row.name, row)

    torch.manual_seed(0)
    model = CycleGenerator(width=4, blocks=1, image_size=SIZE, epoch=1)
    extractor = custom(lambda x: x.float().mean((2, 3)), "means")
    found = evaluate({"epoch-001": lambda: model}, (noise(8, 1), noise(8, 2)), (noise(12, 3), noise(12, 4)), extractor)
    value = found.metrics.epochs["epoch-001"]["a_to_b"]["redness"]
    assert value is not None and 0 < value < 1
    rows = found.metrics.table("a_to_b").rows("epoch")
    assert rows[1][rows[0].index("red")] == f"{value:.1%}"
    page = report.write_report(found, model.labels, "model", tmp_path).read_text("utf-8")
    assert "redness" in page and f"{value:.1%}" in page


def test_a_domain_is_an_entry_and_a_card_template(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = Domain(
        "night",
        a=ImageSet("day", dataset="user/hours", column="image", licence="CC0", filter={"night": 0}),
        b=ImageSet("night", dataset="user/hours", column="image", licence="CC0", filter={"night": 1}),
        repo_id="cyclegan-night",
    )
    monkeypatch.setitem(DOMAINS, own.name, own)
    monkeypatch.setitem(RECIPES, "night-compact", replace(RECIPES["anime-compact"], name="night-compact", domain="night"))

    plan = make_plan(parse(["night-compact", "--out", str(tmp_path / "run")]))  # labels and data are the domain's
    assert plan.labels == ("day", "night")
    assert [text.split(",")[0] for text in plan.identity["data"].values()] == [
        "hf:user/hours?split=train&column=image&filter=night=0",
        "hf:user/hours?split=train&column=image&filter=night=1",
    ]
    assert limits_template("night", ("day", "night"), plan.identity) == "night"  # the file of model_cards/

    folder(tmp_path / "models/night", 1, domain="night", labels=("day", "night"))
    (tmp_path / "card").mkdir()
    (tmp_path / "card/night.md").write_text(
        "{% set use %}To see{% endset %}{% set terms %}CC0{% endset %}{% set limits = ['It knows '~a~' and '~b] %}"
    )
    monkeypatch.setattr(templates, "FOLDERS", (tmp_path / "card", *templates.FOLDERS))
    (tmp_path / "models/night/recipe.json").write_text(json.dumps(plan.identity))
    folder(tmp_path / "models/another", 1, domain="custom", labels=("a", "b"))
    models = find_models(str(tmp_path / "models"), tmp_path).models
    assert list(models) == ["night", "another"]  # domains first
    assert models["night"].licence == "CC0" and "- It knows day and night" in models["night"].limits


def test_every_domain_has_a_card_template() -> None:
    for name, domain in DOMAINS.items():
        if domain.b is not None:
            assert (ROOT / f"model_cards/{name}.md").is_file(), name
