"""The card of a published model: made of the method's template, a statement, and the records of the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.metric_rows import METRICS
from cyclegan_hub.files import MODEL_CARDS
from cyclegan_hub.hub.provenance import Provenance, known_note, provenance_of
from cyclegan_hub.hub.run_record import RunRecord
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.protocols import arrow
from cyclegan_hub.publishing.card_values import (
    changes_of,
    cost_of,
    evaluation_of,
    is_figure,
    is_success,
    judged_accuracy,
    light_evaluation,
    warnings_of,
)
from cyclegan_hub.publishing.sample_grid import shows_faces
from cyclegan_hub.publishing.statement import render_statement, statement_for
from cyclegan_hub.recipes.pair_rules import PAIR_RULES
from cyclegan_hub.recipes.presets import tuned_on
from cyclegan_hub.templates import TemplateError, render_markdown

TEMPLATES = MODEL_CARDS
# The most important fields of a recipe, in the order of the card's table; fields that a method does not have are left out.
_SHOWN = ("image_size", "crop_size", "channels", "side", "pairs", "latent", "gen_channels", "generator", "width", "blocks",
          "upsample", "skip", "discriminator", "disc_channels", "source_negatives", "adversarial", "adversarial_weight", "l1",
          "cycle", "own_cycle", "identity_a", "identity_b", "pool_size", "diffaugment", "batch_size", "epochs", "lr", "decay",
          "ema")  # fmt: skip
_INDEXED = 10  # figures of a direction in the front matter at most, so that it stays readable (150 lines at most)


class CardError(UserError):
    """A card that cannot be made, because of its template or the run's records; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Facts:
    """All that a card needs besides its template and the statement."""

    repo_id: str  # what `from_pretrained` takes
    kind: type[Model]  # the class that the epochs' config.json names
    config: Mapping[str, Any]  # config.json of the chosen epoch
    run: RunRecord
    history: Sequence[Mapping[str, Any]]  # history.jsonl
    processes: int
    epochs: Sequence[str]  # published ones, ascending
    chosen: str
    metrics: Mapping[str, Any] | None  # metrics.json
    dtype: str  # of the weights
    failures: Sequence[str] = ()  # known failures, a sentence each
    on_hub: bool = True  # False: `repo_id` is a folder, such as "pretrained/smile"


def render(facts: Facts) -> str:
    """The card as text: YAML metadata for the Hub, then Markdown. Raises CardError for a template with an unknown field."""
    recipe, labels, kind = facts.run["recipe"], tuple(facts.run["labels"]), facts.kind
    a, b, domain = labels[0], labels[-1], facts.config["domain"]
    rule = PAIR_RULES[facts.config.get("pairs", "given")]
    size = recipe["image_size"]
    light, provenance = light_evaluation(facts.history), provenance_of(facts.run)
    fields = {
        "title": kind.title.format(a=a, b=b), "a": a, "b": b, "repo_id": facts.repo_id, "on_hub": facts.on_hub,
        "chosen": facts.chosen, "image_size": size, "dtype": facts.dtype,
        "taken_size": size // rule.scale if rule.enlarges else size,
        "why_chosen": "the best by the evaluation below" if facts.metrics else "the last, as there is no evaluation of all",
        "labels": labels, "config": facts.config, "recipe": recipe, "rule": rule, "epochs": facts.epochs,
        "shows_faces": shows_faces(domain), "sources": _sources(facts),
        "datasets": known_note(facts.run["data"]).get("text", ""), "hardware": facts.run.get("hardware", []), "light": light,
        "cost": cost_of(facts.history, recipe["batch_size"] * facts.processes, facts.run.get("seconds")), "unit": kind.batch_unit,
        "warnings": warnings_of(facts.history), "init": facts.run.get("init"), "changes": changes_of(facts.run),
        "tuned_on": tuned_on(recipe["name"]),
        "fields": [(name, json.dumps(recipe[name])) for name in _SHOWN if recipe.get(name) is not None],
        "evaluation": evaluation_of(facts.metrics, labels, facts.chosen), "outputs": kind.outputs_called,
        "failures": facts.failures, "with_discriminator": bool(recipe.get("adversarial_weight", recipe.get("adversarial"))),
    }  # fmt: skip
    statement = statement_for(domain, labels, facts.run, kind)
    try:
        fields["statement"] = render_statement(domain, labels, facts.run, kind, measured=bool(facts.metrics or light))
        text = render_markdown(kind.card_template, **fields)
    except TemplateError as error:
        if error.unknown:
            raise CardError(f"the card's template names unknown fields {error.unknown}: there are {', '.join(fields)}") from error
        where = f"fix {kind.card_template} or {statement}.md"
        raise CardError(f"the card's template cannot be read ({error.reason}): {where}") from error
    text = re.sub(r"\n{3,}", "\n\n", text)  # empty lines of parts that are left out
    return str(ModelCard(f"---\n{_metadata(facts, provenance).to_yaml()}\n---\n\n{text}"))


# ------------------------------------------------------------------------------------------------ the front matter
def _metadata(facts: Facts, provenance: Provenance) -> ModelCardData:
    info = facts.kind._hub_mixin_info.model_card_data
    datasets = sorted(name for name in map(_dataset, facts.run["data"].values()) if name)
    extra: dict[str, Any] = dict(provenance.metadata(facts.repo_id if facts.on_hub else None))
    extra |= {"datasets": sorted(set(datasets))} if datasets else {}
    if results := list(_results(facts)):
        extra |= {"model_name": facts.repo_id.split("/")[-1], "eval_results": results}
    return ModelCardData(library_name=info.library_name, pipeline_tag=info.pipeline_tag, tags=list(info.tags or []), **extra)


def _dataset(source: str) -> str | None:
    """The Hub's name of a run's data source; None for local files."""
    found = re.match(r"hf:([\w.-]+/[\w.-]+)\?", source)
    return found[1] if found else None


def _results(facts: Facts) -> Iterator[EvalResult]:
    """The published epoch's main figures for the Hub's model-index; the card's text and metrics.json hold the full protocol."""
    metrics, data = facts.metrics or {"epochs": {}}, facts.run["data"]
    for direction, values in metrics["epochs"].get(facts.chosen, {}).items():
        source = data[
            "b" if direction == "a_to_b" and "b" in data else "a"
        ]  # outputs are compared with real images of the target side
        accuracy = judged_accuracy(metrics, direction)
        shown = [name for name in _main_first(values) if is_figure(values[name]) and name != "n"]
        shown = [name for name in shown if not is_success(name) or accuracy is not None][:_INDEXED]
        for metric in shown:
            args = {"accuracy_on_real_images": accuracy} if is_success(metric) else None
            if metric == shown[0] and (conditions := _conditions(metrics)):
                args = conditions | (args or {})
            yield EvalResult(
                task_type=facts.kind._hub_mixin_info.model_card_data.pipeline_tag or "", metric_type=metric,
                task_name=arrow(direction, facts.run["labels"]), metric_name=f"{metric} ({direction})",
                metric_value=values[metric], metric_args=args, dataset_type=_dataset(source) or "custom", dataset_name=source,
                dataset_config=direction,  # without it the client would merge the directions
            )  # fmt: skip


def _main_first(names: Iterable[str]) -> list[str]:
    """Metrics in the order of the evaluation's tables, then unknown ones; standard deviations are left out."""
    order = {name: place for place, name in enumerate(METRICS)}
    names = (name for name in names if not name.partition("[")[0].endswith("_std"))
    return sorted(names, key=lambda name: order.get(name.partition("[")[0], len(order)))


def _conditions(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of the measurement (extractor, counts, size); they are written once, with a direction's first figure."""
    found = {**metrics, **(metrics.get("protocol") or {})}
    return {name: found[name] for name in ("extractor", "n_a", "n_b", "n_samples", "image_size") if name in found}


# ---------------------------------------------------------------------------------------------------------- the data
def _sources(facts: Facts) -> list[tuple[str, str]]:
    """(label, source) of each pile of images that the run recorded."""
    data, labels = facts.run["data"], facts.run["labels"]
    if len(data) == 2:
        heads = [f"{side.upper()}, {label}" for side, label in zip("ab", labels, strict=True)]
    else:
        heads = [f"pairs of {' and '.join(labels)}" if facts.config.get("pairs") == "given" else labels[-1]]
    return list(zip(heads, data.values(), strict=True))
