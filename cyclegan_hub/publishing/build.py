"""Run folder -> model folder with its card -> commits and epoch tags of a Hub repository.

    with built(Path("runs/smile"), "user/smile") as folder:  # works offline; nothing is written into the run
        push(folder, "user/smile")

Running it again changes nothing; after an interruption, running it again completes the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from tqdm import tqdm

from cyclegan_hub.errors import UserError
from cyclegan_hub.evaluation.record import read_metrics
from cyclegan_hub.files import json_bytes, readable, remove_folder, temporary_folder, write_atomic, write_folder
from cyclegan_hub.hub.mixin import read_metadata
from cyclegan_hub.hub.provenance import data_note, known_note, public_record, without_paths
from cyclegan_hub.hub.records import (
    RunRecord,
    chosen_in,
    epoch_number,
    epochs_in,
    listed,
    processes_of,
    read_history,
    read_run_record,
)
from cyclegan_hub.hub.repository import MODEL
from cyclegan_hub.models.auto import Model, from_pretrained
from cyclegan_hub.publishing import card as cards

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
FAILURES = "failures.txt"
SHARED = ("recipe.json", "metrics.json", cards.SAMPLES, cards.EXAMPLE, "README.md", FAILURES)  # the same for all epochs


class PublishError(UserError):
    """A run that cannot be published, or a refusal by the Hub; the message names the cause and the remedy."""


@contextmanager
def built(run: Path, repo_id: str, **options: Any) -> Iterator[Path]:
    """The model folder of a run, as `build` makes it, in a temporary folder for as long as the block lasts."""
    with temporary_folder() as place:
        yield build(run, place / "published", repo_id, **options)


def build(
    run: Path,
    out: Path,
    repo_id: str,
    *,
    epochs: Sequence[int] | None = None,
    dtype: str = "fp32",
    note: str | None = None,
    licence: str | None = None,
    on_hub: bool = True,
) -> Path:
    """Writes the model folder of a run into `out`, as the repository will hold it, and returns `out`; needs no Hub.

    `out` itself holds the files of the branch `main`: the weights of the chosen epoch (the best by the run's `metrics.json`,
    else the last of `epochs`), `config.json`, `recipe.json`, `metrics.json`, the sample images and the card. `out/epochs/` holds
    each epoch to be published; `epochs` None: all that are in the run. Equal runs give equal bytes; epochs of an earlier
    build are removed.

    With `on_hub` False `repo_id` is a folder, such as "pretrained/smile", and the card names no URL. `note` and `licence` say
    where the training images come from and under which licence, in place of what the run's record says (`--data-note` and
    `--data-licence`). No path of this machine is published: see `hub.provenance.without_paths`.

    The class in the epochs' `config.json` tells the method. If the run's folder has a `failures.txt` (one known failure a
    line), the card lists them, and the file is published too.

    Raises PublishError for a missing run, an `out` that is the run or holds other files, an epoch it does not have, a best epoch
    left out or epochs of another run, ModelError for damaged weights.
    """
    if dtype not in DTYPES:
        raise PublishError(f"dtype {dtype!r}: must be one of {', '.join(DTYPES)}")
    _check_out(out, run)
    record, history, processes = _read_run(run)
    record = public_record(record)
    if given := data_note(note, licence, record.get("data_note") or known_note(record["data"])):
        record["data_note"] = given
    names = _selected(run, epochs, record["recipe"])
    measured = read_metrics(run / "metrics.json")
    metrics = measured.public if measured else None
    chosen = chosen_in(run) if metrics else names[-1]
    if chosen not in names:
        raise PublishError(f"{run}: {chosen} is the best by metrics.json but is not to be published: add it to the epochs")
    # All are checked before anything is written; loaded one at a time, since twenty may be gigabytes.
    for name in tqdm(names, desc="checking epochs", unit=" epochs", disable=None):
        _check_same_run(run, name, record, from_pretrained(run / "epochs" / name))
    model = from_pretrained(run / "epochs" / chosen)
    facts = cards.Facts(
        repo_id, type(model), model.config, record, history, processes, names, chosen, metrics, dtype, _failures(run),
        on_hub=on_hub,
    )  # fmt: skip
    shared = {
        "recipe.json": json_bytes(record),
        **cards.sample_images(model),
        "README.md": readable(cards.render(facts)).encode(),
        **{name: without_paths(data.decode("utf-8")).encode() for name, data in read_files(run, [FAILURES]).items()},
    }
    if metrics:
        unchanged = metrics == measured
        shared["metrics.json"] = (run / "metrics.json").read_bytes() if unchanged else json_bytes(metrics.to_json())
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in tqdm(names, desc="writing epochs", unit=" epochs", disable=None):
            write_folder(out / "epochs" / name, _model_files(run / "epochs" / name, dtype))
        for name in epochs_in(out).keys() - set(names):
            remove_folder(out / "epochs" / name)
        for name, data in (read_files(out / "epochs" / chosen, MODEL) | shared).items():
            write_atomic(out / name, data)
        for name in set(SHARED) - set(shared):  # of an earlier build
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise PublishError(f"cannot write to {out}: {error.strerror or error}. Free space or choose another folder") from error
    return out


def _check_out(out: Path, run: Path) -> None:
    """Raises PublishError where files of the user would be overwritten: in the run itself, or in a folder with other files."""
    if out.resolve() == run.resolve():
        raise PublishError(f"{out} is the run itself: give another folder to write to")
    ours = {"epochs", *MODEL, *SHARED}
    foreign = sorted(path.name for path in out.glob("*") if path.name not in ours) if out.is_dir() else []
    if foreign:
        raise PublishError(f"{out} is not a model folder (it holds {foreign[0]!r}): give a new or an empty folder")


def _read_run(run: Path) -> tuple[RunRecord, list[dict[str, Any]], int]:
    """Reads a run's `recipe.json` and `history.jsonl`, and the number of processes from its state files."""
    path = run / "recipe.json"
    record = read_run_record(path, needs=("recipe", "labels", "data"))
    if record is None:
        raise PublishError(f"{run} is not a run folder (it has no recipe.json): give the folder that train.py wrote")
    if missing := {"name", "domain", "image_size", "batch_size"} - record["recipe"].keys():
        raise PublishError(f"{path} is damaged (no {', '.join(sorted(missing))} in it): restore it from a copy of the run")
    return record, read_history(run / "history.jsonl"), processes_of(run)


def _failures(run: Path) -> list[str]:
    """The known failures in the run's `failures.txt`, one a line; empty without that file."""
    path = run / FAILURES
    try:
        lines = without_paths(path.read_text("utf-8")).splitlines() if path.is_file() else []
    except UnicodeDecodeError:
        raise PublishError(f"{path} is not UTF-8: save it again in that encoding") from None
    return [line.strip().removeprefix("- ") for line in lines if line.strip()]


def _check_same_run(run: Path, name: str, record: RunRecord, model: Model) -> None:
    """Raises PublishError for an epoch of another run: its labels or domains are not those of `recipe.json`."""
    own = (list(model.labels), set(type(model).data_sides))
    if own != (record["labels"], set(record["data"])):
        recorded = f"labels {', '.join(record['labels'])}, data {', '.join(sorted(record['data']))}"
        raise PublishError(
            f"{run}: {name} is a {type(model).__name__} of {', '.join(model.labels)}, which the run of recipe.json ({recorded}) "
            "did not write: restore the folder from a copy of the run"
        )


def _selected(run: Path, epochs: Sequence[int] | None, recipe: Mapping[str, Any]) -> list[str]:
    """Names of the epochs to publish, ascending."""
    found = {epoch_number(name): name for name in epochs_in(run)}
    if not found:
        first = min(recipe.get("snapshot_every", 1), recipe.get("epochs", 1))
        raise PublishError(
            f"{run} has no epochs yet: it can be published from the end of epoch {first} of {recipe.get('epochs', first)}; "
            "resume it until then by the same command"
        )
    wanted = sorted(found if epochs is None else set(epochs))
    unknown = [str(epoch) for epoch in wanted if epoch not in found]
    if unknown or not wanted:
        wrong = f"no epoch {', '.join(unknown)}" if unknown else "no epoch was chosen"
        raise PublishError(f"{run}: {wrong}; {listed(found.values())}")
    return [found[epoch] for epoch in wanted]


def read_files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """{file name: content} of those of `names` that are in the folder."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _model_files(folder: Path, dtype: str) -> dict[str, bytes]:
    """`config.json` and weights of one epoch, loaded strictly, with the same metadata, as {file name: content}."""
    model = from_pretrained(folder)
    metadata = read_metadata((folder / constants.SAFETENSORS_SINGLE_FILE).read_bytes())
    return model.files(without_paths(metadata), DTYPES[dtype])
