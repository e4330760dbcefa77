"""Which epoch of a model is the best, and the rule that says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cyclegan_hub.evaluation.measures import Figures


def choose_best(
    epochs: Mapping[str, Mapping[str, Figures]], baselines: Mapping[str, Any], kid: str, relative: str
) -> tuple[str, str]:
    """The best epoch, and the rule it was chosen by in words.

    KID, since its expectation does not depend on the number of images; relative to the baselines, since the two directions have
    different scales. It alone would also crown a generator that ignores its input, or inverts its colours, if what it makes
    looks like the target: hence the conditions on the colours and on the way back. Epochs that tie: the later.
    """
    sane = [name for name, both in epochs.items() if all(_sane(f, baselines, d) for d, f in both.items())]
    among = "those whose inputs and translations correlate in colour and whose way back is nearer to its input than to another"
    for key, words in ((relative, f"{relative} (0: as real images, 1: as untranslated ones)"), (kid, kid)):
        for names, whose in ((sane, f"among {among}"), (list(epochs), f"among all, since there are none of {among}")):
            best = _least(epochs, names, key)
            if best is not None:
                return best, f"least mean over both directions of {words}, {whose}; of equals the latest"
    return list(epochs)[-1], f"the last, since {kid} could not be computed for any"


def choose_least(epochs: Mapping[str, Mapping[str, Figures]], key: str) -> tuple[str, str]:
    """The epoch with the least of one figure, and that rule in words: of samples and pairs. Epochs that tie: the later."""
    best = _least(epochs, epochs, key)
    if best is None:
        return list(epochs)[-1], f"the last, since {key} could not be computed for any"
    return best, f"least {key}; of equals the latest"


def _least(epochs: Mapping[str, Mapping[str, Figures]], names: Iterable[str], key: str) -> str | None:
    """Of these epochs the one with the least mean of `key` over its directions, the latest of equals; None if none is known."""
    means = {name: _mean([figures.get(key) for figures in epochs[name].values()]) for name in names}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return min(reversed(known), key=lambda name: known[name]) if known else None


def relate(epochs: Mapping[str, Mapping[str, Figures]], baselines: Mapping[str, Any], kid: str, relative: str) -> list[str]:
    """Adds to all figures where KID lies between the baselines: 0 at the floor, 1 at the untranslated inputs.

    None where that has no meaning, in a direction whose untranslated inputs are not above the floor; returns a note on each.
    """
    notes = []
    for direction, raw in baselines["untranslated"].items():
        before, floor = raw.get(kid), baselines["floor"][direction].get(kid)
        apart = before is not None and floor is not None and before > floor
        if not apart:
            values = ", ".join("none" if value is None else f"{value:.4g}" for value in (before, floor))
            notes.append(f"{direction}: no {relative}: {kid} does not tell untranslated images from real ones ({values})")
        for both in epochs.values():
            value = both[direction].get(kid)
            both[direction][relative] = (value - floor) / (before - floor) if apart and value is not None else None
    return notes


def _sane(figures: Figures, baselines: Mapping[str, Any], direction: str) -> bool:
    correlation, cycle = figures.get("colour_correlation"), figures.get("cycle_l1")
    others = baselines["untranslated"][direction].get("others_l1")
    if correlation is not None and "input_output_l1" in figures and "cycle_l1" not in figures:  # a model without a way back
        return correlation > 0
    return correlation is not None and correlation > 0 and cycle is not None and others is not None and cycle < others


def _mean(values: list[float | None]) -> float | None:
    """None unless all are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
