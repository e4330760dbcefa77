"""The one reader of a run's `recipe.json`: what was trained, on what, from which command line."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypedDict, cast

from cyclegan_hub.errors import UserError

# Of a run with `own_cycle`: which cycle that is. Records without this key are of versions in which it was the other one.
CYCLE_BEGINS, CYCLE_ENDS = "begins", "ends"
# Keys that describe a run and do not make it another one: a resumed run keeps them, and may change them.
NOTES = ("data_note", "hardware")


class RunRecordError(UserError):
    """A `recipe.json` that is not of the form that training writes; the message names it, what is wrong and the remedy."""


class RunRecord(TypedDict, total=False):
    """The content of `recipe.json`, written before the first step. An older or newer version may have other keys."""

    recipe: dict[str, Any]  # every field of the recipe, with its name
    labels: list[str]  # of A and B, of input and output, or one label for a model that draws
    data: dict[str, str]  # a line for each pile: {"a": ..., "b": ...}, or {"a": ...} for one pile or pairs
    seed: int
    init: str | None  # the weights that the run started from: a repository, or "NAME (weights sha256 0123456789ab)"
    own_cycle: str  # CYCLE_ENDS, of a run with `own_cycle`: each generator is trained on the cycle that ends with it
    extended: list[dict[str, Any]]  # one entry for each extension by more epochs: step, from, to, rate before and after
    fingerprints: dict[str, str]  # `data.load_sides.Side.fingerprint` of the images of each side
    inexact_resumes: list[dict[str, Any]]  # one entry for each resume with another number of processes: step, processes
    data_note: dict[str, Any]  # {"text", "licence", "use", "limits"} of the training images: see `hub.provenance`
    hardware: list[str]  # what the run was trained on, a line for each machine
    seconds: float  # of training, where the history was thinned and no longer adds up to it


def read_run_record(path: Path, needs: Collection[str] = ()) -> RunRecord | None:
    """The content of the `recipe.json` at `path`; None if there is no such file.

    `needs` names the required keys. The keys that are there must have the right form: `recipe` is a table, `labels` is a list of
    texts, `data` has a line for "a", or for "a" and "b". Raises RunRecordError for another form or an unreadable file.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise TypeError("it holds no table")
        recipe, labels, data = (content.get(key) for key in ("recipe", "labels", "data"))
        if recipe is not None and not isinstance(recipe, dict):
            raise TypeError("its recipe is no table")
        if labels is not None and not (isinstance(labels, list) and labels and all(isinstance(label, str) for label in labels)):
            raise TypeError(f"labels={labels!r} is no list of texts")
        if data is not None and not _is_data(data):
            raise TypeError(f"data={data!r} is not a line for a, or for a and b")
        note, hardware = content.get("data_note"), content.get("hardware")
        if note is not None and not (isinstance(note, dict) and isinstance(note.get("limits", []), list)):
            raise TypeError(f"data_note={note!r} must be a JSON object, and its limits a list")
        if hardware is not None and not (isinstance(hardware, list) and all(isinstance(line, str) for line in hardware)):
            raise TypeError(f"hardware={hardware!r} must be a list of texts")
        if missing := sorted(set(needs) - content.keys()):
            raise KeyError(", ".join(missing))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunRecordError(f"{path} cannot be read ({error.strerror or error}): get the right to read it") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunRecordError(f"{path} is damaged ({reason}): restore it from a copy of the run, or move it away") from None
    return cast(RunRecord, _renamed(content))


def _renamed(content: dict[str, Any]) -> dict[str, Any]:
    """The record in today's names: older pix2pix recipes call the field `adversarial_weight` "adversarial", and where an older
    one has `own_cycle`, it was the cycle that begins with the generator, which is no value of today's field."""
    recipe = content.get("recipe") or {}
    if recipe.get("own_cycle") is True and "own_cycle" not in content:
        return content | {"recipe": recipe | {"own_cycle": CYCLE_BEGINS}}
    if "l1" in recipe and "adversarial" in recipe:
        names = {"adversarial": "adversarial_weight"}
        return content | {"recipe": {names.get(name, name): value for name, value in recipe.items()}}
    return content


def _is_data(data: object) -> bool:
    return isinstance(data, dict) and data.keys() in ({"a"}, {"a", "b"}) and all(isinstance(text, str) for text in data.values())
