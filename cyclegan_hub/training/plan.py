"""What a command trains, on which images, into which folder: checked as far as possible without reading an image."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from cyclegan_hub.data.batches import UnpairedBatches
from cyclegan_hub.data.reading import Landmarks, Reading, Selection
from cyclegan_hub.data.resolve import resolve, resolve_one, resolve_pairs
from cyclegan_hub.data.specs import DataSource
from cyclegan_hub.data.streaming import StreamingBatches
from cyclegan_hub.domains import DOMAINS
from cyclegan_hub.errors import counted
from cyclegan_hub.files import readable
from cyclegan_hub.hub.provenance import data_note, has_digest, init_of, known_note, public_init, same_init
from cyclegan_hub.hub.records import CYCLE_ENDS, NOTES, RunRecord, changed_weights
from cyclegan_hub.recipes.methods import ADDED_FIELDS, Recipe, RecipeError, labels_of, override
from cyclegan_hub.recipes.presets import find
from cyclegan_hub.training.run_folder import CARRIED, EXTENDABLE_FIELDS, RunError, RunFolder
from cyclegan_hub.training.trainer import Trainer, learning_rate_factor

Batches: TypeAlias = UnpairedBatches | StreamingBatches
UNKNOWN_HARDWARE = "hardware that was not recorded"


@dataclass(frozen=True)
class Plan:
    """One training: a recipe, its images and the folder of its run."""

    recipe: Recipe
    labels: tuple[str, ...]
    sources: tuple[DataSource, ...]
    folder: RunFolder
    identity: dict[str, Any]  # what is written into recipe.json; a run is resumed only if it is the same (`RunFolder.check`)

    @property
    def out(self) -> Path:
        """The path of the run folder."""
        return self.folder.path

    @property
    def extensions(self) -> list[dict[str, Any]]:
        """How the run was extended, oldest first: see `apply_extension`."""
        return list(self.identity.get("extended", []))


def make_plan(arguments: Namespace) -> Plan:
    """The plan of a command line (`command.parse`). Raises RecipeError, DataError or RunError before anything is written."""
    recipe = find(arguments.recipe)
    folder = RunFolder(arguments.out or Path("runs") / recipe.name)
    record, changes = folder.record(), changes_in(arguments.set)
    recipe = _as_recorded(override(recipe, changes), record, changes)
    labels = _labels(recipe, arguments.labels)
    if labels != labels_of(recipe):  # of other images than the domain's, which need not be faces
        eyes: Any = {name: None for name in ("eyes", "eyes_a", "eyes_b") if hasattr(recipe, name) and name not in changes}
        recipe = replace(recipe, **eyes)
    recipe, extensions = apply_extension(recipe, record, arguments.extend, folder.latest_step())
    if arguments.max_steps is not None and arguments.max_steps < 1:
        raise RecipeError(f"--max-steps {arguments.max_steps}: must be at least 1")
    if not 0 <= arguments.seed < 2**31:
        raise RecipeError(f"--seed {arguments.seed}: must be from 0 up to 2147483647")
    sources = find_data(recipe, arguments.data, arguments.data_a, arguments.data_b)
    identity: dict[str, Any] = {key: value for key, value in (record or {}).items() if key in (*CARRIED, *NOTES)}
    identity |= {"extended": extensions} if extensions else {}
    identity |= {
        "recipe": asdict(recipe),
        "labels": list(labels),
        "data": {side: source.describe() for side, source in zip("ab", sources, strict=False)},
        "seed": arguments.seed,
        "init": _recorded_init(arguments.init, record),
    }
    identity |= {"own_cycle": CYCLE_ENDS} if getattr(recipe, "own_cycle", False) else {}
    known = identity.get("data_note") or known_note(identity["data"])
    if note := data_note(arguments.data_note, arguments.data_licence, known):
        identity["data_note"] = note
    folder.check(identity)
    return Plan(recipe, labels, sources, folder, identity)


def changes_in(parts: Iterable[str]) -> dict[str, str]:
    """{"epochs": "60"} for ["epochs=60"]; a part without "=" gets an empty value, which `override` refuses."""
    return {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}


def find_data(recipe: Recipe, data: str | None, data_a: str | None, data_b: str | None) -> tuple[DataSource, ...]:
    """The sources that the method reads: both domains, one image set, or pairs. Raises DataError."""
    domain = DOMAINS.get(recipe.domain)
    match recipe.layout:
        case "pairs":
            return resolve_pairs(data, data_a, data_b)
        case "image set":
            return resolve_one(domain, recipe.image_set_side, data, data_a, data_b)
        case "domains":
            return resolve(domain, data, data_a, data_b)


def reading_of(recipe: Recipe, domains: int, seed: int, landmarks: Landmarks | None = None) -> tuple[list[Reading], Selection]:
    """How the images of each domain are read, and which are used."""
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


def _as_recorded(recipe: Recipe, record: Mapping[str, Any] | None, changes: Mapping[str, str]) -> Recipe:
    """The recipe in which each field that is younger than the run has the value it implied then, unless `--set` changes it."""
    if record is None:
        return recipe
    known = {*record.get("recipe", {}), *changes}
    added: dict[str, Any] = {name: x for name, x in ADDED_FIELDS.items() if hasattr(recipe, name) and name not in known}
    return replace(recipe, **added)


def _labels(recipe: Recipe, text: str | None) -> tuple[str, ...]:
    """The labels of `--labels`, without it the recipe's own. Raises RecipeError for another number of them, or equal ones."""
    own = labels_of(recipe)
    if text is None:
        return own
    labels = tuple(readable(part.strip()) for part in text.split(","))
    if not len(set(labels)) == len(labels) == len(own) or not all(labels):
        wanted = "two different names, e.g. --labels 'day,night'" if len(own) == 2 else "one name, e.g. --labels 'face'"
        raise RecipeError(f"--labels {text!r}: give {wanted}")
    return labels


def _recorded_init(given: str | None, record: RunRecord | None) -> str | None:
    """`init` of the record: unchanged if `--init` may name the same weights, whose source may no longer exist."""
    now, before = init_of(given) if given else None, record.get("init") if record else None
    return public_init(before) if before and same_init(before, now) and not has_digest(now) else now


# What may change when a run is resumed, and is noted in its recipe.json: the number of epochs (`--extend`), the number of
# processes (`--allow-process-change`) and the machine.


def apply_extension(
    recipe: Recipe, record: Mapping[str, Any] | None, text: str | None, step: int | None
) -> tuple[Recipe, list[dict[str, Any]]]:
    """The recipe of a run that was, or is now, extended to more epochs, and the list of its extensions, for `recipe.json`.

    `record` is the run's `recipe.json`, `text` the value of `--extend`, `step` that of the newest state. An extended run is
    resumed by the command that started it and by the one that extended it.
    Raises RecipeError where there is no run, for another field than EXTENDABLE_FIELDS, and for fewer epochs than there are.
    """
    extensions = list(record.get("extended", [])) if record else []
    if extensions and extensions[0]["from"].items() <= _extendable(recipe).items():  # older entries lack some fields
        recipe = replace(recipe, **extensions[-1]["to"])
    if text is None:
        return recipe, extensions
    if record is None:
        raise RecipeError(f"--extend {text}: there is no run in --out yet: start one with --set {text}")
    fields, changes = _extendable(recipe), changes_in(text.split(","))
    if "epochs" not in changes or not set(changes) <= fields.keys():
        more = f", and with it, if they change, {', '.join(list(fields)[1:])}" if len(fields) > 1 else ""
        raise RecipeError(f"--extend {text!r}: give epochs=N{more}")
    longer = override(recipe, changes)
    before = {name: record.get("recipe", {}).get(name, ADDED_FIELDS.get(name)) for name in fields}
    if _extendable(longer) == before:  # extended already
        return longer, extensions
    if fields != before:  # another recipe than the run's, which the run folder will name
        return recipe, extensions
    if longer.epochs < recipe.epochs:
        raise RecipeError(f"--extend {text!r}: epochs must be at least the {recipe.epochs} of this run")
    return longer, [*extensions, {"step": step or 0, "from": before, "to": _extendable(longer)}]


def record_learning_rates(recipe: Recipe, extensions: list[dict[str, Any]], steps_per_epoch: int) -> str:
    """Adds to the newest extension the learning rate before and after it; returns what changed, "" if it was recorded before.

    An extended run has the rate of a run that was planned with that many epochs. Before the decay it stays the same, and the
    decay begins later; during the decay it rises to where such a run would be, and falls to 0 from there.
    """
    if not extensions or "rate" in extensions[-1]:
        return ""
    newest = extensions[-1]
    old = replace(recipe, **newest["from"])
    before, now = (
        round(learning_rate_factor(newest["step"], r.epochs * steps_per_epoch, getattr(r, "decay", 0.0)), 6)
        for r in (old, recipe)
    )
    newest["rate"] = [before, now]
    moved = "stays at" if before == now else f"goes from {before:.3g} to"
    planned = counted(recipe.epochs, "epoch")
    return (
        f"extended at step {newest['step']} from {old.epochs} to {planned}: the learning rate {moved} {now:.3g} of lr, as in a "
        f"run that was planned with {planned}{changed_weights(newest)}"
    )


def keep_warmup(recipe: Recipe, extensions: list[dict[str, Any]]) -> Recipe:
    """The recipe for the trainer of an extended run: its warm-up keeps the length in steps that it was started with."""
    warmup = getattr(recipe, "identity_warmup", 0.0)
    if not extensions or not warmup:
        return recipe
    return replace(recipe, identity_warmup=warmup * extensions[0]["from"]["epochs"] / recipe.epochs)


def _extendable(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in EXTENDABLE_FIELDS if hasattr(recipe, name)}


def record_hardware(plan: Plan, line: str) -> None:
    """Adds the machine to the record of a run, once. A run of a version that recorded none says so first."""
    before = plan.identity.get("hardware") or ([UNKNOWN_HARDWARE] if plan.folder.latest_step() else [])
    plan.identity["hardware"] = list(dict.fromkeys([*before, line]))


def record_processes(plan: Plan, processes: int, inexact: bool) -> int | None:
    """Adds a change of the number of processes to the record of a run. Returns the steps of an epoch, None without any change.

    With another number of processes a step holds more or fewer pairs; the schedule and the steps of an epoch stay as they were.
    Raises RunError for another number without `inexact`, and where the state does not hold the steps of an epoch.
    """
    folder, resumes = plan.folder, list(plan.identity.get("inexact_resumes", []))
    step = folder.latest_step()
    if step is not None and (before := folder.processes_of(step)) != processes:
        shared, _ = folder.load_state(step, 0, processes, inexact)
        if "steps_per_epoch" not in shared:  # of an early version
            raise RunError(f"{plan.out}: its state does not say how long its epochs are: launch as many processes as before")
        entry = {"step": step, "processes": [before, processes], "steps_per_epoch": shared["steps_per_epoch"]}
        resumes += [entry] if entry not in resumes[-1:] else []
        plan.identity["inexact_resumes"] = resumes
    return int(resumes[-1]["steps_per_epoch"]) if resumes else None


# The output of --dry-run.


def dry_run_text(plan: Plan, trainer: Trainer, batches: Batches | None, processes: int, downloads: Sequence[str] = ()) -> str:
    """The recipe, the images, the sizes of the networks and the disk that a run needs.

    `downloads`: a line for each download that is needed before there can be `batches`.
    """
    r = plan.recipe
    sizes = {name: sum(p.numel() for p in network.parameters() if p.requires_grad) for name, network in trainer.networks.items()}
    published = len(trainer.published(None).files()["model.safetensors"])
    # A state: weights, two Adam moments and the EMA, and each process's two image pools; twice, while one replaces the other.
    state = sum(4 * 3 * n for n in sizes.values()) + (published if getattr(r, "ema", 0) else 0)
    state += processes * 2 * getattr(r, "pool_size", 0) * 4 * r.channels * r.trained_size**2
    epochs = min(r.keep_epochs, -(-r.epochs // r.snapshot_every))
    disk = 2 * state + (epochs + 2) * published  # last/, and one more epoch before another is removed
    lines = [json.dumps(plan.identity["recipe"], indent=2), f"labels: {' -> '.join(plan.labels)}", f"out: {plan.out}"]
    if batches is None:
        lines += [f"domain {side.upper()}: {text}" for side, text in plan.identity["data"].items()] + list(downloads)
        per_epoch = r.steps_per_epoch
    else:
        lines += [f"domain {side.upper()}: {plan.identity['data'][side]}" for side in batches.counts]  # counts stand above
        per_epoch = batches.steps_per_epoch
    steps = f"{per_epoch}; steps in all: {per_epoch * r.epochs}" if per_epoch else "known once the images have been read"
    lines += [f"trainable weights of {name}: {n}" for name, n in sizes.items()]
    lines += [
        f"steps per epoch: {steps}",
        f"disk needed: about {disk / 2**20:.0f} MiB ({counted(epochs, 'epoch')} of {published / 2**20:.1f} MiB, and the state)",
    ]
    return "\n".join(lines)


def counts_text(side: str, counts: dict[str, int]) -> str:
    """How many images of a domain are trained on, and what became of the others."""
    found = "streamed" if not counts["found"] else f"{counts['kept']:,} of {counted(counts['found'])} to train on"
    others = [
        counted(n, "duplicate") if name == "duplicates" else f"{n:,} {name.replace('_', ' ')}"
        for name, n in counts.items()
        if n and name not in ("found", "kept")
    ]
    return f"domain {side.upper()}: {'; '.join(filter(None, (found, ', '.join(others))))}"
