"""Single files of a dataset on the Hub: their sizes, their download, and which of them are in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoFolder


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
