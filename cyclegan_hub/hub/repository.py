"""Finds the two files of a published model, in a folder or on the Hub, both of one commit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, get_session, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoFolder
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, validate_repo_id  # type: ignore[attr-defined]

from cyclegan_hub.hub.errors import FailureKind, failure_of, missing_file_message, not_a_folder_message, not_fetched
from cyclegan_hub.hub.records import EPOCH, ModelError, RunRecord, epoch_number, folder_of, listed, read_run_record

_FILES = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)
RECORD = "recipe.json"


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


def fetch(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Fetched:
    """The files of a folder's or repository's model.

    Both files come from one commit. Arguments and errors are those of `StrictHubMixin.from_pretrained`.
    """
    folder = Path(source)
    if os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        folder = folder_of(folder, revision)
        for name in _FILES:
            if not (folder / name).is_file():
                raise ModelError(missing_file_message(str(folder), name, (path.name for path in folder.iterdir())))
        return Fetched(str(folder), (folder / _FILES[0]).read_bytes(), folder / _FILES[1])
    if os.path.isfile(folder):  # noqa: PTH113 (as above)
        raise ModelError(not_a_folder_message(folder))
    where, paths, commit = f"{source}@{revision or 'main'}", list[Path](), revision
    for name in _FILES:
        try:
            path = hf_hub_download(
                str(source), name, revision=commit, token=token, cache_dir=cache_dir,
                force_download=force_download, local_files_only=local_files_only,
            )  # fmt: skip
        except Exception as error:  # OSError, ValueError and, by version, the errors of one of two HTTP libraries
            there = _epochs_of(str(source), token) if failure_of(error).kind is FailureKind.REVISION else ""
            raise ModelError(not_fetched(error, str(source), where, name, there)) from error
        paths.append(Path(path))
        commit = paths[0].parent.name  # .../snapshots/COMMIT/config.json
    return Fetched(where, paths[0].read_bytes(), paths[1], str(source), commit, token, cache_dir)


def _epochs_of(repo: str, token: str | bool | None) -> str:
    """A list of the epochs in a repository, as the end of an error about a missing one; "" if they cannot be listed."""
    try:
        return f"; {listed(refs_of(repo, token)[1])}"
    except Exception:  # whatever the client raises: the list is only a help
        return ""


# Reads which commits the branches and tags of a Hub repository point to.


def refs_of(repo: str, token: str | bool | None = None) -> tuple[str | None, dict[str, str]]:
    """Returns (commit of `main`, {epoch tag: commit}, ascending) of a repository by one request.

    The commit is None without a branch `main`. Raises the errors of the Hub's client.
    """
    validate_repo_id(repo)
    answer = get_session().get(  # not HfApi.list_repo_refs, which would wait for ever
        f"{constants.ENDPOINT}/api/models/{repo}/refs",
        headers=build_hf_headers(token=token),
        timeout=constants.HF_HUB_ETAG_TIMEOUT,
    )
    hf_raise_for_status(answer)
    branches, tags = ({ref["name"]: ref["targetCommit"] for ref in answer.json()[kind]} for kind in ("branches", "tags"))
    names = sorted(filter(EPOCH.fullmatch, tags), key=epoch_number)
    return branches.get("main"), {name: tags[name] for name in names}


# Single files of a dataset on the Hub: their sizes, their download, and which of them are in the cache.


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


def cached_folder(dataset: str, revision: str | None) -> Path | None:
    """The folder in the Hub's cache that holds the downloaded files of a dataset; None if there is none."""
    try:
        return Path(snapshot_download(dataset, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def sizes(dataset: str, names: Sequence[str], commit: str) -> dict[str, int]:
    """The size in bytes of each of these files. Raises the errors of the Hub's client."""
    found = HfApi().get_paths_info(dataset, list(names), repo_type="dataset", revision=commit)
    return {entry.path: entry.size for entry in found if isinstance(entry, RepoFile)}


def folders(dataset: str, revision: str | None) -> list[str]:
    """The names of the folders at the top of a dataset, in order. Raises the errors of the Hub's client."""
    tree = HfApi().list_repo_tree(dataset, repo_type="dataset", revision=revision)
    return sorted(entry.path for entry in tree if isinstance(entry, RepoFolder))


def has_folder(dataset: str, folder: str, revision: str | None) -> bool:
    """Whether a dataset has a folder of this path. Raises the errors of the Hub's client."""
    found = HfApi().get_paths_info(dataset, [folder.strip("/")], repo_type="dataset", revision=revision)
    return any(isinstance(entry, RepoFolder) for entry in found)


def is_cached(dataset: str, name: str, commit: str) -> bool:
    """Whether a file of a commit is in the Hub's cache."""
    return isinstance(try_to_load_from_cache(dataset, name, repo_type="dataset", revision=commit), str)
