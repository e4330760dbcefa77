"""The URL of a published model, and the licence in its card."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub import ModelCard

from cyclegan_hub.file_names import base_name

HUB = "https://huggingface.co"  # what is published names the real Hub, whichever mirror HF_ENDPOINT is


def address_of(source: str | Path) -> str:
    """The URL of a repository's page on the Hub; for a local folder its name alone, so that no local path is published."""
    return base_name(Path(source).resolve()) if _is_folder(source) else f"{HUB}/{source}"


def licence_of(source: str | Path, token: str | None = None) -> str | None:
    """The licence in the model card of a folder or Hub repository: "mit" or another name; None if none is stated."""
    if _is_folder(source) and not (Path(source) / "README.md").is_file():
        return None  # the Hub would be asked for a path that there is not
    try:
        data = ModelCard.load(str(Path(source) / "README.md") if _is_folder(source) else str(source), token=token).data
    except Exception:  # no card, one that cannot be read, no Hub: by version the errors of two HTTP libraries, and YAML's
        return None
    stated = data.get("license_name") or data.get("license")
    return str(stated) if stated else None


def _is_folder(source: str | Path) -> bool:
    return os.path.isdir(source)  # noqa: PTH112 (Path.is_dir raises for a text too long to be a name)
