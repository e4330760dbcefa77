"""The choice of the best epoch of a model, with the rule as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from statistics import fmean

from cyclegan_hub.evaluation.features import Extractor
from cyclegan_hub.evaluation.registry import METRICS, Values, between, selection_metric
from cyclegan_hub.models.protocols import MeasuredBy

Epochs = Mapping[str, Mapping[str, Values]]  # by epoch and direction
Baselines = Mapping[str, Mapping[str, Values]]  # "untranslated" and "floor", by direction


def choose(epochs: Epochs, baselines: Baselines, extractor: Extractor, measured_by: MeasuredBy) -> tuple[str, str]:
    """(best epoch, the rule as text): for samples and pairs the smallest value, for two domains see `choose_best`."""
    row = selection_metric(measured_by)
    key = extractor.metric(row.name) if row.of_features else row.name
    # Elsewhere the value is enough: there is a real output to compare with, or no input whose content must be kept.
    if measured_by != "sides":
        return choose_least(epochs, key)
    relative = next(other.name for other in METRICS.values() if other.of == row.name)
    return choose_best(epochs, baselines, key, extractor.metric(relative))


def choose_best(epochs: Epochs, baselines: Baselines, kid: str, relative: str) -> tuple[str, str]:
    """(best epoch, the rule as text): the smallest mean of KID, relative to the baselines, over both directions.

    KID is used because its expectation does not depend on the number of images, relative values because the two directions have
    different scales. KID alone could choose a generator that ignores its input, or inverts its colours, if its outputs look like
    the target. Therefore epochs must also keep colours and content (see `_keeps_content`). Of equal epochs the later one.
    """
    sane = [name for name, both in epochs.items() if all(_keeps_content(f, baselines, d) for d, f in both.items())]
    among = (
        "those whose inputs and translations correlate in colour and whose reconstruction is nearer to its input than to another"
    )
    for key, text in ((relative, f"{relative} (0: as real images, 1: as untranslated ones)"), (kid, kid)):
        for names, whose in ((sane, f"among {among}"), (list(epochs), f"among all, since there are none of {among}")):
            best = _least(epochs, names, key)
            if best is not None:
                return best, f"least mean over both directions of {text}, {whose}; of equals the latest"
    return _last(epochs, kid)


def choose_least(epochs: Epochs, key: str) -> tuple[str, str]:
    """(epoch with the smallest value of one metric, the rule as text). Of equal epochs the later one."""
    best = _least(epochs, epochs, key)
    return (best, f"least {key}; of equals the latest") if best else _last(epochs, key)


def _last(epochs: Epochs, key: str) -> tuple[str, str]:
    return list(epochs)[-1], f"the last, since {key} could not be computed for any"


def _least(epochs: Epochs, names: Iterable[str], key: str) -> str | None:
    """The epoch with the smallest mean of `key` over its directions, the latest of equals; None if no epoch has a value."""
    means = {}
    for name in names:
        values = [values.get(key) for values in epochs[name].values()]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            means[name] = fmean(known)
    return min(reversed(means), key=lambda name: means[name]) if means else None


def relate_all(epochs: Mapping[str, dict[str, Values]], baselines: Baselines, extractor: Extractor) -> list[str]:
    """Adds the metrics that relate another one to the baselines, such as kid_relative. Returns a note for each None."""
    notes = []
    for row in METRICS.values():
        if row.relate:
            notes += relate(epochs, baselines, extractor.metric(row.of), extractor.metric(row.name), row.relate)
    return notes


def relate(
    epochs: Mapping[str, dict[str, Values]],
    baselines: Baselines,
    key: str,
    relative: str,
    how: Callable[[float, float, float], float] = between,
) -> list[str]:
    """Adds the metric `relative` to every epoch: how(value of `key`, its value for untranslated, its value for floor).

    It is None in a direction where the untranslated inputs are not above the floor; returns a note for each of these.
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


def _keeps_content(found: Values, baselines: Baselines, direction: str) -> bool:
    """Whether an epoch keeps colours (positive correlation of input and output) and content (the reconstruction is nearer to its
    own input than two inputs are to each other)."""
    correlation, cycle = found.get("colour_correlation"), found.get("cycle_l1")
    others = baselines["untranslated"][direction].get("others_l1")
    if correlation is not None and "input_output_l1" in found and "cycle_l1" not in found:  # a model of one direction
        return correlation > 0
    return correlation is not None and correlation > 0 and cycle is not None and others is not None and cycle < others
