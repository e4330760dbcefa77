"""Finds the two files of a published model, in a folder or on the Hub, both of one commit."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import constants, hf_hub_download

from cyclegan_hub.hub.errors import FaultKind, fault_of, not_fetched
from cyclegan_hub.hub.model_folder import ModelError, folder_of, listed
from cyclegan_hub.hub.refs import refs_of
from cyclegan_hub.hub.wrong_sources import not_a_folder, not_there

_FILES = (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE)


def fetch(
    source: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> tuple[str, bytes, Path]:
    """Returns (name for error messages, content of `config.json`, path of the weights) of a folder or repository.

    Both files come from one commit. Arguments and errors are those of `StrictHubMixin.from_pretrained`.
    """
    folder = Path(source)
    if os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        folder = folder_of(folder, revision)
        for name in _FILES:
            if not (folder / name).is_file():
                raise ModelError(not_there(str(folder), name, (path.name for path in folder.iterdir())))
        where, config, weights = str(folder), folder / _FILES[0], folder / _FILES[1]
    elif os.path.isfile(folder):  # noqa: PTH113 (as above)
        raise ModelError(not_a_folder(folder))
    else:
        where, paths, commit = f"{source}@{revision or 'main'}", list[Path](), revision
        for name in _FILES:
            try:
                path = hf_hub_download(
                    str(source), name, revision=commit, token=token, cache_dir=cache_dir,
                    force_download=force_download, local_files_only=local_files_only,
                )  # fmt: skip
            except Exception as error:  # OSError, ValueError and, by version, the errors of one of two HTTP libraries
                there = _epochs_of(str(source), token) if fault_of(error).kind is FaultKind.REVISION else ""
                raise ModelError(not_fetched(error, str(source), where, name, there)) from error
            paths.append(Path(path))
            commit = paths[0].parent.name  # .../snapshots/COMMIT/config.json
        config, weights = paths
    return where, config.read_bytes(), weights


def _epochs_of(repo: str, token: str | bool | None) -> str:
    """A list of the epochs in a repository, as the end of an error about a missing one; "" if they cannot be listed."""
    try:
        return f"; {listed(refs_of(repo, token)[1])}"
    except Exception:  # whatever the client raises: the list is only a help
        return ""
