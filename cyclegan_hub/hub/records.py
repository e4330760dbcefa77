"""Finds the models in a folder: a single one, or one for each published epoch below `epochs/`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from huggingface_hub import ModelCard

from cyclegan_hub.errors import UserError
from cyclegan_hub.files import base_name

__all__ = ["EPOCH", "ModelError", "chosen_in", "epoch_name", "epoch_number", "epochs_in", "folder_of", "listed"]


class ModelError(UserError):
    """A folder, repository or file that is not a model of this class; the message names it and the remedy."""


def epochs_in(folder: Path) -> dict[str, Path]:
    """The model folders in `epochs/`, by name ("epoch-005"), ascending; empty for the folder of a single model."""
    found = {path.name: path for path in folder.glob("epochs/epoch-*") if EPOCH.fullmatch(path.name) and path.is_dir()}
    return dict(sorted(found.items(), key=lambda item: epoch_number(item[0])))


def chosen_in(folder: Path) -> str:
    """The epoch that is loaded if none is named: the best one by `metrics.json`; without that file the last one.

    Raises ModelError if the file is damaged, or names an epoch that does not exist.
    """
    names, path = list(epochs_in(folder)), folder / "metrics.json"
    try:
        best = read_best(path)
    except MetricsFileError as error:
        raise ModelError(str(error)) from None
    if best is None:
        return names[-1]
    if best not in names:
        raise ModelError(f"{path} calls {best!r} the best, which is not in epochs/: {listed(names)}")
    return best


def folder_of(folder: Path, revision: str | None) -> Path:
    """The folder with `config.json` and weights of a revision: one of `epochs/`, or `folder` itself for a single model ("main").

    Raises ModelError for a revision that does not exist.
    """
    epochs = epochs_in(folder)
    if epochs:
        name = chosen_in(folder) if revision is None or revision == "main" else revision
        if name not in epochs:
            raise ModelError(f"{folder}: no epoch {name!r}; {listed(epochs)}")
        return epochs[name]
    if revision not in (None, "main"):
        raise ModelError(f"{folder}: no epoch {revision!r}; it holds a single model and no epochs/")
    return folder


# Names of published epochs: "epoch-005" is the name of a folder and of a tag; "main" is a model without epochs.


EPOCH = re.compile(r"epoch-[0-9]+")


def epoch_name(epoch: int) -> str:
    """ "epoch-005" for 5."""
    return f"epoch-{epoch:03d}"


def epoch_number(name: str) -> int:
    """5 for "epoch-005". Raises ValueError for another kind of name."""
    return int(name.removeprefix("epoch-"))


def epoch_order(name: str) -> int:
    """A number to sort epochs by: "main" is 0 and comes first. Raises ValueError for another kind of name."""
    return 0 if name == "main" else epoch_number(name)


def listed(names: Collection[str]) -> str:
    """A list of the epochs that exist, as part of an error about a missing one."""
    return f"epochs there: {', '.join(names) or 'none'}"


# The one reader of a run's `recipe.json`: what was trained, on what, from which command line.


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
    fingerprints: dict[str, str]  # `data.load.DomainImages.fingerprint` of the images of each domain
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


# The one reader of a model folder's `metrics.json`.


class MetricsFileError(UserError):
    """A `metrics.json` that is not of the form that evaluation writes."""


def read_metrics(path: Path) -> dict[str, Any] | None:
    """The content of `metrics.json`; None if there is no such file.

    {"best": "epoch-010", "rule": ..., "extractor": ..., "protocol": {...}, "classifier": {...}, "notes": [...],
    "baselines": {"untranslated": {"a_to_b": {"kid": ...}, "b_to_a": {...}}, "floor": {...}}, "epochs": {"epoch-005": ...}}, the
    epochs of the same form as the baselines. The directions are those of the model's class; a FaceGenerator has only
    "samples", and no "untranslated". A single model without an epoch number is called "main". A figure that could not be
    computed is null. "best" and "epochs" are required, all else is optional. Raises MetricsFileError for another form.
    """
    try:
        metrics: dict[str, Any] = json.loads(path.read_bytes())
        measured = [*metrics["epochs"].values(), *metrics.get("baselines", {}).values()]
        directions = [values for one in measured for values in one.values()]
        if metrics["best"] in metrics["epochs"] and all(isinstance(values, dict) for values in directions):
            for name in metrics["epochs"]:
                epoch_order(name)
            return metrics
        reason = f"best={metrics['best']!r} is not among its epochs, or one of these has no metrics by direction"
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise MetricsFileError(f"{path} is not of the form that evaluation writes ({reason}): evaluate again, or remove it")


def read_best(path: Path) -> str | None:
    """The best epoch by `metrics.json`, such as "epoch-010"; None if there is no such file. The rest is not checked.

    Raises MetricsFileError for a file without "best".
    """
    try:
        best = json.loads(path.read_bytes())["best"]
        if not isinstance(best, str):
            raise TypeError(f"best={best!r} is no name")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise MetricsFileError(
            f"{path} is not one of ours ({type(error).__name__}: {error}): evaluate again, or remove it"
        ) from None
    return best


# The one reader of a run's `history.jsonl`, and the training time computed from its speeds.


class HistoryError(UserError):
    """A `history.jsonl` with a line that cannot be read."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`; empty without that file. An incomplete last line, left by a killed process, is ignored.

    Raises HistoryError for any other damaged line.
    """
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    parsed = []
    for i, line in enumerate(lines):
        try:
            parsed.append(json.loads(line))
        except ValueError:
            if i < len(lines) - 1:
                raise HistoryError(f"{path}: line {i + 1} is damaged: mend or move the file") from None
    return parsed


def training_time(lines: Iterable[Mapping[str, Any]], batch: int) -> tuple[float, int]:
    """Returns (seconds of computing, steps) of a history. Each line holds the mean speed since the line before it.

    `batch`: pairs or images in one step of all processes together. The time between two runs of the command does not count.
    (0.0, 0) if no line holds a speed.
    """
    seconds, before = 0.0, 0
    for line in lines:
        if line.get("pairs_per_s"):
            seconds += (line["step"] - before) * batch / line["pairs_per_s"]
            before = line["step"]
    return seconds, before


# The URL of a published model, and the licence in its card.


HUB = "https://huggingface.co"  # what is published names the real Hub, whichever mirror HF_ENDPOINT is


def address_of(source: str | Path) -> str:
    """The URL of a repository's page on the Hub; for a local folder its name alone, so that no local path is published."""
    return base_name(Path(source).resolve()) if _is_folder(source) else f"{HUB}/{source}"


def licence_of(source: str | Path, token: str | None = None) -> str | None:
    """The licence in the model card of a folder or Hub repository: "mit" or another name; None if none is stated."""
    if _is_folder(source) and not (Path(source) / "README.md").is_file():
        return None  # the Hub would be asked for a path that there is not
    try:
        data = ModelCard.load(str(Path(source) / "README.md") if _is_folder(source) else str(source), token=token).data
    except Exception:  # no card, one that cannot be read, no Hub: by version the errors of two HTTP libraries, and YAML's
        return None
    stated = data.get("license_name") or data.get("license")
    return str(stated) if stated else None


def _is_folder(source: str | Path) -> bool:
    return os.path.isdir(source)  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
