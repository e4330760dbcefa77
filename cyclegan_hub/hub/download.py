"""A published model's two files, from a folder or the Hub, and its epoch tags; what the Hub's client says, in one line."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import constants, hf_hub_download

from cyclegan_hub.hub.errors import _missing, _not_fetched
from cyclegan_hub.hub.model_folder import ModelError, folder_of

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
    """(what errors call it, text of `config.json`, file of the weights) of a folder or repository, both of one commit.

    Arguments and errors as of `StrictHubMixin.from_pretrained`.
    """
    folder = Path(source)
    if os.path.isdir(folder):  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
        folder = folder_of(folder, revision)
        where, paths = str(folder), [folder / name for name in _FILES]
        for path in paths:
            if not path.is_file():
                raise ModelError(_missing(where, path.name, (p.name for p in folder.iterdir())))
    elif os.path.isfile(folder):  # noqa: PTH113 (as above)
        raise ModelError(f"{source} is a file: give the folder it is in")
    else:
        where, paths, commit = f"{source}@{revision or 'main'}", [], revision
        for name in _FILES:
            try:
                path = hf_hub_download(
                    str(source), name, revision=commit, token=token, cache_dir=cache_dir,
                    force_download=force_download, local_files_only=local_files_only,
                )  # fmt: skip
            except Exception as error:  # OSError, ValueError and, by version, the errors of one of two HTTP libraries
                raise ModelError(_not_fetched(str(source), where, name, error, token)) from error
            paths.append(Path(path))
            commit = paths[0].parent.name  # .../snapshots/COMMIT/config.json
    return where, paths[0].read_bytes(), paths[1]
