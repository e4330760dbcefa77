"""The arguments of metrics: outputs of one direction, and the real images and features with which they are compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from cyclegan_hub import metrics
from cyclegan_hub.evaluation.features import Extractor
from cyclegan_hub.imaging import images
from cyclegan_hub.models.protocols import MeasuredBy
from cyclegan_hub.templates import render_markdown


class Classifier(Protocol):
    """Tells side A, side B and (some classifiers) neither of them apart, such as `domain_encoder.SideClassifier`."""

    @property
    def label(self) -> str:
        """Its description in the protocol: name and hash of the weights."""
        ...

    def __call__(self, images: Tensor, /) -> Tensor:
        """uint8 (N, C, H, W) -> (N, 2): the probabilities of side A and side B; the remainder to 1 is that of neither."""
        ...


@dataclass(frozen=True)
class Reference:
    """Features (N, D) of real images of the target side, with which the outputs of one direction are compared.

    Figures of quality use `held_out`, those that look for copies `training`. `seed` chooses subsets, `within_supports` says how
    alpha-precision and beta-recall are counted (see `metrics.alpha_beta_authenticity`).
    """

    extractor: Extractor
    held_out: Tensor
    training: Tensor
    seed: int
    within_supports: bool = False


@dataclass(frozen=True)
class Subject:
    """The outputs of one direction. A field that does not exist for a method is None; metrics that need it are left out.

    Images are uint8 (N, C, S, S). Rows of `inputs`, `outputs` and `back` (the outputs translated back) belong together; so do
    those of `target` (real images of the target side) and `identity` (the same images through the generator into that side).
    `truth`: the real outputs, for pairs. `others`: the inputs, if the inputs themselves are measured as a baseline.
    `answers` (N, 3): the classifier's probabilities of target side, source side and neither.
    """

    features: Tensor  # (N, D) of the outputs
    reference: Reference
    inputs_features: Tensor | None = None  # (N, D)
    inputs: Tensor | None = None
    outputs: Tensor | None = None
    back: Tensor | None = None
    target: Tensor | None = None
    identity: Tensor | None = None
    truth: Tensor | None = None
    others: Tensor | None = None
    answers: Tensor | None = None


# Computes each metric: functions of a `Subject` that return figures by their names in `metric_rows`.


SUBSET = 1000  # rows in a subset of KID, as in the paper
Found = Mapping[str, float | None]


def fid(s: Subject) -> Found:
    return {"fid": metrics.fid(s.features, s.reference.held_out)}


def kid(s: Subject) -> Found:
    """KID: the mean over subsets of min(1000, N) images."""
    found = metrics.kid(s.features, s.reference.held_out, subset_size=_most(s), seed=s.reference.seed)
    return {"kid": found.mean}


def kid_spread(s: Subject) -> Found:
    """The standard deviation of KID over the subsets; over subsets of half the images where one would hold them all."""
    most = _most(s)
    size = most // 2 if most == len(s.features) == len(s.reference.held_out) else most
    return {"kid_std": metrics.kid(s.features, s.reference.held_out, subset_size=size, seed=s.reference.seed).spread}


def _most(s: Subject) -> int:
    return min(SUBSET, len(s.features), len(s.reference.held_out))


def kid_ends(s: Subject) -> Found:
    found = metrics.kid_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"kid_low": found.low, "kid_high": found.high}


def mmd(s: Subject) -> Found:
    """MMD and its interval, times 100."""
    found = metrics.mmd_interval(s.features, s.reference.held_out, seed=s.reference.seed)
    return {"mmd": 100 * found.value, "mmd_low": 100 * found.low, "mmd_high": 100 * found.high}


def mifid(s: Subject) -> Found:
    return {"mifid": metrics.mifid(s.features, s.reference.training)}


def neighbours(s: Subject) -> Found:
    return asdict(metrics.precision_recall(s.features, s.reference.held_out))


def supports(s: Subject) -> Found:
    real, within = s.reference.held_out, s.reference.within_supports
    found = asdict(metrics.alpha_beta_authenticity(s.features, real, within_supports=within))
    return {name: found[name] for name in found if name != "authenticity"}


def authenticity(s: Subject) -> Found:
    return {"authenticity": metrics.alpha_beta_authenticity(s.features, s.reference.training).authenticity}


def diversity(s: Subject) -> Found:
    return {"diversity": metrics.pairwise_diversity(s.features)}


def diversity_share(s: Subject) -> Found:
    """The diversity of the outputs divided by that of the real held-out images."""
    real = metrics.pairwise_diversity(s.reference.held_out)
    if not real:
        raise ValueError("all real images have the same features: there is no diversity to compare with")
    return {"diversity_share": metrics.pairwise_diversity(s.features) / real}


def content(s: Subject) -> Found:
    assert s.inputs_features is not None
    found = metrics.content_kept(s.inputs_features, s.features)
    return {"content_distance": found.distance, "content_share": found.share}


def success(s: Subject) -> Found:
    """The share of outputs that the classifier takes for the target side, rather than for the source side or neither."""
    assert s.answers is not None
    return {
        "success": (s.answers.argmax(1) == 0).double().mean().item(),
        "neither": (s.answers.argmax(1) == 2).double().mean().item(),
    }


def cycle(s: Subject) -> Found:
    found = _similarity(s.inputs, s.back)
    return {"cycle_l1": found.l1, "cycle_psnr": found.psnr, "cycle_ssim": found.ssim}


def change(s: Subject) -> Found:
    found = _similarity(s.inputs, s.outputs)
    return {"input_output_l1": found.l1, "input_output_ssim": found.ssim}


def colours(s: Subject) -> Found:
    found = metrics.colour_correlation(*_floats(s.inputs, s.outputs))
    return {"colour_correlation": found.mean, "inverted": found.inverted}


def identity(s: Subject) -> Found:
    return {"identity_l1": _similarity(s.target, s.identity).l1}


def truth(s: Subject) -> Found:
    found = _similarity(s.truth, s.outputs)
    return {"truth_l1": found.l1, "truth_psnr": found.psnr, "truth_ssim": found.ssim}


def others(s: Subject) -> Found:
    """Mean L1 between an input and the next one: about the L1 of a way back that has lost its input. None for one image."""
    assert s.others is not None
    if len(s.others) < 2:
        return {"others_l1": None}
    x = images.from_uint8(s.others)
    return {"others_l1": (x - x.roll(1, 0)).abs().mean().item()}


def _similarity(x: Tensor | None, y: Tensor | None) -> metrics.Similarity:
    return metrics.similarity(*_floats(x, y))


def _floats(*parts: Any) -> tuple[Tensor, Tensor]:
    x, y = (images.from_uint8(part) for part in parts)
    return x, y


# Every metric, one row each. A new one is a row here and its function in `metric_functions`; nothing else lists them.


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
    compute: Callable[[Subject], Found] | None = None
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


def _features(name: str, short: str, better: Better, compute: Callable[[Subject], Found] | None, **more: Any) -> Metric:
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
        _features("kid", "kid", SMALLER, kid, curve=True, quick="kid", chooses=("sides", "samples")),
        _features("kid_std", "kid std", "", kid_spread),
        _features("kid_low", "kid low", "", kid_ends, column=False),
        _features("kid_high", "kid high", "", kid_ends, column=False),
        _features("kid_relative", "kid rel.", SMALLER, None, of="kid", relate=between),
        _features("mmd", "mmd", SMALLER, mmd, curve=True),
        _features("mmd_low", "mmd low", "", mmd),
        _features("mmd_high", "mmd high", "", mmd),
        _features("mmd_share", "mmd share", SMALLER, None, of="mmd", relate=share_of_untranslated),
        _features("fid", "fid", SMALLER, fid, curve=True),
        _features("mifid", "mifid", SMALLER, mifid),
        _features("precision", "prec.", LARGER, neighbours, curve=True),
        _features("recall", "recall", LARGER, neighbours, curve=True),
        _features("density", "density", LARGER, neighbours, column=False),
        _features("coverage", "cover.", LARGER, neighbours, curve=True),
        _features("alpha_precision", "alpha-prec.", FLOOR, supports),
        _features("beta_recall", "beta-recall", LARGER, supports),
        _features("integrated_alpha_precision", "int. alpha-prec.", LARGER, supports, column=False),
        _features("integrated_beta_recall", "int. beta-recall", LARGER, supports, column=False),
        _features("authenticity", "authent.", FLOOR, authenticity, curve=True),
        _features("diversity", "diversity", FLOOR, diversity, curve=True),
        _features("diversity_share", "div. share", FLOOR, diversity_share),
        _features("content_distance", "content dist.", "", content, needs=("inputs_features",), column=False),
        _features("content_share", "content share", "", content, needs=("inputs_features",), curve=True),
        Metric("success", "success", LARGER, success, ("answers",), curve=True, limits=(0, 1), quick="success"),
        Metric("neither", "neither", SMALLER, success, ("answers",), limits=(0, 1)),
        Metric("cycle_l1", "cycle l1", SMALLER, cycle, ("inputs", "back"), curve=True),
        Metric("cycle_psnr", "cycle psnr", LARGER, cycle, ("inputs", "back"), column=False),
        Metric("cycle_ssim", "cycle ssim", LARGER, cycle, ("inputs", "back"), column=False),
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


# Computes the figures of one subject, by the rows of `metric_rows`.


Figures = dict[str, float | None]


@dataclass
class Notes:
    """Why figures are missing, a line each."""

    lines: list[str] = field(default_factory=list)

    def attempt(self, where: str, names: Sequence[str], compute: Callable[[], Sequence[float | None]]) -> Figures:
        """The values of `compute` by name. None, and a note, if it raises ValueError or a value is not finite."""
        try:
            values = compute()
        except ValueError as error:
            self.lines.append(f"{where}: no {', '.join(names)}: {error}")
            return dict.fromkeys(names)
        figures: Figures = {}
        broken: dict[str, list[str]] = {}  # names by the cause
        for name, value in zip(names, values, strict=True):
            figures[name] = float(value) if value is not None and math.isfinite(value) else None
            if value is not None and figures[name] is None:
                broken.setdefault("too few images, or equal ones," if math.isnan(value) else "two equal images", []).append(name)
        self.lines += [f"{where}: no {', '.join(those)}: {cause} leave no finite value" for cause, those in broken.items()]
        return figures


def measure(subject: Subject, where: str, notes: Notes, wanted: Callable[[Metric], bool] = lambda row: True) -> Figures:
    """The figures of all `wanted` metrics whose needs the subject fulfils; notes name the subject `where`."""
    found: Figures = {}
    groups: dict[Callable[[Subject], Found], list[Metric]] = {}  # a function that gives several figures runs once
    for row in METRICS.values():
        if row.compute and wanted(row) and all(getattr(subject, name) is not None for name in row.needs):
            groups.setdefault(row.compute, []).append(row)
    for compute, rows in groups.items():
        keys = [subject.reference.extractor.metric(row.name) if row.of_features else row.name for row in rows]

        def values(compute: Callable[[Subject], Found] = compute, rows: list[Metric] = rows) -> list[float | None]:
            figures = compute(subject)
            return [figures[row.name] for row in rows]

        found |= notes.attempt(where, keys, values)
    return found


def answers_for(classifier: Classifier, outputs: Tensor, direction: str) -> Tensor:
    """uint8 images -> (N, 3): the probabilities, 0 to 1, of target side, source side and neither."""
    sides = classifier(outputs)
    target, source = (sides[:, 0], sides[:, 1]) if direction == "b_to_a" else (sides[:, 1], sides[:, 0])
    return torch.stack([target, source, (1 - target - source).clamp(min=0)], 1)


def nearest_to(generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (distance (N,) of each row of `generated` (N, D) to the nearest row of `real` (M, D), index (N,) of that row)."""
    found = torch.cdist(generated.double(), real.double()).min(1)
    return found.values, found.indices


def distance_to(generated: Tensor, real: Tensor) -> Tensor:
    """The distance (N,) of each row of `generated` to the nearest row of `real`."""
    return nearest_to(generated, real)[0]


# Tables of an evaluation's figures, for the screen, Markdown and HTML.


Rows = Sequence[Sequence[str]]


def arrows(labels: tuple[str, ...]) -> dict[str, str]:
    """Direction -> its words, such as "photo → Monet"; with one label "samples: face"."""
    if len(labels) == 1:
        return {"samples": f"samples: {labels[0]}"}
    a, b = labels
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}"}


def measured(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> dict[str, str]:
    """The directions of an evaluation -> their words."""
    there = next(iter(metrics["epochs"].values()))
    named = arrows(labels[-1:] if "samples" in there else labels)
    return {direction: arrow for direction, arrow in named.items() if direction in there}


def table(metrics: Mapping[str, Any], direction: str, *, every: bool = False) -> Rows:
    """A table with headings and a row for each epoch and baseline. Only metrics with a column, or (`every`) all of them."""
    lines = {name: values[direction] for name, values in metrics["epochs"].items()}
    lines |= {name: values[direction] for name, values in metrics["baselines"].items() if direction in values}
    there = dict.fromkeys(key for values in lines.values() for key in values)
    shown = list(there) if every else in_order(there, lambda row: row.column)
    head = ["epoch", *(key if every else column_heading(key) for key in shown)]
    rows = [
        [marked(name, metrics["best"]), *(written(key, v[key]) if key in v else "" for key in shown)] for name, v in lines.items()
    ]
    return [head, *rows]


def as_text(rows: Rows) -> str:
    """The table as text for a screen: first column aligned left, numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def as_markdown(rows: Rows) -> str:
    """A Markdown table, every cell escaped: the first column to the left, numbers to the right."""
    return render_markdown("table.md", rows=rows).rstrip("\n")


def screen(metrics: Mapping[str, Any], labels: tuple[str, ...]) -> str:
    """The printed text of an evaluation: a table for each direction, the classifier, the best epoch and the notes."""
    parts = []
    for direction, arrow in measured(metrics, labels).items():
        counts = ", ".join(f"n = {metrics['protocol'][key]}" for key in counts_of(metrics, direction))
        parts.append(f"{arrow} ({counts}; {metrics['extractor']})\n{as_text(table(metrics, direction))}")
    if judge := metrics["classifier"]:
        sides = ((f"accuracy_{side}", label) for side, label in (("a", labels[0]), ("b", labels[-1])))
        right = ", ".join(f"{written(key, judge[key])} of the {label}" for key, label in sides if key in judge)
        parts.append(f"classifier: {judge['name']}; right on {right} that are held out here")
    parts.append(f"best: {metrics['best']} ({metrics['rule']})")
    if metrics["notes"]:
        parts.append("\n".join(f"note: {line}" for line in metrics["notes"]))
    return "\n\n".join(parts)


def compare(results: Mapping[str, Mapping[str, Any]], labels: tuple[str, ...]) -> dict[str, Rows]:
    """A table for each direction (key: its words) with the best epoch of each source, and the baselines.

    A source that lacks a direction is not in its table; samples are in the table of the translations into the same label.
    """
    tables: dict[str, Rows] = {}
    for direction, arrow in arrows(labels).items():
        lines: dict[str, Mapping[str, Any]] = {}
        baselines: dict[str, Mapping[str, Any]] = {}
        for name, m in results.items():
            own = "samples" if direction == "a_to_b" and "samples" in m["epochs"][m["best"]] else direction
            if own in m["epochs"][m["best"]]:
                lines[f"{name}, {m['best']}"] = m["epochs"][m["best"]][own]
                for baseline, values in m["baselines"].items():
                    if own in values:
                        baselines.setdefault(baseline, values[own])
        if not lines:
            continue
        lines |= baselines
        there = dict.fromkeys(key for values in lines.values() for key in values)
        shown = in_order(there, lambda row: row.column)
        head = ["source", *map(column_heading, shown)]
        cells = {name: [written(key, v[key]) if key in v else "" for key in shown] for name, v in lines.items()}
        tables[arrow] = [head, *([name, *row] for name, row in cells.items())]
    return tables


def counts_of(metrics: Mapping[str, Any], direction: str) -> list[str]:
    """Keys of the protocol with the numbers of outputs and of real images of the target side."""
    names = {"a_to_b": ("n_a", "n_b"), "b_to_a": ("n_b", "n_a"), "samples": ("n_samples", "n_b", "n_a")}[direction]
    return [name for name in names if name in metrics["protocol"]][:2]


def marked(name: str, best: str) -> str:
    """The name of a row, with a star for the best epoch."""
    return f"{name} *" if name == best else name
