"""Every metric, one row each. A new one is a row here and its function in `metric_functions`; nothing else lists them.

The evaluation, the choice of an epoch, the tables, the curves, the report, the cards and the quick evaluation during training all
read these rows. Columns, panels and figures have the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from cyclegan_hub.evaluation import metric_functions as of
from cyclegan_hub.evaluation.subject import Subject
from cyclegan_hub.models.protocols import MeasuredBy

Better = Literal["smaller is better", "larger is better", "near the floor is better", "below 0: inverted", ""]
SMALLER: Better = "smaller is better"
LARGER: Better = "larger is better"
FLOOR: Better = "near the floor is better"


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, which way is better, how it is computed and how it is written.

    `needs` are the fields of a `Subject` that must not be None. A metric `of_features` is computed on the extractor's features,
    and its figures carry the extractor's name: "kid[encoder]". `relate` computes the metric from another one, called `of`:
    relate(its value, its value for untranslated, its value for floor).
    """

    name: str
    short: str  # heading of a column
    better: Better
    compute: Callable[[Subject], of.Found] | None = None
    needs: tuple[str, ...] = ()
    of_features: bool = False
    written: str = ".4g"  # Python's format of a number
    column: bool = True  # whether it has a column in the tables; the table of all metrics has it anyway
    curve: bool = False  # whether it has a panel in the curves over the epochs
    limits: tuple[float, float] | None = None  # of the panel's axis
    quick: str = ""  # its name in the quick evaluation during training; "": not part of it
    chooses: tuple[MeasuredBy, ...] = ()  # for which kinds of models the epoch with the least value is the best
    of: str = ""
    relate: Callable[[float, float, float], float] | None = None


def _features(name: str, short: str, better: Better, compute: Callable[[Subject], of.Found] | None, **more: Any) -> Metric:
    return Metric(name, short, better, compute, of_features=True, **more)


def between(value: float, untranslated: float, floor: float) -> float:
    """0 if the value is that of the floor (real images against real ones), 1 if it is that of the untranslated inputs."""
    return (value - floor) / (untranslated - floor)


def share_of_untranslated(value: float, untranslated: float, floor: float) -> float:
    """The value divided by that of the untranslated inputs; the order of models stays that of the figure itself."""
    return value / untranslated


_PIXELS = ("inputs", "outputs")

METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        _features("kid", "kid", SMALLER, of.kid, curve=True, quick="kid", chooses=("sides", "samples")),
        _features("kid_std", "kid std", "", of.kid_spread),
        _features("kid_low", "kid low", "", of.kid_ends, column=False),
        _features("kid_high", "kid high", "", of.kid_ends, column=False),
        _features("kid_relative", "kid rel.", SMALLER, None, of="kid", relate=between),
        _features("mmd", "mmd", SMALLER, of.mmd, curve=True),
        _features("mmd_low", "mmd low", "", of.mmd),
        _features("mmd_high", "mmd high", "", of.mmd),
        _features("mmd_share", "mmd share", SMALLER, None, of="mmd", relate=share_of_untranslated),
        _features("fid", "fid", SMALLER, of.fid, curve=True),
        _features("mifid", "mifid", SMALLER, of.mifid),
        _features("precision", "prec.", LARGER, of.neighbours, curve=True),
        _features("recall", "recall", LARGER, of.neighbours, curve=True),
        _features("density", "density", LARGER, of.neighbours, column=False),
        _features("coverage", "cover.", LARGER, of.neighbours, curve=True),
        _features("alpha_precision", "alpha-prec.", FLOOR, of.supports),
        _features("beta_recall", "beta-recall", LARGER, of.supports),
        _features("integrated_alpha_precision", "int. alpha-prec.", LARGER, of.supports, column=False),
        _features("integrated_beta_recall", "int. beta-recall", LARGER, of.supports, column=False),
        _features("authenticity", "authent.", FLOOR, of.authenticity, curve=True),
        _features("diversity", "diversity", FLOOR, of.diversity, curve=True),
        _features("diversity_share", "div. share", FLOOR, of.diversity_share),
        _features("content_distance", "content dist.", "", of.content, needs=("inputs_features",), column=False),
        _features("content_share", "content share", "", of.content, needs=("inputs_features",), curve=True),
        Metric("success", "success", LARGER, of.success, ("answers",), curve=True, limits=(0, 1), quick="success"),
        Metric("neither", "neither", SMALLER, of.success, ("answers",), limits=(0, 1)),
        Metric("cycle_l1", "cycle l1", SMALLER, of.cycle, ("inputs", "back"), curve=True),
        Metric("cycle_psnr", "cycle psnr", LARGER, of.cycle, ("inputs", "back"), column=False),
        Metric("cycle_ssim", "cycle ssim", LARGER, of.cycle, ("inputs", "back"), column=False),
        Metric("input_output_l1", "in/out l1", "", of.change, _PIXELS, column=False),
        Metric("input_output_ssim", "in/out ssim", "", of.change, _PIXELS),
        Metric("colour_correlation", "colour corr.", "below 0: inverted", of.colours, _PIXELS, curve=True),
        Metric("inverted", "inverted", SMALLER, of.colours, _PIXELS, column=False),
        Metric("identity_l1", "identity l1", SMALLER, of.identity, ("target", "identity")),
        Metric("truth_l1", "L1", SMALLER, of.truth, ("outputs", "truth"), quick="l1", chooses=("pairs",)),
        Metric("truth_psnr", "PSNR", LARGER, of.truth, ("outputs", "truth"), curve=True, quick="psnr"),
        Metric("truth_ssim", "SSIM", LARGER, of.truth, ("outputs", "truth"), curve=True, quick="ssim"),
        Metric("others_l1", "others l1", "", of.others, ("others",), column=False),
    )
}


def base_name(key: str) -> str:
    """ "kid" for "kid[encoder]": the name of a figure without its extractor."""
    return key.split("[")[0]


def column_heading(key: str) -> str:
    """The heading of a figure's column; for an unknown metric its name."""
    name = base_name(key)
    return METRICS[name].short if name in METRICS else name.replace("_", " ")


def in_order(keys: Iterable[str], wanted: Callable[[Metric], bool]) -> list[str]:
    """The figures whose metric is `wanted`, in the order of the rows."""
    there = dict.fromkeys(keys)
    return [key for row in METRICS.values() if wanted(row) for key in there if base_name(key) == row.name]


def written(key: str, value: Any, missing: str = "-") -> str:
    """A figure as text, in the format of its row (four digits for an unknown metric); `missing` for None."""
    if value is None:
        return missing
    row = METRICS.get(base_name(key))
    return format(value, row.written if row else ".4g") if isinstance(value, float) else str(value)


def choosing(measured_by: MeasuredBy) -> Metric:
    """The metric that chooses the best epoch of such models by its least value."""
    return next(row for row in METRICS.values() if measured_by in row.chooses)


def panels(quick_names: Iterable[str]) -> dict[str, list[str]]:
    """Panel of the loss curves -> the figures of the quick evaluation in it. Figures with limits have a panel of their own."""
    found: dict[str, list[str]] = {}
    shares = {row.quick: row.name for row in METRICS.values() if row.quick and row.limits}
    for name in quick_names:
        base = next((quick for quick in shares if name.startswith(f"{quick}_")), "")
        found.setdefault(f"held out: {shares[base]}" if base else "held out", []).append(name)
    return found
