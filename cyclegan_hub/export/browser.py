"""`cyclegan-hub export MODEL DIR --web`: writes static files with which a visitor's browser runs the generators itself."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cyclegan_hub import __version__
from cyclegan_hub.checkpoints import Epoch, list_epochs, load
from cyclegan_hub.export import onnx_export
from cyclegan_hub.export.onnx_export import OPSET, ExportError, Shape, part, to_onnx
from cyclegan_hub.export.winograd import TILE, use_winograd
from cyclegan_hub.faces.mtcnn import finder_files
from cyclegan_hub.files import sync_folder, write_folder
from cyclegan_hub.hub.provenance import LICENCES
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.inference import fold_upsampling
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.protocols import Translator

PAGE = Path(__file__).parent / "web"
STATIC = ("index.html", "app.js", "worker.js", "pixels.js", "faces.js", "style.css")


def export_web(
    source: str,
    out: Path,
    *,
    epochs: Sequence[int] | None = None,
    size: int | None = None,
    runtime: str | None = None,
    webgpu: bool = False,
) -> int:
    """Writes the folder `out`, which must not exist or be empty; returns 0.

    `epochs` None: the best one. `size` None: the side the model was trained at; pictures become centred squares of it.
    `runtime`: a folder with the npm package onnxruntime-web, or its address (https://…); None: ./node_modules.
    Each model file is compared with the model, as `export` does. Raises ExportError for options that cannot be followed; a failed
    export leaves no folder.
    """  # fmt: skip
    out = out.expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} is not empty: give the name of a new folder")
    if not out.parent.is_dir():
        raise ExportError(f"{out}: there is no folder {out.parent}")
    found = find_runtime(runtime, webgpu)
    chosen = _chosen(source, epochs)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    try:
        folder.chmod(0o755)  # with mkdtemp's 0700 a web server of another user could not read it
        manifest = _models(source, chosen, size, folder)
        manifest |= {"runtime": found.address, "webgpu": webgpu, "version": __version__}
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
        _page(folder, manifest, found)
        if any(manifest["eyes"].values()):
            write_folder(folder / "faces", finder_files())
        found.copy(folder)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(out.parent)
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    models = sum(path.stat().st_size for path in out.glob("models/*"))
    print(f"{out}: {total:,} bytes, of these {models:,} models and {found.bytes:,} runtime ({found.words})")
    if "value_range" in manifest:
        print("  a browser reads 16-bit files in its own way: the page refuses them; `cyclegan-hub translate` does not")
    print(f"  try it: python -m http.server --directory {out}, then open http://127.0.0.1:8000")
    print(f"  put it on the Hub: hf upload user/name {out} . --repo-type space")
    return 0


def _chosen(source: str, epochs: Sequence[int] | None) -> list[Epoch]:
    there = list_epochs(source)
    if epochs is None:
        return [next((epoch for epoch in there if epoch.best), there[-1])]
    numbers = {epoch.number: epoch for epoch in there}
    missing = [number for number in epochs if number not in numbers]
    if missing:
        raise ExportError(f"{source}: no epoch {missing[0]}; epochs there: {', '.join(str(epoch.number) for epoch in there)}")
    return [numbers[number] for number in sorted(set(epochs))]


def _models(source: str, chosen: Sequence[Epoch], size: int | None, folder: Path) -> dict[str, Any]:
    """Writes models/ and proof.json; returns the content of manifest.json about the models."""
    (folder / "models").mkdir()
    epochs: list[dict[str, Any]] = []
    proofs: dict[str, Any] = {}
    manifest: dict[str, Any] = {}
    for epoch in chosen:
        model = load(source, None if epoch.number is None else epoch.number)
        if not isinstance(model, Translator):
            raise ExportError(f"{source} draws {model.labels[0]} images: --web is for models that translate")
        side = size or model.translate_size
        files = {}
        for direction in model.directions:
            name = f"models/{direction}{'' if epoch.number is None else f'-{epoch.name}'}.onnx"
            data, manifest, differences = _model(model, source, direction, side, name)
            (folder / name).write_bytes(data)
            files[direction], proofs[name] = name, differences
            print(f"{name}: {len(data):,} bytes, differs from the model by at most "
                  f"{max(one['largest'] for one in differences['found']):.3f}/255")  # fmt: skip
        epochs.append({"name": epoch.name, "number": epoch.number, "best": epoch.best, "files": files})
    (folder / "proof.json").write_text(json.dumps(proofs, indent=2) + "\n", "utf-8")
    return manifest | {"epochs": epochs}


def _model(model: Translator, source: str, direction: str, side: int, name: str) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Returns (ONNX file of one direction, content of the manifest about the model, proof)."""
    made = part(model, source, direction, "fp16", side)
    network = _WithInput(model, copy.deepcopy(made.network))
    fold_upsampling(network)
    if isinstance(made.network, ResNetGenerator) and side % (4 * TILE) == 0:
        use_winograd(network)
    metadata = made.metadata | {"pairs": "given", "multiple": "1"}  # the rule is in the graph
    example = torch.rand(1, model.channels, side, side) * 2 - 1
    data = to_onnx(network.eval(), Shape(example, any_batch=False), opset=OPSET, metadata=metadata, half=True)
    found = onnx_export.prove(model, direction, OnnxGenerator.from_bytes(data, name).forward, side)
    onnx_export.check(found, "fp16")
    manifest: dict[str, object] = {key: metadata[key] for key in ("domain", "license", "terms", "source")}
    manifest |= {"labels": [str(label) for label in model.labels], "channels": model.channels, "size": side}
    manifest["eyes"] = {name: model.eyes[name] for name in model.directions}
    manifest["skip"] = {name: bool(getattr(model.network(name), "skip", False)) for name in model.directions}
    if "value_range" in metadata:
        manifest["value_range"] = json.loads(metadata["value_range"])
    return data, manifest, onnx_export.as_json(found, "fp16")


class _WithInput(nn.Module):
    """A generator together with the step that makes its input of a picture, as one network for pictures of one size."""

    def __init__(self, model: Translator, network: nn.Module) -> None:
        super().__init__()
        self.input_of, self.network = model.input_of, network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.input_of(x))  # type: ignore[no-any-return]  # torch types a module's result as Any


def _page(folder: Path, manifest: dict[str, Any], runtime: Runtime) -> None:
    """Writes the page, whose policy allows requests only to its own address, and the configuration files of static hosts."""
    origin = runtime.origin  # of a runtime that is not in the folder, else ""
    title = manifest["domain"] or " → ".join(manifest["labels"])
    policy = (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{origin and f' {origin} blob:'}; connect-src 'self'"
        f"{origin and f' {origin}'}; worker-src 'self' blob:; img-src 'self' blob: data:; media-src 'self' blob:; "
        "style-src 'self'; base-uri 'none'; form-action 'none'"
    )
    for name in STATIC:
        text = (PAGE / name).read_text("utf-8")
        if name == "index.html":
            text = text.replace("{policy}", html.escape(policy)).replace("{title}", html.escape(title.capitalize()))
        (folder / name).write_text(text, "utf-8")
    # Without these two headers a browser gives WebAssembly one thread. Hub Spaces read them in README.md, some hosts in _headers.
    (folder / "_headers").write_text(
        "/*\n  Cross-Origin-Opener-Policy: same-origin\n  Cross-Origin-Embedder-Policy: require-corp\n", "utf-8"
    )
    (folder / "README.md").write_text(
        _SPACE.format(
            title=json.dumps(title.capitalize(), ensure_ascii=False),
            arrow=" ↔ ".join(manifest["labels"]),
            terms_of_use=_front_matter(manifest["license"]),
            **manifest,
        ),
        "utf-8",
    )


def _front_matter(licence: str) -> str:
    """The licence of a model as lines of a Space's front matter."""
    if licence in LICENCES:
        return f"license: {licence}"
    return f"license: other\nlicense_name: {json.dumps(licence.replace(' ', '-'))}"


_SPACE = """---
title: {title}
emoji: 🎭
colorFrom: indigo
colorTo: pink
sdk: static
{terms_of_use}
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin
---

{arrow}, in the visitor's own browser: no picture leaves the page.

Model: {source} ({license}; training images: {terms}). Written by cyclegan_hub {version}; onnxruntime-web is Microsoft's (MIT).
"""


# Finds the files of onnxruntime-web for the browser: a folder from which they are copied, or an address.


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
