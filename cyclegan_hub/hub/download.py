"""Finds the two files of a published model, in a folder or on the Hub, both of one commit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_download

from cyclegan_hub.hub.errors import FaultKind, fault_of, not_fetched
from cyclegan_hub.hub.model_folder import ModelError, folder_of, listed
from cyclegan_hub.hub.refs import refs_of
from cyclegan_hub.hub.run_record import RunRecord, read_run_record
from cyclegan_hub.hub.wrong_sources import not_a_folder, not_there

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
                raise ModelError(not_there(str(folder), name, (path.name for path in folder.iterdir())))
        return Fetched(str(folder), (folder / _FILES[0]).read_bytes(), folder / _FILES[1])
    if os.path.isfile(folder):  # noqa: PTH113 (as above)
        raise ModelError(not_a_folder(folder))
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
    return Fetched(where, paths[0].read_bytes(), paths[1], str(source), commit, token, cache_dir)


def _epochs_of(repo: str, token: str | bool | None) -> str:
    """A list of the epochs in a repository, as the end of an error about a missing one; "" if they cannot be listed."""
    try:
        return f"; {listed(refs_of(repo, token)[1])}"
    except Exception:  # whatever the client raises: the list is only a help
        return ""
