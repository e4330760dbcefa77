"""Finds the models in a folder: a single one, or one for each published epoch below `epochs/`."""

from __future__ import annotations

from pathlib import Path

from cyclegan_hub.errors import UserError
from cyclegan_hub.hub.epoch_names import EPOCH, epoch_name, epoch_number, listed
from cyclegan_hub.hub.metrics_file import MetricsFileError, read_best

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
