"""`cyclegan-hub export MODEL DIR --web`: writes static files with which a user's browser runs the generators itself."""

from __future__ import annotations

import copy
import html
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tqdm import tqdm

from cyclegan_hub import __version__
from cyclegan_hub.checkpoints import Epoch, list_epochs, load
from cyclegan_hub.domains import DOMAINS, Domain
from cyclegan_hub.export import onnx_export
from cyclegan_hub.export.onnx_export import OPSET, ExportError, Shape, part, to_onnx
from cyclegan_hub.export.winograd import TILE, use_winograd
from cyclegan_hub.faces import align, find_faces
from cyclegan_hub.faces.mtcnn import finder_files
from cyclegan_hub.files import atomic_folder, json_bytes, write_folder
from cyclegan_hub.free_images import EXAMPLES, examples_for
from cyclegan_hub.hub.provenance import LICENCES
from cyclegan_hub.imaging import images
from cyclegan_hub.models.generators import ResNetGenerator
from cyclegan_hub.models.inference import fold_upsampling
from cyclegan_hub.models.onnx import OnnxGenerator
from cyclegan_hub.models.photograph import MAX_STRENGTH
from cyclegan_hub.models.protocols import Translator
from cyclegan_hub.templates import FAVICON

PAGE = Path(__file__).parent / "web"
STATIC = ("index.html", "app.js", "opened.js", "worker.js", "pixels.js", "faces.js", "style.css")
OPENED = 1024  # px at most of a user's own example


def export_web(
    source: str,
    out: Path,
    *,
    epochs: Sequence[int] | None = None,
    size: int | None = None,
    runtime: str | None = None,
    webgpu: bool = False,
    example: Path | None = None,
) -> int:
    """Writes the folder `out`, which must not exist or be empty; returns 0.

    `epochs` None: the best one. `size` None: the side the model was trained at; images become centred squares of it.
    `runtime`: a folder with the npm package onnxruntime-web, or its URL (https://…); None: ./node_modules.
    `example`: the image that the first direction opens with; None: a free one.
    Each model file is compared with the model, as `export` does. Raises ExportError for options that cannot be followed; a failed
    export leaves no folder.
    """  # fmt: skip
    out = out.expanduser().resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} is not empty: give the name of a new folder")
    if not out.parent.is_dir():
        raise ExportError(f"{out}: there is no folder {out.parent}")
    found = find_runtime(runtime, webgpu)
    own = None if example is None else images.decode(example)
    chosen = _chosen(source, epochs)
    with atomic_folder(out) as folder:
        manifest = _models(source, chosen, size, folder, own)
        manifest |= {"runtime": found.url, "webgpu": webgpu, "version": __version__, "max_strength": MAX_STRENGTH}
        (folder / "manifest.json").write_bytes(json_bytes(manifest))
        _page(folder, manifest, found)
        if any(manifest["eyes"].values()):
            write_folder(folder / "faces", finder_files())
        found.copy(folder)
    total, models, copied = (
        sum(path.stat().st_size for path in out.glob(which) if path.is_file()) for which in ("**/*", "models/*", "runtime/*")
    )
    print(f"{out}: {total:,} bytes, of these {models:,} models and {copied:,} runtime ({found.origin_text})")
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


def _models(
    source: str, chosen: Sequence[Epoch], size: int | None, folder: Path, example: Image.Image | None
) -> dict[str, Any]:  # fmt: skip
    """Writes models/, proof.json (the verification) and the examples; returns what manifest.json says about the models."""
    (folder / "models").mkdir()
    epochs: list[dict[str, Any]] = []
    verifications: dict[str, Any] = {}
    manifest: dict[str, Any] = {}
    opening: dict[str, Any] = {}
    first = next((epoch for epoch in chosen if epoch.best), chosen[0])  # the one that the page opens with
    for epoch in tqdm(chosen, desc="exporting epochs", unit=" epochs", disable=None):
        model = load(source, None if epoch.number is None else epoch.number)
        if not isinstance(model, Translator):
            raise ExportError(f"{source} generates {model.labels[0]} images: --web is for models that translate")
        side = size or model.translate_size
        files = {}
        for direction in model.directions:
            name = f"models/{direction}{'' if epoch.number is None else f'-{epoch.name}'}.onnx"
            data, manifest, differences = _model(model, source, direction, side, name)
            (folder / name).write_bytes(data)
            files[direction], verifications[name] = name, differences
            print(f"{name}: {len(data):,} bytes, differs from the model by at most "
                  f"{max(one['largest'] for one in differences['found']):.3f}/255")  # fmt: skip
        if epoch is first:
            domain = DOMAINS.get(model.domain)
            if domain and domain.labels != model.labels:  # a user's own model, whatever recipe it was trained with
                domain = None
            title = domain.action if domain and domain.action else " → ".join(model.labels)
            opening = {"title": title, "examples": _examples(model, domain, side, example, folder)}
        epochs.append({"name": epoch.name, "number": epoch.number, "best": epoch.best, "files": files})
    (folder / "proof.json").write_bytes(json_bytes(verifications))
    return manifest | opening | {"epochs": epochs}


def _model(model: Translator, source: str, direction: str, side: int, name: str) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Returns (ONNX file of one direction, content of the manifest about the model, verification)."""
    made = part(model, source, direction, "fp16", side)
    network = fold_upsampling(copy.deepcopy(made.network))
    if isinstance(network, ResNetGenerator) and side % (4 * TILE) == 0:
        use_winograd(network)
    example = torch.rand(1, model.channels, side, side) * 2 - 1
    shape, metadata = Shape(example, any_batch=False), made.metadata
    data = to_onnx(network.eval(), shape, opset=OPSET, metadata=metadata, half=True)
    found = onnx_export.compare_outputs(model, direction, OnnxGenerator.from_bytes(data, name).run, side)
    onnx_export.check_differences(found, "fp16")
    manifest: dict[str, object] = {key: metadata[key] for key in ("domain", "license", "terms", "source")}
    manifest |= {"labels": [str(label) for label in model.labels], "channels": model.channels, "size": side}
    manifest["eyes"] = {name: model.eyes[name] for name in model.directions}
    manifest["skip"] = {name: model.has_skip(name) for name in model.directions}
    if "value_range" in metadata:
        manifest["value_range"] = json.loads(metadata["value_range"])
    return data, manifest, onnx_export.verification(found, "fp16")


def _page(folder: Path, manifest: dict[str, Any], runtime: Runtime) -> None:
    """Writes the page, whose policy allows requests only to its own host, and the configuration files of static hosts."""
    origin = runtime.origin  # of a runtime that is not in the folder, else ""
    arrow = " ↔ ".join(manifest["labels"]) if len(manifest["eyes"]) > 1 else " → ".join(manifest["labels"])
    description = f"{arrow}, in your own browser: no picture leaves the page."
    policy = (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{origin and f' {origin} blob:'}; connect-src 'self'"
        f"{origin and f' {origin}'}; worker-src 'self' blob:; img-src 'self' blob: data:; media-src 'self' blob:; "
        "style-src 'self'; base-uri 'none'; form-action 'none'"
    )
    values = {"policy": policy, "title": manifest["title"], "description": description}
    for name in STATIC:
        text = (PAGE / name).read_text("utf-8")
        if name == "index.html":
            text = re.sub(r"\{(\w+)\}", lambda found: html.escape(values[found[1]]), text)
        (folder / name).write_text(text, "utf-8")
    shutil.copyfile(FAVICON, folder / FAVICON.name)
    # Without these two headers a browser gives WebAssembly one thread. Hub Spaces read them in README.md, some hosts in _headers.
    (folder / "_headers").write_text(
        "/*\n  Cross-Origin-Opener-Policy: same-origin\n  Cross-Origin-Embedder-Policy: require-corp\n", "utf-8"
    )
    (folder / "README.md").write_text(
        _SPACE.format(front_matter="\n".join(_front_matter(manifest, arrow)), description=description, **manifest),
        "utf-8",
    )


def _examples(
    model: Translator, domain: Domain | None, side: int, own: Image.Image | None, folder: Path
) -> dict[str, dict[str, str]]:  # fmt: skip
    """Writes the images that the page opens with, and what the model makes of the first; returns their names by direction.

    B to A has one only where its inputs are faces or `EXAMPLES` names one: of other domains there is no free picture.
    """
    (folder / "examples").mkdir()
    found: dict[str, dict[str, str]] = {}
    for direction in model.directions:
        eyes, first = model.eyes[direction], direction == model.directions[0]
        place = domain.name if domain else "", direction
        if own is not None and first:
            own.thumbnail((OPENED, OPENED))
            own.save(folder / "examples/own.jpg", quality=92)
            found[direction] = {"file": "examples/own.jpg", "credit": ""}
        elif first or eyes or place in EXAMPLES:
            free = examples_for(*place, faces=eyes is not None)[0]
            name = f"examples/{free.file}"
            shutil.copyfile(free.path, folder / name)
            found[direction] = {"file": name, "credit": f"Example: {free.name}; {free.credit}."}
        if first:
            pair = _translated(model, folder / found[direction]["file"], direction, side)
            for name, image in zip(("before", "after"), pair, strict=True):
                found[direction][name] = f"examples/{name}.jpg"
                image.save(folder / found[direction][name], quality=92)
    return found


def _translated(model: Translator, file: Path, direction: str, side: int) -> tuple[Image.Image, Image.Image]:
    """An example and its translation as the page shows them: the largest face, or the centred square."""
    image, eyes = images.decode(file, model.channels), model.eyes[direction]
    faces = find_faces(image) if eyes else []
    if eyes and faces:
        after = model.translate(image, direction, side)
        return align(image, faces[0], eyes, after.width), after
    square = images.square(image, side)
    return square, model.translate(square, direction, side, face="none" if eyes else "auto")


SHORT = 60  # characters of a Space's short description that the Hub shows, and takes


def _front_matter(manifest: dict[str, Any], arrow: str) -> Iterator[str]:
    """The lines of a static Space's front matter that say what it is. Texts in JSON, which is YAML."""
    short = next(one for one in (f"{arrow}, in your browser", arrow, "Images translated in your browser") if len(one) <= SHORT)
    licence = manifest["license"]
    texts = {"title": manifest["title"], "emoji": "🎭", "colorFrom": "green", "colorTo": "gray", "sdk": "static"}
    texts["short_description"] = short
    texts |= {"license": licence} if licence in LICENCES else {"license": "other", "license_name": licence.replace(" ", "-")}
    yield from (f"{name}: {json.dumps(text, ensure_ascii=False)}" for name, text in texts.items())
    if on_hub := re.fullmatch(r"https?://[^/]+/([\w.-]+/[\w.-]+)", manifest["source"]):
        yield f"models: {json.dumps([on_hub[1]])}"


_SPACE = """---
{front_matter}
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
  cross-origin-resource-policy: cross-origin
---

{description}

Model: {source} ({license}; training images: {terms}). Written by cyclegan_hub {version}; onnxruntime-web is Microsoft's (MIT).
"""


# ----------------------------------------------------------------------------------------- onnxruntime-web


VERSION = "1.30.0"  # of the npm package onnxruntime-web: the one that the tests run
_WASM = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_WEBGPU = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")
_HELP = f"run `npm install onnxruntime-web@{VERSION}` here, or give --runtime FOLDER, or --runtime https://… for a CDN"


@dataclass(frozen=True)
class Runtime:
    """The source of the runtime: `files` are copied to runtime/; if there are none, `url` is on another host."""

    url: str  # as the page asks for it, with a slash at the end
    origin_text: str  # for people
    files: tuple[Path, ...] = field(default=())

    @property
    def origin(self) -> str:
        """The other host ("https://cdn.example"), "" if the files are the folder's own."""
        return "" if self.files else "/".join(self.url.split("/")[:3])

    def copy(self, folder: Path) -> None:
        """Copies the files to `folder`/runtime."""
        if self.files:
            (folder / "runtime").mkdir()
        for path in self.files:
            # Many hosts do not know .mjs, and a browser runs no module that is not sent as JavaScript.
            shutil.copyfile(path, folder / "runtime" / path.name.replace(".mjs", ".js"))


def find_runtime(place: str | None, webgpu: bool = False) -> Runtime:
    """The runtime in a folder (None: ./node_modules), or at a URL. Raises ExportError, with the remedy, if missing."""
    if place is not None and re.match(r"[a-z]+://", place):
        if not re.fullmatch(r"https://[\w.:-]+(/[\w.@/-]*)?", place):
            raise ExportError(f"--runtime {place}: give a URL that starts with https:// and has no query")
        return Runtime(place.rstrip("/") + "/", f"from {place}")
    start = Path(place).expanduser() if place is not None else Path()
    for below in ("", "dist", "onnxruntime-web/dist", "node_modules/onnxruntime-web/dist"):
        folder = start / below
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
