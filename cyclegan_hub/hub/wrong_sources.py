"""Error texts for a wrong model or data set argument: an address, a file, a folder without a model. One line each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import constants

_ORIGINAL = re.compile(r"\w+_net_G(_[AB])?\.pth")  # as the code of the paper's authors saves a generator
_IMPORT = "weights of the original code become one with `cyclegan-hub import latest_net_G_A.pth latest_net_G_B.pth OUT`"


def not_a_name(source: str, prefix: str = "") -> str:
    """The error for a text that is neither a folder nor a repository name; for an address it suggests the name inside it.

    `prefix` is written before the suggested name, such as "hf:".
    """
    if name := name_in_address(source):
        return f"{source!r} is an address, not a name: give '{prefix}{name}'"
    if "://" in source:
        return f"{source!r} is an address: download what is there and give the file or folder, or '{prefix}user/name' of the Hub"
    return f"{source!r} is neither a folder nor a repository name: give a folder that exists, or 'user/name'"


def is_address(text: str) -> bool:
    """Whether a text is an address of the Hub or of another server, rather than a path or a name."""
    return "://" in text or name_in_address(text) is not None


def name_in_address(text: str) -> str | None:
    """'user/name' of an address such as https://huggingface.co/datasets/user/name/tree/main; None for any other text."""
    host = re.escape(constants.ENDPOINT.partition("://")[2])
    found = re.match(
        rf"(?:(?:https?://|ssh://)?(?:[^@/\s]+@)?(?:www\.)?(?:huggingface\.co|hf\.co|{host})[/:]|hf://)"
        r"(?:(?:datasets|models|spaces)/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?(?:[/?#@].*)?$",
        text.strip(),
    )
    return found[1] if found else None


def not_there(where: str, file: str, found: Iterable[str]) -> str:
    """The error for a model folder that lacks `file`; `found` are the names of the files in it."""
    pickles = sorted(name for name in found if _is_pickle(name))
    hint = f"; {', '.join(pickles)} is a pickle, which is never loaded" if pickles else ""
    convert = f"; {_IMPORT}" if any(_ORIGINAL.fullmatch(name) for name in pickles) else ""
    return f"{where}: no {file} there{hint}. A model folder holds config.json and model.safetensors{convert}"


def not_a_folder(file: Path) -> str:
    """The error for a file given instead of a model folder."""
    if not _is_pickle(file.name):
        return f"{file} is a file: give the folder it is in"
    convert = f"; {_IMPORT}" if _ORIGINAL.fullmatch(file.name) else ""
    return f"{file} is a pickle, which is never loaded: give a folder with config.json and model.safetensors{convert}"


def _is_pickle(name: str) -> bool:
    return name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl"))
