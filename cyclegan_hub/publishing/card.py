"""The card of a published model, from the template of its method, its limits, and the records of its run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import metadata as package_metadata
from itertools import accumulate
from statistics import median
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from PIL import Image

from cyclegan_hub import free_images
from cyclegan_hub.domains import DOMAINS, recorded_splits
from cyclegan_hub.errors import counted
from cyclegan_hub.evaluation.groups import GroupTable
from cyclegan_hub.evaluation.record import Metrics, number
from cyclegan_hub.evaluation.registry import base_name, format_value
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.hub.provenance import Provenance, known_note, provenance_of
from cyclegan_hub.hub.records import RunRecord, changed_weights, epoch_order, training_time
from cyclegan_hub.imaging import grids, images
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.protocols import Translator, arrow
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
from cyclegan_hub.recipes.presets import tuned_on
from cyclegan_hub.templates import definitions, render_markdown

# The most important fields of a recipe, in the order of the card's table; fields that a method does not have are left out.
_SHOWN = ("image_size", "crop_size", "channels", "side", "pairs", "latent", "gen_channels", "generator", "width", "blocks",
          "noise", "minibatch_deviation",
          "upsample", "skip", "discriminator", "disc_channels", "source_negatives", "adversarial", "adversarial_weight", "l1",
          "cycle", "own_cycle", "identity_a", "identity_b", "pool_size", "diffaugment", "batch_size", "epochs", "lr", "decay",
          "ema")  # fmt: skip
# The metrics above the fold and in the model-index, at most three: of each line the first that was measured, with its meaning.
_HEADLINES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("success",), "Outputs that a small classifier takes for the target domain"),
    (("truth_psnr",), "Likeness to the true output (PSNR in dB, higher is better)"),
    (("mmd", "kid", "fid"), "Distance from real images ({metric}, lower is better)"),
    (("coverage", "recall"), "Variety, as the share of real images that some output is close to"),
    (("authenticity",), "Outputs that are no near copies of training images"),
)
_MOST_HEADLINES = 3
_BASELINES = (("untranslated", "untranslated inputs"), ("floor", "real images"))
# Words above the fold; with the template's own, a card stays below 500.
_FAILURE_WORDS, _LIMIT_WORDS, _NOTE_WORDS = 140, 140, 70


@dataclass(frozen=True)
class Facts:
    """What a card is made of, besides its templates."""

    repo_id: str  # what `from_pretrained` takes
    kind: type[Model]  # the class that the epochs' config.json names
    config: Mapping[str, Any]  # config.json of the chosen epoch
    run: RunRecord
    history: Sequence[Mapping[str, Any]]  # history.jsonl
    processes: int
    epochs: Sequence[str]  # published ones, ascending
    chosen: str
    metrics: Metrics | None
    dtype: str  # of the weights
    failures: Sequence[str] = ()  # known failures, a sentence each
    on_hub: bool = True  # False: `repo_id` is a folder, such as "pretrained/smile"


def render(facts: Facts) -> str:
    """The card as text: YAML metadata for the Hub, then Markdown. Raises TemplateError for a template that is wrong.

    What a reader needs at once stands above a fold (`<details>`), in at most 500 words; the run's whole record is below it.
    """
    run, kind, metrics, domain = facts.run, facts.kind, facts.metrics, facts.config["domain"]
    recipe, labels = run["recipe"], tuple(run["labels"])
    rule, size, light = PAIR_RULES[facts.config.get("pairs", "given")], recipe["image_size"], light_evaluation(facts.history)
    provenance = provenance_of(run)
    note = provenance.text.split()
    cut = provenance.text if len(note) <= _NOTE_WORDS else f"{' '.join(note[:_NOTE_WORDS])} … (in full below)"
    limits = limits_of(domain, labels, run, kind, cut)
    weak, failures = _parted(facts)
    shown = within(failures, _FAILURE_WORDS)
    short_limits = [" ".join(limit.split()) for limit in limits["limits"]]
    groups = GroupTable.of(metrics)
    text = render_markdown(kind.card_template, **vars(facts) | limits | {
        "title": kind.title.format(a=labels[0], b=labels[-1]), "a": labels[0], "b": labels[-1], "labels": labels,
        "image_size": size, "taken_size": size // rule.scale if rule.enlarges else size, "rule": rule, "recipe": recipe,
        "why_chosen": "the best by the evaluation below" if metrics else "the last, as there is no evaluation of all",
        "shows_faces": shows_faces(domain), "sources": _sources(facts),
        "datasets": known_note(run["data"]).get("text", ""), "hardware": run.get("hardware", []), "light": light,
        "cost": cost_of(facts.history, recipe["batch_size"] * facts.processes, run.get("seconds")), "unit": kind.batch_unit,
        "warnings": warnings_of(facts.history), "init": run.get("init"), "changes": changes_of(run),
        "tuned_on": tuned_on(recipe["name"]), "measured": bool(metrics or light),
        "fields": [(name, json.dumps(recipe[name])) for name in _SHOWN if recipe.get(name) is not None],
        "evaluation": evaluation_of(metrics, labels, facts.chosen), "outputs": kind.outputs_called,
        "headlines": headlines(metrics, facts.chosen) if metrics else [], "counts": _counts(metrics),
        "weak": weak, "failures": shown, "hidden_failures": failures[len(shown) :],
        "shown_limits": within(short_limits, _LIMIT_WORDS - sum(len(line.split()) for line in shown)),
        "with_discriminator": bool(recipe.get("adversarial_weight", recipe.get("adversarial"))),
        "source_url": project_url("Source"), "demo_url": project_url("Demo"),
        "note_continued": provenance.text if cut != provenance.text else "",
        "groups": groups, "groups_arrow": arrow(groups.direction, labels) if groups else "",
    })  # fmt: skip
    return str(ModelCard(f"---\n{_metadata(facts, provenance).to_yaml()}\n---\n\n{_tidy(text)}"))


def _tidy(text: str) -> str:
    """The text without the empty lines of parts that are left out."""
    return re.sub(r"\n{3,}", "\n\n", text)


def project_url(name: str) -> str | None:
    """A URL of `[project.urls]` in pyproject.toml by its name; None where there is none, or the package is not installed."""
    try:
        lines = package_metadata("cyclegan_hub").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    return dict(line.split(", ", 1) for line in lines).get(name)


def within(texts: Sequence[str], words: int) -> list[str]:
    """The first of some texts that together have at most `words` words."""
    totals = accumulate(len(text.split()) for text in texts)
    return [text for text, total in zip(texts, totals, strict=True) if total <= words]


def _parted(facts: Facts) -> tuple[list[tuple[str, str]], list[str]]:
    """(What failures.txt says of whole directions, the other known failures).

    A line about a direction begins with it: "anime face → human face: few pass for a photograph."
    """
    weak, others = [], []
    arrows = {arrow(direction, facts.run["labels"]) for direction in facts.kind.directions}
    for line in facts.failures:
        direction, _, finding = line.partition(":")
        if direction in arrows:
            weak.append((direction, finding.strip()))
        else:
            others.append(line)
    return weak, others


# ------------------------------------------------------------------------------------------------ above the fold: numbers
def headline_metrics(metrics: Metrics, epoch: str) -> dict[str, str]:
    """The metrics that stand for an epoch, at most three -> their meaning. `success` needs its classifier's accuracy."""
    there = {name for direction, values in metrics.epochs.get(epoch, {}).items() for name, value in values.items()
             if value is not None and (name != "success" or metrics.accuracy(direction) is not None)}  # fmt: skip
    found: dict[str, str] = {}
    for bases, meaning in _HEADLINES:
        name = next((name for base in bases for name in sorted(there) if base_name(name) == base), None)
        if name and len(found) < _MOST_HEADLINES:
            found[name] = meaning.format(metric=_upper(name))
    return found


def headlines(metrics: Metrics, epoch: str) -> list[tuple[str, str]]:
    """(Meaning, a sentence with the epoch's values in every direction and those of the baselines) of each headline metric."""
    found = []
    sources = [("", metrics.epochs.get(epoch, {})), *((f"{text} ", metrics.baselines.get(name, {})) for name, text in _BASELINES)]
    for metric, meaning in headline_metrics(metrics, epoch).items():
        parts = []
        for text, directions in sources:
            named = len(directions) > 1 and not text
            values = [f"{_short(metric, value)}{f' ({direction})' if named else ''}" for direction, by_name in directions.items()
                      if (value := by_name.get(metric)) is not None]  # fmt: skip
            if values:
                parts.append(text + " and ".join(values))
        found.append((meaning, "; ".join(parts) + "."))
    return found


def _short(metric: str, value: float) -> str:
    """A value above the fold: shares in percent, others with one digit after the point, or two where they are small."""
    if base_name(metric) in ("success", "coverage", "recall", "authenticity"):
        return f"{100 * value:.1f}".removesuffix(".0") + "%"
    return f"{value:.1f}" if abs(value) >= 1 else f"{round(value, 2) + 0.0:.2f}"  # never -0.00


def _upper(metric: str) -> str:
    """ "MMD, imagenet features" for "mmd[imagenet]"."""
    name, _, extractor = metric.partition("[")
    return name.upper() + (f" of {extractor.rstrip(']').replace('imagenet', 'ImageNet')} features" if extractor else "")


def _counts(metrics: Metrics | None) -> str:
    """How many images were measured, "200 + 150"; empty where it was not recorded."""
    protocol = metrics.protocol if metrics else {}
    return " + ".join(f"{protocol[name]:,}" for name in ("n_a", "n_b") if isinstance(protocol.get(name), int))


# ------------------------------------------------------------------------------------------------ the front matter
def _metadata(facts: Facts, provenance: Provenance) -> ModelCardData:
    info = facts.kind._hub_mixin_info.model_card_data
    example = {"src": EXAMPLE} if facts.kind.takes_pictures else {"text": "seed 0"}
    extra: dict[str, Any] = {"widget": [example | {"output": {"url": SAMPLES}}]}
    if datasets := {name for name in map(_dataset, facts.run["data"].values()) if name}:
        extra["datasets"] = sorted(datasets)
    if results := list(_results(facts, info.pipeline_tag or "")):
        extra |= {"model_name": facts.repo_id.split("/")[-1], "eval_results": results}
    extra |= provenance.metadata(facts.repo_id if facts.on_hub else None)
    return ModelCardData(library_name=info.library_name, pipeline_tag=info.pipeline_tag, tags=list(info.tags or []), **extra)


def _dataset(source: str) -> str | None:
    """The Hub's name of a run's data source; None for local files."""
    splits = recorded_splits(source)
    return splits[0].dataset if splits else None


def _results(facts: Facts, task: str) -> Iterator[EvalResult]:
    """The published epoch's headline metrics for the Hub's model-index; metrics.json holds the full protocol."""
    metrics, data = facts.metrics, facts.run["data"]
    if metrics is None:
        return
    # The conditions are written once, with a direction's first metric.
    conditions = ({"extractor": metrics.extractor} if metrics.extractor else {}) | metrics.other | metrics.protocol
    conditions = {k: conditions[k] for k in ("extractor", "n_a", "n_b", "n_samples", "image_size") if k in conditions}
    for direction, values in metrics.epochs.get(facts.chosen, {}).items():
        # Outputs are compared with real images of the target domain.
        source = data["b" if direction == "a_to_b" and "b" in data else "a"]
        accuracy, args = metrics.accuracy(direction), conditions
        for metric in headline_metrics(metrics, facts.chosen):
            success = base_name(metric) == "success"
            if values.get(metric) is None or (success and accuracy is None):
                continue
            args = args | ({"accuracy_on_real_images": accuracy} if success else {})
            yield EvalResult(
                task_type=task, task_name=arrow(direction, facts.run["labels"]), metric_name=f"{metric} ({direction})",
                metric_type=metric.replace("[", "-").rstrip("]"),  # a plain name: not a metric of the Hub with other features
                metric_value=values[metric], metric_args=args or None,
                dataset_type=_dataset(source) or "custom", dataset_name=source,
                dataset_config=direction,  # without it the client would merge the directions
            )  # fmt: skip
            args = {}


# --------------------------------------------------------------------------- the data, the history and the evaluation
def _sources(facts: Facts) -> list[tuple[str, str]]:
    """(label, source) of each image set that the run recorded."""
    data, labels = facts.run["data"], facts.run["labels"]
    if len(data) == 2:
        heads = [f"{side.upper()}, {label}" for side, label in zip("ab", labels, strict=True)]
    else:
        heads = [f"pairs of {' and '.join(labels)}" if facts.config.get("pairs") == "given" else labels[-1]]
    return list(zip(heads, data.values(), strict=True))


def cost_of(history: Sequence[Mapping[str, Any]], batch: int, measured: float | None = None) -> dict[str, Any] | None:
    """The cost from the lines of the history; None if no line holds a speed. `batch`: pairs or images in one step.

    `measured`: the seconds of training, where the run's record has them.
    """
    lines = [line for line in history if line.get("pairs_per_s")]
    if not lines:
        return None
    seconds, steps = training_time(lines, batch)
    seconds = measured or seconds
    return {
        "steps": steps, "batch": batch, "seen": steps * batch, "epochs": f"{lines[-1]['epoch']:g}",
        "length": f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.1f} minutes",
        "speed": f"{median(line['pairs_per_s'] for line in lines):.1f}",
    }  # fmt: skip


def changes_of(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Changes of a run after its start, as (heading, text): more epochs, another cycle weight or number of processes."""
    rows = []
    for one in run.get("extended", []):
        text = f"at step {one['step']:,} from {one['from']['epochs']} to {counted(one['to']['epochs'], 'epoch')}"
        if "decay" in one["to"] and "rate" in one:
            before, now = one["rate"]
            text += f"; the learning rate went from {before:g} to {now:g} of lr"
        rows.append(("extended", text + changed_weights(one)))
    for one in run.get("inexact_resumes", []):
        before, now = one["processes"]
        rows.append(("resumed inexactly", f"at step {one['step']:,} with {counted(now, 'process')} instead of {before}"))
    return rows


def warnings_of(history: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """The warnings of a training, with the number of times that each was given."""
    return list(Counter(line["message"] for line in history if line.get("event") == "alarm").items())


def light_evaluation(history: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """The last values that were measured during the training (`evaluate_every`), as texts; None if there are none."""
    lines = [line for line in history if line.get("event") == "evaluation"]
    if not lines:
        return None
    values = [f"{k} {v:.4g}" for k, v in lines[-1].items() if k not in ("step", "epoch", "event") and number(v) is not None]
    return {"epoch": f"{lines[-1].get('epoch', 0):g}", "measured": ", ".join(values)}


def evaluation_of(metrics: Metrics | None, labels: Sequence[str], chosen: str) -> dict[str, Any] | None:
    """The card's part of `metrics.json`, the last epoch, the published one and the baselines in every direction; None without it.

    `success` is shown only with the accuracy of its classifier.
    """
    if not metrics:
        return None
    epochs = list(dict.fromkeys([max(metrics.epochs, key=epoch_order), chosen]))
    baselines: list[str] = []
    rows: list[tuple[str, str, list[str]]] = []  # (direction, metric, a value for each column or "")
    success: dict[str, None] = {}  # the classifier's accuracy on real images
    left_out = False
    for direction in dict.fromkeys(d for name in epochs for d in metrics.epochs.get(name, {})):
        table, accuracy = metrics.table(direction, epochs), metrics.accuracy(direction)
        baselines = list(table.lines)[len(epochs) :]
        for metric in table.names():
            if base_name(metric) == "success":
                if accuracy is None:
                    left_out = True
                    continue
                success[f"{accuracy:.1%} of {labels[0] if direction == 'b_to_a' else labels[-1]}"] = None
            values = [format_value(metric, line.get(metric), "") for line in table.lines.values()]
            rows.append((arrow(direction, labels), metric, values))
    protocol = {key: value for key, value in (("rule", metrics.rule), ("extractor", metrics.extractor)) if value}
    protocol |= {key: value for key, value in metrics.other.items() if value is not None and not isinstance(value, dict)}
    protocol |= metrics.protocol | {f"classifier {key}": value for key, value in (metrics.classifier or {}).items()}
    return {
        "protocol": [(key, format_value(key, value, "")) for key, value in protocol.items()], "rows": rows,
        "columns": [f"{name}{' (main)' if name == chosen else ' (last)'}" for name in epochs] + baselines,
        "baselines": baselines, "success": list(success), "success_left_out": left_out,
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------- the limits
def limits_template(domain: str, labels: Sequence[str], record: RunRecord | None, kind: type[Model] = CycleGenerator) -> str:
    """The name of the file in model_cards/ about a model's use, limits, data and licence.

    A domain's own file describes its datasets, so that only a run whose record names these gets it; every other model gets
    "custom", or "other" if it has one direction. The files of the domains describe two directions, but for that of faces.
    """
    data = list(((record or {}).get("data") or {}).values())
    known = DOMAINS.get(domain)
    if len(kind.directions) < 2:
        faces = domain == "faces" and known is not None and data == [known.a.describe()]
        return "faces" if faces else "other"
    own = known is not None and known.labels == tuple(labels) and data == [one.describe() for one in known.image_sets]
    return domain if own else "custom"


def limits_of(
    domain: str, labels: Sequence[str], record: RunRecord | None, kind: type[Model], text: str | None = None
) -> dict[str, Any]:
    """A model's `use`, `limits` (a list) and `terms`, as Markdown. `text`: the note about the data, where it is shown cut."""
    provenance = provenance_of(record)
    return definitions(
        f"{limits_template(domain, labels, record, kind)}.md", a=labels[0], b=labels[-1], people=shows_faces(domain),
        provenance=provenance if text is None else replace(provenance, text=text),
    )  # fmt: skip


def render_limits(domain: str, labels: Sequence[str], record: RunRecord | None, kind: type[Model], *, measured: bool) -> str:
    """Intended use, limits, data and licence as Markdown. `measured`: whether measured values are shown with them."""
    limits = limits_of(domain, labels, record, kind)
    return _tidy(
        render_markdown("limits.md", **limits, measured=measured) + f"\n## Data and licence\n\n{limits['terms']}"
    ).strip()


# ------------------------------------------------------------------------------------------------- the sample image
SAMPLES, EXAMPLE = "samples.png", "example.png"  # the card's picture; the first photograph, as the model takes it
_FACES = ("examples/grace_hopper_face.jpg", "astronaut_face.jpg", "astronaut.jpg")  # for a model that aligns none
_CELL = 160  # px of an image in samples.png
_TRANSLATIONS = 4  # in samples.png


def sample_images(model: Model) -> dict[str, bytes]:
    """The images of a card, without training images, as {file name: PNG}.

    samples.png of a model that samples: all images of seed 0. Of a model that translates: four translations of free
    photographs (of a CycleGAN two and their reconstructions), beside their inputs; example.png is then the first photograph.
    """
    photographs = free_photos(model, shows_faces(model.domain)) if model.takes_pictures else []
    examples = model.examples(photographs[: _TRANSLATIONS // len(model.directions)])
    # Sampled images are small: they are enlarged by a whole factor, so that every pixel can be seen.
    cell = _CELL if model.takes_pictures else model.image_size * (_CELL // model.image_size) or _CELL
    grid = grids.grid(examples.rows, column_labels=examples.headings, cell=cell)
    return {name: images.png_bytes(image) for name, image in zip((SAMPLES, EXAMPLE), (grid, *photographs), strict=False)}


def shows_faces(domain: str) -> bool:
    """Whether the samples of a domain's card show people; the card then names the photographers."""
    return domain in DOMAINS and DOMAINS[domain].a.eyes is not None


def free_photos(model: Model, of_faces: bool) -> list[Image.Image]:
    """Free photographs as squares of the model's size and channels: of people, or landscapes.

    Faces are aligned as the model's inputs A are.
    """
    aligned = isinstance(model, Translator) and model.eyes["a_to_b"] is not None
    if of_faces and not aligned:
        files = [free_images.FOLDER / name for name in _FACES]
    else:
        files = [example.path for example in free_images.examples_for(model.domain, "a_to_b", of_faces)]
    return [square_for(model, images.decode(file, model.channels)) for file in files]


def square_for(model: Model, photo: Image.Image) -> Image.Image:
    """A decoded photograph as a square of the model's size: the largest face aligned, else (none wanted or found) its centre."""
    eyes = model.eyes["a_to_b"] if isinstance(model, Translator) else None
    found = find_faces(photo) if eyes else []
    return align(photo, found[0], eyes, model.image_size) if eyes and found else images.square(photo, model.image_size)
