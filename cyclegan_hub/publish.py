"""Run folder -> model folder with its card -> commits and epoch tags of a Hub repository.

    folder = build(Path("runs/smile"), Path("runs/smile/published"), "user/smile")  # works offline
    push(folder, "user/smile")

Doing it again changes nothing; doing it again after an interruption completes it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError, safe_open

from cyclegan_hub import cards, checkpoints, images
from cyclegan_hub.files import write_atomic, write_folder
from cyclegan_hub.models.fetch import first_line, refs_of, remedy
from cyclegan_hub.models.folders import chosen_in, epoch_number, epochs_in, listed
from cyclegan_hub.models.published import Model, from_pretrained
from cyclegan_hub.runs import RunError, RunFolder
from cyclegan_hub.sample_grid import sample_grid

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
TIMEOUT = 60  # seconds without a byte of an answer; the client itself would wait for ever
MODEL = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)
SHARED = ("recipe.json", "metrics.json", "samples.png", "README.md")  # the same in the commits of all epochs


class PublishError(ValueError):
    """Something that cannot be published, or a Hub that refuses it; the message names it and the remedy."""


# ------------------------------------------------------------------------------------------------ the model folder
def build(run: Path, out: Path, repo_id: str, *, epochs: Sequence[int] | None = None, dtype: str = "fp32") -> Path:
    """Writes the model folder of a run into `out`, as the repository will hold it, and returns `out`; needs no Hub.

    `out` itself holds what `main` will: the weights of the chosen epoch (the best by the run's `metrics.json`, else the last
    of `epochs`), `config.json`, `recipe.json`, `metrics.json`, `samples.png` and the card; `out/epochs/` each epoch to be
    published (None: all that the run kept). Equal runs give equal bytes; epochs of an earlier build are removed.

    Which method it was follows from the class that the epochs' `config.json` names.

    Raises PublishError for a missing run, an epoch it does not have, a best epoch left out or epochs of another run,
    ModelError for damaged weights, CardError for what a card cannot be made of.
    """
    if dtype not in DTYPES:
        raise PublishError(f"dtype {dtype!r}: must be one of {', '.join(DTYPES)}")
    record, history, processes = _read_run(run)
    names = _selected(run, epochs)
    metrics = cards.read_metrics(run / "metrics.json")
    chosen = chosen_in(run) if metrics else names[-1]
    if chosen not in names:
        raise PublishError(f"{run}: {chosen} is the best by metrics.json but is not to be published: add it to the epochs")
    for name in names:  # all are looked at before anything is written, and none is kept: twenty may be gigabytes
        _check_same_run(run, name, record, from_pretrained(run / "epochs" / name))
    model = from_pretrained(run / "epochs" / chosen)
    facts = cards.Facts(repo_id, type(model), model.config, record, history, processes, names, chosen, metrics, dtype)
    shared = {
        "recipe.json": (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(),
        "samples.png": images.png_bytes(sample_grid(model)),
        "README.md": cards.render(facts).encode(),
    }
    if metrics:
        shared["metrics.json"] = (run / "metrics.json").read_bytes()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in names:
            write_folder(out / "epochs" / name, _model_files(run / "epochs" / name, dtype))
        for name in epochs_in(out).keys() - set(names):
            shutil.rmtree(out / "epochs" / name)
        for name, data in (_read(out / "epochs" / chosen, MODEL) | shared).items():
            write_atomic(out / name, data)
        if not metrics:
            (out / "metrics.json").unlink(missing_ok=True)
    except OSError as error:
        raise PublishError(f"cannot write to {out}: {error.strerror or error}. Free space or choose another folder") from error
    return out


def _read_run(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """`recipe.json`, `history.jsonl` and the number of processes of a run."""
    path = run / "recipe.json"
    if not path.is_file():
        raise PublishError(f"{run} holds no run (no recipe.json there): give the folder that train.py wrote")
    try:
        record = json.loads(path.read_bytes())
        needed = {"name", "domain", "image_size", "batch_size"} - record["recipe"].keys()
        labels, sides = record["labels"], record["data"].keys()
        if needed or sides not in ({"a"}, {"a", "b"}) or not all(isinstance(label, str) for label in labels):
            raise ValueError(f"not a training's record{': no ' + ', '.join(sorted(needed)) if needed else ''}")
        history = RunFolder(run).history()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = error if isinstance(error, RunError) else f"{path} is damaged ({error})"
        raise PublishError(f"{what}: restore it from a copy of the run") from None
    ranks = {state: len(list(state.glob("rank-*.safetensors"))) for state in run.glob("state/step-*")}
    return record, history, max(ranks.values(), default=1)


def _check_same_run(run: Path, name: str, record: dict[str, Any], model: Model) -> None:
    """Raises PublishError for an epoch that the run of this `recipe.json` cannot have written."""
    own = (list(model.labels), set(cards.METHODS[type(model)].sides))
    if own != (record["labels"], set(record["data"])):
        told = f"labels {', '.join(record['labels'])}, data {', '.join(sorted(record['data']))}"
        raise PublishError(
            f"{run}: {name} is a {type(model).__name__} of {', '.join(model.labels)}, which the run of recipe.json ({told}) did "
            "not write: restore the folder from a copy of the run"
        )


def _selected(run: Path, epochs: Sequence[int] | None) -> list[str]:
    """Names of the epochs to publish, ascending."""
    there = {epoch_number(name): name for name in epochs_in(run)}
    if not there:
        raise PublishError(f"{run} has no epochs yet: train on, until the first one is written")
    wanted = sorted(there if epochs is None else set(epochs))
    if unknown := [str(epoch) for epoch in wanted if epoch not in there]:
        raise PublishError(f"{run}: no epoch {', '.join(unknown)}; {listed(there.values())}")
    if not wanted:
        raise PublishError(f"{run}: no epoch is to be published; {listed(there.values())}")
    return [there[epoch] for epoch in wanted]


def _read(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _model_files(folder: Path, dtype: str) -> dict[str, bytes]:
    """`config.json` and the weights of one epoch, loaded strictly and written anew, with what their header said."""
    model = from_pretrained(folder)
    try:
        with safe_open(folder / constants.SAFETENSORS_SINGLE_FILE, framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise PublishError(f"{folder}: the header of its weights cannot be read ({first_line(error)})") from error
    return model.files(metadata, DTYPES[dtype])


# ------------------------------------------------------------------------------------------------------------ the Hub
def check(repo_id: str, token: str | None = None) -> None:
    """Raises PublishError for a wrong repository name, without a token, or with one that the Hub does not let write."""
    check_name(repo_id)
    if not (token or get_token()):
        raise PublishError("no token to publish with: log in with `hf auth login`, or set HF_TOKEN")
    with _hub(repo_id, "checking the token"):
        auth = HfApi(token=token).whoami().get("auth") or {}
    if (auth.get("accessToken") or {}).get("role") == "read":
        raise PublishError(f"{repo_id}: the token may only read: make one with write permission and log in with `hf auth login`")


def check_name(repo_id: str) -> None:
    """Raises PublishError for what is no name of a repository with its owner."""
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PublishError(f"{repo_id!r} is no repository name ({first_line(error)}): give 'user/name'") from None
    if "/" not in repo_id:
        raise PublishError(f"{repo_id!r} names no owner: give 'user/name'")


def push(folder: Path, repo_id: str, *, private: bool = False, retag: bool = False, token: str | None = None) -> dict[str, str]:
    """Publishes a model folder; returns the commit of each of its epochs' tags, and of "main".

    Each epoch that the repository does not hold yet becomes one commit with a tag, the chosen one last, and `main` ends at
    the chosen epoch. What is there and equal is left alone. Every commit names its parent: of two publishers at once, one is told
    to run again. Raises PublishError for that, for tags that hold another model (unless `retag`, which moves them), and for
    whatever the Hub refuses; running it again then completes what was begun.
    """
    check(repo_id, token)
    epochs, shared = epochs_in(folder), _read(folder, SHARED)
    if not epochs or any(not (path / name).is_file() for path in epochs.values() for name in MODEL) or "README.md" not in shared:
        raise PublishError(f"{folder} is no model folder with a card and epochs/: build it from the run first")
    chosen = chosen_in(folder)
    api = HfApi(token=token)
    with _hub(repo_id, "opening the repository"):
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise PublishError(f"{repo_id} is there and public: change that in its settings, or leave --private out")
        head, tags = refs_of(repo_id, token)
        right = {
            name
            for name, path in epochs.items()
            if name in tags and not _changes(api, repo_id, tags[name], _read(path, MODEL), MODEL)
        }
    wrong = [name for name in epochs if name in tags and name not in right]
    if wrong and not retag:
        raise PublishError(
            f"{repo_id}: {', '.join(wrong)} there holds another model than this run: move the tag with --retag, or publish "
            "to another repository"
        )
    for name in sorted(set(epochs) - right, key=lambda name: (name == chosen, epoch_number(name))):
        head = _commit(api, repo_id, head, name, _read(epochs[name], MODEL) | shared)
        with _hub(repo_id, f"tagging {name}"):
            if name in tags:
                api.delete_tag(repo_id, tag=name)
            api.create_tag(repo_id, tag=name, revision=head)
        tags[name] = head
    head = _commit(api, repo_id, head, f"main is {chosen}", _read(epochs[chosen], MODEL) | shared)
    checkpoints.forget(repo_id)
    return {name: tags[name] for name in epochs} | {"main": head}


def _commit(api: HfApi, repo_id: str, head: str | None, message: str, files: dict[str, bytes]) -> str:
    """Brings `main`, which is at `head`, to hold these files; returns its commit, the same one if it does already."""
    with _hub(repo_id, f"committing {message}"):
        operations = _changes(api, repo_id, head, files, (*MODEL, *SHARED))
        if operations or head is None:
            head = api.create_commit(repo_id, operations, commit_message=message, parent_commit=head).oid
    return head


def _changes(
    api: HfApi, repo_id: str, commit: str | None, files: dict[str, bytes], names: Sequence[str]
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """What turns those of `names` that a commit has into `files`."""
    found = api.get_paths_info(repo_id, list(names), revision=commit)
    there = {entry.path: entry for entry in found if isinstance(entry, RepoFile)}
    added = [CommitOperationAdd(name, data) for name, data in files.items() if not _equal(there.get(name), data)]
    return [*added, *(CommitOperationDelete(name) for name in there if name not in files)]


def _equal(entry: RepoFile | None, data: bytes) -> bool:
    """By hash: SHA-256 of an LFS file, git's own of another."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


_TRANSPORT = tuple(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")  # of httpx or httpx2, by version


@contextmanager
def _hub(repo_id: str, doing: str) -> Iterator[None]:
    """Gives the client's requests a time limit, and turns its errors into one line."""
    session = get_session()
    before, session.timeout = session.timeout, TIMEOUT
    try:
        yield
    except (HfHubHTTPError, OSError, *_TRANSPORT, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of an upload that failed
        match getattr(getattr(cause, "response", None), "status_code", None):
            case 409 | 412:
                told = "somebody else published there at the same time: run the same command again"
            case 403:
                told = f"{first_line(cause)}: publish under your own name, or with a token that may write there"
            case 400 | 401 | 404 | 413:
                told = f"{first_line(cause)}: {remedy(cause)}"
            case _:
                told = f"{first_line(cause)}: {remedy(cause)}; the same command then completes what was begun"
        raise PublishError(f"{repo_id}: {doing}: {told}") from error
    except ValueError as error:
        if isinstance(error, PublishError):
            raise
        raise PublishError(f"{repo_id}: {doing}: {' '.join(str(error).split())}") from error  # the Hub's word on the card's YAML
    finally:
        session.timeout = before
