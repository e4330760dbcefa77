"""The card of a published model: a template for each method, a statement for each domain, and what the run recorded."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import jinja2
import jinja2.meta
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from cyclegan_hub.data.resolve import hub_dataset
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import UserError
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.epoch_names import epoch_order
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.face_generator import FaceGenerator
from cyclegan_hub.models.pair_rules import RULES, SHRINK
from cyclegan_hub.models.paired_generator import PairedGenerator

TEMPLATES = MODEL_CARDS
# The fields of a recipe that say most of what was done, in the order of the table; a method has those that it has.
_SHOWN = ("image_size", "channels", "side", "pairs", "latent", "gen_channels", "generator", "width", "blocks", "upsample",
          "disc_channels", "source_negatives", "adversarial", "adversarial_weight", "l1", "cycle", "identity_a", "identity_b",
          "pool_size",
          "diffaugment", "batch_size", "epochs", "lr", "decay", "ema")  # fmt: skip

_BASELINES = {
    "untranslated": "`untranslated` are the inputs themselves, measured as if they were translations",
    "floor": "`floor` are real images measured against real ones, which no generator can be expected to surpass",
}


@dataclass(frozen=True)
class Method:
    """What tells the card of one class of models from those of the others."""

    template: str  # in model_cards/; the sections that all have are record.md
    title: str  # of {a} and {b}
    sides: str  # keys of a run's data: "ab" for two piles, "a" for one, pairs included
    unit: str  # what a batch holds
    makes: str


METHODS: dict[type[Model], Method] = {
    CycleGenerator: Method("card.md", "{a} ↔ {b}", "ab", "pairs", "translations"),
    FaceGenerator: Method("dcgan.md", "noise → {b}", "a", "images", "images"),
    PairedGenerator: Method("pix2pix.md", "{a} → {b}", "a", "pairs", "translations"),
}
# Of pix2pix, by how its inputs were made: what `translate` takes.
_TAKES = {
    "given": "Give it pictures like the inputs it was trained on.",
    "colorize": "Give it a whole picture, in colours or without: its input is made by the rule above.",
    "upscale-4x": "Give it the small picture: the result is four times as large.",
    "repaint": "Give it a whole picture: its input is made by the rule above.",
}


class CardError(UserError):
    """A card that cannot be written: from its template, or from what a run recorded; the message names what and the remedy."""


@dataclass(frozen=True)
class Facts:
    """What a card says of a model that its template and the domain's statement do not."""

    repo_id: str
    kind: type[Model]  # the class that the epochs' config.json names; one of METHODS
    config: dict[str, Any]  # config.json of the chosen epoch
    run: dict[str, Any]  # recipe.json: {"recipe": {...}, "labels", "data": {"a"} or {"a", "b"}, "seed", ...}
    history: Sequence[dict[str, Any]]  # history.jsonl
    processes: int
    epochs: Sequence[str]  # published ones, ascending
    chosen: str
    metrics: dict[str, Any] | None  # metrics.json
    dtype: str  # of the weights


def render(facts: Facts) -> str:
    """The card as text: YAML metadata for the Hub, then Markdown. Raises CardError for a template with an unknown field."""
    recipe, method, labels = facts.run["recipe"], METHODS[facts.kind], tuple(facts.run["labels"])
    (a, b), name = (labels[0], labels[-1]), statement_for(facts.config["domain"], labels, facts.kind)
    text = (TEMPLATES / method.template).read_text("utf-8")
    for field, part in (("record", "record"), ("photographs", "photographs"), ("statement", name)):
        text = text.replace("{{ " + field + " }}", (TEMPLATES / f"{part}.md").read_text("utf-8").strip())
    fields = {
        "title": method.title.format(a=a, b=b), "a": a, "b": b, "repo_id": facts.repo_id, "chosen": facts.chosen,
        "image_size": recipe["image_size"], "dtype": facts.dtype,
        "why_chosen": "the best by the evaluation below" if facts.metrics else "the last, as none was measured",
        "epochs_table": _epochs_table(facts), "data_lines": _data_lines(facts, name), "cost": _cost(facts),
        "recipe_table": _recipe_table(facts.run), "evaluation": _evaluation(facts), **_own_fields(facts),
    }  # fmt: skip
    try:
        wanted = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(text))
    except jinja2.TemplateError as error:
        raise CardError(f"the card's template cannot be read ({error}): mend {method.template} or {name}.md") from None
    if missing := sorted(wanted - fields.keys() - {"card_data"}):  # jinja2 would leave the place empty
        raise CardError(f"the card's template names unknown fields {', '.join(missing)}: there are {', '.join(fields)}")
    return str(ModelCard.from_template(_metadata(facts, name), template_str=text, **fields))


def statement_for(domain: str, labels: tuple[str, ...], kind: type[Model] = CycleGenerator) -> str:
    """Which statement a model of this config gets (a file of model_cards/, plain but for {{ a }} and {{ b }}).

    A CycleGAN gets its domain's, or "custom" for labels that are not the domain's own. The domains' statements speak of
    translation in two directions, so the other methods get "faces" in that domain, and "other" in any other.
    """
    if kind is not CycleGenerator:
        return "faces" if domain == "faces" else "other"
    return domain if domain in DOMAINS and DOMAINS[domain].labels == labels else "custom"


def _own_fields(facts: Facts) -> dict[str, Any]:
    """What the template of one method alone has to know."""
    config, size = facts.config, facts.run["recipe"]["image_size"]
    if facts.kind is FaceGenerator:
        return {"latent": config["latent"]}
    if facts.kind is PairedGenerator:
        rule = config["pairs"]
        seen = "" if rule == "given" else "the input made of it, which is all that the generator sees; "
        both = " and by a discriminator that sees input and output together"
        return {
            "rule": "" if rule == "given" else RULES[rule].words, "takes": _TAKES[rule],
            "taken_size": size // SHRINK if rule == "upscale-4x" else size, "columns": f"a photograph; {seen}the output",
            "judged": f"L1{both if facts.run['recipe'].get('adversarial_weight') else ' alone, without the discriminator'}",
        }  # fmt: skip
    return {}


def _metadata(facts: Facts, statement: str) -> ModelCardData:
    info = facts.kind._hub_mixin_info.model_card_data
    datasets = sorted({_dataset(text) for text in facts.run["data"].values()} - {None})
    extra: dict[str, Any] = {"datasets": datasets} if datasets else {}
    if results := list(_results(facts)):
        extra |= {"model_name": facts.repo_id.split("/")[-1], "eval_results": results}
    return ModelCardData(
        library_name=info.library_name, pipeline_tag=info.pipeline_tag, tags=list(info.tags or []),
        license="other", license_name="research-only" if statement in DOMAINS else "not-stated", **extra,
    )  # fmt: skip


def _dataset(source: str) -> str | None:
    """The Hub dataset that a side was read from, if it was one."""
    found = re.match(r"hf:([\w.-]+/[\w.-]+)\?", source)
    return found[1] if found else None


def _results(facts: Facts) -> Iterable[EvalResult]:
    """The published epoch's numbers, for the Hub's model-index."""
    metrics = facts.metrics or {"epochs": {}}
    protocol, data, task = _protocol(metrics), facts.run["data"], facts.kind._hub_mixin_info.model_card_data.pipeline_tag
    for direction, values in metrics["epochs"].get(facts.chosen, {}).items():
        source = data["b" if direction == "a_to_b" and "b" in data else "a"]  # what is made is compared with its target's images
        for metric, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and metric != "n":
                yield EvalResult(
                    task_type=task, task_name=_arrow(facts, direction), metric_type=metric,
                    metric_name=f"{metric} ({direction})", metric_value=value, metric_args=protocol or None,
                    dataset_type=_dataset(source) or "custom",
                    dataset_name=source, dataset_config=direction,  # without it the client would merge the directions
                )  # fmt: skip


def _arrow(facts: Facts, direction: str) -> str:
    a, b = facts.run["labels"][0], facts.run["labels"][-1]
    return {"a_to_b": f"{a} → {b}", "b_to_a": f"{b} → {a}", "samples": b}.get(direction, direction)


def _epochs_table(facts: Facts) -> str:
    rows = []
    for name in facts.epochs:
        load = f'`from_pretrained("{facts.repo_id}", revision="{name}")`'
        rows.append([name, load, "`main`" if name == facts.chosen else ""])
    return _table(["epoch", "load it", ""], rows)


def _data_lines(facts: Facts, statement: str) -> str:
    """Where the images came from, as the run recorded it."""
    data, labels = facts.run["data"], facts.run["labels"]
    if len(data) == 2:
        heads = [f"{side.upper()}, {label}" for side, label in zip("ab", labels, strict=True)]
    else:
        heads = [f"pairs of {' and '.join(labels)}" if facts.config.get("pairs") == "given" else labels[-1]]
    lines = [f"- {head}: `{source}`" for head, source in zip(heads, data.values(), strict=True)]
    if statement == "other":
        known = {hub_dataset(pile).describe(): pile.licence for domain in DOMAINS.values() for pile in domain.piles}
        lines += [f"\nTerms of this dataset, as the package knows them: {known[s]}." for s in data.values() if s in known]
    if statement in DOMAINS and [hub_dataset(pile).describe() for pile in DOMAINS[statement].piles] != list(data.values()):
        lines += [
            "",
            "These are not the datasets the domain is defined on, as the package fetches them: what is said of data and "
            "licence below holds only where they are copies of those.",
        ]
    return "\n".join(lines)


def _cost(facts: Facts) -> str:
    """How long it took, from the history's lines, each of which holds the speed since the one before."""
    recipe, lines = facts.run["recipe"], [line for line in facts.history if line.get("pairs_per_s")]
    if not lines:
        return "What the training cost was not recorded."
    unit, batch, seconds, before = METHODS[facts.kind].unit, recipe["batch_size"] * facts.processes, 0.0, 0
    for line in lines:
        seconds += (line["step"] - before) * batch / line["pairs_per_s"]
        before = line["step"]
    speed = median(line["pairs_per_s"] for line in lines)
    length = f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.1f} minutes"
    text = (
        f"{before:,} steps of {batch} {unit} ({before * batch:,} {unit}, {lines[-1]['epoch']:g} epochs) in about {length} "
        f"at a median of {speed:.1f} {unit} a second; the hardware is not recorded."
    )
    alarms = Counter(line["message"] for line in facts.history if line.get("event") == "alarm")
    warned = "\n".join(f"- {message}{f' ({count} times)' if count > 1 else ''}" for message, count in alarms.items())
    return f"{text}\n\nWarnings during training:\n\n{warned}" if warned else text


def _recipe_table(run: dict[str, Any]) -> str:
    recipe = run["recipe"]
    shown = [[name, f"`{json.dumps(recipe[name])}`"] for name in _SHOWN if name in recipe]
    if run.get("init"):  # the epochs, pairs and hours above are not all that the weights have seen
        shown.insert(0, ["started from (`--init`)", f"`{run['init']}`"])
    return _table([f"recipe `{recipe['name']}`", ""], shown)


def _evaluation(facts: Facts) -> str:
    """Protocol and numbers of the last epoch, of the one that is published and of the baselines, in every direction."""
    if not facts.metrics:
        makes = METHODS[facts.kind].makes
        return f"Not evaluated: no held-out metric was computed for this model. Judge it by its {makes}."
    metrics = facts.metrics["epochs"]
    names = list(dict.fromkeys([max(metrics, key=epoch_order), facts.chosen]))
    columns = {f"{name}{' (main)' if name == facts.chosen else ' (last)'}": metrics.get(name, {}) for name in names}
    baselines = {name: values for name, values in facts.metrics.get("baselines", {}).items() if values}
    columns |= baselines
    rows = []
    for direction in dict.fromkeys(d for values in columns.values() for d in values):
        values = [column.get(direction, {}) for column in columns.values()]
        for metric in dict.fromkeys(key for value in values for key in value):
            rows.append([_arrow(facts, direction), metric, *(_number(value.get(metric)) for value in values)])
    parts = ["\n".join(f"- {key}: {_number(value)}" for key, value in _protocol(facts.metrics).items())]
    parts += [_table(["direction" if len(facts.run["labels"]) == 2 else "of", "metric", *columns], rows)]
    if baselines:
        said = "; ".join(_BASELINES[name] for name in baselines if name in _BASELINES)
        parts.append(f"{said}. An empty place means that there is no such number.")
    return "\n\n".join(parts)


def _protocol(metrics: dict[str, Any]) -> dict[str, Any]:
    """How the numbers were taken, flat: rule, extractor, the protocol's own lines, and what judged the success."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, dict) and key not in ("epochs", "baselines"):
            flat |= {name if key == "protocol" else f"{key} {name}": one for name, one in value.items()}
        elif key not in ("best", "epochs", "baselines", "notes") and value is not None:
            flat[key] = value
    return flat


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
