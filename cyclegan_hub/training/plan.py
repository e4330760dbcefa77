"""What a command line asks a training for, checked as far as that is possible without reading an image. No torch on import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.hub.provenance import data_note, has_digest, init_of, known_note, public_init, same_init
from cyclegan_hub.hub.records import CYCLE_ENDS, NOTES, RunRecord
from cyclegan_hub.recipes.methods import ADDED_FIELDS, Recipe, RecipeError, labels_of, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.extension import CARRIED, changes_in, extended

if TYPE_CHECKING:
    from argparse import Namespace

    from cyclegan_hub.data.batches import UnpairedBatches
    from cyclegan_hub.data.reading import Landmarks, Reading, Selection
    from cyclegan_hub.data.specs import DataSource
    from cyclegan_hub.data.streaming import StreamingBatches
    from cyclegan_hub.training.loop import Judge
    from cyclegan_hub.training.trainer import Trainer

Batches: TypeAlias = "UnpairedBatches | StreamingBatches"
_EYES = {"eyes", "eyes_a", "eyes_b"}  # fields of recipes of faces
UNKNOWN = "hardware that was not recorded"
HELD_OUT = 64  # images of each side for the light evaluation


@dataclass(frozen=True)
class Plan:
    """What to train, on which images, into which folder."""

    recipe: Recipe
    labels: tuple[str, ...]
    sources: tuple[DataSource, ...]
    out: Path
    identity: dict[str, Any]  # what is written into recipe.json, and must stay the same for a folder to be resumed

    @property
    def extensions(self) -> list[Any]:
        """How the run was made longer, oldest first: see `extension.extended`."""
        return list(self.identity.get("extended", []))


def make_plan(arguments: Namespace) -> Plan:
    """Raises RecipeError, DataError or RunError, before anything slow is imported or anything is written."""
    from cyclegan_hub.training.run_folder import RunFolder

    recipe = find(arguments.recipe)
    out = arguments.out or Path("runs") / recipe.name
    folder = RunFolder(out)
    record = folder.record()
    changes = changes_in(arguments.set)
    recipe = _as_recorded(override(recipe, changes), record, changes)
    labels = _labels(recipe, arguments.labels)
    if labels != labels_of(recipe):  # of other images than the domain's, which need not be faces
        unaligned: dict[str, Any] = dict.fromkeys(_EYES & _names(recipe) - set(changes))
        recipe = replace(recipe, **unaligned)
    recipe, steps = extended(recipe, record, arguments.extend, folder.latest_step())
    if arguments.max_steps is not None and arguments.max_steps < 1:
        raise RecipeError(f"--max-steps {arguments.max_steps}: must be at least 1")
    if not 0 <= arguments.seed < 2**31:
        raise RecipeError(f"--seed {arguments.seed}: must be from 0 up to 2147483647")
    sources = find_data(recipe, arguments.data, arguments.data_a, arguments.data_b)
    identity: dict[str, Any] = {key: value for key, value in (record or {}).items() if key in (*CARRIED, *NOTES)}
    identity |= {"extended": steps} if steps else {}
    identity |= {
        "recipe": asdict(recipe),
        "labels": list(labels),
        "data": {side: source.describe() for side, source in zip("ab", sources, strict=False)},
        "seed": arguments.seed,
        "init": init_to_record(arguments.init, record),
    }
    identity |= {"own_cycle": CYCLE_ENDS} if getattr(recipe, "own_cycle", False) else {}
    known = identity.get("data_note") or known_note(identity["data"])
    if note := data_note(arguments.data_note, arguments.data_licence, known):
        identity["data_note"] = note
    folder.check(identity)
    return Plan(recipe, labels, sources, out, identity)


def _names(recipe: Recipe) -> set[str]:
    return {field.name for field in fields(recipe)}


def _as_recorded(recipe: Recipe, record: Mapping[str, Any] | None, changes: Mapping[str, str]) -> Recipe:
    """The recipe with the fields that came after the run was recorded as they then were, except for what `--set` changes."""
    recorded = record.get("recipe", {}) if record else recipe.__dict__
    added: dict[str, Any] = {
        name: value
        for name, value in ADDED_FIELDS.items()
        if name in _names(recipe) and name not in recorded and name not in changes
    }
    return replace(recipe, **added)


def init_to_record(given: str | None, record: RunRecord | None) -> str | None:
    """What the record says of `--init`: as before where that may be the same weights, whose source may be gone by now."""
    now, before = init_of(given) if given else None, record.get("init") if record else None
    return public_init(before) if before and same_init(before, now) and not has_digest(now) else now


def note_hardware(plan: Plan, line: str) -> None:
    """Adds the machine to the record of a run, once. What older versions began says that its first machine is not known."""
    from cyclegan_hub.training.run_folder import RunFolder

    before = plan.identity.get("hardware") or ([UNKNOWN] if RunFolder(plan.out).latest_step() else [])
    plan.identity["hardware"] = list(dict.fromkeys([*before, line]))


def note_processes(plan: Plan, processes: int, inexact: bool) -> int | None:
    """The steps of an epoch of a run that goes on, or went on before, with another number of processes; None for any other.

    They stay as they were, and so does the schedule; a step holds more or fewer pairs. With `inexact` the change is noted in
    the plan's identity. Raises RunError for another number without it.
    """
    from cyclegan_hub.training.run_folder import RunFolder

    folder, resumes = RunFolder(plan.out), list(plan.identity.get("inexact_resumes", []))
    step = folder.latest_step()
    before = processes if step is None else folder.processes_of(step)
    if step is not None and before != processes:
        folder.load_state(step, 0, processes, inexact)
        entry = {"step": step, "processes": [before, processes], "steps_per_epoch": folder.steps_per_epoch(step)}
        resumes += [entry] if entry not in resumes[-1:] else []
        plan.identity["inexact_resumes"] = resumes
    return int(resumes[-1]["steps_per_epoch"]) if resumes else None


def _labels(recipe: Recipe, text: str | None) -> tuple[str, ...]:
    """The labels of `--labels`, without it the recipe's own. Raises RecipeError for another number of them, or equal ones."""
    own = labels_of(recipe)
    if text is None:
        return own
    labels = tuple(part.strip() for part in text.split(","))
    if len(set(labels)) != len(own) or not all(labels):
        wanted = "two different names, e.g. --labels 'day,night'" if len(own) == 2 else "one name, e.g. --labels 'face'"
        raise RecipeError(f"--labels {text!r}: give {wanted}")
    return labels


def find_data(recipe: Recipe, data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource, ...]:
    """What the method reads: two sides, one pile, or pairs. Raises DataError."""
    from cyclegan_hub.data.resolve import resolve, resolve_one, resolve_pairs

    domain = DOMAINS.get(recipe.domain)
    match recipe.layout:
        case "pairs":
            return resolve_pairs(data, data_a, data_b)
        case "pile":
            return resolve_one(domain, recipe.pile_side, data, data_a, data_b)
        case "sides":
            return resolve(domain, data, data_a, data_b)


def reading_of(recipe: Recipe, domains: int, seed: int, landmarks: Landmarks | None = None) -> tuple[list[Reading], Selection]:
    """How the images of each domain are read, and which are used."""
    from cyclegan_hub.data.reading import Landmarks, Reading, Selection

    options = recipe.load_options()
    reading = Reading(
        recipe.image_size,
        recipe.load_size,
        recipe.channels,
        options["value_range"],
        options.get("halves", False),
        options.get("swapped", False),
        options["fit"],
        landmarks=landmarks or Landmarks(),
    )
    selection = Selection(seed, recipe.max_images, options.get("equal_sides", False))
    return reading.for_domains(domains, options.get("eyes", ())), selection


def counts_text(side: str, counts: dict[str, int]) -> str:
    """How many images of a side are trained on, and what became of the others."""
    others = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if n and name not in ("found", "kept"))
    if not counts["found"]:
        return f"side {side.upper()}: streamed; {others}"
    return f"side {side.upper()}: {counts['kept']:,} of {counts['found']:,} images to train on; {others}"


def dry_run_text(plan: Plan, trainer: Trainer, batches: Batches | None, processes: int, downloads: Sequence[str] = ()) -> str:
    """What --dry-run prints: the recipe, the images, the sizes of the networks and the disk that a run needs.

    Without `batches`, whose images would have to be fetched, `downloads` are lines on what would be.
    """
    r = plan.recipe
    sizes = {name: sum(p.numel() for p in network.parameters() if p.requires_grad) for name, network in trainer.networks.items()}
    published = len(trainer.published(None).files()["model.safetensors"])
    # A state: weights, two Adam moments and the EMA, and each process's two image pools; twice, while one replaces the other.
    state = sum(4 * 3 * n for n in sizes.values()) + (published if getattr(r, "ema", 0) else 0)
    state += processes * 2 * getattr(r, "pool_size", 0) * 4 * r.channels * r.trained_size**2
    epochs = min(r.keep_epochs, -(-r.epochs // r.snapshot_every))
    disk = 2 * state + (epochs + 2) * published  # last/, and an epoch more before one is dropped
    lines = [json.dumps(plan.identity["recipe"], indent=2), f"labels: {' -> '.join(plan.labels)}", f"out: {plan.out}"]
    if batches is None:
        lines += [f"side {side.upper()}: {text}" for side, text in plan.identity["data"].items()] + list(downloads)
        steps = "known once the images have been read"
    else:
        lines += [f"{counts_text(side, batches.counts[side])} ({plan.identity['data'][side]})" for side in batches.counts]
        steps = f"{batches.steps_per_epoch}; steps in all: {batches.steps_per_epoch * r.epochs}"
    lines += [f"trainable weights of {name}: {n}" for name, n in sizes.items()]
    lines += [
        f"steps per epoch: {steps}",
        f"disk needed: about {disk / 2**20:.0f} MiB ({epochs} epochs of {published / 2**20:.1f} MiB, and the state)",
    ]
    return "\n".join(lines)


def make_judge(plan: Plan) -> Judge:
    """The light evaluation of `evaluate_every`: by the domain encoder, and its classifier where it knows the run's two sides."""
    from cyclegan_hub.evaluation import features
    from cyclegan_hub.evaluation.quick import quick_metrics

    domain, extractor = plan.recipe.domain, features.domain_encoder()
    known = domain in DOMAINS and plan.labels == DOMAINS[domain].labels and len(plan.labels) == 2
    classifier = features.side_classifier(domain) if known else None
    return lambda model, held_out: quick_metrics(model, tuple(x[:HELD_OUT] for x in held_out), extractor, classifier)
