"""Finds the files of onnxruntime-web for the browser: a folder from which they are copied, or an address."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from cyclegan_hub.commands.onnx_graph import ExportError

VERSION = "1.30.0"  # of the npm package onnxruntime-web: the one that the tests run
_WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_WEBGPU = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_HELP = f"run `npm install onnxruntime-web@{VERSION}` here, or give --runtime FOLDER, or --runtime https://… for a CDN"


@dataclass(frozen=True)
class Runtime:
    """The source of the runtime: `files` are copied to runtime/; if there are none, `address` is on another host."""

    address: str  # as the page asks for it, with a slash at the end
    words: str
    files: tuple[Path, ...] = field(default=())

    @property
    def origin(self) -> str:
        """The other host ("https://cdn.example"), "" if the files are the folder's own."""
        return "" if self.files else "/".join(self.address.split("/")[:3])

    @property
    def bytes(self) -> int:
        """Size of the copied files in bytes."""
        return sum(path.stat().st_size for path in self.files)

    def copy(self, folder: Path) -> None:
        """Copies the files to `folder`/runtime."""
        if self.files:
            (folder / "runtime").mkdir()
        for path in self.files:
            shutil.copyfile(path, folder / "runtime" / path.name)


def find_runtime(place: str | None, webgpu: bool = False) -> Runtime:
    """The runtime in a folder (None: ./node_modules), or at an address. Raises ExportError, with the remedy, if missing."""
    if place is not None and re.match(r"[a-z]+://", place):
        if not re.fullmatch(r"https://[\w.:-]+(/[\w.@/-]*)?", place):
            raise ExportError(f"--runtime {place}: give an address that starts with https:// and has no query")
        return Runtime(place.rstrip("/") + "/", f"from {place}")
    start = Path(place).expanduser() if place is not None else Path()
    package = "onnxruntime-web"
    for folder in (start, start / "dist", start / package / "dist", start / "node_modules" / package / "dist"):
        files = tuple(folder / name for name in (*_WASM, *(_WEBGPU if webgpu else ())))
        if all(path.is_file() for path in files):
            return Runtime("runtime/", f"onnxruntime-web {_version(folder)}", files)
    where = f"--runtime {place}" if place is not None else "./node_modules"
    raise ExportError(f"{where} does not hold onnxruntime-web ({_WASM[0]} and its .wasm): {_HELP}")


def _version(folder: Path) -> str:
    """The version of the package in this folder. Raises ExportError for another version than the tested one."""
    path = folder.parent / "package.json"
    if not path.is_file():
        return f"of unknown version ({VERSION} was tested)"
    found = json.loads(path.read_text("utf-8")).get("version")
    if found != VERSION:
        raise ExportError(f"{folder.parent} is onnxruntime-web {found}, and {VERSION} was tested: {_HELP}")
    return str(found)
