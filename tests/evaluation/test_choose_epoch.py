"""The choice of the best epoch, from given values."""

from __future__ import annotations

from typing import Any

import pytest

from cyclegan_hub import CycleGenerator
from cyclegan_hub.evaluation.choose_epoch import choose_best, relate

GOOD = {"colour_correlation": 0.5, "cycle_l1": 0.1}
BASELINES = {"untranslated": {d: {"kid": 1.0, "others_l1": 0.4} for d in CycleGenerator.directions},
             "floor": {d: {"kid": 0.2} for d in CycleGenerator.directions}}  # fmt: skip


def epochs_of(*kids: tuple[float | None, float | None], **changes: Any) -> dict[str, Any]:
    """epoch-001 and so on with KIDs of both directions; `changes` (e1={...}) alter the first direction of an epoch."""
    epochs = {}
    for i, pair in enumerate(kids, 1):
        both = {d: {"kid": kid, **GOOD} for d, kid in zip(CycleGenerator.directions, pair, strict=True)}
        both["a_to_b"] |= changes.get(f"e{i}", {})
        epochs[f"epoch-{i:03d}"] = both
    return epochs


@pytest.mark.parametrize(
    ("epochs", "best", "words"),
    [
        (epochs_of((0.6, 0.5), (0.4, 0.4), (0.9, 0.3)), "epoch-002", "among those"),
        (epochs_of((0.4, 0.4), (0.4, 0.4)), "epoch-002", "of equals the latest"),
        (epochs_of((0.6, 0.5), (0.1, 0.1), e2={"colour_correlation": -0.1}), "epoch-001", "among those"),
        (epochs_of((0.6, 0.5), (0.1, 0.1), e2={"cycle_l1": 0.5}), "epoch-001", "among those"),
        (epochs_of((0.6, 0.5), (0.1, None)), "epoch-001", "among those"),
        (epochs_of((0.6, 0.5), e1={"colour_correlation": -1.0}), "epoch-001", "among all, since there are none"),
        (epochs_of((None, None), (None, None)), "epoch-002", "the last, since kid could not be computed"),
    ],
)
def test_the_best_epoch(epochs: dict[str, Any], best: str, words: str) -> None:
    assert relate(epochs, BASELINES, "kid", "rel") == []
    name, rule = choose_best(epochs, BASELINES, "kid", "rel")
    assert name == best and words in rule


def test_a_direction_of_larger_values_does_not_decide_alone() -> None:
    baselines = {"untranslated": {"a_to_b": {"kid": 100.0, "others_l1": 1.0}, "b_to_a": {"kid": 1.0, "others_l1": 1.0}},
                 "floor": {"a_to_b": {"kid": 0.0}, "b_to_a": {"kid": 0.0}}}  # fmt: skip
    epochs = epochs_of((10.0, 0.1), (5.0, 0.9))
    assert relate(epochs, baselines, "kid", "rel") == []
    assert epochs["epoch-001"]["a_to_b"]["rel"] == 0.1 and choose_best(epochs, baselines, "kid", "rel")[0] == "epoch-001"


def test_an_extractor_that_does_not_see_the_difference() -> None:
    flat = {name: {d: {"kid": 0.2, "others_l1": 0.4} for d in CycleGenerator.directions} for name in ("untranslated", "floor")}
    epochs = epochs_of((0.3, 0.3), (0.2, 0.2), (0.4, 0.1))
    assert ["no rel: kid does not tell" in line for line in relate(epochs, flat, "kid", "rel")] == [True, True]
    name, rule = choose_best(epochs, flat, "kid", "rel")
    assert name == "epoch-002" and "both directions of kid, among those" in rule
