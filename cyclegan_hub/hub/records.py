"""What a run or model folder holds: its epochs, `recipe.json`, `metrics.json` and `history.jsonl`, each with one reader."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from cyclegan_hub.errors import UserError

# The name of a published epoch is that of its folder and of its tag; a model without epochs is called "main".
EPOCH = re.compile(r"epoch-[0-9]+")


class ModelError(UserError):
    """A folder, repository or file that is not a model of this class; the message names it and the remedy."""


class MetricsFileError(ModelError):
    """A `metrics.json` that is not of the form that evaluation writes."""


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


def epochs_in(folder: Path) -> dict[str, Path]:
    """The model folders in `epochs/`, by name ("epoch-005"), ascending; empty for the folder of a single model."""
    found = {path.name: path for path in folder.glob("epochs/epoch-*") if EPOCH.fullmatch(path.name) and path.is_dir()}
    return dict(sorted(found.items(), key=lambda item: epoch_number(item[0])))


def chosen_in(folder: Path) -> str:
    """The epoch that is loaded if none is named: the best one by `metrics.json`; without that file the last one.

    Raises ModelError if the file is damaged, or names an epoch that does not exist.
    """
    names, path = list(epochs_in(folder)), folder / "metrics.json"
    try:  # the rest of the file is read by evaluation/record.py
        best = json.loads(path.read_bytes())["best"]
        if not isinstance(best, str):
            raise TypeError(f"best={best!r} is no name")
    except FileNotFoundError:
        return names[-1]
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        wrong = f"{type(error).__name__}: {error}"
        raise MetricsFileError(f"{path} is not one of ours ({wrong}): evaluate again, or remove it") from None
    if best not in names:
        raise ModelError(f"{path} calls {best!r} the best, which is gone: evaluate again, or remove it; {listed(names)}")
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


# ------------------------------------------------------------------------------------------------------- recipe.json
# Of a run with `own_cycle`: which cycle that is. Records without this key are of versions in which it was the other one.
CYCLE_BEGINS, CYCLE_ENDS = "begins", "ends"
# Keys that describe a run and do not make it another one: a resumed run keeps them, and may change them.
NOTES = ("data_note", "hardware")


class RunRecordError(UserError):
    """A `recipe.json` that training did not write; the message names it, the error and the remedy."""


def changed_weights(extension: Mapping[str, Any]) -> str:
    """What an entry of `extended` changed beside the epochs and the decay: "; cycle from 10 to 5", or ""."""
    text = ""
    for name, now in extension["to"].items():
        before = extension["from"].get(name)
        if name not in ("epochs", "decay") and before != now:
            text += "; {} from {} to {}".format(name, *("none" if x is None else f"{x:g}" for x in (before, now)))
    return text


class RunRecord(TypedDict, total=False):
    """The content of `recipe.json`, written before the first step. An older or newer version may have other keys."""

    recipe: dict[str, Any]  # every field of the recipe, with its name
    labels: list[str]  # of A and B, of input and output, or one label for a model that samples
    data: dict[str, str]  # a line for each domain: {"a": ..., "b": ...}, or {"a": ...} for one domain or pairs
    seed: int
    init: str | None  # the weights that the run started from: a repository, or "NAME (weights sha256 0123456789ab)"
    own_cycle: str  # CYCLE_ENDS, of a run with `own_cycle`: each generator is trained on the cycle that ends with it
    extended: list[dict[str, Any]]  # one entry for each extension by more epochs: step, from, to, rate before and after
    fingerprints: dict[str, str]  # `data.load.DomainImages.fingerprint` of the images of each domain
    inexact_resumes: list[dict[str, Any]]  # one entry for each resume with another number of processes: step, processes
    data_note: dict[str, Any]  # {"text", "licence", "use", "limits"} of the training images: see `hub.provenance`
    hardware: list[str]  # a line for each machine that trained the run
    seconds: float  # of training, where the history was thinned and does not add up to it


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_data(value: object) -> bool:
    return isinstance(value, dict) and value.keys() in ({"a"}, {"a", "b"}) and _is_texts(list(value.values()))


# The keys of a record whose form is checked: what they must be.
_FORMS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "recipe": (lambda value: isinstance(value, dict), "a JSON object"),
    "labels": (lambda value: value != [] and _is_texts(value), "a list of texts"),
    "data": (_is_data, "a JSON object with a text for a, or for a and b"),
    "data_note": (
        lambda value: isinstance(value, dict) and isinstance(value.get("limits", []), list),
        "a JSON object whose limits are a list",
    ),
    "hardware": (_is_texts, "a list of texts"),
}


def read_run_record(path: Path, needs: Collection[str] = ()) -> RunRecord | None:
    """The content of the `recipe.json` at `path`; None if there is no such file.

    `needs` names the required keys. Raises RunRecordError for an unreadable file, and for keys of another form than `_FORMS`.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise TypeError("it must hold a JSON object")
        for key, (fits, form) in _FORMS.items():
            if content.get(key) is not None and not fits(content[key]):
                raise TypeError(f"{key}={content[key]!r} must be {form}")
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
    """The record in today's names.

    Older pix2pix recipes call the field `adversarial_weight` "adversarial". Where an older recipe has `own_cycle`, it was the
    cycle that begins with the generator, which is not a value of today's field.
    """
    recipe = content.get("recipe") or {}
    if recipe.get("own_cycle") is True and "own_cycle" not in content:
        return content | {"recipe": recipe | {"own_cycle": CYCLE_BEGINS}}
    if "l1" in recipe and "adversarial" in recipe:
        names = {"adversarial": "adversarial_weight"}
        return content | {"recipe": {names.get(name, name): value for name, value in recipe.items()}}
    return content


def processes_of(run: Path) -> int:
    """The number of processes of a run, by its state; 1 without one."""
    return max((len(list(state.glob("rank-*.safetensors"))) for state in run.glob("state/step-*")), default=1)


# ----------------------------------------------------------------------------------------------------- history.jsonl
class HistoryError(UserError):
    """A `history.jsonl` with a line that cannot be read."""


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`; empty without that file. An incomplete last line, left by a killed process, is ignored.

    Raises HistoryError for any other damaged line.
    """
    lines = path.read_bytes().splitlines() if path.exists() else []
    parsed = []
    for i, line in enumerate(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            parsed.append(entry)
        elif i < len(lines) - 1:
            raise HistoryError(f"{path}: line {i + 1} is damaged: fix it or move the file away")
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
