"""Everything the page does, without gradio: translations, samples, batches, live frames, the text about a model.

Of an image only its content hash and the positions of its faces are kept, in memory; nothing of it is logged. Files are written
only below the folder that a caller names.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from cyclegan_hub import checkpoints
from cyclegan_hub.faces.track import Track
from cyclegan_hub.files import base_name, remove_leftover
from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images
from cyclegan_hub.models.auto import Model
from cyclegan_hub.models.inference import optimize_for_cpu
from cyclegan_hub.models.photograph import DEFAULT, Options
from cyclegan_hub.models.protocols import Sampler, Translator
from cyclegan_hub.serving import about
from cyclegan_hub.serving.catalog import Catalog, EpochEntry, ModelEntry, find_models
from cyclegan_hub.serving.messages import ServingError, as_sentence, one_line, public_error_text
from cyclegan_hub.serving.photos import FaceMemory, ImageSource, LiveFrame, Photo, prepare_frame
from cyclegan_hub.serving.results import (
    CELL,
    SAVE_FORMATS,
    Batch,
    Result,
    SaveFormatName,
    open_zip,
    sheet,
    with_color,
    zip_names,
)

BUNDLED = Path(__file__).parents[2] / "pretrained"
REFRESH_AFTER = 60  # seconds; if the source was read longer ago, a request has it read again in the background
MAX_FILES = 200  # files in a batch at most
THUMBNAILS = 60  # images of a batch that are shown at most
SHEET = 9  # images of each epoch, at most, where all epochs are shown
MAX_SAMPLES, MAX_STEPS, MAX_SEED = 36, 16, 2**31 - 1
LIMITS = {
    "n": ("number of pictures", 1, MAX_SAMPLES),
    "seed": ("seed", 0, MAX_SEED),
    "seed_a": ("first seed", 0, MAX_SEED),
    "seed_b": ("second seed", 0, MAX_SEED),
    "steps": ("number of steps", 2, MAX_STEPS),
}
Epoch = int | str | None  # 25, "25" or "epoch-025"; None or "main": the best
Progress = Callable[[int, int], None]  # called with (done, total)
T = TypeVar("T")


class Studio:
    """Everything the page can do; thread-safe.

    `models`: None for those in `bundled`, a folder (with a folder for each domain, of one model, or of a run), "user" of the Hub,
    or "user/repository". At most `cache_models` models stay loaded; each epoch counts as one.
    Raises ServingError for any other `models`; every method raises it for a request that cannot be served.
    """

    def __init__(self, models: str | None = None, bundled: Path = BUNDLED, cache_models: int = 4) -> None:
        self._find = functools.partial(find_models, models, bundled)
        self._lock = threading.Lock()  # protects _refreshing, _known and _known_since
        self._refreshing: threading.Thread | None = None
        self._known, self._known_since = self._find(), time.monotonic()
        self._cache = ModelCache(cache_models)
        self._faces = FaceMemory()
        # One thread runs all networks, in the order of the requests: each uses all cores, and two at once are slower than one
        # after the other.
        self._worker = ThreadPoolExecutor(1)

    def close(self) -> None:
        """Drops the requests that wait; the one that runs is finished before the process ends."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    # -------------------------------------------------------------------------------------------------------- models
    def models(self) -> list[ModelEntry]:
        """All models; if the list is empty, `status` says what to do."""
        return list(self._catalog().models.values())

    def model(self, name: str) -> ModelEntry:
        """The model of this name. Raises ServingError, which lists the names, for an unknown one."""
        known = self._catalog()
        if not isinstance(name, str) or name not in known.models:
            raise ServingError(
                f"No domain '{one_line(name)}'; there are: {', '.join(known.models)}." if known.models else known.status
            )
        return known.models[name]

    def status(self) -> str:
        """A sentence on the source of the models and its errors: "The Hub does not answer; bundled with this page: smile." """
        return self._catalog().status

    def card(self, model: str, epoch: Epoch = None) -> str:
        """The text about an epoch, as Markdown: method, known failures, metrics, data and terms, and the URL of its card."""
        entry = self.model(model)
        return about.render(entry, entry.epoch(epoch))

    def _catalog(self) -> Catalog:
        """The models as last found; after REFRESH_AFTER they are looked for again in the background."""
        with self._lock:
            running = self._refreshing and self._refreshing.is_alive()
            if time.monotonic() - self._known_since >= REFRESH_AFTER and not running:
                self._known_since = time.monotonic()
                self._refreshing = threading.Thread(target=self._refresh, daemon=True)
                self._refreshing.start()
            return self._known

    def _refresh(self) -> None:
        try:
            found = self._find()
        except (ServingError, OSError):  # the folder is away: what was found in it stays
            return
        with self._lock:
            self._known, self._known_since = found, time.monotonic()

    # -------------------------------------------------------------------------------------------------- translations
    def open(self, image: ImageSource | None, model: str, direction: str = "a_to_b") -> Photo:
        """A photograph (a path, the bytes of a file, or PIL), decoded for a direction of a model."""
        return Photo.open(image, self._translator(model, direction), direction, self._faces)

    def translate(
        self,
        photo: Photo,
        epoch: Epoch = None,
        options: Options = DEFAULT,
        *,
        original_size: bool = False,
        reconstruct: bool = False,
    ) -> Result:
        """Translates a photograph by one epoch; with `reconstruct` the result is translated back, too.

        The shorter side becomes the size the model was trained at; with `original_size` the size is kept, up to MAX_RESULT
        pixels, where the model allows it. Where no face is found, a note says so.
        """
        model, others = photo.model, [one for one in photo.model.directions if one != photo.direction]
        if reconstruct and not others:
            raise ServingError(f"{model.title} translates one way only: there is no reconstruction.")
        plan, chosen = photo.plan(options, original_size), model.epoch(epoch)
        result = plan.result(self._outputs(model, chosen, plan.work.inputs, photo.direction, options.ensemble), chosen)
        if not reconstruct:
            return result
        back = self._outputs(model, chosen, result.outputs, others[0], options.ensemble)
        return replace(result, back=with_color(plan.work.finish(back)), reconstructions=tuple(back))

    def every_epoch(self, photo: Photo, options: Options = DEFAULT, progress: Progress | None = None) -> list[Result]:
        """Translates a photograph by each epoch, ascending, at the model's own size."""
        model, plan = photo.model, photo.plan(options)

        def translated(epoch: EpochEntry) -> Result:
            return plan.result(self._outputs(model, epoch, plan.work.inputs, photo.direction, options.ensemble), epoch)

        return _of_each_epoch(model, translated, progress)

    def translate_batch(
        self,
        files: Sequence[Path],
        model: str,
        direction: str = "a_to_b",
        epoch: Epoch = None,
        options: Options = DEFAULT,
        *,
        folder: Path,
        format: SaveFormatName = "own",
        progress: Progress | None = None,
    ) -> Batch:
        """Translates several files into a new zip below `folder`.

        A file that cannot be translated gives an error line; the others are translated.
        """
        if not 1 <= len(files) <= MAX_FILES:
            raise ServingError(f"{len(files)} files: give between 1 and {MAX_FILES} at a time.")
        entry = self._translator(model, direction)
        chosen = entry.epoch(epoch)
        self._cache.network(entry, chosen)  # so that an error of the model is not reported as one of the first file
        batch = Batch()
        with open_zip(folder, f"{direction}.zip") as (path, add):
            for i, (file, name) in enumerate(zip(files, zip_names(files, SAVE_FORMATS[format].extension), strict=True)):
                shown = one_line(base_name(file))
                try:
                    result = self.translate(self.open(file, model, direction), chosen.name, options)
                except ServingError as error:
                    batch.errors.append(f"{shown}: {error}")
                else:
                    for note in result.notes:
                        batch.notes.setdefault(note, []).append(shown)
                    add(name, SAVE_FORMATS[format].encode(result))
                    batch.done += 1
                    if batch.done <= THUMBNAILS:
                        result.after.thumbnail((CELL, CELL))
                        batch.thumbnails.append((name, result.after))
                if progress:
                    progress(i + 1, len(files))
        if batch.done:
            batch.zip = path
        else:
            remove_leftover(path.parent)
        return batch

    def live_frame(
        self, frame: Image.Image, model: str, direction: str = "a_to_b", epoch: Epoch = None, track: Track | None = None
    ) -> LiveFrame:
        """Translates a frame of a camera at the model's size: the face that `track` follows, or the centred square."""
        entry = self._translator(model, direction)
        if entry.enlargement > 1:
            raise ServingError(f"{entry.title} enlarges small pictures and has no live view.")
        before, track = prepare_frame(frame, entry.eyes(direction), entry.image_size, track)
        (after,) = self._outputs(entry, entry.epoch(epoch), [before], direction, ensemble=False)
        return LiveFrame(before, with_color(after), track)

    def _translator(self, name: str, direction: str) -> ModelEntry:
        """A model that translates in this direction."""
        model = self.model(name)
        if model.is_sampler:
            raise ServingError(f"{model.title} generates pictures from seeds and translates none: ask it for samples.")
        if direction not in model.directions:
            listed = f"are {' and '.join(model.directions)}" if len(model.directions) > 1 else f"is only {model.directions[0]}"
            raise ServingError(f"No direction '{one_line(direction)}'; there {listed}.")
        return model

    def _outputs(
        self, model: ModelEntry, epoch: EpochEntry, inputs: Sequence[Image.Image], direction: str, ensemble: bool | None
    ) -> list[Image.Image]:
        """The outputs of an epoch's network for images that are its inputs already."""
        network = self._cache.network(model, epoch)
        assert isinstance(network, Translator)  # the cache has compared its directions with those of the catalog
        aligned: dict[str, Any] = {"face": "none"} if network.eyes[direction] else {}
        outputs: list[Image.Image] = self._run(
            lambda: network.translate(list(inputs), direction, "original", ensemble=ensemble, **aligned),
            "This picture needs",
            "a smaller one",
        )
        return outputs

    # ------------------------------------------------------------------------------------------------------- samples
    def sample(
        self, model: str, n: Any = 16, seed: Any = 0, truncation: Any = None, epoch: Epoch = None
    ) -> list[Image.Image]:  # fmt: skip
        """`n` images by one epoch; the same seed gives the same ones. For `truncation` see `DCGAN.latents`."""
        entry, arguments = self._sampler(model), _checked(n=n, seed=seed, truncation=truncation)
        return self._samples(entry, entry.epoch(epoch), lambda network: network.sample(**arguments))

    def interpolate(
        self, model: str, seed_a: Any = 0, seed_b: Any = 1, steps: Any = 8, truncation: Any = None, epoch: Epoch = None
    ) -> list[Image.Image]:
        """`steps` images between the first one of seed A and the first one of seed B, both included."""
        entry, arguments = self._sampler(model), _checked(seed_a=seed_a, seed_b=seed_b, steps=steps, truncation=truncation)
        return self._samples(entry, entry.epoch(epoch), lambda network: network.interpolate(**arguments))

    def sample_every_epoch(
        self, model: str, n: Any = 9, seed: Any = 0, truncation: Any = None, progress: Progress | None = None
    ) -> list[tuple[EpochEntry, Image.Image]]:
        """(epoch, sheet with the first `n` images of a seed, at most SHEET) for each epoch, ascending."""
        entry, arguments = self._sampler(model), _checked(n=n, seed=seed, truncation=truncation)
        arguments["n"] = min(arguments["n"], SHEET)

        def sampled(epoch: EpochEntry) -> tuple[EpochEntry, Image.Image]:
            return epoch, sheet(self._samples(entry, epoch, lambda network: network.sample(**arguments)))

        return _of_each_epoch(entry, sampled, progress)

    def _sampler(self, name: str) -> ModelEntry:
        """A model that samples."""
        model = self.model(name)
        if not model.is_sampler:
            raise ServingError(f"{model.title} translates pictures and generates none: ask it for a translation.")
        return model

    def _samples(
        self, model: ModelEntry, epoch: EpochEntry, generate: Callable[[Sampler], list[Image.Image]]
    ) -> list[Image.Image]:
        network = self._cache.network(model, epoch)
        assert isinstance(network, Sampler)  # the cache has compared its directions with those of the catalog
        samples = self._run(lambda: generate(network), "So many pictures need", "a smaller number")
        return [image.convert("RGB") for image in samples]

    # ---------------------------------------------------------------------------------------------------------- both
    def _run(self, network: Callable[[], T], what: str, remedy: str) -> T:
        """Runs a network when its turn comes; `what` and `remedy` are parts of the sentence about too little memory."""
        try:
            return self._worker.submit(network).result()
        except images.ImageError as error:
            raise ServingError(as_sentence(error)) from None
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error):
                raise
            raise ServingError(f"{what} more memory than there is here: give {remedy}.") from None


def _of_each_epoch(model: ModelEntry, make: Callable[[EpochEntry], T], progress: Progress | None) -> list[T]:
    """What is made of each epoch, ascending."""
    made = []
    for epoch in model.epochs:
        made.append(make(epoch))
        if progress:
            progress(len(made), len(model.epochs))
    return made


class ModelCache:
    """At most `size` loaded models, prepared for fast inference on this machine; thread-safe.

    An epoch counts as a model. Each is loaded once, even if several users ask at once; those used last stay in memory.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.loaded: OrderedDict[tuple[str, str], Future[Model]] = OrderedDict()  # by location and revision
        self._lock = threading.Lock()
        self._loading = threading.Semaphore(2)  # at most two at a time: loading holds the weights twice in memory

    def network(self, model: ModelEntry, epoch: EpochEntry) -> Model:
        """The model of an epoch. Raises ServingError if it cannot be loaded; the next request tries again."""
        key = (model.location, epoch.revision)
        with self._lock:
            mine = key not in self.loaded
            future = self.loaded.setdefault(key, Future())
            self.loaded.move_to_end(key)
            while len(self.loaded) > self.size:
                self.loaded.popitem(last=False)
        if mine:
            try:
                with self._loading:
                    future.set_result(self._load(model, epoch))
            except BaseException as error:
                with self._lock:
                    if self.loaded.get(key) is future:
                        del self.loaded[key]
                future.set_exception(error)
        try:
            return future.result()
        except (ModelError, OSError) as error:
            message = public_error_text(error, model.location, model.name)
            raise ServingError(f"{epoch.label} of {model.name} cannot be loaded ({message}).") from None

    def _load(self, model: ModelEntry, epoch: EpochEntry) -> Model:
        # The best epoch is loaded as `main`, so that the Hub's cache tells which one it is while the Hub is down.
        name = None if epoch.best else epoch.name
        network = checkpoints.load(model.location, name, local_files_only=model.origin == "cache")
        if network.directions != model.directions:
            remedy = "publish the models of each method in a place of their own"
            raise ModelError(f"it is a {type(network).__name__}, unlike the other epochs: {remedy}")
        return optimize_for_cpu(network)


def _checked(**arguments: Any) -> dict[str, Any]:
    """The arguments of a sampler. Raises ServingError for a value outside its limits."""
    return {
        name: _truncation(value) if name == "truncation" else _whole_number(value, *LIMITS[name])
        for name, value in arguments.items()
    }


def _truncation(value: Any) -> float | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 < value < math.inf:
        raise ServingError(f"The truncation cannot be '{one_line(value)}': give a number above 0, such as 1, or leave it out.")
    return float(value)


def _whole_number(value: Any, name: str, minimum: int, maximum: int) -> int:
    if not _is_number(value) or not minimum <= value <= maximum or value != int(value):
        problem = f"There is no {name}" if value is None else f"The {name} cannot be '{one_line(value)}'"
        raise ServingError(f"{problem}: give a whole number from {minimum} to {maximum}.")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
