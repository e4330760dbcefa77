"""The files of a published model, in a folder or on the Hub, and those of a dataset on the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import (
    DryRunFileInfo,
    HfApi,
    ModelCard,
    constants,
    get_session,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFolder
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id  # type: ignore[attr-defined]

from cyclegan_hub.files import base_name, readable
from cyclegan_hub.hub.errors import FailureKind, failure_of, file_message, missing_file_message, not_a_folder_message
from cyclegan_hub.hub.records import EPOCH, ModelError, RunRecord, epoch_number, folder_of, listed, read_run_record

HUB = "https://huggingface.co"  # what is published names the real Hub, whichever mirror HF_ENDPOINT is
MODEL = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)
RECORD = "recipe.json"


def is_folder(source: str | Path) -> bool:
    """Whether a source is a folder and not a repository. Raises ModelError for a file."""
    if os.path.isfile(source):  # noqa: PTH113 (Path.is_file and is_dir raise for a text too long to be a name)
        raise ModelError(not_a_folder_message(Path(source)))
    return os.path.isdir(source)  # noqa: PTH112


# ------------------------------------------------------------------------------------------------- a model's files
@dataclass(frozen=True)
class Fetched:
    """The files of one model."""

    where: str  # its name in error messages
    config: bytes  # content of config.json
    weights: Path
    repo: str | None = None  # on the Hub; None: a folder
    commit: str | None = None
    token: str | bool | None = None
    cache_dir: str | Path | None = None

    def record(self) -> RunRecord | None:
        """The record of the run that made the weights; None without one, and where the Hub does not give it.

        In a folder it lies beside the weights, or beside `epochs/`, `last/` or `best/` that hold them. Raises RunRecordError for
        a damaged one.
        """
        if self.repo is not None:
            try:
                path = hf_hub_download(self.repo, RECORD, revision=self.commit, token=self.token, cache_dir=self.cache_dir)
            except Exception:  # no such file, no Hub: OSError, ValueError and, by version, errors of one of two HTTP libraries
                return None
            return read_run_record(Path(path))
        folder = self.weights.parent.resolve()
        places = [folder, *([folder.parent] if folder.name in ("last", "best") else [])]
        places += [folder.parent.parent] if folder.parent.name == "epochs" else []
        return next((found for place in places if (found := read_run_record(place / RECORD)) is not None), None)


def fetch(source: str | Path, *, revision: str | None = None, **options: Any) -> Fetched:
    """The files of a folder's or repository's model; `options` are those of `hf_hub_download`.

    Both files come from one commit. Errors are those of `StrictHubMixin.from_pretrained`.
    """
    if is_folder(source):
        folder = folder_of(Path(source), revision)
        for name in MODEL:
            if not (folder / name).is_file():
                raise ModelError(missing_file_message(str(folder), name, (path.name for path in folder.iterdir())))
        return Fetched(str(folder), (folder / MODEL[0]).read_bytes(), folder / MODEL[1])
    where, paths, commit = f"{source}@{revision or 'main'}", list[Path](), revision
    for name in MODEL:
        try:
            path = hf_hub_download(str(source), name, revision=commit, **options)
        except Exception as error:  # OSError, ValueError and, by version, the errors of one of two HTTP libraries
            epochs = _epochs_of(str(source), options.get("token")) if failure_of(error).kind is FailureKind.REVISION else ""
            raise ModelError(file_message(error, str(source), where, name) + epochs) from error
        paths.append(Path(path))
        commit = paths[0].parent.name  # .../snapshots/COMMIT/config.json
    return Fetched(where, paths[0].read_bytes(), paths[1], str(source), commit, options.get("token"), options.get("cache_dir"))


def _epochs_of(repo: str, token: str | bool | None) -> str:
    """A list of the epochs in a repository, as the end of an error about a missing one; "" if they cannot be listed."""
    try:
        return f"; {listed(refs_of(repo, token).epochs)}"
    except Exception:  # whatever the client raises: the list only helps
        return ""


class Refs(NamedTuple):
    """Commits of a repository: of `main` (None: not known) and of each epoch's tag, ascending."""

    main: str | None
    epochs: dict[str, str]


def refs_of(repo: str, token: str | bool | None = None) -> Refs:
    """The commits of a repository by one request. Raises the errors of the Hub's client."""
    validate_repo_id(repo)
    answer = get_session().get(  # not HfApi.list_repo_refs, which would wait for ever
        f"{constants.ENDPOINT}/api/models/{repo}/refs",
        headers=build_hf_headers(token=token),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    hf_raise_for_status(answer)
    branches, tags = ({ref["name"]: ref["targetCommit"] for ref in answer.json()[kind]} for kind in ("branches", "tags"))
    names = sorted(filter(EPOCH.fullmatch, tags), key=epoch_number)
    return Refs(branches.get("main"), {name: tags[name] for name in names})


def url_of(source: str | Path) -> str:
    """The URL of a repository's page on the Hub; for a local folder its name alone, so that no local path is published."""
    return readable(base_name(Path(source).resolve())) if is_folder(source) else f"{HUB}/{source}"


def licence_of(source: str | Path, token: str | None = None) -> str | None:
    """The licence in the model card of a folder or Hub repository: "mit" or another name; None if none is stated."""
    card = Path(source) / "README.md"
    local = is_folder(source)
    if local and not card.is_file():
        return None  # the Hub would be asked for a path that is missing here
    try:
        data = ModelCard.load(str(card if local else source), token=token).data
    except Exception:  # no card, one that cannot be read, no Hub: by version the errors of two HTTP libraries, and YAML's
        return None
    stated = data.get("license_name") or data.get("license")
    return str(stated) if stated else None


# -------------------------------------------------------------------------------------------------------- datasets
def check_reachable(timeout: float = 10) -> None:
    """Raises ConnectionError if the Hub does not answer within `timeout` seconds.

    The client itself retries every request for over 20 seconds, even if the dataset is in its cache.
    """
    try:
        get_session().head(constants.ENDPOINT, timeout=timeout)  # any answer will do
    except Exception as error:  # by version, the errors of one of two HTTP libraries
        raise ConnectionError(str(error)) from error


def download(dataset: str, names: Sequence[str], revision: str | None) -> list[Path]:
    """Downloads these files of a dataset, all of one commit, into the Hub's cache and returns their paths.

    A file that is in the cache is not downloaded again. Raises the errors of the Hub's client.
    """
    paths: list[Path] = []
    commit = revision
    for name in names:
        paths.append(Path(hf_hub_download(dataset, name, repo_type="dataset", revision=commit)))
        commit = paths[0].parents[name.count("/")].name if len(paths) == 1 else commit  # .../snapshots/COMMIT/name
    return paths


def dry_run(dataset: str, names: Sequence[str], commit: str) -> list[DryRunFileInfo]:
    """Size of each of these files (`file_size`) and whether it is cached. Raises the errors of the Hub's client."""
    wanted = [re.sub(r"([*?[])", r"[\1]", name) for name in names]
    return snapshot_download(dataset, repo_type="dataset", revision=commit, allow_patterns=wanted, dry_run=True)


def cached_folder(dataset: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache that holds the downloaded files of a dataset; None if there is none."""
    try:
        return Path(snapshot_download(dataset, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def folders(dataset: str, revision: str | None) -> list[str]:
    """The names of the folders at the top of a dataset, in order. Raises the errors of the Hub's client."""
    tree = HfApi().list_repo_tree(dataset, repo_type="dataset", revision=revision)
    return sorted(entry.path for entry in tree if isinstance(entry, RepoFolder))


def has_folder(dataset: str, folder: str, revision: str | None) -> bool:
    """Whether a dataset has a folder of this path. Raises the errors of the Hub's client."""
    found = HfApi().get_paths_info(dataset, [folder.strip("/")], repo_type="dataset", revision=revision)
    return any(isinstance(entry, RepoFolder) for entry in found)
