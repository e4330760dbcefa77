"""What may change when a run is resumed: more epochs (`--extend`), or another number of processes (`--allow-process-change`).

Both are written into the run's `recipe.json`, from where the card has them. No torch on import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cyclegan_hub.recipes.methods import Recipe, RecipeError, override

FIELDS = ("epochs", "decay")  # of a recipe, where it has them
CARRIED = ("extended", "inexact_resumes")  # keys of recipe.json that a resumed run keeps


def extended(recipe: Recipe, record: Mapping[str, Any] | None, text: str | None, step: int | None) -> tuple[Recipe, list[Any]]:
    """The recipe of a run that was made longer, or is made so now, and the list of how, for `recipe.json`.

    `record` is the run's `recipe.json`, `text` that of `--extend`, `step` that of the newest state. The command that a run was
    started with goes on with an extended run, and so does the one that extended it.
    Raises RecipeError where there is no run, for another field than epochs and decay, and for fewer epochs than there are.
    """
    steps = list(record.get("extended", [])) if record else []
    if steps and _fields(recipe) == steps[0]["from"]:
        recipe = replace(recipe, **steps[-1]["to"])
    if text is None:
        return recipe, steps
    if record is None:
        raise RecipeError(f"--extend {text}: there is no run in --out yet: start one with --set {text}")
    changes = changes_in(text.split(","))
    if "epochs" not in changes or not set(changes) <= _fields(recipe).keys():
        more = ", and decay=SHARE to change it" if "decay" in _fields(recipe) else ""
        raise RecipeError(f"--extend {text!r}: give epochs=N{more}")
    longer = override(recipe, changes)
    before = {name: record.get("recipe", {}).get(name) for name in _fields(recipe)}
    if _fields(longer) == before or _fields(recipe) != before:  # extended already; or another recipe, which the run folder names
        return longer if _fields(longer) == before else recipe, steps
    if longer.epochs <= recipe.epochs:
        raise RecipeError(f"--extend {text!r}: epochs must be more than the {recipe.epochs} of this run")
    return longer, [*steps, {"step": step or 0, "from": before, "to": _fields(longer)}]


def changes_in(parts: Iterable[str]) -> dict[str, str]:
    """{"epochs": "60"} of ["epochs=60"]; a part without "=" gets an empty text, which `override` refuses."""
    return {name.strip(): value for name, _, value in (part.partition("=") for part in parts)}


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The factor of the learning rate after `step` steps: 1, then in the last `decay` of the schedule falling linearly to 0."""
    total = recipe.epochs * steps_per_epoch
    decay = getattr(recipe, "decay", 0.0) * total
    return min(1.0, max(0.0, total - step) / decay) if decay else 1.0


def with_rates(recipe: Recipe, steps: list[Any], steps_per_epoch: int) -> str:
    """Notes in the newest extension what became of the learning rate; returns a sentence on it, "" if it was noted before.

    The rule is one: the rate is that of a run which was planned with so many epochs. Before the decay it stays what it is, and
    the decay is moved; after its begin the rate goes back up to where such a run would be, and falls to 0 from there.
    """
    if not steps or "rate" in steps[-1]:
        return ""
    newest = steps[-1]
    old = replace(recipe, **newest["from"])
    newest["rate"] = [round(rate(r, newest["step"], steps_per_epoch), 6) for r in (old, recipe)]
    before, now = newest["rate"]
    moved = "stays at" if before == now else f"goes from {before:.3g} to"
    return (
        f"extended at step {newest['step']} from {old.epochs} to {recipe.epochs} epochs: the learning rate {moved} {now:.3g} of "
        f"lr, as in a run that was planned with {recipe.epochs} epochs"
    )


def for_trainer(recipe: Recipe, steps: list[Any]) -> Recipe:
    """The recipe as the trainer takes it: a warm-up keeps the length that it had, in steps, before the run was extended."""
    warmup = getattr(recipe, "identity_warmup", 0.0)
    if not steps or not warmup:
        return recipe
    return replace(recipe, identity_warmup=warmup * steps[0]["from"]["epochs"] / recipe.epochs)


def _fields(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in FIELDS if hasattr(recipe, name)}
