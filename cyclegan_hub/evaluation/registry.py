"""Every metric: its arguments (a `Subject`), its function and its row in `METRICS`, and the measurement of a subject.

A new metric is a function of a `Subject` and a row; nothing else lists the metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cyclegan_hub import metrics
from cyclegan_hub.evaluation.features import Extractor, SideClassifier
from cyclegan_hub.imaging import images
from cyclegan_hub.models.protocols import MeasuredBy

Values = dict[str, float | None]  # by metric, such as "kid[encoder]"; None where it could not be computed
SUBSET = 1000  # rows in a subset of KID, as in the paper


@dataclass(frozen=True)
class Reference:
    """Features (N, D) of real images of the target domain, with which the outputs of one direction are compared.

    Metrics of quality use `held_out`, those that look for copies `training`. `seed` chooses subsets; for `within_supports` see
    `metrics.alpha_beta_authenticity`.
    """

    extractor: Extractor
    held_out: Tensor
    training: Tensor
    seed: int
    within_supports: bool = False


@dataclass(frozen=True)
class Subject:
    """The outputs of one direction. A field that does not exist for a method is None; metrics that need it are left out.

    Images are uint8 (N, C, S, S). Rows of `inputs`, `outputs` and `reconstruction` (the outputs translated back) correspond; so
    do those of `target` (real images of the target domain) and `identity` (the same images through the generator into it).
    `truth`: the real outputs, for pairs. `others`: the inputs, if the inputs themselves are measured as a baseline.
    `probabilities` (N, 3): the classifier's, of target domain, source domain and neither.
    """

    features: Tensor  # (N, D) of the outputs
    reference: Reference
    inputs_features: Tensor | None = None  # (N, D)
    inputs: Tensor | None = None
    outputs: Tensor | None = None
    reconstruction: Tensor | None = None
    target: Tensor | None = None
    identity: Tensor | None = None
    truth: Tensor | None = None
    others: Tensor | None = None
    probabilities: Tensor | None = None


# ------------------------------------------------------------------------------- functions: a subject -> values by name
def fid(s: Subject) -> Values:
    return {"fid": metrics.fid(s.features, s.reference.held_out)}


def kid(s: Subject) -> Values:
    """KID: the mean over subsets of min(1000, N) images."""
    return {"kid": metrics.kid(s.features, s.reference.held_out, subset_size=_subset_size(s), seed=s.reference.seed).mean}


def kid_spread(s: Subject) -> Values:
    """The standard deviation of KID over the subsets; over subsets of half the images where one would hold them all."""
    size = _subset_size(s)
    if size == len(s.features) == len(s.reference.held_out):
        size //= 2
    return {"kid_std": metrics.kid(s.features, s.reference.held_out, subset_size=size, seed=s.reference.seed).spread}


def _subset_size(s: Subject) -> int:
    return min(SUBSET, len(s.features), len(s.reference.held_out))


def kid_interval(s: Subject) -> Values:
    found = metrics.kid_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"kid_low": found.low, "kid_high": found.high}


def mmd(s: Subject) -> Values:
    """MMD and its interval, times 100."""
    found = metrics.mmd_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"mmd": 100 * found.value, "mmd_low": 100 * found.low, "mmd_high": 100 * found.high}


def mifid(s: Subject) -> Values:
    return {"mifid": metrics.mifid(s.features, s.reference.training)}


def precision_recall(s: Subject) -> Values:
    return asdict(metrics.precision_recall(s.features, s.reference.held_out))


def supports(s: Subject) -> Values:
    real, within = s.reference.held_out, s.reference.within_supports
    return asdict(metrics.alpha_beta_authenticity(s.features, real, within_supports=within))


def authenticity(s: Subject) -> Values:
    return {"authenticity": metrics.alpha_beta_authenticity(s.features, s.reference.training).authenticity}


def diversity(s: Subject) -> Values:
    return {"diversity": metrics.pairwise_diversity(s.features)}


def diversity_share(s: Subject) -> Values:
    """The diversity of the outputs divided by that of the real held-out images."""
    real = metrics.pairwise_diversity(s.reference.held_out)
    if not real:
        raise ValueError("all real images have the same features: there is no diversity to compare with")
    return {"diversity_share": metrics.pairwise_diversity(s.features) / real}


def content(s: Subject) -> Values:
    assert s.inputs_features is not None
    found = metrics.content_kept(s.inputs_features, s.features)
    return {"content_distance": found.distance, "content_share": found.share}


def success(s: Subject) -> Values:
    """The share of outputs that the classifier assigns to the target domain, and the share it assigns to neither."""
    assert s.probabilities is not None
    chosen = s.probabilities.argmax(1)
    return {"success": (chosen == 0).double().mean().item(), "neither": (chosen == 2).double().mean().item()}


def colours(s: Subject) -> Values:
    found = metrics.colour_correlation(*_floats(s, "inputs", "outputs"))
    return {"colour_correlation": found.mean, "inverted": found.inverted}


def others(s: Subject) -> Values:
    """Mean L1 between an input and the next one: about that of a reconstruction that has lost its input. None for one image."""
    assert s.others is not None
    if len(s.others) < 2:
        return {"others_l1": None}
    x = images.from_uint8(s.others)
    return {"others_l1": (x - x.roll(1, 0)).abs().mean().item()}


def _similarity(name: str, first: str, second: str) -> Callable[[Subject], Values]:
    """The function that compares two of a subject's images: NAME_l1, NAME_psnr and NAME_ssim."""
    return lambda s: {f"{name}_{key}": x for key, x in asdict(metrics.similarity(*_floats(s, first, second))).items()}


cycle = _similarity("cycle", "inputs", "reconstruction")
change = _similarity("input_output", "inputs", "outputs")
identity = _similarity("identity", "target", "identity")
truth = _similarity("truth", "truth", "outputs")


def _floats(s: Subject, first: str, second: str) -> tuple[Tensor, Tensor]:
    x, y = (images.from_uint8(getattr(s, name)) for name in (first, second))
    return x, y


def between(value: float, untranslated: float, floor: float) -> float:
    """0 if the value is that of the floor (real images against real ones), 1 if it is that of the untranslated inputs."""
    return (value - floor) / (untranslated - floor)


def share_of_untranslated(value: float, untranslated: float, floor: float) -> float:
    """The value divided by that of the untranslated inputs; models keep the order that they have by the value itself."""
    return value / untranslated


# ---------------------------------------------------------------------------------------------------------- the rows
Better = Literal["smaller is better", "larger is better", "near the floor is better", "below 0: inverted", ""]
SMALLER: Better = "smaller is better"
LARGER: Better = "larger is better"
FLOOR: Better = "near the floor is better"


@dataclass(frozen=True)
class Metric:
    """One metric: its name, which direction is better, how it is computed and formatted.

    `needs` are the fields of a `Subject` that must not be None. A metric `of_features` is computed on the extractor's features,
    and its name carries the extractor's: "kid[encoder]". `relate` computes the metric from another one, called `of`:
    relate(its value, its value for untranslated, its value for floor).
    """

    name: str
    short: str  # heading of a column
    better: Better
    compute: Callable[[Subject], Values] | None = None
    needs: tuple[str, ...] = ()
    of_features: bool = False
    format: str = ".4g"  # Python's format of a number
    column: bool = True  # whether it has a column in the tables; the table of all metrics has it anyway
    curve: bool = False  # whether it has a panel in the curves over the epochs
    limits: tuple[float, float] | None = None  # of the panel's axis
    quick: str = ""  # its name in the quick evaluation during training; "": not part of it
    chooses: tuple[MeasuredBy, ...] = ()  # for which kinds of models the epoch with the smallest value is the best
    of: str = ""
    relate: Callable[[float, float, float], float] | None = None


def _features(name: str, short: str, better: Better, compute: Callable[[Subject], Values] | None, **more: Any) -> Metric:
    return Metric(name, short, better, compute, of_features=True, **more)


_PIXELS = ("inputs", "outputs")

METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        _features("kid", "kid", SMALLER, kid, curve=True, quick="kid", chooses=("sides", "samples")),
        _features("kid_std", "kid std", "", kid_spread),
        _features("kid_low", "kid low", "", kid_interval, column=False),
        _features("kid_high", "kid high", "", kid_interval, column=False),
        _features("kid_relative", "kid rel.", SMALLER, None, of="kid", relate=between),
        _features("mmd", "mmd", SMALLER, mmd, curve=True),
        _features("mmd_low", "mmd low", "", mmd),
        _features("mmd_high", "mmd high", "", mmd),
        _features("mmd_share", "mmd share", SMALLER, None, of="mmd", relate=share_of_untranslated),
        _features("fid", "fid", SMALLER, fid, curve=True),
        _features("mifid", "mifid", SMALLER, mifid),
        _features("precision", "prec.", LARGER, precision_recall, curve=True),
        _features("recall", "recall", LARGER, precision_recall, curve=True),
        _features("density", "density", LARGER, precision_recall, column=False),
        _features("coverage", "cover.", LARGER, precision_recall, curve=True),
        _features("alpha_precision", "alpha-prec.", FLOOR, supports),
        _features("beta_recall", "beta-recall", LARGER, supports),
        _features("integrated_alpha_precision", "int. alpha-prec.", LARGER, supports, column=False),
        _features("integrated_beta_recall", "int. beta-recall", LARGER, supports, column=False),
        _features("authenticity", "authent.", FLOOR, authenticity, curve=True),
        _features("diversity", "diversity", FLOOR, diversity, curve=True),
        _features("diversity_share", "div. share", FLOOR, diversity_share),
        _features("content_distance", "content dist.", "", content, needs=("inputs_features",), column=False),
        _features("content_share", "content share", "", content, needs=("inputs_features",), curve=True),
        Metric("success", "success", LARGER, success, ("probabilities",), curve=True, limits=(0, 1), quick="success"),
        Metric("neither", "neither", SMALLER, success, ("probabilities",), limits=(0, 1)),
        Metric("cycle_l1", "cycle l1", SMALLER, cycle, ("inputs", "reconstruction"), curve=True),
        Metric("cycle_psnr", "cycle psnr", LARGER, cycle, ("inputs", "reconstruction"), column=False),
        Metric("cycle_ssim", "cycle ssim", LARGER, cycle, ("inputs", "reconstruction"), column=False),
        Metric("input_output_l1", "in/out l1", "", change, _PIXELS, column=False),
        Metric("input_output_ssim", "in/out ssim", "", change, _PIXELS),
        Metric("colour_correlation", "colour corr.", "below 0: inverted", colours, _PIXELS, curve=True),
        Metric("inverted", "inverted", SMALLER, colours, _PIXELS, column=False),
        Metric("identity_l1", "identity l1", SMALLER, identity, ("target", "identity")),
        Metric("truth_l1", "L1", SMALLER, truth, ("outputs", "truth"), quick="l1", chooses=("pairs",)),
        Metric("truth_psnr", "PSNR", LARGER, truth, ("outputs", "truth"), curve=True, quick="psnr"),
        Metric("truth_ssim", "SSIM", LARGER, truth, ("outputs", "truth"), curve=True, quick="ssim"),
        Metric("others_l1", "others l1", "", others, ("others",), column=False),
    )
}


def base_name(key: str) -> str:
    """ "kid" for "kid[encoder]": the name of a metric without its extractor."""
    return key.split("[")[0]


def column_heading(key: str) -> str:
    """The heading of a metric's column; for an unknown metric its name."""
    name = base_name(key)
    return METRICS[name].short if name in METRICS else name.replace("_", " ")


def in_order(keys: Iterable[str], wanted: Callable[[Metric], bool] = lambda row: True) -> list[str]:
    """Those of the keys whose metric is `wanted`, in the order of the rows; unknown metrics are left out."""
    there = dict.fromkeys(keys)
    return [key for row in METRICS.values() if wanted(row) for key in there if base_name(key) == row.name]


def format_value(key: str, value: Any, missing: str = "-") -> str:
    """A value as text, in the format of its row (four digits for an unknown metric); `missing` for None."""
    if value is None:
        return missing
    row = METRICS.get(base_name(key))
    return format(value, row.format if row else ".4g") if isinstance(value, float) else str(value)


def selection_metric(measured_by: MeasuredBy) -> Metric:
    """The metric whose smallest value chooses the best epoch of such models."""
    return next(row for row in METRICS.values() if measured_by in row.chooses)


def panels(quick_names: Iterable[str]) -> dict[str, list[str]]:
    """Panel of the loss curves -> the quick evaluation's metrics in it. Metrics with limits have a panel of their own."""
    found: dict[str, list[str]] = {}
    shares = {row.quick: row.name for row in METRICS.values() if row.quick and row.limits}
    for name in quick_names:
        base = next((quick for quick in shares if name.startswith(f"{quick}_")), "")
        found.setdefault(f"held out: {shares[base]}" if base else "held out", []).append(name)
    return found


# ------------------------------------------------------------------------------------------------------- measurement
def measure(subject: Subject, where: str, notes: list[str], wanted: Callable[[Metric], bool] = lambda row: True) -> Values:
    """The values of all `wanted` metrics whose needs the subject fulfils.

    None, and a line of `notes` that names the subject `where`, if one cannot be computed or is not finite.
    """
    found: Values = {}
    groups: dict[Callable[[Subject], Values], dict[str, str]] = {}  # a function that returns several values runs once
    for row in METRICS.values():
        if row.compute and wanted(row) and all(getattr(subject, name) is not None for name in row.needs):
            key = subject.reference.extractor.metric(row.name) if row.of_features else row.name
            groups.setdefault(row.compute, {})[key] = row.name
    for compute, names in groups.items():
        found |= dict.fromkeys(names)
        try:
            values = compute(subject)
        except ValueError as error:
            notes.append(f"{where}: no {', '.join(names)}: {error}")
            continue
        broken: dict[str, list[str]] = {}  # names by the cause
        for key, name in names.items():
            value = values[name]
            if value is None or math.isfinite(value):
                found[key] = None if value is None else float(value)
            else:
                broken.setdefault("too few images, or equal ones," if math.isnan(value) else "two equal images", []).append(key)
        notes += [f"{where}: no {', '.join(those)}: {cause} leave no finite value" for cause, those in broken.items()]
    return found


def classify(classifier: SideClassifier, outputs: Tensor, direction: str) -> Tensor:
    """uint8 images -> (N, 3): the probabilities, 0 to 1, of target domain, source domain and neither."""
    both = classifier(outputs)
    target, source = (both[:, 0], both[:, 1]) if direction == "b_to_a" else (both[:, 1], both[:, 0])
    return torch.stack([target, source, (1 - target - source).clamp(min=0)], 1)
