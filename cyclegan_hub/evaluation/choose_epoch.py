"""Which epoch of a model is the best, and the rule that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cyclegan_hub.evaluation.extractor import Extractor
from cyclegan_hub.evaluation.measures import Figures
from cyclegan_hub.evaluation.metric_rows import METRICS, between, choosing
from cyclegan_hub.models.protocols import MeasuredBy

Epochs = Mapping[str, Mapping[str, Figures]]  # figures by epoch and direction
Baselines = Mapping[str, Mapping[str, Figures]]  # "untranslated" and "floor", by direction


def choose(epochs: Epochs, baselines: Baselines, extractor: Extractor, measured_by: MeasuredBy) -> tuple[str, str]:
    """The best epoch, and the rule it was chosen by in words: of samples and pairs the least figure, else see `choose_best`."""
    row = choosing(measured_by)
    key = extractor.metric(row.name) if row.of_features else row.name
    if measured_by != "sides":  # there is a truth to be near to, or no input to be faithful to
        return choose_least(epochs, key)
    relative = next(other.name for other in METRICS.values() if other.of == row.name)
    return choose_best(epochs, baselines, key, extractor.metric(relative))


def choose_best(epochs: Epochs, baselines: Baselines, kid: str, relative: str) -> tuple[str, str]:
    """The best epoch, and the rule it was chosen by in words.

    KID, since its expectation does not depend on the number of images; relative to the baselines, since the two directions have
    different scales. It alone would also crown a generator that ignores its input, or inverts its colours, if what it makes
    looks like the target: hence the conditions on the colours and on the way back. Epochs that tie: the later.
    """
    sane = [name for name, both in epochs.items() if all(_keeps_content(f, baselines, d) for d, f in both.items())]
    among = "those whose inputs and translations correlate in colour and whose way back is nearer to its input than to another"
    for key, words in ((relative, f"{relative} (0: as real images, 1: as untranslated ones)"), (kid, kid)):
        for names, whose in ((sane, f"among {among}"), (list(epochs), f"among all, since there are none of {among}")):
            best = _least(epochs, names, key)
            if best is not None:
                return best, f"least mean over both directions of {words}, {whose}; of equals the latest"
    return list(epochs)[-1], f"the last, since {kid} could not be computed for any"


def choose_least(epochs: Epochs, key: str) -> tuple[str, str]:
    """The epoch with the least of one figure, and that rule in words: of samples and pairs. Epochs that tie: the later."""
    best = _least(epochs, epochs, key)
    if best is None:
        return list(epochs)[-1], f"the last, since {key} could not be computed for any"
    return best, f"least {key}; of equals the latest"


def _least(epochs: Epochs, names: Iterable[str], key: str) -> str | None:
    """Of these epochs the one with the least mean of `key` over its directions, the latest of equals; None if none is known."""
    means = {name: _mean([figures.get(key) for figures in epochs[name].values()]) for name in names}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return min(reversed(known), key=lambda name: known[name]) if known else None


def relate_all(epochs: Mapping[str, dict[str, Figures]], baselines: Baselines, extractor: Extractor) -> list[str]:
    """Adds to all figures those that say where another one lies between the baselines; returns a note on each that cannot."""
    notes = []
    for row in METRICS.values():
        if row.relate:
            notes += relate(epochs, baselines, extractor.metric(row.of), extractor.metric(row.name), row.relate)
    return notes


def relate(
    epochs: Mapping[str, dict[str, Figures]],
    baselines: Baselines,
    key: str,
    relative: str,
    how: Callable[[float, float, float], float] = between,
) -> list[str]:
    """Adds to all figures as `relative` where `key` lies beside the baselines: how(value, untranslated, floor).

    None where that has no meaning, in a direction whose untranslated inputs are not above the floor; returns a note on each.
    """
    notes = []
    for direction, raw in baselines["untranslated"].items():
        before, floor = raw.get(key), baselines["floor"][direction].get(key)
        if before is None or floor is None or before <= floor:
            values = ", ".join("none" if value is None else f"{value:.4g}" for value in (before, floor))
            notes.append(f"{direction}: no {relative}: {key} does not tell untranslated images from real ones ({values})")
            for both in epochs.values():
                both[direction][relative] = None
            continue
        for both in epochs.values():
            value = both[direction].get(key)
            both[direction][relative] = None if value is None else how(value, before, floor)
    return notes


def _keeps_content(figures: Figures, baselines: Baselines, direction: str) -> bool:
    """Whether colours are not inverted, and a way back leads to its own input rather than to any."""
    correlation, cycle = figures.get("colour_correlation"), figures.get("cycle_l1")
    others = baselines["untranslated"][direction].get("others_l1")
    if correlation is not None and "input_output_l1" in figures and "cycle_l1" not in figures:  # a model without a way back
        return correlation > 0
    return correlation is not None and correlation > 0 and cycle is not None and others is not None and cycle < others


def _mean(values: list[float | None]) -> float | None:
    """None unless all are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
